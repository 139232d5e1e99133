"""python -m evaluation run | score RUN | saliency RUN"""

import json
import shutil
import sys
from pathlib import Path

import click

from evaluation.protocols import PROTOCOLS, plan
from evaluation.results import walch_valid
from pipeline.checks import write_findings
from pipeline.cli import CommaList, console, made, must_be_new, new_folder, option, options_of_run, progress_bar
from pipeline.files import read_json, write_json
from pipeline.nights import load_nights
from pipeline.options import PRECISIONS, Options, UserMistake, one_of
from pipeline.recordings import subjects

run_argument = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
LEAK = (
    "WARNING: --split_by window puts windows of one night on both sides of the split. What comes out is an illusion: "
    "it says nothing about a new night. It is here to show how large the illusion is."
)


@click.group()
def main():
    """Scores on subjects that nothing was fitted to."""


@main.command()
@option("dataset_dir", type=Path, required=True, help="Recordings in the sleep-accel layout.")
@option("protocol", type=click.Choice(PROTOCOLS), default="kfold", show_default=True)
@option("repeats", type=click.IntRange(1), default=6, show_default=True, help="Random splits, for holdout.")
@option("folds", type=click.IntRange(2), default=10, show_default=True, help="For kfold.")
@option("seeds", type=CommaList(), default=None, help="Of the trainings, over the same splits, by comma. [--seed]")
@option(
    "precision", type=CommaList(), default=("float32",), help="By comma; any but float32 runs on the watch. [float32]"
)
@option("ensemble", is_flag=True, help="Score the mean of all architectures, too.")
@option(
    "split_by", type=click.Choice(["subject", "window"]), default="subject", help="window: a leak, to show its size."
)
@option("jobs", type=click.IntRange(1), default=2, show_default=True, help="Folds at a time.")
@option("json", "copy", type=Path, default=None, help="Write the results here, too.")
@option("out", type=Path, default=None, help="The folder. [artifacts/<date>/evaluation_<n>]")
@option("resume", is_flag=True, help="Go on with the stopped evaluation in --out.")
@options_of_run
def run(dataset_dir, protocol, repeats, folds, seeds, precision, ensemble, split_by, jobs, copy, out, resume, **given):
    """Train and score every fold of a protocol; ends with the path of its report."""
    from evaluation.report import report
    from evaluation.run import collect, run_folds, write_tables

    options = Options(**given)
    one_of("--precision", precision, PRECISIONS)
    seeds = tuple(dict.fromkeys(map(seed_of, seeds))) if seeds else (options.seed,)
    writable(copy)
    if split_by == "window":
        if protocol != "kfold":
            raise UserMistake("--split_by window: only with --protocol kfold")
        console.print(LEAK)
    asked = {"name": protocol, "split_by": split_by, "seeds": list(seeds), "precisions": list(precision)}
    asked |= {"repeats": repeats} if protocol == "holdout" else {"folds": folds} if protocol == "kfold" else {}
    asked |= {"ensemble": ensemble, "dataset_dir": str(dataset_dir.resolve()), "options": options.as_dict()}
    with progress_bar() as bar:
        task = bar.add_task("reading nights", total=None)
        nights, findings = load_nights(dataset_dir, options)
        console.print(f"{len(nights)} usable nights, {len(findings)} findings")
        walch_valid(dataset_dir, nights)  # what is wrong with it is said now, not after hours
        work = plan(protocol, [night.subject for night in nights], options, repeats, folds, seeds)
        asked |= {"held_out": [fold.splits["validation"] for fold in work]}
        out = begin(out, asked, resume)
        write_findings(out / "data_check_failures.txt", findings)
        bar.update(task, description=f"{len(work)} trainings", total=len(work))
        windows = folds if split_by == "window" else None
        try:
            run_folds(out, dataset_dir.resolve(), work, options, precision, windows, jobs, lambda: bar.advance(task))
        except KeyboardInterrupt:
            console.print(f"stopped; to go on, add --resume --out {out} to the same command")
            sys.exit(130)
        bar.update(task, description="report")
        results = collect(out, dataset_dir, work, options, precision, ensemble)
        write_tables(out, results)
        report(out, asked, results, options.stride)
    finish(out, copy)


