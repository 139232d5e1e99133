"""BIDSleep 1.0.1 (PhysioNet): `BidslabXX/<night>/` with `hr.csv`, `motion.csv` and `labels.mat`.

Assumptions:

1. `recStart` is the US Eastern wall-clock time at which the first epoch of both hypnograms begins.
2. The expert's epochs are LATE epochs late; those of Dreem, a headband, are not. Dreem's are device stages, not labels.
3. In the nights in MISPLACED, the expert's epochs are off by that many epochs; movement tells in which direction.
4. If times repeatedly run backwards, two streams are interleaved; the one with more samples is used.
"""

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from scipy.io import loadmat

from pipeline.constants import EPOCH_S, LEAD_S
from pipeline.errors import UserMistake
from pipeline.importers.nights import LocalTime
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, epochs_of, is_there, reading_file, stretches
from pipeline.importers.writing import ImportedNight, Samples
from pipeline.origin import Origin

ORIGIN = Origin(
    "bidsleep",
    "1.0.1",
    "Open Data Commons Attribution License v1.0 (ODC-By 1.0)",
    "A Multi-Night Instantaneous Heart Rate and Accelerometry Dataset with EEG Sleep Stage Labels (BIDSleep, version "
    "1.0.1). PhysioNet.",
)
ZONE = "America/New_York"
LATE = 3  # epochs
MISPLACED = {"42_1": 62, "68_2": 118}  # night: epochs
CODE_OF = np.array([0, 1, 2, 3, 5, -1])  # BIDSleep code -> sleep-accel code: W N1 N2 N3 R unknown
DREEM = {0: "Wake", 1: "Light", 2: "Light", 3: "Deep", 4: "REM"}
DREEM_NAMES = {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "R"}
BACKWARDS = 0.01  # share of steps back in time from which two interleaved streams are assumed


def one_stream(t: np.ndarray) -> np.ndarray:
    """Which samples to keep, [n] bool: all, or the larger of two interleaved streams with ascending times."""
    if (np.diff(t) < 0).mean() < BACKWARDS:
        return np.full(len(t), True)
    stream = np.zeros(len(t), int)
    last = [float(t[0]), -np.inf]  # each sample continues the stream that it follows most closely
    for i, at in enumerate(t.tolist()):
        gaps = [at - before if at >= before else np.inf for before in last]
        stream[i] = int(np.argmin(gaps)) if min(gaps) < np.inf else 1
        last[stream[i]] = at
    kept = stream == (2 * stream.sum() > len(t))
    kept[kept] = np.append(True, np.diff(np.maximum.accumulate(t[kept])) > 0)
    return kept


def shift_by_movement(wake: np.ndarray, movement: np.ndarray, epochs: int) -> int:
    """The shift of labels, `epochs` or -`epochs`, with which more movement falls into Wake.

    Args:
        wake: 1 in Wake, 0 in sleep, -1 if unscored, for each epoch, [n].
        movement: Movement of each epoch in any unit, NaN if missing, [m].
        epochs: Size of the shift.
    """

    def excess(shift):
        at = np.arange(len(wake)) + shift
        inside = (at >= 0) & (at < len(movement))
        moved, state = np.log(movement[at[inside]] + 1e-6), wake[inside]
        means = [np.nanmean(moved[state == s]) if np.isfinite(moved[state == s]).any() else np.nan for s in (1, 0)]
        return np.nan_to_num(means[0] - means[1], nan=-np.inf)

    return max((epochs, -epochs), key=excess)


