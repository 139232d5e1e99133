"""The cost of a step: python -m benchmarks.step RUN [--json FILE]. Exit code 1 if GRU int8 misses a target.

A step is all calls of a window, including sensing. Times are measured like litert-benchmark's, on one thread: the
median over rounds of each round's median, with all variants in every round. The alternative runs sensing and the
network over the whole last hour in every epoch, as models without a step form must.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np

from export.cost import cost_of
from export.latency import ROOT, benchmark
from export.runner import Runner
from pipeline.command_line import OutputFile, console, option
from pipeline.constants import HOUR_S
from pipeline.files import write_json
from pipeline.quiet import native_stderr_silenced
from pipeline.run_folder import RunFolder

ROUNDS = 15  # in each, every variant is measured once
RUNS = 400  # of a call per round
RUNS_WHOLE = RUNS // 10  # of a network over an hour
# targets for GRU int8
STEP_US = 60  # microseconds per step
MACS_PER_HOUR = 2.5e6  # multiply-accumulates per hour of sleep
TIMES_CHEAPER = 50  # than recomputing the last hour


def alternatives(run: Path, architecture: str, precision: str, folder: str) -> dict[str, Path]:
    """{name: path} of the network over an hour, in each form that converts; writes them into `folder`."""
    forms = [("loop", "float32")]  # a loop does not convert to integers
    if architecture != "transformer":  # which has no loop
        forms += [("unrolled", "float32"), ("unrolled", precision)]
    paths = {}
    for form, stored in dict.fromkeys(forms):
        path = Path(folder) / f"{form}.{stored}.tflite"
        arguments = [str(run.resolve()), architecture, form, stored, str(path)]
        command = [sys.executable, "-m", "benchmarks.sequence", *arguments]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if path.exists():
            paths[f"{form}, {stored}"] = path
        else:
            console.print(f"{form}, {stored}: does not convert (status {child.returncode})")
    return paths


def python_us(runner: Runner, windows: dict[str, np.ndarray]) -> float:
    """Median time of a step in microseconds with Python's signature runners."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        runner.step(windows)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000  # ns -> us


def measure(
    calls: dict[str, tuple[Path, str, int]], measure_python: Callable[[], float], rounds: int
) -> dict[str, float]:
    """Median times over rounds.

    Args:
        calls: {name: (path, signature, runs per round)}.
        measure_python: Returns the time of a step from Python in microseconds.
        rounds: Number of rounds.

    Returns:
        {name: microseconds} for the calls and for "python".
    """
    times = {name: [] for name in (*calls, "python")}
    for _ in range(rounds):
        for name, call in calls.items():
            with native_stderr_silenced():
                times[name].append(benchmark(*call)["median"])
        times["python"].append(measure_python())
    return {name: statistics.median(of_call) for name, of_call in times.items()}


def report(
    run: Path | str, architecture: str, precision: str, rounds: int = ROUNDS, alternative: bool = True
) -> dict[str, object]:
    """All figures of a model, and for GRU int8 whether each target is met.

    Args:
        run: The run folder.
        architecture: One of the run's.
        precision: One of the bundle's.
        rounds: Number of rounds.
        alternative: Whether to measure the network over an hour too, which takes long.

    Returns:
        Contents of --json: microseconds ("..._us"), multiply-accumulates per hour of sleep, and how many times cheaper
        a step is than recomputing the last hour.
    """
    bundle = RunFolder(run).bundle(architecture)
    runner = Runner(bundle, precision)
    plan, contract = runner.plan, runner.contract
    preprocessing = [call for inputs in contract.preprocessing.values() for call in inputs.calls]
    calls = {call.file: (bundle / call.file, call.signature, RUNS) for call in [*plan.calls, *preprocessing]}
    rng = np.random.default_rng(0)
    windows = {c.name: np.float32(rng.uniform(*c.range, c.values_per_window)) for c in contract.channels}
    with tempfile.TemporaryDirectory() as folder:
        sequences = alternatives(Path(run), architecture, precision, folder) if alternative else {}
        whole = {name: (path, "step", RUNS_WHOLE) for name, path in sequences.items()}
        times = measure(calls | whole, lambda: python_us(runner, windows), rounds)

    sensing, network = (call.file for call in plan.calls)
    step_us = times[sensing] + times[network]
    hour = HOUR_S // contract.seconds.stride  # steps
    per_hour = cost_per_hour({file: path for file, (path, *_) in calls.items()}, contract.calls_per_hour())
    macs = sum(per_hour[file]["macs"] for file in (sensing, network))
    rerun_us = {name: hour * times[sensing] + times[name] for name in sequences}
    cheaper = {name: us / step_us for name, us in rerun_us.items()}
    return {
        "model": f"{architecture} {precision}",
        "step_us": step_us,
        "python_us": times["python"],
        "calls_us": {file: times[file] for file in calls},
        "macs_per_hour": macs,
        "per_hour": per_hour,
        "hour_us": {name: times[name] for name in sequences},
        "rerun_us": rerun_us,
        "times_cheaper": cheaper,
        "times_cheaper_network_alone": {name: times[name] / times[network] for name in sequences},
        "met": met(step_us, macs, cheaper) if (architecture, precision) == ("gru", "int8") else {},
    }


