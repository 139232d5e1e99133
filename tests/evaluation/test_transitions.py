"""Which transitions last, and which of them are shown."""

import numpy as np

from evaluation.transitions import Pair, lasting_transitions, pair_to_show

W, N1, N2, N3, R = range(5)
BRIEF = [*[N2] * 20, *[R] * 9, *[N2] * 20, *[R] * 10]
DEEP = [*[N3] * 20, *[W] * 20]


def predicted(stages, sure=1.0):
    """Probabilities with which stages are predicted."""
    return np.eye(5)[stages] * sure + (1 - sure) / 5


def test_transitions_last(night_of):
    assert lasting_transitions([night_of(59, BRIEF)], 30, (N2, R)) == [(0, 49, 58, N2, R)]
    assert lasting_transitions([night_of(40, DEEP), night_of(59, BRIEF)], 30, (N2, R)) == [(1, 49, 58, N2, R)]
    assert lasting_transitions([night_of(40, DEEP)], 30, (N2, R)) == []
    between = np.stack([np.full(59, -1), BRIEF], 1).ravel()  # a stride of 15 s
    assert lasting_transitions([night_of(118, between)], 15, (N2, R)) == [(0, 99, 117, N2, R)]


def test_the_surest_followed_one_is_shown_beside_the_surest_missed_one(night_of):
    stages = [*[N2] * 20, *[R] * 20]
    nights = [night_of(40, stages)] * 6
    early = [*[N2] * 15, *[R] * 25]  # it was predicted before it set in
    late = [*[N2] * 25, *[R] * 15]
    probabilities = [
        predicted(late, 0.5), predicted(late, 0.9), predicted(early),
        predicted([N2] * 40, 0.5), predicted([N2] * 40, 0.9), predicted([*[N2] * 22, *[R] * 2, *[N2] * 16]),
    ]  # fmt: skip
    pair = pair_to_show(nights, 30, probabilities)
    assert pair == Pair((1, 20, 29, N2, R), (4, 20, 29, N2, R), 3, 6)
    assert pair.shown == [pair.followed, pair.missed]


def test_a_kind_that_has_both_comes_before_one_that_has_not(night_of):
    nights = [night_of(59, BRIEF), night_of(40, DEEP), night_of(40, DEEP)]
    probabilities = [predicted(BRIEF), predicted(DEEP), predicted([N3] * 40)]
    pair = pair_to_show(nights, 30, probabilities)
    assert (pair.followed, pair.missed) == ((1, 20, 29, N3, W), (2, 20, 29, N3, W))
    alone = pair_to_show(nights[:1], 30, probabilities[:1])
    assert (alone.followed, alone.missed, alone.shown) == ((0, 49, 58, N2, R), None, [alone.followed])
    assert pair_to_show([night_of(40, [N2] * 40)], 30, [predicted([N2] * 40)]) is None
