"""Splits of an evaluation: holdout, k-fold, leave-one-person-out and leave-one-set-out; always by person.

`by_window` is a leak that is common in the literature, kept to show how large the illusion is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.splits import INNER_SHARE, NOBODY, parts_in_order, persons_in_order, split_subjects

PROTOCOLS = ("holdout", "kfold", "loso", "sets")


@dataclass(frozen=True)
class Fold:
    """One training of an evaluation.

    Attributes:
        repeat: Repeat of the protocol, from 0.
        number: Number of the fold within its repeat, from 0.
        seed: Seed of the training.
        splits: {"train", "inner_validation", "validation"} -> subjects.
    """

    repeat: int
    number: int
    seed: int
    splits: dict[str, list[str]]

    @property
    def name(self) -> str:
        """Name of the fold's folder."""
        return f"repeat_{self.repeat}.fold_{self.number}.seed_{self.seed}"


def plan(
    protocol: str,
    subjects: Sequence[str],
    options: Options,
    repeats: int,
    folds: int,
    seeds: Sequence[int],
    people: Mapping[str, str] = NOBODY,
    sets: Mapping[str, str] = NOBODY,
) -> list[Fold]:
    """Plan all folds of a protocol, in order.

    Args:
        protocol: One of PROTOCOLS.
        subjects: All usable subjects. They are shuffled by options.seed (holdout: plus the repeat).
        options: Options of the runs.
        repeats: Number of repeats of holdout.
        folds: Number of folds of kfold.
        seeds: Seeds of the trainings, all with the same splits (a fold's hparams.json has this seed, not the split's).
        people: {subject: person}, only where they differ; no person is in two parts.
        sets: {subject: data set}, if there are several.

    Raises:
        UserMistake: There are too few subjects or sets.
    """
    persons = persons_in_order(subjects, options.seed, people, sets)
    if protocol == "holdout":
        seeded = [replace(options, seed=options.seed + i) for i in range(repeats)]
        parts = [(i, 0, split_subjects(subjects, opts, people, sets)) for i, opts in enumerate(seeded)]
    elif protocol == "sets":
        parts = [(0, i, split) for i, split in enumerate(_by_set(persons, sets))]
    else:
        n = len(persons)
        folds = n if protocol == "loso" else folds
        if not 2 <= folds <= n or n - -(-n // folds) < 2:
            of_persons = f" of {n} persons" if n < len(subjects) else ""
            nights = f"{len(subjects)} usable nights{of_persons}: each must leave at least 2 subjects to train on"
            raise UserMistake(f"--protocol {protocol}, {folds} folds of {nights}")
        blocks = [[persons[k] for k in block] for block in np.array_split(np.arange(n), folds)]
        # the rest starts with the next block, so that every subject takes its turn at inner validation
        rest = [[person for block in (*blocks[i + 1 :], *blocks[:i]) for person in block] for i in range(folds)]
        parts = [(0, i, parts_in_order(blocks[i], rest[i])) for i in range(folds)]
    return [Fold(repeat, number, seed, splits) for seed in seeds for repeat, number, splits in parts]


def _by_set(persons: Sequence[Sequence[str]], sets: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """Splits that hold out each set in turn; nights of its persons in other sets are left out."""
    names = sorted({*sets.values()})
    if len(names) < 2:
        raise UserMistake("--protocol sets: needs several data sets, such as --dataset_dir A,B")
    splits = []
    for name in names:
        held_out = [[subject for subject in person if sets[subject] == name] for person in persons]
        rest = [person for person, inside in zip(persons, held_out, strict=True) if not inside]
        if len(rest) < 2:
            raise UserMistake(f"--protocol sets: {len(rest)} subjects without {name}; at least 2 are needed to train")
        splits.append(parts_in_order(held_out, rest))
    return splits


def by_window(nights: Sequence[Night], fold: Fold, folds: int, options: Options) -> dict[str, list[Night]]:
    """A LEAK: split windows at random, so that every night is on both sides. For comparison only.

    Args:
        nights: The nights.
        fold: The fold, whose number tells which part is held out.
        folds: Number of parts that the windows are split into.
        options: Options of the run; the seed is used.

    Returns:
        {"train", "inner_validation", "validation"} -> all nights, with the stages of the other parts' windows removed.
    """
    parts: dict[str, list[Night]] = {"train": [], "inner_validation": [], "validation": []}
    for i, night in enumerate(nights):
        rng = np.random.default_rng([options.seed + fold.repeat, i])
        block = rng.permutation(len(night)) % folds
        held_out = block == fold.number
        inner = ~held_out & (rng.random(len(night)) < INNER_SHARE)
        for name, windows in (("train", ~held_out & ~inner), ("inner_validation", inner), ("validation", held_out)):
            parts[name].append(replace(night, stages=np.where(windows, night.stages, -1).astype(night.stages.dtype)))
    return parts
