"""Degraded recordings for stress tests: as another watch, strap or wearer would have given them.

Every stress is a pure function of the samples, before alignment; it does not modify its input, and labels are kept.
Random numbers depend on the seed, the subject and the kind of stress, so all strengths of a kind share them: stronger
noise is the same noise, scaled up.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from zlib import crc32

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from pipeline.activity import ActivityCounter
from pipeline.constants import CHANNELS, COUNT_S, HOUR_S
from pipeline.recordings import Recording

HOLE_S = 600  # s, length of a hole in heart rate
HELD_S = 60  # s, longest gap between samples over which heart rate is interpolated
CORRELATED_S = 60  # s, time constant of correlated noise
BREATH_HZ = 0.25  # breathing in sleep
BREATH_BPM = 3.0  # SD of heart rate with breathing (respiratory sinus arrhythmia)
BREATH_PHASE_S = 60  # s, over which breathing loses its phase
BREATH_SIZE_S = 900  # s, over which its swings change size
BEAT_BPM = 2.0  # SD of other beat-to-beat variation
CYCLE_S = (20, 60)  # s, period of heart rate's swings with repeated apnoea (Guilleminault et al., Lancet 1984)
CYCLE_BPM = (4, 10)  # size of a swing, from low to high
CYCLE_RISE = 0.25  # share of a swing in which heart rate rises
CYCLE_BOUT_S = (600, 2400)  # s, length of a bout of swings, and of the pauses between bouts
CYCLE_SHARE = 0.5  # share of the night in bouts
MOVEMENT = ("activity", "motion", "steps")  # sensors

Change = Callable[[Recording, Generator], Recording]
Series = tuple[np.ndarray, np.ndarray]  # times [n] in s, values [n]


@dataclass(frozen=True)
class Stress:
    """One way to degrade a recording.

    Attributes:
        kind: Kind of stress; stresses of one kind differ only in strength.
        strength: Strength in `unit`; None if it has none.
        unit: Unit of the strength.
        function: Takes a recording and a random generator, and returns the degraded recording.
    """

    kind: str
    strength: float | None
    unit: str
    function: Change


def wander(rng: Generator, n: int, tau: float) -> np.ndarray:
    """Draw an Ornstein-Uhlenbeck process.

    Args:
        rng: Random generator.
        n: Number of steps.
        tau: Steps over which its autocorrelation falls to 1/e.

    Returns:
        The process, of mean 0 and SD 1, [n].
    """
    keep = np.exp(-1 / tau)
    start = rng.standard_normal() * keep
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.standard_normal(n), zi=[start])[0]


def heart_rate(function: Callable[..., Series], **settings: float) -> Change:
    """A change of heart rate only, clipped to its valid range; recordings without heart rate stay unchanged.

    Args:
        function: Takes (t, bpm, rng, **settings) and returns times and bpm.
        **settings: Settings of the function.
    """

    def change(recording: Recording, rng: Generator) -> Recording:
        if "heart_rate" not in recording.samples:
            return recording
        t, bpm = function(*recording.samples["heart_rate"], rng, **settings)
        channel = CHANNELS["heart_rate"]
        return _with_samples(recording, {"heart_rate": (t, np.clip(bpm, channel.low, channel.high))})

    return change


def _with_samples(recording: Recording, samples: dict[str, Series]) -> Recording:
    """The recording with some sensors' samples replaced; a sensor without samples is removed."""
    merged = recording.samples | samples
    return replace(recording, samples={sensor: series for sensor, series in merged.items() if len(series[0])})


def white_noise(t, x, rng, bpm):
    """Independent noise of SD `bpm` on every sample."""
    return t, x + rng.normal(0, bpm, len(t))


def correlated_noise(t, x, rng, bpm):
    """Correlated noise of SD `bpm` with a time constant of CORRELATED_S."""
    grid = np.arange(np.floor(t[0]), t[-1] + 2)
    return t, x + bpm * np.interp(t, grid, wander(rng, len(grid), CORRELATED_S))


def sampled_every(t, x, rng, seconds):
    """Only the first sample in each slot of `seconds`."""
    first = np.diff(np.floor(t / seconds), prepend=-np.inf) > 0
    return t[first], x[first]


def smoothed(t, x, rng, seconds):
    """Moving average over the last `seconds`, as watches compute it."""
    total = np.append(0, np.cumsum(x))
    begin, end = np.searchsorted(t, t - seconds, "right"), np.arange(1, len(t) + 1)
    return t, (total[end] - total[begin]) / (end - begin)


def rounded(t, x, rng, bpm):
    """Heart rate rounded to multiples of `bpm`."""
    return t, np.rint(x / bpm) * bpm


def shifted(t, x, rng, bpm):
    """Heart rate shifted by `bpm`."""
    return t, x + bpm


def scaled_swings(t, x, rng, times):
    """Swings about the night's mean scaled by `times`."""
    return t, (x - x.mean()) * times + x.mean()


