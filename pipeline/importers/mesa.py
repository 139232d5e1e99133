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

from pipeline.checks import lines_text
from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake, plain_digits
from pipeline.importers.beats import heart_rate_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, epochs_of, is_there, reading_file, text_file
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
CODE_OF = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "9": -1}  # as in sleep-accel; 9 is unscored
SHOWN = 60  # characters of what is odd in a file
OVERLAP = "mesa-actigraphy-psg-overlap.csv"
LONGEST = 24 * 3600 // EPOCH_S  # epochs


def _stages(root: Path, subject: str, request: ImportRequest) -> np.ndarray | None:
    """Stage code of each epoch; None without annotations. What is odd in them is noted in the request."""
    base = root / "polysomnography"
    nsrr = base / "annotations-events-nsrr" / f"mesa-sleep-{subject}-nsrr.xml"
    profusion = base / "annotations-events-profusion" / f"mesa-sleep-{subject}-profusion.xml"
    path = nsrr if is_there(nsrr) else profusion
    if not is_there(path):
        return None
    with reading_file(path):
        tree = small_tree(text_file(path).getvalue(), path.relative_to(root).as_posix())
        texts = [stage.text or "" for stage in tree.iter("SleepStage")]
        starts = np.arange(len(texts), dtype=float)
        ends = starts + 1
        if path is nsrr:
            events = [x for x in tree.iter("ScoredEvent") if (x.findtext("EventType") or "").startswith("Stages")]
            texts = [(event.findtext("EventConcept") or "").rpartition("|")[2] for event in events]
            starts = np.array([number(event.findtext("Start")) for event in events]) / EPOCH_S
            ends = starts + np.array([number(event.findtext("Duration")) for event in events]) / EPOCH_S
    if not texts:
        return None
    if not (np.isfinite([starts, ends]).all() and (starts < ends).all() and ends.max() <= LONGEST):
        raise UserMistake(f"{path}: stages without a start or an end, or beyond {LONGEST * EPOCH_S // 3600} h")
    if odd := sorted({text for text in texts if text not in CODE_OF}):
        request.leave_out("stages of a code that is none: unscored", f"{path.name}: {', '.join(odd)[:SHOWN]}")
    order = np.argsort(starts, kind="stable")
    if not np.array_equal(ends[order][:-1], starts[order][1:]):
        request.leave_out("stages of nights in which they overlap or leave gaps: in part unscored", path.name)
    codes = np.full(max(round(ends.max()), 0), -1)
    scored = np.zeros(len(codes), int)
    for start, end, text in zip(starts, ends, texts, strict=True):
        epochs = slice(max(round(start), 0), max(round(end), 0))
        codes[epochs] = CODE_OF.get(text, -1)
        scored[epochs] += 1
    codes[scored > 1] = -1
    return codes


def number(text: str | None) -> float:
    """A number of an annotation; NaN for what is none."""
    return float(text) if text and plain_digits(text) else float("nan")


def _actiwatch(root: Path, subject: str, request: ImportRequest) -> str | None:
    """CSV text of the 30-s counts from the start of the polysomnography; None if they cannot be aligned."""
    path, overlap = root / "actigraphy" / f"mesa-sleep-{subject}.csv", root / "overlap" / OVERLAP
    if not is_there(path):
        return None
    first = pd.Series(dtype=int)
    if is_there(overlap):
        with reading_file(overlap):
            table = (
                pd.read_csv(text_file(overlap), usecols=["mesaid", "line"]).apply(pd.to_numeric).dropna().astype(int)
            )
        first = table.line[table.mesaid == int(subject)]
    if first.empty:
        request.leave_out("wrist counts that no overlap file aligns", subject)
        return None
    with reading_file(path):
        table = pd.read_csv(text_file(path), usecols=["line", "activity", "offwrist"])
    table = table.apply(pd.to_numeric, errors="coerce")
    if len(none := np.flatnonzero(~np.isfinite(table.line))):
        request.leave_out("wrist counts without a number of their line", f"{path.name}: {lines_text(none + 2)}")
    table = (
        table.iloc[np.flatnonzero(np.isfinite(table.line))].sort_values("line", kind="stable").drop_duplicates("line")
    )
    t = (table.line - first.iloc[-1]) * EPOCH_S
    counted = (table.activity >= 0) & np.isfinite(table.activity)
    worn = (table.offwrist != 1) & counted & (t >= 0) & (t < LONGEST * EPOCH_S)
    lines = [f"{a},{n:g}" for a, n in zip(t[worn].astype(int), table.activity[worn], strict=True)]
    if not lines:
        request.leave_out("wrist counts without a value in the night", subject)
        return None
    return "\n".join(["start,count", *lines, ""])


def _night(path: Path, request: ImportRequest) -> ImportedNight:
    root = request.path
    subject = re.fullmatch(r"mesa-sleep-(\d+)-rpoint\.csv", path.name)[1]  # type: ignore[index]  # matches the glob
    with reading_file(path):
        table = pd.read_csv(text_file(path))
    if "seconds" not in table:
        raise UserMistake(f"{path}: line 1: no column 'seconds' among {', '.join(map(str, table.columns))[:80]}")
    seconds = pd.to_numeric(table.seconds, errors="coerce").to_numpy(float)
    if len(none := np.flatnonzero(~np.isfinite(seconds))):
        request.leave_out("beats without a time", f"{path.name}: {lines_text(none + 2)}")
    beats = np.sort(seconds[np.isfinite(seconds)])
    codes, counts = _stages(root, subject, request), _actiwatch(root, subject, request)
    if codes is None:
        request.leave_out("labels of nights without annotations", subject)
    extra_files = {f"actiwatch/{subject}.csv": counts} if counts else {}
    labels = epochs_of(codes) if codes is not None else None
    return ImportedNight(subject, {"heart_rate": heart_rate_of(beats)}, labels, extra_files=extra_files)


def nights(request: ImportRequest) -> NightFiles:
    """Find the nights of the set in its folder."""
    request.zone_text = "not stated"
    request.note("wrist counts of MESA are of a different kind: written to actiwatch/, not to counts/")
    found = sorted(request.path.glob("polysomnography/annotations-rpoints/mesa-sleep-*-rpoint.csv"))
    expected = "polysomnography/annotations-rpoints/mesa-sleep-<id>-rpoint.csv"
    return NightFiles(found, _night, expected)
