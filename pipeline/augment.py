"""Data augmentation: training nights as another wearer, another watch or a looser strap might have recorded them.

For training only. The strength of each property is spread evenly over the variants of a night (Latin hypercube), so
every wearer appears without movement, with noise and so on equally often, and a missing sensor does not tell who wears
it. Each night has its own random generator: the same seed gives the same variants.
"""

from dataclasses import replace

import numpy as np

from pipeline.align import Night
from pipeline.constants import CHANNELS, HOUR_S
from pipeline.degrade import wander
from pipeline.options import Options

MOTION = ("motion_x", "motion_y", "motion_z")
TEMPO = 0.12  # largest change of the night's length (share), and SD of the log of the speed within it
HEART_SCALE = (0.8, 1.25)  # factor of heart rate's swings about the night's mean
HEART_SHIFT_BPM = 5.0  # SD
ACTIVITY_SCALE = 0.25  # SD of log
SAMPLED_S = 5  # watches' usual interval of heart rate
HELD_S = 60  # longest gap over which a denser heart rate is interpolated
BREATH_HZ = 0.25
GAP_MIN = (10, 60)  # of heart rate, once a night
MOVEMENT_GAP_MIN = (10, 180)
HOLE_MIN = 10
HOURS_LATE = 2.0  # at most
CYCLE_S = (20, 60)  # period of heart rate's swings with repeated apnoea
CYCLE_BPM = (3, 12)  # from low to high
BOUT_MIN = (10, 40)
LIKELY = {  # probability that a variant has the property
    "dense": 0.12,  # heart rate at every row, beat by beat, as from an ECG
    "cyclic": 0.15,
    "smoothed": 0.25,
    "noise": 0.3,
    "wander": 0.15,
    "thinned": 0.35,
    "rounded": 0.2,
    "holes": 0.25,
    "heart_gap": 0.3,
    "movement_gap": 0.4,
    "movement_ends": 0.1,
    "late": 0.1,
    "no_movement": 1 / 8,
    "no_heart": 1 / 16,
}
NOISE_BPM = (0.5, 5)
WANDER_BPM = (1, 4)
WANDER_S = (10, 300)
SMOOTHED_S = (5, 60)
THINNED_S = (20, 360)
ROUNDED_BPM = (1, 2)
BEAT_BPM = (0.5, 4)  # SD of heart rate with breathing, and of other beat-to-beat variation
HOLES = (0.05, 0.5)  # share of the night


def night_variants(night: Night, options: Options, seed, count: int) -> list[Night]:
    """Draw variants of a night.

    Args:
        night: The night as recorded.
        options: Options of the run.
        seed: Anything that numpy.random.default_rng accepts.
        count: Number of variants. With multiples of 16, "no_movement" and "no_heart" are exactly as frequent as in
            LIKELY.

    Returns:
        The variants, whose number of windows may differ from the night's.
    """
    rng = np.random.default_rng(seed)
    drawn = {name: (rng.permutation(count) + rng.random(count)) / max(count, 1) for name in LIKELY}
    return [Variant(night, options, {name: u[i] for name, u in drawn.items()}, rng).night() for i in range(count)]


