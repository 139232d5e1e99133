"""Trains, exports and checks models in one command: nights -> four models -> TFLite bundles -> parity check."""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from apps.python.sleep_stager import SimulatedWarning
from pipeline.align import Night
from pipeline.command_line import (
    Folders,
    OneLine,
    console,
    make_folder,
    must_be_new,
    new_folder,
    option,
    options_of_run,
    parallel_here,
    progress_bar,
)
from pipeline.constants import ARTIFACTS, PRECISIONS
from pipeline.data_sets import Data, sets_of
from pipeline.degrade import CADENCE
from pipeline.errors import UserMistake
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.recordings import subjects
from pipeline.run_folder import RunFolder, begun, clear_unbegun, stopped_runs
from pipeline.scratch import sole_use, sole_writer
from pipeline.splits import nights_by_part
from pipeline.synthetic import synthesize
from pipeline.workers import workers
from scoring.predictions import walch_valid

if TYPE_CHECKING:
    from models.trained_run import TrainedRun

SYNTHETIC = ARTIFACTS / "synthetic"
SYNTHETIC_NIGHTS = 20
COST = {"night": 1, "epoch": 1, "file": 5, "parity": 1}  # roughly in s, for the progress bar


@click.command(cls=OneLine, epilog="Example: python train.py --dataset_dir NIGHTS --architectures gru")
@option(
    "dataset_dir",
    type=Folders(),
    default=None,
    help="Recordings in the layout of sleep-accel; several sets comma-separated. [simulated nights]",
)
@options_of_run
@option("out", type=Path, default=None, help="The run folder. [artifacts/<date>/run_<n>]")
@option("resume", is_flag=True, help="Resume the stopped run in --out, or else the newest one.")
@click.pass_context
@parallel_here
def main(context: click.Context, dataset_dir: Data | None, out: Path | None, resume: bool, **fields: Any) -> None:
    """Train, export and check models of sleep stages, and print the path of the run folder."""
    warnings.simplefilter("ignore", SimulatedWarning)  # the parity report repeats it
    options = Options(**fields)
    if resume:
        out = out or newest_stopped_run()
        if not begun(out):
            raise UserMistake(f"--resume: {out}: no run to resume; to begin one, leave out --resume")
    with sole_use(out if resume else make_folder(out) if out else new_folder("run")) as out:
        if resume:
            explicit = [name for name in fields if context.get_parameter_source(name).name == "COMMANDLINE"]
            options, dataset_dir = settings_of_stopped_run(out, options, explicit, dataset_dir)
        else:
            clear_unbegun(out)
            must_be_new(out)
        dataset_dir = dataset_dir or synthetic_nights()
        recorded = subjects(dataset_dir)
        try:
            passed = run_all(out.resolve(), dataset_dir.resolve(), recorded, options)
        except KeyboardInterrupt:
            console.print(f"stopped; to resume: python train.py --resume --out {out}" if begun(out) else "stopped")
            sys.exit(130)
    console.print(f"to look at nights: python -m watch_sim serve {out}")
    click.echo(str(out))
    sys.exit(0 if passed else 1)


def synthetic_nights() -> Path:
    """The folder of the simulated nights, which are written on first use."""
    with sole_writer(SYNTHETIC), progress_bar() as bar:
        if not SYNTHETIC.exists():
            task = bar.add_task("simulating nights", total=SYNTHETIC_NIGHTS)
            synthesize(SYNTHETIC, progress=lambda *_: bar.advance(task))
    return SYNTHETIC


def newest_stopped_run() -> Path:
    """The newest run folder whose training is unfinished; UserMistake if there is none."""
    stopped = stopped_runs(ARTIFACTS)
    if not stopped:
        raise UserMistake(f"--resume: no stopped run under {ARTIFACTS}; name its folder with --out")
    return stopped[-1]


def settings_of_stopped_run(
    out: Path, options: Options, explicit: Sequence[str], dataset_dir: Data | None
) -> tuple[Options, Data]:
    """Options and data of a stopped run.

    Args:
        out: The run folder.
        options: Options of the command line.
        explicit: Names of the options that were given there, which must agree with the run's.
        dataset_dir: Data given there, if any, which must agree, too.

    Raises:
        UserMistake: The run is complete, or an option differs.
    """
    run = RunFolder(out)
    if not run.stopped:
        raise UserMistake(f"--resume: the run in {out} is complete")
    stored = run.requested_options
    for name in explicit:
        if getattr(stored, name) != getattr(options, name):
            raise UserMistake(f"--{name} {getattr(options, name)}: the stopped run has {getattr(stored, name)}")
    if dataset_dir and dataset_dir.resolve() != run.dataset_dir:
        raise UserMistake(f"--dataset_dir {dataset_dir}: the stopped run has {run.dataset_dir}")
    return stored, run.dataset_dir


