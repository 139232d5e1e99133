"""Batches of whole nights: padded, weighted, in an order that the seed and the epoch decide.

That a training which is stopped and resumed sees the same batches as one that is not is tested in test_train.py.
"""

import numpy as np
import pytest

from pipeline.batches import batches
from pipeline.options import Options

OPTIONS = Options(batch_size=2, seed=3)


def night(number, windows, variant=0):
    """Features that tell the night and its variant, and stages of which the first is unscored."""
    stages = np.arange(windows, dtype=np.int8) % 5
    stages[0] = -1
    return np.full((windows, 2), [number, variant], np.float32), stages


def epochs_of(nights, options, epochs, first_epoch=0):
    """Batches of numpy arrays, by epoch."""
    per_epoch = -(-len(nights) // options.batch_size)
    arrays = [
        tuple(x.numpy() for x in batch)
        for batch in batches(nights, options, first_epoch * per_epoch).take(epochs * per_epoch)
    ]
    return [arrays[i : i + per_epoch] for i in range(0, len(arrays), per_epoch)]


def test_nights_are_padded_at_the_end_to_the_longest_and_padding_weighs_nothing():
    (epoch,) = epochs_of([[night(7, 4)], [night(8, 6)]], OPTIONS, 1)
    ((x, y, weights),) = epoch
    assert (x.shape, y.shape, weights.shape) == ((2, 6, 2), (2, 6), (2, 6))
    assert (x.dtype, y.dtype, weights.dtype) == (np.float32, np.int32, np.float32)
    row = int(np.flatnonzero(x[:, 0, 0] == 7)[0])
    assert x[row, :, 0].tolist() == [7, 7, 7, 7, 0, 0]
    assert y[row].tolist() == [0, 1, 2, 3, 0, 0]  # unscored and padding: any stage, of no weight
    assert weights[row].tolist() == [0, 1, 1, 1, 0, 0]
    assert weights[1 - row].tolist() == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("nights", "sizes"), [(1, [1]), (2, [2]), (5, [2, 2, 1]), (6, [2, 2, 2])])
def test_batches_are_of_nearly_one_size_and_hold_every_night_once(nights, sizes):
    for epoch in epochs_of([[night(i + 1, 3)] for i in range(nights)], OPTIONS, 3):
        assert [len(x) for x, _, _ in epoch] == sizes
        assert sorted(number for x, _, _ in epoch for number in x[:, 0, 0]) == [i + 1 for i in range(nights)]


def test_seed_and_epoch_decide_order_and_variants():
    nights = [[night(i + 1, 3, variant) for variant in range(4)] for i in range(6)]

    def content(options, epochs, first_epoch=0):
        return [
            np.concatenate([x[:, 0] for x, _, _ in epoch]).tolist()
            for epoch in epochs_of(nights, options, epochs, first_epoch)
        ]

    four = content(OPTIONS, 4)
    assert content(OPTIONS, 4) == four
    assert content(OPTIONS, 2, first_epoch=2) == four[2:]
    assert content(Options(batch_size=2, seed=4), 1) != four[:1]
    assert len({tuple(number for number, _ in epoch) for epoch in four}) > 1
    assert len({variant for epoch in four for _, variant in epoch}) == 4


def test_it_goes_on_within_a_pass():
    nights = [[night(i + 1, 3, variant) for variant in range(4)] for i in range(5)]
    drawn = [x.numpy() for x, _, _ in batches(nights, OPTIONS).take(9)]
    for first in (1, 2, 4):  # of three steps a pass
        for x, (again, _, _) in zip(drawn[first:], batches(nights, OPTIONS, first).take(9 - first), strict=True):
            assert np.array_equal(x, again)
