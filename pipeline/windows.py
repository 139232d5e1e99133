"""Nights of features -> tf.data batches of whole nights."""

import numpy as np
import tensorflow as tf


def batches(nights, options, first_epoch=0):
    """Endless batches of whole nights, padded at the end to the longest, for training.

    nights: for each night its variants, (features [windows, F], stages [windows], -1 unscored). Each epoch takes one
    variant of every night, in an order of its own, in ceil(nights / batch_size) batches of nearly one size. Yields
    (features [B, T, F], stages [B, T], weights [B, T]: 1 where scored, else 0). The seed and the epoch decide all.
    """
    longest = max(len(stages) for variants in nights for _, stages in variants)
    width = nights[0][0][0].shape[1]
    parts = -(-len(nights) // options.batch_size)

    def drawn():
        epoch = first_epoch
        while True:
            rng = np.random.default_rng([options.seed, epoch])
            for chosen in np.array_split(rng.permutation(len(nights)), parts):
                x = np.zeros((len(chosen), longest, width), np.float32)
                y = np.full((len(chosen), longest), -1, np.int32)
                for row, night in enumerate(chosen):
                    features, stages = nights[night][rng.integers(len(nights[night]))]
                    x[row, : len(features)], y[row, : len(stages)] = features, stages
                yield x, np.maximum(y, 0), (y >= 0).astype(np.float32)
            epoch += 1

    shapes = ((None, longest, width), (None, longest), (None, longest))
    kinds = (tf.float32, tf.int32, tf.float32)
    signature = tuple(tf.TensorSpec(shape, kind) for shape, kind in zip(shapes, kinds, strict=True))
    return tf.data.Dataset.from_generator(drawn, output_signature=signature).prefetch(2)
