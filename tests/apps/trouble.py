"""Recordings with every kind of trouble."""

import numpy as np

from pipeline.align import CHANNELS_OF_SENSOR
from pipeline.constants import CHANNELS


def trouble(rng, start, sensors, seconds=400):
    """Events of a recording with gaps, jitter, repeated, late and bad values, and times on the edges of bins and
    points. Motion is about 1 g.
    """
    fed = []
    edges = start + np.add.outer(15.0 * np.arange(seconds // 15), [0, 0.1, 0.02, -0.02]).ravel()
    edges = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    for sensor in sensors:
        channel = CHANNELS[CHANNELS_OF_SENSOR[sensor][0]]
        hz = {"heart_rate": 0.4, "motion": rng.choice([8, 30]), "steps": 0.05, "activity": 0.06}[sensor]
        t = np.sort(start + rng.uniform(-40, seconds, int(hz * seconds)))
        for begin, long in zip(rng.uniform(0, seconds, 4), (0.5, 1.1, 20, 70), strict=True):
            t = t[(t < start + begin) | (t > start + begin + long)]
        t = np.concatenate([t, rng.choice(edges, 30)])
        low, high, columns = (-1, 1, 3) if sensor == "motion" else (channel.low, channel.high, 1)
        values = rng.uniform(low, high, (len(t), columns))
        bad = np.flatnonzero(rng.random(len(t)) < 0.03)
        values[bad, -1] = rng.choice([np.nan, np.inf, channel.missing, channel.high * 1.1], len(bad))
        again = rng.choice(len(t), len(t) // 20)  # the same times with other values
        t, values = np.append(t, t[again]), np.append(values, values[again] * 0.9, 0)
        fed += [(sensor, float(x), value.tolist()) for x, value in zip(t, values, strict=True)]
    fed.sort(key=lambda event: event[1])
    for i in rng.choice(len(fed) - 50, len(fed) // 50):  # some come late
        fed.insert(i + int(rng.integers(1, 50)), fed.pop(i))
    return fed
