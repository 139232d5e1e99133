"""Speed-up and overhead of a cluster: python -m benchmarks.cluster [--nights 96] [--hours 3] [--rounds 3].

Simulated nights of raw motion are read and aligned, one per task: by a Dask scheduler with one and with two
single-threaded workers, all started here as processes, and by two processes of joblib. Workers have the settings of
docs/cluster.md; two with Dask's defaults are measured too. The variants alternate, one at a time; figures are medians
over rounds. Processor time is the total of all processes involved, and shows the overhead even on a busy machine,
unlike wall-clock time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import click
import psutil
import yaml
from joblib.externals.loky import get_reusable_executor

from export.latency import ROOT
from pipeline.align import align
from pipeline.command_line import option
from pipeline.options import Options
from pipeline.recordings import read_recording, subjects
from pipeline.synthetic import synthesize
from pipeline.workers import in_parallel, workers

DASK = Path(sys.executable).with_name("dask")
LEAST_GAIN = 1.8  # speed of two workers relative to one
MOST_OVERHEAD = 1.1  # processor time relative to joblib
SETTINGS = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text())["services"]["worker"]["environment"]


def read_night(folder: Path, subject: str) -> int:
    """Read and align a night; returns its windows."""
    return len(align(read_recording(folder, subject), Options()))


@contextmanager
def dask(*arguments: str, variables: Mapping[str, str] = {}) -> Iterator[None]:
    """Run a scheduler or worker within the block."""
    process = subprocess.Popen(
        [DASK, *arguments, "--no-dashboard"],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def cluster(size: int, variables: Mapping[str, str] = SETTINGS) -> Iterator[None]:
    """`workers` of a scheduler that has `size` workers with these environment variables."""
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scheduler.json"
        stack.enter_context(dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        for _ in range(size):
            stack.enter_context(dask("worker", address, "--nthreads", "1", variables=variables))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(size)
        stack.enter_context(workers(scheduler=address))
        yield


@contextmanager
def processes(size: int) -> Iterator[None]:
    """`workers` of `size` joblib processes, which end with the block."""
    with workers(size):
        yield
    get_reusable_executor().shutdown(wait=True)


def processor_s() -> float:
    """Processor time (s) of this process and its running child processes."""
    me = psutil.Process()
    times = [process.cpu_times() for process in [me, *me.children(recursive=True)]]
    return sum(t.user + t.system for t in times)


def measure(work: list[tuple[Path, str]]) -> tuple[float, float]:
    """(wall-clock time, processor time) in s of the work, done by the context's workers."""
    list(in_parallel(read_night, work[: len(work) // 2]))  # warm-up, so that imports are done
    clock, processor = time.monotonic(), processor_s()
    for _ in in_parallel(read_night, work, ordered=False):
        pass
    return time.monotonic() - clock, processor_s() - processor


@click.command()
@option("nights", type=click.IntRange(4), default=96, show_default=True, help="Number of tasks.")
@option("hours", type=click.IntRange(1), default=3, show_default=True, help="Length of a night.")
@option("rounds", type=click.IntRange(1), default=3, show_default=True)
def main(nights: int, hours: int, rounds: int) -> None:
    """Measure the speed-up and overhead of a cluster."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        synthesize(folder / "nights", subjects=nights, hours=hours, motion_hz=50)
        work = [(folder / "nights", subject) for subject in subjects(folder / "nights")]
        contexts = {
            "one worker": lambda: cluster(1),
            "two workers": lambda: cluster(2),
            "two workers, settings of Dask": lambda: cluster(2, {}),
            "two processes of joblib": lambda: processes(2),
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in contexts}
        for _ in range(rounds):
            for name, context in contexts.items():
                with context():
                    measured[name].append(measure(work))
    click.echo(
        f"{nights} nights of {hours} h, raw motion at 50 Hz; medians of {rounds} rounds\nwho | clock_s | processor_s"
    )
    for name, times in measured.items():
        click.echo(f"{name} | {median(c for c, _ in times):.1f} | {median(p for _, p in times):.1f}")
    one_worker, two_workers, _, local = measured.values()
    gain = median(a / b for (a, _), (b, _) in zip(one_worker, two_workers, strict=True))
    overhead = median(a / b for (_, a), (_, b) in zip(two_workers, local, strict=True))
    clock = median(a / b for (a, _), (b, _) in zip(two_workers, local, strict=True))
    click.echo(f"a piece of work takes {median(p for _, p in local) / nights:.2f} s")
    click.echo(f"two workers: {gain:.2f} times the speed of one (asked: {LEAST_GAIN})")
    asked = f"(asked: {MOST_OVERHEAD})"
    click.echo(f"against joblib: {overhead:.2f} of the processor time, {clock:.2f} of the clock {asked}")


if __name__ == "__main__":
    from benchmarks.cluster import main  # workers find its functions in the module of that name, not in __main__

    main(prog_name="python -m benchmarks.cluster")
