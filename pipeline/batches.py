"""Nights of features -> tf.data batches of whole nights."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from pipeline.options import Options


def batches(
    nights: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], options: Options, first_epoch: int = 0
) -> tf.data.Dataset:
    """Endless batches of whole nights, padded at the end to the longest, for training.

    Each epoch takes one variant of every night, in a new order, in ceil(nights / batch_size) batches of nearly one
    size. The seed and the epoch decide everything.

    Args:
        nights: Per night its variants, (features [windows, F] float32, stages [windows], -1 where unscored).
        options: Of the run; batch_size and seed count here.
        first_epoch: The training epoch to begin with, so that a stopped training goes on with the same batches.

    Returns:
        A dataset of (features [B, T, F], stages [B, T], weights [B, T]: 1 where scored, else 0).
    """
    longest = max(len(stages) for variants in nights for _, stages in variants)
    width = nights[0][0][0].shape[1]
    batches_per_epoch = -(-len(nights) // options.batch_size)

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        epoch = first_epoch
        while True:
            rng = np.random.default_rng([options.seed, epoch])
            for members in np.array_split(rng.permutation(len(nights)), batches_per_epoch):
                x = np.zeros((len(members), longest, width), np.float32)
                y = np.full((len(members), longest), -1, np.int32)
                for row, night in enumerate(members.tolist()):
                    features, stages = nights[night][int(rng.integers(len(nights[night])))]
                    x[row, : len(features)] = features
                    y[row, : len(stages)] = stages
                yield x, np.maximum(y, 0), (y >= 0).astype(np.float32)
            epoch += 1

    signature = (
        tf.TensorSpec((None, longest, width), tf.float32),
        tf.TensorSpec((None, longest), tf.int32),
        tf.TensorSpec((None, longest), tf.float32),
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)
