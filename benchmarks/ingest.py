"""The cost of reading and aligning a raw night: python -m benchmarks.ingest [DIR] [--json FILE].

Simulates a night of 8.2 h with raw motion at 50 Hz (1.5 million rows), or takes the first night in DIR. Our reading and
alignment, with all checks, is compared with pandas' C parser on the motion file alone, and with what public notebooks
do: read and sort all files and merge them onto motion by nearest time (pandas.merge_asof), without checks or windows.

The variants alternate, each in a fresh process. Time is processor time of the work alone (without imports), the median
over rounds; memory is the peak of the whole process. Exit code 1 if ours misses SECONDS or MEMORY_MB.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pandas as pd

from export.latency import ROOT
from pipeline.command_line import console, option
from pipeline.files import write_json
from pipeline.recordings import LABELS, LAYOUTS, paths, read_recording, subjects

SECONDS = 0.6  # targets for ours
MEMORY_MB = 300
ROUNDS = 5
HOURS, MOTION_HZ = 8.2, 50


def ours(folder: Path, subject: str) -> int:
    """Read, check and align the night; returns its windows."""
    from pipeline.align import align
    from pipeline.options import Options

    return len(align(read_recording(folder, subject), Options()))


def parser(folder: Path, subject: str) -> int:
    """Parse the motion file; returns its rows."""
    return len(pd.read_csv(paths(folder, subject)["motion"], sep=" ", header=None, dtype=np.float64))


def nearest_merge(folder: Path, subject: str) -> int:
    """Merge everything onto motion by nearest time; returns the rows."""
    tables = {}
    for name, layout in {**LAYOUTS, "labels": LABELS}.items():
        path = paths(folder, subject)[name]
        if path.exists():
            table = pd.read_csv(path, sep=layout.separator or " ", header=None, names=layout.columns, dtype=np.float64)
            tables[name] = table.sort_values("t")
    merged = tables.pop("motion")
    for table in tables.values():
        merged = pd.merge_asof(merged, table, on="t", direction="nearest")
    return len(merged)


WORK: dict[str, tuple[Callable[[Path, str], int], str]] = {
    "ours": (ours, "read, checked and aligned"),
    "parser": (parser, "pandas' C parser, motion alone"),
    "nearest_merge": (nearest_merge, "pandas.merge_asof, nearest"),
}


def measured(name: str, folder: Path, subject: str) -> tuple[float, float]:
    """(CPU seconds of the work, peak MB) in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--work", name, str(folder), subject]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, child.stdout.split())
    return seconds, megabytes


def report(folder: Path, rounds: int = ROUNDS) -> dict[str, object]:
    """All figures for the folder's first night.

    Args:
        folder: Folder of the data set; the night must have raw motion.
        rounds: Number of rounds; in each, every variant runs once.

    Returns:
        Contents of --json: {work: {"seconds", "peak_mb", "times_ours" (seconds / ours)}}, "rows" and "met".
    """
    subject = subjects(folder)[0]
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in WORK}
    for _ in range(rounds):
        for name, of_work in figures.items():
            of_work.append(measured(name, folder, subject))
    seconds = {name: statistics.median(s for s, _ in of_work) for name, of_work in figures.items()}
    peak_mb = {name: max(mb for _, mb in of_work) for name, of_work in figures.items()}
    result: dict[str, object] = {
        name: {"seconds": seconds[name], "peak_mb": peak_mb[name], "times_ours": seconds[name] / seconds["ours"]}
        for name in WORK
    }
    met = {"seconds": seconds["ours"] <= SECONDS, "peak_mb": peak_mb["ours"] <= MEMORY_MB}
    with paths(folder, subject)["motion"].open("rb") as file:
        return result | {"rows": sum(1 for _ in file), "met": met}


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, exists=True), required=False)
@option("json", "json_file", type=Path, default=None, help="Also write the figures to this file.")
def main(folder: Path | None, json_file: Path | None) -> None:
    """Processor time and peak memory of reading and aligning a raw night, compared with a parser and a merge."""
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            from pipeline.synthetic import synthesize

            folder = Path(temporary, "night")
            synthesize(folder, subjects=1, hours=HOURS, motion_hz=MOTION_HZ)
        figures = report(folder.resolve())
    console.print(f"{figures['rows']} rows of motion, medians of {ROUNDS} processes")
    for name, (_, what) in WORK.items():
        f = figures[name]
        line = f"{what:<32} {f['seconds']:.2f} s CPU, {f['times_ours']:.2f} times ours, peak {f['peak_mb']:.0f} MB"
        console.print(line)
    for name, text in (("seconds", f"{SECONDS} s"), ("peak_mb", f"{MEMORY_MB} MB")):
        console.print(f"target {text}: {'met' if figures['met'][name] else 'MISSED'}")
    if json_file:
        write_json(json_file, {"date": datetime.now(UTC).date().isoformat(), **figures})
    sys.exit(0 if all(figures["met"].values()) else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work, of_folder, of_subject = sys.argv[2:]
        start = time.process_time()
        WORK[work][0](Path(of_folder), of_subject)
        seconds = time.process_time() - start
        peak = re.findall(
            r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()
        )  # getrusage would include the parent's peak
        print(seconds, int(peak[0]) / 1024)
    else:
        main(prog_name="python -m benchmarks.ingest")
