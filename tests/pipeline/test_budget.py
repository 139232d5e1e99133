"""How a training scales with its nights."""

from itertools import pairwise

import pytest

from pipeline.budget import Budget, budget
from pipeline.options import Options


@pytest.mark.parametrize("nights", [1, 7, 25, 31])
def test_up_to_31_nights_options_hold(nights):
    options = Options(batch_size=4, lr=1e-3, variants=5)
    steps = -(-nights // 4)
    assert budget(options, nights) == Budget(4, 1e-3, steps, steps, 5)


def test_unscaled_options_hold_for_any_number_of_nights():
    assert budget(Options(unscaled=True), 3100) == Budget(10, 4e-3, 310, 310, 16)


def test_beyond_batches_grow_slower_than_nights_and_steps_stop_growing():
    planned = [budget(Options(), nights) for nights in (31, 62, 310, 3100, 31_000, 1_000_000)]
    for fewer, more in pairwise(planned):
        assert fewer.batch_size < more.batch_size
        assert fewer.lr < more.lr
        assert fewer.steps <= more.steps <= 16
        assert fewer.steps_per_pass < more.steps_per_pass
        assert fewer.variants > more.variants >= 1
    assert planned[3] == Budget(46, pytest.approx(4e-3 * 4.6**0.5), 16, 68, 5)


def test_the_learning_rate_follows_the_batch():
    for nights in (31, 100, 1000):
        planned = budget(Options(), nights)
        assert planned.lr / 4e-3 == pytest.approx((planned.batch_size / 10) ** 0.5)


def test_without_variants_there_are_none_at_any_number():
    assert {budget(Options(variants=0), nights).variants for nights in (31, 3100)} == {0}