def run_all(out: Path, dataset_dir: Data, recorded: Sequence[str], options: Options) -> bool:
    """Do everything from nights to the parity check in the folder `out`, without repeating work that a stopped run did.

    Args:
        out: The run folder.
        dataset_dir: Folder of the recordings, or several sets.
        recorded: Subjects of the data.
        options: Options of the run.

    Returns:
        Whether all parity gates pass.
    """
    held_out = max(1, len(recorded) // 10)  # roughly
    trainings = 1 + options.inner_folds
    per_architecture = COST["epoch"] * options.epochs * trainings + len(PRECISIONS) * (
        COST["file"] + COST["parity"] * held_out
    )
    total = COST["night"] * len(recorded) + len(options.architectures) * per_architecture
    with progress_bar() as bar:
        task = bar.add_task("reading nights", total=total)
        stage_began = time.monotonic()

        def progress(what, cost=0):
            bar.update(task, description=what, advance=cost)

        def report(what):
            nonlocal stage_began
            console.print(f"{what}, {time.monotonic() - stage_began:.0f} s")
            stage_began = time.monotonic()

        nights, findings = load_nights(
            dataset_dir, options, progress=lambda subject: progress(f"reading night {subject}", COST["night"])
        )
        walch_valid(dataset_dir, nights)  # so that an error in that file is found before the training
        run = RunFolder.begin(out, nights, findings, options, dataset_dir)
        report(f"{len(nights)} usable nights, {len(findings)} findings; channels {', '.join(run.channels)}")
        progress("starting TensorFlow")
        return train_and_check(out, nights, progress, report)


def train_and_check(out: Path, nights: Sequence[Night], progress: Callable, report: Callable) -> bool:
    """Train, export, evaluate and check parity; returns whether all parity gates pass."""
    from export.build import build_bundles
    from models.train_run import train_run
    from models.trained_run import TrainedRun
    from scoring.plots import plot_accuracies
    from watch_sim.parity_report import check_training

    run = TrainedRun(out)
    parts = nights_by_part(nights, run.splits)
    run.write_validation_sample((parts["validation"] or parts["train"])[0])
    train_run(run, parts, progress, report)
    plot_accuracies(run.accuracies(), run.accuracies_plot)
    build_bundles(run, run.options.architectures, run.bundles, lambda what: progress(what, COST["file"]))
    report("exported")
    evaluate(run, parts["validation"])
    if parts["validation"]:
        progress("stress test")
        stress(run)
        report("stress test")
    passed = check_training(run, progress=lambda what: progress(what, COST["parity"]))
    report("parity")
    run.finish()
    return passed


def evaluate(run: "TrainedRun", nights: Sequence[Night]) -> None:
    """Score the Keras models on the held-out nights: evaluation.json, report.md, and a printed line for each.

    If none was held out, the predictions of inner cross-validation on the training nights are scored.
    """
    from evaluation.crossvalidation import out_of_fold_results, score, write_tables
    from evaluation.report import report

    protocol = {"name": "holdout", "train_split": run.options.train_split, "subjects": run.splits}
    protocol |= {"data": run.origin.name, "simulated": run.origin.simulated}
    protocol |= {"begun": date.today().isoformat(), "commit": run.hparams["commit"]}
    if nights:
        results = score(run, run.dataset_dir, nights, run.options.architectures, ["float32"])
    else:
        results = out_of_fold_results(run)
        protocol |= {"name": "inner cross-validation", "folds": run.options.inner_folds}
        console.print(
            "no subject was held out: scores are from inner cross-validation, by models trained on fewer nights"
        )
    write_tables(run.path, results)
    sets = sets_of(run.dataset_dir, [night.subject for night in results[0].nights])
    entries = report(run.path, protocol, results, run.options.stride, sets)["results"]
    for entry in entries[: len(run.options.architectures)]:  # others are at operating points
        scores = entry["scored"]["all"]["5"]
        text = f"κ {scores['kappa']:.2f}, accuracy {scores['accuracy']:.2f}"
        baseline = f"(always the most frequent stage: {scores['majority_accuracy']:.2f})"
        console.print(f"{entry['architecture']} on subjects not trained on, 5 stages: {text} {baseline}")
        for name, of_set in entry.get("sets", {}).items():
            kappa = of_set["scored"]["5"]["kappa"]
            console.print(f"  {of_set['nights']} night(s) of {name}: κ {'-' if kappa is None else f'{kappa:.2f}'}")


def stress(run):
    """Score the Keras models on degraded held-out nights, for model cards: stress.json, stress.md and stress.png."""
    from evaluation.stress import stress_test
    from evaluation.stress_report import write_report
    from export.card import MAIN_STRESSES

    names = [*CADENCE.values(), *MAIN_STRESSES]
    with workers(1):  # for few nights, starting TensorFlow in another process is not worthwhile
        write_report(run.path, stress_test(run.path, architectures=run.options.architectures, stresses=names))


if __name__ == "__main__":
    main()
