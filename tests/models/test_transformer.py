"""The attention against its formula in plain numpy, float64: both forms, band and bias."""

import numpy as np
import pytest

from models.transformer import BLOCKS, HEADS, WINDOW, Attention, DynamicTanh, Transformer

WIDTH = 2 * HEADS
LENGTHS = 1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 1


def by_hand(query, key, value, near):
    """[T, D] for each window in turn: softmax over the last W windows, which are zeros before the night."""
    key, value = (np.concatenate([np.zeros((WINDOW, WIDTH)), x.astype(float)]) for x in (key, value))
    out = np.zeros(query.shape)
    size = WIDTH // HEADS
    for t in range(len(query)):
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            scores = key[t + 1 : t + 1 + WINDOW, own] @ query[t, own].astype(float) / np.sqrt(size) + near[head]
            weights = np.exp(scores - scores.max())
            out[t, own] = weights / weights.sum() @ value[t + 1 : t + 1 + WINDOW, own]
    return out


@pytest.fixture(scope="module")
def attention():
    layer = Attention()
    layer.build((None, None, WIDTH))
    layer.near.assign(np.random.default_rng(0).normal(0, 1, (HEADS, WINDOW)))
    return layer


def drawn(length, batch=2):
    """Query, key and value [batch, length, WIDTH]."""
    return np.random.default_rng(length).normal(0, 1, (3, batch, length, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("length", LENGTHS)
def test_sequence_is_the_formula(attention, length):
    triple = drawn(length)
    attended = np.array(attention(*triple))
    assert attended.shape == (2, length, WIDTH)
    for night, *expected in zip(attended, *triple, strict=True):
        assert np.abs(night - by_hand(*expected, np.array(attention.near))).max() <= 1e-5


@pytest.mark.parametrize("length", LENGTHS)
def test_step_is_the_formula(attention, length):
    query, key, value = drawn(length)
    cached = [np.pad(x, [(0, 0), (WINDOW, 0), (0, 0)])[:, -WINDOW:] for x in (key, value)]
    attended = np.array(attention(query[:, -1:], *cached, cached=True))
    assert attended.shape == (2, 1, WIDTH)
    for night, *expected in zip(attended[:, 0], query, key, value, strict=True):
        assert np.abs(night - by_hand(*expected, np.array(attention.near))[-1]).max() <= 1e-5


def test_band(attention):
    band, near = np.array(attention.band()), np.array(attention.near)
    assert band.shape == (HEADS, WINDOW, 2 * WINDOW)
    for i in range(WINDOW):
        assert np.array_equal(band[:, i, i + 1 : i + 1 + WINDOW], near)
        assert (np.delete(band[:, i], np.arange(i + 1, i + 1 + WINDOW), axis=1) < -1e8).all()


def test_dynamic_tanh():
    layer, x = DynamicTanh(), np.random.default_rng(0).normal(0, 3, (2, 4, 3)).astype(np.float32)
    assert np.allclose(layer(x), np.tanh(0.5 * x), atol=1e-6)
    layer.alpha.assign(2.0)
    layer.gain.assign([1.0, -2.0, 0.5])
    assert np.allclose(layer(x), np.tanh(2 * x) * [1, -2, 0.5], atol=1e-6)


@pytest.mark.parametrize("hidden, width", [(1, HEADS), (HEADS, HEADS), (HEADS + 1, 2 * HEADS)])
def test_hidden_is_rounded_up_to_whole_heads(hidden, width):
    network = Transformer(3, hidden)
    assert network.states == {f"{x}_{i}": (WINDOW, width) for i in range(BLOCKS) for x in ("keys", "values")}
    assert network.squeeze.units == width
