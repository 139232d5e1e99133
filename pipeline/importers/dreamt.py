"""DREAMT (PhysioNet, restricted): `data_64Hz/<id>_whole_df.csv`, with Empatica E4 data and the stage on each line.

Assumptions:

1. TIMESTAMP is in s from the start of the wristband; the night starts when the stage is no longer `P` (preparation).
2. ACC_X, ACC_Y, ACC_Z are in 1/64 g, sampled at 32 Hz and written twice; HR has one value a second, written 64 times.
3. An epoch's stage is that of its middle; `Missing`, `P` and anything else are unscored.

The terms of the set forbid redistribution, also of the converted nights.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.constants import EPOCH_S, LEAD_S, LONGEST_NIGHT_S
from pipeline.errors import UserMistake
from pipeline.importers.motion import unit_of_motion, why_not
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, epochs_of, reading_file
from pipeline.importers.writing import ImportedNight, Samples
from pipeline.origin import Origin

ORIGIN = Origin(
    "dreamt",
    "",
    "PhysioNet Restricted Health Data License 1.5.0; not to be passed on",
    "Wang K, Yang J, Shetty A, Dunn J. DREAMT: Dataset for Real-time sleep stage EstimAtion using Multisensor wearable "
    "Technology. PhysioNet. doi:10.13026/62an-cb28.",
)
COLUMNS = ["TIMESTAMP", "ACC_X", "ACC_Y", "ACC_Z", "HR", "Sleep_Stage"]
CODES = {"W": 0, "N1": 1, "N2": 2, "N3": 3, "R": 5}
PREPARATION = "P"


def _night(path: Path, request: ImportRequest) -> ImportedNight:
    name = path.name.split("_")[0]
    with reading_file(path):
        kinds = dict.fromkeys(COLUMNS, "float64") | {"Sleep_Stage": "category"}
        table = pd.read_csv(path, usecols=COLUMNS, dtype=kinds, on_bad_lines="skip")
    if odd := int((~np.isfinite(table.TIMESTAMP)).sum()):
        request.leave_out("lines without a time", f"{name}: {odd}")
        table = table[np.isfinite(table.TIMESTAMP)]
    if (np.diff(table.TIMESTAMP) < 0).any():
        request.note(f"{name}: lines were not in the order of time; sorted")
        table = table.sort_values("TIMESTAMP", kind="stable")
    t, stage = table.TIMESTAMP.to_numpy(), table.Sleep_Stage.astype(str).to_numpy()
    staged = np.flatnonzero(stage != PREPARATION)
    if not len(staged):
        raise UserMistake(f"{path}: Sleep_Stage: only preparation, no stage")
    t = t - t[staged[0]]
    near = t >= -LEAD_S
    xyz = table[["ACC_X", "ACC_Y", "ACC_Z"]].to_numpy()
    fresh = near & (np.arange(len(t)) % 2 == 0)  # one of the two lines of each sample
    samples: Samples = {}
    if (unit := unit_of_motion(xyz)) is None:
        request.leave_out("acceleration in an unknown unit", f"{name}: {why_not(xyz)}")
    else:
        samples["motion"] = t[fresh], xyz[fresh] / unit[1]
    heart = near & np.append(True, np.diff(np.floor(t)) > 0) & table.HR.notna().to_numpy()
    samples["heart_rate"] = t[heart], table.HR.to_numpy()[heart]
    middles = np.arange(EPOCH_S / 2, min(t[-1], LONGEST_NIGHT_S), EPOCH_S)
    at = np.minimum(np.searchsorted(t, middles), len(t) - 1)
    codes = np.array([CODES.get(s, -1) for s in stage[at]], int)
    codes[np.abs(t[at] - middles) >= EPOCH_S / 2] = -1  # a gap: the line tells of another epoch
    return ImportedNight(name, samples, epochs_of(codes))


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in a folder."""
    request.zone_text = "not stated"
    request.note("the terms of DREAMT forbid redistribution, also of the converted nights")
    found = sorted(request.path.glob("**/*_whole_df.csv"))
    return NightFiles(found, _night, "data_64Hz/<id>_whole_df.csv")
