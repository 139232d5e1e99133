"""How long a call takes, on one thread. Runs in a child process: python -m export.latency.

Measured as litert-benchmark of ai-edge-litert does, with its runtime and its inputs, but in a loop of our own: the tool
rounds what it gives to 10 microseconds, more than many calls take. A child of its own keeps the runtime apart from
TensorFlow's threads, and us from its crashes.
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
WARM_UP = 0.1  # runs before those that count, as a share of them
PERCENTILES = {"p5": 5, "median": 50, "p95": 95}


def latencies(folder: Path, calls: Mapping[str, str], runs: int = RUNS) -> dict[str, dict]:
    """How long the calls of a bundle take.

    Args:
        folder: The bundle.
        calls: {file: signature}.
        runs: How often each is made.

    Returns:
        {file: {"p5", "median", "p95", "mean" in microseconds, "runs"}}.

    Raises:
        RuntimeError: The child failed; has its stderr.
    """
    command = [sys.executable, "-m", "export.latency", str(Path(folder).resolve()), str(runs), json.dumps(dict(calls))]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"the measurement of latency ended with status {child.returncode}\n{child.stderr}")
    return json.loads(child.stdout)


def benchmark(path: Path, signature: str, runs: int) -> dict:
    """How long one signature of a .tflite takes: as of `latencies`, one file's."""
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
