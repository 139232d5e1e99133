"""Splits of an evaluation: by subject, each held_out out as often as the protocol says; and the leak, by window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.protocols import by_window, plan
from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.splits import INNER_SHARE


def named(n):
    return [f"s{i:02}" for i in range(n)]


def folds_of(protocol, n, seed=0, repeats=6, folds=10, seeds=(0,)):
    return plan(protocol, named(n), Options(seed=seed), repeats, folds, seeds)


@given(st.sampled_from(["holdout", "kfold", "loso"]), st.integers(3, 40), st.integers(0, 1000), st.integers(2, 12))
def test_no_subject_is_in_two_parts_and_none_is_lost(protocol, n, seed, folds):
    for fold in folds_of(protocol, n, seed, 3, min(folds, n) if n > 3 else 3):
        parts = fold.splits
        assert all(parts[name] for name in ("train", "inner_validation", "validation"))
        assert sorted(s for part in parts.values() for s in part) == named(n)


@given(st.integers(3, 40), st.integers(0, 1000), st.integers(2, 12))
def test_kfold_holds_every_subject_out_once_in_folds_of_nearly_one_size(n, seed, folds):
    folds = min(folds, n) if n > 3 else 3
    held_out = [fold.splits["validation"] for fold in folds_of("kfold", n, seed, folds=folds)]
    assert len(held_out) == folds
    assert sorted(s for part in held_out for s in part) == named(n)
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1


def test_loso_holds_each_out_alone():
    assert sorted(fold.splits["validation"] for fold in folds_of("loso", 7)) == [[s] for s in named(7)]


def test_holdout_repeats_are_the_splits_of_the_seeds_that_follow():
    repeats = folds_of("holdout", 25, seed=3)
    assert [fold.repeat for fold in repeats] == [0, 1, 2, 3, 4, 5]
    assert all(len(fold.splits["validation"]) == 3 for fold in repeats)
    assert repeats[1].splits == folds_of("holdout", 25, seed=4)[0].splits
    assert len({tuple(fold.splits["validation"]) for fold in repeats}) == 6


def test_every_subject_takes_its_turn_at_inner_validation():
    inner = [s for fold in folds_of("kfold", 25) for s in fold.splits["inner_validation"]]
    assert {*inner} == {*named(25)}


def test_seeds_train_on_the_same_splits():
    work = folds_of("kfold", 10, folds=5, seeds=(0, 7))
    assert [fold.seed for fold in work] == [0] * 5 + [7] * 5
    assert [fold.splits for fold in work[:5]] == [fold.splits for fold in work[5:]]
    assert len({fold.name for fold in work}) == 10


@pytest.mark.parametrize(("n", "folds"), [(5, 6), (2, 2), (3, 2)])
def test_too_few_subjects_are_a_mistake(n, folds):
    with pytest.raises(UserMistake, match=f"{folds} folds of {n} usable nights: each must leave 2"):
        folds_of("kfold", n, folds=folds)


def test_by_window_puts_every_night_on_both_sides_and_scores_every_window_once():
    stages = np.arange(200, dtype=np.int8) % 5
    nights = [Night(s, np.arange(200) * 30.0, {}, stages.copy()) for s in named(4)]
    nights[2].stages[50:] = -1
    seen = np.zeros((4, 200), int)
    for fold in folds_of("kfold", 4, folds=4):
        parts = by_window(nights, fold, 4, Options())
        for i, night in enumerate(nights):
            scored = np.stack([parts[name][i].stages >= 0 for name in parts])
            assert (scored.sum(0) == (night.stages >= 0)).all()  # each scored window in one part
            seen[i] += parts["validation"][i].stages >= 0
            assert parts["validation"][i].subject == parts["train"][i].subject == night.subject
    assert (seen == [night.stages >= 0 for night in nights]).all()


def test_by_window_takes_the_inner_share_of_what_is_not_held_out():
    night = Night("1", np.arange(20_000) * 30.0, {}, np.zeros(20_000, np.int8))
    parts = by_window([night], folds_of("kfold", 4, folds=4)[0], 4, Options())
    scored = {name: (nights[0].stages >= 0).sum() for name, nights in parts.items()}
    assert scored["validation"] == 5000
    assert scored["inner_validation"] / 15_000 == pytest.approx(INNER_SHARE, abs=0.01)
