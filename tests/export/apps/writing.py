"""Bundles whose models write down what they are given, and recordings with every kind of trouble to feed them."""

import hashlib
import json

import numpy as np

from export.app_code import write_apps
from export.contract import FORMAT, STAGE_CODES, ChannelEntry, Contract
from pipeline.activity import GAP_S, HZ
from pipeline.align import CHANNELS_OF_SENSOR
from pipeline.constants import CHANNELS, GRACE_S


def tensor(name, shape, **link):
    return {"name": name, "shape": shape, "dtype": "float32", **link}


def writing_down(folder, options, channels, counted=False):
    """A bundle whose model writes down its windows in step.log, and its motion, if counted, in activity.log."""

    def call(name, inputs, outputs):
        plan = {"log": f"{name}.log", "outputs": {output["name"]: output["shape"] for output in outputs}}
        content = json.dumps(plan).encode()
        (folder / f"{name}.tflite").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"file": f"{name}.tflite", "sha256": digest, "signature": name, "inputs": inputs, "outputs": outputs}

    entries = [ChannelEntry.of(name, options).model_dump() for name in channels]
    inputs = [tensor(c["name"], [1, c["values_per_window"]], **{"from": f"channel:{c['name']}"}) for c in entries]
    inputs += [tensor("memory", [1, 3], **{"from": "state:memory"})]
    step = call("step", inputs, [tensor("p", [1, 5]), tensor("memory_out", [1, 3], to="state:memory")])
    motion = [tensor("motion", [1, HZ * options.stride, 3], **{"from": "sensor:motion"})]
    activity = call(
        "activity", motion, [tensor("counts", [1, options.values_per_stride("activity")], to="channel:activity")]
    )
    grid = {"hz": HZ, "missing": CHANNELS["motion_z"].missing, "grace_seconds": GRACE_S, "gap_seconds": GAP_S}
    preprocessing = {"activity": {"calls": [activity], "states": {}, **grid}}
    tolerance = {"p99_abs_dp": 0.1, "same_stage": 0.9}
    states = {"memory": {"shape": [1, 3], "dtype": "float32", "initial": [[0.5, 0.25, 0]]}}
    document = {
        "format": FORMAT,
        "architecture": "gru",
        "stages": [{"name": name, "healthkit": a, "health_connect": b} for name, a, b in STAGE_CODES],
        "seconds": {"row": options.data_alignment, "window": options.window_size, "stride": options.stride},
        "delay_windows": 0,
        "channels": entries,
        "preprocessing": preprocessing if counted else {},
        "precisions": {"int8": {"calls": [step], "states": states, "probabilities": "p", "tolerance": tolerance}},
    }
    write_apps(folder, Contract.model_validate(document))
    return folder


def written(folder, name):
    """What a model of `writing_down` was given: {input: [calls, values]}."""
    path = folder / f"{name}.log"
    calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {key: np.array([call[key] for call in calls]) for key in (calls[0] if calls else ())}


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
