"""Mean and spread of features over any number of nights, with only one in memory at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Moments of F features over their available values, all [F] float64.

    Attributes:
        number: Number of values.
        mean: Mean of the values.
        squares: Sum of their squared distances from the mean.
    """

    number: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of_night(cls, values: np.ndarray, available: np.ndarray) -> "Moments":
        """Moments of one night.

        Args:
            values: [windows, F].
            available: 1 if a value is available, else 0, [windows, F].
        """
        number = available.sum(0, dtype=np.float64)
        mean = (values * available).sum(0, dtype=np.float64) / np.maximum(number, 1)
        return cls(number, mean, (((values - mean) * available) ** 2).sum(0, dtype=np.float64))

    def with_more(self, other: "Moments") -> "Moments":
        """Moments of both sets of values together (Chan, Golub & LeVeque 1983)."""
        number = self.number + other.number
        share = other.number / np.maximum(number, 1)
        difference = other.mean - self.mean
        squares = self.squares + other.squares + difference**2 * self.number * share
        return Moments(number, self.mean + difference * share, squares)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation, [F]; 0 if there is no value."""
        return np.sqrt(self.squares / np.maximum(self.number, 1))

    def as_lists(self) -> list[list[float]]:
        """The moments as lists for JSON, without loss; `of_lists` reads them."""
        return [self.number.tolist(), self.mean.tolist(), self.squares.tolist()]

    @classmethod
    def of_lists(cls, saved: Iterable[Iterable[float]]) -> "Moments":
        """The moments in lists from `as_lists`."""
        return cls(*(np.array(x, np.float64) for x in saved))
