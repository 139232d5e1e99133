"""Who is trained on and who is scored: holdout, k-fold and leave-one-subject-out, always by subject.

`by_window` is the leak that much of the literature has, kept to show how large its illusion is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.splits import INNER_SHARE, parts_in_order, split_subjects

PROTOCOLS = ("holdout", "kfold", "loso")


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
    protocol: str, subjects: Sequence[str], options: Options, repeats: int, folds: int, seeds: Sequence[int]
) -> list[Fold]:
    """Plan all folds of a protocol, in order.

    Args:
        protocol: One of PROTOCOLS.
        subjects: All usable ones. They are shuffled by options.seed (holdout: plus the repeat).
        options: Options of the runs.
        repeats: For holdout.
        folds: For kfold.
        seeds: Of the trainings, each over the same splits (a fold's hparams.json has that seed, not the split's).

    Raises:
        UserMistake: There are too few subjects.
    """
    if protocol == "holdout":
        parts = [(i, 0, split_subjects(subjects, replace(options, seed=options.seed + i))) for i in range(repeats)]
    else:
        folds = len(subjects) if protocol == "loso" else folds
        if not 2 <= folds <= len(subjects) or len(subjects) - -(-len(subjects) // folds) < 2:
            nights = f"{len(subjects)} usable nights: each must leave 2 subjects to train on"
            raise UserMistake(f"--protocol {protocol}, {folds} folds of {nights}")
        order = np.random.default_rng(options.seed).permutation(sorted(subjects))
        blocks = np.array_split(order, folds)
        # the rest starts with the block after: each subject takes its turn at inner validation
        rest = [np.concatenate([*blocks[i + 1 :], *blocks[:i]]) for i in range(folds)]
        parts = [(0, i, parts_in_order(blocks[i], rest[i])) for i in range(folds)]
    return [Fold(repeat, number, seed, splits) for seed in seeds for repeat, number, splits in parts]


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
