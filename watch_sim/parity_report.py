"""The parity verdict of a run: table, plots, parity.json, and what becomes of files whose gate fails."""

from pathlib import Path

import click
from rich.table import Table

from evaluation.plots import plot_parity
from export.bundle import read_contract, reject
from export.contract import stager_path
from export.report import MEASURED, measured, write_report
from pipeline.files import write_json
from watch_sim.parity import check


def check_run(run, report_path=None, draw_to=None, reject_failed=True, **asked):
    """Check a run, print the verdict, write parity.json and a plot per architecture. Returns whether all gates hold.

    asked: as of watch_sim.parity.check. reject_failed: the check that ends a training. Files whose gate
    fails go to <run>/rejected/<architecture>, and the bundles' reports are written, from what is kept as measured.json.
    """
    report, nights, said = check(run, **asked)
    bundles = {architecture: run.folder / "bundles" / architecture for architecture in said}
    for model in report["models"]:
        architecture, precision = model["architecture"], model["precision"]
        plan = read_contract(bundles[architecture], [precision])["precisions"][precision]
        model["measured"] = measured(bundles[architecture], plan, nights, said[architecture][1][precision])
    for architecture, (reference, watch) in said.items():
        path = (draw_to or run.folder) / f"parity_{architecture}.png"
        plot_parity(nights[0], run.options.stride, reference[0], {p: x[0] for p, x in watch.items()}, path)
    if reject_failed:
        for architecture in said:
            failed = [m["precision"] for m in report["models"] if m["architecture"] == architecture and not m["passed"]]
            if failed:
                reject(bundles[architecture], failed, run.folder / "rejected" / architecture)
        for model in report["models"]:  # a bundle that lost a file has a shorter contract in the others
            home = "bundles" if model["passed"] else "rejected"
            model["bytes"] = stager_path(run.folder / home / model["architecture"], **model).stat().st_size
    write_json(report_path or run.folder / "parity.json", report)
    if reject_failed:
        write_json(run.folder / MEASURED, report)
        for bundle in filter(Path.is_dir, bundles.values()):
            write_report(bundle, run.folder)
    show(report)
    return report["passed"]


def show(report):
    """Print a parity report: a table of the models, then the rungs below them."""
    table = Table("architecture", "precision", title=f"watch against full model, {len(report['nights'])} night(s)")
    for name in (
        "file KB",
        "p99 |Δp|",
        "max |Δp|",
        "same stage",
        "|Δκ|",
        "drift |Δp|, first to last hour",
        "first divergence",
    ):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for model in report["models"]:
        first, kappa = model["first_divergence"], model["abs_dkappa"]
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
    click.echo(rendered(table))
    step = max(report["step"].values(), key=lambda each: each["max_abs_dp"])
    for what, rung in (("online = offline alignment", report["alignment"]), ("step = sequence form in Keras", step)):
        size = f"max |Δp| {rung['max_abs_dp']:.1e}" if "max_abs_dp" in rung else f"{rung['windows']} windows"
        click.echo(f"{what}: {'pass' if rung['passed'] else 'FAIL at ' + str(rung['first_divergence'])} ({size})")
    click.echo("all gates hold" if report["passed"] else "a gate FAILED")


def rendered(table):
    """A table as text, wide enough wherever it is printed."""
    from rich.console import Console

    wide = Console(width=160, color_system=None)
    with wide.capture() as text:
        wide.print(table)
    return text.get().rstrip()
