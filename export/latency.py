"""Latency of calls on one thread. Runs in a child process: python -m export.latency.

Measured like litert-benchmark of ai-edge-litert, with the same runtime and inputs, but in our own loop: the tool rounds
to 10 microseconds, more than many calls take. The child process keeps the runtime apart from TensorFlow's threads, and
its crashes away from us.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RUNS = 1000
WARM_UP = 0.1  # warm-up runs, as a share of the measured runs
PERCENTILES = {"p5": 5, "median": 50, "p95": 95}


def latencies(folder: Path, calls: Mapping[str, str], runs: int = RUNS) -> dict[str, dict]:
    """Latency of a bundle's calls.

    Args:
        folder: The bundle.
        calls: {file: signature}.
        runs: Number of measured runs of each call.

    Returns:
        {file: {"p5", "median", "p95", "mean" in microseconds, "runs"}}.

    Raises:
        RuntimeError: The child process failed; carries its stderr.
    """
    command = [sys.executable, "-m", "export.latency", str(Path(folder).resolve()), str(runs), json.dumps(dict(calls))]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"the measurement of latency ended with status {child.returncode}\n{child.stderr}")
    return json.loads(child.stdout)


def benchmark(path: Path, signature: str, runs: int) -> dict:
    """Latency of one signature of a .tflite: one file's figures as in `latencies`."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options
    from ai_edge_litert.tools.benchmark_litert_model import fill_random_input

    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=1))
    model = CompiledModel.from_file(str(path), options=options)
    details = model.get_input_tensor_details(signature)
    inputs = {name: model.create_input_buffer_by_name(signature, name) for name in details}
    for name, buffer in inputs.items():
        fill_random_input(buffer, details[name])
    names = model.get_output_tensor_details(signature)
    outputs = {name: model.create_output_buffer_by_name(signature, name) for name in names}
    for _ in range(int(WARM_UP * runs)):
        model.run_by_name(signature, inputs, outputs)
    times = np.empty(runs)  # microseconds
    for i in range(runs):
        begin = time.perf_counter()
        model.run_by_name(signature, inputs, outputs)
        times[i] = 1e6 * (time.perf_counter() - begin)
    percentiles = np.percentile(times, [*PERCENTILES.values()]).tolist()
    return dict(zip(PERCENTILES, percentiles, strict=True)) | {"mean": times.mean().item(), "runs": runs}


if __name__ == "__main__":
    folder, runs, calls = sys.argv[1:]
    print(json.dumps({file: benchmark(Path(folder) / file, s, int(runs)) for file, s in json.loads(calls).items()}))
