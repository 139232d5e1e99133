"""python -m pipeline download DIR | check DIR | synthesize DIR"""

from pathlib import Path

import click

from pipeline import download as downloading
from pipeline import synthetic
from pipeline.checks import Finding, write_findings
from pipeline.command_line import console, option, progress_bar
from pipeline.nights import load_night
from pipeline.options import Options
from pipeline.recordings import subjects as subjects_of

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


@click.group()
def main() -> None:
    """Recordings: fetch, check or simulate them."""


@main.command()
@folder_argument
def download(folder: Path) -> None:
    """Fetch sleep-accel 1.0.0 from PhysioNet into DIR, checked against its digests; continues where it stopped."""
    downloading.download(folder)


@main.command()
@folder_argument
@option("out", type=Path, default=None, help="Also write the findings to this file.")
def check(folder: Path, out: Path | None) -> None:
    """Check every file in DIR: report what is wrong with it and what training would do about it."""
    usable = 0
    findings: list[Finding] = []
    for subject in subjects_of(folder):
        night, findings_of_night = load_night(folder, subject, Options(), require_labels=False)
        usable += night is not None
        findings += findings_of_night
        for finding in findings_of_night:
            click.echo(str(finding))
    if out:
        write_findings(out, findings)
    click.echo(f"{usable} usable nights, {len(findings)} findings")


@main.command()
@folder_argument
@option("subjects", type=int, default=20, show_default=True)
@option("hours", type=float, default=8.0, show_default=True)
@option("motion_hz", type=float, default=50, show_default=True)
@option("seed", type=int, default=0, show_default=True)
def synthesize(folder: Path, subjects: int, hours: float, motion_hz: float, seed: int) -> None:
    """Write synthetic nights into DIR in the published layout: for trying things out, never for a claim of accuracy."""
    with progress_bar() as bar:
        task = bar.add_task("synthetic nights", total=subjects)
        synthetic.synthesize(folder, subjects, hours, motion_hz, seed, progress=lambda *_: bar.advance(task))
    console.print(f"{subjects} synthetic nights in {folder}")


if __name__ == "__main__":
    main(prog_name="python -m pipeline")
