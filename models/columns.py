"""Collects features with their names and availability, in as few TensorFlow operations as possible.

TensorFlow Lite Micro needs about 100 bytes of RAM per operation, and concatenates at most ten tensors.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

MOST = 10  # number of tensors that TensorFlow Lite Micro concatenates at once


def concatenated(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Concatenate tensors [B, n], at most MOST at a time."""
    while len(tensors) > 1:
        tensors = [tf.concat(tensors[i : i + MOST], 1) for i in range(0, len(tensors), MOST)]
    return tensors[0]


class Columns:
    """Columns selected from tensors [B, n]."""

    def __init__(self):
        """Begin without columns."""
        self.tensors: list[tf.Tensor] = []
        self.chosen: list[tuple[int, int]] = []  # (index of the tensor, column)

    def add(self, tensor: tf.Tensor, columns: Iterable[int]) -> None:
        """Select columns of a tensor, which may have been used before."""
        place = next((i for i, other in enumerate(self.tensors) if other is tensor), len(self.tensors))
        if place == len(self.tensors):
            self.tensors.append(tensor)
        self.chosen += [(place, column) for column in columns]

    def together(self) -> tf.Tensor:
        """The columns as one tensor [B, columns], in the order of selection."""
        begin = np.cumsum([0, *(tensor.shape[1] for tensor in self.tensors)])
        return tf.gather(concatenated(self.tensors), [int(begin[i]) + k for i, k in self.chosen], axis=1)


class Features:
    """Features collected one by one: names, values, and the number of values behind each."""

    def __init__(self):
        """Begin without features."""
        self.names: list[str] = []
        self._values, self._counts = Columns(), Columns()
        self._least: list[int] = []  # lowest count at which a feature is available

    def add(
        self,
        names: Sequence[str],
        values: tf.Tensor,
        count: tf.Tensor,
        columns: Sequence[int] | None = None,
        count_columns: Sequence[int] | None = None,
        least: int = 1,
    ) -> None:
        """Add features.

        Args:
            names: Names of the features.
            values: [B, n]; each feature is a column.
            count: [B, m]; a column holds the number of values behind a feature, a whole number.
            columns: Columns of the features in `values`; by default the first ones.
            count_columns: Columns of the features in `count`; by default the first ones, or the only one.
            least: Lowest count at which a feature is available; 0 for always.
        """
        self.names += names
        first = range(len(names))
        self._values.add(values, first if columns is None else columns)
        if count_columns is None:
            count_columns = first if count.shape[1] > 1 else [0] * len(names)
        self._counts.add(count, count_columns)
        self._least += [least] * len(names)

    def values(self) -> tf.Tensor:
        """Values of the features, [B, features]."""
        return self._values.together()

    def available(self) -> tf.Tensor:
        """Whether a feature has enough values behind it, 1 or 0, [B, features]."""
        return tf.minimum(tf.nn.relu(self._counts.together() - np.float32([least - 1 for least in self._least])), 1)


class Table:
    """Statistics of several channels, flat: [B, channels x statistics].

    Attributes:
        flat: The tensor.
    """

    def __init__(self, channels: Sequence[str], statistics: Mapping[str, tf.Tensor]):
        """Concatenate statistics {statistic: [B, channels, 1]}."""
        self.channels, self.names = [*channels], [*statistics]
        self.flat = tf.reshape(tf.concat([*statistics.values()], 2), (-1, len(self.channels) * len(self.names)))

    def column(self, channel: str, statistic: str) -> int:
        """Column of a channel's statistic."""
        return self.channels.index(channel) * len(self.names) + self.names.index(statistic)

    def of(self, channels: Sequence[str], statistic: str) -> tf.Tensor:
        """One statistic of some channels, [B, channels]."""
        return tf.gather(self.flat, [self.column(channel, statistic) for channel in channels], axis=1)