def seed_of(text):
    """A seed on the command line."""
    if not text.isdecimal():
        raise UserMistake(f"--seeds {text}: must be whole numbers, by comma")
    return Options(seed=int(text)).seed


def begin(out, asked, resume):
    """The folder of an evaluation, new or to go on with; protocol.json in it says what was asked for."""
    if resume:
        if out is None:
            raise UserMistake("--resume: name the stopped evaluation with --out")
        kept = read_json(out / "protocol.json", ": no evaluation to go on with")
        for name, value in _flat(json.loads(json.dumps(asked))).items():
            if not isinstance(kept, dict) or _flat(kept).get(name) != value:
                raise UserMistake(f"--resume: the evaluation in {out} has another {name} than {value}")
        return out.resolve()
    if out is None:
        out = new_folder("evaluation")
    else:
        must_be_new(out)
        made(out)
    write_json(out / "protocol.json", asked)
    return out.resolve()


def _flat(asked):
    """What was asked for, with the options beside the rest."""
    return {**asked, **asked.get("options", {}), "options": None}


def writable(copy):
    """Raises UserMistake where --json names a folder."""
    if copy and copy.is_dir():
        raise UserMistake(f"--json {copy}: is a folder; name a file")


def finish(out, copy):
    """Say what came out, and where it is."""
    if copy:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / "evaluation.json", copy)
    click.echo(str(out / "report.md"))


@main.command()
@run_argument
@option("dataset_dir", type=Path, required=True, help="Recordings with stages.")
@option("architectures", type=CommaList(), default=None, help="By comma. [all of the run]")
@option("precision", default="float32", help="Any but float32 runs the exported file on the watch. [float32]")
@option("json", "copy", type=Path, default=None, help="Write the results here, too.")
@option("out", type=Path, default=None, help="The folder. [RUN/scores/<name of dataset_dir>.<precision>]")
def score(run, dataset_dir, architectures, precision, copy, out):
    """Score a trained run on other nights; those it was trained on are left out."""
    from evaluation.report import report
    from evaluation.run import score as score_run
    from evaluation.run import write_tables
    from models.run import Run

    trained = Run(run)
    one_of("--precision", [precision], PRECISIONS)
    known = trained.options.architectures
    architectures = one_of("--architectures", architectures or known, known)
    writable(copy)
    out = out or trained.folder / "scores" / f"{dataset_dir.resolve().name}.{precision}"
    with progress_bar() as bar:
        bar.add_task("scoring", total=None)
        made(out)
        wanted = trained.held_out(dataset_dir)
        if left := sorted({*subjects(dataset_dir)} - {*wanted}):
            console.print(f"left out, as the run was trained on nights of these ids: {', '.join(left)}")
        nights, findings = load_nights(dataset_dir, trained.options, wanted)
        if findings:
            console.print(*map(str, findings), sep="\n")
        results = score_run(trained, dataset_dir, nights, architectures, precision)
        protocol = {"name": "score", "run": str(trained.folder), "dataset_dir": str(dataset_dir.resolve())}
        write_tables(out, results)
        report(out, protocol, results, trained.options.stride)
    finish(out, copy)


@main.command()
@run_argument
@option("dataset_dir", type=Path, default=None, help="Recordings. [those of the run]")
@option("architectures", type=CommaList(), default=None, help="By comma. [all of the run]")
@option("out", type=Path, default=None, help="The folder. [RUN]")
def saliency(run, dataset_dir, architectures, out):
    """Which inputs, and from how many minutes back, drive each stage: saliency.json and a plot per architecture."""
    if out:
        made(out)
    with progress_bar() as bar:
        task = bar.add_task("starting TensorFlow", total=None)
        from evaluation.saliency import saliency_of_run

        saliency_of_run(run, dataset_dir, architectures, out, lambda what: bar.update(task, description=what))
    click.echo(str((out or run) / "saliency.json"))


if __name__ == "__main__":
    main(prog_name="python -m evaluation")
