"""One command: nights -> four trained models -> TFLite bundles -> parity verdict, in one run folder."""

import shutil
import sys
import time
from pathlib import Path

import click

from evaluation.results import walch_valid
from pipeline.begin import begin
from pipeline.checks import write_findings
from pipeline.cli import console, made, must_be_new, new_folder, option, options_of_run, progress_bar
from pipeline.files import read_hparams
from pipeline.nights import load_nights, split
from pipeline.options import ARTIFACTS, Options, UserMistake
from pipeline.recordings import subjects
from pipeline.synthetic import synthesize

SYNTHETIC = ARTIFACTS / "synthetic"
COST = {"night": 1, "epoch": 1, "file": 5, "parity": 1}  # s, roughly: the share of the progress bar


@click.command()
@option("dataset_dir", type=Path, default=None, help="Recordings in the sleep-accel layout. [synthetic nights]")
@options_of_run
@option("out", type=Path, default=None, help="The run folder. [artifacts/<date>/run_<n>]")
@option("resume", is_flag=True, help="Go on with the stopped run in --out, or else with the newest one.")
@click.pass_context
def main(context, dataset_dir, out, resume, **given):
    """Train, export and check models of sleep stages; ends with the path of the run folder."""
    options = Options(**given)
    if resume:
        out = out or newest_stopped()
        explicit = {n for n in given if context.get_parameter_source(n).name == "COMMANDLINE"}
        options, dataset_dir = stopped_run(out, options, explicit, dataset_dir)
    elif out:
        must_be_new(out)
    if dataset_dir is None:
        dataset_dir = SYNTHETIC
        if not dataset_dir.exists():
            with progress_bar() as bar:
                task = bar.add_task("making synthetic nights", total=20)
                synthesize(dataset_dir, progress=lambda *_: bar.advance(task))
    found = subjects(dataset_dir)
    out = made(out) if out else new_folder("run")
    try:
        passed = run_all(out.resolve(), dataset_dir.resolve(), found, options)
    except KeyboardInterrupt:
        begun = (out / "hparams.json").exists()
        console.print(f"stopped; to go on: python train.py --resume --out {out}" if begun else "stopped")
        sys.exit(130)
    except UserMistake:
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()  # nothing came of it
        raise
    click.echo(str(out))
    sys.exit(0 if passed else 1)


def newest_stopped():
    """The newest run folder whose training did not end."""
    stopped = [path.parent for path in ARTIFACTS.glob("*/run_*/partial")]
    if not stopped:
        raise UserMistake(f"--resume: no stopped run under {ARTIFACTS}; name its folder with --out")
    return max(stopped, key=lambda folder: (folder / "partial").stat().st_mtime)


def stopped_run(out, options, explicit, dataset_dir):
    """(options, data set) of a stopped run, as it was started."""
    hparams, kept = read_hparams(out, ": no run to go on with")
    if not (out / "partial").exists():
        raise UserMistake(f"--resume: the run in {out} is complete")
    for name in explicit:
        if getattr(kept, name) != getattr(options, name):
            raise UserMistake(f"--{name} {getattr(options, name)}: the stopped run has {getattr(kept, name)}")
    if dataset_dir and str(dataset_dir.resolve()) != hparams["dataset_dir"]:
        raise UserMistake(f"--dataset_dir {dataset_dir}: the stopped run has {hparams['dataset_dir']}")
    return kept, Path(hparams["dataset_dir"])


def run_all(out, dataset_dir, found, options):
    """Everything from nights to verdict, into the folder `out`; what is there already is not made again."""
    total = COST["night"] * len(found) + len(options.architectures) * (
        COST["epoch"] * options.epochs + 5 * COST["file"] + 5 * COST["parity"] * max(1, len(found) // 10)
    )
    with progress_bar() as bar:
        task, begun = bar.add_task("reading nights", total=total), time.monotonic()

        def doing(what, cost=0):
            bar.update(task, description=what, advance=cost)

        def done(what):
            nonlocal begun
            console.print(f"{what}, {time.monotonic() - begun:.0f} s")
            begun = time.monotonic()

        nights, findings = load_nights(
            dataset_dir, options, progress=lambda s: doing(f"reading night {s}", COST["night"])
        )
        walch_valid(dataset_dir, nights)  # what is wrong with it is said now, not after the training
        splits = split([night.subject for night in nights], options)
        channels = begin(out, nights, splits, options, dataset_dir)
        write_findings(out / "data_check_failures.txt", findings)
        done(f"{len(nights)} usable nights, {len(findings)} findings; channels {', '.join(channels)}")
        doing("starting TensorFlow")
        return train_and_check(out, nights, doing, done)


def train_and_check(out, nights, doing, done):
    """Features, training, export, parity and evaluation; returns whether all parity gates hold."""
    import pandas as pd

    from evaluation.plots import plot_accuracies
    from evaluation.report import report
    from evaluation.run import score, write_tables
    from export.build import build_bundles
    from models.fitting import fit, parts, write_sample
    from models.run import Run
    from watch_sim.report import check_run

    run = Run(out)
    part = parts(nights, run.splits)
    held = part["validation"]
    write_sample(out / "validation_sample.csv", held[0], run)
    fit(run, part, doing, done)
    plot_accuracies(pd.read_csv(out / "model_accuracies.csv"), out / "model_accuracies_plot.png")

    build_bundles(run, run.options.architectures, out / "bundles", lambda what: doing(what, COST["file"]))
    done("exported")
    results = score(run, run.hparams["dataset_dir"], held, run.options.architectures, "float32")
    write_tables(out, results)
    protocol = {"name": "holdout", "train_split": run.options.train_split, "subjects": run.splits}
    for result in report(out, protocol, results, run.options.stride)["results"][: len(run.options.architectures)]:
        five = result["scored"]["all"]["5"]
        text = f"κ {five['kappa']:.2f}, accuracy {five['accuracy']:.2f}"
        floor = f"(largest class alone {five['majority_accuracy']:.2f})"
        console.print(f"{result['architecture']} on held-out subjects, 5 stages: {text} {floor}")
    passed = check_run(run, progress=lambda what: doing(what, COST["parity"] / 2))
    done("parity")
    shutil.rmtree((out / "partial").rename(out / ".partial"))  # at once: what is half gone could not be gone on with
    return passed


if __name__ == "__main__":
    main()
