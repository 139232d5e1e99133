"""Reads what a device itself made of a night: beside ours to compare with, never as truth."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import UserMistake
from pipeline.files import reading

FOLDER = "device_stages"
COLUMNS = ["start", "end", "stage", "said"]
NAMES = ("Wake", "Light", "Deep", "REM", "Sleep")  # Sleep: the device does not say which


def read_device_stages(folder: Path, subject: str, times: ArrayLike, seconds: float) -> np.ndarray | None:
    """The device's stage in the middle of each window's stride.

    Args:
        folder: Of the data set.
        subject: Id of the night.
        times: [windows] s from the start of the night, when each stride begins.
        seconds: Of a stride.

    Returns:
        [windows] of NAMES, or "" where the device says nothing; None where the data set has none of the night.

    Raises:
        UserMistake: The file is damaged; names the line.
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
