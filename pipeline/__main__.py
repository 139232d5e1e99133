"""python -m pipeline download DIR | check DIR | synthesize DIR | import SOURCE PATH OUT"""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from datetime import date, datetime
from pathlib import Path

import click

from pipeline import download as downloading
from pipeline.checks import Finding, write_findings
from pipeline.command_line import (
    Commands,
    NamedPath,
    OutputFile,
    console,
    json_option,
    option,
    parallel,
    parallel_here,
    progress_bar,
)
from pipeline.errors import UserMistake
from pipeline.files import write_json
from pipeline.importers.request import ImportRequest, zone_named
from pipeline.importers.run import SOURCES, import_nights
from pipeline.nights import WORTH_A_CHILD, load_night
from pipeline.options import Options
from pipeline.origin import MARK
from pipeline.outputs import must_spare
from pipeline.recordings import paths
from pipeline.recordings import subjects as subjects_of
from pipeline.repeats import Repeats
from pipeline.workers import in_parallel

folder_argument = click.argument("folder", metavar="DIR", type=NamedPath())


@click.group(cls=Commands, epilog="Begin with: python -m pipeline import csv night.csv OUT")
def main() -> None:
    """Download, check, simulate or import recordings."""


@main.command(epilog="Example: python -m pipeline download sleep-accel")
@folder_argument
def download(folder: Path) -> None:
    """Download sleep-accel 1.0.0 from PhysioNet into DIR and check its SHA-256 sums; resumes an earlier download."""
    downloading.download(folder)


@main.command(epilog="Example: python -m pipeline check sleep-accel")
@folder_argument
@option("out", type=OutputFile(devices=True), default=None, help="Also write the findings to this file.")
@json_option
@parallel
def check(folder: Path, out: Path | None, copy: Path | None) -> None:
    """Check every file in DIR, and report what is wrong and how training and prediction handle it."""
    usable, repeats = 0, Repeats()
    findings: list[Finding] = []
    work = [(folder, subject, Options(), True, False) for subject in subjects_of(folder)]
    read = [folder / MARK, *(file for _, subject, *_ in work for file in paths(folder, subject).values())]
    if out:
        must_spare("--out", out, read)
    if copy:
        must_spare("--json", copy, read, written=[out] if out else [])
    for night, findings_of_night in in_parallel(load_night, work, worth_a_child=len(work) > WORTH_A_CHILD):
        if night and (repeated := repeats.finding(night.subject, night.fingerprint)):
            night, findings_of_night = None, [*findings_of_night, repeated]
        usable += night is not None
        findings += findings_of_night
        for finding in findings_of_night:
            click.echo(str(finding))
    if out:
        write_findings(out, findings)
    if copy:
        write_json(copy, {"nights": len(work), "usable": usable, "findings": [vars(finding) for finding in findings]})
    click.echo(f"{usable} usable nights, {len(findings)} findings")


@main.command(epilog="Example: python -m pipeline synthesize NIGHTS --subjects 4 --hours 2")
@folder_argument
@option("subjects", type=int, default=20, show_default=True, help="How many subjects, with one night each.")
@option("hours", type=float, default=8.0, show_default=True, help="Length of a night.")
@option("motion_hz", type=float, default=50, show_default=True, help="Samples of acceleration per second.")
@option("seed", type=int, default=0, show_default=True, help="The same seed gives the same nights.")
@parallel_here
def synthesize(folder: Path, subjects: int, hours: float, motion_hz: float, seed: int) -> None:
    """Write simulated nights into DIR, in the layout of sleep-accel: for trying things out, never to claim accuracy."""
    from pipeline import synthetic  # its filters are slow to import

    with progress_bar() as bar:
        task = bar.add_task("simulating nights", total=subjects)
        synthetic.synthesize(folder, subjects, hours, motion_hz, seed, progress=lambda *_: bar.advance(task))
    console.print(f"{subjects} simulated nights in {folder}")


@main.command("import", epilog="Example: python -m pipeline import apple-health export.zip OUT")
@click.argument("source", metavar="SOURCE", type=click.Choice([*SOURCES]))
@click.argument("path", metavar="PATH", type=NamedPath())
@click.argument("out", metavar="OUT", type=NamedPath())
@option("since", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Date of the first night's evening.")
@option("zone", default=None, help="The wearer's time zone, such as Europe/Berlin.")
@json_option
@parallel
def import_(source: str, path: Path, out: Path, since: datetime | None, zone: str | None, copy: Path | None) -> None:
    """Convert the nights in PATH into OUT, a new folder in the layout of sleep-accel (docs/import.md).

    SOURCE is an export (apple-health, fitbit, garmin, csv) or a research set (bidsleep, wearanize, mesa, dreamt,
    slpdb). --jobs and --scheduler speed up research sets, but not exports, which are read as one stream.
    """
    if since and since.date() > date.today():
        raise UserMistake(f"--since {since.date()}: is in the future")
    if copy:
        must_spare("--json", copy, [path], [path, out])
    with progress_bar() as bar:
        task = bar.add_task(f"reading {path.name}", total=1.0)
        request = ImportRequest(
            path, since.date() if since else None, zone_named(zone), lambda x: bar.update(task, completed=x)
        )
        names = import_nights(source, request, out)
    if copy:
        write_json(copy, {"folder": str(out), "nights": names} | request.as_dict())
    for line in request.summary():
        click.echo(line)
    several = f"{len(names)} nights, {names[0]} to {names[-1]}," if len(names) > 1 else f"night {names[0]}"
    click.echo(f"{several} in {out}")
    console.print(f"to stage: python -m watch_sim predict bundles/gru-int8 {out}")


if __name__ == "__main__":
    main(prog_name="python -m pipeline")
