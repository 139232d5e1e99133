"""The report of an evaluation on held-out nights: evaluation.json, report.md and plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.report_page import report_page
from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.files import write_json, write_whole
from pipeline.run_folder import (
    BLAND_ALTMAN,
    BY_HOUR,
    CONFUSION,
    CONFUSION_VIEWS,
    EVALUATION,
    EVALUATION_PAGE,
    RELIABILITY,
    SUBJECTS_PLOT,
    night_plot,
)
from scoring import plots
from scoring.metrics import (
    VIEWS,
    agreement,
    by_hour,
    calibration,
    classes,
    confusion,
    expected_kappa,
    over_subjects,
    plain,
    scores,
)
from scoring.predictions import PredictedNight, Result, predictions_table
from scoring.sleep_statistics import bland_altman, error_matrix, hypnograms, sleep_table, whole_epochs

SPREAD = ("accuracy", "kappa", "macro_f1")
LEAST_NIGHTS = {BLAND_ALTMAN: 10, "best and worst": 5}  # with fewer, plots show chance rather than the model
NO_SETS: Mapping[str, str] = {}


def report(
    folder: Path,
    protocol: dict,
    results: Sequence[Result],
    seconds: int = EPOCH_S,
    sets: Mapping[str, str] = NO_SETS,
) -> dict:
    """Write evaluation.json, report.md and its plots into a folder.

    Nights without a scored epoch are left out. NaN is written as null.

    Args:
        folder: Output folder.
        protocol: Settings of the evaluation, in JSON types.
        results: The results; the first is the main one, which gets all plots.
        seconds: Length of a stride, s.
        sets: {subject: data set}, if there are several.

    Returns:
        The content of evaluation.json.

    Raises:
        UserMistake: A result has no night with a scored epoch.
    """
    folder = Path(folder)
    scored_nights = [[night for night in result.nights if (night.stages >= 0).any()] for result in results]
    entries = []
    for result, nights in zip(results, scored_nights, strict=True):
        if not nights:
            name = f"{result.architecture} {result.precision}"
            raise UserMistake(f"{name}: none of {len(result.nights)} night(s) has a scored epoch")
        entry = {key: value for key, value in vars(result).items() if key != "nights"}
        entries.append(entry | figures(nights, seconds) | figures_by_set(nights, sets))
    spread = summary(entries, [confusions(nights, "5") for nights in scored_nights])
    document = plain({"protocol": protocol, "results": entries, "summary": spread})
    captions = draw(folder, results, scored_nights, entries, seconds)
    write_json(folder / EVALUATION, document)
    write_whole(folder / EVALUATION_PAGE, report_page(document, captions))
    return document


def figures(nights: Sequence[PredictedNight], seconds: int) -> dict[str, Any]:
    """All scores of one result: its entry in evaluation.json, without its name.

    Args:
        nights: Nights with at least one scored epoch.
        seconds: Length of a stride, s.

    Returns:
        {"scored": {"all", "walch_valid" if any night has a mask, "sensed" if any scored epoch's predicted stage is
        unknown}, "epochs", "unknown_share" of the scored epochs together with "sensed", "subjects", "calibration",
        "by_hour", "sleep": {"nights", "bland_altman", "error_matrix"}}. Unknown epochs count by their probabilities,
        except in "sensed" and "sleep".
    """
    sets = epoch_sets(nights)
    epochs = {n: int(sum((m.counted_stages(n) >= 0).sum() for m in members)) for n, members in sets.items()}
    unknown = _unknown_epochs(nights)
    stages, p = pooled_windows(nights)
    times = np.concatenate([night.times for night in nights])
    scored, predicted = hypnograms(nights, seconds)
    scored_sleep, predicted_sleep = sleep_table(scored), sleep_table(predicted)
    return {
        "scored": {name: pooled_scores(members, name) for name, members in sets.items()},
        "epochs": epochs,
        **({"unknown_share": unknown / epochs["all"]} if unknown else {}),
        "subjects": {night.subject: scores(night.stages, night.probabilities) for night in nights},
        "calibration": calibration(stages, p),
        "by_hour": by_hour(times, stages, p),
        "sleep": {
            "nights": {  # "said" is the file format's name of the predicted one
                night.subject: {
                    "scored": scored_sleep.loc[night.subject].to_dict(),
                    "said": predicted_sleep.loc[night.subject].to_dict(),
                }
                for night in nights
            },
            "bland_altman": bland_altman(scored_sleep, predicted_sleep),
            "error_matrix": error_matrix(scored, predicted),
        },
    }


def figures_by_set(nights: Sequence[PredictedNight], sets: Mapping[str, str]) -> dict[str, Any]:
    """{"sets": {name: {"nights", "epochs", "scored": `pooled_scores` of all scored epochs}}}; {} for one data set.

    Args: as `figures` and `report`.
    """
    entries = {}
    for name in sorted({*sets.values()}):
        if members := [night for night in nights if sets[night.subject] == name]:
            epochs = int(sum((night.stages >= 0).sum() for night in members))
            entries[name] = {"nights": len(members), "epochs": epochs, "scored": pooled_scores(members, "all")}
    return {"sets": entries} if entries else {}


def epoch_sets(nights: Sequence[PredictedNight]) -> dict[str, Sequence[PredictedNight]]:
    """The sets of epochs that a result is scored on, named as in `PredictedNight.counted_stages`.

    Args:
        nights: Nights with at least one scored epoch.

    Returns:
        {"all": nights, "walch_valid": those with an epoch in the mask, "sensed": those with an epoch whose predicted
        stage is known}. "walch_valid" is missing without masks, "sensed" without unknown epochs.
    """

    def counted(members, epochs):
        return [night for night in members if (night.counted_stages(epochs) >= 0).any()]

    sets = {"walch_valid": counted([night for night in nights if night.valid is not None], "walch_valid")}
    if _unknown_epochs(nights):
        sets["sensed"] = counted(nights, "sensed")
    return {"all": nights} | {name: members for name, members in sets.items() if members}


def _unknown_epochs(nights: Sequence[PredictedNight]) -> int:
    """Number of scored epochs without a predicted stage."""
    return sum(int((night.stages[~night.sensed] >= 0).sum()) for night in nights)


def pooled_windows(nights: Sequence[PredictedNight], epochs: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """Counted stages [windows] and probabilities [windows, 5] of all nights, concatenated."""
    stages = np.concatenate([night.counted_stages(epochs) for night in nights])
    return stages, np.concatenate([night.probabilities for night in nights])


def pooled_scores(nights: Sequence[PredictedNight], epochs: str) -> dict[str, dict[str, Any]]:
    """`scores` over the epochs of all nights together, with "per_subject" for each view."""
    return {
        view: pooled | {"per_subject": over_subjects(confusions(nights, view, epochs))}
        for view, pooled in scores(*pooled_windows(nights, epochs)).items()
    }


def confusions(nights: Sequence[PredictedNight], view: str, epochs: str = "all") -> np.ndarray:
    """Confusion matrices, [nights, classes, classes]."""
    return np.stack([confusion(night.counted_stages(epochs), night.probabilities, view) for night in nights])


def summary(entries: Sequence[dict[str, Any]], matrices: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Spread over seeds and repeats of the same model.

    Args:
        entries: The entries of "results" in evaluation.json.
        matrices: Five-stage confusion matrices of each entry, [nights, 5, 5].

    Returns:
        An entry per model and operating point. "consistent": with several repeats, whether each one's pooled kappa lies
        in the range of `expected_kappa`; else None.
    """
    groups = pd.DataFrame(entries).groupby(["architecture", "precision", "operating_point"], sort=False).indices
    summaries = []
    for (architecture, precision, point), indices in groups.items():
        members = [entries[i] for i in indices]
        several = len({entry["repeat"] for entry in members}) > 1
        kappas = [float(agreement(matrices[i].sum(0))["kappa"]) for i in indices]
        expected = expected_kappa([matrices[i] for i in indices])
        within = (expected[:, 0] <= kappas) & (kappas <= expected[:, 1])
        model = {"architecture": architecture, "precision": precision, "operating_point": point}
        spread = {v: {name: _spread(e["scored"]["all"][v][name] for e in members) for name in SPREAD} for v in VIEWS}
        repeats = [
            {"seed": e["seed"], "repeat": e["repeat"], "kappa": k, "expected": limits if several else None}
            for e, k, limits in zip(members, kappas, expected, strict=True)
        ]
        consistent = bool(within.all()) if several else None
        summaries.append(model | {"results": len(members)} | spread | {"consistent": consistent, "repeats": repeats})
    return summaries


