"""report.md: the scores in evaluation.json as tables, with the plots; the text is in templates/report.md.jinja."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.constants import STAGES
from pipeline.run_folder import EVALUATION_PAGE
from scoring.metrics import VIEWS
from scoring.pages import page
from scoring.sleep_statistics import UNITS
from scoring.tables import markdown_table, number

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = ("accuracy", "kappa", "macro_f1")


def report_page(document: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """Render report.md.

    Args:
        document: Content of evaluation.json.
        plots: {file name: caption}.
    """
    results, main, protocol = document["results"], document["results"][0], document["protocol"]
    several = [group for group in document["summary"] if group["results"] > 1]
    return page(
        TEMPLATES,
        EVALUATION_PAGE,
        leak=protocol.get("split_by") == "window",
        simulated=protocol.get("simulated", False),
        lead=_lead(main, protocol),
        protocol={name: value for name, value in protocol.items() if not isinstance(value, dict | list)},
        results=_results_table(results),
        sets=_sets_table(results),
        valid="walch_valid" in main["scored"],
        unknown=main.get("unknown_share"),
        spread=_spread_table(several),
        repeats=_repeats_table([group for group in several if group["consistent"] is not None]),
        main=_model_name(main),
        views=_views_table(main),
        stages=_stages_table(main),
        sleep=_sleep_table(main),
        errors=_errors_table(main["sleep"]["error_matrix"]),
        subjects=_subjects_table(main),
        plots=plots,
    )


def _lead(main: Mapping[str, Any], protocol: Mapping[str, Any]) -> list[str]:
    """Three sentences on the main model: its agreement, the nights it was scored on, and its weakest stage."""
    five, four = main["scored"]["all"]["5"], main["scored"]["all"]["4"]
    kappa = _interval(five["kappa"], five["per_subject"]["kappa"]["interval"])
    agreement = f"Cohen's κ (agreement beyond chance; 1 is perfect) is {kappa} for five stages"
    agreement += f" and {number(four['kappa'])} for four"
    accuracy = f"accuracy is {number(five['accuracy'])}; always predicting the most frequent stage would give"
    nights = len(main["subjects"])
    named = f" of {protocol['data'].replace('unknown', 'unknown origin')}" if protocol.get("data") else ""
    counted = f"{nights} night{'s' if nights > 1 else ''}{named} ({main['epochs']['all']} epochs of 30 s)"
    recalls = {stage: recall for stage, recall in five["recall"].items() if recall is not None}
    weakest = min(recalls, key=recalls.get)
    sleep = main["sleep"]["bland_altman"]["TST"]
    found = f"Its weakest stage is {weakest}: it finds {100 * recalls[weakest]:.0f} % of these epochs"
    if sleep["bias"] is not None:
        found += f", and total sleep time is off by {sleep['bias']:+.0f} min on average"
    return [
        f"**{_model_name(main)}**: {agreement}; {accuracy} {number(five['majority_accuracy'])}.",
        f"Scored on {counted}, {_training_note(protocol)}.",
        f"{found}.",
    ]


def _training_note(protocol: Mapping[str, Any]) -> str:
    """Whether the models were trained on the scored subjects, as text."""
    if protocol.get("split_by") == "window":
        return "other windows of which were trained on: **a leak**"
    return "predicted by models that were not trained on these subjects"


def _interval(value: float, limits: Sequence[float] | None) -> str:
    return number(value) + (f" [{number(limits[0])}, {number(limits[1])}]" if limits else "")


def _model_name(entry: Mapping[str, Any]) -> str:
    point = entry["operating_point"]
    return f"{entry['architecture']}, {entry['precision']}" + ("" if point == "default" else f", {point}")


def _results_table(results: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for entry in results:
        five, valid = entry["scored"]["all"]["5"], entry["scored"].get("walch_valid", {}).get("5", {})
        model = [_model_name(entry), entry["seed"], entry["repeat"], len(entry["subjects"]), entry["epochs"]["all"]]
        spread = five["per_subject"]
        pooled = [_interval(five[name], spread[name]["interval"]) for name in FIGURES]
        rem = [number(five[name]["REM"], 2) for name in ("recall", "precision")]
        rows.append([*model, number(five["majority_accuracy"]), *pooled, number(valid.get("kappa")), *rem])
    head = ["model", "seed", "repeat", "nights", "epochs", "largest class", "accuracy", "κ", "macro F1"]
    return markdown_table([*head, "κ, valid epochs", "REM recall", "REM precision"], rows)


def _sets_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Scores of each data set; "" if there is only one."""
    rows = []
    for entry in results:
        for name, of_set in entry.get("sets", {}).items():
            five = of_set["scored"]["5"]
            spread = five["per_subject"]
            pooled = [_interval(five[figure], spread[figure]["interval"]) for figure in FIGURES]
            model = [_model_name(entry), entry["seed"], entry["repeat"], name, of_set["nights"], of_set["epochs"]]
            rows.append([*model, number(five["majority_accuracy"]), *pooled])
    head = ["model", "seed", "repeat", "data set", "nights", "epochs", "largest class", "accuracy", "κ", "macro F1"]
    return markdown_table(head, rows) if rows else ""


