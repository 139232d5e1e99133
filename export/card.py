"""MODEL_CARD.md of a bundle: export/pages/MODEL_CARD.md with what the run and its report say."""

from export.markdown import WARNINGS, kb, number, page, scored_in, stages, table
from pipeline.files import read_hparams, read_json
from pipeline.options import STAGES

SENSORS = {"activity": "activity counts"}
POOLED = ("accuracy", "kappa", "macro_f1")


def card(document, plots, run):
    """Text of MODEL_CARD.md. document: of report.json; plots: {file name: caption}; run: folder."""
    hparams, _ = read_hparams(run)
    splits, origin = document["data"]["splits"], document["data"]["origin"]
    scored = {name: of["figures"] for name, of in document["precisions"].items() if scored_in(of)}
    shown = "int8" if "int8" in scored else next(iter(scored), None)
    recall = scored[shown]["views"]["5"]["recall"] if shown else {}
    entries = evaluated(run, document["architecture"])
    points = {name: of["scored"]["all"]["5"] for name, of in entries.items()}

    def found(stage):
        return f" (recall {number(recall[stage], 2)} in {shown})" if recall.get(stage) is not None else ""

    return page(
        "MODEL_CARD.md",
        **splits,
        architecture=document["architecture"],
        channels=document["channels"],
        sensors=[SENSORS.get(name, name.replace("_", " ")) for name in document["channels"]],
        nights=document["held_out"]["nights"],
        stride_seconds=document["stride_seconds"],
        origin=origin,
        warning=WARNINGS[origin] if origin == "synthetic" else "",
        subjects=sum(map(len, splits.values())),
        quality=quality(scored),
        spread=spread(points["default"]) if "default" in points else "",
        stages=stages({shown: scored[shown]["views"]}) if shown else "",
        why_none=next((of.get("why_none") for of in document["precisions"].values()), "") or "no night is scored",
        points=operating(points) if len(points) > 1 else "",
        idle=[name for name, of in points.items() if name != "default" and of == points["default"]],
        found=found,
        costs=costs(document["precisions"]),
        hparams=hparams,
        plots=plots,
    )


def evaluated(run, architecture):
    """{operating point: entry of evaluation.json} of the full model."""
    path = run / "evaluation.json"
    results = read_json(path)["results"] if path.exists() else []
    own = [each for each in results if (each["architecture"], each["precision"]) == (architecture, "float32")]
    return {each["operating_point"]: each for each in own}


def quality(scored):
    """How good each precision is on held-out nights. scored: {precision: figures}."""
    rows = [
        [
            name,
            *(number(of["views"]["5"][n]) for n in (*POOLED, "majority_accuracy")),
            *(number(of["views"][view]["kappa"]) for view in ("4", "3", "2")),
            number(of["calibration"]["ece"]),
        ]
        for name, of in scored.items()
    ]
    head = ["", "accuracy", "κ", "macro F1", "largest class", "κ, 4 classes", "κ, 3 classes", "κ, 2 classes", "ECE"]
    return table(head, rows) if rows else ""


def spread(five):
    """κ over subjects, in words. five: five-stage figures of evaluation.json."""
    kappa = five["per_subject"]["kappa"]
    if not kappa["interval"]:
        return ""
    low, high = (number(x, 2) for x in kappa["interval"])
    own = f"{number(kappa['mean'], 2)} ± {number(kappa['sd'], 2)}"
    return f"A subject's own κ is {own} (full model, mean ± SD); 95 % interval of the pooled κ: {low} to {high}."


def operating(points):
    """What the operating points trade, in five stages. points: {name: five-stage figures of evaluation.json}."""
    rows = [
        [
            name,
            *(number(of[n]) for n in POOLED),
            *(number(of["recall"][stage], 2) for stage in STAGES),
            number(of["precision"]["REM"], 2),
        ]
        for name, of in points.items()
    ]
    return table(["", "accuracy", "κ", "macro F1", *(f"{stage} recall" for stage in STAGES), "REM precision"], rows)


def costs(precisions):
    """Size, work and memory of each precision; report.md has the rest."""
    rows = [
        [
            name,
            f"{of['parameters']:,}",
            kb(of["bytes"]),
            f"{of['macs_per_hour'] / 1e6:.2f}",
            kb(of["arena_bytes"]),
            number(of["step_us"], 0),
        ]
        for name, of in precisions.items()
    ]
    head = ["", "parameters", "KB with sensing", "million multiply-accumulates per hour of sleep", "arena KB"]
    return table([*head, "step µs"], rows)
