"""Causal alignment: sensor events in, equally spaced windows out.

`Aligner` is the only aligner. The watch feeds it events as they come; `align` feeds it a whole recording at a time.
Sums run in float64 in time order, so both give the same windows to the last float32 digit.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.activity import ActivityCounter
from pipeline.options import CHANNELS, EPOCH_S, GRACE_S, LEAD_S, LONGEST_NIGHT_S

SENSORS = {  # sensor -> the channels it fills
    "heart_rate": ("heart_rate",),
    "motion": ("motion_x", "motion_y", "motion_z", "motion_magnitude"),
    "steps": ("steps",),
    "activity": ("activity",),
}


@dataclass
class Night:
    """All windows of a recording in order.

    ends: [windows], seconds, when each window ends. channels: name -> [windows, values_per_window] float32, a missing
    value where nothing was sensed. stages: [windows] int8, index into STAGES, -1 where unscored or not counted.
    """

    subject: str
    ends: np.ndarray
    channels: dict[str, np.ndarray]
    stages: np.ndarray

    def __len__(self):
        return len(self.ends)

    def window(self, channel, options):
        """[windows, values_per_window] of a channel, all missing where the night lacks it."""
        empty = (len(self), options.values(channel))
        return self.channels.get(channel, np.full(empty, CHANNELS[channel].missing, np.float32))


class Aligner:
    """Sensor events to windows, online.

    options: pipeline.options.Options. channels: names to fill. start: seconds, when the first stride begins.
    count_motion: work `activity` out of raw motion; False where activity counts themselves are fed.
    """

    def __init__(self, options, channels, start=0.0, count_motion=True):
        self.options, self.channels, self.start = options, tuple(channels), float(start)
        self.closed = 0  # windows given out so far
        counted = count_motion and "activity" in self.channels
        self.counter = ActivityCounter(start) if counted else None
        before = options.window_size - options.stride  # the first window reaches this far back, to nothing
        self.sums = {name: np.zeros(before // options.seconds(name)) for name in self.channels}
        self.numbers = {name: np.zeros(len(sums), np.int64) for name, sums in self.sums.items()}
        empty = {name: np.zeros((0, options.values(name)), np.float32) for name in self.channels}
        self.nothing = np.zeros(0), empty  # no window is closed

    def feed(self, sensor, t, values):
        """Take samples of one sensor in time order. t: [n] s, a bin's is its end. values: [n], motion [n, 3].

        Values outside the channel's range count as not sensed; so do those of windows that are closed.
        Raises KeyError for an unknown sensor, ValueError for a time more than a night away.
        """
        names, t = SENSORS[sensor], np.atleast_1d(np.asarray(t, np.float64))
        values = np.asarray(values, np.float64).reshape(len(t), 3 if sensor == "motion" else 1)
        limits = CHANNELS[names[0]]
        good = (
            np.isfinite(t)
            & (t > self.start - LONGEST_NIGHT_S)
            & ((values >= limits.low) & (values <= limits.high)).all(1)
        )
        t, values = t[good], values[good]
        self._check_time(t.max(initial=self.start))
        if sensor == "motion":
            if self.counter:
                late = self.start + self.closed * self.options.stride
                timely = (t >= late) & (t >= np.maximum.accumulate(np.append(self.counter.last[0], t))[:-1])
                self._add("activity", *self.counter.feed(t[timely], values[timely, 2]))
            values = np.column_stack([values, np.sqrt((values**2).sum(1))])
        for name, column in zip(names, values.T, strict=True):
            if name in self.sums:
                self._add(name, t, column)

    def _check_time(self, t):
        if t - self.start > LONGEST_NIGHT_S + LEAD_S:
            raise ValueError(f"t={t:g} s: times count from the start of the recording, at most a night")

    def _add(self, name, t, values):
        seconds, t = self.options.seconds(name), t - self.start
        slot = np.ceil((t - GRACE_S) / seconds) - 1 if CHANNELS[name].bins else np.floor(t / seconds)
        slot = slot.astype(np.int64) - self.closed * self.options.newest(name)
        values, slot = values[slot >= 0], slot[slot >= 0]  # what comes after its window has closed is too late
        if not len(slot):
            return
        slot += (self.options.window_size - self.options.stride) // seconds
        self.sums[name], self.numbers[name] = self._reaching(name, slot.max() + 1)
        np.add.at(self.sums[name], slot, values)  # one after the other, as they would come
        np.add.at(self.numbers[name], slot, 1)

    def _reaching(self, name, size):
        """Sums and numbers of a channel, with at least `size` values; they grow by some windows at a time."""
        sums, numbers = self.sums[name], self.numbers[name]
        if len(sums) >= size:
            return sums, numbers
        more = (0, size - len(sums) + 4 * self.options.values(name))
        return np.pad(sums, more), np.pad(numbers, more)

    def before(self, t):
        """The windows that an event at t closes: those it lies past, by more than a late bin's grace."""
        return self.advance(np.nextafter(t - GRACE_S, -np.inf))

    def advance(self, now):
        """Close every window that ends by `now` (s). Returns (ends [n], {channel: [n, values_per_window] float32}).

        Raises ValueError for a time more than a night away.
        """
        self._check_time(now)
        options = self.options
        last = int(np.floor((now - self.start) / options.stride)) if now > self.start else 0
        n = max(last - self.closed, 0)
        if not n:
            return self.nothing
        ends = self.start + options.stride * np.arange(self.closed + 1, self.closed + n + 1.0)
        if self.counter:
            self._add("activity", *self.counter.advance(ends[-1]))
        windows = {name: self._windows(name, n) for name in self.channels}
        self.closed += n
        return ends, windows

    def _windows(self, name, n):
        step, size, channel = self.options.newest(name), self.options.values(name), CHANNELS[name]
        sums, number = self._reaching(name, step * (n - 1) + size)
        rows = sums if channel.bins else sums / np.maximum(number, 1)
        rows = np.where(number > 0, rows, channel.missing).astype(np.float32)
        self.sums[name], self.numbers[name] = sums[step * n :], number[step * n :]
        return np.lib.stride_tricks.sliding_window_view(rows, size)[: step * n : step].copy()

    def state(self):
        """What is under way, as arrays by name, for `restore`."""
        saved = {f"sums.{name}": sums.copy() for name, sums in self.sums.items()}
        saved |= {f"numbers.{name}": numbers.copy() for name, numbers in self.numbers.items()}
        saved |= {f"counter.{name}": value for name, value in (self.counter.state() if self.counter else {}).items()}
        return saved | {"closed": np.array(self.closed), "start": np.array(self.start)}

    def restore(self, saved):
        """Go on from what `state` gave."""
        self.closed, self.start = int(saved["closed"]), float(saved["start"])
        for name in self.channels:
            self.sums[name], self.numbers[name] = saved[f"sums.{name}"].copy(), saved[f"numbers.{name}"].copy()
        if self.counter:
            self.counter, mark = ActivityCounter(self.start), "counter."
            self.counter.restore({k.removeprefix(mark): v for k, v in saved.items() if k.startswith(mark)})


