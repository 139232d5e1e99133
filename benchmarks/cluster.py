"""What a cluster gains and costs: python -m benchmarks.cluster [--nights 48] [--rounds 3].

Simulated nights of raw motion are read and aligned, one to a piece of work: by a Dask scheduler with one worker of one
thread and with two, all started here as processes of their own, and by as many processes of joblib. Rounds take turns;
figures are medians. Processor time is that of all processes that take part, and tells of the overhead also where a
machine is busy with other things; the clock does not.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import click
import psutil

from export.latency import ROOT
from pipeline.align import align
from pipeline.command_line import option
from pipeline.options import Options
from pipeline.recordings import read_recording, subjects
from pipeline.synthetic import synthesize
from pipeline.workers import in_parallel, workers

DASK = Path(sys.executable).with_name("dask")
LEAST_GAIN = 1.8  # two workers, of one
MOST_OVERHEAD = 1.1  # of the same work by joblib


def read_night(folder: Path, subject: str) -> int:
    """Read and align a night; returns its windows."""
    return len(align(read_recording(folder, subject), Options()))


@contextmanager
def dask(*arguments: str) -> Iterator[None]:
    """A scheduler or worker, until the end of the block."""
    process = subprocess.Popen(
        [DASK, *arguments, "--no-dashboard"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def cluster(folder: Path, size: int) -> Iterator[str]:
    """Address of a scheduler with so many workers."""
    with ExitStack() as stack:
        file = folder / f"scheduler_{size}.json"
        stack.enter_context(dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        for _ in range(size):
            stack.enter_context(dask("worker", address, "--nthreads", "1"))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(size)
        yield address


def processor_s() -> float:
    """Processor time (s) of this process and of all that it has started and not ended."""
    me = psutil.Process()
    times = [process.cpu_times() for process in [me, *me.children(recursive=True)]]
    return sum(t.user + t.system for t in times)


def measure(work: list[tuple[Path, str]]) -> tuple[float, float]:
    """(clock, processor time) (s) of the work by the workers of the context."""
    list(in_parallel(read_night, work[:4]))  # all have imported what they need
    clock, processor = time.monotonic(), processor_s()
    for _ in in_parallel(read_night, work, ordered=False):
        pass
    return time.monotonic() - clock, processor_s() - processor


@click.command()
@option("nights", type=click.IntRange(4), default=48, show_default=True, help="Pieces of work.")
@option("rounds", type=click.IntRange(1), default=3, show_default=True)
def main(nights: int, rounds: int) -> None:
    """Measure what a cluster gains and costs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        synthesize(folder / "nights", subjects=nights, hours=2, motion_hz=25)
        work = [(folder / "nights", subject) for subject in subjects(folder / "nights")]
        measured: dict[str, list[tuple[float, float]]] = {}
        with cluster(folder, 1) as one, cluster(folder, 2) as two:
            contexts: dict[str, Callable] = {
                "one worker": lambda: workers(scheduler=one),
                "two workers": lambda: workers(scheduler=two),
                "two processes of joblib": lambda: workers(2),
            }
            for _ in range(rounds):
                for name, context in contexts.items():
                    with context():
                        measured.setdefault(name, []).append(measure(work))
    click.echo(f"{nights} nights of 2 h, raw motion at 25 Hz; medians of {rounds} rounds\nwho | clock_s | processor_s")
    for name, times in measured.items():
        click.echo(f"{name} | {median(c for c, _ in times):.1f} | {median(p for _, p in times):.1f}")
    one_worker, two_workers, local = measured.values()
    gain = median(a / b for (a, _), (b, _) in zip(one_worker, two_workers, strict=True))
    overhead = median(a / b for (_, a), (_, b) in zip(two_workers, local, strict=True))
    clock = median(a / b for (a, _), (b, _) in zip(two_workers, local, strict=True))
    click.echo(f"two workers: {gain:.2f} times the speed of one (asked: {LEAST_GAIN})")
    asked = f"(asked: {MOST_OVERHEAD})"
    click.echo(f"against joblib: {overhead:.2f} of the processor time, {clock:.2f} of the clock {asked}")


if __name__ == "__main__":
    from benchmarks.cluster import main  # workers find its functions in the module of that name, not in __main__

    main(prog_name="python -m benchmarks.cluster")