def with_holes(t, x, rng, share):
    """A random share of the night's slots of HOLE_S lost; a larger share loses the same slots and more."""
    slots = np.floor(t / HOLE_S)
    order = rng.permutation(int(slots[-1]) + 1)
    present = ~np.isin(slots, order[: round(share * len(order))])
    return t[present], x[present]


def beat_to_beat(t, x, rng):
    """Heart rate at 1 Hz with what a watch averages away but an ECG shows: breathing and beat-to-beat variation."""
    grid = np.arange(np.ceil(t[0]), t[-1])
    after = np.searchsorted(t, grid)
    grid = grid[t[after] - t[np.maximum(after - 1, 0)] <= HELD_S]
    phase = 2 * np.pi * BREATH_HZ * np.arange(len(grid)) + 3 * wander(rng, len(grid), BREATH_PHASE_S)
    amplitude = np.sqrt(2) * BREATH_BPM * np.exp(0.3 * wander(rng, len(grid), BREATH_SIZE_S))
    return grid, np.interp(grid, t, x) + amplitude * np.sin(phase) + rng.normal(0, BEAT_BPM, len(grid))


def cyclic(t, x, rng):
    """Bouts of heart rate swings over half the night, as with apnoea: sudden rise, slow fall."""
    n = max(int(t[-1]), 0) + 2
    swings = np.concatenate([*_bouts(rng, n)])[:n]
    return t, x + np.interp(t, np.arange(n), swings)


def _bouts(rng: Generator, n: int) -> Iterator[np.ndarray]:
    """Yield bouts of swings in bpm at 1 Hz and the pauses between them, for at least n seconds."""
    total = 0
    while total < n:
        in_bout = rng.random() < CYCLE_SHARE
        seconds = int(rng.uniform(*CYCLE_BOUT_S))
        period = rng.uniform(*CYCLE_S) * np.exp(0.2 * wander(rng, seconds, 120))
        yield in_bout * rng.uniform(*CYCLE_BPM) * _sawtooth(np.cumsum(1 / period))
        total += seconds


def _sawtooth(phase: np.ndarray) -> np.ndarray:
    """From -1/2 to 1/2: rises over CYCLE_RISE of each turn and falls in the rest, as cosines. phase: in turns."""
    part = phase % 1
    rise = -np.cos(np.pi * part / CYCLE_RISE)
    fall = np.cos(np.pi * (part - CYCLE_RISE) / (1 - CYCLE_RISE))
    return np.where(part < CYCLE_RISE, rise, fall) / 2


def without(recording: Recording, rng: Generator, sensors: Collection[str]) -> Recording:
    """The recording without some sensors."""
    return replace(recording, samples={name: x for name, x in recording.samples.items() if name not in sensors})


def counted(recording: Recording, rng: Generator) -> Recording:
    """The recording with activity counts instead of raw motion, computed from it if there are none."""
    rest = without(recording, rng, ("motion",))
    if "motion" not in recording.samples or "activity" in recording.samples:
        return rest if "motion" in recording.samples else recording
    t, xyz = recording.samples["motion"]
    counter = ActivityCounter(np.floor(t[0] / COUNT_S) * COUNT_S)
    bins = [counter.feed(t, xyz[:, 2]), counter.advance((np.floor(t[-1] / COUNT_S) + 1) * COUNT_S)]
    ends, counts = np.concatenate(bins, axis=1)
    return _with_samples(rest, {"activity": (ends, counts)})


def motion_sampled(recording: Recording, rng: Generator, hz: float) -> Recording:
    """Raw motion with at most `hz` samples per second: the first of each slot."""
    if "motion" not in recording.samples:
        return recording
    t, xyz = recording.samples["motion"]
    return _with_samples(recording, {"motion": sampled_every(t, xyz, rng, 1 / hz)})


def turned(recording: Recording, rng: Generator) -> Recording:
    """Raw motion under a uniformly random rotation of the watch."""
    if "motion" not in recording.samples:
        return recording
    t, xyz = recording.samples["motion"]
    return _with_samples(recording, {"motion": (t, xyz @ Rotation.random(rng=rng).as_matrix().T)})


def late(recording: Recording, rng: Generator, seconds: float) -> Recording:
    """No samples in the first `seconds`."""
    return _where(recording, lambda t: t >= seconds)


def off_the_wrist(recording: Recording, rng: Generator, seconds: float) -> Recording:
    """No samples for `seconds`, at a random time of the night."""
    last = max((t[-1] for t, _ in recording.samples.values()), default=0)
    begin = rng.uniform(0, max(last - seconds, 0))
    return _where(recording, lambda t: (t < begin) | (t >= begin + seconds))


def _where(recording: Recording, present: Callable[[np.ndarray], np.ndarray]) -> Recording:
    """The recording with only the samples for whose times t [n] `present` returns True [n]."""
    return _with_samples(
        recording, {name: (t[present(t)], x[present(t)]) for name, (t, x) in recording.samples.items()}
    )


def in_turn(*changes: Change) -> Change:
    """Several changes, one after another."""

    def change(recording: Recording, rng: Generator) -> Recording:
        for step in changes:
            recording = step(recording, rng)
        return recording

    return change


