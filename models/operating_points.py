"""Operating points: weights on the five probabilities that trade one stage against another.

Chosen on predictions that no model made of its own training nights, never on the held-out subjects. The watch
multiplies, renormalises, and then sums into coarser views.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score

from pipeline.constants import STAGES

REM = STAGES.index("REM")
REM_RECALL = 0.72  # required of "rem" on new subjects: reached with a margin of one standard error over subjects
MOST_REM_WEIGHT = 4.0  # a few odd nights must not cost all precision
EXPONENTS = np.linspace(0, 1, 21)  # tried for "balanced": 0 leaves the probabilities, 1 divides by the prior
REM_WEIGHTS = MOST_REM_WEIGHT ** np.linspace(0, 1, 41)  # tried for "rem", rising
LEAST_PRIOR = 1e-3  # of a stage that is hardly predicted


def operating_points(
    stages: Sequence[np.ndarray], probabilities: Sequence[np.ndarray]
) -> tuple[dict[str, dict], dict[str, str]]:
    """The operating points of a model.

    "balanced": prior^-a with the a in [0, 1] of the best macro F1 (a family of one parameter: few subjects choose it,
    and five free weights would fit those few). "rem": the least weight on REM, up to MOST_REM_WEIGHT, with which its
    recall, less the standard error of the subjects' own recalls, reaches REM_RECALL. A point that would leave the
    probabilities as they are is left out.

    Args:
        stages: [windows] of each subject's night, -1 unscored.
        probabilities: [windows, 5] of each night, by a model that was not trained on it.

    Returns:
        {"balanced" or "rem": {"weights": [5]}}, whose weights sum to 1; and {point left out: why}.
    """
    nights = [(s[s >= 0], p[s >= 0]) for s, p in zip(stages, probabilities, strict=True) if (s >= 0).any()]
    weights = {"balanced": _balanced_weights(nights), "rem": _rem_weights(nights)}
    reasons = {
        "balanced": "no weights gave a better macro F1 than the probabilities as they are",
        "rem": f"REM recall reaches {REM_RECALL:g} with its margin without any weights, or no night has REM",
    }
    points = {name: {"weights": [float(f"{x:.4g}") for x in w / w.sum()]} for name, w in weights.items()}
    kept = {name: point for name, point in points.items() if len(set(point["weights"])) > 1}
    return kept, {name: reason for name, reason in reasons.items() if name not in kept}


def _balanced_weights(nights):
    """[5]: prior^-a of the best macro F1. nights: (scored [windows], p [windows, 5]) of each."""
    scored, p = (np.concatenate(x) for x in zip(*nights, strict=True))
    prior = np.maximum(p.mean(0), LEAST_PRIOR)
    weights = [prior**-a for a in EXPONENTS]
    f1 = [f1_score(scored, (p * w).argmax(1), average="macro", zero_division=0) for w in weights]
    return weights[int(np.argmax(f1))]


def _rem_weights(nights):
    """[5]: 1, but for the weight on REM. nights: as of `_balanced_weights`."""
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
