"""What a step costs: python -m benchmarks.step RUN [--json FILE]. Exit code 1 where GRU int8 misses a target.

A step is every call of a window, sensing included. Times are those of litert-benchmark, on one thread: the median of
its medians over rounds, in which all that is compared takes turns. The alternative runs sensing and the network over
the whole last hour each epoch, as models without a step form must.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from export.graph import facts
from export.latency import ROOT, benchmark
from pipeline.cli import console, hushed, option
from pipeline.files import write_json
from pipeline.options import HOUR_S
from watch_sim.watch import Runner

ROUNDS, RUNS = 15, 400
STEP_US, MACS_PER_HOUR, TIMES_CHEAPER = 60, 2.5e6, 50  # targets, of GRU int8


def alternatives(run, architecture, precision, folder):
    """{name: path} of the network over an hour, in each form that can be had; written into `folder`."""
    forms = [("loop", "float32")]  # as a loop it does not convert to integers
    if architecture != "transformer":  # which has none
        forms += [("unrolled", "float32"), ("unrolled", precision)]
    paths = {}
    for form, kind in dict.fromkeys(forms):
        path = Path(folder) / f"{form}.{kind}.tflite"
        command = [sys.executable, "-m", "benchmarks.sequence", str(run.resolve()), architecture, form, kind, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if path.exists():
            paths[f"{form}, {kind}"] = path
        else:
            console.print(f"{form}, {kind}: does not convert (status {done.returncode})")
    return paths


def python_us(runner, windows):
    """Median microseconds of a step through Python's signature runners."""
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter_ns()
        runner.step(windows)
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1000


def measure(calls, python, rounds):
    """Medians over the rounds in microseconds: {name: time} of calls {name: (path, signature, runs)} and of Python."""
    taken = {name: [] for name in (*calls, "python")}
    for _ in range(rounds):
        for name, call in calls.items():
            with hushed():
                taken[name].append(benchmark(*call)["median"])
        taken["python"].append(python())
    return {name: statistics.median(times) for name, times in taken.items()}


def report(run, architecture, precision, rounds=ROUNDS, alternative=True):
    """All figures, and of GRU int8 whether each target is met. alternative: whether to measure it, which takes long."""
    bundle = Path(run) / "bundles" / architecture
    runner = Runner(bundle, precision)
    plan, contract = runner.plan, runner.contract
    files = {call["file"]: (bundle / call["file"], call["signature"], RUNS) for call in plan["calls"]}
    before = [call for each in contract.get("preprocessing", {}).values() for call in each["calls"]]
    files |= {call["file"]: (bundle / call["file"], call["signature"], RUNS) for call in before}
    rng = np.random.default_rng(0)
    windows = {c["name"]: np.float32(rng.uniform(*c["range"], c["values_per_window"])) for c in contract["channels"]}
    cost = {file: facts(path.read_bytes()) for file, (path, *_) in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        sequences = alternatives(Path(run), architecture, precision, folder) if alternative else {}
        whole = {name: (path, "step", RUNS // 10) for name, path in sequences.items()}
        taken = measure(files | whole, lambda: python_us(runner, windows), rounds)

    sensing, network = (call["file"] for call in plan["calls"])
    step, hour = taken[sensing] + taken[network], HOUR_S // contract["seconds"]["stride"]
    per_hour = {file: {key: each[key] * hour for key in ("macs", "multiplications")} for file, each in cost.items()}
    macs = sum(per_hour[file]["macs"] for file in (sensing, network))
    rerun = {name: hour * taken[sensing] + taken[name] for name in sequences}
    times = {name: cost / step for name, cost in rerun.items()}
    return {
        "model": f"{architecture} {precision}",
        "step_us": step,
        "python_us": taken["python"],
        "calls_us": {file: taken[file] for file in files},
        "macs_per_hour": macs,
        "per_hour": per_hour,
        "hour_us": {name: taken[name] for name in sequences},
        "rerun_us": rerun,
        "times_cheaper": times,
        "times_cheaper_network_alone": {name: taken[name] / taken[network] for name in sequences},
        "met": met(step, macs, times) if (architecture, precision) == ("gru", "int8") else {},
    }


def met(step, macs, times):
    """Whether each target is met: microseconds of a step, multiply-accumulates per hour, {alternative: times}."""
    reached = {"step": step <= STEP_US, "macs": macs <= MACS_PER_HOUR}
    return reached | ({"times_cheaper": min(times.values()) >= TIMES_CHEAPER} if times else {})


def lines(figures):
    """The report as lines of text."""

    def target(name, text):
        return f"   target {text}: {'met' if figures['met'][name] else 'MISSED'}" if name in figures["met"] else ""

    yield f"{figures['model']}, one thread, medians"
    yield f"step, native      {figures['step_us']:9.1f} us{target('step', f'{STEP_US} us')}"
    yield from (f"  {file:<24} {us:9.1f} us" for file, us in figures["calls_us"].items())
    yield f"step, from Python {figures['python_us']:9.1f} us"
    macs = figures["macs_per_hour"] / 1e6
    yield f"multiply-accumulates per hour of sleep {macs:.3f} M{target('macs', f'{MACS_PER_HOUR / 1e6} M')}"
    for file, each in figures["per_hour"].items():
        yield f"  {file:<24} {each['macs'] / 1e6:.3f} M, elementwise besides {each['multiplications'] / 1e6:.3f} M"
    for name, times in figures["times_cheaper"].items():
        alone = figures["times_cheaper_network_alone"][name]
        told = target("times_cheaper", f"{TIMES_CHEAPER} times")
        yield f"the last hour anew ({name}): {figures['rerun_us'][name]:.0f} us, {times:.0f} times a step{told}"
        yield f"  network alone: {figures['hour_us'][name]:.0f} us, {alone:.0f} times its step"


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, exists=True))
@option("architecture", default="gru", show_default=True)
@option("precision", default="int8", show_default=True)
@option("json", "to", type=Path, default=None, help="Write the figures here.")
def main(run, architecture, precision, to):
    """What a step of a run's model costs, against going over the last hour each epoch."""
    figures = report(run, architecture, precision)
    click.echo("\n".join(lines(figures)))
    if to:
        write_json(to, figures)
    sys.exit(0 if all(figures["met"].values()) else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.step")
