"""Transformer encoder, strictly causal: each window attends to the last W, itself included.

The step form keeps a cache of the last W keys and values per layer; no mask is needed there. The sequence form attends
in blocks of W windows to their own and the block before, with all but the last W of each masked out. Before the night
both see keys and values of zero. Positions are relative: one learned bias per head and distance. In place of a norm
stands tanh (Zhu et al. 2025, "Transformers without Normalization"): it is bounded, so 8 and 16 bits suffice, and needs
no RSQRT, which older runtimes lack in 16 bits.
"""

import keras
from keras import layers, ops

from pipeline.options import STAGES

WINDOW = 60  # W, windows attended to
HEADS = 4
BLOCKS = 2


@keras.saving.register_keras_serializable("wristsleep")
class DynamicTanh(layers.Layer):
    """tanh(alpha x) * gain, both learned, in place of a norm. Shape unchanged."""

    def build(self, shape):
        self.alpha = self.add_weight(shape=(), initializer=keras.initializers.Constant(0.5), name="alpha")
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x):
        return ops.tanh(self.alpha * x) * self.gain


@keras.saving.register_keras_serializable("wristsleep")
class Attention(layers.Layer):
    """Banded causal self-attention, before its output projection.

    q, k, v: [B, T, D] -> [B, T, D], the sequence form. q: [B, 1, D] with keys and values [B, W, D], the newest last,
    is the step form. Both go through `attend`.
    """

    def build(self, shape):
        self.near = self.add_weight(shape=(HEADS, WINDOW), initializer="zeros", name="near")  # oldest first

    def call(self, q, k, v):
        if q.shape[1] == 1 and k.shape[1] == WINDOW:
            return self.attend(q, k, v, self.near[:, None, :])
        length, width = ops.shape(q)[1], q.shape[2]
        blocks = -(-length // WINDOW)
        q, k, v = (ops.pad(x, [[0, 0], [0, blocks * WINDOW - length], [0, 0]]) for x in (q, k, v))
        q, k, v = (ops.reshape(x, (-1, blocks, WINDOW, width)) for x in (q, k, v))  # (B, blocks, W, D)
        k, v = (ops.concatenate([ops.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1], x], 2) for x in (k, v))
        # query i of a block sees keys i+1 .. i+W of the 2 W: the band's bias, shifted by one from row to row
        band = ops.concatenate(
            [ops.full((HEADS, WINDOW + 1), -1e9)[:, :1], self.near, ops.full((HEADS, WINDOW), -1e9)], 1
        )
        band = ops.tile(band, (1, WINDOW))[:, : 2 * WINDOW * WINDOW]
        x = self.attend(q, k, v, ops.reshape(band, (HEADS, WINDOW, 2 * WINDOW)))
        return ops.reshape(x, (-1, blocks * WINDOW, width))[:, :length]

    def attend(self, q, k, v, bias):
        """q: (..., Lq, D), k and v: (..., Lk, D), bias: (heads, Lq, Lk) -> (..., Lq, D)."""

        def split(x):  # (..., L, D) -> (..., heads, L, D/heads)
            x = ops.reshape(
                x, (*([-1] if len(x.shape) == 3 else [-1, ops.shape(x)[1]]), x.shape[-2], HEADS, x.shape[-1] // HEADS)
            )
            return ops.swapaxes(x, -2, -3)

        width = q.shape[-1]
        scores = ops.matmul(split(q), ops.swapaxes(split(k), -1, -2)) * (width // HEADS) ** -0.5  # (..., heads, Lq, Lk)
        x = ops.matmul(ops.softmax(scores + bias), split(v))
        x = ops.swapaxes(x, -2, -3)
        return ops.reshape(x, (*([-1] if len(q.shape) == 3 else [-1, ops.shape(q)[1]]), q.shape[-2], width))


class Transformer:
    """features -> dense -> 2 x (attention, feed-forward), each behind a norm with a residual -> dense."""

    def __init__(self, features, hidden):
        self.features = features
        hidden = -(-hidden // HEADS) * HEADS  # a whole number per head
        self.states = {f"{kind}_{i}": (WINDOW, hidden) for i in range(BLOCKS) for kind in ("keys", "values")}
        self.noise, self.drop = layers.GaussianNoise(0.3), layers.Dropout(0.3)  # both act in training only
        self.squeeze = layers.Dense(hidden, "tanh", name="squeeze")
        self.blocks = [
            {
                "norm": DynamicTanh(name=f"norm_{i}"),
                **{
                    name: layers.Dense(hidden, use_bias=False, name=f"{name}_{i}") for name in ("query", "key", "value")
                },
                "attention": Attention(name=f"attention_{i}"),
                "merge": layers.Dense(hidden, name=f"merge_{i}"),
                "norm_wide": DynamicTanh(name=f"norm_wide_{i}"),
                "wide": layers.Dense(2 * hidden, "relu", name=f"wide_{i}"),
                "narrow": layers.Dense(hidden, name=f"narrow_{i}"),
            }
            for i in range(BLOCKS)
        ]
        self.norm = DynamicTanh(name="norm_out")
        self.stages = layers.Dense(len(STAGES), "softmax", name="stages")

    def __call__(self, x, states=None):
        """x: [B, T, F], or [B, F] with states {name: [B, W, D]} -> probabilities [B, (T,) 5], states."""
        after = {}
        x = self.drop(self.squeeze(self.noise(x)))
        for i, block in enumerate(self.blocks):
            y = block["norm"](x)
            query, key, value = (block[name](y) for name in ("query", "key", "value"))
            if states is not None:  # time only here: an older runtime's 16-bit products give but the first of [1, 1, n]
                query, key, value = query[:, None], key[:, None], value[:, None]  # (B, 1, D)
                key = after[f"keys_{i}"] = ops.concatenate([states[f"keys_{i}"][:, 1:], key], 1)
                value = after[f"values_{i}"] = ops.concatenate([states[f"values_{i}"][:, 1:], value], 1)
            y = block["attention"](query, key, value)
            x = x + self.drop(block["merge"](y if states is None else y[:, 0]))
            x = x + self.drop(block["narrow"](block["wide"](block["norm_wide"](x))))
        return self.stages(self.norm(x)), after
