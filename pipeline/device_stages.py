"""Reads what a device itself made of a night: beside ours to compare with, never as truth."""

import csv
from pathlib import Path

import numpy as np

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.files import reading

FOLDER = "device_stages"
COLUMNS = ["start", "end", "stage", "said"]


def read_device_stages(folder: Path, subject: str, epochs: int) -> list[str] | None:
    """The device's stage in the middle of each epoch of a night.

    Args:
        folder: Of the data set.
        subject: Id of the night.
        epochs: How many, of EPOCH_S, from t=0 on.

    Returns:
        [epochs] of "Wake", "Light", "Deep", "REM", "Sleep" (where the device does not say which), or "" where it says
        nothing; None where the data set has none of the night.

    Raises:
        UserMistake: The file is damaged.
    """
    path = Path(folder) / FOLDER / f"{subject}.csv"
    if not path.exists():
        return None
    stages = [""] * epochs
    with reading(path), open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        if next(rows, None) != COLUMNS:
            raise UserMistake(f"{path}: line 1: expected {','.join(COLUMNS)}")
        for start, end, stage, _ in rows:
            first, last = (int(np.ceil(float(t) / EPOCH_S - 1 / 2)) for t in (start, end))
            for epoch in range(max(first, 0), min(last, epochs)):
                stages[epoch] = stage
    return stages
