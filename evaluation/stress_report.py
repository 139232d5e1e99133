"""The report of a stress test: stress.json, stress.md (its text is in templates/stress.md.jinja) and stress.png."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from evaluation.report_page import TEMPLATES
from pipeline.constants import STAGES
from pipeline.degrade import AS_RECORDED
from pipeline.files import write_json, write_whole
from pipeline.run_folder import STRESS, STRESS_PAGE, STRESS_PLOT
from scoring.metrics import VIEWS
from scoring.pages import page
from scoring.plots import count_of_nights, model_name, save
from scoring.stress_tables import cadence_table, change_text, percentage
from scoring.tables import markdown_table, number

COLUMNS = 5  # panels in a line of the plot
PANEL_IN, LABEL_IN = 2.4, 0.3  # inches, height of a panel and of a label in the panel below
MARGIN = 0.05  # of κ, above the best
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")  # of the models


def write_report(folder: Path, document: Mapping[str, Any]) -> None:
    """Write stress.json, stress.md and stress.png into a folder. document: from `stress_test`."""
    folder = Path(folder)
    drawn = plot_stresses(document["results"], len(document["nights"]), folder / STRESS_PLOT)
    write_whole(folder / STRESS_PAGE, stress_page(document, drawn))
    write_json(folder / STRESS, document)


def stress_page(document: Mapping[str, Any], drawn: bool = True) -> str:
    """Render stress.md.

    Args:
        document: Content of stress.json.
        drawn: Whether there is a plot.
    """
    results = [
        result | {"cadence": cadence_table(result["cadence"]), "stresses": stress_table(result["stresses"])}
        for result in document["results"]
    ]
    return page(TEMPLATES, STRESS_PAGE, **{**document, "results": results}, drawn=drawn)


def stress_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of all scores, a row per stress."""
    table = [
        [
            row["stress"],
            *(number(row["views"][view]["kappa"]) for view in VIEWS),
            number(row["views"]["5"]["macro_f1"]),
            "" if row["stress"] == AS_RECORDED else change_text(row),
            *(number(row[name]["REM"], 2) for name in ("recall", "precision")),
            *(number(row["predicted_per_scored"][stage], 2) for stage in STAGES),
            percentage(row["unknown_share"]),
        ]
        for row in rows
    ]
    kappas = [f"κ, {view} classes" for view in VIEWS]
    ratios = [f"{stage} predicted per scored" for stage in STAGES]
    head = ["stress", *kappas, "macro F1", "change of κ [95 %]", "REM recall", "REM precision", *ratios, "unknown"]
    return markdown_table(head, table)


def plot_stresses(results: Sequence[Mapping[str, Any]], nights: int, path: Path) -> bool:
    """κ against strength, a small panel per kind of stress; kinds without a strength share a panel below.

    Args:
        results: As stress.json has them: a colour per model.
        nights: How many they are of.
        path: PNG to write.

    Returns:
        Whether there was any stress to plot.
    """
    rows = [row for row in results[0]["stresses"] if row["stress"] != AS_RECORDED]
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["strength"] is not None))
    single = [row["stress"] for row in rows if row["strength"] is None]
    lines = -(-len(kinds) // COLUMNS)  # of panels, rounded up
    heights = [PANEL_IN] * lines + [max(PANEL_IN, LABEL_IN * (len(single) + 2))] * bool(single)
    if not heights:
        return False
    figure = plt.figure(figsize=(2.5 * COLUMNS, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), COLUMNS, height_ratios=heights)
    axes = {kind: figure.add_subplot(grid[divmod(i, COLUMNS)]) for i, kind in enumerate(kinds)}
    below = figure.add_subplot(grid[-1, :]) if single else None
    for result, colour in zip(results, cycle(COLOURS), strict=False):
        kappas = {row["stress"]: row["views"]["5"]["kappa"] for row in result["stresses"]}
        name = f"{model_name(result['architecture'], result['precision'])} (as recorded: κ {kappas[AS_RECORDED]:.2f})"
        for kind, axis in axes.items():
            points = [(row["strength"], kappas[row["stress"]]) for row in rows if row["kind"] == kind]
            axis.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
            axis.axhline(kappas[AS_RECORDED], color=colour, lw=0.8, ls="--")
        if below:
            below.plot([kappas[stress] for stress in single], single, "o", color=colour, label=name)
            below.axvline(kappas[AS_RECORDED], color=colour, lw=0.8, ls="--")
    all_kappas = [row["views"]["5"]["kappa"] for result in results for row in result["stresses"]]
    low, top = min(0, *all_kappas), max(all_kappas)
    for i, (kind, axis) in enumerate(axes.items()):
        unit = next(row["unit"] for row in rows if row["kind"] == kind)
        axis.set(xlabel=unit, ylim=(low, top + MARGIN))
        axis.set_title(kind.replace(", ", ",\n"), fontsize="medium")
        if i % COLUMNS == 0:
            axis.set_ylabel("Cohen's κ")
    if below:
        below.set(xlabel="Cohen's κ", xlim=(low, top + MARGIN), ylim=(len(single) - 0.5, -0.5))
    figure.suptitle(
        f"Agreement with the scored stages when sensors are worse, {count_of_nights(nights)}; dashed: as recorded"
    )
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)
    return True
