"""The MIT-BIH Polysomnographic Database, slpdb 1.0.0 (PhysioNet): heart beats and stages, no wrist data.

Assumptions:

1. `.ecg` annotations are heart beats; `.st` annotations come every 30 s, and their text begins with the stage.
2. Records that differ only in the last letter (slp01a and slp01b; slp02a and slp02b) are of the same man.
"""

import re
from pathlib import Path

import numpy as np

from pipeline.constants import EPOCH_S, LONGEST_NIGHT_S
from pipeline.errors import UserMistake
from pipeline.importers.beats import heart_rate_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, is_there, reading_file
from pipeline.importers.writing import ImportedNight
from pipeline.origin import Origin

ORIGIN = Origin(
    "slpdb",
    "1.0.0",
    "Open Data Commons Attribution License v1.0 (ODC-By 1.0)",
    "Ichimaru Y, Moody GB. Development of the polysomnographic database on CD-ROM. Psychiatry Clin Neurosci "
    "1999;53:175-177. doi:10.13026/C23K5S.",
)
CODES = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 4, "R": 5}  # M, movement time, and anything else is unscored
BEATS = set("NLRBAaJSVrFejnE/fQ?")
HZ = 250  # the set's sampling rate, if no header states it


def _night(path: Path, request: ImportRequest) -> ImportedNight:
    import wfdb  # takes a second to import

    record = path.with_suffix("").as_posix()
    with reading_file(path):
        scored = wfdb.rdann(record, "st")
    if not is_there(Path(record + ".ecg")):
        raise UserMistake(f"{record}.ecg: missing; expected the heart beats of the record")
    with reading_file(Path(record + ".ecg")):
        ecg = wfdb.rdann(record, "ecg")
    hz = float(scored.fs or ecg.fs or HZ)
    if not len(scored.sample):
        raise UserMistake(f"{path}: no stage in it")
    start = scored.sample[0]
    is_beat = np.array([symbol in BEATS for symbol in ecg.symbol], bool)
    beats = (np.asarray(ecg.sample)[is_beat] - start) / hz
    epoch = np.rint((np.asarray(scored.sample) - start) / hz / EPOCH_S).astype(int)
    if (np.diff(epoch) < 0).any() or epoch[-1] * EPOCH_S > LONGEST_NIGHT_S:
        raise UserMistake(f"{path}: times of stages run backwards, or span more than a night")
    codes = np.full(epoch[-1] + 1, -1)
    codes[epoch] = [CODES.get(text.strip("\0 ")[:1], -1) for text in scored.aux_note]
    labels = np.arange(len(codes)) * EPOCH_S, codes
    wearer = re.sub(r"(?<=\d)[a-z]$", "", path.stem)
    return ImportedNight(path.stem, {"heart_rate": heart_rate_of(beats)}, labels, wearer=wearer)


def nights(request: ImportRequest) -> NightFiles:
    """Find the records of the set in a folder."""
    request.zone_text = "not stated"
    found = sorted(request.path.glob("**/slp*.st"))
    return NightFiles(found, _night, "slpXX.st and slpXX.ecg")
