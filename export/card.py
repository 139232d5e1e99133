"""MODEL_CARD.md of a bundle, from its run and report, by templates/pages/MODEL_CARD.md.jinja."""

from collections.abc import Mapping, Sequence
from typing import Any

from export.pages import has_scores, stage_table
from export.rendering import page
from pipeline.constants import STAGES
from pipeline.run_folder import RunFolder
from scoring.stress_tables import cadence_table, change_text, percentage
from scoring.tables import kilobytes, markdown_table, number

POOLED = ("accuracy", "kappa", "macro_f1")  # over the epochs of all nights
MAIN_STRESSES = (  # of pipeline.degrade.STRESSES; stress.md of the run has them all
    "no heart rate",
    "no movement",
    "noise 2 bpm",
    "noise 5 bpm",
    "smoothed 60 s",
    "30% in holes",
    "off the wrist for an hour",
    "1-Hz ECG",
    "1-Hz ECG, apnoea, no movement",
)
CHANNEL_TITLES = {"activity": "activity counts"}  # where the channel's name alone is unclear


def model_card(document: dict, captions: Mapping[str, str], run: RunFolder) -> str:
    """Text of MODEL_CARD.md.

    Args:
        document: Contents of report.json.
        captions: {file name: caption} of the plots.
        run: The bundle's run.
    """
    splits = document["data"]["splits"]
    scored = {name: entry["figures"] for name, entry in document["precisions"].items() if has_scores(entry)}
    entries = float32_results(run, document["architecture"])
    if not splits["validation"] and "default" in entries:  # from inner cross-validation
        default = entries["default"]
        scored = {"float32": {"views": default["scored"]["all"], "calibration": default["calibration"]}}
    shown = "int8" if "int8" in scored else next(iter(scored), None)
    recall = scored[shown]["views"]["5"]["recall"] if shown else {}
    points = {name: entry["scored"]["all"]["5"] for name, entry in entries.items()}
    stressed = stress_results(run, document["architecture"])

    def recall_of(stage: str) -> str:
        return f" (recall {number(recall[stage], 2)} in {shown})" if recall.get(stage) is not None else ""

    return page(
        "MODEL_CARD.md",
        **splits,
        architecture=document["architecture"],
        channels=document["channels"],
        sensors=[CHANNEL_TITLES.get(name, name.replace("_", " ")) for name in document["channels"]],
        nights=document["held_out"]["nights"],
        compared_on=document["compared_on"],
        stride_seconds=document["stride_seconds"],
        origin=document["data"]["mark"],
        subjects=sum(map(len, splits.values())),
        quality=quality_table(scored),
        spread=kappa_spread(points["default"]) if "default" in points else "",
        stages=stage_table({shown: scored[shown]["views"]}) if shown else "",
        why_none=next((e.get("why_none") for e in document["precisions"].values()), "") or "no night is scored",
        points=point_table(points) if len(points) > 1 else "",
        idle=[name for name, five in points.items() if name != "default" and five == points["default"]],
        recall_of=recall_of,
        stressed=stressed,
        cadence=cadence_table(stressed["cadence"]) if stressed else "",
        stresses=stress_table(stressed["stresses"]) if stressed else "",
        costs=cost_table(document["precisions"]),
        hparams=run.hparams,
        plots=captions,
    )


def float32_results(run: RunFolder, architecture: str) -> dict[str, dict]:
    """{operating point: entry of evaluation.json} for the full model."""
    entries = [e for e in run.evaluation_results() if (e["architecture"], e["precision"]) == (architecture, "float32")]
    return {entry["operating_point"]: entry for entry in entries}


def stress_results(run: RunFolder, architecture: str) -> dict[str, Any]:
    """The run's entry of stress.json for an architecture, preferably of the full model; {} if there is none."""
    results = run.stress_results()
    entries = {entry["precision"]: entry for entry in results if entry["architecture"] == architecture}
    return entries.get("float32") or next(iter(entries.values()), {})


def stress_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Table of the main stresses. rows: from stress.json. Returns "" if none of them was tested."""
    table = [
        [
            row["stress"],
            number(row["views"]["5"]["kappa"], 2),
            change_text(row),
            number(row["recall"]["REM"], 2),
            percentage(row["unknown_share"]),
        ]
        for row in rows
        if row["stress"] in MAIN_STRESSES
    ]
    return markdown_table(["", "κ", "change of κ [95 %]", "REM recall", "unknown"], table)


def quality_table(scored: Mapping[str, dict]) -> str:
    """Table of each precision's scores on nights that it was not trained on. scored: {precision: figures}."""
    rows = [
        [
            name,
            *(number(figures["views"]["5"][score]) for score in (*POOLED, "majority_accuracy")),
            *(number(figures["views"][view]["kappa"]) for view in ("4", "3", "2")),
            number(figures["calibration"]["ece"]),
        ]
        for name, figures in scored.items()
    ]
    head = ["", "accuracy", "κ", "macro F1", "largest class", "κ, 4 classes", "κ, 3 classes", "κ, 2 classes", "ECE"]
    return markdown_table(head, rows)


def kappa_spread(five: dict) -> str:
    """The spread of κ over subjects, as a sentence. five: five-stage figures of evaluation.json."""
    kappa = five["per_subject"]["kappa"]
    if not kappa["interval"]:
        return ""
    low, high = (number(bound, 2) for bound in kappa["interval"])
    mean = f"{number(kappa['mean'], 2)} ± {number(kappa['sd'], 2)}"
    return f"κ per subject is {mean} (full model, mean ± SD); the 95 % interval of the pooled κ is {low} to {high}."


def point_table(points: Mapping[str, dict]) -> str:
    """Table of what the operating points trade off. points: {name: five-stage figures of evaluation.json}."""
    rows = [
        [
            name,
            *(number(five[score]) for score in POOLED),
            *(number(five["recall"][stage], 2) for stage in STAGES),
            number(five["precision"]["REM"], 2),
        ]
        for name, five in points.items()
    ]
    recalls = [f"{stage} recall" for stage in STAGES]
    return markdown_table(["", "accuracy", "κ", "macro F1", *recalls, "REM precision"], rows)


def cost_table(precisions: Mapping[str, dict]) -> str:
    """Table of each precision's size, computation and memory; report.md has the rest."""
    rows = [
        [
            name,
            f"{entry['parameters']:,}",
            kilobytes(entry["bytes"]),
            f"{entry['macs_per_hour'] / 1e6:.2f}",
            kilobytes(entry["arena_bytes"]),
            "-" if entry["micro_arena_bytes"] is None else kilobytes(entry["micro_arena_bytes"]),
            number(entry["step_us"], 0),
        ]
        for name, entry in precisions.items()
    ]
    head = ["", "parameters", "KB with sensing", "million multiply-accumulates per hour of sleep", "tensors KB"]
    return markdown_table([*head, "arena in TFLite Micro KB", "step µs"], rows)
