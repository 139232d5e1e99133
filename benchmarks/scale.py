"""The cost of many nights: python -m benchmarks.scale [--nights 31,310,3100] [--out DIR] [--json FILE].

For each number of simulated nights (heart rate and activity counts, 8 h) it runs, in separate processes, `prepare`
(reads nights, writes features to shards) and the training of a GRU from the shards. Times are wall-clock and processor
time of all processes of the command; memory is the peak of its largest process. With the smallest number of nights, a
short training from shards is then compared with one from memory: speed in processor time, and weights bit for bit.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from export.latency import ROOT
from pipeline.command_line import CommaList, option
from pipeline.files import write_json
from pipeline.options import Options
from pipeline.synthetic import synthesize

COLUMNS = ("nights", "stage", "clock_s", "processor_s", "peak_mb", "kb_per_night")
LEAST_SPEED = 0.9  # from shards, relative to memory
MOST_MEMORY = 1.3  # relative to the smallest number of nights
EPOCHS = 12  # of the short training
ROUNDS = 2  # of the short training; the faster counts
TRAIN = "from benchmarks.scale import train; train({!r})"
MEASURED = """
import json, resource, subprocess, sys, time
began = time.monotonic()
status = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def measured(*arguments: str) -> dict[str, float]:
    """Wall-clock and processor time (s) and peak memory (MB) of Python with these arguments, including its children.

    Raises:
        click.ClickException: The command failed.
    """
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    status, clock, processor, peak = json.loads(done.stdout)
    if status:
        raise click.ClickException(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return {"clock_s": round(clock, 1), "processor_s": round(processor, 1), "peak_mb": round(peak)}


def train(folder: str) -> None:
    """Train the networks of a prepared run, without export."""
    from models.train_run import train_run
    from models.trained_run import TrainedRun
    from pipeline.nights import load_nights
    from pipeline.splits import nights_by_part
    from pipeline.workers import workers

    run = TrainedRun(Path(folder))
    with workers():
        nights, _ = load_nights(run.dataset_dir, run.requested_options)
        train_run(run, nights_by_part(nights, run.splits))


def sweep(nights: int, folder: Path, inner_folds: int) -> list[dict]:
    """The cost of preparing and of training on a number of nights, as rows of COLUMNS."""
    data, run = folder / f"{nights}_nights", folder / f"{nights}_run"
    if not data.exists():
        synthesize(data, subjects=nights, motion_hz=0)
    options = ["--architectures", "gru", "--inner_folds", str(inner_folds)]
    prepared = measured("-m", "models", "prepare", str(data), "--out", str(run), *options)
    size = sum(path.stat().st_size for path in run.glob("partial/features/*")) / 1024 / nights
    trained = measured("-c", TRAIN.format(str(run)))
    return [
        {"nights": nights, "stage": "prepare", "kb_per_night": round(size), **prepared},
        {"nights": nights, "stage": "train", **trained},
    ]


def from_shards_and_memory(folder: Path) -> dict[str, float]:
    """Nights per second of processor time in a short training of a prepared run, from shards and from memory.

    Raises:
        click.ClickException: The weights differ.
    """
    from dataclasses import replace

    import keras

    from models.train_run import features_of_parts
    from models.trained_run import TrainedRun
    from models.training import train_network
    from pipeline.budget import budget
    from pipeline.nights import load_nights
    from pipeline.splits import nights_by_part

    run = TrainedRun(folder)
    nights, _ = load_nights(run.dataset_dir, run.requested_options)
    stored = features_of_parts(run, nights_by_part(nights, run.splits))["train"]
    options = replace(run.options, epochs=EPOCHS)
    planned = budget(options, len(stored))
    speeds, weights = {}, {}
    for _ in range(ROUNDS):
        for where, data in (("shards", stored), ("memory", [list(variants) for variants in stored])):
            began = time.process_time()
            train_network(
                "gru", {"train": data}, options, [], None, lambda row: None, [last := keras.callbacks.Callback()]
            )
            speed = EPOCHS * planned.steps * planned.batch_size / (time.process_time() - began)
            speeds[where] = max(speed, speeds.get(where, 0))
            weights[where] = b"".join(x.tobytes() for x in last.model.get_weights())
    if weights["shards"] != weights["memory"]:
        raise click.ClickException("weights trained from shards differ from those trained from memory")
    return speeds


@click.command()
@option("nights", type=CommaList(), default=("31", "310", "3100"), show_default=True, help="Comma-separated.")
@option("inner_folds", type=int, default=Options.inner_folds, show_default=True, help="Inner folds of the trainings.")
@option("out", type=Path, default=None, help="Folder to keep nights and runs in. [a temporary folder]")
@option("json", "json_file", type=Path, default=None, help="Also write the figures to this file.")
def main(nights: tuple[str, ...], inner_folds: int, out: Path | None, json_file: Path | None) -> None:
    """Time, memory and bytes per night of preparing and training on increasing numbers of nights."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (out or Path(temporary)).resolve()
        numbers = sorted(map(int, nights))
        rows = []
        click.echo(" | ".join(COLUMNS))
        for number in numbers:
            for row in sweep(number, folder, inner_folds):
                rows.append(row)
                click.echo(" | ".join(str(row.get(name, "")) for name in COLUMNS))
        speeds = from_shards_and_memory(folder / f"{numbers[0]}_run")
    peaks = [max(row["peak_mb"] for row in rows if row["nights"] == number) for number in numbers]
    figures = {"rows": rows, "nights_per_s": speeds, "memory": peaks[-1] / peaks[0]}
    share = speeds["shards"] / speeds["memory"]
    click.echo(f"memory of {numbers[-1]} nights: {figures['memory']:.2f} times that of {numbers[0]}")
    click.echo(f"speed from shards: {share:.2f} of that from memory; the same weights")
    if json_file:
        write_json(json_file, figures)
    sys.exit(share < LEAST_SPEED or figures["memory"] > MOST_MEMORY)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.scale")
