"""The unit of acceleration, told by gravity: most of what a wrist at rest feels is 1 g."""

import numpy as np

from pipeline.guard import GRAVITY_G, STANDARD_GRAVITY, motion_unit_finding

UNITS = {"g": 1.0, "m/s²": STANDARD_GRAVITY, "1/64 g": 64.0, "milli-g": 1000.0}  # name: how many of them are a g


def unit_of_motion(xyz: np.ndarray) -> tuple[str, float] | None:
    """(name, how many make a g) of the unit of acceleration [n, 3]; None where its median magnitude fits none.

    Where gravity has been removed, none fits.
    """
    magnitude = np.sqrt((xyz[np.isfinite(xyz).all(1)] ** 2).sum(1))
    if len(magnitude):
        low, high = GRAVITY_G
        for name, per_g in UNITS.items():
            if low <= np.median(magnitude) / per_g <= high:
                return name, per_g
    return None


def why_not(xyz: np.ndarray) -> str:
    """What is wrong with acceleration [n, 3] whose unit cannot be told."""
    magnitude = np.sqrt((xyz[np.isfinite(xyz).all(1)] ** 2).sum(1))
    return (motion_unit_finding(float(np.median(magnitude))) if len(magnitude) else None) or "no numbers"
