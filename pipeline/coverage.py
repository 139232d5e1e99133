"""Coverage: how much data of each sensor a prediction rests on, and whether the stage is unknown.

The watch (window by window) and the pipeline (a whole night) use the same definition. The stage is unknown if heart
rate and movement have both been absent for ABSENT_S, or if the watch is off the wrist: no heart rate and no movement
for longer than people lie still. In the 25 sleep-accel nights, all with heart rate, the longest stretch without
movement is 100 minutes; so if there never was heart rate, stillness must last OFF_WRIST_BLIND_S.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from pipeline.align import CHANNELS_OF_SENSOR, Night
from pipeline.constants import (
    ABSENT_S,
    CHANNELS,
    COVERAGE_S,
    OFF_WRIST_BLIND_S,
    OFF_WRIST_S,
)
from pipeline.options import Options
from pipeline.saved import Form, check_arrays


@dataclass(frozen=True)
class SensorCoverage:
    """Coverage of one sensor at a window.

    Attributes:
        share: Share of the strides with a value in the last COVERAGE_S (in the night so far, if that is shorter).
        seconds_since: Seconds from the newest value to the end of the window; None if there has been none.
    """

    share: float
    seconds_since: float | None


@dataclass(frozen=True)
class Coverage:
    """Coverage of all sensors at a window.

    Attributes:
        sensors: {sensor: SensorCoverage} of the model's sensors.
        unknown: Whether there is too little data to predict a stage.
    """

    sensors: dict[str, SensorCoverage]
    unknown: bool


class CoverageTracker:
    """Computes the coverage of windows as they close, and keeps the state it needs between them."""

    def __init__(self, options: Options, channels: Sequence[str]):
        """Begin a night.

        Args:
            options: Options of the run, or of a bundle's contract.
            channels: Names of the windows' channels.
        """
        self.options, self.channels = options, tuple(channels)
        self.channels_of = {
            sensor: [name for name in names if name in self.channels] for sensor, names in CHANNELS_OF_SENSOR.items()
        }
        self.channels_of = {sensor: names for sensor, names in self.channels_of.items() if names}
        strides = max(1, COVERAGE_S // options.stride)
        self.recent: dict[str, deque] = {
            sensor: deque(maxlen=strides) for sensor in self.channels_of
        }  # True for a stride with a value
        self.since = dict.fromkeys(self.channels_of, inf)  # s, from the newest value to the end of the window
        self.still = inf  # s, since the last stride with movement
        self.elapsed = 0.0  # s, of the night

    def update(self, window: dict[str, np.ndarray]) -> Coverage:
        """Coverage of the next window.

        Args:
            window: {channel: [values_per_window]}, with the channel's missing value where there is no data.
        """
        stride = self.options.stride
        self.elapsed += stride
        moved = False
        for sensor, names in self.channels_of.items():
            age = min(self._age(name, window[name]) for name in names)
            self.since[sensor] = min(self.since[sensor] + stride, age)
            self.recent[sensor].append(age < inf)
            moved |= any(CHANNELS[name].bins and (self._newest(name, window[name]) > 0).any() for name in names)
        if "activity" not in self.channels_of and "motion" in self.channels_of:
            moved |= bool(self.recent["motion"][-1])  # acceleration alone cannot tell a still wrist from a table
        self.still = 0.0 if moved else self.still + stride
        sensors = {
            sensor: SensorCoverage(sum(recent) / len(recent), None if self.since[sensor] == inf else self.since[sensor])
            for sensor, recent in self.recent.items()
        }
        return Coverage(sensors, self._unknown())

    def _newest(self, name, values):
        return values[-self.options.values_per_stride(name) :]

    def _age(self, name, values):
        """Seconds from the last value of the newest stride to the end of the window; inf if there is none."""
        sensed = np.flatnonzero(self._newest(name, values)[::-1] >= CHANNELS[name].low)
        return float(sensed[0] * self.options.seconds_per_value(name)) if len(sensed) else inf

    def _unknown(self):
        heart = self.since.get("heart_rate", inf)
        if heart < ABSENT_S:
            return False
        movement = min(self.since.get("motion", inf), self.since.get("activity", inf))
        had_heart_rate = heart < inf
        still = self.elapsed if had_heart_rate and self.still == inf else self.still
        return movement >= ABSENT_S or still >= (OFF_WRIST_S if had_heart_rate else OFF_WRIST_BLIND_S)

    def state(self) -> dict[str, np.ndarray]:
        """The tracker's state as arrays, for `restore` of one with the same options and channels."""
        saved = {f"recent.{sensor}": np.array(recent, bool) for sensor, recent in self.recent.items()}
        saved |= {f"since.{sensor}": np.array(seconds) for sensor, seconds in self.since.items()}
        return saved | {"still": np.array(self.still), "elapsed": np.array(self.elapsed)}

    def restore(self, saved: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Resume from arrays returned by `state`; raises ValueError, by name, for wrong ones unless they are signed."""
        if not signed:
            self._check(saved)
        for sensor in self.channels_of:
            self.recent[sensor] = deque(saved[f"recent.{sensor}"].tolist(), self.recent[sensor].maxlen)
            self.since[sensor] = float(saved[f"since.{sensor}"])
        self.still, self.elapsed = float(saved["still"]), float(saved["elapsed"])

    def _check(self, saved):
        forms = {"still": Form(np.float64, (), 0, inf), "elapsed": Form(np.float64, (), 0)}
        for sensor in self.channels_of:
            forms |= {
                f"recent.{sensor}": Form(np.bool_, (None,), 0, 1),
                f"since.{sensor}": Form(np.float64, (), 0, inf),
            }
        check_arrays(saved, forms)
        stride, elapsed = self.options.stride, float(saved["elapsed"])
        if elapsed % stride:
            raise ValueError(f"elapsed: {elapsed:g} s, expected whole strides")
        for name in ("still", *(f"since.{sensor}" for sensor in self.channels_of)):
            seconds = float(saved[name])
            if seconds < inf and (seconds > elapsed or seconds % 1):
                raise ValueError(f"{name}: {seconds:g} s, expected whole seconds of those elapsed")
        for sensor, recent in self.recent.items():
            sensed = saved[f"recent.{sensor}"]
            if len(sensed) != min(elapsed // stride, recent.maxlen or inf):
                raise ValueError(f"recent.{sensor}: {len(sensed)} strides, which does not fit elapsed")
            if len(sensed) and sensed[-1] != (saved[f"since.{sensor}"] < stride):
                raise ValueError(f"since.{sensor}: does not fit recent.{sensor}")


def coverage_of_night(night: Night, options: Options, channels: Sequence[str]) -> list[Coverage]:
    """Coverage of every window of a night, as the watch computes it when the window closes."""
    tracker = CoverageTracker(options, channels)
    windows = {name: night.values(name, options) for name in channels}
    return [tracker.update({name: values[i] for name, values in windows.items()}) for i in range(len(night))]


def unknown_windows(night: Night, options: Options, channels: Sequence[str]) -> np.ndarray:
    """[windows] bool: whether the stage is unknown."""
    return np.array([coverage.unknown for coverage in coverage_of_night(night, options, channels)], bool)
