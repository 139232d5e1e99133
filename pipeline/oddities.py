"""Finds values that no wearer gives: sensors that are stuck, and counts of other bins in part of a night."""

from itertools import pairwise

import numpy as np

from pipeline.constants import COUNT_S, HOUR_S, MINUTE_S, OFF_WRIST_BLIND_S

Samples = dict[str, tuple[np.ndarray, np.ndarray]]

# sensor -> (s, samples) of one value all the time; in the 25 sleep-accel nights, at most 5 min of 60 heart rates
STUCK = {"heart_rate": (HOUR_S, 60), "motion": (HOUR_S / 2, 1000), "activity": (HOUR_S / 2, 60)}
STUCK_AT_0_S = OFF_WRIST_BLIND_S  # s of counts of 0: sleepers lie still for up to 100 min
COUNTS_IN_A_ROW = 20  # at the same odd spacing: fewer may be lost ones


def odd_values(samples: Samples) -> list[tuple[str, str]]:
    """What seems wrong with a night's values, though each is valid: [(sensor, what)].

    Args:
        samples: {sensor: (t [n] s, ascending, values [n] or [n, 3])}.
    """
    found = []
    for sensor, (least_s, least_n) in STUCK.items():
        if sensor not in samples or len(samples[sensor][0]) < least_n:
            continue
        t, values = samples[sensor]
        changed = np.flatnonzero((np.diff(values.reshape(len(t), -1), axis=0) != 0).any(1)) + 1
        first, last = np.append(0, changed), np.append(changed, len(t)) - 1
        still = np.full(len(first), sensor == "activity") & (values.reshape(len(t), -1)[first, 0] == 0)
        enough = (last - first + 1 >= least_n) & (t[last] - t[first] >= np.where(still, STUCK_AT_0_S, least_s))
        if enough.any():
            longest = int(np.argmax(np.where(enough, t[last] - t[first], 0)))
            minutes = (t[last[longest]] - t[first[longest]]) / MINUTE_S
            value = " ".join(f"{x:g}" for x in np.atleast_1d(values[first[longest]]))
            found.append((sensor, f"always {value} for {minutes:.0f} min from t={t[first[longest]]:.0f} on: stuck?"))
    return found


def odd_spacing(t: np.ndarray) -> str:
    """What seems wrong with the times of activity counts, ascending [n] s, in part of the night; "" if nothing does."""
    step = np.rint(np.diff(t))
    cuts = np.append(np.append(0, np.flatnonzero(np.diff(step)) + 1), len(step))
    rows = [(a, b) for a, b in pairwise(cuts) if b - a >= COUNTS_IN_A_ROW and step[a] != COUNT_S]
    if not rows:
        return ""
    a, b = max(rows, key=lambda row: row[1] - row[0])
    return f"{b - a} counts in a row every {step[a]:g} s, from t={t[a]:.0f} on; expected every {COUNT_S} s"