def _spread(values) -> dict[str, float]:
    return pd.Series([*values]).agg({"mean": "mean", "sd": "std", "min": "min", "max": "max"}).to_dict()


def draw(
    folder: Path,
    results: Sequence[Result],
    scored_nights: Sequence[Sequence[PredictedNight]],
    entries: Sequence[dict[str, Any]],
    seconds: int,
) -> dict[str, str]:
    """Draw the plots of a report.

    Args:
        folder: Output folder.
        results: All results.
        scored_nights: The nights with scored epochs of each result.
        entries: `figures` of each result.
        seconds: Length of a stride, s.

    Returns:
        {file name: caption}.
    """
    main = entries[0]
    captions, panels, kappas = {}, {}, {}
    for result, nights, entry in zip(results, scored_nights, entries, strict=True):
        if result.operating_point == "default" and result.architecture not in panels:
            panels[result.architecture] = _confusion_panel(nights, "5")
            kappas[result.architecture] = {s: views["5"]["kappa"] for s, views in entry["subjects"].items()}
    nights = scored_nights[0]
    count = plots.count_of_nights(len(nights))
    model = plots.model_name(results[0].architecture, results[0].precision)
    title = f"{model}: {count}, Cohen's κ {main['scored']['all']['5']['kappa']:.2f}"
    if panels:
        named = {plots.model_name(name): panel for name, panel in panels.items()}
        plots.plot_confusion(named, folder / CONFUSION, count)
        captions[CONFUSION] = "Confusion, five stages, of each architecture"
        plots.plot_subjects(kappas, folder / SUBJECTS_PLOT)
        captions[SUBJECTS_PLOT] = "Each subject's Cohen's κ, five stages"
    views = {f"{view} classes": _confusion_panel(nights, view) for view in VIEWS}
    plots.plot_confusion(views, folder / CONFUSION_VIEWS, f"{model}: {count}")
    captions[CONFUSION_VIEWS] = "Confusion in every view"
    plots.plot_reliability(main["calibration"], folder / RELIABILITY, title)
    captions[RELIABILITY] = "Reliability: how often a stage predicted with some probability is right"
    plots.plot_by_hour(main["by_hour"], folder / BY_HOUR, title)
    captions[BY_HOUR] = "Accuracy and κ by hour of the night"
    scored, predicted = map(sleep_table, hypnograms(nights, seconds))
    enough = len(nights) >= LEAST_NIGHTS[BLAND_ALTMAN]
    if enough and plots.plot_bland_altman(scored, predicted, folder / BLAND_ALTMAN, title):
        captions[BLAND_ALTMAN] = "Bland-Altman: predicted minus scored against scored"
    return captions | _draw_nights(folder, model, nights, main, seconds)