class Variant:
    """Builds one variant of a night."""

    def __init__(self, night: Night, options: Options, drawn: dict[str, float], rng: np.random.Generator):
        """Decide on the variant's properties.

        Args:
            night: The night as recorded.
            options: Options of the run.
            drawn: {property: number in [0, 1)}; the variant has the property if it is below LIKELY[property].
            rng: Generator of all other random numbers.
        """
        self.original, self.options, self.rng = night, options, rng
        self.seconds = options.seconds_per_value("heart_rate")  # per row
        self.has = {name: drawn[name] < likely for name, likely in LIKELY.items()}
        self.has["no_heart"] = drawn["no_movement"] >= 1 - LIKELY["no_heart"]  # so that both are never lost
        self.amount = {name: drawn[name] / likely if likely else 0.0 for name, likely in LIKELY.items()}  # [0, 1)
        self.at = tempo(len(night), rng)

    def night(self) -> Night:
        """The varied Night."""
        options, at, rng = self.options, self.at, self.rng
        rows = {name: self._rows(name) for name in self.original.channels}
        if "heart_rate" in rows:
            rows["heart_rate"] = self._heart(rows["heart_rate"])
        if "activity" in rows:
            x, scale = rows["activity"], np.exp(rng.normal(0, ACTIVITY_SCALE))
            rows["activity"] = np.where(x > 0, x * scale, x)
        if set(MOTION) <= set(rows):
            x = np.stack([rows[name] for name in MOTION])
            sensed = (x >= CHANNELS[MOTION[0]].low).all(0)
            turned = np.where(sensed, rotation(rng) @ np.where(sensed, x, 0), x)
            rows |= dict(zip(MOTION, turned, strict=True))
        heart, movement = self._lost(len(at))
        channels = {}
        for name, x in rows.items():
            x = x.reshape(len(at), -1)
            x[heart if name == "heart_rate" else movement] = CHANNELS[name].missing
            x = np.clip(x, CHANNELS[name].low, CHANNELS[name].high, out=x, where=x >= CHANNELS[name].low)
            channels[name] = self._windows(name, x.ravel())
        ends = options.stride * np.arange(len(at)) + self.original.ends[0]
        return replace(self.original, ends=ends, channels=channels, stages=self.original.stages[at])

    def _rows(self, name):
        """Values of a channel in order of time, [windows * values_per_stride]: each window's newest stride."""
        return self.original.channels[name][self.at, -self.options.values_per_stride(name) :].astype(float).ravel()

    def _windows(self, name, rows):
        """Rows as windows, [windows, values_per_window], that overlap as set by the options."""
        size, step = self.options.values_per_window(name), self.options.values_per_stride(name)
        rows = np.concatenate([np.full(size - step, CHANNELS[name].missing), rows]).astype(np.float32)
        return np.lib.stride_tricks.sliding_window_view(rows, size)[::step].copy()

    def _strength(self, name, between):
        """Strength of a property, on a logarithmic scale between two values."""
        low, high = np.log(between)
        return float(np.exp(low + self.amount[name] * (high - low)))

    def _heart(self, x):
        """Heart rate of another heart, then of another sensor, [rows] bpm. x: [rows] bpm, 0 if missing."""
        rng, channel = self.rng, CHANNELS["heart_rate"]
        at = np.flatnonzero(x >= channel.low)
        if not len(at):
            return x
        y = x[at]
        y = (y - y.mean()) * rng.uniform(*HEART_SCALE) + y.mean() + rng.normal(0, HEART_SHIFT_BPM)
        if self.has["dense"]:
            at, y = self._held(at, y)
        if self.has["cyclic"]:
            y = y + self._cycles(len(x))[at]
        at, y = self._beats(at, y) if self.has["dense"] else self._watch(at, y)
        if self.has["wander"]:
            size, tau = self._strength("wander", WANDER_BPM), np.exp(rng.uniform(*np.log(WANDER_S))) / self.seconds
            y = y + size * wander(rng, len(x), tau)[at]
        if self.has["rounded"]:
            whole = rng.uniform(*ROUNDED_BPM)
            y = np.rint(y / whole) * whole
        out = np.full(len(x), float(channel.missing))
        out[at] = np.clip(y, channel.low, channel.high)
        return out

    def _held(self, at, y):
        """Heart rate y at the rows `at`, interpolated between them over up to HELD_S."""
        rows = np.arange(at[0], at[-1] + 1)
        after = np.searchsorted(at, rows)
        rows = rows[(at[after] - at[np.maximum(after - 1, 0)]) * self.seconds <= HELD_S]
        return rows, np.interp(rows, at, y)

    def _beats(self, at, y):
        """Heart rate as from an ECG: with breathing and beat-to-beat variation."""
        rng, n, seconds = self.rng, len(at), self.seconds
        size = self._strength("dense", BEAT_BPM) / np.sqrt(seconds)
        turns = BREATH_HZ * seconds * np.arange(n) + wander(rng, n, 60 / seconds) / 2
        breath = np.sqrt(2) * np.sin(2 * np.pi * turns) * np.exp(0.3 * wander(rng, n, 900 / seconds))
        return at, y + size * (rng.uniform(0.3, 1) * breath + rng.uniform(0.3, 1) * rng.standard_normal(n))

    def _watch(self, at, y):
        """Heart rate as another watch averages and samples it, with its noise."""
        rng, seconds = self.rng, self.seconds
        if self.has["smoothed"]:
            total, end = np.append(0, np.cumsum(y)), np.arange(1, len(at) + 1)
            begin = np.searchsorted(at, at - self._strength("smoothed", SMOOTHED_S) / seconds, "right")
            begin = np.minimum(begin, end - 1)
            y = (total[end] - total[begin]) / (end - begin)
        if self.has["noise"]:  # a longer row is the mean of several samples
            y = y + rng.normal(0, self._strength("noise", NOISE_BPM) / max(1, seconds / SAMPLED_S) ** 0.5, len(y))
        if self.has["thinned"]:
            slot = np.floor(at * seconds / self._strength("thinned", THINNED_S) + rng.random())
            first = np.diff(slot, prepend=-1) > 0
            at, y = at[first], y[first]
        return at, y

    def _cycles(self, rows):
        """Bouts of swings over about half the night, with a sudden rise and slow fall or evenly, [rows] bpm."""
        rng, seconds = self.rng, self.seconds
        swings: list[np.ndarray] = []
        while sum(len(bout) for bout in swings) < rows:
            n, on = max(1, int(rng.uniform(*BOUT_MIN) * 60 / seconds)), rng.random() < 0.5
            period = rng.uniform(*CYCLE_S) * np.exp(0.2 * wander(rng, n, 120 / seconds))
            phase, rise = np.cumsum(seconds / period) % 1, rng.uniform(0.2, 0.5)
            up, down = np.cos(np.pi * phase / rise), np.cos(np.pi * (phase - rise) / (1 - rise))
            swings.append(on * rng.uniform(*CYCLE_BPM) / 2 * np.where(phase < rise, -up, down))
        return np.concatenate(swings)[:rows]

    def _lost(self, windows):
        """Windows without heart rate and windows without movement (all its channels), each [windows] bool."""
        rng, stride, has = self.rng, self.options.stride, self.has
        heart, movement = np.zeros(windows, bool), np.zeros(windows, bool)
        if has["holes"]:
            slot = np.arange(windows) * stride // (HOLE_MIN * 60)
            holes = rng.permutation(slot[-1] + 1)[: round(self._strength("holes", HOLES) * (slot[-1] + 1))]
            heart |= np.isin(slot, holes)
        for name, lost, minutes in (("heart_gap", heart, GAP_MIN), ("movement_gap", movement, MOVEMENT_GAP_MIN)):
            length = rng.uniform(*minutes) * 60 / stride
            begin = rng.uniform(-length / 2, windows)
            if has[name]:
                lost[max(0, int(begin)) : max(0, int(begin + length))] = True
        if has["movement_ends"]:
            movement[rng.integers(windows) :] = True
        if has["late"]:
            on = int(self.amount["late"] * HOURS_LATE * HOUR_S / stride)
            heart[:on] = movement[:on] = True
        if has["no_movement"]:
            movement[:] = True
        if has["no_heart"]:
            heart[:] = True
        return heart, movement


def tempo(windows, rng):
    """Indices of a night's windows, resampled at a speed that varies over the night."""
    size = max(1, int(windows * rng.uniform(1 - TEMPO, 1 + TEMPO)))
    speed = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, 6), np.exp(rng.normal(0, TEMPO, 6)))
    place = np.cumsum(speed) - speed[0]
    return np.round(place / max(place[-1], 1e-9) * (windows - 1)).astype(int)


def rotation(rng):
    """Uniformly random rotation matrix, [3, 3]."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.linalg.det(q)