def cost_per_hour(files: dict[str, Path], calls: dict[str, int]) -> dict[str, dict[str, int]]:
    """{file: {"macs", "multiplications"}} per hour. calls: {file: calls per hour}."""
    costs = {file: cost_of(path.read_bytes()) for file, path in files.items()}
    return {file: {key: cost[key] * calls[file] for key in ("macs", "multiplications")} for file, cost in costs.items()}


def met(step_us: float, macs: float, cheaper: dict[str, float]) -> dict[str, bool]:
    """Whether each target is met.

    Args:
        step_us: Time of a step in microseconds.
        macs: Multiply-accumulates per hour of sleep.
        cheaper: {alternative: how many times cheaper a step is}.

    Returns:
        {"step": met, "macs": met, and if an alternative was measured "times_cheaper": met}.
    """
    reached = {"step": step_us <= STEP_US, "macs": macs <= MACS_PER_HOUR}
    return reached | ({"times_cheaper": min(cheaper.values()) >= TIMES_CHEAPER} if cheaper else {})


def lines(figures: dict) -> Iterator[str]:
    """The report as lines of text."""

    def target(name, text):
        return f"   target {text}: {'met' if figures['met'][name] else 'MISSED'}" if name in figures["met"] else ""

    yield f"{figures['model']}, one thread, medians"
    yield f"step, native      {figures['step_us']:9.1f} us{target('step', f'{STEP_US} us')}"
    yield from (f"  {file:<24} {us:9.1f} us" for file, us in figures["calls_us"].items())
    yield f"step, from Python {figures['python_us']:9.1f} us"
    macs = figures["macs_per_hour"] / 1e6
    yield f"multiply-accumulates per hour of sleep {macs:.3f} M{target('macs', f'{MACS_PER_HOUR / 1e6} M')}"
    for file, cost in figures["per_hour"].items():
        yield f"  {file:<24} {cost['macs'] / 1e6:.3f} M, plus elementwise {cost['multiplications'] / 1e6:.3f} M"
    for name, times in figures["times_cheaper"].items():
        alone = figures["times_cheaper_network_alone"][name]
        verdict = target("times_cheaper", f"{TIMES_CHEAPER} times")
        yield f"recomputing an hour ({name}): {figures['rerun_us'][name]:.0f} us, {times:.0f} times a step{verdict}"
        yield f"  network alone: {figures['hour_us'][name]:.0f} us, {alone:.0f} times its step"


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, exists=True))
@option("architecture", default="gru", show_default=True)
@option("precision", default="int8", show_default=True)
@option("json", "to", type=OutputFile(), default=None, help="Write the figures here.")
def main(run: Path, architecture: str, precision: str, to: Path | None) -> None:
    """The cost of a step of a run's model, compared with recomputing the last hour in every epoch."""
    figures = report(run, architecture, precision)
    click.echo("\n".join(lines(figures)))
    if to:
        write_json(to, figures)
    sys.exit(0 if all(figures["met"].values()) else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.step")
