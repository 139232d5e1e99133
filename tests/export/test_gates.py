"""Two answers held against each other. The gates themselves, by hand: tests/watch_sim/test_parity.py."""

import numpy as np
import pytest

from export.gates import compare, divergence
from pipeline.align import Night


def night(windows, subject):
    stages = np.arange(windows) % 5
    return Night(subject, 30.0 * np.arange(1, windows + 1), {}, stages.astype(np.int8))


def likely(windows):
    """[windows, 5] probabilities that predict each stage in turn."""
    return np.full((windows, 5), 0.1) + 0.5 * np.eye(5)[np.arange(windows) % 5]


def test_the_worst_night_has_the_largest_mean_difference():
    """Neither the one with the largest single difference, nor that with the most windows of another stage."""
    nights = [night(100, "largest"), night(100, "mean"), night(200, "none")]
    p = [likely(len(night)) for night in nights]
    q = [x.copy() for x in p]
    q[0][10] = likely(1)  # |Δp| of .5 twice
    q[0][11] = likely(1)
    q[1] += 0.02 * np.array([1, -1, 0, 0, 0])
    figures = compare(p, q, nights, "int8")
    assert figures["worst_night"] == "mean"
    assert figures["max_abs_dp"] == pytest.approx(0.5)
    assert compare(p, p, nights, "float32")["worst_night"] == "largest"  # all alike: the first


def test_where_it_diverges():
    differences = np.arange(11) / 8
    assert divergence(night(11, "7"), 3, differences) == {"night": "7", "window": 3, "t": 120.0, "abs_dp": 0.375}
    nights, p = [night(20, "1"), night(20, "2")], [likely(20)] * 2
    q = [p[0], p[1].copy()]
    q[1][[6, 9], 0] += 0.2
    first = compare(p, q, nights, "int8")["first_divergence"]
    assert first == {"night": "2", "window": 6, "t": 210.0, "abs_dp": pytest.approx(0.2)}
    assert compare(p, p, nights, "int8")["first_divergence"] is None


def test_drift_is_by_the_hour():
    nights, p = [night(240, "1"), night(121, "2")], [likely(240), likely(121)]
    q = [x.copy() for x in p]
    q[0][120:, 0] += 0.04
    assert compare(p, q, nights, "int8")["drift"] == pytest.approx([0, 0.04 * 120 / 121])


def test_no_answer_fails():
    p = likely(20)
    figures = compare([p], [np.full_like(p, np.nan)], [night(20, "1")], "int8")
    assert not figures["passed"]
    assert figures["max_abs_dp"] == 1
