"""Nights of features -> tf.data batches of whole nights."""

import tensorflow as tf


def batches(features, stages, options, shuffled=True):
    """Endless batches of whole nights, padded at the end to the longest, for training.

    features: [windows, F] per night; stages: [windows] per night, -1 unscored. Yields (features [B, T, F],
    stages [B, T], weights [B, T]: 1 where scored, else 0). The order depends on options.seed alone.
    """
    longest = max(map(len, features))

    def nights():
        yield from zip(features, stages, strict=True)

    shapes = ((None, features[0].shape[1]), (None,))
    signature = tuple(tf.TensorSpec(shape, kind) for shape, kind in zip(shapes, (tf.float32, tf.int32), strict=True))
    data = tf.data.Dataset.from_generator(nights, output_signature=signature).cache()
    if shuffled:
        data = data.shuffle(len(features), seed=options.seed, reshuffle_each_iteration=True)
    data = data.padded_batch(options.batch_size, ((longest, features[0].shape[1]), (longest,)), (0.0, -1))
    return data.map(lambda x, y: (x, tf.maximum(y, 0), tf.cast(y >= 0, tf.float32))).repeat().prefetch(2)
