"""One command: nights -> four trained models -> TFLite bundles -> parity verdict, in one run folder."""

import importlib.metadata
import shutil
import subprocess
import sys
import time
from dataclasses import fields
from datetime import date
from pathlib import Path

import click

from pipeline.checks import write_findings
from pipeline.cli import CommaList, console, option, progress_bar
from pipeline.files import read_hparams, read_json, write_json, write_whole
from pipeline.nights import load_nights, split, write_night
from pipeline.options import ARTIFACTS, CHANNELS, Options, UserMistake
from pipeline.recordings import subjects
from pipeline.synthetic import synthesize

SYNTHETIC = ARTIFACTS / "synthetic"
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "ai-edge-litert", "ai-edge-quantizer")
COST = {"night": 1, "epoch": 1, "file": 5, "parity": 1}  # s, roughly: the share of the progress bar
HELP = {
    "negative_times": "Keep up to two hours before t=0, unscored.",
    "data_alignment": "Seconds per row; 30 is clinical alignment.",
    "motion_magnitude": "Add the magnitude of acceleration as a channel.",
    "window_size": "Seconds that a window sees.",
    "stride": "Seconds from one window to the next.",
    "channels": "Input channels, by comma; by default all that any training night has.",
    "architectures": "By comma.",
    "batch_size": "Nights per training step.",
    "hidden_dim": "Units of each network.",
    "lr": "Highest learning rate.",
    "epochs": "Training epochs.",
    "train_split": "Share of the subjects to train on.",
    "seed": "Same seed, same split and weights.",
}


def options_of_run(command):
    """The fields of Options as command-line options."""
    for field in reversed(fields(Options)):
        kind = {"type": CommaList()} if isinstance(field.default, tuple) else {"type": type(field.default)}
        kind = {"is_flag": True} if isinstance(field.default, bool) else kind
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        command = option(field.name, default=field.default, help=f"{HELP[field.name]}  [{shown}]", **kind)(command)
    return command


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
    elif out and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserMistake(f"--out {out}: exists and is not empty; name another, or add --resume to go on with it")
    if dataset_dir is None:
        dataset_dir = SYNTHETIC
        if not dataset_dir.exists():
            with progress_bar() as bar:
                task = bar.add_task("making synthetic nights", total=20)
                synthesize(dataset_dir, progress=lambda *_: bar.advance(task))
    found = subjects(dataset_dir)
    out = out or new_run_folder()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f"--out {out}: no folder can be made there ({error.strerror})") from None
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


def new_run_folder():
    """artifacts/<YYYY-MM-DD>/run_<n>, made here so that two runs started together do not share it."""
    day = ARTIFACTS / date.today().isoformat()
    day.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        try:
            (day / f"run_{n}").mkdir()
            return day / f"run_{n}"
        except FileExistsError:
            n += 1


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


def commit():
    """The project's commit, with a + where files differ from it; None outside a checkout."""
    said = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return said.stdout.strip() or None


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
        splits = split([night.subject for night in nights], options)
        channels = channels_used(nights, splits["train"], options)
        write_findings(out / "data_check_failures.txt", findings)
        done(f"{len(nights)} usable nights, {len(findings)} findings; channels {', '.join(channels)}")
        versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}
        known = {"options": options.as_dict(), "dataset_dir": str(dataset_dir), "channels": channels}
        write_json(out / "splits.json", splits)
        (out / "partial").mkdir(exist_ok=True)
        write_json(out / "hparams.json", known | {"seed": options.seed, "versions": versions, "commit": commit()})

        doing("starting TensorFlow")
        return train_and_check(out, nights, splits, doing, done)


def channels_used(nights, train, options):
    """Channels that any training night has, in the order of CHANNELS."""
    there = {name for night in nights if night.subject in train for name in night.channels}
    for name in options.channels:
        if name not in there:
            raise UserMistake(f"--channels {name}: no training night has it; they have {', '.join(sorted(there))}")
    return [name for name in CHANNELS if name in there]


def train_and_check(out, nights, splits, doing, done):
    """Features, training, export, parity and evaluation; returns whether all parity gates hold."""
    import pandas as pd

    from evaluation.plots import plot_accuracies
    from evaluation.report import evaluate
    from export.build import build_bundles
    from models.run import Run
    from models.sensing import Sensing
    from watch_sim.report import check_run

    run = Run(out)
    part = {name: [night for night in nights if night.subject in splits[name]] for name in splits}
    sensing = Sensing(run.options, run.channels)
    sensing.fit(part["train"])
    write_json(out / "scaler.json", {"features": sensing.names, **sensing.scaler})
    features = {name: sensing.nights(own) for name, own in part.items()}
    held = part["validation"]
    write_sample(out / "validation_sample.csv", held[0], run)
    golden = max(held, key=lambda night: (sum(map(len, night.channels.values())), len(night)))
    write_night(out / "golden.npz", golden)
    done(f"{len(sensing.names)} features")

    tables = [train_one(run, name, features, part, doing, done) for name in run.options.architectures]
    accuracies = pd.concat(tables)
    write_whole(out / "model_accuracies.csv", accuracies.to_csv(index=False))
    plot_accuracies(accuracies, out / "model_accuracies_plot.png")
    run.write_calibration(features["train"])

    build_bundles(run, run.options.architectures, out / "bundles", lambda what: doing(what, COST["file"]))
    done("exported")
    results = evaluate(run, held, features["validation"])
    for result in results:
        five = result["scored"]["all"]["5"]
        text = f"κ {five['kappa']:.2f}, accuracy {five['accuracy']:.2f}"
        floor = f"(largest class alone {five['majority_accuracy']:.2f})"
        console.print(f"{result['architecture']} on held-out subjects, 5 stages: {text} {floor}")
    passed = check_run(run, progress=lambda what: doing(what, COST["parity"] / 2))
    done("parity")
    shutil.rmtree(out / "partial")
    return passed


def train_one(run, architecture, features, part, doing, done):
    """Train one architecture, or take what a stopped run left of it; its accuracies as a DataFrame."""
    import pandas as pd

    from models.run import model_name
    from models.training import best_epoch, train

    partial = run.folder / "partial" / architecture
    partial.mkdir(exist_ok=True)
    log, model = partial / "accuracies.json", run.folder / model_name(architecture)
    rows = read_json(log) if log.exists() else []
    if not model.exists():
        stages = {name: [night.stages for night in nights] for name, nights in part.items()}

        def after(row):
            rows.append(row)
            write_json(log, rows)
            doing(f"{architecture}: epoch {row['epoch']} of {run.options.epochs}", COST["epoch"])

        best = train(architecture, features, stages, run.options, list(rows), partial, after)
        best.replace(model)
        row = best_epoch(rows)
        accuracy = f"inner validation accuracy {row['inner_validation_accuracy']:.2f}"
        done(f"{architecture}: best epoch {row['epoch']}, {accuracy}")
    return pd.DataFrame(rows).assign(architecture=architecture)


def write_sample(path, night, run):
    """One window as the models are fed it: a column per channel, a line per value; shorter channels end earlier."""
    import pandas as pd

    middle = len(night) // 2
    columns = {name: pd.Series(night.window(name, run.options)[middle]) for name in run.channels}
    write_whole(path, pd.DataFrame(columns).to_csv(index=False))


if __name__ == "__main__":
    main()
