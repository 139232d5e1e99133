"""Splits nights by person into train, inner validation and validation. No person is ever in two parts."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options

INNER_SHARE = 0.15  # share of the persons not held out that goes to inner validation
LEAST_SUBJECTS = 3  # persons, one for each part
NOBODY: Mapping[str, str] = {}


def persons_in_order(
    subjects: Sequence[str], seed: int, people: Mapping[str, str] = NOBODY, sets: Mapping[str, str] = NOBODY
) -> list[list[str]]:
    """The subjects of each person, with the persons in random order. The order of `subjects` does not matter.

    Args:
        subjects: Ids of the subjects with a usable night.
        seed: Seed of the order.
        people: {subject: person}; subjects that are not in it are separate persons.
        sets: {subject: data set}. Each set is spread evenly over the order.
    """
    nights: dict[str, list[str]] = {}
    for subject in sorted(subjects):
        nights.setdefault(people.get(subject, subject), []).append(subject)
    rng = np.random.default_rng(seed)
    order: list[str] = rng.permutation(sorted(nights)).tolist()
    set_of = {person: sets.get(nights[person][0], "") for person in order}
    if len(names := sorted({*set_of.values()})) > 1:
        place: dict[str, float] = {}
        for name in names:
            members, start = [person for person in order if set_of[person] == name], rng.random()
            place |= {person: (start + i) / len(members) for i, person in enumerate(members)}
        order.sort(key=place.__getitem__)
    return [nights[person] for person in order]


def split_subjects(
    subjects: Sequence[str], options: Options, people: Mapping[str, str] = NOBODY, sets: Mapping[str, str] = NOBODY
) -> dict[str, list[str]]:
    """Split subjects by person, at random with options.seed. The order of `subjects` does not matter.

    Args:
        subjects: Ids of the subjects with a usable night.
        options: Options of the run; train_split and seed are used.
        people: As for `persons_in_order`.
        sets: As for `persons_in_order`.

    Returns:
        {"validation", "inner_validation", "train"} -> subjects. `validation` (at a train_split of 0.9, max(1, n/10
        rounded half up) of n persons) is used only for the final scores; `inner_validation`, taken from the rest, is
        not trained on but scored after every epoch. Both are empty at a train_split of 1.

    Raises:
        UserMistake: There are fewer than LEAST_SUBJECTS persons.
    """
    order = persons_in_order(subjects, options.seed, people, sets)
    if len(order) < LEAST_SUBJECTS:
        needed = f"at least {LEAST_SUBJECTS} subjects are needed to train and evaluate"
        persons = f" of {len(order)} person(s)" if len(order) < len(subjects) else ""
        raise UserMistake(f"{len(subjects)} usable night(s){persons}: {needed}")
    if options.train_split == 1:
        return {"validation": [], "inner_validation": [], "train": sorted(map(str, subjects))}
    share = len(order) * (1 - options.train_split)
    held_out = min(max(1, int(share + 0.5 + 1e-9)), len(order) - 2)  # 1e-9: 25 x (1 - 0.9) is 2.4999999999999996
    return parts_in_order(order[:held_out], order[held_out:])


def parts_in_order(held_out: Sequence[Sequence[str]], rest: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Split persons that are already in random order.

    Args:
        held_out: The subjects of each person to hold out.
        rest: The subjects of each other person; the first INNER_SHARE of these persons go to inner validation.

    Returns:
        As `split_subjects`, each part sorted.
    """
    inner = max(1, int(len(rest) * INNER_SHARE + 0.5))
    parts = {"validation": held_out, "inner_validation": rest[:inner], "train": rest[inner:]}
    return {name: sorted(subject for person in part for subject in person) for name, part in parts.items()}


def nights_by_part(nights: Sequence[Night], splits: Mapping[str, Sequence[str]]) -> dict[str, list[Night]]:
    """Nights by the part of the split that their subject is in."""
    return {part: [night for night in nights if night.subject in subjects] for part, subjects in splits.items()}
