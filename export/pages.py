"""report.md of a bundle: the tables of report.json, by templates/pages/report.md.jinja."""

from collections.abc import Callable, Mapping
from typing import Any

from export.rendering import page
from pipeline.constants import STAGES
from scoring.metrics import VIEWS
from scoring.tables import kilobytes, markdown_table, number


def report_page(document: dict, captions: Mapping[str, str]) -> str:
    """Text of report.md.

    Args:
        document: Contents of report.json.
        captions: {file name: caption} of the plots.
    """
    simulated = document["data"]["mark"]["simulated"]  # then another model's accuracy would mislead
    published = document["published"] | ({"accuracy": None} if simulated else {})
    scored = {name: entry["figures"]["views"] for name, entry in document["precisions"].items() if has_scores(entry)}
    return page(
        "report.md",
        **document | {"published": published},
        plots=captions,
        origin=document["data"]["mark"],
        costs=cost_table(document["precisions"], published),
        views=view_table(scored),
        stages=stage_table(scored),
        calls=call_table(document["files"], document["preprocessing"]),
        measured=any(file["micro_arena"] for file in document["files"].values()),
        runs=next(iter(document["files"].values()))["latency_us"]["runs"],
    )


def has_scores(entry: dict) -> bool:
    """Whether a precision of report.json has figures on scored nights."""
    return "views" in (entry["figures"] or {})


def cost_table(precisions: Mapping[str, dict], published: dict) -> str:
    """Table of all precisions, with the published model in the last column."""

    def row(title: str, text: Callable, path: tuple[str, ...], theirs: str = "-") -> list[str]:
        cells = []
        for entry in precisions.values():
            value: Any = entry
            for key in path:
                value = (value or {}).get(key)
            cells.append("-" if value is None else text(value))
        return [title, *cells, theirs]

    five = ("figures", "views", "5")
    integer = "{:,}".format
    small, share, millions = "{:.1e}".format, "{:.2%}".format, lambda value: f"{value / 1e6:.3f} M"
    rows = [
        row("accuracy, 5 classes", number, (*five, "accuracy"), number(published["accuracy"])),
        row("largest class", number, (*five, "majority_accuracy")),
        row("κ, 5 classes", number, (*five, "kappa")),
        row("macro F1, 5 classes", number, (*five, "macro_f1")),
        row("ECE", number, ("figures", "calibration", "ece")),
        row("p99 abs Δp from Keras", small, ("agreement", "p99_abs_dp")),
        row("max abs Δp from Keras", small, ("agreement", "max_abs_dp")),
        row("same stage as Keras", share, ("agreement", "same_stage")),
        row("abs Δκ from Keras", "{:.4f}".format, ("agreement", "abs_dkappa")),
        row("KB, with sensing", kilobytes, ("bytes",)),
        row("KB without contract", kilobytes, ("lean_bytes",)),
        row("operations", str, ("operations",)),
        row("parameters of the network", integer, ("parameters",), integer(published["parameters"])),
        row("multiply-accumulates per window", integer, ("macs",)),
        row("per hour of sleep", millions, ("macs_per_hour",), f"{published['flop_per_hour'] / 1e6:.1f} MFLOP"),
        row("elementwise operations per hour", millions, ("multiplications_per_hour",)),
        row("tensors, KB", kilobytes, ("arena_bytes",)),
        row("arena in TFLite Micro, KB", kilobytes, ("micro_arena_bytes",), kilobytes(published["arena_bytes"])),
        row("step, median, µs", "{:.1f}".format, ("step_us",)),
    ]
    return markdown_table(["", *precisions, published["name"]], rows)


def view_table(scored: Mapping[str, dict]) -> str:
    """Table of every view of every precision. scored: {precision: views}. Returns "" if it is empty."""
    names = ("accuracy", "majority_accuracy", "kappa", "macro_f1")
    rows = [
        [precision, view, *(number(views[view][name]) for name in names)]
        for precision, views in scored.items()
        for view in VIEWS
    ]
    return markdown_table(["precision", "classes", "accuracy", "largest class", "κ", "macro F1"], rows)


def stage_table(scored: Mapping[str, dict]) -> str:
    """Table of recall and precision of the five stages. scored: {precision: views}. Returns "" if it is empty."""
    rows = [
        [precision, kind, *(number(views["5"][kind][stage], 2) for stage in STAGES)]
        for precision, views in scored.items()
        for kind in ("recall", "precision")
    ]
    return markdown_table(["", "", *STAGES], rows)


def call_table(files: Mapping[str, dict], preprocessing: list[str]) -> str:
    """Table with a row per file."""
    rows = []
    for name, file in files.items():
        title = f"{name}, only without counts" if name in preprocessing else name
        products = [f"{file[key]:,}" for key in ("macs", "multiplications")]
        times = [number(file["latency_us"][kind], 1) for kind in ("p5", "median", "p95")]
        sizes = [kilobytes(file["bytes"]), kilobytes(file["lean_bytes"])]
        micro = file["micro_arena"] or {}
        arenas = [kilobytes(file["arena_bytes"]), kilobytes(micro["bytes"]) if "bytes" in micro else "-"]
        rows.append([title, *sizes, *products, *arenas, *times])
    head = ["file", "KB", "KB without contract", "multiply-accumulates", "elementwise", "tensors KB", "arena KB"]
    return markdown_table([*head, "5 % µs", "median µs", "95 % µs"], rows)
