"""python -m evaluation run | score RUN | saliency RUN | stress FOLDER"""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from evaluation.protocols import PROTOCOLS, plan
from pipeline.checks import write_findings
from pipeline.command_line import (
    CommaList,
    Commands,
    Folders,
    NamedPath,
    console,
    json_option,
    make_folder,
    models_option,
    must_be_new,
    must_be_writable,
    new_folder,
    option,
    options_of_run,
    parallel,
    progress_bar,
)
from pipeline.constants import PRECISIONS
from pipeline.data_sets import Data, data_as_json, people, sets_of
from pipeline.errors import UserMistake, one_of, plain_digits
from pipeline.files import read_json, write_json, write_whole
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.origin import read_origin
from pipeline.outputs import must_be_outside_bundles, must_hold_no_run, must_spare
from pipeline.recordings import subjects
from pipeline.run_folder import (
    EVALUATION,
    EVALUATION_PAGE,
    FINDINGS,
    PROTOCOL,
    SALIENCY,
    STRESS,
    STRESS_PAGE,
    STRESS_PLOT,
    RunFolder,
)
from pipeline.scratch import sole_use, sole_use_of_output
from pipeline.versions import commit
from scoring.predictions import walch_valid

LEAK = (
    "WARNING: --split_by window puts windows of one night on both sides of the split. The scores are an illusion and "
    "say nothing about a new night; they only show how large the illusion is."
)

run_argument = click.argument("run", metavar="RUN", type=NamedPath())
architectures_option = models_option("architectures", "all of the run")
precisions_option = models_option(
    "precisions", "float32", ("float32",), "; float32: the Keras model; others: the exported file, on a simulated watch"
)


@click.group(cls=Commands, epilog="Begin with: python -m evaluation run --dataset_dir NIGHTS --architectures gru")
def main() -> None:
    """Evaluate models on subjects they were not trained on."""


@main.command(epilog="Example: python -m evaluation run --dataset_dir NIGHTS --architectures gru")
@option(
    "dataset_dir",
    type=Folders(),
    required=True,
    help="Recordings in the layout of sleep-accel; several sets comma-separated.",
)
@option(
    "protocol",
    type=click.Choice(PROTOCOLS),
    default="kfold",
    show_default=True,
    help="How subjects are held out (docs/evaluate.md).",
)
@option("repeats", type=click.IntRange(1), default=6, show_default=True, help="Random splits (holdout).")
@option("folds", type=click.IntRange(2), default=10, show_default=True, help="Folds (kfold).")
@option("seeds", type=CommaList(), default=None, help="Train with each seed, comma-separated, same splits. [--seed]")
@precisions_option
@option("ensemble", is_flag=True, help="Also score the mean of all architectures.")
@option(
    "split_by",
    type=click.Choice(["subject", "window"]),
    default="subject",
    help="window is a leak: it only shows how large the leak is. [subject]",
)
@json_option
@option("out", type=Path, default=None, help="The folder. [artifacts/<date>/evaluation_<n>]")
@option("resume", is_flag=True, help="Resume the stopped evaluation in --out.")
@options_of_run
@parallel
def run(
    dataset_dir: Data,
    protocol: str,
    repeats: int,
    folds: int,
    seeds: tuple[str, ...] | None,
    precisions: tuple[str, ...],
    ensemble: bool,
    split_by: str,
    copy: Path | None,
    out: Path | None,
    resume: bool,
    **run_options: Any,
) -> None:
    """Train and score every fold of a protocol, and print the path of the report."""
    from evaluation.crossvalidation import collect_results, run_folds, write_tables
    from evaluation.report import report

    options = Options(**run_options)
    one_of("--precisions", precisions, PRECISIONS)
    if out:
        must_be_outside_bundles("--out", out)
        must_be_writable("--out", out / PROTOCOL)
    if copy:
        must_spare("--json", copy, folders=[out] if out else [])
    training_seeds = tuple(dict.fromkeys(map(parse_seed, seeds))) if seeds else (options.seed,)
    if split_by == "window":
        if protocol != "kfold":
            raise UserMistake("--split_by window: only with --protocol kfold")
        console.print(LEAK)
        options = replace(options, inner_folds=0)  # they would have the same nights on both sides
    settings: dict[str, Any] = {"name": protocol, "split_by": split_by, "seeds": list(training_seeds)}
    settings |= {"precisions": list(precisions)}
    settings |= {"repeats": repeats} if protocol == "holdout" else {"folds": folds} if protocol == "kfold" else {}
    settings |= {"ensemble": ensemble, "dataset_dir": data_as_json(dataset_dir.resolve())}
    settings["options"] = options.as_dict()
    with progress_bar() as bar:
        task = bar.add_task("reading nights", total=None)
        nights, findings = load_nights(dataset_dir, options)
        console.print(f"{len(nights)} usable nights, {len(findings)} findings")
        walch_valid(dataset_dir, nights)  # so that an error in that file is found before the training
        usable = [night.subject for night in nights]
        sets = sets_of(dataset_dir, usable)
        persons = people(dataset_dir, usable)
        work = plan(protocol, usable, options, repeats, folds, training_seeds, persons, sets)
        settings |= {"held_out": [fold.splits["validation"] for fold in work]}
        with open_evaluation(out, settings, resume) as out:
            write_findings(out / FINDINGS, findings)
            bar.update(task, description=f"{len(work)} trainings", total=len(work))
            windows = folds if split_by == "window" else None
            try:
                run_folds(out, dataset_dir.resolve(), work, options, precisions, windows, lambda: bar.advance(task))
            except KeyboardInterrupt:
                console.print(f"stopped; to resume, add --resume --out {out} to the same command")
                sys.exit(130)
            bar.update(task, description="report")
            results = collect_results(out, dataset_dir, work, options, precisions, ensemble)
            write_tables(out, results)
            report(out, read_json(out / PROTOCOL) | origin_entry(dataset_dir), results, options.stride, sets)
    finish(out, copy)


