"""Subjects into parts: complete, none twice, by the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.splits import nights_by_part, parts_in_order, persons_in_order, split_subjects

any_split = st.integers(3, 300), st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(*any_split)
def test_split_is_by_subject_and_holds_out_a_tenth(n, seed):
    subjects = [str(i) for i in range(n)]
    parts = split_subjects(subjects, Options(seed=seed))
    assert parts.keys() == {"train", "inner_validation", "validation"}
    assert sorted(subject for part in parts.values() for subject in part) == sorted(subjects)  # complete, none twice
    assert len(parts["validation"]) == max(1, (n + 5) // 10)
    assert len(parts["inner_validation"]) >= 1
    assert len(parts["train"]) >= max(1, 0.7 * n - 2)
    shuffled = np.random.default_rng(0).permutation(subjects)
    assert split_subjects(shuffled, Options(seed=seed)) == parts  # the order in which they come does not matter
    assert all(type(subject) is str for part in parts.values() for subject in part)


@settings(deadline=None)
@given(*any_split, st.floats(0.001, 0.999))
def test_split_leaves_no_part_empty(n, seed, share):
    parts = split_subjects([str(i) for i in range(n)], Options(seed=seed, train_split=share))
    assert all(parts.values())
    assert sum(map(len, parts.values())) == n
    assert abs(len(parts["validation"]) - n * (1 - share)) <= 2


@pytest.mark.parametrize("n", [10, 25, 31])
def test_split_differs_between_seeds_and_holds_out_everyone_in_the_end(n):
    subjects = [str(i) for i in range(n)]
    held_out = [tuple(split_subjects(subjects, Options(seed=seed))["validation"]) for seed in range(100)]
    assert len(set(held_out)) > min(n, 30) / 2
    assert held_out[0] != held_out[1]
    assert set(sum(held_out, ())) == set(subjects)


@pytest.mark.parametrize("share", [0.9, 1])
def test_split_needs_three_subjects(share):
    with pytest.raises(UserMistake, match="at least 3"):
        split_subjects(["1", "2"], Options(train_split=share))


@pytest.mark.parametrize("n", [3, 25])
def test_all_subjects_may_be_trained_on(n):
    subjects = [str(i) for i in range(n)]
    parts = split_subjects(subjects[::-1], Options(train_split=1, seed=3))
    assert parts == {"validation": [], "inner_validation": [], "train": sorted(subjects)}


@pytest.mark.parametrize(("rest", "inner"), [(2, 1), (9, 1), (10, 2), (22, 3), (23, 3), (24, 4)])
def test_a_share_of_the_rest_in_its_order_becomes_inner_validation(rest, inner):
    subjects = [str(i) for i in range(rest, 0, -1)]
    parts = parts_in_order([["x"], ["b"]], [[subject] for subject in subjects])
    assert parts == {
        "validation": ["b", "x"],
        "inner_validation": sorted(subjects[:inner]),
        "train": sorted(subjects[inner:]),
    }


def test_nights_come_to_the_part_of_their_subject_in_their_order():
    nights = [Night(subject, np.zeros(0), {}, np.zeros(0, np.int8)) for subject in ("3", "1", "2", "4")]
    parts = nights_by_part(nights, {"train": ["1", "3"], "inner_validation": ["2"], "validation": ["9"]})
    assert {part: [night.subject for night in members] for part, members in parts.items()} == {
        "train": ["3", "1"],
        "inner_validation": ["2"],
        "validation": [],
    }


PERSONS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), min_size=3, max_size=60)


@given(PERSONS, st.integers(0, 1000), st.sampled_from([0.5, 0.9]))
def test_nights_of_a_person_are_in_one_part(nights, seed, share):
    """Drawn are (set, person) of each night."""
    people = {f"{name}.{i}": f"{name}.p{person}" for i, (name, person) in enumerate(nights)}
    sets = {subject: subject[0] for subject in people}
    options = Options(seed=seed, train_split=share)
    if len({*people.values()}) < 3:
        with pytest.raises(UserMistake, match="at least 3 subjects are needed"):
            split_subjects([*people], options, people, sets)
        return
    splits = split_subjects([*people], options, people, sets)
    assert sorted(s for part in splits.values() for s in part) == sorted(people)
    persons = {part: {people[s] for s in members} for part, members in splits.items()}
    assert all(persons.values())
    assert sum(map(len, persons.values())) == len({*people.values()})


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 1000))
def test_any_stretch_of_the_order_has_its_share_of_each_set(a, b, seed):
    sets = {f"{name}.{i}": name for name, n in (("a", a), ("b", b)) for i in range(n)}
    order = [sets[subject] for (subject,) in persons_in_order([*sets], seed, sets=sets)]
    for k in range(a + b + 1):
        assert abs(order[:k].count("a") - k * a / (a + b)) <= 1.5


def test_persons_and_sets_of_one_night_and_name_change_nothing():
    subjects = [f"s{i}" for i in range(25)]
    alone = split_subjects(subjects, Options(seed=3))
    assert split_subjects(subjects, Options(seed=3), {s: s for s in subjects}, dict.fromkeys(subjects, "a")) == alone
