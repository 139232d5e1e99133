"""python -m watch_sim parity RUN | predict MODEL NIGHTS | serve RUN_OR_BUNDLE"""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
import warnings
from pathlib import Path

import click

from apps.python.sleep_stager import SimulatedWarning
from pipeline.command_line import (
    CommaList,
    Commands,
    Folders,
    NamedPath,
    OutputFile,
    json_option,
    models_option,
    option,
    parallel,
    progress_bar,
)
from pipeline.constants import ARCHITECTURES, PRECISIONS
from pipeline.data_sets import Data
from pipeline.errors import UserMistake, one_of

run_argument = click.argument("run", metavar="RUN", type=NamedPath())


@click.group(cls=Commands, epilog="Begin with: python -m watch_sim predict bundles/gru-int8 night.csv")
def main() -> None:
    """Run exported models on recorded nights, sample by sample, as a watch would."""
    warnings.simplefilter("ignore", SimulatedWarning)  # commands print their own warning


@main.command(epilog="Example: python -m watch_sim parity RUN")
@run_argument
@option("dataset_dir", type=Folders(), default=None, help="Recordings to compare on. [those of the run]")
@option("nights", type=CommaList(), default=None, help="Subjects, comma-separated. [those not used for training]")
@models_option("architectures", "all of the run")
@models_option("precisions", "all in the bundles")
@option(
    "json", "report", type=OutputFile(), default=None, help="Write the report here. [RUN/parity_checks/parity_<n>.json]"
)
def parity(
    run: Path,
    dataset_dir: Data | None,
    nights: tuple[str, ...] | None,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    report: Path | None,
) -> None:
    """Check that the exported files, on a simulated watch, predict what the Keras model predicts.

    RUN is a folder that train.py wrote. Exit code 0 only if every gate passes (docs/parity.md).
    """
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


@main.command(epilog="Example: python -m watch_sim predict bundles/gru-int8 night.csv")
@click.argument("places", metavar="MODEL NIGHTS", nargs=-1, type=NamedPath())
@option("nights", "chosen", type=CommaList(), default=None, help="Subjects of a data set, comma-separated. [all]")
@models_option("architectures", "gru, or the first that has a bundle")
@models_option("precisions", "int8", ("int8",))
@option("operating_point", default=None, help="One of those in the contract, such as rem, which finds more REM. [none]")
@option(
    "out",
    type=OutputFile(),
    default=None,
    help="CSV of all nights. [RUN/predictions/<architecture>.<precision>.csv; for a bundle <nights>_stages.csv]",
)
@option("bundle", type=Path, default=None, help="Same as MODEL.")
@option("dataset_dir", type=Folders(), default=None, help="Same as NIGHTS, or several data sets, comma-separated.")
@json_option
@parallel
def predict(
    places: tuple[Path, ...],
    chosen: tuple[str, ...] | None,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...],
    operating_point: str | None,
    out: Path | None,
    bundle: Path | None,
    dataset_dir: Data | None,
    copy: Path | None,
) -> None:
    """Predict the stages of nights. Writes a CSV with a row for every 30 s, sleep statistics and hypnograms.

    MODEL is a run folder or a bundle (folder or zip). NIGHTS is the folder of a data set (or of an import), any file
    of one recording in it, or a CSV with the columns time, heart_rate and activity. Labels are not read.
    """
    from watch_sim.predict import night_named
    from watch_sim.predict import predict as predict_nights

    one_of("--precisions", precisions, PRECISIONS)
    named = [place for place in (bundle, *places, dataset_dir) if place is not None]
    if len(named) != 2:
        found = f": {', '.join(map(str, named))}" if named else ""
        raise UserMistake(f"expected two arguments, MODEL and NIGHTS, not {len(named)}{found}")
    with progress_bar() as bar:
        task = bar.add_task("nights", total=None)
        written = predict_nights(
            *named,
            architectures,
            precisions,
            operating_point,
            out,
            chosen,
            lambda subject, done, total: bar.update(
                task, description=night_named(subject), completed=done, total=total
            ),
            copy,
        )
    click.echo("\n".join(map(str, written)))


@main.command(epilog="Example: python -m watch_sim serve bundles/gru-int8 --dataset_dir NIGHTS")
@click.argument("run", metavar="RUN|BUNDLE", type=NamedPath())
@option("dataset_dir", type=Folders(), default=None, help="Recordings to play. [those of the run]")
@option("host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: any free one.")
@option("workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the port.")
@option("token_file", type=NamedPath(), default=None, help="Accepted bearer tokens, one per line.")
@option("no_auth", is_flag=True, help="Allow everyone who can reach the address, including other machines.")
@option(
    "allow_origin",
    "origins",
    multiple=True,
    help="A site whose pages may send requests, such as https://example.org; repeatable.",
)
@option("rate", default="200/second", show_default=True, help="Limit of requests per address and process.")
def serve(
    run: Path,
    dataset_dir: Data | None,
    host: str,
    port: int,
    workers: int,
    token_file: Path | None,
    no_auth: bool,
    origins: tuple[str, ...],
    rate: str,
) -> None:
    """Serve a page that stages and plays nights in the browser, and an API (described at /docs).

    To run it for others, see docs/service.md.
    """
    from watch_sim.service.server import serve
    from watch_sim.service.settings import Settings, check_origin, check_rate, read_bearers

    bearers = read_bearers(token_file) if token_file else ()
    allowed = tuple(map(check_origin, origins))
    settings = Settings(run, dataset_dir, bearers=bearers, origins=allowed, rate=check_rate(rate))
    serve(settings, host, port, workers, no_auth)


if __name__ == "__main__":
    main(prog_name="python -m watch_sim")
