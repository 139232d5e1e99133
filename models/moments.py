"""Mean and spread of features over any number of nights, of which only one is in memory at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Moments of F features where they are available, all [F] float64.

    Attributes:
        number: Of values.
        mean: Of them.
        squares: Sum of their squared distances from the mean.
    """

    number: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of_night(cls, values: np.ndarray, available: np.ndarray) -> "Moments":
        """Moments of one night. values, available (1 or 0): [windows, F]."""
        number = available.sum(0, dtype=np.float64)
        mean = (values * available).sum(0, dtype=np.float64) / np.maximum(number, 1)
        return cls(number, mean, (((values - mean) * available) ** 2).sum(0, dtype=np.float64))

    def with_more(self, other: "Moments") -> "Moments":
        """Moments of both together (Chan, Golub & LeVeque 1983)."""
        number = self.number + other.number
        share = other.number / np.maximum(number, 1)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.number * share
        return Moments(number, self.mean + apart * share, squares)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation [F], 0 where there is no value."""
        return np.sqrt(self.squares / np.maximum(self.number, 1))

    def as_lists(self) -> list[list[float]]:
        """For JSON, which keeps every bit; Moments.of_lists gives them back."""
        return [self.number.tolist(), self.mean.tolist(), self.squares.tolist()]

    @classmethod
    def of_lists(cls, saved: Iterable[Iterable[float]]) -> "Moments":
        """What `as_lists` gave."""
        return cls(*(np.array(x, np.float64) for x in saved))