AS_RECORDED = "as recorded"
COUNTS_ONLY = "counts only"
NO_HEART_RATE, NO_MOVEMENT = partial(without, sensors=("heart_rate",)), partial(without, sensors=MOVEMENT)
SAMPLED_S = (15, 60, 300)  # s between samples of heart rate
STRESSES: dict[str, Stress] = {
    AS_RECORDED: Stress(AS_RECORDED, None, "", in_turn()),
    **{f"noise {n} bpm": Stress("white noise", n, "bpm", heart_rate(white_noise, bpm=n)) for n in (1, 2, 3, 5)},
    **{
        f"correlated noise {n} bpm": Stress("correlated noise", n, "bpm", heart_rate(correlated_noise, bpm=n))
        for n in (2, 3, 5)
    },
    **{f"every {n} s": Stress("time between samples", n, "s", heart_rate(sampled_every, seconds=n)) for n in SAMPLED_S},
    **{f"smoothed {n} s": Stress("moving average", n, "s", heart_rate(smoothed, seconds=n)) for n in (30, 60)},
    **{f"rounded to {n} bpm": Stress("rounded", n, "bpm", heart_rate(rounded, bpm=n)) for n in (2, 5)},
    **{
        f"{n}% in holes": Stress("heart rate lost", n, "% of the night", heart_rate(with_holes, share=n / 100))
        for n in (10, 30, 50)
    },
    **{f"{n:+d} bpm": Stress("heart rate shifted", n, "bpm", heart_rate(shifted, bpm=n)) for n in (-10, 10)},
    **{
        f"swings x{n}": Stress("swings of heart rate", n, "times", heart_rate(scaled_swings, times=n))
        for n in (0.7, 1.3)
    },
    "no heart rate": Stress("no heart rate", None, "", NO_HEART_RATE),
    "no movement": Stress("no movement", None, "", NO_MOVEMENT),
    **{
        f"every {n} s, no movement": Stress(
            "time between samples, no movement", n, "s", in_turn(heart_rate(sampled_every, seconds=n), NO_MOVEMENT)
        )
        for n in SAMPLED_S
    },
    COUNTS_ONLY: Stress(COUNTS_ONLY, None, "", counted),
    **{
        f"every {n} s, {COUNTS_ONLY}": Stress(
            f"time between samples, {COUNTS_ONLY}", n, "s", in_turn(heart_rate(sampled_every, seconds=n), counted)
        )
        for n in SAMPLED_S
    },
    **{f"motion at {n} Hz": Stress("samples of motion", n, "Hz", partial(motion_sampled, hz=n)) for n in (10, 25)},
    "turned wrist": Stress("turned wrist", None, "", turned),
    "1 h late": Stress("late start", None, "", partial(late, seconds=HOUR_S)),
    "off the wrist for an hour": Stress("off the wrist", None, "", partial(off_the_wrist, seconds=HOUR_S)),
    "1-Hz ECG": Stress("ECG", None, "", heart_rate(beat_to_beat)),
    "1-Hz ECG, apnoea, no movement": Stress(
        "ECG with apnoea", None, "", in_turn(heart_rate(cyclic), heart_rate(beat_to_beat), NO_MOVEMENT)
    ),
}
OF_RAW_MOTION = tuple(  # stresses without effect on recordings without raw motion
    name for name in STRESSES if name.endswith(COUNTS_ONLY) or name.startswith("motion") or name == "turned wrist"
)
CADENCE_S = {"every 5 s": 5, "every 15 s": 15, "every 60 s": 60, "every 5 min": 300}  # heart rate, s between samples
CADENCE: dict[tuple[str, str], str] = {  # (heart rate, movement) -> name of the stress; as recorded: every 5 s
    (heart, movement): name
    for heart, names in {
        "every 5 s": (AS_RECORDED, COUNTS_ONLY, "no movement"),
        "every 15 s": ("every 15 s", f"every 15 s, {COUNTS_ONLY}", "every 15 s, no movement"),
        "every 60 s": ("every 60 s", f"every 60 s, {COUNTS_ONLY}", "every 60 s, no movement"),
        "every 5 min": ("every 300 s", f"every 300 s, {COUNTS_ONLY}", "every 300 s, no movement"),
    }.items()
    for movement, name in zip(("motion", COUNTS_ONLY, "none"), names, strict=True)
}
CADENCE_OF_COUNTS = {  # for nights without raw motion, whose movement is activity counts already
    (heart, COUNTS_ONLY if movement == "motion" else movement): name
    for (heart, movement), name in CADENCE.items()
    if movement != COUNTS_ONLY
}


def degraded(recording: Recording, name: str, seed: int = 0) -> Recording:
    """Degrade a recording.

    Args:
        recording: The recording, which is not modified; sensors that the stress does not affect share its arrays.
        name: One of STRESSES.
        seed: Seed of the random numbers, together with the subject and the kind of stress.

    Returns:
        The degraded recording; unchanged if the stress affects a sensor that it lacks.
    """
    stress = STRESSES[name]
    rng = np.random.default_rng([seed, crc32(recording.subject.encode()), crc32(stress.kind.encode())])
    return stress.function(recording, rng)
