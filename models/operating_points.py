"""Operating points: weights on the five probabilities that trade one stage against another.

Chosen on inner validation subjects only. The watch multiplies, renormalises, and then sums into coarser views.
"""

import numpy as np
from sklearn.metrics import f1_score, recall_score

from pipeline.options import STAGES

REM = STAGES.index("REM")
REM_RECALL = 0.78  # asked of the inner validation subjects, so that new ones keep .70 and more
MOST_WEIGHT = 4.0  # on REM: a few odd inner nights must not cost all precision
STEPS = np.linspace(0, 1, 21)


def operating_points(stages, probabilities):
    """{"balanced": {"weights": [5]}, "rem": ...} of what a model said of nights.

    stages: [windows] of each night, -1 unscored; probabilities: [windows, 5].

    balanced: prior^-a with the a in [0, 1] of the best macro F1 (a family of one parameter: few subjects choose it, and
    five free weights would fit those few). rem: the least weight on REM, from 1 to MOST_WEIGHT, with which its
    recall reaches REM_RECALL.
    """
    true, p = np.concatenate(stages), np.concatenate(probabilities)
    true, p = true[true >= 0], p[true >= 0]
    prior = np.maximum(p.mean(0), 1e-3)
    weights = [prior**-a for a in STEPS]
    f1 = [f1_score(true, (p * w).argmax(1), average="macro", zero_division=0) for w in weights]
    only_rem = np.arange(len(STAGES)) == REM
    for more in MOST_WEIGHT ** np.linspace(0, 1, 41):
        rem = np.where(only_rem, more, 1.0)
        if recall_score(true == REM, (p * rem).argmax(1) == REM, zero_division=1) >= REM_RECALL:
            break
    chosen = {"balanced": weights[int(np.argmax(f1))], "rem": rem}
    return {name: {"weights": [float(f"{x:.4g}") for x in w / w.sum()]} for name, w in chosen.items()}
