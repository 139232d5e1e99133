"""Training nights, varied: as another wearer, another watch or a looser strap might have given them.

For training only. Each draws from a generator of its own, so that the same seed gives the same nights.
"""

from dataclasses import replace

import numpy as np

from pipeline.options import CHANNELS

GAPS = {  # sensor -> (its channels, how likely it drops out for a while, minutes at most)
    "heart_rate": (("heart_rate",), 0.5, 60),
    "motion": (("activity", *(name for name in CHANNELS if name.startswith("motion"))), 0.5, 180),
}
GAP_MIN = 10  # at least
MOTION_ENDS = 0.15  # how likely motion ends before the night does
TEMPO = 0.12  # the night runs up to so much faster or slower, and so does, within it, sleep (SD of log)
HEART_SCALE = (0.8, 1.25)  # of its swings about the night's mean
HEART_SHIFT = 4.0  # bpm, SD
ACTIVITY_SCALE = 0.25  # SD of log


def varied(night, options, seed):
    """A variant of a pipeline.align.Night. seed: anything numpy.random.default_rng takes."""
    rng = np.random.default_rng(seed)
    at = tempo(len(night), rng)
    channels = {name: x[at] for name, x in night.channels.items()}
    if "heart_rate" in channels:
        channels["heart_rate"] = heart(channels["heart_rate"], rng)
    if "activity" in channels:
        x = channels["activity"]
        channels["activity"] = np.where(x > 0, x * np.float32(np.exp(rng.normal(0, ACTIVITY_SCALE))), x)
    for names, likely, longest in GAPS.values():
        begin, end = gap(len(at), likely, longest * 60 / options.stride, GAP_MIN * 60 / options.stride, rng)
        if "activity" in names and rng.random() < MOTION_ENDS:
            begin, end = rng.integers(len(at)), len(at)
        for name in set(names) & set(channels):
            channels[name][begin:end] = CHANNELS[name].missing
    ends = options.stride * np.arange(1, len(at) + 1) + night.ends[0] - options.stride
    return replace(night, ends=ends, channels=channels, stages=night.stages[at])


def tempo(windows, rng):
    """Indices of the windows of a night that is resampled at a speed that wanders."""
    size = max(1, int(windows * rng.uniform(1 - TEMPO, 1 + TEMPO)))
    speed = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, 6), np.exp(rng.normal(0, TEMPO, 6)))
    place = np.cumsum(speed) - speed[0]
    return np.round(place / max(place[-1], 1e-9) * (windows - 1)).astype(int)


def heart(x, rng):
    """Heart rate with other swings and another level. x: [windows, values] bpm, missing below the valid range."""
    channel, there = CHANNELS["heart_rate"], x >= CHANNELS["heart_rate"].low
    scale, shift = rng.uniform(*HEART_SCALE), rng.normal(0, HEART_SHIFT)
    mean = x[there].mean() if there.any() else 0
    moved = np.clip((x - mean) * scale + mean + shift, channel.low, channel.high)
    return np.where(there, moved, x).astype(np.float32)


def gap(windows, likely, longest, shortest, rng):
    """(begin, end) of a dropout in windows; empty if there is none."""
    length = rng.uniform(shortest, max(longest, shortest))
    begin = rng.uniform(-length / 2, windows)
    return (max(0, int(begin)), max(0, int(begin + length))) if rng.random() < likely else (0, 0)
