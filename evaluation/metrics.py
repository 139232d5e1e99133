"""Scores of predicted stages in all views, from scikit-learn."""

import numpy as np
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, precision_score, recall_score

from pipeline.options import STAGES

VIEWS = {  # classes -> (names, the class of each of the five stages)
    "5": (STAGES, (0, 1, 2, 3, 4)),
    "4": (("Wake", "Light", "Deep", "REM"), (0, 1, 1, 2, 3)),
    "3": (("Wake", "NREM", "REM"), (0, 1, 1, 1, 2)),
    "2": (("Wake", "Sleep"), (0, 1, 1, 1, 1)),
}


def viewed(probabilities, view):
    """[windows, 5] probabilities -> [windows, classes] of a coarser view, summed."""
    names, of = VIEWS[view]
    return np.stack([probabilities[:, np.equal(of, i)].sum(1) for i in range(len(names))], 1)


def kappa(one, other):
    """Cohen's kappa; 1 where both are one and the same class throughout (scikit-learn gives NaN)."""
    one, other = np.asarray(one), np.asarray(other)
    return 1.0 if (one == other).all() else float(cohen_kappa_score(one, other))


def scores(stages, probabilities):
    """Scores in every view. stages: [windows], -1 unscored and left out; probabilities: [windows, 5].

    Returns {"5": {"accuracy", "kappa", "macro_f1", "majority_accuracy", "recall": {stage}, "precision": {stage}}, ...}.
    """
    scored = np.asarray(stages) >= 0
    stages, probabilities = np.asarray(stages)[scored], np.asarray(probabilities)[scored]
    out = {}
    for view, (names, of) in VIEWS.items():
        true, said, labels = np.take(of, stages), viewed(probabilities, view).argmax(1), range(len(names))
        each = {"labels": labels, "average": None, "zero_division": 0}
        out[view] = {
            "accuracy": float(accuracy_score(true, said)),
            "kappa": kappa(true, said),
            "macro_f1": float(f1_score(true, said, labels=labels, average="macro", zero_division=0)),
            "majority_accuracy": float(np.bincount(true).max() / len(true)),
            "recall": dict(zip(names, recall_score(true, said, **each).tolist(), strict=True)),
            "precision": dict(zip(names, precision_score(true, said, **each).tolist(), strict=True)),
        }
    return out
