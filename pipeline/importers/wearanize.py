"""Wearanize+ (open access part): each night's Empatica E4 data, in the CSV files of the device's maker.

Assumptions:

1. `ACC.csv` and `HR.csv`: the first line is the start in Unix s, the second the rate in Hz, then one sample per line;
   acceleration is in 1/64 g.
2. `IBI.csv`: the first line is the start, then `s since the start,interval in s`; used if there is no `HR.csv`.
3. A folder with `ACC.csv` is a night; one with only `HR.csv` cannot be read. The scoring is not read, because its
   format could not be verified.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import UserMistake, plain_digits
from pipeline.importers.beats import heart_rate_of_intervals
from pipeline.importers.motion import unit_of_motion, why_not
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, is_there, reading_file, text_file
from pipeline.importers.writing import ImportedNight, Samples
from pipeline.origin import Origin

ORIGIN = Origin(
    "wearanize",
    "",
    "Creative Commons Attribution 4.0 International (CC BY 4.0)",
    "Sikder N, Verkaar L, Paltarzhytskaya A, et al. Wearanize+: a multimodal dataset for evaluating wearable "
    "technologies in sleep research.",
)
LEAST_UNIX, MOST_UNIX = 1e9, 1e10  # s: in 2001, before the E4 existed, and in 2286; not ms
SLOWEST, FASTEST = 0.1, {3: 100, 1: 5}  # Hz, by the number of columns; an E4 has 32 and 1


def rows_of(path: Path, columns: int) -> np.ndarray:
    """Read rows of numbers without a header, [n, columns]; NaN for an empty field.

    Raises:
        UserMistake: The file is damaged, or has another number of columns.
    """
    with reading_file(path):
        table = pd.read_csv(text_file(path), header=None, dtype=str, skip_blank_lines=False)
    if table.shape[1] != columns:
        raise UserMistake(f"{path}: {table.shape[1]} columns; expected {columns}")
    rows = table.apply(pd.to_numeric, errors="coerce")  # unlike float it takes neither 1_0 nor other scripts' digits
    if (wrong := (rows.isna() & table.notna()).any(axis=1)).any():
        raise UserMistake(f"{path}: line {wrong.idxmax() + 1}: expected numbers, separated by commas")
    return rows.to_numpy(float)


def e4_samples(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Read ACC.csv or HR.csv, with 3 columns or 1: (Unix s [n], values [n, columns]).

    Raises:
        UserMistake: The file is damaged or has another format.
    """
    rows = rows_of(path, columns)
    if len(rows) < 3 or not LEAST_UNIX < rows[0, 0] < MOST_UNIX or not SLOWEST <= rows[1, 0] <= FASTEST[columns]:
        raise UserMistake(f"{path}: line 1: expected the start in Unix s, then the rate in Hz, then samples")
    return rows[0, 0] + np.arange(len(rows) - 2) / rows[1, 0], rows[2:]


def e4_intervals(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read IBI.csv: (ends of the intervals in Unix s, intervals between beats in s), [n] each.

    Raises:
        UserMistake: The file is damaged or has another format.
    """
    with reading_file(path):
        lines = text_file(path).getvalue().decode().splitlines()
        numbers = [line.split(",") for line in lines if line]
        if not all(plain_digits(text) for row in numbers for text in row):
            raise ValueError("odd digits")
        start = float(numbers[0][0])
        if wrong := next((n for n, row in enumerate(numbers[1:], 2) if len(row) != 2), None):
            raise UserMistake(f"{path}: line {wrong}: expected s since the start and an interval")
        rows = np.array(numbers[1:], float).reshape(-1, 2)
    if not LEAST_UNIX < start < MOST_UNIX:
        raise UserMistake(f"{path}: line 1: expected the start in Unix s")
    return start + rows[:, 0], rows[:, 1]


def _night(folder: Path, request: ImportRequest) -> ImportedNight:
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.relative_to(request.path).as_posix()).strip("-") or "night-1"
    if not is_there(folder / "ACC.csv"):
        raise UserMistake(f"{folder / 'ACC.csv'}: missing; expected the acceleration of the night")
    t, xyz = e4_samples(folder / "ACC.csv", 3)
    unit = unit_of_motion(xyz)
    samples: Samples = {}
    if unit is None:
        request.leave_out("acceleration in an unknown unit", f"{name}: {why_not(xyz)}")
    else:
        samples["motion"] = t - t[0], xyz / unit[1]
    if is_there(folder / "HR.csv"):
        at, bpm = e4_samples(folder / "HR.csv", 1)
        samples["heart_rate"] = at - t[0], bpm[:, 0]
    elif is_there(folder / "IBI.csv"):
        at, bpm = heart_rate_of_intervals(*e4_intervals(folder / "IBI.csv"))
        samples["heart_rate"] = at - t[0], bpm
        request.note("heart rate from the intervals in IBI.csv if there is no HR.csv")
        if not len(at):
            request.leave_out("intervals of which none is possible", name)
    return ImportedNight(name, samples)


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in a folder."""
    request.zone_text = request.zone.key if request.zone else "not stated"
    request.note("the scoring is not read: nights have no labels")
    files = ("ACC.csv", "HR.csv")  # without the first, a night cannot be read, but is named
    found = sorted({path.parent for name in files for path in request.path.glob(f"**/{name}")})
    return NightFiles(found, _night, "ACC.csv and HR.csv of an Empatica E4 per night")
