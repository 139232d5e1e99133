"""Operating points: weights on the five probabilities that trade one stage against another.

They are chosen on out-of-fold predictions of training subjects, never on the held-out subjects. The watch multiplies,
renormalises, and then sums into coarser views.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score

from pipeline.constants import STAGES

REM = STAGES.index("REM")
REM_RECALL = 0.72  # target of "rem" on new subjects, to be reached with a margin of one standard error over subjects
MOST_REM_WEIGHT = 4.0  # so that a few odd nights cannot cost all precision
EXPONENTS = np.linspace(0, 1, 21)  # tried for "balanced": 0 keeps the probabilities, 1 divides by the prior
REM_WEIGHTS = MOST_REM_WEIGHT ** np.linspace(0, 1, 41)  # tried for "rem", ascending
LEAST_PRIOR = 1e-3  # for stages that are hardly predicted


def operating_points(
    stages: Sequence[np.ndarray], probabilities: Sequence[np.ndarray]
) -> tuple[dict[str, dict], dict[str, str]]:
    """Choose the operating points of a model.

    "balanced": prior^-a with the a in [0, 1] that gives the best macro F1 (one parameter only, as five free weights
    would overfit the few subjects). "rem": the lowest weight on REM, up to MOST_REM_WEIGHT, with which its recall,
    less the standard error over subjects, reaches REM_RECALL. Points that would change nothing are left out.

    Args:
        stages: Scored stages of each night, [windows], -1 if unscored.
        probabilities: Probabilities of each night, [windows, 5], by a model that was not trained on it.

    Returns:
        {"balanced" or "rem": {"weights": [5]}} with weights that sum to 1; and {name left out: reason}.
    """
    nights = [(s[s >= 0], p[s >= 0]) for s, p in zip(stages, probabilities, strict=True) if (s >= 0).any()]
    weights = {"balanced": _balanced_weights(nights), "rem": _rem_weights(nights)}
    reasons = {
        "balanced": "no weights gave a better macro F1 than the unweighted probabilities",
        "rem": f"REM recall reaches {REM_RECALL:g} without weights, margin included, or no night has REM",
    }
    points = {name: {"weights": [float(f"{x:.4g}") for x in w / w.sum()]} for name, w in weights.items()}
    kept = {name: point for name, point in points.items() if len(set(point["weights"])) > 1}
    return kept, {name: reason for name, reason in reasons.items() if name not in kept}


def _balanced_weights(nights):
    """Weights prior^-a with the best macro F1, [5]. nights: (scored [windows], p [windows, 5]) of each."""
    scored, p = (np.concatenate(x) for x in zip(*nights, strict=True))
    prior = np.maximum(p.mean(0), LEAST_PRIOR)
    weights = [prior**-a for a in EXPONENTS]
    f1 = [f1_score(scored, (p * w).argmax(1), average="macro", zero_division=0) for w in weights]
    return weights[int(np.argmax(f1))]


def _rem_weights(nights):
    """Weights that are 1 except for REM, [5]. nights: as for `_balanced_weights`."""
    with_rem = [(p, scored == REM) for scored, p in nights if (scored == REM).any()]
    weights = np.ones(len(STAGES))
    if not with_rem:
        return weights
    for rem in REM_WEIGHTS:
        weights = np.where(np.arange(len(STAGES)) == REM, rem, 1.0)
        hits = [((p * weights).argmax(1) == REM)[is_rem] for p, is_rem in with_rem]
        recalls = [x.mean() for x in hits]
        error = np.std(recalls, ddof=1) / np.sqrt(len(recalls)) if len(recalls) > 1 else 0.0
        if np.concatenate(hits).mean() - error >= REM_RECALL:
            break
    return weights
