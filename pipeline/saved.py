"""Checks of saved states, which may be damaged or forged, so that nothing continues from an impossible one."""

from collections.abc import Mapping
from sys import float_info
from typing import NamedTuple, Protocol

import numpy as np


class Form(NamedTuple):
    """What an array of a saved state must be.

    Attributes:
        kind: Type of its values, such as np.float64; of np.str_, any length.
        shape: None for any length.
        low: Lowest value; by default any finite one.
        high: Highest value.
        gaps: Whether NaN stands for missing values.
    """

    kind: type[np.generic]
    shape: tuple[int | None, ...] = ()
    low: float = -float_info.max
    high: float = float_info.max
    gaps: bool = False


class Part(Protocol):
    """What is restored from arrays."""

    def restore(self, saved: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Resume from arrays; unless they are signed, raises ValueError that begins with the name of a wrong one."""


def check_arrays(arrays: Mapping[str, np.ndarray], forms: Mapping[str, Form]) -> None:
    """Check that arrays have exactly the names of their forms, and the types, shapes and ranges.

    Raises:
        ValueError: One does not, by name.
    """
    if surplus := arrays.keys() - forms.keys():
        raise ValueError(f"{min(surplus)}: not part of this state")
    for name, (kind, shape, low, high, gaps) in forms.items():
        if name not in arrays:
            raise ValueError(f"{name}: missing")
        x = arrays[name]
        if x.dtype.type is not kind or not x.dtype.isnative:
            raise ValueError(f"{name}: of type {x.dtype}, expected {kind.__name__}")
        if x.shape != shape and (
            len(x.shape) != len(shape) or any(m not in (n, None) for n, m in zip(x.shape, shape, strict=True))
        ):
            raise ValueError(f"{name}: of shape {x.shape}, expected {shape}")
        if gaps:
            x = x[~np.isnan(x)]
        if kind is np.str_ or not x.size:
            continue
        least, most = (x, x) if not shape else (np.minimum.reduce(x, None), np.maximum.reduce(x, None))
        if not (low <= least.item() and most.item() <= high):  # NaN is in no range
            raise ValueError(f"{name}: values outside {low:g} to {high:g}")


def restore_part(part: Part, saved: Mapping[str, np.ndarray], prefix: str, signed: bool) -> None:
    """Restore a part from the arrays whose names begin with a prefix. Raises ValueError with the array's whole name."""
    try:
        part.restore({name.removeprefix(prefix): x for name, x in saved.items() if name.startswith(prefix)}, signed)
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from None
