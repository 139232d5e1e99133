"""A run's parity report: table, plots and JSON; moves files that fail their gate to `rejected`."""

from pathlib import Path

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from apps.python.sleep_stager import SIMULATED
from export.bundle import read_bundle, reject_precisions
from export.contract import stager_path
from export.report import measurements, write_report
from models.trained_run import TrainedRun
from pipeline.files import read_json, write_json
from pipeline.outputs import must_be_free
from pipeline.run_folder import MODELS_PLOT
from pipeline.scratch import sole_use_of_output
from scoring.plots import plot_models, plot_parity
from watch_sim.parity import ParityCheck, check

TABLE_WIDTH = 160  # characters, regardless of the terminal


def check_training(run: TrainedRun, **settings) -> bool:
    """The check at the end of a training.

    Writes parity.json, a plot per architecture and the bundles' reports; files that fail their gate go to `rejected`.

    Args:
        run: The run, with its bundles.
        settings: Passed to `watch_sim.parity.check`.

    Returns:
        Whether all gates pass.
    """
    parity = check(run, **settings)
    report = parity.report
    add_measurements(run, parity)
    draw_nights(run.parity_report, run, parity)
    for architecture in parity.reference:
        failed = [m["precision"] for m in report["models"] if m["architecture"] == architecture and not m["passed"]]
        if failed:
            reject_precisions(run.bundle(architecture), failed, run.rejected(architecture))
    for model in report["models"]:  # after a rejection, the contract embedded in the remaining files is shorter
        architecture, precision = model["architecture"], model["precision"]
        folder = run.bundles / architecture if model["passed"] else run.rejected(architecture)
        model["bytes"] = stager_path(folder, architecture, precision).stat().st_size
    write_json(run.parity_report, report)
    for architecture in parity.reference:
        if (run.bundles / architecture).is_dir():
            write_report(run.bundles / architecture, run)
    draw_models(run, report)
    print_report(report)
    return report["passed"]


def draw_models(run: TrainedRun, report: dict) -> None:
    """Plot κ on the held-out nights, if any, against size and time per step of each accepted file."""
    rows = []
    for model in report["models"]:
        if model["passed"] and not run.all_trained_on:
            cost = read_json(run.bundles / model["architecture"] / "report.json")["precisions"][model["precision"]]
            named = {name: model[name] for name in ("architecture", "precision", "bytes")}
            rows.append(named | {"kappa": model["measured"]["views"]["5"]["kappa"], "step_us": cost["step_us"]})
    if rows:
        plot_models(pd.DataFrame(rows), len(report["nights"]), run.path / MODELS_PLOT)


def check_again(run: TrainedRun, report_path: Path | None = None, **settings) -> bool:
    """A later check, whose report and plots do not replace those of the training or of other checks.

    Args:
        run: The run, with its bundles.
        report_path: Where to write the report instead.
        settings: Passed to `watch_sim.parity.check`.

    Returns:
        Whether all gates pass.

    Raises:
        UserMistake: A plot next to the report would replace a file of a run.
    """
    if report_path:
        for architecture in run.options.architectures:
            must_be_free("--json", run.parity_plot(report_path, architecture))
    with sole_use_of_output(run.path, report_path):
        parity = check(run, **settings)
        add_measurements(run, parity)
        path = report_path or run.new_parity_check()
        draw_nights(path, run, parity)
        write_json(path, parity.report)
    print_report(parity.report)
    click.echo(str(path))
    return parity.report["passed"]


def add_measurements(run: TrainedRun, parity: ParityCheck) -> None:
    """Add each model's scores on these nights, and the digests of its files, to the report."""
    for model in parity.report["models"]:
        architecture, precision = model["architecture"], model["precision"]
        bundle = run.bundle(architecture)
        plan = read_bundle(bundle, [precision]).precisions[precision]
        model["measured"] = measurements(bundle, plan, parity.nights, parity.live[architecture, precision])


def draw_nights(report_path: Path, run: TrainedRun, parity: ParityCheck) -> None:
    """Plot the first night for each architecture next to a report."""
    for architecture, reference in parity.reference.items():
        live = {precision: nights[0] for (name, precision), nights in parity.live.items() if name == architecture}
        path = run.parity_plot(report_path, architecture)
        plot_parity(architecture, parity.nights[0], run.options.stride, reference[0], live, path)


def print_report(report: dict) -> None:
    """Print a parity report: a table of the models, then rungs 1 and 2 below it."""
    click.echo(as_text(models_table(report)))
    step = max(report["step"].values(), key=lambda rung: rung["max_abs_dp"])
    alignment = report["alignment"]
    windows = f"{alignment['windows']} windows, {alignment['unknown_windows']} of them unknown"
    for name, rung, size in (
        ("online = offline alignment", alignment, windows),
        ("step = sequence form in Keras", step, f"max |Δp| {step['max_abs_dp']:.1e}"),
    ):
        click.echo(f"{name}: {'pass' if rung['passed'] else 'FAIL at ' + str(rung['first_divergence'])} ({size})")
    if report.get("simulated"):
        click.echo(f"simulated: {SIMULATED}")
    click.echo("all gates passed" if report["passed"] else "a gate FAILED")


def models_table(report: dict) -> Table:
    """Table with a row per model: figures of rung 4 and the verdict."""
    table = Table("architecture", "precision", title=f"watch against full model, {len(report['nights'])} night(s)")
    figures = ("file KB", "p99 |Δp|", "max |Δp|", "same stage", "|Δκ|", "drift |Δp|, first to last hour")
    for name in (*figures, "first divergence"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for model in report["models"]:
        first = model["first_divergence"]
        kappa = model["abs_dkappa"]
        table.add_row(
            model["architecture"],
            model["precision"],
            f"{model['bytes'] / 1000:.1f}",
            f"{model['p99_abs_dp']:.1e}",
            f"{model['max_abs_dp']:.1e}",
            f"{model['same_stage']:.2%}",
            "-" if kappa is None else f"{kappa:.4f}",
            f"{model['drift'][0]:.1e} to {model['drift'][-1]:.1e}",
            f"{first['night']} epoch {first['window']}" if first else "none",
            "pass" if model["passed"] else "FAIL",
        )
    return table


def as_text(table: Table) -> str:
    """A table as plain text."""
    console = Console(width=TABLE_WIDTH, color_system=None)
    with console.capture() as text:
        console.print(table)
    return text.get().rstrip()