def channels_of(recording, options):
    """The channels that the recording can fill, of those the options ask for."""
    sensors = set(recording.samples) | ({"activity"} if "motion" in recording.samples else set())
    wanted = set(options.channels or CHANNELS) - (
        set() if "motion_magnitude" in options.channels else {"motion_magnitude"}
    )
    wanted |= {"motion_magnitude"} if options.motion_magnitude else set()
    return tuple(name for sensor in SENSORS if sensor in sensors for name in SENSORS[sensor] if name in wanted)


def extent(recording, options):
    """(start, end) of the night in seconds: whole strides, from t=0 (or its lead) to the last label (or sample)."""
    first = min(t[0] for t, _ in recording.samples.values())
    start = min(np.floor(first / options.stride) * options.stride, 0) if options.negative_times else 0
    if recording.labels is not None:
        last = recording.labels[0][-1] + EPOCH_S
        return float(start), float(np.ceil(last / options.stride) * options.stride)
    last = max(t[-1] for t, _ in recording.samples.values())
    return float(start), float(np.floor((last + GRACE_S) / options.stride) * options.stride)


def align(recording, options):
    """Recording -> Night, without looking ahead."""
    start, end = extent(recording, options)
    aligner = Aligner(options, channels_of(recording, options), start, count_motion="activity" not in recording.samples)
    for sensor, (t, values) in recording.samples.items():
        aligner.feed(sensor, t, values)
    ends, channels = aligner.advance(end)
    stages = np.full(len(ends), -1, np.int8)
    if recording.labels is not None:
        scored = dict(zip(*recording.labels, strict=True))
        stages[:] = [scored.get(e - EPOCH_S, -1) for e in ends]  # a window that ends within an epoch is not counted
    return Night(recording.subject, ends, channels, stages)
