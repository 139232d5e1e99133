"""Divides the subjects of a run: trained on, inner validation, held out. No subject is ever in two parts."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options

INNER_SHARE = 0.15  # of the subjects that are not held out: inner validation
LEAST_SUBJECTS = 3  # one for each part
Subjects = Sequence[str] | np.ndarray


def split_subjects(subjects: Sequence[str], options: Options) -> dict[str, list[str]]:
    """Split subjects at random by options.seed; the order in which they come does not matter.

    Args:
        subjects: Ids of the subjects with a usable night.
        options: Of the run; train_split and seed count here.

    Returns:
        {"validation", "inner_validation", "train"} -> subjects. `validation` (max(1, n/10 rounded half up) at a
        train_split of 0.9) is only ever scored; `inner_validation`, taken from the rest, is not trained on
        and scored after every epoch.
        Both are empty at a train_split of 1.

    Raises:
        UserMistake: There are fewer than LEAST_SUBJECTS.
    """
    if len(subjects) < LEAST_SUBJECTS:
        needed = f"at least {LEAST_SUBJECTS} subjects are needed to train and assess"
        raise UserMistake(f"{len(subjects)} usable night(s): {needed}")
    if options.train_split == 1:
        return {"validation": [], "inner_validation": [], "train": sorted(map(str, subjects))}
    order = np.random.default_rng(options.seed).permutation(sorted(subjects))
    share = len(order) * (1 - options.train_split)
    held_out = min(max(1, int(share + 0.5 + 1e-9)), len(order) - 2)  # 1e-9: 25 x (1 - 0.9) is 2.4999999999999996
    return parts_in_order(order[:held_out], order[held_out:])


def parts_in_order(held_out: Subjects, rest: Subjects) -> dict[str, list[str]]:
    """A split of subjects that are already in random order.

    Args:
        held_out: The validation subjects.
        rest: The others; the first INNER_SHARE of them become inner validation subjects.

    Returns:
        As `split_subjects`, each part sorted.
    """
    inner = max(1, int(len(rest) * INNER_SHARE + 0.5))
    parts = {"validation": held_out, "inner_validation": rest[:inner], "train": rest[inner:]}
    return {name: sorted(map(str, part)) for name, part in parts.items()}


def nights_by_part(nights: Sequence[Night], splits: Mapping[str, Sequence[str]]) -> dict[str, list[Night]]:
    """Nights by the part of the split that their subject is in."""
    return {part: [night for night in nights if night.subject in subjects] for part, subjects in splits.items()}
