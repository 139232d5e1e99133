"""The activity call: from 50 Hz acceleration and the filter's history to activity counts and posture.

The filter and the count of pipeline.activity as a float32 graph of TFLite built-ins, so that a phone needs no signal
processing. It filters differences: a missing point is then a difference of 0, as if the first value had always been
there. (After a gap shorter than the filter's 0.84 s, its far end still sees the samples from before the gap.)

A call covers one value of the channel, 15 s unless rows are longer, so a microcontroller need not hold a stride of
motion.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipeline.activity import BIN_G, COUNT_FREE, COUNT_UNIT, DELAY, HZ, N_TAPS, POINTS, TAPS
from pipeline.constants import CHANNELS, COUNT_S
from pipeline.options import Options

MOTION = CHANNELS["motion_z"]
LARGEST_STEP = MOTION.high - MOTION.low  # g, between two sensed points; a step to or from a missing one is larger


def signature(options: Options) -> tuple[Callable, list[tf.TensorSpec]]:
    """The call for a run's options: `activity`, and its TensorSpecs."""
    points = HZ * options.seconds_per_value("activity")
    shapes = {"motion": (1, points, 3), "history": (1, N_TAPS - 2), "newest": (1, 1)}
    return activity, [tf.TensorSpec(size, tf.float32, name) for name, size in shapes.items()]


def activity(motion: tf.Tensor, history: tf.Tensor, newest: tf.Tensor) -> dict[str, tf.Tensor]:
    """Activity count and posture of one value of the channel.

    Args:
        motion: [1, 50 x seconds, 3] in g; -100 in all axes where missing.
        history: [1, 40]: earlier differences of z from point to point; 0 from and to missing points.
        newest: [1, 1]: z of the last point before `motion`; -100 if missing.

    Returns:
        "activity" [1, 1], -1 if missing; "posture" [1, 3], the mean acceleration in g, -100 if missing;
        "history_out" [1, 40] and "newest_out" [1, 1].
    """
    points = motion.shape[1]
    sensed = tf.cast((motion >= MOTION.low)[:, :, 2], tf.float32)
    x, y, z = (tf.gather(motion, axis, axis=2) for axis in range(3))
    before, newest = tf.split(tf.concat([newest, z], 1), [points, 1], 1)
    step = z - before
    steps = tf.concat([history, step * tf.cast(tf.abs(step) <= LARGEST_STEP, tf.float32)], 1)

    # sum of taps[k] z[n-k] = - sum over j of d[n-j] (taps[0] + ... + taps[j]), as the sum of all taps is 0
    weights = (np.cumsum(TAPS)[-2::-1] / BIN_G).astype(np.float32)[:, None, None, None]
    band = tf.nn.conv2d(tf.reshape(steps, (1, -1, 1, 1)), weights, 1, "VALID")  # in bins
    by_count = (points // POINTS, POINTS, 1, 1)
    on = tf.reshape(sensed, by_count)
    late = tf.split(tf.reshape(tf.abs(band), by_count) * on, [DELAY, POINTS - DELAY], 1)[1]
    peak = tf.nn.max_pool2d(tf.pad(late, [[0, 0], [0, DELAY], [0, 0], [0, 0]]), (HZ, 1), (HZ, 1), "VALID")
    whole = tf.cast(tf.nn.avg_pool2d(on, (HZ, 1), (HZ, 1), "VALID") >= 0.5, tf.float32)  # seconds
    total = tf.reduce_sum(tf.floor(peak) * whole, (1, 2))
    counted = tf.cast(tf.reduce_sum(whole, (1, 2)) >= COUNT_S / 2, tf.float32)
    count = np.float32(COUNT_UNIT) * tf.nn.relu(total - COUNT_FREE) * counted
    if points > POINTS:
        count, counted = (tf.reduce_sum(x, 0, keepdims=True) for x in (count, counted))
        counted = tf.minimum(counted, 1)

    number = tf.reduce_sum(sensed, 1, keepdims=True)
    sums = tf.concat([tf.matmul(sensed, axis, transpose_b=True) for axis in (x, y, z)], 1)
    nowhere = np.float32(MOTION.missing) * tf.nn.relu(1 - number)
    return {
        "activity": count + np.float32(-CHANNELS["activity"].missing) * (counted - 1),
        "posture": sums / tf.maximum(number, 1) + nowhere,
        "history_out": tf.split(steps, [points, N_TAPS - 2], 1)[1],
        "newest_out": newest,
    }
