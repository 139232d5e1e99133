"""Two answers for the same nights, held against each other and against a precision's gate."""

import numpy as np

from evaluation.metrics import kappa
from export.contract import GATES


def place(night, window, away):
    """Where something diverges: night, window (from 0), seconds at its end, and by how much."""
    return {
        "night": night.subject,
        "window": int(window),
        "t": float(night.ends[window]),
        "abs_dp": float(away[window]),
    }


def compare(reference, said, nights, precision):
    """Rungs 3 and 4 of one file: figures pooled over the windows of the nights, and whether its gate holds.

    reference, said: [windows, 5] per night. Windows whose two likeliest stages are closer than the gate's `tie` may
    swap them. Delta kappa is left out (None) where no window is scored.
    """
    gate = GATES[precision]
    p, q, true = np.concatenate(reference), np.concatenate(said), np.concatenate([night.stages for night in nights])
    apart = np.nan_to_num(np.abs(p - q), nan=1.0, posinf=1.0)  # no answer is as wrong as can be
    rows = np.arange(len(p))
    a, b = p.argmax(1), q.argmax(1)
    same = (a == b) | (p[rows, a] - p[rows, b] < gate.get("tie", 0))
    b = np.where(same, a, b)
    scored = true >= 0
    figures = {
        "p99_abs_dp": float(np.percentile(apart, 99)),
        "max_abs_dp": float(apart.max()),
        "same_stage": float(same.mean()),
        "abs_dkappa": abs(kappa(true[scored], a[scored]) - kappa(true[scored], b[scored])) if scored.any() else None,
    }
    held = figures["same_stage"] >= gate["same_stage"] and np.isfinite(q).all()
    held &= all(figures[n] is None or figures[n] <= gate[n] for n in ("p99_abs_dp", "abs_dkappa"))
    held &= figures["max_abs_dp"] <= gate.get("max_abs_dp", np.inf)
    sizes = np.cumsum([len(x) for x in reference])[:-1]
    away, first = np.split(apart.max(1), sizes), None
    for night, x, alike in zip(nights, away, np.split(same, sizes), strict=True):
        wrong = np.flatnonzero(~alike | (x > gate["p99_abs_dp"]))
        first = first or (place(night, wrong[0], x) if len(wrong) else None)
    worst = int(np.argmin([alike.mean() - x.max() for alike, x in zip(np.split(same, sizes), away, strict=True)]))
    hours = [
        np.concatenate([x[(n.ends - n.ends[0]) // 3600 == h] for x, n in zip(away, nights, strict=True)])
        for h in range(24)
    ]
    drift = [float(np.mean(hour)) for hour in hours if len(hour)]
    return figures | {
        "passed": bool(held),
        "worst_night": nights[worst].subject,
        "drift": drift,  # mean over the windows of each hour of the largest |difference| of a probability
        "first_divergence": first,
    }
