"""tf.data batches of whole nights of features."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pipeline.budget import budget
from pipeline.options import Options

Variants = Sequence[tuple[np.ndarray, np.ndarray]]  # of a night: (features [windows, F], stages [windows], -1 unscored)


def windows_of(variants: Variants) -> list[int]:
    """Number of windows of each variant of a night, without reading variants from files."""
    lengths = getattr(variants, "windows", None)
    return [len(stages) for _, stages in variants] if lengths is None else lengths


def batches(nights: Sequence[Variants], options: Options, first_step: int = 0) -> tf.data.Dataset:
    """Endless batches of whole nights, padded at the end to the longest, for training.

    Each pass takes one variant of every night, in a new order, in batches of nearly equal size, determined by the seed
    and the pass. Nights in files are read while the previous batch is trained on.

    Args:
        nights: The variants of each night: (features [windows, F] float32, stages [windows], -1 if unscored).
        options: Options of the run; the seed and those of pipeline.budget are used.
        first_step: The step to begin with, so that a stopped training resumes with the same batches.

    Returns:
        A dataset of (features [B, T, F], stages [B, T], weights [B, T]: 1 if scored, else 0).
    """
    longest = max(max(windows_of(variants)) for variants in nights)
    width = nights[0][0][0].shape[1]
    steps = budget(options, len(nights)).steps_per_pass

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        done, skipped = divmod(first_step, steps)
        while True:
            rng = np.random.default_rng([options.seed, done])
            for i, members in enumerate(np.array_split(rng.permutation(len(nights)), steps)):
                drawn = [(night, int(rng.integers(len(nights[night])))) for night in members.tolist()]
                if i < skipped:
                    continue
                x = np.zeros((len(members), longest, width), np.float32)
                y = np.full((len(members), longest), -1, np.int32)
                for row, (night, variant) in enumerate(drawn):
                    features, stages = nights[night][variant]
                    x[row, : len(features)] = features
                    y[row, : len(stages)] = stages
                yield x, np.maximum(y, 0), (y >= 0).astype(np.float32)
            done, skipped = done + 1, 0

    signature = (
        tf.TensorSpec((None, longest, width), tf.float32),
        tf.TensorSpec((None, longest), tf.int32),
        tf.TensorSpec((None, longest), tf.float32),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)
