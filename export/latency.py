"""How long a call takes: litert-benchmark, on one thread. Runs in a child process: python -m export.latency.

A child of its own keeps the runtime that is measured apart from TensorFlow's threads, and from its crashes.
"""

import io
import json
import subprocess
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 1000
KINDS = {"p5": "p5_ms", "median": "median_ms", "p95": "p95_ms", "mean": "avg_ms"}


def latencies(folder, calls, runs=RUNS):
    """{file: {"p5", "median", "p95", "mean" in microseconds, "runs"}} of calls {file: signature} of a bundle.

    Raises RuntimeError with the child's words where it fails.
    """
    command = [sys.executable, "-m", "export.latency", str(Path(folder).resolve()), str(runs)]
    done = subprocess.run([*command, json.dumps(calls)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"litert-benchmark ended with status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def benchmark(path, signature, runs):
    """What litert-benchmark measures of one file: microseconds of each of KINDS."""
    from ai_edge_litert.tools import benchmark_litert_model as litert

    litert.round = lambda x, _: x  # it rounds to 10 microseconds, more than many calls take
    with redirect_stdout(io.StringIO()):
        measured = litert.run_benchmark(
            Namespace(
                model=str(path), signature=signature, num_threads=1, num_runs=runs, warmup_runs=runs // 10,
                no_cpu=False, use_gpu=False, use_npu=False, require_full_delegation=False, verbose=False,
                runtime_path="", compiler_plugin_path="", dispatch_library_path="", result_json="",
            )
        )["latency"]  # fmt: skip
    return {kind: 1000 * measured[name] for kind, name in KINDS.items()} | {"runs": runs}


if __name__ == "__main__":
    folder, runs, calls = sys.argv[1:]
    print(json.dumps({file: benchmark(Path(folder) / file, s, int(runs)) for file, s in json.loads(calls).items()}))
