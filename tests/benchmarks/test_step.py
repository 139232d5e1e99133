"""What a step costs: the figures fit together, and targets are met or missed at their limit."""

import json

import pytest

from benchmarks.step import met


def test_benchmark_of_a_step(quick_run, run_python):
    """Without the alternative, which takes long to convert."""
    code = "import json, sys; from benchmarks.step import *; f = report(sys.argv[1], 'gru', 'float32', 1, False)"
    done = run_python("-c", f"{code}; print(json.dumps([f, list(lines(f))]))", quick_run.folder)
    assert done.returncode == 0, done.stderr
    figures, text = json.loads(done.stdout)
    calls = figures["calls_us"]
    assert figures["step_us"] == pytest.approx(calls["sensing.tflite"] + calls["gru.float32.tflite"])
    per_hour = figures["per_hour"]
    assert figures["macs_per_hour"] == sum(per_hour[n]["macs"] for n in ("sensing.tflite", "gru.float32.tflite"))
    assert f"multiply-accumulates per hour of sleep {figures['macs_per_hour'] / 1e6:.3f} M" in text
    assert not figures["met"]  # targets are of int8


def test_targets_of_a_step():
    assert met(60, 2.5e6, {"loop": 131, "unrolled": 50}) == {"step": True, "macs": True, "times_cheaper": True}
    assert met(61, 2.6e6, {"loop": 131, "unrolled": 49}) == {"step": False, "macs": False, "times_cheaper": False}
