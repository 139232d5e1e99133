"""Scores of predicted stages in all views, from scikit-learn; their spread over subjects, calibration, and by hour."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support

from pipeline.options import STAGES

VIEWS = {  # classes -> (names, the class of each of the five stages)
    "5": (STAGES, (0, 1, 2, 3, 4)),
    "4": (("Wake", "Light", "Deep", "REM"), (0, 1, 1, 2, 3)),
    "3": (("Wake", "NREM", "REM"), (0, 1, 1, 1, 2)),
    "2": (("Wake", "Sleep"), (0, 1, 1, 1, 1)),
}
DRAWS = 2000  # of the bootstrap
BINS = 10  # of confidence


def viewed(probabilities, view):
    """[windows, 5] probabilities -> [windows, classes] of a coarser view, summed."""
    names, of = VIEWS[view]
    return np.stack([probabilities[:, np.equal(of, i)].sum(1) for i in range(len(names))], 1)


def classes(stages, probabilities, view):
    """Of the scored windows: (scored class [n], said class [n], probabilities [n, classes]) in a view."""
    scored = np.asarray(stages) >= 0
    p = viewed(np.asarray(probabilities)[scored], view)
    return np.take(VIEWS[view][1], np.asarray(stages)[scored]), p.argmax(1), p


def kappa(one, other):
    """Cohen's kappa; 1 where both are one and the same class throughout (scikit-learn gives NaN)."""
    one, other = np.asarray(one), np.asarray(other)
    return 1.0 if (one == other).all() else float(cohen_kappa_score(one, other))


def scores(stages, probabilities):
    """Scores in every view. stages: [windows], -1 unscored and left out, some scored; probabilities: [windows, 5].

    Returns {"5": {"accuracy", "balanced_accuracy", "kappa", "macro_f1", "macro_auc", "majority_accuracy",
    "recall": {class}, "precision": {class}, "auc": {class}}, ...}. What a night cannot tell is NaN: recall and AUC of
    a class that is not there, precision of one that is never said. Means over classes are over those that can be told:
    balanced accuracy over the classes there, macro F1 over those there or said (scikit-learn's own choice of labels).
    """
    out, auc = {}, {}
    for view, (names, _) in VIEWS.items():
        true, said, p = classes(stages, probabilities, view)
        auc |= {name: _one_vs_rest(true == i, p[:, i]) for i, name in enumerate(names) if name not in auc}
        precision, recall, f1, _ = precision_recall_fscore_support(
            true, said, labels=range(len(names)), zero_division=np.nan
        )
        out[view] = {
            "accuracy": float(accuracy_score(true, said)),
            "balanced_accuracy": float(pd.Series(recall).mean()),  # of pandas, which leaves NaN out
            "kappa": kappa(true, said),
            "macro_f1": float(pd.Series(f1).mean()),
            "macro_auc": float(pd.Series([auc[name] for name in names]).mean()),
            "majority_accuracy": float(np.bincount(true).max() / len(true)),
            "recall": dict(zip(names, recall.tolist(), strict=True)),
            "precision": dict(zip(names, precision.tolist(), strict=True)),
            "auc": {name: auc[name] for name in names},
        }
    return out


def _one_vs_rest(is_class, p):
    """Area under the ROC curve, as the Mann-Whitney statistic: scikit-learn's takes a third of a report's time."""
    there = is_class.sum()
    if not 0 < there < len(is_class):
        return np.nan
    return float((rankdata(p)[is_class].sum() / there - (there + 1) / 2) / (len(p) - there))


def confusion(stages, probabilities, view):
    """[classes, classes] counts of the scored windows in a view: a row per scored class, a column per said one."""
    true, said, _ = classes(stages, probabilities, view)
    n = len(VIEWS[view][0])
    return np.bincount(n * true + said, minlength=n * n).reshape(n, n)


