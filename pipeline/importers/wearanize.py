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

from pipeline.errors import UserMistake
from pipeline.importers.beats import heart_rate_of_intervals
from pipeline.importers.motion import unit_of_motion, why_not
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, is_there, reading_file
from pipeline.importers.writing import ImportedNight, Samples
from pipeline.origin import Origin

ORIGIN = Origin(
    "wearanize",
    "",
    "Creative Commons Attribution 4.0 International (CC BY 4.0)",
    "Sikder N, Verkaar L, Paltarzhytskaya A, et al. Wearanize+: a multimodal dataset for evaluating wearable "
    "technologies in sleep research.",
)
LEAST_UNIX = 1e9  # s, in 2001, before the E4 existed


def e4_samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read ACC.csv or HR.csv: (Unix s [n], values [n, columns]).

    Raises:
        UserMistake: The file is damaged or has another format.
    """
    with reading_file(path):
        rows = pd.read_csv(path, header=None).to_numpy(float)
    if len(rows) < 3 or not rows[0, 0] > LEAST_UNIX or not 0 < rows[1, 0] <= 1000:
        raise UserMistake(f"{path}: line 1: expected the start in Unix s, then the rate in Hz, then samples")
    return rows[0, 0] + np.arange(len(rows) - 2) / rows[1, 0], rows[2:]


def e4_intervals(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read IBI.csv: (ends of the intervals in Unix s, intervals between beats in s), [n] each.

    Raises:
        UserMistake: The file is damaged or has another format.
    """
    with reading_file(path):
        lines = path.read_text().splitlines()
        start = float(lines[0].split(",")[0])
        rows = np.array([line.split(",") for line in lines[1:] if line], float).reshape(-1, 2)
    return start + rows[:, 0], rows[:, 1]


def _night(folder: Path, request: ImportRequest) -> ImportedNight:
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.relative_to(request.path).as_posix()).strip("-") or "night-1"
    if not is_there(folder / "ACC.csv"):
        raise UserMistake(f"{folder / 'ACC.csv'}: missing; expected the acceleration of the night")
    t, xyz = e4_samples(folder / "ACC.csv")
    unit = unit_of_motion(xyz)
    samples: Samples = {}
    if unit is None:
        request.leave_out("acceleration in an unknown unit", f"{name}: {why_not(xyz)}")
    else:
        samples["motion"] = t - t[0], xyz / unit[1]
    if is_there(folder / "HR.csv"):
        at, bpm = e4_samples(folder / "HR.csv")
        samples["heart_rate"] = at - t[0], bpm[:, 0]
    elif is_there(folder / "IBI.csv"):
        at, bpm = heart_rate_of_intervals(*e4_intervals(folder / "IBI.csv"))
        samples["heart_rate"] = at - t[0], bpm
        request.note("heart rate from the intervals in IBI.csv if there is no HR.csv")
    return ImportedNight(name, samples)


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in a folder."""
    request.zone_text = request.zone.key if request.zone else "not stated"
    request.note("the scoring is not read: nights have no labels")
    files = ("ACC.csv", "HR.csv")  # without the first, a night cannot be read, but is named
    found = sorted({path.parent for name in files for path in request.path.glob(f"**/{name}")})
    return NightFiles(found, _night, "ACC.csv and HR.csv of an Empatica E4 per night")
