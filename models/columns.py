"""How features are gathered: columns with their names, and where each is available, put together in few operations.

TensorFlow Lite Micro keeps some 100 bytes of RAM for every operation and takes at most ten tensors in a concatenation.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

MOST = 10  # tensors that TensorFlow Lite Micro concatenates at once


def concatenated(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Tensors [B, n] side by side, put together ten at a time."""
    while len(tensors) > 1:
        tensors = [tf.concat(tensors[i : i + MOST], 1) for i in range(0, len(tensors), MOST)]
    return tensors[0]


class Columns:
    """Columns chosen out of tensors [B, n]."""

    def __init__(self):
        """None yet."""
        self.tensors: list[tf.Tensor] = []
        self.chosen: list[tuple[int, int]] = []  # (tensor, its column)

    def add(self, tensor: tf.Tensor, columns: Iterable[int]) -> None:
        """Choose columns of a tensor, which may have been there before."""
        place = next((i for i, other in enumerate(self.tensors) if other is tensor), len(self.tensors))
        if place == len(self.tensors):
            self.tensors.append(tensor)
        self.chosen += [(place, column) for column in columns]

    def together(self) -> tf.Tensor:
        """[B, chosen], in the order in which they were chosen."""
        begin = np.cumsum([0, *(tensor.shape[1] for tensor in self.tensors)])
        return tf.gather(concatenated(self.tensors), [int(begin[i]) + k for i, k in self.chosen], axis=1)


class Features:
    """Features gathered on the way: names, values, and over how many values each rests."""

    def __init__(self):
        """None yet."""
        self.names: list[str] = []
        self._values, self._counts = Columns(), Columns()
        self._least: list[int] = []  # of each, the count from which it is available

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
            names: One for each.
            values: [B, n], of which each feature is a column.
            count: [B, m], whole numbers from 0, of which a column says over how many values a feature is.
            columns: Of each feature; by default the first ones.
            count_columns: Of each feature; by default the first ones, or the only one.
            least: The count from which a feature is available; 0 for always.
        """
        self.names += names
        first = range(len(names))
        self._values.add(values, first if columns is None else columns)
        if count_columns is None:
            count_columns = first if count.shape[1] > 1 else [0] * len(names)
        self._counts.add(count, count_columns)
        self._least += [least] * len(names)

    def values(self) -> tf.Tensor:
        """[B, features]."""
        return self._values.together()

    def available(self) -> tf.Tensor:
        """[B, features]: 1, or 0 where a feature rests on too few values."""
        return tf.minimum(tf.nn.relu(self._counts.together() - np.float32([least - 1 for least in self._least])), 1)


class Table:
    """Statistics of several channels, flat: [B, channels x statistics].

    Attributes:
        flat: The tensor.
    """

    def __init__(self, channels: Sequence[str], statistics: Mapping[str, tf.Tensor]):
        """Put together {statistic: [B, channels, 1]}."""
        self.channels, self.names = [*channels], [*statistics]
        self.flat = tf.reshape(tf.concat([*statistics.values()], 2), (-1, len(self.channels) * len(self.names)))

    def column(self, channel: str, statistic: str) -> int:
        """Where a channel's statistic stands."""
        return self.channels.index(channel) * len(self.names) + self.names.index(statistic)

    def of(self, channels: Sequence[str], statistic: str) -> tf.Tensor:
        """[B, channels] of one statistic."""
        return tf.gather(self.flat, [self.column(channel, statistic) for channel in channels], axis=1)
