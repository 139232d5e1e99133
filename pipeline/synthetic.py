"""Simulated nights in the layout of sleep-accel, for trying things out: no claim of accuracy may rest on them.

First a hypnogram is drawn (Markov chain after Metzner et al. 2021, Commun Biol 4:1385, tilted by the sleep cycle: N3
early, REM late), then what depends on it, on the subject and on chance. Rates and levels were set beside real nights.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy.signal import lfilter

from pipeline.options import EPOCH_S, STAGE_OF_CODE, STAGES, UserMistake
from pipeline.recordings import paths

MARK = "SYNTHETIC.txt"  # says that the nights are simulated, and lists the files that may be replaced
NOTICE = "The nights in this folder are SIMULATED, not recorded: for trying things out, never for a claim of accuracy."
BEFORE_S, AFTER_S = 1500, 60  # sensed before t=0 and after the last epoch
FIRST_ID = 1001
WORTH_A_CHILD = 1000  # subjects x hours x Hz: a second process takes seconds to start
FLAWS = ("", "repeats", "unsorted", "part of the motion", "impossible value", "cut last line", "", "")

# by stage: Wake, N1, N2, N3, REM. NEXT: chance in a thousand of each stage in the next epoch
NEXT = np.array(
    [[830, 145, 20, 0, 5], [60, 560, 360, 0, 20], [9, 22, 929, 23, 17], [8, 4, 26, 962, 0], [9, 16, 7, 0, 968]]
)
MOVES = np.array([0.03, 0.006, 0.0012, 0.0006, 0.0018])  # movements begun per second
EFFORT = np.array([5, 3.5, 3, 3, 2.2])  # size of a movement, in bins (5/128 g) of an activity count
LEVEL = np.array([1.5, 1, -1, -1.5, 2])  # bpm above the night's course
LIVELY = np.array([4, 3.5, 1.4, 0.6, 3.2])  # bpm, SD of what wanders within a minute
CODES = np.array([min(code for code, stage in STAGE_OF_CODE.items() if stage == i) for i in range(len(STAGES))])


def hypnogram(rng, epochs):
    """Stage of each epoch, [epochs], index into STAGES: sleep latency, then cycles of about 90 min."""
    onset = int(min(rng.gamma(4, 8), epochs / 4))
    starts = np.append(0, np.cumsum(rng.normal(180, 18, 12)))  # of cycles, in epochs since sleep onset
    since = np.maximum(np.arange(epochs) - onset, 0)
    cycle = np.searchsorted(starts, since, "right") - 1
    phase = (since - starts[cycle]) / np.diff(starts)[cycle]
    tilt = np.tile(rng.lognormal(0, 0.3, len(STAGES)), (epochs, 1))
    tilt[:, 3] *= np.where((phase > 0.06) & (phase < 0.65), 3.8 * 0.45**cycle, 0.1)
    tilt[:, 4] *= np.where(phase > 1 - np.minimum(0.2 + 0.09 * cycle, 0.45), 6, 0.05)
    stages, stage = np.zeros(epochs, int), 1
    for i, chance in enumerate(rng.random(epochs)):
        if i >= onset:
            weights = NEXT[stage] * tilt[i]
            weights[stage] = NEXT[stage, stage] * min(tilt[i, stage], 1)  # a tilt may shorten a stay, not prolong it
            stage = stages[i] = np.searchsorted(np.cumsum(weights), chance * weights.sum())
    return stages


def _wander(rng, n, tau):
    """n values of mean 0 and SD 1 that forget over tau seconds."""
    keep = np.exp(-1 / tau)
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.standard_normal(n))


def movements(rng, stage):
    """Effort in each second, in bins, of a body in these stages. Each movement lasts a few seconds."""
    restless = np.exp(0.9 * _wander(rng, len(stage), 600) + rng.normal(0, 0.3))
    begun = rng.random(len(stage)) < MOVES[stage] * restless
    return lfilter([1], [1, -0.6], begun * rng.lognormal(np.log(EFFORT[stage]), 0.7))


def heart_rate(rng, stage, effort, flaw):
    """[samples, 2] t, bpm as a watch reports them: mostly 5 s apart, now and then nothing for minutes."""
    n, own = len(stage), rng.lognormal(0, 0.3, 3)  # what differs between subjects
    hours = np.maximum(np.arange(n) - BEFORE_S, 0) / 3600
    bpm = rng.normal(62, 9) + rng.normal(5, 2) * np.exp(-hours / 1.5) + rng.normal(0, 0.3) * hours
    level = own[0] * (LEVEL + rng.normal(0, 1.5, len(STAGES)))
    level, lively = lfilter([1 / 90], [1, 1 / 90 - 1], np.stack([level[stage], LIVELY[stage]]))  # follows in minutes
    bpm += level + own[1] * lively * (0.9 * _wander(rng, n, 60) + 0.4 * _wander(rng, n, 6)) + 2.5 * _wander(rng, n, 900)
    bpm += own[2] * np.minimum(lfilter([0.5], [1, -0.93], effort), 35)
    at = np.cumsum(rng.choice([5, 5, 5, 5, 5, 4, 6, 1, 9], n // 5))
    for start in rng.uniform(0.1, 0.9, int(rng.uniform(0, 0.6) * n / 3600)) * n:
        at = at[(at < start) | (at > start + rng.uniform(70, 300))]
    at = at[at < n]
    t = at - BEFORE_S + rng.random() + rng.normal(0, 1e-5, len(at))
    t = np.append(np.sort(rng.uniform(-5 * 86400, -7200, 60)), t)  # some samples are of days before
    rows = np.stack([t, np.append(rng.normal(bpm.mean() + 12, 10, 60), bpm[at])], 1)
    middle = len(rows) // 2
    if flaw == "repeats":
        rows = np.repeat(rows, 1 + (rng.random(len(rows)) < 0.05), axis=0)
    elif flaw == "unsorted":
        rows[middle : middle + 40] = rows[middle : middle + 40][::-1].copy()
    elif flaw == "impossible value":
        rows[middle, 1] = 255
    return rows


def acceleration(rng, effort, hz):
    """t [samples] s and x, y, z [3, samples] g: gravity, breathing, sensor noise, movement."""
    seconds = np.arange(len(effort)) - BEFORE_S
    first, rate = -int(BEFORE_S ** rng.random()), 1.002 * hz
    clock = first + np.arange(int((seconds[-1] - first) * rate)) / rate
    begun = np.diff(effort, prepend=0) > 0.5
    large, small = np.cumsum(begun & (effort > 9)), np.cumsum(begun)  # a new posture, a slight tilt
    down = rng.standard_normal((large[-1] + 1, 3))[large] + 0.06 * rng.standard_normal((small[-1] + 1, 3))[small]
    down = lfilter([0.5], [1, -0.5], down / np.linalg.norm(down, axis=1, keepdims=True), axis=0)
    breath = 2e-3 * np.sin(np.cumsum(rng.standard_normal(len(clock), np.float32) * 2 + 1.6) / hz)
    # noise falling as 1/f above 1.1 Hz, whose 3-11 Hz band peaks at about one bin per second where the effort is 1
    envelope, pole = np.interp(clock, seconds, 0.03 * effort), np.exp(-2 * np.pi * 1.1 / hz)
    xyz = np.empty((3, len(clock)))
    for axis, size in enumerate(rng.uniform([0.5, 0.9, 1], [0.9, 1.5, 1])):
        noise = rng.standard_normal((2, len(clock)), np.float32)
        xyz[axis] = np.interp(clock, seconds, down[:, axis]) + breath + 1.4e-3 * noise[0]
        xyz[axis] += size * envelope * lfilter([1], [1, -pole], noise[1])
    keep = np.full(len(clock), True)
    for start in rng.uniform(0, seconds[-1], rng.integers(0, 3)):
        keep &= (clock < start) | (clock > start + rng.uniform(2, 60))
    late = np.minimum(rng.lognormal(-8.5, 1, len(clock)), 0.8 / hz)  # mostly 0.2 ms, and never out of order
    return (clock + late)[keep], xyz[:, keep]


def steps(rng, stage):
    """[bins, 2] t, steps: 10-minute bins of two days before and of the night, t=0 being 22:30."""
    t = np.arange(rng.integers(600) - 2 * 86400, len(stage) - BEFORE_S - AFTER_S - 600, 600)
    hour = (22.5 + t / 3600) % 24
    day = (t < 0) & (hour > 7.5) & (hour < 22)
    awake = np.array([at >= 0 and (stage[at + BEFORE_S :][:600] == 0).mean() > 0.8 for at in t])
    walks = rng.random(len(t)) < 0.35 * day + 0.25 * awake
    return np.stack([t, walks * rng.gamma(1.2, np.where(day, 250, 15))], 1)


THREE = np.array([b"%03d" % i for i in range(1000)])


def write_acceleration(path, t, xyz, chunk=100_000):
    """'t x y z' lines of six decimals: padded cells, less their padding, as savetxt takes six times as long."""
    with open(path, "wb") as file:
        for i in range(0, len(t), chunk):
            micro = np.rint(1e6 * np.stack([t[i : i + chunk], *xyz[:, i : i + chunk]], 1)).astype(np.int64)
            whole, part = np.divmod(np.abs(micro), 1_000_000)
            cells = np.empty((*micro.shape, 6), "S6")
            cells[..., 0], cells[..., 2] = np.where(micro < 0, b"-", b""), b"."
            cells[..., 1] = np.arange(whole.max() + 1).astype("S6")[whole]
            cells[..., 3], cells[..., 4], cells[..., 5] = THREE[part // 1000], THREE[part % 1000], list("   \n")
            file.write(cells.tobytes().translate(None, b"\0"))


def _write_night(folder, subject, hours, motion_hz, seed):
    """Writes the subject's files, the same bytes whoever else is made, and returns the subject."""
    rng, files = np.random.default_rng([seed, subject]), paths(folder, str(subject))
    flaw = FLAWS[(subject - FIRST_ID) % len(FLAWS)]  # by number, so that any eight subjects show them all
    epochs = hypnogram(rng, int(hours * 3600 / EPOCH_S))
    stage = np.concatenate([np.zeros(BEFORE_S, int), np.repeat(epochs, EPOCH_S), np.zeros(AFTER_S, int)])
    effort = movements(rng, stage)
    codes, number = CODES[epochs], np.arange(len(epochs))
    codes[(codes == 3) & (number % 50 < 10) & (subject % 5 == 0)] = 4
    codes[: rng.integers(0, len(codes) // 60 + 1)] = -1
    np.savetxt(files["labels"], np.stack([EPOCH_S * number, codes], 1), "%d %d")
    np.savetxt(files["heart_rate"], heart_rate(rng, stage, effort, flaw), "%.5f,%d")
    np.savetxt(files["steps"], steps(rng, stage), "%d,%d")
    if motion_hz:
        sensed = rng.integers(len(effort) // 2, len(effort)) if flaw == "part of the motion" else len(effort)
        write_acceleration(files["motion"], *acceleration(rng, effort[:sensed], motion_hz))
    if flaw == "cut last line":
        last = files["motion" if motion_hz else "heart_rate"]
        os.truncate(last, last.stat().st_size - 12)
    return str(subject)


def synthesize(folder, subjects=20, hours=8.0, motion_hz=50, seed=0, progress=None):
    """Writes simulated nights of subjects 1001, 1002, … to heart_rate/, motion/, steps/ and labels/ in the folder.

    hours: of the scored night. motion_hz: samples per second, nominal; 0 for no motion/. progress: called with each
    subject when written. The folder appears whole or not at all, in place of an earlier synthesis. Five subjects
    in eight have one of FLAWS in one file, like published ones; none makes a night useless.
    Raises UserMistake for values out of range, and where the folder holds anything else.
    """
    folder, says = Path(folder).resolve(), {"subjects": subjects, "hours": hours, "motion_hz": motion_hz, "seed": seed}
    for (name, value), (least, most) in zip(says.items(), ((1, 8999), (0.6, 16), (10, 100), (0, 2**32)), strict=True):
        if not (least <= value <= most or (name == "motion_hz" and value == 0)):
            raise UserMistake(f"--{name} {value}: must lie between {least} and {most}")
    try:
        mark = folder / MARK
        own = {MARK, *mark.read_text().splitlines()} if mark.is_file() else ()
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder] * folder.exists()):
            if not path.is_dir() and path.relative_to(folder).as_posix() not in own:
                raise UserMistake(f"{folder}: {path.name} in it is not simulated; choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}.", ignore_cleanup_errors=True
        ) as beside:
            new = Path(beside, "new")
            for kind in ("heart_rate", "steps", "labels", "motion")[: 4 if motion_hz else 3]:
                (new / kind).mkdir(parents=True)
            work = (delayed(_write_night)(new, FIRST_ID + i, hours, motion_hz, seed) for i in range(subjects))
            jobs = 2 if subjects * hours * motion_hz > WORTH_A_CHILD else 1
            for subject in Parallel(jobs, return_as="generator")(work):
                if progress:
                    progress(subject)
            names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*.txt"))
            (new / MARK).write_text("\n".join([NOTICE, json.dumps(says), *names, ""]))
            if folder.exists():
                os.replace(folder, Path(beside, "old"))
            os.replace(new, folder)
    except OSError as error:
        raise UserMistake(f"{folder}: cannot be written ({error.strerror or error})") from None
