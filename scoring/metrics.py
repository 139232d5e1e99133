"""Scores of predicted stages in all views; their spread over subjects, calibration, and scores by hour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support

from pipeline.constants import HOUR_S, STAGES

VIEWS = {  # number of classes -> (names of the classes, class of each of the five stages)
    "5": (STAGES, (0, 1, 2, 3, 4)),
    "4": (("Wake", "Light", "Deep", "REM"), (0, 1, 1, 2, 3)),
    "3": (("Wake", "NREM", "REM"), (0, 1, 1, 1, 2)),
    "2": (("Wake", "Sleep"), (0, 1, 1, 1, 1)),
}
DRAWS = 2000  # bootstrap samples
BINS = 10  # of confidence, equally wide, from 0 to 1
TAIL = 0.025  # probability on either side of a 95 % interval


def view_probabilities(probabilities: np.ndarray, view: str) -> np.ndarray:
    """Sum the probabilities of the five stages to those of a view's classes.

    Args:
        probabilities: Stage probabilities, [windows, 5].
        view: Key of VIEWS.

    Returns:
        Class probabilities, [windows, classes].
    """
    names, class_of_stage = VIEWS[view]
    return np.stack([probabilities[:, np.equal(class_of_stage, i)].sum(1) for i in range(len(names))], 1)


def classes(stages: ArrayLike, probabilities: ArrayLike, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes of the scored windows in a view.

    Args:
        stages: [windows] index into STAGES, -1 unscored.
        probabilities: [windows, 5].
        view: Key of VIEWS.

    Returns:
        Scored class [n], predicted class [n] and probabilities [n, classes] of the n scored windows. The predicted
        class is the view's most likely one, which need not contain the most likely of the five stages.
    """
    scored = np.asarray(stages) >= 0
    p = view_probabilities(np.asarray(probabilities)[scored], view)
    return np.take(VIEWS[view][1], np.asarray(stages)[scored]), p.argmax(1), p


def kappa(one: ArrayLike, other: ArrayLike) -> float:
    """Cohen's kappa of two sequences of classes; 1 if both have only the same class (scikit-learn returns NaN)."""
    one, other = np.asarray(one), np.asarray(other)
    return 1.0 if (one == other).all() else float(cohen_kappa_score(one, other))


def scores(stages: ArrayLike, probabilities: ArrayLike) -> dict[str, dict[str, Any]]:
    """Scores in every view.

    Undefined scores are NaN: recall and AUC of a class that does not occur, precision of one that is never predicted.
    Means over classes leave NaN out: balanced accuracy is over the classes that were scored, macro F1 over those that
    were scored or predicted (as in scikit-learn).

    Args:
        stages: [windows] index into STAGES, -1 if unscored (left out); at least one is scored.
        probabilities: [windows, 5].

    Returns:
        {"5": {"accuracy", "balanced_accuracy", "kappa", "macro_f1", "macro_auc", "majority_accuracy",
        "recall": {class}, "precision": {class}, "auc": {class}}, ...}.
    """
    views: dict[str, dict[str, Any]] = {}
    auc: dict[str, float] = {}
    for view, (names, _) in VIEWS.items():
        scored, predicted, p = classes(stages, probabilities, view)
        auc |= {name: _one_vs_rest_auc(scored == i, p[:, i]) for i, name in enumerate(names) if name not in auc}
        precision, recall, f1, _ = precision_recall_fscore_support(
            scored, predicted, labels=range(len(names)), zero_division=np.nan
        )
        views[view] = {
            "accuracy": float(accuracy_score(scored, predicted)),
            "balanced_accuracy": float(pd.Series(recall).mean()),  # pandas leaves NaN out
            "kappa": kappa(scored, predicted),
            "macro_f1": float(pd.Series(f1).mean()),
            "macro_auc": float(pd.Series([auc[name] for name in names]).mean()),
            "majority_accuracy": float(np.bincount(scored).max() / len(scored)),
            "recall": dict(zip(names, recall.tolist(), strict=True)),
            "precision": dict(zip(names, precision.tolist(), strict=True)),
            "auc": {name: auc[name] for name in names},
        }
    return views


def _one_vs_rest_auc(is_class: np.ndarray, p: np.ndarray) -> float:
    """Area under the ROC curve, as the Mann-Whitney statistic: scikit-learn's would take a third of a report's time."""
    positives = is_class.sum()
    if not 0 < positives < len(is_class):
        return np.nan
    return float((rankdata(p)[is_class].sum() / positives - (positives + 1) / 2) / (len(p) - positives))


def confusion(stages: ArrayLike, probabilities: ArrayLike, view: str) -> np.ndarray:
    """Counts of the scored windows in a view, [scored class, predicted class]."""
    scored, predicted, _ = classes(stages, probabilities, view)
    n = len(VIEWS[view][0])
    return np.bincount(n * scored + predicted, minlength=n * n).reshape(n, n)


