"""python -m watch_sim parity RUN | predict RUN | predict --bundle BUNDLE NIGHT | serve RUN"""

import sys
import warnings
from pathlib import Path

import click

from apps.python.sleep_stager import SimulatedWarning
from pipeline.command_line import CommaList, models_option, option, progress_bar
from pipeline.constants import ARCHITECTURES, PRECISIONS
from pipeline.errors import UserMistake, one_of

run_argument = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))


@click.group()
def main() -> None:
    """The watch simulator: runs the exported files on streamed sensor data."""
    warnings.simplefilter("ignore", SimulatedWarning)  # commands say so themselves


@main.command()
@run_argument
@option("dataset_dir", type=Path, default=None, help="Recordings to compare on. [those of the run]")
@option("nights", type=CommaList(), default=None, help="Subjects, by comma. [those the run was not trained on]")
@models_option("architectures", "all of the run")
@models_option("precisions", "all in the bundles")
@option("json", "report", type=Path, default=None, help="Write the report here. [RUN/parity_checks/parity_<n>.json]")
def parity(
    run: Path,
    dataset_dir: Path | None,
    nights: tuple[str, ...] | None,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    report: Path | None,
) -> None:
    """Check that the watch predicts what the full model predicts. Exit code 0 only if every gate holds."""
    if architectures is not None:
        one_of("--architectures", architectures, ARCHITECTURES)
    if precisions is not None:
        one_of("--precisions", precisions, PRECISIONS)
    with progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        from models.trained_run import TrainedRun
        from watch_sim.parity_report import check_again

        passed = check_again(
            TrainedRun(run),
            report,
            dataset_dir=dataset_dir,
            subjects=nights,
            architectures=architectures,
            precisions=precisions,
            progress=lambda message: bar.update(task, description=message),
        )
    sys.exit(0 if passed else 1)


@main.command()
@click.argument("run", metavar="RUN|NIGHT", required=False, type=click.Path(path_type=Path))
@option("dataset_dir", type=Path, default=None, help="Recordings; labels are not read.")
@option(
    "bundle", type=Path, default=None, help="A bundle, folder or zip, instead of RUN: predict NIGHT, CSV or folder."
)
@models_option("architectures", "gru, or the first that has a bundle")
@models_option("precisions", "int8", ("int8",))
@option("operating_point", default=None, help="Of the contract's, such as rem. [none]")
@option("out", type=Path, default=None, help="CSV of all nights. [RUN/predictions/<architecture>.<precision>.csv]")
def predict(
    run: Path | None,
    dataset_dir: Path | None,
    bundle: Path | None,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...],
    operating_point: str | None,
    out: Path | None,
) -> None:
    """Predict the stages of nights: a CSV with a row per window, plots and sleep statistics, for each model.

    With a run: predict RUN --dataset_dir DIR. With a bundle alone: predict --bundle BUNDLE NIGHT, where NIGHT is a CSV
    with the columns time, heart_rate and activity, or a folder of recordings; the stages are written beside it.
    """
    from watch_sim.predict import predict_nights

    one_of("--precisions", precisions, PRECISIONS)
    if bundle is not None:
        if architectures is not None:
            raise UserMistake("--architectures: a bundle has one; leave it out with --bundle")
        if (run is None) == (dataset_dir is None):
            raise UserMistake("--bundle: name one night, a CSV or a folder of recordings, after it")
        predict_by_bundle(bundle, run or dataset_dir, precisions, operating_point, out)
        return
    if run is None or dataset_dir is None:
        raise UserMistake(f"{'RUN' if run is None else '--dataset_dir'}: missing; or name a --bundle and a night")
    with progress_bar() as bar:
        task = bar.add_task("predicting", total=None)
        written = predict_nights(
            run,
            dataset_dir,
            architectures,
            precisions,
            operating_point,
            out,
            lambda message: bar.update(task, description=message),
        )
    click.echo("\n".join(map(str, written)))


def predict_by_bundle(bundle, night, precisions, operating_point, out):
    """Predict with a bundle, folder or zip."""
    from export.archive import opened_bundle
    from watch_sim.predict import predict_with_bundle

    if len(precisions) > 1:
        raise UserMistake(f"--precisions {','.join(precisions)}: one, with --bundle")
    with opened_bundle(bundle) as folder:
        written = predict_with_bundle(folder, night, precisions[0], operating_point, out)
    click.echo("\n".join(map(str, written)))


@main.command()
@run_argument
@option("dataset_dir", type=Path, default=None, help="Recordings to play. [those of the run]")
@option("host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
def serve(run: Path, dataset_dir: Path | None, host: str, port: int) -> None:
    """Serve a page that plays nights in the browser through the exported files, and an API for programs."""
    from watch_sim.service.app import serve

    serve(run, dataset_dir, host, port)


if __name__ == "__main__":
    main(prog_name="python -m watch_sim")
