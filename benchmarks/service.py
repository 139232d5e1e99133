"""Live steps per second of the service on loopback: python -m benchmarks.service BUNDLE [--json FILE], about a minute.

Simulated sleepers (locust) send windows as fast as they are answered, to one worker and to two. For comparison, the
same run sends the same bodies to an echo service, and makes the same steps without HTTP, with tokens and with a
persistent watch. On a busy machine, steps per second of processor time are more reliable than per second of wall-clock
time. Exit code 1 if a core does less than TARGET.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import psutil

from pipeline.command_line import NamedPath, OutputFile, console, option
from pipeline.files import write_json
from watch_sim.service.live import LiveNights
from watch_sim.service.requests import LiveStep
from watch_sim.service.run import ServedRun
from watch_sim.watch import Watch

ROOT = Path(__file__).resolve().parents[1]
SLEEPERS = 10_000
WINDOW_S = 30
TARGET = SLEEPERS / WINDOW_S  # steps per second and core
USERS = 16  # concurrent sleepers
SECONDS = 10  # per measurement
STEPS = 1000  # of the measurement without HTTP


@contextmanager
def started(command: Sequence[str], address: str) -> Iterator[tuple[str, psutil.Process]]:
    """(address, process) of a service within the block; the address is read from its output."""
    environment = {**os.environ, "WRISTSLEEP_TOKEN_KEY": "of a benchmark, " * 3}
    with subprocess.Popen(
        [sys.executable, "-u", *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if address else subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        for line in server.stdout:
            if found := re.search(r"http://127.0.0.1:\d+", line):
                break
        with suppress(urllib.error.HTTPError):  # any answer will do
            urllib.request.urlopen(f"{found.group()}/healthz", timeout=120)
        try:
            yield found.group(), psutil.Process(server.pid)
        finally:
            server.terminate()
            server.communicate()


def processor_seconds(process: psutil.Process) -> float:
    """Processor time of a process and its children so far."""
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def load(address: str, process: psutil.Process, **environment: str) -> dict[str, float]:
    """{steps per second, per processor second, p50 and p99 in ms, failures} under load."""
    command = ["-m", "locust", "-f", "benchmarks/sleepers.py", "--headless", "--json", "--only-summary", "-H", address]
    bounds = ["-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s", "--exit-code-on-error", "0"]
    before = processor_seconds(process)
    done = subprocess.run(
        [sys.executable, *command, *bounds], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    spent = processor_seconds(process) - before
    (row,) = json.loads(done.stdout)
    times = sorted((float(ms), n) for ms, n in row["response_times"].items())
    return {
        "steps_per_second": row["num_requests"] / (row["last_request_timestamp"] - row["start_time"]),
        "steps_per_processor_second": row["num_requests"] / spent,
        "p50_ms": percentile(times, 0.5),
        "p99_ms": percentile(times, 0.99),
        "failures": row["num_failures"],
    }


def percentile(times: Sequence[tuple[float, int]], share: float) -> float:
    """The percentile `share` (0 to 1) of sorted (time, count) pairs."""
    left = share * sum(n for _, n in times)
    for ms, n in times:
        left -= n
        if left <= 0:
            return ms
    return times[-1][0]


def samples_of(window: int) -> list[dict]:
    """A window's samples, as sent by the sleepers."""
    t = WINDOW_S * window
    pulse = [{"sensor": "heart_rate", "t": t + i + 0.5, "value": 58 + i % 7} for i in range(0, WINDOW_S, 5)]
    return [*pulse, *({"sensor": "activity", "t": t + end, "value": window % 9} for end in (15, 30))]


def without_http(bundle: Path, architecture: str, precision: str) -> dict[str, float]:
    """{name: steps per processor second} with tokens, and with a persistent watch."""
    nights = LiveNights(ServedRun(bundle), b"k" * 32)
    watch = Watch(bundle, precision, counts=True)
    token = None

    def by_token(window: int) -> None:
        nonlocal token
        begun = {"open": {"architecture": architecture, "precision": precision, "counts": True}}
        body = {**({"token": token} if token else begun), "samples": samples_of(window), "now": WINDOW_S * (window + 1)}
        step = LiveStep.model_validate_json(json.dumps(body))
        answer = nights.step(step, nights.night(step))
        token = json.loads(json.dumps(answer))["token"]

    def by_watch(window: int) -> None:
        for sample in samples_of(window):
            watch.feed(sample["sensor"], sample["t"], sample["value"])
        watch.advance(WINDOW_S * (window + 1))

    return {"token, no HTTP": rate(by_token), "persistent watch": rate(by_watch)}


def rate(step: Callable[[int], None]) -> float:
    """Steps per processor second."""
    begun = time.process_time()
    for window in range(STEPS):
        step(window)
    return STEPS / (time.process_time() - begun)


@click.command(help=__doc__.splitlines()[0])
@click.argument("bundle", type=NamedPath())
@option("json", "report", type=OutputFile(), default=None, help="Write the figures here.")
def main(bundle: Path, report: Path | None) -> None:
    """Measure, print the figures, and compare with the target."""
    served = ServedRun(bundle)
    architecture, contract = next(iter(served.contracts.items()))
    precision = "int8" if "int8" in contract.precisions else next(iter(contract.precisions))
    model = {"ARCHITECTURE": architecture, "PRECISION": precision}
    figures = {}
    for workers in (1, 2):
        serve = ["-m", "watch_sim", "serve", str(bundle), "--port", "0", "--rate", "1000000/second"]
        with started([*serve, "--workers", str(workers)], "") as (address, process):
            load(address, process, **model)  # warm-up, as the first steps load the model
            figures[f"{workers} worker{'s' * (workers > 1)}"] = load(address, process, **model)
    echo = ["-m", "uvicorn", "benchmarks.echo:app", "--port", "0", "--no-access-log", "--http", "h11"]
    with started(echo, "stderr") as (address, process):
        figures["echo"] = load(address, process, ECHO="1", **model)
    for name, row in figures.items():
        console.print(f"{name:<18}" + "".join(f"{value:>10.1f} {key}" for key, value in row.items()))
    alone = without_http(bundle, architecture, precision)
    for name, value in alone.items():
        console.print(f"{name:<18}{value:>10.1f} steps_per_processor_second")
    if report:
        write_json(report, {"target": TARGET, **figures, "without_http": alone})
    reached = figures["1 worker"]["steps_per_processor_second"]
    failures = sum(row["failures"] for row in figures.values())
    console.print(f"a core: {reached:.0f} steps/s, {reached * WINDOW_S:.0f} sleepers; target {TARGET:.0f} steps/s")
    sys.exit(0 if reached >= TARGET and not failures else 1)


if __name__ == "__main__":
    main()
