"""Causal alignment: sensor events in, equally spaced windows out.

`Aligner` is the only aligner. The watch feeds it events as they arrive; `align` feeds it a whole recording. Sums are
computed in float64 in time order, so both give bit-identical float32 windows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from pipeline.activity import ActivityCounter
from pipeline.constants import CHANNELS, DEFAULT_CHANNELS, EPOCH_S, GRACE_S, LEAD_S, LONGEST_NIGHT_S
from pipeline.guard import MOST_SAMPLES, InputGuard
from pipeline.options import Options
from pipeline.recordings import Recording
from pipeline.saved import Form, check_arrays, restore_part

Windows = tuple[np.ndarray, dict[str, np.ndarray]]  # ends [n] in s, {channel: [n, values_per_window] float32}

CHANNELS_OF_SENSOR: dict[str, tuple[str, ...]] = {  # the channels that a sensor fills
    "heart_rate": ("heart_rate",),
    "motion": ("motion_x", "motion_y", "motion_z", "motion_magnitude"),
    "steps": ("steps",),
    "activity": ("activity",),
}
AT_A_TIME = 1 << 15  # samples that `align` feeds per call, so that arrays stay in the processor's cache
REASONS = ("not_a_number", "wrong_unit", "out_of_range", "late", "repeated")  # why a sample is dropped


@dataclass
class Night:
    """All windows of a recording in order.

    Attributes:
        subject: Id of the sleeper.
        ends: Ends of the windows, s from the start of the recording, [windows] float64.
        channels: {name: [windows, values_per_window] float32}, with the channel's missing value where there is no data.
        stages: Scored stages, indices into STAGES, [windows] int8; -1 if unscored or if the window does not end with
            an epoch.
        fingerprint: Fingerprint of the recording (pipeline/repeats.py), [n] uint64.
    """

    subject: str
    ends: np.ndarray
    channels: Mapping[str, np.ndarray]
    stages: np.ndarray
    fingerprint: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self.ends)

    def values(self, channel: str, options: Options) -> np.ndarray:
        """Values of a channel, [windows, values_per_window] float32; all missing if the night lacks the channel."""
        empty = (len(self), options.values_per_window(channel))
        if channel in self.channels:
            return self.channels[channel]
        return np.full(empty, CHANNELS[channel].missing, np.float32)


class Aligner:
    """Turns sensor events into windows, online: `feed` takes samples, `advance` and `before` close windows.

    Attributes:
        channels: Names of the channels that are filled.
        start: Start of the first stride, s from the start of the recording.
        closed: Number of windows closed so far.
        dropped: {sensor: {reason of REASONS: number of samples dropped}}.
        guard: The InputGuard, with findings about units.
    """

    def __init__(self, options: Options, channels: Iterable[str], start: float = 0.0, count_motion: bool = True):
        """Begin a night.

        Args:
            options: Options of the run; data_alignment, window_size and stride are used.
            channels: Names of the channels to fill.
            start: Start of the first stride, s from the start of the recording.
            count_motion: Whether to compute `activity` from raw motion; False if activity counts are fed.

        Raises:
            ValueError: The start is no time.
        """
        if not np.isfinite(start):
            raise ValueError(f"start={start}: expected a time in seconds")
        self.options, self.channels, self.start = options, tuple(channels), float(start)
        self.closed = 0
        self.counter = ActivityCounter() if count_motion and "activity" in self.channels else None
        before = options.window_size - options.stride  # s that the first window reaches back before `start`
        self.sums = {name: np.zeros(before // options.seconds_per_value(name)) for name in self.channels}
        self.numbers = {name: np.zeros(len(sums), np.int64) for name, sums in self.sums.items()}
        self.taken: dict[str, list[np.ndarray]] = {sensor: [] for sensor in CHANNELS_OF_SENSOR}  # s, in open windows
        self.newest = dict.fromkeys(CHANNELS_OF_SENSOR, -np.inf)  # s, of all taken
        self.dropped = {sensor: dict.fromkeys(REASONS, 0) for sensor in CHANNELS_OF_SENSOR}
        self.guard = InputGuard()
        empty = {name: np.zeros((0, options.values_per_window(name)), np.float32) for name in self.channels}
        self.no_windows = np.zeros(0), empty

    def feed(self, sensor: str, t: ArrayLike, values: ArrayLike) -> None:
        """Take samples of one sensor. Dropped samples are counted in `dropped`.

        Args:
            sensor: One of CHANNELS_OF_SENSOR.
            t: Times in s from the start of the recording, [n]; of bins, their ends.
            values: [n]; motion: [n, 3] in g.

        Raises:
            KeyError: The sensor is unknown.
            ValueError: A time is more than a night after the start, or the values have the wrong shape.
        """
        names = CHANNELS_OF_SENSOR[sensor]
        times, samples = _shaped(sensor, t, values)
        counting = sensor == "motion" and self.counter is not None
        finite = np.isfinite(times) & np.isfinite(samples).all(1)
        times, samples = self._keep(sensor, "not_a_number", finite, times, samples)
        self._check_time(times.max(initial=self.start) - self.start)
        if not counting and not any(name in self.sums for name in names):
            return
        limits = CHANNELS[names[0]]
        in_range = ((samples >= limits.low) & (samples <= limits.high)).all(1)
        accepted = self.guard.accept(sensor, times, samples, in_range)
        times, samples, in_range = self._keep(sensor, "wrong_unit", accepted, times, samples, in_range)
        times, samples = self._keep(sensor, "out_of_range", in_range, times, samples)
        timely = self._slots(names[0], times - self.start, self.options.stride) >= self.closed
        times, samples = self._keep(sensor, "late", timely, times, samples)
        times, samples = self._keep(sensor, "repeated", self._first_of_its_time(sensor, times), times, samples)
        if not len(times):
            return
        self.taken[sensor].append(times.copy())  # the caller may reuse the array
        self.newest[sensor] = max(self.newest[sensor], times.max())
        elapsed = times - self.start
        if sensor == "activity":
            self._stop_counting()
        if sensor == "motion":
            if self.counter:
                in_order = elapsed >= np.maximum.accumulate(np.append(self.counter.last[0], elapsed))[:-1]
                self._add("activity", *self.counter.feed(elapsed[in_order], samples[in_order, 2]))
            if "motion_magnitude" in self.sums:
                self._add("motion_magnitude", elapsed, np.sqrt((samples**2).sum(1)))
        for name, column in zip(names, samples.T, strict=False):  # the magnitude has no column
            if name in self.sums:
                self._add(name, elapsed, column)

    def _keep(self, sensor, reason, mask, *arrays):
        """The arrays' rows where the mask is true; the others are counted as dropped for a reason."""
        lost = len(mask) - int(np.count_nonzero(mask))
        if not lost:
            return arrays
        self.dropped[sensor][reason] += lost
        return tuple(array[mask] for array in arrays)

    def _first_of_its_time(self, sensor, t):
        """[n] bool: whether a sample is the sensor's first with its time."""
        first = np.full(len(t), True)
        if (np.diff(t) <= 0).any():
            first[:] = False
            first[np.unique(t, return_index=True)[1]] = True
        if t.min(initial=np.inf) <= self.newest[sensor]:
            first &= ~np.isin(t, self._taken(sensor))
        return first

    def _taken(self, sensor):
        """Times of the sensor's samples in open windows, [n] s."""
        times = np.concatenate([np.empty(0), *self.taken[sensor]])
        self.taken[sensor] = [times]
        return times

    def _stop_counting(self):
        """Stop counting motion, as activity counts are fed; counts of motion in open windows are discarded."""
        if self.counter is None:
            return
        self.counter = None
        older = (self.options.window_size - self.options.stride) // self.options.seconds_per_value("activity")
        self.sums["activity"][older:], self.numbers["activity"][older:] = 0, 0

    def _check_time(self, t):
        if t > LONGEST_NIGHT_S + LEAD_S:
            raise ValueError(
                f"t={t + self.start:.12g} s: times count in seconds from the start of the recording, "
                f"{self.start:.12g} s, at most a night; are these milliseconds?"
            )

    @staticmethod
    def _slots(name, t, seconds):
        """Index k of the slot of length `seconds` that each time t, s since the start, lies in.

        A sample at t lies in [k, k + 1) slots; a bin that ends at t lies in (k, k + 1], its end taken GRACE_S early.
        Corrected for rounding of the division.
        """
        t = np.maximum(t, -LONGEST_NIGHT_S)  # earlier times are equally late, and these fit an integer
        if CHANNELS[name].bins:
            t = t - GRACE_S
            slot = np.ceil(t / seconds) - 1
            slot -= slot * seconds >= t
            slot += (slot + 1) * seconds < t
        else:
            slot = np.floor(t / seconds)
            slot -= slot * seconds > t
            slot += (slot + 1) * seconds <= t
        return slot.astype(np.int64)

    def _add(self, name, t, values):
        """Add values at times t, s since the start, to their rows."""
        seconds = self.options.seconds_per_value(name)
        slot = self._slots(name, t, seconds) - self.closed * self.options.values_per_stride(name)
        values, slot = values[slot >= 0], slot[slot >= 0]
        if not len(slot):
            return
        slot += (self.options.window_size - self.options.stride) // seconds
        self.sums[name], self.numbers[name] = self._grown(name, slot.max() + 1)
        np.add.at(self.sums[name], slot, values)  # one after the other, in the order of arrival
        np.add.at(self.numbers[name], slot, 1)

    def _grown(self, name, size):
        """Sums and sample counts of a channel's rows, grown to at least `size` rows, several windows at a time."""
        sums, numbers = self.sums[name], self.numbers[name]
        if len(sums) >= size:
            return sums, numbers
        more = (0, size - len(sums) + 4 * self.options.values_per_window(name))
        return np.pad(sums, more), np.pad(numbers, more)

    def before(self, t: float) -> Windows:
        """Close every window that ended more than GRACE_S before an event at `t`.

        Args:
            t: Time of the event, s from the start of the recording.

        Returns:
            As `advance`.

        Raises:
            ValueError: The time is more than a night after the start.
        """
        if not np.isfinite(t) or t < self.start:
            return self.no_windows
        self._check_time(t - self.start)
        stride, t = self.options.stride, t - self.start - GRACE_S
        last = int(np.ceil(t / stride)) - 1  # exact as in _slots: the window of a bin that ends at t stays open
        last -= last * stride >= t
        last += (last + 1) * stride < t
        return self._close(int(last))  # a clock that goes far back would overflow NumPy's integers

    def advance(self, now: float) -> Windows:
        """Close every window that ends by now.

        Args:
            now: Time, s from the start of the recording.

        Returns:
            The closed windows: (ends [n] in s, {channel: [n, values_per_window] float32}).

        Raises:
            ValueError: The time is not finite, or more than a night after the start.
        """
        if not np.isfinite(now):
            raise ValueError(f"now={now}: expected a time in seconds")
        self._check_time(now - self.start)
        return self._close(int(np.floor((now - self.start) / self.options.stride)))

    def _close(self, last):
        """Close windows until `last` are closed."""
        n = max(last - self.closed, 0)
        if not n:
            return self.no_windows
        stride = self.options.stride
        if self.counter:
            self._add("activity", *self.counter.advance(stride * (self.closed + n)))
        windows = {name: self._windows(name, n) for name in self.channels}
        ends = self.start + stride * np.arange(self.closed + 1, self.closed + n + 1.0)
        self.closed += n
        for sensor, times in self.taken.items():
            if times:
                t = self._taken(sensor)
                self.taken[sensor] = [t[t - self.start >= self.closed * stride]]
        return ends, windows

    def _windows(self, name, n):
        """The next n windows of a channel, [n, values_per_window] float32; rows no later window needs are freed."""
        step, size, channel = self.options.values_per_stride(name), self.options.values_per_window(name), CHANNELS[name]
        sums, numbers = self._grown(name, step * (n - 1) + size)
        rows = sums if channel.bins else sums / np.maximum(numbers, 1)
        rows = np.where(numbers > 0, rows, channel.missing).astype(np.float32)
        self.sums[name], self.numbers[name] = sums[step * n :], numbers[step * n :]
        return np.lib.stride_tricks.sliding_window_view(rows, size)[: step * n : step].copy()

    def state(self) -> dict[str, np.ndarray]:
        """The aligner's state as arrays, for `restore` of one with the same options and channels."""
        saved: dict[str, np.ndarray] = {"closed": np.array(self.closed), "start": np.array(self.start)}
        saved["counting"] = np.array(self.counter is not None)
        for name in self.channels:
            saved |= {f"sums.{name}": self.sums[name].copy(), f"numbers.{name}": self.numbers[name].copy()}
        for sensor, dropped in self.dropped.items():
            saved |= {f"taken.{sensor}": self._taken(sensor).copy(), f"dropped.{sensor}": np.array([*dropped.values()])}
        saved |= {f"guard.{name}": value for name, value in self.guard.state().items()}
        return saved | {f"counter.{k}": value for k, value in (self.counter.state() if self.counter else {}).items()}

    def restore(self, saved: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Resume from arrays returned by `state`.

        Args:
            saved: The arrays.
            signed: Whether a signature proves that they come from `state`; they are not checked then.

        Raises:
            ValueError: They are not of such an aligner; the message begins with the name of one. This aligner must not
                be used then.
        """
        if not signed:
            self._check(saved)
        self.closed, self.start = int(saved["closed"]), float(saved["start"])
        for name in self.channels:
            self.sums[name], self.numbers[name] = saved[f"sums.{name}"].copy(), saved[f"numbers.{name}"].copy()
        for sensor in CHANNELS_OF_SENSOR:
            t = saved[f"taken.{sensor}"]
            self.taken[sensor], self.newest[sensor] = ([t.copy()], t.max()) if len(t) else ([], -np.inf)
            self.dropped[sensor] = dict(zip(REASONS, saved[f"dropped.{sensor}"].tolist(), strict=True))
        restore_part(self.guard, saved, "guard.", signed)
        self.counter = ActivityCounter() if saved["counting"] else None
        if self.counter:
            restore_part(self.counter, saved, "counter.", signed)

    def _check(self, saved):
        """Check arrays but for those of the guard and the counter, which check theirs."""
        stride, night = self.options.stride, LONGEST_NIGHT_S + LEAD_S
        forms = {
            "closed": Form(np.int64, (), 0, night // stride),
            "start": Form(np.float64),
            "counting": Form(np.bool_, (), 0, "activity" in self.channels),
        }
        for name in self.channels:
            forms |= {
                f"sums.{name}": Form(np.float64, (None,)),
                f"numbers.{name}": Form(np.int64, (None,), 0, MOST_SAMPLES),
            }
        for sensor in CHANNELS_OF_SENSOR:
            forms |= {f"taken.{sensor}": Form(np.float64, (None,))}
            forms |= {f"dropped.{sensor}": Form(np.int64, (len(REASONS),), 0, MOST_SAMPLES)}
        check_arrays({k: x for k, x in saved.items() if not k.startswith(("guard.", "counter."))}, forms)
        if not saved["counting"] and any(name.startswith("counter.") for name in saved):
            raise ValueError("counting: does not fit counter")
        closed, start = int(saved["closed"]), float(saved["start"])
        for name in self.channels:
            sums, numbers, channel = saved[f"sums.{name}"], saved[f"numbers.{name}"], CHANNELS[name]
            least, window = len(self.sums[name]), self.options.values_per_window(name)
            most = least + night // self.options.seconds_per_value(name) + 5 * window  # _grown adds up to 4 windows
            if not least <= len(sums) == len(numbers) <= most:
                raise ValueError(f"sums.{name}: {len(sums)} rows, and {len(numbers)} of numbers")
            if not np.logical_and.reduce((channel.low * numbers <= sums) & (sums <= channel.high * numbers)):
                raise ValueError(f"sums.{name}: do not fit numbers")
        for sensor in CHANNELS_OF_SENSOR:
            t = saved[f"taken.{sensor}"]
            if len(t) and not ((t - start >= closed * stride) & (t - start <= night)).all():
                raise ValueError(f"taken.{sensor}: times outside the open windows")


def _shaped(sensor, t, values):
    """Times [n] and samples [n, 3] or [n, 1]; raises ValueError for other shapes."""
    times, samples = np.atleast_1d(np.asarray(t, np.float64)), np.asarray(values, np.float64)
    columns = 3 if sensor == "motion" else 1
    expected: list[tuple[int, ...]] = [(len(times), columns)] + ([(len(times),)] if columns == 1 else [])
    if np.ndim(t) == 0:
        expected += [(columns,), ()] if columns == 1 else [(columns,)]
    if times.ndim != 1 or samples.shape not in expected:
        raise ValueError(f"{sensor}: values of shape {samples.shape} for {len(times)} times, expected {expected[0]}")
    return times, samples.reshape(len(times), columns)


def channels_of(recording: Recording, options: Options) -> tuple[str, ...]:
    """Names of the requested channels that the recording can fill."""
    sensors = set(recording.samples) | ({"activity"} if "motion" in recording.samples else set())
    requested = set(options.channels or DEFAULT_CHANNELS)
    requested |= {"motion_magnitude"} if options.motion_magnitude else set()
    return tuple(
        name for sensor, names in CHANNELS_OF_SENSOR.items() if sensor in sensors for name in names if name in requested
    )


def extent(recording: Recording, options: Options) -> tuple[float, float]:
    """Start and end of a night in whole strides, from t=0 (or its lead) to the last label (or sample).

    Args:
        recording: A recording with at least one sample.
        options: Options of the run; negative_times and stride are used.

    Returns:
        (start, end), s from the start of the recording.
    """
    first = min(t[0] for t, _ in recording.samples.values())
    start = min(np.floor(first / options.stride) * options.stride, 0) if options.negative_times else 0
    if recording.labels is not None:
        last = recording.labels[0][-1] + EPOCH_S
        return float(start), float(np.ceil(last / options.stride) * options.stride)
    last = max(t[-1] for t, _ in recording.samples.values())
    return float(start), float(np.floor((last + GRACE_S) / options.stride) * options.stride)


def align(recording: Recording, options: Options) -> Night:
    """Align a whole recording; no window contains later samples."""
    start, end = extent(recording, options)
    aligner = Aligner(options, channels_of(recording, options), start, count_motion="activity" not in recording.samples)
    for sensor, (t, values) in recording.samples.items():
        for i in range(0, len(t), AT_A_TIME):
            aligner.feed(sensor, t[i : i + AT_A_TIME], values[i : i + AT_A_TIME])
    ends, channels = aligner.advance(end)
    stages = np.full(len(ends), -1, np.int8)
    if recording.labels is not None:
        scored = dict(zip(*recording.labels, strict=True))
        stages[:] = [scored.get(e - EPOCH_S, -1) for e in ends]  # a window that ends within an epoch stays unscored
    return Night(recording.subject, ends, channels, stages)