def _samples(folder, start, name, request):
    """Samples of a night; t=0 is its start."""
    samples: Samples = {}
    columns = {"hr.csv": ("heart_rate", ["t", "bpm"], None), "motion.csv": ("motion", ["Timestamp", "x", "y", "z"], 0)}
    for file, (sensor, names, header) in columns.items():
        path = folder / file
        if not is_there(path):
            continue
        with reading_file(path):
            rows = pd.read_csv(path, header=header, names=None if header == 0 else names).to_numpy(float)
        if rows.shape[1] != len(names):
            raise UserMistake(f"{path}: {rows.shape[1]} columns; expected {', '.join(names)}")
        whole = np.isfinite(rows).all(1)
        if not whole.all():
            request.leave_out("lines without a number", f"{name}: {(~whole).sum()} of {len(rows)} of {file}")
        rows = rows[whole]
        kept = one_stream(rows[:, 0])
        if not kept.all():
            request.leave_out("samples of a second, interleaved stream", f"{name}: {(~kept).sum()} of {file}")
        rows = rows[kept & (rows[:, 0] >= start - LEAD_S)]
        samples[sensor] = rows[:, 0] - start, rows[:, 1] if sensor == "heart_rate" else rows[:, 1:]
    return samples


def movement_by_epoch(t: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """SD of the magnitude of acceleration in each epoch from t=0 on; NaN if there is no sample."""
    inside = t >= 0
    epoch, size = (t[inside] // EPOCH_S).astype(int), np.sqrt((xyz[inside] ** 2).sum(1))
    n = np.bincount(epoch)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(epoch, size) / n
        return np.sqrt(np.maximum(np.bincount(epoch, size**2) / n - mean**2, 0))


def _night(folder: Path, request: ImportRequest) -> ImportedNight:
    wearer = folder.parent.name.removeprefix("Bidslab")
    name = f"{wearer}_{folder.name}"
    if not is_there(folder / "labels.mat"):
        raise UserMistake(f"{folder / 'labels.mat'}: missing; expected the start of the night and its stages")
    with reading_file(folder / "labels.mat"):
        found = loadmat(folder / "labels.mat", variable_names=["recStart", "dreem_label", "expert_label"])
    try:
        text = str(np.ravel(found["recStart"])[0])
        start = LocalTime(ZoneInfo(ZONE)).unix(
            pd.to_datetime(text, format="mixed").to_pydatetime().replace(tzinfo=None)
        )
    except (KeyError, IndexError, ValueError) as error:
        raise UserMistake(f"{folder / 'labels.mat'}: recStart: {error}; expected a date and time") from None
    samples = _samples(folder, start, name, request)
    expert, dreem = (np.ravel(found.get(key, ())).astype(int) for key in ("expert_label", "dreem_label"))
    if len(expert) and len(dreem) and len(expert) != len(dreem):
        request.note(f"{name}: {len(expert)} epochs by the expert, {len(dreem)} by Dreem: both start with the night")
    labels = None
    if len(expert):
        codes = CODE_OF[np.where((expert >= 0) & (expert < len(CODE_OF)), expert, -1)]
        shift = _shift(name, codes, samples, request)
        labels = epochs_of(codes, shift) if shift is not None else None
    else:
        request.leave_out("labels of nights that no expert scored", name)
    return ImportedNight(name, samples, labels, stretches(dreem, DREEM, DREEM_NAMES), wearer)


def _shift(name, codes, samples, request):
    """Epochs to move the expert's labels by; None if that cannot be determined."""
    if name not in MISPLACED:
        return -LATE
    if "motion" not in samples:
        request.leave_out("misplaced labels of nights without motion to align them by", name)
        return None
    wake = np.where(codes < 0, -1, codes == 0).astype(int)
    shift = shift_by_movement(wake, movement_by_epoch(*samples["motion"]), MISPLACED[name])
    request.note(f"{name}: the expert's labels are misplaced; moved by {shift:+d} epochs to match movement")
    return shift


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in a folder."""
    request.zone_text = ZONE
    request.note(f"the expert's labels are moved {LATE} epochs earlier, as they are about {LATE * EPOCH_S} s late")
    files = ("labels.mat", "hr.csv", "motion.csv")  # without the first, a night cannot be read, but is named
    found = sorted({path.parent for name in files for path in request.path.glob(f"**/{name}")})
    return NightFiles(found, _night, "BidslabXX/<night>/labels.mat")
