"""MESA Sleep (National Sleep Research Resource), downloaded by the user under a data use agreement.

Assumptions:

1. `polysomnography/annotations-rpoints/mesa-sleep-<id>-rpoint.csv` has a column `seconds`, the time of each heart beat
   from the start of the polysomnography.
2. Stages are in `annotations-events-nsrr/…-nsrr.xml` (events `Stages|Stages`) or, if that is missing, in
   `annotations-events-profusion/…-profusion.xml`; both start with the polysomnography.
3. `overlap/mesa-actigraphy-psg-overlap.csv` gives the `line` of `actigraphy/mesa-sleep-<id>.csv` (30-s counts) at which
   the polysomnography starts. These are not the layout's activity counts, so they are written to `actiwatch/`, where
   they are not read as activity.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.importers.beats import heart_rate_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, epochs_of, is_there, reading_file
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
CODES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5}  # the same as in sleep-accel; any other code is unscored
OVERLAP = "mesa-actigraphy-psg-overlap.csv"
LONGEST = 24 * 3600 // EPOCH_S  # epochs


def _stages(root: Path, subject: str) -> np.ndarray | None:
    """Stage code of each epoch; None without annotations."""
    base = root / "polysomnography"
    nsrr = base / "annotations-events-nsrr" / f"mesa-sleep-{subject}-nsrr.xml"
    profusion = base / "annotations-events-profusion" / f"mesa-sleep-{subject}-profusion.xml"
    path = nsrr if is_there(nsrr) else profusion
    if not is_there(path):
        return None
    with reading_file(path):
        tree = small_tree(path.read_bytes(), path.relative_to(root).as_posix())
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
            codes[max(start, 0) : max(end, 0)] = code
        return codes


def _actiwatch(root: Path, subject: str, request: ImportRequest) -> str | None:
    """CSV text of the 30-s counts from the start of the polysomnography; None if they cannot be aligned."""
    path, overlap = root / "actigraphy" / f"mesa-sleep-{subject}.csv", root / "overlap" / OVERLAP
    if not is_there(path):
        return None
    first = pd.Series(dtype=int)
    if is_there(overlap):
        with reading_file(overlap):
            table = pd.read_csv(overlap, usecols=["mesaid", "line"]).dropna().astype(int)
        first = table.line[table.mesaid == int(subject)]
    if first.empty:
        request.leave_out("wrist counts that no overlap file aligns", subject)
        return None
    with reading_file(path):
        table = pd.read_csv(path, usecols=["line", "activity", "offwrist"])
    t = (table.line - first.iloc[-1]) * EPOCH_S
    worn = (table.offwrist != 1) & table.activity.notna() & (t >= 0) & (t < LONGEST * EPOCH_S)
    lines = [f"{a},{n:g}" for a, n in zip(t[worn].astype(int), table.activity[worn], strict=True)]
    return "\n".join(["start,count", *lines, ""])


def _night(path: Path, request: ImportRequest) -> ImportedNight:
    root = request.path
    subject = re.fullmatch(r"mesa-sleep-(\d+)-rpoint\.csv", path.name)[1]  # type: ignore[index]  # matches the glob
    with reading_file(path):
        table = pd.read_csv(path)
    if "seconds" not in table:
        raise UserMistake(f"{path}: line 1: no column 'seconds' among {', '.join(map(str, table.columns))[:80]}")
    beats = np.sort(pd.to_numeric(table.seconds, errors="coerce").dropna().to_numpy(float))
    codes, counts = _stages(root, subject), _actiwatch(root, subject, request)
    if codes is None:
        request.leave_out("labels of nights without annotations", subject)
    extra_files = {f"actiwatch/{subject}.csv": counts} if counts else {}
    labels = epochs_of(codes) if codes is not None and len(codes) else None
    return ImportedNight(subject, {"heart_rate": heart_rate_of(beats)}, labels, extra_files=extra_files)


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in its folder."""
    request.zone_text = "not stated"
    request.note("wrist counts of MESA are of a different kind: written to actiwatch/, not to counts/")
    found = sorted(request.path.glob("polysomnography/annotations-rpoints/mesa-sleep-*-rpoint.csv"))
    expected = "polysomnography/annotations-rpoints/mesa-sleep-<id>-rpoint.csv"
    return NightFiles(found, _night, expected)
