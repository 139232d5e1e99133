"""Splits of an evaluation: by subject, each held out as often as the protocol says; and the leak, by window."""

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
    with pytest.raises(UserMistake, match=f"{folds} folds of {n} usable nights: each must leave at least 2"):
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


def in_sets(protocol, nights, folds=3, seeds=(0,)):
    """Folds over nights {subject `<set>.<id>`: person}."""
    sets = {subject: subject.split(".")[0] for subject in nights}
    return plan(protocol, [*nights], Options(), 2, folds, seeds, nights, sets)


NIGHTS = {f"{name}.{i}": f"{name}.p{i // 2}" for name, n in (("a", 8), ("b", 6), ("c", 3)) for i in range(n)}


@pytest.mark.parametrize("protocol", ["holdout", "kfold", "loso", "sets"])
def test_no_person_is_in_two_parts(protocol):
    nights = NIGHTS | {"c.2": "a.p0"}  # in two sets
    for fold in in_sets(protocol, nights):
        persons = [{nights[s] for s in members} for members in fold.splits.values()]
        assert all(persons)
        assert sum(map(len, persons)) == len(set().union(*persons))


def test_loso_holds_each_person_out_with_all_nights():
    held_out = [fold.splits["validation"] for fold in in_sets("loso", NIGHTS)]
    assert sorted(held_out) == [
        ["a.0", "a.1"], ["a.2", "a.3"], ["a.4", "a.5"], ["a.6", "a.7"], ["b.0", "b.1"], ["b.2", "b.3"],
        ["b.4", "b.5"], ["c.0", "c.1"], ["c.2"],
    ]  # fmt: skip


def test_each_set_is_held_out_in_turn_and_whoever_is_in_it_not_trained_on():
    nights = NIGHTS | {"c.2": "a.p0"}
    folds = in_sets("sets", nights, seeds=(0, 5))
    assert [fold.number for fold in folds] == [0, 1, 2] * 2
    for fold, name in zip(folds, "abcabc", strict=True):
        assert fold.splits["validation"] == sorted(s for s in nights if s[0] == name)
        rest = {*fold.splits["train"], *fold.splits["inner_validation"]}
        expected = {s for s in nights if s[0] != name}
        assert rest == expected - {"a": {"c.2"}, "b": set(), "c": {"a.0", "a.1"}}[name]


def test_one_set_cannot_be_held_out():
    for sets in ({}, dict.fromkeys(named(5), "a")):
        with pytest.raises(UserMistake, match="--protocol sets: needs several data sets"):
            plan("sets", named(5), Options(), 1, 2, (0,), sets=sets)
    with pytest.raises(UserMistake, match="1 subjects without a; at least 2 are needed"):
        in_sets("sets", {"a.1": "a.1", "a.2": "a.2", "b.1": "b.1", "b.2": "b.1"})
