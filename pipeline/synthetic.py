"""Simulated nights in the layout of sleep-accel, for trying things out, never for claims about accuracy.

First a hypnogram is drawn (Markov chain after Metzner et al. 2021, Commun Biol 4:1385, modulated by the sleep cycle: N3
early, REM late), then sensor data that depend on it, on the subject and on chance. Rates and levels match real nights.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from pipeline.activity import COUNT_FREE, COUNT_UNIT
from pipeline.constants import COUNT_S, EPOCH_S, STAGE_OF_CODE, STAGES
from pipeline.errors import UserMistake
from pipeline.files import SHOWN
from pipeline.origin import MARK as ORIGIN_MARK
from pipeline.origin import SYNTHETIC, write_origin
from pipeline.recordings import paths
from pipeline.scratch import scratch_folder, sweep
from pipeline.workers import in_parallel

MARK = "SYNTHETIC.txt"  # a notice for readers, and the list of files that a later synthesis may replace
NOTICE = "The nights in this folder are SIMULATED, not recorded: for trying things out, never to claim accuracy."
BEFORE_S = 1500  # s of samples before t=0
AFTER_S = 60  # s of samples after the last epoch
FIRST_ID = 1001
WORTH_A_CHILD = 1000  # subjects x hours x Hz; for more, another process is worth the seconds it takes to start
RANGES = {"subjects": (1, 8999), "hours": (0.6, 16), "motion_hz": (10, 100), "seed": (0, 2**32)}
FLAWS = ("", "repeats", "unsorted", "part of the motion", "impossible value", "cut last line", "", "")

# by stage: Wake, N1, N2, N3, REM
NEXT = np.array(  # chance in a thousand of a stage (column) in the next epoch, by the stage of this one (row)
    [[830, 145, 20, 0, 5], [60, 560, 360, 0, 20], [9, 22, 929, 23, 17], [8, 4, 26, 962, 0], [9, 16, 7, 0, 968]]
)
MOVES = np.array([0.03, 0.006, 0.0012, 0.0006, 0.0018])  # onsets of movements per second
EFFORT = np.array([5, 3.5, 3, 3, 2.2])  # size of a movement, in bins (5/128 g) of an activity count
LEVEL = np.array([1.5, 1, -1, -1.5, 2])  # bpm above the night's trend
VARIABILITY = np.array([4, 3.5, 1.4, 0.6, 3.2])  # bpm, SD within a minute
CODES = np.array([min(code for code, stage in STAGE_OF_CODE.items() if stage == i) for i in range(len(STAGES))])


def hypnogram(rng: np.random.Generator, epochs: int) -> np.ndarray:
    """Draw a night's stages: sleep latency, then cycles of about 90 min.

    Args:
        rng: Random generator.
        epochs: Number of 30-s epochs.

    Returns:
        Indices into STAGES, [epochs] int.
    """
    onset = int(min(rng.gamma(4, 8), epochs / 4))
    starts = np.append(0, np.cumsum(rng.normal(180, 18, 12)))  # starts of cycles, in epochs since sleep onset
    since = np.maximum(np.arange(epochs) - onset, 0)
    cycle = np.searchsorted(starts, since, "right") - 1
    phase = (since - starts[cycle]) / np.diff(starts)[cycle]
    tilt = np.tile(rng.lognormal(0, 0.3, len(STAGES)), (epochs, 1))
    tilt[:, 3] *= np.where((phase > 0.06) & (phase < 0.65), 3.8 * 0.45**cycle, 0.1)
    tilt[:, 4] *= np.where(phase > 1 - np.minimum(0.2 + 0.09 * cycle, 0.45), 6, 0.05)
    stages = np.zeros(epochs, int)
    stage = 1
    for i, chance in enumerate(rng.random(epochs)):
        if i >= onset:
            weights = NEXT[stage] * tilt[i]
            weights[stage] = NEXT[stage, stage] * min(tilt[i, stage], 1)  # a tilt may only shorten a stay
            stage = stages[i] = np.searchsorted(np.cumsum(weights), chance * weights.sum())
    return stages


def _wander(rng, n, tau):
    """A random process of n seconds, of mean 0 and SD 1, with a time constant of tau seconds."""
    memory = np.exp(-1 / tau)
    return lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.standard_normal(n))


def movements(rng: np.random.Generator, stage: np.ndarray) -> np.ndarray:
    """Draw a sleeper's movements, each a few seconds long.

    Args:
        rng: Random generator.
        stage: Index into STAGES for each second, [n].

    Returns:
        Effort in each second, in bins of an activity count, [n].
    """
    restlessness = np.exp(0.9 * _wander(rng, len(stage), 600) + rng.normal(0, 0.3))
    onset = rng.random(len(stage)) < MOVES[stage] * restlessness
    return lfilter([1], [1, -0.6], onset * rng.lognormal(np.log(EFFORT[stage]), 0.7))


def heart_rate(rng: np.random.Generator, stage: np.ndarray, effort: np.ndarray, flaw: str) -> np.ndarray:
    """Draw heart rate as a watch reports it: mostly every 5 s, with occasional gaps of minutes.

    Args:
        rng: Random generator.
        stage: Index into STAGES for each second from BEFORE_S before t=0, [n].
        effort: Effort of movements in each second, in bins, [n].
        flaw: One of FLAWS.

    Returns:
        Times in s and bpm, [samples, 2].
    """
    n = len(stage)
    stage_gain, variability_gain, effort_gain = rng.lognormal(0, 0.3, 3)  # differ between subjects
    hours = np.maximum(np.arange(n) - BEFORE_S, 0) / 3600
    bpm = rng.normal(62, 9) + rng.normal(5, 2) * np.exp(-hours / 1.5) + rng.normal(0, 0.3) * hours
    level = stage_gain * (LEVEL + rng.normal(0, 1.5, len(STAGES)))
    by_second = np.stack([level[stage], VARIABILITY[stage]])
    level, variability = lfilter([1 / 90], [1, 1 / 90 - 1], by_second)  # follow the stage within minutes
    bpm += (
        level
        + variability_gain * variability * (0.9 * _wander(rng, n, 60) + 0.4 * _wander(rng, n, 6))
        + 2.5 * _wander(rng, n, 900)
    )
    bpm += effort_gain * np.minimum(lfilter([0.5], [1, -0.93], effort), 35)
    at = np.cumsum(rng.choice([5, 5, 5, 5, 5, 4, 6, 1, 9], n // 5))
    for start in rng.uniform(0.1, 0.9, int(rng.uniform(0, 0.6) * n / 3600)) * n:
        at = at[(at < start) | (at > start + rng.uniform(70, 300))]
    at = at[at < n]
    t = at - BEFORE_S + rng.random() + rng.normal(0, 1e-5, len(at))
    t = np.append(np.sort(rng.uniform(-5 * 86400, -7200, 60)), t)  # with some samples of the days before
    rows = np.stack([t, np.append(rng.normal(bpm.mean() + 12, 10, 60), bpm[at])], 1)
    middle = len(rows) // 2
    if flaw == "repeats":
        rows = np.repeat(rows, 1 + (rng.random(len(rows)) < 0.05), axis=0)
    elif flaw == "unsorted":
        rows[middle : middle + 40] = rows[middle : middle + 40][::-1].copy()
    elif flaw == "impossible value":
        rows[middle, 1] = 255
    return rows


def acceleration(rng: np.random.Generator, effort: np.ndarray, hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw acceleration at the wrist: gravity, breathing, sensor noise and movement.

    Args:
        rng: Random generator.
        effort: Effort of movements, in bins, for each second from BEFORE_S before t=0, [n].
        hz: Nominal sampling rate.

    Returns:
        (t in s, [samples]; x, y, z in g, [3, samples]).
    """
    seconds = np.arange(len(effort)) - BEFORE_S
    first = -int(BEFORE_S ** rng.random())
    rate = 1.002 * hz
    clock = first + np.arange(int((seconds[-1] - first) * rate)) / rate
    onset = np.diff(effort, prepend=0) > 0.5
    large, small = np.cumsum(onset & (effort > 9)), np.cumsum(onset)  # new postures, slight tilts
    down = rng.standard_normal((large[-1] + 1, 3))[large] + 0.06 * rng.standard_normal((small[-1] + 1, 3))[small]
    down = lfilter([0.5], [1, -0.5], down / np.linalg.norm(down, axis=1, keepdims=True), axis=0)
    breath = 2e-3 * np.sin(np.cumsum(rng.standard_normal(len(clock), np.float32) * 2 + 1.6) / hz)
    # noise that falls as 1/f above 1.1 Hz; its 3-11 Hz band peaks at about one bin per second at an effort of 1
    envelope = np.interp(clock, seconds, 0.03 * effort)
    pole = np.exp(-2 * np.pi * 1.1 / hz)
    xyz = np.empty((3, len(clock)))
    for axis, size in enumerate(rng.uniform([0.5, 0.9, 1], [0.9, 1.5, 1])):
        noise = rng.standard_normal((2, len(clock)), np.float32)
        xyz[axis] = np.interp(clock, seconds, down[:, axis]) + breath + 1.4e-3 * noise[0]
        xyz[axis] += size * envelope * lfilter([1], [1, -pole], noise[1])
    keep = np.full(len(clock), True)
    for start in rng.uniform(0, seconds[-1], rng.integers(0, 3)):
        keep &= (clock < start) | (clock > start + rng.uniform(2, 60))
    late = np.minimum(rng.lognormal(-8.5, 1, len(clock)), 0.8 / hz)  # mostly 0.2 ms; never out of order
    return (clock + late)[keep], xyz[:, keep]


