"""report.md of a bundle: the tables of report.json, in export/pages/report.md."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.metrics import VIEWS
from pipeline.options import STAGES

SYNTHETIC = """> **SIMULATED NIGHTS.** This model was trained and scored on nights that a program made up. Nothing about
> people follows from any figure here: neither accuracy, nor agreement with polysomnography, nor fitness for any use."""
OTHER = """> The nights are the user's own: who is in them, how they were scored and under which licence they are is not
> known to the program that wrote this."""
WARNINGS = {"synthetic": SYNTHETIC, "other": OTHER, "sleep-accel": ""}


def page(name, **known):
    """A page of export/pages with what is known filled in; blank lines that come of it are taken out."""
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), undefined=StrictUndefined)
    parts = pages.get_template(name).render(known).split("\n\n")
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def table(head, rows):
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [head, ["---"] * len(head), *rows])


def number(value, digits=3):
    """A number as text; - for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def markdown(document, plots):
    """Text of report.md. document: of report.json; plots: {file name: caption}."""
    scored = {name: of["figures"]["views"] for name, of in document["precisions"].items() if scored_in(of)}
    return page(
        "report.md",
        **document,
        plots=plots,
        warning=WARNINGS[document["data"]["origin"]],
        costs=costs(document["precisions"], document["published"]),
        views=views(scored),
        stages=stages(scored),
        calls=calls(document["files"], document["preprocessing"]),
        runs=next(iter(document["files"].values()))["latency_us"]["runs"],
    )


def scored_in(precision):
    """Whether a precision of report.json has figures on scored nights."""
    return "views" in (precision["figures"] or {})


def costs(precisions, other):
    """The table of all precisions, and of the published model beside them."""

    def row(title, text, path, theirs="-"):
        cells = []
        for value in precisions.values():
            for key in path:
                value = (value or {}).get(key)
            cells.append("-" if value is None else text(value))
        return [title, *cells, theirs]

    five, integer = ("figures", "views", "5"), "{:,}".format
    small, share, millions = "{:.1e}".format, "{:.2%}".format, lambda value: f"{value / 1e6:.3f} M"
    rows = [
        row("accuracy, 5 classes", number, (*five, "accuracy"), number(other["accuracy"])),
        row("largest class", number, (*five, "majority_accuracy")),
        row("κ, 5 classes", number, (*five, "kappa")),
        row("macro F1, 5 classes", number, (*five, "macro_f1")),
        row("ECE", number, ("figures", "calibration", "ece")),
        row("p99 abs Δp from Keras", small, ("agreement", "p99_abs_dp")),
        row("max abs Δp from Keras", small, ("agreement", "max_abs_dp")),
        row("same stage as Keras", share, ("agreement", "same_stage")),
        row("abs Δκ from Keras", "{:.4f}".format, ("agreement", "abs_dkappa")),
        row("KB, with sensing", kb, ("bytes",)),
        row("KB without contract", kb, ("lean_bytes",)),
        row("operations", str, ("operations",)),
        row("parameters of the network", integer, ("parameters",), integer(other["parameters"])),
        row("multiply-accumulates per window", integer, ("macs",)),
        row("per hour of sleep", millions, ("macs_per_hour",), f"{other['flop_per_hour'] / 1e6:.1f} MFLOP"),
        row("elementwise besides, per hour", millions, ("multiplications_per_hour",)),
        row("tensor arena, KB", kb, ("arena_bytes",), kb(other["arena_bytes"])),
        row("step, median, µs", "{:.1f}".format, ("step_us",)),
    ]
    return table(["", *precisions, other["name"]], rows)


def kb(count):
    """Bytes as text in KB."""
    return f"{count / 1000:.1f}"


def views(scored):
    """Every view of every precision. scored: {precision: views}; "" where there is none."""
    names = ("accuracy", "majority_accuracy", "kappa", "macro_f1")
    rows = [[name, v, *(number(of[v][n]) for n in names)] for name, of in scored.items() for v in VIEWS]
    return table(["precision", "classes", "accuracy", "largest class", "κ", "macro F1"], rows) if rows else ""


def stages(scored):
    """Recall and precision of the five stages. scored: {precision: views}; "" where there is none."""
    rows = [
        [name, kind, *(number(of["5"][kind][stage], 2) for stage in STAGES)]
        for name, of in scored.items()
        for kind in ("recall", "precision")
    ]
    return table(["", "", *STAGES], rows) if rows else ""


def calls(files, preprocessing):
    """A row per file."""
    rows = []
    for name, of in files.items():
        title = f"{name}, only without counts" if name in preprocessing else name
        macs = [f"{of[key]:,}" for key in ("macs", "multiplications")]
        taken = [number(of["latency_us"][kind], 1) for kind in ("p5", "median", "p95")]
        rows.append([title, kb(of["bytes"]), kb(of["lean_bytes"]), *macs, kb(of["arena_bytes"]), *taken])
    head = ["file", "KB", "KB without contract", "multiply-accumulates", "elementwise", "arena KB"]
    return table([*head, "5 % µs", "median µs", "95 % µs"], rows)
