"""Who is trained on and who is scored: holdout, k-fold, leave-one-person-out and leave-one-set-out; always by person.

`by_window` is the leak that much of the literature has, kept to show how large its illusion is.
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
        repeat: Of the protocol, from 0.
        number: Of the fold within its repeat, from 0.
        seed: Of the training.
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
        subjects: All usable ones. They are shuffled by options.seed (holdout: plus the repeat).
        options: Options of the runs.
        repeats: For holdout.
        folds: For kfold.
        seeds: Of the trainings, each over the same splits (a fold's hparams.json has that seed, not the split's).
        people: {subject: person}, as far as they differ: no person is in two parts.
        sets: {subject: data set}, where there are several.

    Raises:
        UserMistake: There are too few subjects, or sets.
    """
    persons = persons_in_order(subjects, options.seed, people, sets)
    if protocol == "holdout":
        seeded = [replace(options, seed=options.seed + i) for i in range(repeats)]
        parts = [(i, 0, split_subjects(subjects, one, people, sets)) for i, one in enumerate(seeded)]
    elif protocol == "sets":
        parts = [(0, i, split) for i, split in enumerate(_by_set(persons, sets))]
    else:
        n = len(persons)
        folds = n if protocol == "loso" else folds
        if not 2 <= folds <= n or n - -(-n // folds) < 2:
            of_persons = f" of {n} persons" if n < len(subjects) else ""
            nights = f"{len(subjects)} usable nights{of_persons}: each must leave 2 subjects to train on"
            raise UserMistake(f"--protocol {protocol}, {folds} folds of {nights}")
        blocks = [[persons[k] for k in block] for block in np.array_split(np.arange(n), folds)]
        # the rest starts with the block after: each subject takes its turn at inner validation
        rest = [[person for block in (*blocks[i + 1 :], *blocks[:i]) for person in block] for i in range(folds)]
        parts = [(0, i, parts_in_order(blocks[i], rest[i])) for i in range(folds)]
    return [Fold(repeat, number, seed, splits) for seed in seeds for repeat, number, splits in parts]


def _by_set(persons: Sequence[Sequence[str]], sets: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """Splits that hold each set out in turn. Whoever is in it is not trained on: nights of theirs in other sets are in
    no part.
    """
    names = sorted({*sets.values()})
    if len(names) < 2:
        raise UserMistake("--protocol sets: holds out one data set after the other; name several: --dataset_dir A,B")
    splits = []
    for name in names:
        held_out = [[subject for subject in person if sets[subject] == name] for person in persons]
        rest = [person for person, inside in zip(persons, held_out, strict=True) if not inside]
        if len(rest) < 2:
            raise UserMistake(f"--protocol sets: without {name} there are {len(rest)} subjects; 2 are needed to train")
        splits.append(parts_in_order(held_out, rest))
    return splits


def by_window(nights: Sequence[Night], fold: Fold, folds: int, options: Options) -> dict[str, list[Night]]:
    """A LEAK: parts whose windows are drawn at random, so that every night is on both sides. For comparison only.

    Args:
        nights: Of pipeline.align.
        fold: Whose number says which of the parts is held out.
        folds: Number of parts that the windows are split into.
        options: Options of the run; the seed draws the windows.

    Returns:
        {"train", "inner_validation", "validation"} -> all nights, with the stages of the other parts' windows removed.
    """
    parts: dict[str, list[Night]] = {"train": [], "inner_validation": [], "validation": []}
    for i, night in enumerate(nights):
        rng = np.random.default_rng([options.seed + fold.repeat, i])
        block = rng.permutation(len(night)) % folds
        held = block == fold.number
        inner = ~held & (rng.random(len(night)) < INNER_SHARE)
        for name, windows in (("train", ~held & ~inner), ("inner_validation", inner), ("validation", held)):
            parts[name].append(replace(night, stages=np.where(windows, night.stages, -1).astype(night.stages.dtype)))
    return parts
