"""Parity gates: compares two sets of predictions for the same nights and checks them against a precision's gate."""

from collections.abc import Sequence

import numpy as np

from pipeline.align import Night
from pipeline.constants import HOUR_S
from scoring.metrics import kappa

GATES = {  # rungs 3 and 4 of parity; same_stage is a minimum, the others are maxima
    "float32": {"p99_abs_dp": 5e-6, "max_abs_dp": 1e-5, "same_stage": 1.0, "abs_dkappa": 0.0, "tie": 2e-5},
    "float16": {"p99_abs_dp": 2e-3, "same_stage": 0.999, "abs_dkappa": 0.002},
    "dynamic": {"p99_abs_dp": 0.08, "same_stage": 0.995, "abs_dkappa": 0.005},
    "int8": {"p99_abs_dp": 0.10, "same_stage": 0.985, "abs_dkappa": 0.01},
    "int16x8": {"p99_abs_dp": 0.08, "same_stage": 0.995, "abs_dkappa": 0.005},
}


def divergence(night: Night, window: int, differences: np.ndarray) -> dict:
    """Where and by how much two predictions differ.

    Args:
        night: The night.
        window: Index of the window, from 0.
        differences: [windows], the largest |Δp| of each window.

    Returns:
        {"night", "window", "t": end of the window in s, "abs_dp"}.
    """
    return {
        "night": night.subject,
        "window": int(window),
        "t": float(night.ends[window]),
        "abs_dp": float(differences[window]),
    }


def compare(
    reference: Sequence[np.ndarray], predicted: Sequence[np.ndarray], nights: Sequence[Night], precision: str
) -> dict:
    """Rungs 3 and 4 for one file: figures pooled over the windows of all nights, and whether they pass its gate.

    Args:
        reference: The full model's probabilities [windows, 5] for each night.
        predicted: The file's, in the same form.
        nights: The nights; a stage of -1 is not scored.
        precision: Selects the gate. Windows whose two likeliest stages are closer than its `tie` may swap them.

    Returns:
        "p99_abs_dp" and "max_abs_dp" of |Δp| over all probabilities; "same_stage", share of windows; "abs_dkappa",
        None if no window is scored; "passed"; "worst_night", the one with the largest mean |Δp|;
        "drift", for each hour the mean over its windows of the largest |Δp|; "first_divergence" or None.
    """
    gate = GATES[precision]
    p, q = np.concatenate(reference), np.concatenate(predicted)
    scored_stage = np.concatenate([night.stages for night in nights])
    differences = np.nan_to_num(np.abs(p - q), nan=1.0, posinf=1.0)  # no answer is as wrong as can be
    rows = np.arange(len(p))
    a, b = p.argmax(1), q.argmax(1)
    same = (a == b) | (p[rows, a] - p[rows, b] < gate.get("tie", 0))
    b = np.where(same, a, b)
    scored = scored_stage >= 0
    true = scored_stage[scored]
    p99, largest, same_stage = float(np.percentile(differences, 99)), float(differences.max()), float(same.mean())
    dkappa = abs(kappa(true, a[scored]) - kappa(true, b[scored])) if scored.any() else None
    passed = (
        p99 <= gate["p99_abs_dp"]
        and largest <= gate.get("max_abs_dp", np.inf)
        and same_stage >= gate["same_stage"]
        and (dkappa is None or dkappa <= gate["abs_dkappa"])
        and np.isfinite(q).all()
    )
    borders = np.cumsum([len(night) for night in reference])[:-1]
    by_night = np.split(differences, borders)
    worst = int(np.argmax([night.mean() for night in by_night]))
    return {
        "p99_abs_dp": p99,
        "max_abs_dp": largest,
        "same_stage": same_stage,
        "abs_dkappa": dkappa,
        "passed": bool(passed),
        "worst_night": nights[worst].subject,
        "drift": _drift(nights, by_night),
        "first_divergence": _first_divergence(nights, by_night, np.split(same, borders), gate["p99_abs_dp"]),
    }


def _drift(nights, by_night):
    """For each hour, the mean over its windows of the largest difference; hours without windows are left out."""
    hours = np.concatenate([(night.ends - night.ends[0]) // HOUR_S for night in nights])
    largest = np.concatenate([differences.max(1) for differences in by_night])
    return [float(np.mean(largest[hours == hour])) for hour in range(24) if (hours == hour).any()]


def _first_divergence(nights, by_night, same_by_night, limit):
    """The first window with another stage or a difference above the limit, in the first night that has one."""
    for night, differences, same in zip(nights, by_night, same_by_night, strict=True):
        largest = differences.max(1)
        wrong = np.flatnonzero(~same | (largest > limit))
        if len(wrong):
            return divergence(night, wrong[0], largest)
    return None