def agreement(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, kappa and macro F1 of confusion matrices [..., classes, classes]: {name: [...]}, as in `scores`."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    scored, predicted = confusions.sum(-1), confusions.sum(-2)
    total = scored.sum(-1)
    accuracy, chance = right.sum(-1) / total, (scored * predicted).sum(-1) / total**2
    occurs = scored + predicted > 0
    f1 = 2 * right / np.where(occurs, scored + predicted, 1)
    one_class = chance == 1
    return {
        "accuracy": accuracy,
        "kappa": np.where(one_class, 1.0, (accuracy - chance) / np.where(one_class, 1, 1 - chance)),
        "macro_f1": f1.sum(-1) / occurs.sum(-1),
    }


def bootstrap(confusions: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """`agreement` pooled over subjects drawn with replacement, with a fixed seed.

    Args:
        confusions: [subjects, classes, classes].
        size: Number of subjects in a draw.

    Returns:
        {name of `agreement`: [DRAWS]}.
    """
    even = np.full(len(confusions), 1 / len(confusions))
    times_drawn = np.random.default_rng(0).multinomial(size, even, DRAWS)  # [DRAWS, subjects]
    return agreement(np.tensordot(times_drawn, confusions, 1))


def over_subjects(confusions: np.ndarray) -> dict[str, dict[str, Any]]:
    """Spread of `agreement` over subjects.

    Args:
        confusions: [subjects, classes, classes].

    Returns:
        {name of `agreement`: {"mean", "sd", "interval"}}. mean and sd: over the subjects' values. interval: 95 %
        interval of the pooled value, by a percentile bootstrap over subjects (Efron & Tibshirani 1993), because epochs
        of one night are not independent. With a single subject, sd is NaN and interval is None.
    """
    several = len(confusions) > 1
    draws = bootstrap(confusions, len(confusions))
    return {
        name: {
            "mean": values.mean(),
            "sd": values.std(ddof=1) if several else np.nan,
            "interval": np.quantile(draws[name], (TAIL, 1 - TAIL)) if several else None,
        }
        for name, values in agreement(confusions).items()
    }


def expected_kappa(repeats: Sequence[np.ndarray]) -> np.ndarray:
    """Range in which each repeat's pooled kappa should lie if repeats differed only by the subjects tested.

    Args:
        repeats: Confusion matrices of each repeat, [subjects, classes, classes].

    Returns:
        Lowest and highest kappa for each repeat, [repeats, 2]: the central range of the kappa of as many subjects drawn
        from all repeats. All repeats lie within their ranges 95 % of the time (Bonferroni).
    """
    everyone = np.concatenate(repeats)
    tail = 0.05 / len(repeats) / 2
    return np.array([np.quantile(bootstrap(everyone, len(repeat))["kappa"], (tail, 1 - tail)) for repeat in repeats])


def calibration(stages: ArrayLike, probabilities: ArrayLike) -> dict[str, Any]:
    """Calibration of the probabilities of the five stages.

    Args:
        stages: [windows] index into STAGES, -1 if unscored (left out).
        probabilities: [windows, 5].

    Returns:
        {"ece", "bins": [{"low", "confidence", "accuracy", "epochs"}], "stage_ece": {stage}}. bins: non-empty bins of
        the most likely stage's probability, from `low` on, 1 / BINS wide. ece: expected calibration error, the mean
        over epochs of their bin's |accuracy - confidence| (Naeini et al. 2015, AAAI). stage_ece: the same for each
        stage against the rest.
    """
    scored, predicted, p = classes(stages, probabilities, "5")
    bins = _confidence_bins(p.max(1), predicted == scored)
    return {
        "ece": _ece(bins),
        "bins": bins.reset_index().to_dict("records"),
        "stage_ece": {stage: _ece(_confidence_bins(p[:, i], scored == i)) for i, stage in enumerate(STAGES)},
    }


def _confidence_bins(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"confidence": confidence, "accuracy": right, "epochs": 1})
    low = np.minimum((confidence * BINS).astype(int), BINS - 1) / BINS
    bins = table.groupby(pd.Series(low, name="low"))
    return bins.agg({"confidence": "mean", "accuracy": "mean", "epochs": "sum"})


def _ece(bins: pd.DataFrame) -> float:
    return float(np.average(abs(bins.accuracy - bins.confidence), weights=bins.epochs))


def by_hour(times: ArrayLike, stages: ArrayLike, probabilities: ArrayLike) -> list[dict[str, Any]]:
    """Scores of five stages by hour of the recording.

    Args:
        times: [windows] s from the recording's start.
        stages: [windows] index into STAGES, -1 if unscored (left out).
        probabilities: [windows, 5].

    Returns:
        [{"hour", "epochs", "accuracy", "kappa"}] for the hours with scored windows.
    """
    scored, predicted, _ = classes(stages, probabilities, "5")
    hours = np.asarray(times)[np.asarray(stages) >= 0] // HOUR_S
    parts = [(hour, scored[hours == hour], predicted[hours == hour]) for hour in np.unique(hours)]
    return [
        {"hour": int(hour), "epochs": len(s), "accuracy": float(accuracy_score(s, p)), "kappa": kappa(s, p)}
        for hour, s, p in parts
    ]


def plain(value: Any) -> Any:
    """The value in JSON types: Python numbers, lists for arrays, None for NaN."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
