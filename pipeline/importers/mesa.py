"""MESA Sleep (National Sleep Research Resource), as its users fetch it under their own agreement.

Assumptions:

1. `polysomnography/annotations-rpoints/mesa-sleep-<id>-rpoint.csv` has a column `seconds`, the time of each heart beat
   from the start of the polysomnography.
2. Stages are in `annotations-events-nsrr/…-nsrr.xml` (events `Stages|Stages`) or, without that, in
   `annotations-events-profusion/…-profusion.xml`; both start with the polysomnography.
3. `overlap/mesa-actigraphy-psg-overlap.csv` names the `line` of `actigraphy/mesa-sleep-<id>.csv` (30-s counts) that
   starts with the polysomnography. Those counts are of another kind than the layout's: they are written to
   `actiwatch/`, where nothing reads them as activity.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.importers.asked import Asked
from pipeline.importers.beats import heart_rate_of
from pipeline.importers.research import NightFiles, epochs_of
from pipeline.importers.writing import ImportedNight
from pipeline.importers.xml import small_tree
from pipeline.origin import Origin

ORIGIN = Origin(
    "mesa",
    "",
    "NSRR data access and use agreement; not to be passed on",
    "Zhang GQ, Cui L, Mueller R, et al. The National Sleep Research Resource. J Am Med Inform Assoc 2018;25(10):"
    "1351-1358. Chen X, Wang R, Zee P, et al. MESA. Sleep 2015;38(6):877-888.",
)
CODES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5}  # theirs are those of sleep-accel; any other is unscored
OVERLAP = "mesa-actigraphy-psg-overlap.csv"
LONGEST = 24 * 3600 // EPOCH_S  # epochs


def _stages(root: Path, subject: str) -> np.ndarray | None:
    """Codes by epoch; None without annotations."""
    base = root / "polysomnography"
    nsrr = base / "annotations-events-nsrr" / f"mesa-sleep-{subject}-nsrr.xml"
    profusion = base / "annotations-events-profusion" / f"mesa-sleep-{subject}-profusion.xml"
    path = nsrr if nsrr.exists() else profusion
    if not path.exists():
        return None
    tree = small_tree(path.read_bytes(), path.relative_to(root).as_posix())
    with reading(path):
        if path is profusion:
            return np.array([CODES.get(int(stage.text or -1), -1) for stage in tree.iter("SleepStage")], int)
        spans = []
        for event in tree.iter("ScoredEvent"):
            if (event.findtext("EventType") or "").startswith("Stages"):
                code = CODES.get(int((event.findtext("EventConcept") or "|-1").rsplit("|", 1)[1]), -1)
                start, length = float(event.findtext("Start") or "nan"), float(event.findtext("Duration") or "nan")
                spans.append((round(start / EPOCH_S), round((start + length) / EPOCH_S), code))
        codes = np.full(min(max((end for _, end, _ in spans), default=0), LONGEST), -1)
        for start, end, code in spans:
            codes[start:end] = code
        return codes


def _actiwatch(root: Path, subject: str, asked: Asked) -> str | None:
    """Text of the 30-s counts from the start of the polysomnography on; None where they cannot be aligned."""
    path, overlap = root / "actigraphy" / f"mesa-sleep-{subject}.csv", root / "overlap" / OVERLAP
    if not path.exists():
        return None
    first = pd.Series(dtype=int)
    if overlap.exists():
        with reading(overlap):
            table = pd.read_csv(overlap, usecols=["mesaid", "line"]).dropna().astype(int)
        first = table.line[table.mesaid == int(subject)]
    if first.empty:
        asked.leave_out("wrist counts that no overlap file aligns", subject)
        return None
    with reading(path):
        table = pd.read_csv(path, usecols=["line", "activity", "offwrist"])
    t = (table.line - first.iloc[-1]) * EPOCH_S
    worn = (table.offwrist != 1) & table.activity.notna() & (t >= 0) & (t < LONGEST * EPOCH_S)
    lines = [f"{a},{n:g}" for a, n in zip(t[worn].astype(int), table.activity[worn], strict=True)]
    return "\n".join(["start,count", *lines, ""])


def _night(path: Path, asked: Asked) -> ImportedNight:
    root = asked.path
    subject = re.fullmatch(r"mesa-sleep-(\d+)-rpoint\.csv", path.name)[1]  # type: ignore[index]  # globbed so
    with reading(path):
        table = pd.read_csv(path)
    if "seconds" not in table:
        raise UserMistake(f"{path}: line 1: no column 'seconds' among {', '.join(map(str, table.columns))[:80]}")
    beats = np.sort(pd.to_numeric(table.seconds, errors="coerce").dropna().to_numpy(float))
    codes, counts = _stages(root, subject), _actiwatch(root, subject, asked)
    if codes is None:
        asked.leave_out("labels, as there are no annotations of the night", subject)
    beside = {f"actiwatch/{subject}.csv": counts} if counts else {}
    labels = epochs_of(codes) if codes is not None and len(codes) else None
    return ImportedNight(subject, {"heart_rate": heart_rate_of(beats)}, labels, beside=beside)


def nights(asked: Asked) -> NightFiles:
    """The nights of the set, below its folder."""
    asked.zone_said = "not stated"
    asked.note("wrist counts of MESA are of their own kind: in actiwatch/, not in counts/")
    found = sorted(asked.path.glob("polysomnography/annotations-rpoints/mesa-sleep-*-rpoint.csv"))
    expected = "polysomnography/annotations-rpoints/mesa-sleep-<id>-rpoint.csv"
    return NightFiles(found, _night, expected)
