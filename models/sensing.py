"""Sensing: the float32 front end. One window in, context in -> features, context out.

`Sensing.step` is the only definition. It is exported to run on the wrist; run over nights (`Sensing.sense_nights`), it
computes the features that the networks are trained on. The features are defined in models/features.py.

Shapes: B nights, V values per window, F features, N numbers of context.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce

import numpy as np
import tensorflow as tf

from models.features import WindowFeatures
from models.forms import NIGHTS_AT_ONCE, padded, roller
from models.moments import Moments
from pipeline.align import Night
from pipeline.constants import CHANNELS
from pipeline.options import Options

LEAST_SPREAD = 1e-3  # a feature that varies less over the training nights is only centred
LIMIT = 4.0  # SD to which features are clipped


class Sensing:
    """The front end for a set of channels.

    Example:
        sensing = Sensing(options, ("heart_rate", "activity"))
        sensing.fit(*sensing.measure_nights(training_nights))
        features = sensing.sense_nights(nights)  # [windows, F] for each night

    Attributes:
        options: Options that define a window.
        channels: Names of the channels, in order.
        scaler: {"mean": [F], "spread": [F]} of the training nights; None before it is fitted.
        features: Computes the features of a window.
        context_size: N.
    """

    def __init__(self, options: Options, channels: Sequence[str], scaler: Mapping[str, list] | None = None):
        """Create a front end.

        Args:
            options: Options of the run.
            channels: Names of channels (pipeline.constants.CHANNELS), in order.
            scaler: A scaler from `fit`; None to fit one.
        """
        self.options = options
        self.channels = tuple(channels)
        self.scaler = scaler
        self.features = WindowFeatures(options, self.channels)
        self.context_size = sum(self.features.context_sizes.values())

    def initial(self) -> np.ndarray:
        """The context before the night, [1, N] float32."""
        return np.zeros((1, self.context_size), np.float32)

    def step(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The step form, as exported.

        Args:
            windows: {channel: [B, V] float32} in the channel's unit, with its missing value where there is no data.
            context: Context before the window, [B, N].

        Returns:
            Features [B, F], standardised, and the context [B, N] after the window.
        """
        values, available, context = self.measure(windows, context)
        return self.scale(values, available), context

    def measure(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """As `step`, but not standardised.

        Args:
            windows: {channel: [B, V]}.
            context: Context before the window, [B, N].

        Returns:
            Values [B, F]; available [B, F], 1 or 0 if there are no data for a feature yet; and the context [B, N] after
            the window.
        """
        features, context = self.features.measure(windows, context)
        return features.values(), features.available(), context

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the F features, in order."""
        empty = {name: np.zeros((1, self.options.values_per_window(name)), np.float32) for name in self.channels}
        return tuple(self.features.measure(empty, tf.constant(self.initial()))[0].names)

    def scale(self, values: tf.Tensor, available: tf.Tensor) -> tf.Tensor:
        """Standardise features.

        Args:
            values: From `measure`, [..., F].
            available: From `measure`, [..., F].

        Returns:
            Features [..., F] in SD from the mean of the training nights, clipped to LIMIT; 0 (the mean) if unavailable.
        """
        return standardised(values, available, self.scaler)

    def measure_nights(self, nights: Sequence[Night]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """`measure`, run over whole nights.

        Args:
            nights: Nights aligned with the same options.

        Returns:
            Values and available, each a list with [windows, F] float32 per night.
        """
        values, available = [], []
        for i in range(0, len(nights), NIGHTS_AT_ONCE):
            batch = nights[i : i + NIGHTS_AT_ONCE]
            out = self._roll(batch)
            values += [x[: len(night)] for x, night in zip(out["values"], batch, strict=True)]
            available += [x[: len(night)] for x, night in zip(out["available"], batch, strict=True)]
        return values, available

    def _roll(self, nights):
        """{"values", "available"} of a batch of nights, [B, T, F], padded at the end."""
        windows = {
            name: padded([night.values(name, self.options) for night in nights], CHANNELS[name].missing)
            for name in self.channels  # (B, T, V)
        }

        return self._roller(windows, {"context": np.repeat(self.initial(), len(nights), 0)})

    @cached_property
    def _roller(self):
        """`measure` run over nights, traced once for all calls."""

        def step(inputs, states):
            values, available, context = self.measure(inputs, states["context"])
            return {"values": values, "available": available}, {"context": context}

        return roller(step)

    def fit(self, values: Iterable[np.ndarray], available: Iterable[np.ndarray]) -> None:
        """Fit the scaler: mean and spread of each feature's available values.

        Args:
            values: From `measure_nights`, of training nights only.
            available: From `measure_nights`.
        """
        self.fit_moments(Moments.of_night(*night) for night in zip(values, available, strict=True))

    def fit_moments(self, nights: Iterable[Moments]) -> None:
        """Fit the scaler to the moments of each training night, in order."""
        moments = reduce(Moments.with_more, nights)
        spread = moments.spread
        self.scaler = {
            "mean": moments.mean.tolist(),
            "spread": np.where(spread > LEAST_SPREAD, spread, 1).tolist(),
        }

    def sense_nights(self, nights: Sequence[Night]) -> list[np.ndarray]:
        """Sequence form: standardised features, a list with [windows, F] float32 per night."""
        return self.scale_nights(*self.measure_nights(nights))

    def scale_nights(self, values: Sequence[np.ndarray], available: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Standardised features [windows, F] of each night, from the results of `measure_nights`."""
        return [self.scale(v, a).numpy() for v, a in zip(values, available, strict=True)]


def standardised(values: tf.Tensor, available: tf.Tensor, scaler: Mapping[str, list]) -> tf.Tensor:
    """`Sensing.scale` with a given scaler."""
    mean, spread = (np.float32(scaler[name]) for name in ("mean", "spread"))
    return tf.clip_by_value((values - mean) * (1 / spread), -LIMIT, LIMIT) * available
