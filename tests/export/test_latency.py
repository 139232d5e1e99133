"""How long calls take: the form of the answer, and that a failing child is not passed over."""

import pytest

from export.latency import latencies


def test_microseconds_of_each_call(quick_run):
    calls = {"sensing.tflite": "sense", "gru.float32.tflite": "step"}
    taken = latencies(quick_run.folder / "bundles/gru", calls, runs=30)
    assert list(taken) == list(calls)
    for row in taken.values():
        assert 0 < row["p5"] <= row["median"] <= row["p95"] < 1e5
        assert row["p5"] <= row["mean"]
        assert row["median"] % 10  # not rounded
        assert row["runs"] == 30


def test_fails_aloud(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"no model")
    with pytest.raises(RuntimeError, match=r"latency ended with status [^0]"):
        latencies(tmp_path, {"a.tflite": "step"}, runs=1)
