"""Who is trained on and who is scored: holdout, k-fold and leave-one-subject-out, always by subject.

`by_window` is the leak that much of the literature has, kept to show how large its illusion is.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.nights import in_parts, split
from pipeline.options import UserMistake

PROTOCOLS = ("holdout", "kfold", "loso")


@dataclass(frozen=True)
class Fold:
    """One training of an evaluation. splits: {"train", "inner_validation", "validation"} -> subjects."""

    repeat: int
    number: int
    seed: int
    splits: dict

    @property
    def name(self):
        return f"repeat_{self.repeat}.fold_{self.number}.seed_{self.seed}"


def plan(protocol, subjects, options, repeats, folds, seeds):
    """All folds of a protocol, in order. The subjects are shuffled by options.seed (holdout: plus the repeat).

    seeds: of the trainings, each over the same splits (a fold's hparams.json has that seed, not the split's). Raises
    UserMistake where there are too few subjects.
    """
    if protocol == "holdout":
        parts = [(i, 0, split(subjects, replace(options, seed=options.seed + i))) for i in range(repeats)]
    else:
        folds = len(subjects) if protocol == "loso" else folds
        if not 2 <= folds <= len(subjects) or len(subjects) - -(-len(subjects) // folds) < 2:
            told = f"{len(subjects)} usable nights: each must leave 2 subjects to train on"
            raise UserMistake(f"--protocol {protocol}, {folds} folds of {told}")
        order = np.random.default_rng(options.seed).permutation(sorted(subjects))
        blocks = np.array_split(order, folds)
        # the rest starts with the block after: each subject takes its turn at inner validation
        rest = [np.concatenate([*blocks[i + 1 :], *blocks[:i]]) for i in range(folds)]
        parts = [(0, i, in_parts(blocks[i], rest[i])) for i in range(folds)]
    return [Fold(repeat, number, seed, splits) for seed in seeds for repeat, number, splits in parts]


def by_window(nights, fold, folds, options):
    """A LEAK: parts whose windows are drawn at random, so that every night is on both sides. For comparison only.

    Every part holds every night, with the stages of the other parts' windows taken away.
    """
    parts = {"train": [], "inner_validation": [], "validation": []}
    for i, night in enumerate(nights):
        rng = np.random.default_rng([options.seed + fold.repeat, i])
        block = rng.permutation(len(night)) % folds
        held = block == fold.number
        inner = ~held & (rng.random(len(night)) < 0.15)
        for name, own in (("train", ~held & ~inner), ("inner_validation", inner), ("validation", held)):
            parts[name].append(replace(night, stages=np.where(own, night.stages, -1).astype(night.stages.dtype)))
    return parts
