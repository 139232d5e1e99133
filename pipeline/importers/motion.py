"""Detects the unit of acceleration by gravity: at rest, a wrist measures about 1 g."""

import numpy as np

from pipeline.guard import GRAVITY_G, STANDARD_GRAVITY, motion_unit_finding

UNITS = {"g": 1.0, "m/s²": STANDARD_GRAVITY, "1/64 g": 64.0, "milli-g": 1000.0}  # name: number per g


def _magnitude(xyz: np.ndarray) -> np.ndarray:
    """Magnitudes of acceleration [n, 3] without lines that have no number; infinite where squares overflow."""
    with np.errstate(over="ignore"):
        return np.sqrt((xyz[np.isfinite(xyz).all(1)] ** 2).sum(1))


def unit_of_motion(xyz: np.ndarray) -> tuple[str, float] | None:
    """Detect the unit of acceleration [n, 3].

    Returns:
        (name, number per g); None if the median magnitude fits no unit, as after gravity was removed.
    """
    magnitude = _magnitude(xyz)
    if len(magnitude):
        low, high = GRAVITY_G
        for name, per_g in UNITS.items():
            if low <= np.median(magnitude) / per_g <= high:
                return name, per_g
    return None


def why_not(xyz: np.ndarray) -> str:
    """Why the unit of acceleration [n, 3] could not be detected."""
    magnitude = _magnitude(xyz)
    return (motion_unit_finding(float(np.median(magnitude))) if len(magnitude) else None) or "no numbers"
