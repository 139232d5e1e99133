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
STAGE = re.compile(r"[\0 ]*([W1-4R])(?![0-9a-z.])")  # no other number or word that begins so
MOST_BYTES = 1 << 20  # of annotations; those of a night take a tenth
DEFINITION = re.compile(rb"(?s)(.)[\xfc-\xff](?=## )")  # of the length and tag of a note that tells of the file itself


def _annotations(path: Path, what: str):
    """Read the annotations in a file, but not of files with which wfdb would never or hardly end."""
    import wfdb  # takes a second to import

    if not is_there(path):
        raise UserMistake(f"{path}: missing; expected {what} of the record")
    with reading_file(path):
        if path.stat().st_size > MOST_BYTES:
            raise UserMistake(f"{path}: over {MOST_BYTES >> 20} MB; expected {what} of a night")
        content = path.read_bytes()
        notes = [content[m.end() : m.end() + m[1][0]] for m in DEFINITION.finditer(content)]
        if len(notes) > 1 or not all(re.match(rb"## time resolution: \d", note) for note in notes):
            raise UserMistake(f"{path}: notes with ##; expected none but one time resolution")
        return wfdb.rdann(path.with_suffix("").as_posix(), path.suffix[1:])


def _night(path: Path, request: ImportRequest) -> ImportedNight:
    scored = _annotations(path, "the stages")
    ecg = _annotations(path.with_suffix(".ecg"), "the heart beats")
    hz = float(scored.fs or ecg.fs or HZ)
    if not len(scored.sample):
        raise UserMistake(f"{path}: no stage in it")
    start = scored.sample[0]
    spacing = np.diff(scored.sample) / hz
    if len(spacing) and abs(np.median(spacing) - EPOCH_S) > 1:
        raise UserMistake(f"{path}: stages every {np.median(spacing):g} s; expected {EPOCH_S} s")
    is_beat = np.array([symbol in BEATS for symbol in ecg.symbol], bool)
    beats = (np.asarray(ecg.sample)[is_beat] - start) / hz
    epoch = np.rint((np.asarray(scored.sample) - start) / hz / EPOCH_S).astype(int)
    if (np.diff(epoch) < 0).any() or epoch[-1] * EPOCH_S > LONGEST_NIGHT_S:
        raise UserMistake(f"{path}: times of stages run backwards, or span more than a night")
    codes = np.full(epoch[-1] + 1, -1)
    stages = [STAGE.match(text or "") for text in scored.aux_note]
    if not any(stages):
        raise UserMistake(f"{path}: no stage in it")
    codes[epoch] = [CODES[stage[1]] if stage else -1 for stage in stages]
    labels = np.arange(len(codes)) * EPOCH_S, codes
    wearer = re.sub(r"(?<=\d)[a-z]$", "", path.stem)
    return ImportedNight(path.stem, {"heart_rate": heart_rate_of(beats)}, labels, wearer=wearer)


def nights(request: ImportRequest) -> NightFiles:
    """Find the records of the set in a folder."""
    request.zone_text = "not stated"
    found = sorted({path.with_suffix(".st") for kind in ("st", "ecg") for path in request.path.glob(f"**/slp*.{kind}")})
    return NightFiles(found, _night, "slpXX.st and slpXX.ecg")