def _spread_table(summary: Sequence[Mapping[str, Any]]) -> str:
    def cell(spread):
        return f"{number(spread['mean'])} ± {number(spread['sd'])} ({number(spread['min'])} to {number(spread['max'])})"

    rows = [
        [_model_name(group), group["results"], view] + [cell(group[view][name]) for name in FIGURES]
        for group in summary
        for view in VIEWS
    ]
    heads = [f"{name}: mean ± SD (range)" for name in ("accuracy", "κ", "macro F1")]
    return markdown_table(["model", "trainings", "classes", *heads], rows)


def _repeats_table(summary: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for group in summary:
        name, verdict = _model_name(group), "yes" if group["consistent"] else "NO"
        for repeat in group["repeats"]:
            kappa = _interval(repeat["kappa"], repeat["expected"])
            rows.append([name, repeat["repeat"], repeat["seed"], kappa, verdict])
    return markdown_table(["model", "repeat", "seed", "κ [expected]", "consistent"], rows)


def _views_table(entry: Mapping[str, Any]) -> str:
    names = ("accuracy", "majority_accuracy", "balanced_accuracy", "kappa", "macro_f1", "macro_auc")
    rows = [
        [view, epochs.removeprefix("walch_")]
        + [number(views[view][name]) for name in names]
        + [number(views[view]["per_subject"]["kappa"][name]) for name in ("mean", "sd")]
        for epochs, views in entry["scored"].items()
        for view in VIEWS
    ]
    head = ["accuracy", "largest class", "balanced accuracy", "κ", "macro F1", "macro AUC"]
    return markdown_table(["classes", "epochs", *head, "κ of a subject: mean", "SD"], rows)


def _stages_table(entry: Mapping[str, Any]) -> str:
    five, calibration = entry["scored"]["all"]["5"], entry["calibration"]
    columns = (five["recall"], five["precision"], five["auc"], calibration["stage_ece"])
    rows = [[stage, *(number(column[stage]) for column in columns)] for stage in STAGES]
    rows.append(["most likely stage", "", "", "", number(calibration["ece"])])
    return markdown_table(["stage", "recall", "precision", "AUC, one against rest", "expected calibration error"], rows)


def _sleep_table(entry: Mapping[str, Any]) -> str:
    decimals = {"bias": 1, "sd": 1, "lower": 1, "upper": 1, "slope": 2}
    rows = [
        [f"{name} ({UNITS[name]})", limits["nights"], *(number(limits[key], d) for key, d in decimals.items())]
        for name, limits in entry["sleep"]["bland_altman"].items()
    ]
    return markdown_table(["statistic", "nights", "bias", "SD", "lower limit", "upper limit", "slope"], rows)


def _errors_table(matrix: Mapping[str, Any] | None) -> str:
    def cell(share):
        if share is None or share["mean"] is None:
            return "-"
        return f"{100 * share['mean']:.0f} ± {100 * (share['sd'] or 0):.0f}"

    rows = [[scored, *(cell(matrix[scored].get(stage)) for stage in STAGES)] for scored in STAGES] if matrix else []
    return markdown_table(["scored", *STAGES], rows)


def _subjects_table(entry: Mapping[str, Any]) -> str:
    names = ("accuracy", "majority_accuracy", "kappa", "macro_f1")
    rows = [[subject, *(number(views["5"][name]) for name in names)] for subject, views in entry["subjects"].items()]
    return markdown_table(["subject", "accuracy", "largest class", "κ", "macro F1"], rows)
