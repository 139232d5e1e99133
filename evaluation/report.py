"""What an evaluation reports: evaluation.json, report.md and plots, of models on nights that were held out."""

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation import plots
from evaluation.markdown import markdown
from evaluation.metrics import (
    VIEWS,
    agreement,
    by_hour,
    calibration,
    classes,
    confusion,
    expected_kappa,
    over_subjects,
    scores,
)
from evaluation.results import PROBABILITY_COLUMNS
from evaluation.sleep import bland_altman, epochs, error_matrix, hypnograms, sleep_table
from pipeline.files import write_json, write_whole
from pipeline.options import EPOCH_S, UserMistake

SPREAD = ("accuracy", "kappa", "macro_f1")


def report(folder, protocol, results, seconds=EPOCH_S, progress=lambda what: None):
    """Write evaluation.json, report.md and its plots into a folder; returns what evaluation.json holds.

    protocol: plain dict, how the nights came to be held out. results: list of evaluation.results.Result; the first is
    the main one, which is drawn in full. seconds: of a stride. progress: called with what is being worked on.
    Nights without a scored epoch are left out; UserMistake where a result has no others. NaN is written as null.
    """
    folder, entries, kept = Path(folder), [], [[n for n in r.nights if (n.stages >= 0).any()] for r in results]
    for result, nights in zip(results, kept, strict=True):
        name = f"{result.architecture} {result.precision}"
        if not nights:
            raise UserMistake(f"{name}: none of {len(result.nights)} night(s) has a scored epoch")
        progress(f"scoring {name}")
        known = {key: value for key, value in vars(result).items() if key != "nights"}
        entries.append(known | figures(nights, seconds))
    spread = summary(entries, [confusions(nights, "5") for nights in kept])
    document = plain({"protocol": protocol, "results": entries, "summary": spread})
    progress("drawing")
    drawn = draw(folder, results, kept, entries[0], seconds)
    write_json(folder / "evaluation.json", document)
    write_whole(folder / "report.md", markdown(document, drawn))
    return document


def figures(nights, seconds):
    """All figures of one result, but for its name: nested dict. nights: of SaidNight, each with scored epochs."""
    masked = [n for n in nights if n.valid is not None and (n.scored("walch_valid") >= 0).any()]
    sets = {"all": nights} | ({"walch_valid": masked} if masked else {})
    stages, p, times = (np.concatenate([getattr(n, k) for n in nights]) for k in ("stages", "probabilities", "times"))
    scored, said = hypnograms(nights, seconds)
    tables = {"scored": sleep_table(scored), "said": sleep_table(said)}
    return {
        "scored": {which: pooled(own, which) for which, own in sets.items()},
        "epochs": {which: int(sum((n.scored(which) >= 0).sum() for n in own)) for which, own in sets.items()},
        "subjects": {n.subject: scores(n.stages, n.probabilities) for n in nights},
        "calibration": calibration(stages, p),
        "by_hour": by_hour(times, stages, p),
        "sleep": {
            "nights": {n.subject: {k: t.loc[n.subject].to_dict() for k, t in tables.items()} for n in nights},
            "bland_altman": bland_altman(**tables),
            "error_matrix": error_matrix(scored, said),
        },
    }


def pooled(nights, which):
    """`scores` over the epochs of all nights together, with "per_subject" of each view."""
    out = scores(np.concatenate([n.scored(which) for n in nights]), np.concatenate([n.probabilities for n in nights]))
    return {v: own | {"per_subject": over_subjects(confusions(nights, v, which))} for v, own in out.items()}


def confusions(nights, view, which="all"):
    """[nights, classes, classes] confusion matrices."""
    return np.stack([confusion(n.scored(which), n.probabilities, view) for n in nights])


def summary(entries, matrices):
    """Spread over seeds and repeats of the same model, a list of dicts. matrices: five-stage confusions of each entry.

    "consistent": where there are several repeats, whether each one's pooled kappa lies where `expected_kappa` has it.
    """
    groups = pd.DataFrame(entries).groupby(["architecture", "precision", "operating_point"], sort=False).indices
    out = []
    for (architecture, precision, point), of in groups.items():
        own, several = [entries[i] for i in of], len({entries[i]["repeat"] for i in of}) > 1
        kappas = [float(agreement(matrices[i].sum(0))["kappa"]) for i in of]
        expected = expected_kappa([matrices[i] for i in of])
        fits = (expected[:, 0] <= kappas) & (kappas <= expected[:, 1])
        out.append(
            {"architecture": architecture, "precision": precision, "operating_point": point, "results": len(of)}
            | {v: {name: _spread(e["scored"]["all"][v][name] for e in own) for name in SPREAD} for v in VIEWS}
            | {"consistent": bool(fits.all()) if several else None}
            | {
                "repeats": [
                    {"seed": e["seed"], "repeat": e["repeat"], "kappa": k, "expected": x if several else None}
                    for e, k, x in zip(own, kappas, expected, strict=True)
                ]
            }
        )
    return out


def _spread(values):
    return pd.Series([*values]).agg({"mean": "mean", "sd": "std", "min": "min", "max": "max"}).to_dict()


def draw(folder, results, kept, main, seconds):
    """The plots, as {file name: caption} of those there are. main: the figures of the first result."""
    panels = {}
    for result, nights in zip(results, kept, strict=True):
        if result.operating_point == "default" and result.architecture not in panels:
            panels[result.architecture] = _panel(nights, "5")
    nights, out = kept[0], {}
    if panels:
        plots.plot_confusion(panels, folder / "confusion.png")
        out["confusion.png"] = "Confusion, five stages, of each architecture"
    plots.plot_confusion({f"{v} classes": _panel(nights, v) for v in VIEWS}, folder / "confusion_views.png")
    plots.plot_reliability(main["calibration"], folder / "reliability.png")
    plots.plot_by_hour(main["by_hour"], folder / "by_hour.png")
    out |= {
        "confusion_views.png": "Confusion in every view",
        "reliability.png": "Reliability: how often a stage said with some probability is right",
        "by_hour.png": "Accuracy and κ by hour of the night",
    }
    tables = map(sleep_table, hypnograms(nights, seconds))
    if len(nights) > 1 and plots.plot_bland_altman(*tables, folder / "bland_altman.png"):
        out["bland_altman.png"] = "Bland-Altman: said minus scored against scored"
    ranked = sorted(nights, key=lambda n: main["subjects"][n.subject]["5"]["kappa"])
    for name, night in {"worst": ranked[0], "median": ranked[len(ranked) // 2], "best": ranked[-1]}.items():
        stages, p = epochs(night)
        title = f"{night.subject}, the {name}: κ {main['subjects'][night.subject]['5']['kappa']:.2f}"
        table = pd.DataFrame(p, columns=PROBABILITY_COLUMNS)
        plots.plot_night(title, table, max(seconds, EPOCH_S), folder / f"night_{name}.png", stages)
        out[f"night_{name}.png"] = f"Night {title}"
    return out


def _panel(nights, view):
    stages, p = (np.concatenate([getattr(n, key) for n in nights]) for key in ("stages", "probabilities"))
    return *classes(stages, p, view)[:2], VIEWS[view][0]


def plain(value):
    """The value as JSON knows it: plain numbers, lists for arrays, None for NaN."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return None if isinstance(value, float) and np.isnan(value) else value
