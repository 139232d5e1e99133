"""Reads the stages that a device itself predicted: for comparison with ours, never as labels."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import UserMistake
from pipeline.files import reading

FOLDER = "device_stages"
COLUMNS = ["start", "end", "stage", "said"]
NAMES = ("Wake", "Light", "Deep", "REM", "Sleep")  # Sleep: the device does not tell the stage


def read_device_stages(folder: Path, subject: str, times: ArrayLike, seconds: float) -> np.ndarray | None:
    """The device's stage in the middle of each window's stride.

    Args:
        folder: Folder of the data set.
        subject: Id of the night.
        times: Starts of the strides, s from the start of the night, [windows].
        seconds: Length of a stride, s.

    Returns:
        Names of NAMES, "" if the device gave no stage, [windows]; None if the data set has no device stages of the
        night.

    Raises:
        UserMistake: The file is damaged; the message names the line.
    """
    path = Path(folder) / FOLDER / f"{subject}.csv"
    if not path.exists():
        return None
    middles = np.asarray(times, float) + seconds / 2
    stages = np.full(len(middles), "", dtype=f"<U{max(map(len, NAMES))}")
    with reading(path), open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        if next(rows, None) != COLUMNS:
            raise UserMistake(f"{path}: line 1: expected {','.join(COLUMNS)}")
        for line, row in enumerate(rows, 2):
            start, end, stage = _span(path, line, row)
            stages[(middles >= start) & (middles < end)] = stage
    return stages


def _span(path, line, row):
    try:
        start, end, stage = float(row[0]), float(row[1]), row[2]
    except (ValueError, IndexError):
        raise UserMistake(f"{path}: line {line}: expected {','.join(COLUMNS)}") from None
    if stage not in NAMES or not np.isfinite([start, end]).all():
        raise UserMistake(f"{path}: line {line}: expected times in s and one of {', '.join(NAMES)}")
    return start, end, stage
