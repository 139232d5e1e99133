"""The activity call: 50 Hz acceleration of one stride and a history in, activity counts and posture out.

The filter and the count of pipeline.activity as a float32 graph of TFLite built-ins, so that a phone need not process
signals. It filters differences: a missing point then is a difference of 0, which is what "as if the first value had
been there for ever" comes to. (After a gap of less than the filter's 2 s its far end still sees what was before.)
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from pipeline.activity import BIN_G, COUNT_FREE, COUNT_UNIT, DELAY, HZ, N_TAPS, POINTS, TAPS
from pipeline.constants import CHANNELS, COUNT_S
from pipeline.options import Options

MOTION = CHANNELS["motion_z"]


def signature(options: Options) -> tuple[Callable, list[tf.TensorSpec]]:
    """The call for a run's options: a function like `activity` of motion and history, and its TensorSpecs."""
    values = options.values_per_stride("activity")
    shapes = {"motion": (1, HZ * options.stride, 3), "history": (1, N_TAPS)}
    return partial(activity, values=values), [tf.TensorSpec(size, tf.float32, name) for name, size in shapes.items()]


def activity(motion: tf.Tensor, history: tf.Tensor, values: int) -> dict[str, tf.Tensor]:
    """Activity counts and posture of one stride.

    Args:
        motion: [1, 50 x stride, 3] in g, -100 where missing.
        history: [1, 101]: 99 differences of z, its newest value, and whether that was sensed.
        values: How many values of the channel activity a stride has.

    Returns:
        "activity" [1, values], the newest of that channel, -1 where missing; "posture" [1, 3], the mean acceleration in
        g, -100 where missing; "history_out" [1, 101].
    """
    past, last, last_sensed = tf.split(history, [N_TAPS - 2, 1, 1], axis=1)
    valid = tf.cast(motion >= MOTION.low, tf.float32)
    sensed = valid[:, :, 2]
    z = motion[:, :, 2] * sensed
    before = tf.concat([last, z[:, :-1]], 1)
    before_sensed = tf.concat([last_sensed, sensed[:, :-1]], 1)
    steps = tf.concat([past, (z - before) * sensed * before_sensed], 1)
    # sum of taps[k] x[n-k] = sum(taps) x[n] - sum over j of d[n-j] (taps[j+1] + ... + taps[100])
    tails = (TAPS.sum() - np.cumsum(TAPS))[-2::-1].astype(np.float32)
    band = np.float32(TAPS.sum()) * z - tf.nn.conv1d(steps[:, :, None], tails[:, None, None], 1, "VALID")[:, :, 0]

    band = tf.reshape(tf.abs(band) * sensed, (-1, POINTS))
    peak = tf.reduce_max(tf.reshape(tf.pad(band[:, DELAY:], [[0, 0], [0, DELAY]]), (-1, COUNT_S, HZ)), 2)
    whole = tf.cast(tf.reduce_sum(tf.reshape(sensed, (-1, COUNT_S, HZ)), 2) >= HZ / 2, tf.float32)
    total = tf.reduce_sum(tf.floor(peak / np.float32(BIN_G)) * whole, 1)
    counted = tf.cast(tf.reduce_sum(whole, 1) >= COUNT_S / 2, tf.float32)
    counts = tf.nn.relu(np.float32(COUNT_UNIT) * (total - COUNT_FREE)) * counted
    any_counted = tf.reduce_max(tf.reshape(counted, (1, values, -1)), 2)
    missing = np.float32(CHANNELS["activity"].missing)

    number = tf.reduce_sum(valid, 1)
    posture = tf.reduce_sum(motion * valid, 1) / tf.maximum(number, 1)
    return {
        "activity": tf.reduce_sum(tf.reshape(counts, (1, values, -1)), 2) + missing * (1 - any_counted),
        "posture": posture + np.float32(MOTION.missing) * (1 - tf.minimum(number, 1)),
        "history_out": tf.concat([steps[:, 2 - N_TAPS :], z[:, -1:], sensed[:, -1:]], 1),
    }
