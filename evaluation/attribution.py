"""Measures how much each input contributes to a predicted stage, and from how far back, in two ways.

Features: integrated gradients (Sundararajan, Taly & Yan 2017, ICML) by tf-keras-vis, that is gradient x input, averaged
on the path from all-average features to the night's. Not |gradient|: a standardised feature is 0 if it is average or
unavailable, so gradient x input measures what it did contribute, not what it could; opposite contributions of one
input's features cancel; and all contributions add up to the network's log-odds, even if it is so sure that its gradient
vanishes.

Sensors: features look back themselves (trailing means reach an hour), so a feature's minutes understate how long heart
rate and movement count. Gradients cannot pass through sensing, where the spread of a still window is the root of 0. So
minutes of one channel are replaced by others of the same night (occlusion: Zeiler & Fergus 2014, ECCV), and sensing and
network run again.
"""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.saliency import Saliency

from models.forms import padded, roll
from models.sensing import Sensing
from pipeline.align import Night
from pipeline.constants import CHANNELS, HOUR_S

LOOK_BACK_S = HOUR_S  # how far back inputs are examined; earlier ones have hardly any influence
BLOCK_S = 300  # s of a channel replaced at a time
STEPS = 16  # on the path from average features
BATCH = 32  # windows whose gradients are computed at a time
SPANS_AT_ONCE = 400  # spans of LOOK_BACK_S in sensing at a time: about 500 MB
LEAST_PROBABILITY = 1e-6  # probabilities are clipped to it and its complement, so that log-odds are finite


def span_and_block(stride: int) -> tuple[int, int]:
    """Number of windows in LOOK_BACK_S and in a block of BLOCK_S; stride: in s."""
    return max(1, LOOK_BACK_S // stride), max(1, BLOCK_S // stride)


def log_odds(probabilities: tf.Tensor, stages: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Log-odds [B] of a stage [B] at a window [B] in probabilities [B, T, 5]."""
    p = tf.gather_nd(probabilities, tf.stack([tf.range(tf.shape(probabilities)[0]), windows, stages], 1))
    p = tf.clip_by_value(p, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return tf.math.log(p) - tf.math.log(1 - p)


def contributions(model: keras.Model, crops: Sequence[np.ndarray], stages: Sequence[int]) -> list[np.ndarray]:
    """Contributions of each feature to a stage at the last window of a crop.

    Args:
        model: Features [B, T, F] -> probabilities [B, T, 5], causal.
        crops: Features of n crops, [windows, F] each.
        stages: Stages to explain, index into STAGES, [n].

    Returns:
        Contributions in log-odds, [windows, F] for each crop. They sum to the stage's log-odds, less its log-odds with
        features that are all 0.
    """
    explain = Saliency(keras.Model(model.inputs, model.outputs))  # rebuilt with lists, which it expects
    raw = {"keepdims": True, "normalize_map": False, "gradient_modifier": None}

    @tf.function(reduce_retracing=True)  # ten times as fast as layer by layer
    def gradient(x, stages, windows):
        return explain(lambda p: log_odds(p, stages, windows), x, **raw)

    x = padded(crops)
    last, stages = np.int32([len(crop) - 1 for crop in crops]), np.int32(stages)
    total = np.zeros_like(x)
    for start in range(0, len(x), BATCH):
        batch = slice(start, start + BATCH)
        for k in range(STEPS):
            total[batch] += gradient(x[batch] * np.float32((k + 0.5) / STEPS), stages[batch], last[batch])
    return [contribution[: len(crop)] for contribution, crop in zip(x * total / STEPS, crops, strict=True)]


def exchange_blocks(
    sensing: Sensing, nights: Sequence[Night], targets: Sequence[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Features of the LOOK_BACK_S before each target, with a block of a channel replaced by another of the night.

    Args:
        sensing: Front end with its scaler.
        nights: The nights.
        targets: (index of the night, window).

    Yields:
        Features of several targets at a time, [n, 1 + channels * blocks, windows, F]: unchanged, then with each block
        of the first channel replaced, the newest first, and so on. Spans at the start of a night are padded at the end.
    """
    rng = np.random.default_rng(0)
    span, size = span_and_block(sensing.options.stride)
    blocks = span // size
    values = {name: [night.values(name, sensing.options) for night in nights] for name in sensing.channels}

    def step(windows, states):
        measured, available, context = sensing.measure(windows, states["context"])
        return {"features": sensing.scale(measured, available)}, {"context": context}

    batch = {name: padded(x, CHANNELS[name].missing) for name, x in values.items()}
    _, before = roll(step, batch, {"context": np.repeat(sensing.initial(), len(nights), 0)})

    def variants(night, window):  # {channel: [1 + channels * blocks, windows, values]}, and contexts
        first = max(0, window + 1 - span)
        rows = np.minimum(first + np.arange(span), window)
        block_of_row = (window - rows) // size
        length = len(nights[night])
        elsewhere = [(rng.integers(length) + np.arange(span)) % length for _ in range(blocks)]
        exchanged = [np.where(block_of_row == block, other, rows) for block, other in enumerate(elsewhere)]
        unchanged = [rows] * blocks
        windows = {}
        for name in values:
            order = [rows]
            for channel in values:
                order += exchanged if channel == name else unchanged
            windows[name] = values[name][night][np.stack(order)]
        return windows, np.repeat(before["context"][night, first][None], 1 + len(values) * blocks, 0)

    at_once = max(1, SPANS_AT_ONCE // (1 + len(values) * blocks))
    for start in range(0, len(targets), at_once):
        windows, contexts = zip(*(variants(*target) for target in targets[start : start + at_once]), strict=True)
        inputs = {name: np.concatenate([channels[name] for channels in windows]) for name in values}
        out, _ = roll(step, inputs, {"context": np.concatenate(contexts)})
        yield out["features"].reshape(len(contexts), -1, *out["features"].shape[1:])


def changes(
    model: keras.Model, features: np.ndarray, stages: np.ndarray, windows: np.ndarray, channels: int
) -> np.ndarray:
    """Change of a stage's log-odds by each replaced block.

    Args:
        model: Features [B, T, F] -> probabilities [B, T, 5].
        features: From `exchange_blocks`, [n, 1 + channels * blocks, windows, F].
        stages: Stages to explain, index into STAGES, [n].
        windows: Last window of each span, [n].
        channels: Number of channels.

    Returns:
        |change of the stage's log-odds|, [n, blocks, channels].
    """
    variants = range(features.shape[1])
    odds = [log_odds(model.predict_on_batch(features[:, i]), stages, windows).numpy() for i in variants]
    return np.abs(np.stack(odds[1:], 1) - odds[0][:, None]).reshape(len(stages), channels, -1).swapaxes(1, 2)