def agreement(confusions):
    """Accuracy, kappa and macro F1 of confusion matrices [..., classes, classes]: {name: [...]}, equal to `scores`."""
    right, true, said = np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(-1), confusions.sum(-2)
    total = true.sum(-1)
    accuracy, chance = right.sum(-1) / total, (true * said).sum(-1) / total**2
    there = true + said > 0
    f1 = 2 * right / np.where(there, true + said, 1)
    one_class = chance == 1
    return {
        "accuracy": accuracy,
        "kappa": np.where(one_class, 1.0, (accuracy - chance) / np.where(one_class, 1, 1 - chance)),
        "macro_f1": f1.sum(-1) / there.sum(-1),
    }


def drawn(confusions, size):
    """`agreement` pooled over `size` subjects drawn with replacement, DRAWS times: {name: [DRAWS]}. Seeded.

    confusions: [subjects, classes, classes].
    """
    even = np.full(len(confusions), 1 / len(confusions))
    times = np.random.default_rng(0).multinomial(size, even, DRAWS)
    return agreement(np.tensordot(times, confusions, 1))


def over_subjects(confusions):
    """{name of `agreement`: {"mean", "sd", "interval"}} of confusions [subjects, classes, classes].

    mean and SD: of the subjects' own figures. interval: 95 %, of the pooled figure, by a percentile bootstrap over
    subjects (Efron & Tibshirani 1993), as epochs of one night are not independent. One subject has no SD and none.
    """
    each, several = agreement(confusions), len(confusions) > 1
    draws = drawn(confusions, len(confusions))
    return {
        name: {
            "mean": values.mean(),
            "sd": values.std(ddof=1) if several else np.nan,
            "interval": np.quantile(draws[name], (0.025, 0.975)) if several else None,
        }
        for name, values in each.items()
    }


def expected_kappa(repeats):
    """Where the pooled kappa of every repeat should lie if repeats differ only by the subjects they happened to test.

    repeats: confusions [subjects, classes, classes] of each. Returns [repeats, 2]: for each the central range of the
    kappa of as many subjects drawn from those of all repeats; all lie within theirs 95 % of the time (Bonferroni).
    """
    everyone, tail = np.concatenate(repeats), 0.05 / len(repeats) / 2
    return np.array([np.quantile(drawn(everyone, len(own))["kappa"], (tail, 1 - tail)) for own in repeats])


def calibration(stages, probabilities):
    """How far probabilities of the five stages can be taken at their word.

    Returns {"ece", "bins": [{"low", "confidence", "accuracy", "epochs"}], "stage_ece": {stage}}. bins: of the likeliest
    stage's probability, from `low` on, equally wide; those that hold epochs. ece: expected calibration error, the mean
    over epochs of their bin's |accuracy - confidence| (Naeini et al. 2015, AAAI); stage_ece: of each stage against the
    rest.
    """
    true, said, p = classes(stages, probabilities, "5")
    bins = _binned(p.max(1), said == true)
    return {
        "ece": _ece(bins),
        "bins": bins.reset_index().to_dict("records"),
        "stage_ece": {stage: _ece(_binned(p[:, i], true == i)) for i, stage in enumerate(STAGES)},
    }


def _binned(confidence, right):
    table = pd.DataFrame({"confidence": confidence, "accuracy": right, "epochs": 1})
    low = np.minimum((confidence * BINS).astype(int), BINS - 1) / BINS
    bins = table.groupby(pd.Series(low, name="low"))
    return bins.agg({"confidence": "mean", "accuracy": "mean", "epochs": "sum"})


def _ece(bins):
    return float(np.average(abs(bins.accuracy - bins.confidence), weights=bins.epochs))


def by_hour(times, stages, probabilities):
    """Scores of five stages by hour of the recording: [{"hour", "epochs", "accuracy", "kappa"}].

    times: [windows] s from the recording's start; stages: [windows], -1 unscored; probabilities: [windows, 5].
    """
    true, said, _ = classes(stages, probabilities, "5")
    hours = np.asarray(times)[np.asarray(stages) >= 0] // 3600
    parts = [(hour, true[hours == hour], said[hours == hour]) for hour in np.unique(hours)]
    return [
        {"hour": int(hour), "epochs": len(t), "accuracy": float(accuracy_score(t, s)), "kappa": kappa(t, s)}
        for hour, t, s in parts
    ]