def activity_counts(effort: np.ndarray) -> np.ndarray:
    """Activity counts as from a watch that does not record raw motion.

    Args:
        effort: Effort of movements, in bins, for each second from BEFORE_S before t=0, [n].

    Returns:
        Start of each 15-s bin in s, and its count, [counts, 2].
    """
    bins = np.floor(effort[: len(effort) // COUNT_S * COUNT_S]).reshape(-1, COUNT_S).sum(1)
    return np.stack([COUNT_S * np.arange(len(bins)) - BEFORE_S, COUNT_UNIT * np.maximum(bins - COUNT_FREE, 0)], 1)


def steps(rng: np.random.Generator, stage: np.ndarray) -> np.ndarray:
    """Draw steps in 10-minute bins of the night and the two days before; t=0 is 22:30.

    Args:
        rng: Random generator.
        stage: Index into STAGES for each second from BEFORE_S before t=0, [n].

    Returns:
        Start of each bin in s, and its steps, [bins, 2].
    """
    t = np.arange(rng.integers(600) - 2 * 86400, len(stage) - BEFORE_S - AFTER_S - 600, 600)
    hour = (22.5 + t / 3600) % 24
    day = (t < 0) & (hour > 7.5) & (hour < 22)
    awake = np.array([at >= 0 and (stage[at + BEFORE_S :][:600] == 0).mean() > 0.8 for at in t])
    walks = rng.random(len(t)) < 0.35 * day + 0.25 * awake
    return np.stack([t, walks * rng.gamma(1.2, np.where(day, 250, 15))], 1)


THREE_DIGITS = np.array([b"%03d" % i for i in range(1000)])


def write_acceleration(path: Path, t: np.ndarray, xyz: np.ndarray, chunk: int = 100_000) -> None:
    """Write lines 't x y z' with six decimals, six times faster than savetxt: padded cells, less their padding.

    Args:
        path: The file.
        t: Times in s, [samples].
        xyz: Acceleration in g, [3, samples].
        chunk: Number of lines in memory at a time.
    """
    with open(path, "wb") as file:
        for i in range(0, len(t), chunk):
            micro = np.rint(1e6 * np.stack([t[i : i + chunk], *xyz[:, i : i + chunk]], 1)).astype(np.int64)
            whole, part = np.divmod(np.abs(micro), 1_000_000)
            cells = np.empty((*micro.shape, 6), "S6")
            cells[..., 0], cells[..., 2] = np.where(micro < 0, b"-", b""), b"."
            cells[..., 1] = np.arange(whole.max() + 1).astype("S6")[whole]
            cells[..., 3], cells[..., 4] = THREE_DIGITS[part // 1000], THREE_DIGITS[part % 1000]
            cells[..., 5] = list("   \n")
            file.write(cells.tobytes().translate(None, b"\0"))


def _write_night(folder, subject, hours, motion_hz, seed):
    """Write the files of a subject, with the same bytes whatever other subjects are simulated; returns the subject."""
    rng = np.random.default_rng([seed, subject])
    files = paths(folder, str(subject))
    flaw = FLAWS[(subject - FIRST_ID) % len(FLAWS)]  # by id, so that any eight consecutive subjects show them all
    epochs = hypnogram(rng, int(hours * 3600 / EPOCH_S))
    stage = np.concatenate([np.zeros(BEFORE_S, int), np.repeat(epochs, EPOCH_S), np.zeros(AFTER_S, int)])
    effort = movements(rng, stage)
    codes = CODES[epochs]
    number = np.arange(len(epochs))
    codes[(codes == 3) & (number % 50 < 10) & (subject % 5 == 0)] = 4
    codes[: rng.integers(0, len(codes) // 60 + 1)] = -1
    np.savetxt(files["labels"], np.stack([EPOCH_S * number, codes], 1), "%d %d")
    np.savetxt(files["heart_rate"], heart_rate(rng, stage, effort, flaw), "%.5f,%d")
    np.savetxt(files["steps"], steps(rng, stage), "%d,%d")
    if not motion_hz:
        np.savetxt(files["activity"], activity_counts(effort), "%d,%.2f")
    else:
        sensed = rng.integers(len(effort) // 2, len(effort)) if flaw == "part of the motion" else len(effort)
        write_acceleration(files["motion"], *acceleration(rng, effort[:sensed], motion_hz))
    if flaw == "cut last line":
        last = files["motion" if motion_hz else "heart_rate"]
        os.truncate(last, last.stat().st_size - 12)
    return str(subject)


def synthesize(
    folder: Path,
    subjects: int = 20,
    hours: float = 8.0,
    motion_hz: float = 50,
    seed: int = 0,
    progress: Callable[[str], object] = lambda subject: None,
) -> None:
    """Write simulated nights of subjects 1001, 1002, … to heart_rate/, motion/ or counts/, steps/ and labels/.

    The folder is written atomically, replaces an earlier synthesis, and has an origin.json. Five subjects in eight have
    one of FLAWS in one file, as published data do; none makes a night unusable.

    Args:
        folder: Folder to write to.
        subjects: Number of subjects.
        hours: Length of the scored night, h.
        motion_hz: Nominal sampling rate of acceleration, Hz; 0 for activity counts instead of motion.
        seed: The same seed gives the same bytes.
        progress: Called with the subject after each night.

    Raises:
        UserMistake: A value is out of range, or the folder holds anything other than an earlier synthesis.
    """
    folder = Path(folder).resolve()
    parameters = {"subjects": subjects, "hours": hours, "motion_hz": motion_hz, "seed": seed}
    for name, (least, most) in RANGES.items():
        value = parameters[name]
        if not (least <= value <= most or (name == "motion_hz" and value == 0)):
            raise UserMistake(f"--{name} {value}: must be between {least} and {most}")
    try:
        _check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name[:SHOWN]}.new."
        sweep(folder.parent, prefix)
        with scratch_folder(folder.parent, prefix) as scratch:
            new = Path(scratch, "new")
            for kind in ("heart_rate", "steps", "labels", "motion" if motion_hz else "counts"):
                (new / kind).mkdir(parents=True)
            work = ((new, FIRST_ID + i, hours, motion_hz, seed) for i in range(subjects))
            worth_a_child = subjects * hours * motion_hz > WORTH_A_CHILD
            for subject in in_parallel(_write_night, work, worth_a_child=worth_a_child):
                progress(subject)
            names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*.txt"))
            write_origin(new, SYNTHETIC)
            (new / MARK).write_text("\n".join([NOTICE, json.dumps(parameters), *names, ""]))
            if folder.exists():
                os.replace(folder, Path(scratch, "old"))
            os.replace(new, folder)
    except OSError as error:
        raise UserMistake(f"{folder}: cannot be written ({error.strerror or error})") from None


def _check_replaceable(folder):
    """Raise UserMistake if a folder holds anything other than an earlier synthesis, or is a file."""
    mark = folder / MARK
    replaceable = {MARK, ORIGIN_MARK, *mark.read_text().splitlines()} if mark.is_file() else set()
    for path in sorted(folder.rglob("*") if folder.is_dir() else [folder] * folder.exists()):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in replaceable:
            raise UserMistake(f"{folder}: holds {path.name}, which is not simulated; choose another folder")
