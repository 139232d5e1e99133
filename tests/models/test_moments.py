"""Mean and spread of many nights, one at a time."""

import json
from functools import reduce

import numpy as np

from models.moments import Moments


def drawn(seed, windows=300, features=4):
    """Values far from zero, of which the last feature is hardly ever, and the first always, available."""
    rng = np.random.default_rng(seed)
    values = rng.normal([1e3, 0, -5, 2], [1, 1e-3, 40, 3], (windows, features)).astype(np.float32)
    return values, (rng.random((windows, features)) < [1, 0.7, 0.3, 0.002]).astype(np.float32)


def test_nights_together_have_the_moments_of_all_their_windows():
    nights = [drawn(seed) for seed in range(5)]
    together = reduce(Moments.with_more, (Moments.of_night(*night) for night in nights))
    values, available = (np.concatenate(x) for x in zip(*nights, strict=True))
    masked = np.ma.array(values.astype(float), mask=available == 0)
    assert np.array_equal(together.number, available.sum(0))
    assert np.allclose(together.mean, masked.mean(0), rtol=1e-12)
    assert np.allclose(together.spread, masked.std(0), rtol=1e-9)


def test_a_feature_that_is_never_available_has_no_mean_and_no_spread():
    values, available = drawn(0)
    nothing = Moments.of_night(values, 0 * available)
    assert (nothing.number == 0).all()
    assert (nothing.mean == 0).all() and (nothing.spread == 0).all()
    some = Moments.of_night(values, available)
    for both in (nothing.with_more(some), some.with_more(nothing)):
        assert np.array_equal(both.mean, some.mean)
        assert np.array_equal(both.squares, some.squares)


def test_json_keeps_every_bit():
    moments = Moments.of_night(*drawn(1))
    again = Moments.of_lists(json.loads(json.dumps(moments.as_lists())))
    for name in ("number", "mean", "squares"):
        assert np.array_equal(getattr(again, name), getattr(moments, name))
