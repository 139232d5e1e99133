"""Sensing: the float32 front end. One window in, context in -> features, context out.

`Sensing.step` is the only definition. Exported, it runs on the wrist; rolled over nights (`Sensing.sense_nights`), it
gives the features that the networks are trained on. What the features are stands in models/features.py.

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
LIMIT = 4.0  # SD: features are held within


class Sensing:
    """The front end for a set of channels.

    Example:
        sensing = Sensing(options, ("heart_rate", "activity"))
        sensing.fit(*sensing.measure_nights(training_nights))
        features = sensing.sense_nights(nights)  # of each night [windows, F]

    Attributes:
        options: The options that say what a window holds.
        channels: Names of the channels, in order.
        scaler: {"mean": [F], "spread": [F]} of the training nights, or None before it is fitted.
        features: Makes the features of a window.
        context_size: N.
    """

    def __init__(self, options: Options, channels: Sequence[str], scaler: Mapping[str, list] | None = None):
        """A front end.

        Args:
            options: pipeline.options.Options.
            channels: Names of channels (pipeline.constants.CHANNELS), in order.
            scaler: What `fit` left in `scaler`, or None where it is to be fitted.
        """
        self.options = options
        self.channels = tuple(channels)
        self.scaler = scaler
        self.features = WindowFeatures(options, self.channels)
        self.context_size = sum(self.features.context_sizes.values())

    def initial(self) -> np.ndarray:
        """[1, N] float32: the context before the night."""
        return np.zeros((1, self.context_size), np.float32)

    def step(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The step form, as it is exported.

        Args:
            windows: {channel: [B, V] float32} in the channel's unit, its missing value where nothing was sensed.
            context: [B, N] before the window.

        Returns:
            Features [B, F], standardised, and the context [B, N] after the window.
        """
        values, available, context = self.measure(windows, context)
        return self.scale(values, available), context

    def measure(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """As `step`, but not standardised.

        Args:
            windows: {channel: [B, V]}.
            context: [B, N] before the window.

        Returns:
            Values [B, F], available [B, F] (1, or 0 where nothing was sensed yet that the feature could rest on), and
            the context [B, N] after the window.
        """
        features, context = self.features.measure(windows, context)
        return features.values(), features.available(), context

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the F features, in order."""
        empty = {name: np.zeros((1, self.options.values_per_window(name)), np.float32) for name in self.channels}
        return tuple(self.features.measure(empty, tf.constant(self.initial()))[0].names)

    def scale(self, values: tf.Tensor, available: tf.Tensor) -> tf.Tensor:
        """Standardised features.

        Args:
            values: [..., F] as `measure` returns them.
            available: [..., F], 1 or 0.

        Returns:
            [..., F]: in SD from the mean of the training nights, within LIMIT; 0 (the average) where not available.
        """
        return standardised(values, available, self.scaler)

    def measure_nights(self, nights: Sequence[Night]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """`measure`, rolled over whole nights.

        Args:
            nights: Nights, aligned under the same options.

        Returns:
            Values and available, each a list of [windows, F] float32 per night.
        """
        values, available = [], []
        for i in range(0, len(nights), NIGHTS_AT_ONCE):
            some = nights[i : i + NIGHTS_AT_ONCE]
            out = self._roll(some)
            values += [x[: len(night)] for x, night in zip(out["values"], some, strict=True)]
            available += [x[: len(night)] for x, night in zip(out["available"], some, strict=True)]
        return values, available

    def _roll(self, nights):
        """{"values", "available"}: [B, T, F] of a batch of nights, filled up at the end."""
        windows = {
            name: padded([night.values(name, self.options) for night in nights], CHANNELS[name].missing)
            for name in self.channels  # (B, T, V)
        }

        return self._roller(windows, {"context": np.repeat(self.initial(), len(nights), 0)})

    @cached_property
    def _roller(self):
        """`measure` mapped over nights, traced once for all calls."""

        def step(inputs, states):
            values, available, context = self.measure(inputs, states["context"])
            return {"values": values, "available": available}, {"context": context}

        return roller(step)

    def fit(self, values: Iterable[np.ndarray], available: Iterable[np.ndarray]) -> None:
        """Fit the scaler: each feature's mean and spread where it is available.

        Args:
            values: [windows, F] per night as `measure_nights` returns them, of training nights only.
            available: Likewise.
        """
        self.fit_moments(Moments.of_night(*night) for night in zip(values, available, strict=True))

    def fit_moments(self, nights: Iterable[Moments]) -> None:
        """Fit the scaler by the moments of each training night, in order."""
        together = reduce(Moments.with_more, nights)
        spread = together.spread
        self.scaler = {
            "mean": together.mean.tolist(),
            "spread": np.where(spread > LEAST_SPREAD, spread, 1).tolist(),
        }

    def sense_nights(self, nights: Sequence[Night]) -> list[np.ndarray]:
        """Sequence form: features of each night, a list of [windows, F] float32."""
        return self.scale_nights(*self.measure_nights(nights))

    def scale_nights(self, values: Sequence[np.ndarray], available: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features [windows, F] of each night, of what `measure_nights` returned."""
        return [self.scale(v, a).numpy() for v, a in zip(values, available, strict=True)]


def standardised(values: tf.Tensor, available: tf.Tensor, scaler: Mapping[str, list]) -> tf.Tensor:
    """`Sensing.scale` by a scaler."""
    mean, spread = (np.float32(scaler[name]) for name in ("mean", "spread"))
    return tf.clip_by_value((values - mean) * (1 / spread), -LIMIT, LIMIT) * available
