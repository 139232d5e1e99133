"""Transformer encoder, strictly causal: each window attends to the last W, itself included.

The step form keeps a cache of the last W keys and values per block, and needs no mask. The sequence form divides the
night into chunks of W windows, which attend to their own chunk and the one before, with all but the last W windows
masked out. Before the night, both see keys and values of zero. Positions are relative: one learned bias per head and
distance. Instead of layer normalization, tanh is used (Zhu et al. 2025, "Transformers without Normalization"): it is
bounded, so that 8 and 16 bits suffice, and needs no RSQRT, which older runtimes lack in 16 bits.

Shapes in comments: B nights, T windows, W = WINDOW, D hidden values, H = HEADS, C chunks of W windows.
"""

import keras
from keras import layers, ops

from models.network import Network

WINDOW = 60  # W, number of windows attended to
HEADS = 4  # per attention layer
BLOCKS = 2  # of attention and feed-forward
MASKED = -1e9  # added to the scores of masked windows


@keras.saving.register_keras_serializable("wristsleep")
class DynamicTanh(layers.Layer):
    """tanh(alpha x) * gain, with learned alpha and gain, instead of layer normalization. Keeps the shape."""

    def build(self, shape):
        """Create alpha, one number, and gain, one per value."""
        self.alpha = self.add_weight(shape=(), initializer=keras.initializers.Constant(0.5), name="alpha")
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x):
        """[..., D] -> [..., D]."""
        return ops.tanh(self.alpha * x) * self.gain


