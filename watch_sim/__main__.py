"""python -m watch_sim parity RUN | predict RUN | serve RUN"""

import sys
from pathlib import Path

import click

from pipeline.cli import CommaList, option, progress_bar
from pipeline.options import ARCHITECTURES, PRECISIONS, one_of

run_argument = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))


@click.group()
def main():
    """The watch simulator: runs the exported files on streamed sensor data."""


@main.command()
@run_argument
@option("dataset_dir", type=Path, default=None, help="Recordings to compare on. [those of the run]")
@option("nights", type=CommaList(), default=None, help="Subjects, by comma. [those the run was not trained on]")
@option("architectures", type=CommaList(), default=None, help="By comma. [all of the run]")
@option("precisions", type=CommaList(), default=None, help="By comma. [all in the bundles]")
@option("json", "report", type=Path, default=None, help="Write the report here. [RUN/parity.json]")
def parity(run, dataset_dir, nights, architectures, precisions, report):
    """Does what runs on the watch say what the full model says? Exit code 0 only if every gate holds."""
    if architectures is not None:
        one_of("--architectures", architectures, ARCHITECTURES)
    if precisions is not None:
        one_of("--precisions", precisions, PRECISIONS)
    with progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        from models.run import Run
        from watch_sim.report import check_run

        asked = {"folder": dataset_dir, "wanted": nights, "architectures": architectures, "precisions": precisions}
        passed = check_run(
            Run(run), report, report and report.parent, reject_failed=False,
            progress=lambda what: bar.update(task, description=what), **asked,
        )  # fmt: skip
    sys.exit(0 if passed else 1)


@main.command()
@run_argument
@option("dataset_dir", type=Path, required=True, help="Recordings; labels are not read.")
@option("architecture", default=None, help="[gru, or the first there is]")
@option("precision", default="int8", show_default=True)
@option("operating_point", default=None, help="Of the contract's, such as rem. [none]")
@option("out", type=Path, default=None, help="CSV of all nights. [RUN/predictions/<architecture>.<precision>.csv]")
def predict(run, dataset_dir, architecture, precision, operating_point, out):
    """Stages of nights: heart rate, motion and steps in, a line per window out, with plot and sleep statistics."""
    from watch_sim.predict import predict_nights

    with progress_bar() as bar:
        task = bar.add_task("predicting", total=None)
        written = predict_nights(
            run,
            dataset_dir,
            architecture,
            precision,
            operating_point,
            out,
            lambda what: bar.update(task, description=what),
        )
    click.echo("\n".join(map(str, written)))


@main.command()
@run_argument
@option("dataset_dir", type=Path, default=None, help="Recordings to play. [those of the run]")
@option("host", default="127.0.0.1", show_default=True)
@option("port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
def serve(run, dataset_dir, host, port):
    """A page that plays nights in the browser through the exported files, and a service for programs."""
    from watch_sim.serve import serve

    serve(run, dataset_dir, host, port)


if __name__ == "__main__":
    main(prog_name="python -m watch_sim")