def origin_entry(dataset_dir: Data) -> dict[str, Any]:
    """Entry of a report about the data: {"data": name, "simulated": whether any night is}."""
    origin = read_origin(dataset_dir)
    return {"data": origin.name, "simulated": origin.simulated}


def parse_seed(text: str) -> int:
    """Parse a seed of the command line; UserMistake if it is not a whole number in range."""
    if not (plain_digits(text) and text.isdecimal()):
        raise UserMistake(f"--seeds {text}: must be whole numbers, comma-separated")
    return Options(seed=int(text)).seed


@contextmanager
def open_evaluation(out: Path | None, settings: dict[str, Any], resume: bool) -> Iterator[Path]:
    """Open the folder of a new or resumed evaluation for sole use; its protocol.json has the settings.

    Yields:
        The folder.

    Raises:
        UserMistake: The folder is in use, or it is to be resumed but holds no evaluation with these settings.
    """
    if resume and out is None:
        raise UserMistake("--resume: name the stopped evaluation with --out")
    if resume:
        read_json(out / PROTOCOL, ": no evaluation to resume; to begin one, leave out --resume")
    with sole_use(out if resume else make_folder(out) if out else new_folder("evaluation")) as out:
        if resume:
            before = read_json(out / PROTOCOL)
            if isinstance(before, dict):  # it may have been begun before some option existed
                before = json.loads(json.dumps(Options().as_dict())) | _flat(before)
            for name, value in _flat(json.loads(json.dumps(settings))).items():
                if not isinstance(before, dict) or before.get(name) != value:
                    raise UserMistake(f"--resume: the evaluation in {out} does not have {name} {value}")
        else:
            must_be_new(out)
            write_json(out / PROTOCOL, settings | {"begun": date.today().isoformat(), "commit": commit()})
        yield out.resolve()


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the options on the same level."""
    return {**settings, **settings.get("options", {}), "options": None}


def finish(out: Path, copy: Path | None) -> None:
    """Copy the results to --json, if given, and print the path of the report."""
    if copy:
        write_whole(copy, (out / EVALUATION).read_bytes())
    click.echo(str(out / EVALUATION_PAGE))


@main.command(epilog="Example: python -m evaluation score RUN --dataset_dir OTHER_NIGHTS")
@run_argument
@option("dataset_dir", type=Folders(), required=True, help="Recordings with stages; several sets comma-separated.")
@architectures_option
@precisions_option
@json_option
@option("out", type=Path, default=None, help="The folder. [RUN/scores/<name of dataset_dir>.<precisions joined by +>]")
def score(
    run: Path,
    dataset_dir: Data,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...],
    copy: Path | None,
    out: Path | None,
) -> None:
    """Score a trained run on other nights; nights that it was trained on are left out."""
    from evaluation.crossvalidation import score as score_run
    from evaluation.crossvalidation import write_tables
    from evaluation.report import report
    from models.trained_run import TrainedRun

    trained = TrainedRun(run)
    one_of("--precisions", precisions, PRECISIONS)
    architectures = trained.chosen_architectures(architectures)
    if out:
        must_hold_no_run("--out", out)
    if copy:
        must_spare("--json", copy, folders=[out or trained.scores(dataset_dir, "+".join(precisions))])
    with sole_use_of_output(run, out and make_folder(out)), progress_bar() as bar:
        bar.add_task("scoring", total=None)
        unseen = trained.unseen_subjects(dataset_dir)
        if left_out := sorted({*subjects(dataset_dir)} - {*unseen}):
            console.print(
                f"left out, because the run was trained on these ids, persons or values: {', '.join(left_out)}"
            )
        nights, findings = load_nights(dataset_dir, trained.options, unseen)
        if findings:
            console.print(*map(str, findings), sep="\n")
        results = score_run(trained, dataset_dir, nights, architectures, precisions)
        out = make_folder(out or trained.scores(dataset_dir, "+".join(precisions)))
        protocol = {"name": "score", "run": str(trained.path), "dataset_dir": data_as_json(dataset_dir.resolve())}
        write_tables(out, results)
        protocol |= origin_entry(dataset_dir) | {"begun": date.today().isoformat(), "commit": commit()}
        protocol["simulated"] |= trained.origin.simulated
        report(out, protocol, results, trained.options.stride, sets_of(dataset_dir, unseen))
    finish(out, copy)


@main.command(epilog="Example: python -m evaluation saliency RUN")
@run_argument
@option("dataset_dir", type=Folders(), default=None, help="Recordings. [those of the run]")
@architectures_option
@option("out", type=Path, default=None, help="The folder. [RUN]")
def saliency(run: Path, dataset_dir: Data | None, architectures: tuple[str, ...] | None, out: Path | None) -> None:
    """Measure which inputs count for each stage, and from how far back. Writes saliency.json and plots."""
    RunFolder(run)  # so that an error is found before the work starts
    if out:
        if out.resolve() != run.resolve():
            must_hold_no_run("--out", out)
        make_folder(out)
    with sole_use_of_output(run, out), progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        import models  # noqa: F401  starts TensorFlow quietly
        from evaluation.saliency import saliency_of_run

        saliency_of_run(run, dataset_dir, architectures, out, lambda message: bar.update(task, description=message))
    click.echo(str((out or run) / SALIENCY))


@main.command(epilog="Example: python -m evaluation stress RUN")
@click.argument("folder", metavar="FOLDER", type=NamedPath())
@option("dataset_dir", type=Folders(), default=None, help="Recordings with stages. [the held-out ones of the run]")
@models_option("architectures", "gru, or the first of the run")
@precisions_option
@option("stresses", default=None, help="Names of stresses, comma-separated; the report lists all. [all]")
@option("seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random degradations.")
@json_option
@option("out", type=Path, default=None, help="The folder. [FOLDER, or FOLDER/stress/<name of dataset_dir>]")
@parallel
def stress(
    folder: Path,
    dataset_dir: Data | None,
    architectures: tuple[str, ...] | None,
    precisions: tuple[str, ...],
    stresses: str | None,
    seed: int,
    copy: Path | None,
    out: Path | None,
) -> None:
    """Score models on degraded held-out nights: with noise, gaps, fewer samples or missing sensors.

    FOLDER is a run folder, or the folder of an evaluation, whose folds are pooled.
    """
    from evaluation.stress import run_folders, stress_test
    from evaluation.stress_report import write_report
    from pipeline.degrade import STRESSES

    one_of("--precisions", precisions, PRECISIONS)
    names = tuple(STRESSES) if stresses is None else one_of("--stresses", stress_names(stresses), STRESSES)
    run_folders(folder)  # so that an error is found before the work starts
    if out and (dataset_dir or out.resolve() != folder.resolve()):
        must_hold_no_run("--out", out)
    place = out or folder / (f"stress/{dataset_dir.resolve().name}" if dataset_dir else "")
    if copy:
        must_spare("--json", copy, written=[place / name for name in (STRESS, STRESS_PAGE, STRESS_PLOT)])
    with sole_use_of_output(folder, out and make_folder(out)), progress_bar() as bar:
        task = bar.add_task("stress test", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        try:
            document = stress_test(folder, dataset_dir, architectures, precisions, names, seed, progress)
        except KeyboardInterrupt:
            console.print("stopped; nothing was written")
            sys.exit(130)
        write_report(make_folder(place), document)
    if copy:
        write_json(copy, document)
    click.echo(str(place / STRESS_PAGE))


def stress_names(text: str) -> list[str]:
    """Split comma-separated names of stresses; as some names contain a comma, the longest match is taken."""
    from pipeline.degrade import STRESSES

    parts = [part.strip() for part in text.split(",") if part.strip()]
    names = []
    while parts:
        joined = (", ".join(parts[:n]) for n in range(len(parts), 0, -1))
        names.append(next((name for name in joined if name in STRESSES), parts[0]))
        parts = parts[names[-1].count(",") + 1 :]
    return names


if __name__ == "__main__":
    main(prog_name="python -m evaluation")