@keras.saving.register_keras_serializable("wristsleep")
class Attention(layers.Layer):
    """Banded causal self-attention over the last W windows, without output projection; both forms use `attend`."""

    def build(self, shape):
        """Create the bias of each head and distance, the farthest first."""
        self.near = self.add_weight(shape=(HEADS, WINDOW), initializer="zeros", name="near")

    def call(self, query, key, value, cached=False):
        """`sequence`, or `step` with `cached`: a Keras layer has only one entry point."""
        return (self.step if cached else self.sequence)(query, key, value)

    def step(self, query, keys, values):
        """The newest window: query [B, 1, D], keys and values [B, W, D], the newest last -> [B, 1, D]."""
        return self.attend(query, keys, values, self.near[:, None, :])

    def sequence(self, query, key, value):
        """Whole nights, each [B, T, D] -> [B, T, D]."""
        length, width = ops.shape(query)[1], query.shape[2]
        chunks = -(-length // WINDOW)  # the last one is padded

        def chunked(x):  # (B, T, D) -> (B, C, W, D)
            x = ops.pad(x, [[0, 0], [0, chunks * WINDOW - length], [0, 0]])
            return ops.reshape(x, (-1, chunks, WINDOW, width))

        def with_chunk_before(x):  # (B, C, W, D) -> (B C, 2 W, D); zeros before the first chunk
            before = ops.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]
            return ops.reshape(ops.concatenate([before, x], 2), (-1, 2 * WINDOW, width))

        query = ops.reshape(chunked(query), (-1, WINDOW, width))  # (B C, W, D)
        key, value = with_chunk_before(chunked(key)), with_chunk_before(chunked(value))
        x = self.attend(query, key, value, self.band())  # (B C, W, D)
        return ops.reshape(x, (-1, chunks * WINDOW, width))[:, :length]  # (B, T, D)

    def band(self):
        """Bias of query i of a chunk and key j of it and the one before, [H, W, 2 W]; MASKED except j = i+1 .. i+W."""
        row = ops.concatenate([ops.full((HEADS, 1), MASKED), self.near, ops.full((HEADS, WINDOW), MASKED)], 1)
        rows = ops.tile(row, (1, WINDOW))  # (H, W (2 W + 1)): divided into rows of 2 W, each begins one place earlier
        return ops.reshape(rows[:, : 2 * WINDOW * WINDOW], (HEADS, WINDOW, 2 * WINDOW))

    def attend(self, query, key, value, bias):
        """Scaled dot-product attention (Vaswani et al. 2017), for both forms.

        query: [N, Lq, D]; key, value: [N, Lk, D]; bias: [H, Lq, Lk] -> [N, Lq, D].
        """
        width = query.shape[-1]

        def heads(x):  # (N, L, D) -> (N, H, L, D/H)
            return ops.swapaxes(ops.reshape(x, (-1, x.shape[1], HEADS, width // HEADS)), 1, 2)

        scores = ops.matmul(heads(query), ops.swapaxes(heads(key), 2, 3)) * (width // HEADS) ** -0.5  # (N, H, Lq, Lk)
        x = ops.matmul(ops.softmax(scores + bias), heads(value))  # (N, H, Lq, D/H)
        return ops.reshape(ops.swapaxes(x, 1, 2), (-1, query.shape[1], width))  # (N, Lq, D)


class Block:
    """Attention, then feed-forward, each after a DynamicTanh and with a residual connection."""

    def __init__(self, hidden: int, number: int):
        """Create the layers of one block; their names end in its number."""
        self.norm = DynamicTanh(name=f"norm_{number}")
        self.query, self.key, self.value = (
            layers.Dense(hidden, use_bias=False, name=f"{name}_{number}") for name in ("query", "key", "value")
        )
        self.attention = Attention(name=f"attention_{number}")
        self.merge = layers.Dense(hidden, name=f"merge_{number}")
        self.norm_wide = DynamicTanh(name=f"norm_wide_{number}")
        self.wide = layers.Dense(2 * hidden, "relu", name=f"wide_{number}")
        self.narrow = layers.Dense(hidden, name=f"narrow_{number}")

    def project(self, x):
        """[..., D] -> query, key and value, each [..., D]."""
        x = self.norm(x)
        return self.query(x), self.key(x), self.value(x)

    def finish(self, x, attended, drop):
        """Block input and attention output, [..., D] each -> block output [..., D]. drop: the network's dropout."""
        x = x + drop(self.merge(attended))
        return x + drop(self.narrow(self.wide(self.norm_wide(x))))


class Transformer(Network):
    """features -> dense -> BLOCKS x (attention, feed-forward) -> dense -> stage probabilities."""

    def __init__(self, features: int, hidden: int):
        """Create the layers; `hidden` is rounded up to a multiple of HEADS."""
        super().__init__(features, -(-hidden // HEADS) * HEADS)

    def make_body(self, hidden):
        """The blocks, and for each a cache of the last W keys and values [B, W, D]."""
        self.states = {f"{kind}_{i}": (WINDOW, hidden) for i in range(BLOCKS) for kind in ("keys", "values")}
        self.blocks = [Block(hidden, i) for i in range(BLOCKS)]
        self.norm = DynamicTanh(name="norm_out")

    def sequence(self, x):
        """Features [B, T, F] -> probabilities [B, T, 5]."""
        x = self.enter(x)  # (B, T, D)
        for block in self.blocks:
            x = block.finish(x, block.attention(*block.project(x)), self.drop)
        return self.stages(self.norm(x))

    def step(self, x, states):
        """Features [B, F], states {name: [B, W, D]} -> probabilities [B, 5], states after the window."""
        x = self.enter(x)  # (B, D)
        after = {}
        for i, block in enumerate(self.blocks):
            # the time axis is added only here: in an older runtime, 16-bit products of [1, 1, n] give only the first
            query, key, value = (projected[:, None] for projected in block.project(x))  # (B, 1, D)
            keys = after[f"keys_{i}"] = ops.concatenate([states[f"keys_{i}"][:, 1:], key], 1)  # (B, W, D)
            values = after[f"values_{i}"] = ops.concatenate([states[f"values_{i}"][:, 1:], value], 1)
            attended = block.attention(query, keys, values, cached=True)[:, 0]  # (B, D)
            x = block.finish(x, attended, self.drop)
        return self.stages(self.norm(x)), after