def _draw_nights(
    folder: Path, model: str, nights: Sequence[PredictedNight], main: dict[str, Any], seconds: int
) -> dict[str, str]:
    """Plot the night of median kappa and, if there are enough nights, the best and the worst; {file name: caption}."""
    captions = {}
    ranked = sorted(nights, key=lambda night: main["subjects"][night.subject]["5"]["kappa"])
    chosen = {"median": ranked[len(ranked) // 2]}
    if len(ranked) >= LEAST_NIGHTS["best and worst"]:
        chosen |= {"best": ranked[-1], "worst": ranked[0]}
    for name, night in chosen.items():
        epochs = whole_epochs(night)
        kappa = main["subjects"][night.subject]["5"]["kappa"]
        title = f"{model}, night {night.subject} ({name} of {len(ranked)} by κ): Cohen's κ {kappa:.2f}"
        path = night_plot(folder, name)
        plots.plot_night(title, predictions_table(epochs), max(seconds, EPOCH_S), path, epochs.stages)
        captions[path.name] = title
    return captions


def _confusion_panel(nights: Sequence[PredictedNight], view: str):
    """(scored classes, predicted classes, names of the classes), for `plot_confusion`."""
    return *classes(*pooled_windows(nights), view)[:2], VIEWS[view][0]
