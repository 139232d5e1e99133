"""Reads one night's files in the layout of PhysioNet sleep-accel 1.0.0 (Walch 2019, doi:10.13026/hmhs-py35)."""

import csv
import mmap
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from pipeline.checks import (
    ROW_DROPPED,
    SCORING,
    SKIPPED,
    USED,
    Finding,
    UnusableNight,
    clean,
    failures,
    lines_text,
    repair,
)
from pipeline.constants import COUNT_S, EPOCH_S, LEAD_S, LEAST_OVERLAP_S, LONGEST_NIGHT_S, STAGE_OF_CODE
from pipeline.data_sets import Data, DataSets, located
from pipeline.errors import UserMistake, plain_digits
from pipeline.guard import FIRST_S, LEAST_SAMPLES, motion_unit_finding
from pipeline.oddities import odd_spacing, odd_values

STEPS_S = 600  # s, the longest a step bin lasts
SPACING_TOLERANCE = 0.1  # of COUNT_S, for the written times of activity counts
UNIT_STRETCH_S, UNIT_SAMPLES = 600, 1 << 16  # s of motion that are in one unit, or not; samples compared in a night
FEW_SAMPLES = 10  # fewer in a night are as good as none
LONG_LINE = 1 << 20  # bytes, far longer than any line of numbers
ARROW_BLOCK = 1 << 18  # bytes parsed at a time, so that they stay in the processor's cache
LINES_BLOCK = 1 << 22  # characters read at a time
ODD_STRETCH = 1 << 8  # characters after an unusual line that are parsed line by line: more are often nearby
DECIMAL = r"[+-]?(?:[0-9]{1,30}+(?:\.[0-9]{0,30}+)?+|\.[0-9]{1,30}+)(?:[eE][+-]?[0-9]{1,2}+)?+"  # never overflows
UNIT_HINTS = {  # first value column of a file -> (low, high) of the median in a wrong unit, and how to convert it
    "heart_rate": ((0.3, 4, "beats per second? multiply by 60"), (300, 3000, "milliseconds? 60000 / value")),
    "motion_x": ((500, 2000, "milli-g? divide by 1000"),),
}


@dataclass(frozen=True)
class Layout:
    """One kind of file.

    Attributes:
        folder: Folder of the files.
        suffix: End of the files' names, after the subject.
        line: Names of a line's fields, with their separator: a time in s, then the values.
    """

    folder: str
    suffix: str
    line: str

    @property
    def separator(self) -> str | None:
        """Separator of the fields of a line; None for any white space."""
        return "," if "," in self.line else None

    @property
    def columns(self) -> list[str]:
        """Names of the fields of a line."""
        return self.line.split(self.separator)

    def name(self, subject: str) -> str:
        """Path of a subject's file, relative to the data set's folder."""
        return f"{self.folder}/{subject}{self.suffix}"

    def unusable(self, subject: str, what: str, where: str = "whole file") -> UnusableNight:
        """The exception for a file that cannot be used."""
        hint = "" if self is LABELS else " (delete the file to use the night without it)"
        return UnusableNight(Finding(self.name(subject), where, what, SKIPPED + hint))

    def doubtful(self, subject: str, what: str) -> Finding:
        """The finding of a file that is used although something seems wrong with it."""
        return Finding(self.name(subject), "whole file", what, USED)


LAYOUTS = {  # of sensors
    "heart_rate": Layout("heart_rate", "_heartrate.txt", "t,heart_rate"),
    "motion": Layout("motion", "_acceleration.txt", "t motion_x motion_y motion_z"),
    "steps": Layout("steps", "_steps.txt", "t,steps"),
    "activity": Layout("counts", "_counts.txt", "t,activity"),
}
LABELS = Layout("labels", "_labeled_sleep.txt", "t stage")
VALID_EPOCHS = "epochs.csv"  # of sleep-accel: the mask of `scoring.predictions.walch_valid`


@dataclass
class Recording:
    """One night of one subject. Times are float64 seconds from the start of the sleep recording, ascending, unique.

    Attributes:
        subject: Id of the sleeper.
        samples: {sensor: (t [n], values [n], of motion [n, 3] in g)}; t is when the value is available: the instant of
            a heart rate or motion sample, the end of a step or activity bin. Sensors without values are absent.
        labels: (t [n], start of the epoch; stage [n], index into STAGES, -1 if unscored), or None.
        findings: What was wrong with the files and was repaired.
    """

    subject: str
    samples: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    labels: tuple[np.ndarray, np.ndarray] | None = None
    findings: list[Finding] = field(default_factory=list)


def subjects(folder: Data) -> list[str]:
    """Ids of the subjects with at least one sensor file.

    Args:
        folder: Folder of the data set, or several sets.

    Returns:
        The ids in numerical order; of several sets `<set>.<id>`, set by set.

    Raises:
        UserMistake: The folder does not exist, or holds no recording.
    """
    if isinstance(folder, DataSets):
        return [f"{name}.{subject}" for name, path in folder.folders.items() for subject in subjects(path)]
    folder = Path(folder)
    try:
        os.listdir(folder)
    except FileNotFoundError:
        raise UserMistake(f"{folder}: no such folder") from None
    except OSError as error:  # glob would find nothing in a closed folder
        reason = "not a folder" if isinstance(error, NotADirectoryError) else f"cannot be read ({error.strerror})"
        raise UserMistake(f"{folder}: {reason}") from None
    names = {
        night_name(path, path.name.removesuffix(layout.suffix))
        for layout in LAYOUTS.values()
        for path in folder.glob(layout.name("[!.]*"))  # a leading dot marks files of the operating system
    }
    if not names:
        expected = ", ".join(layout.name("<id>") for layout in LAYOUTS.values())
        raise UserMistake(f"{folder}: holds no recordings; expected at least one of {expected}")
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def night_name(path: Path, name: str) -> str:
    """The name of a night, from the name of its file; UserMistake if that is not UTF-8, and so fits no table."""
    if any("\udc80" <= x <= "\udcff" for x in name):
        raise UserMistake(f"{path}: the file's name is not UTF-8; rename it")
    return name


def paths(folder: Data, subject: str) -> dict[str, Path]:
    """Paths of a subject's files, whether they exist or not: {sensor or "labels": path}."""
    folder, subject = located(folder, subject)
    return {name: Path(folder) / layout.name(subject) for name, layout in {**LAYOUTS, "labels": LABELS}.items()}


def in_set(name: str, findings: Sequence[Finding]) -> list[Finding]:
    """Findings whose files are prefixed with the name of a set."""
    return [replace(finding, file=f"{name}/{finding.file}") for finding in findings]


def read_recording(folder: Data, subject: str, negative_times: bool = False, want_labels: bool = True) -> Recording:
    """Read, check and repair the recording of one subject.

    Args:
        folder: Folder of the data set, or several sets.
        subject: Id of the subject.
        negative_times: Whether to keep samples of the last LEAD_S before t=0. Earlier ones are always left out: files
            often hold heart rate and steps of the days before.
        want_labels: Whether to read the scored stages.

    Returns:
        The recording; its findings tell what was repaired.

    Raises:
        UnusableNight: An existing file cannot be used, or heart rate, motion or activity covers less than
            LEAST_OVERLAP_S of scored epochs (without labels: of any epochs). Holds all findings of the night.
    """
    if isinstance(folder, DataSets):
        return _of_set(folder, subject, negative_times, want_labels)
    night = Recording(subject)
    try:
        for sensor, layout in LAYOUTS.items():
            frame = _read(folder, subject, layout, night.findings)
            if frame is None:
                continue
            t = _available_at(sensor, frame.t.to_numpy(), subject)
            if sensor == "activity" and (what := odd_spacing(frame.t.to_numpy())):
                night.findings.append(layout.doubtful(subject, what))
            begin = t.searchsorted(-LEAD_S if negative_times else 0)
            end = t.searchsorted(LONGEST_NIGHT_S, "right")
            if begin < end:
                t, values = t[begin:end], frame.to_numpy()[begin:end, 1:]
                _check_unit(sensor, t, values, night)
                night.samples[sensor] = t, values if values.shape[1] > 1 else values[:, 0]
        frame = _read(folder, subject, LABELS, night.findings) if want_labels else None
        if frame is not None:
            for what, lines in failures(SCORING, frame):
                raise LABELS.unusable(subject, what, lines_text(lines))
            frame = frame[frame.t >= 0]
            night.labels = frame.t.to_numpy(), frame.stage.map(STAGE_OF_CODE).to_numpy(int)
        _check_overlap(night)
        _note_little(night)
        for sensor, what in odd_values(night.samples):
            night.findings.append(LAYOUTS[sensor].doubtful(subject, what))
    except UnusableNight as unusable:
        raise UnusableNight(*night.findings, *unusable.args) from None
    return night


def _of_set(sets, subject, negative_times, want_labels):
    """`read_recording` for one of several sets; the findings name the set."""
    try:
        night = read_recording(*located(sets, subject), negative_times, want_labels)
    except UnusableNight as unusable:
        raise UnusableNight(*in_set(sets.set_of(subject), unusable.findings)) from None
    return replace(night, subject=subject, findings=in_set(sets.set_of(subject), night.findings))


def _check_unit(sensor, t, values, night):
    """Raise UnusableNight for motion that is not in g from the first minute on, or later; note other odd stretches."""
    if sensor != "motion":
        return
    first = t < t[0] + FIRST_S
    magnitude = np.sqrt((values[first] ** 2).sum(1))
    if first.sum() >= LEAST_SAMPLES and (finding := motion_unit_finding(float(np.median(magnitude)))):
        raise LAYOUTS[sensor].unusable(night.subject, f"first minute: {finding}")
    few = slice(None, None, len(t) // UNIT_SAMPLES + 1)  # samples of the whole night: all of them would take longer
    at, magnitude = t[few], np.sqrt((values[few] ** 2).sum(1))
    cuts = at.searchsorted(np.arange(at[0], at[-1] + UNIT_STRETCH_S, UNIT_STRETCH_S))
    stretches = ((at[a], np.median(magnitude[a:b])) for a, b in pairwise(cuts) if b - a >= LEAST_SAMPLES)
    odd = [(start, median, finding) for start, median in stretches if (finding := motion_unit_finding(float(median)))]
    for start, median, finding in sorted(odd, key=lambda stretch: -stretch[1])[:1]:
        where = f"{len(odd)} stretches of {UNIT_STRETCH_S // 60} min, first from t={odd[0][0]:.0f}, "
        what = f"{where}such as t={start:.0f}: {finding}"
        if median > 1:  # no wrist is accelerated so much for so long; less than gravity may be a watch that fails
            raise LAYOUTS[sensor].unusable(night.subject, what)
        night.findings.append(LAYOUTS[sensor].doubtful(night.subject, what))


def _unit_hint(layout, frame):
    """A hint at the wrong unit that most values seem to be in; "" if there is none."""
    hints = UNIT_HINTS.get(layout.columns[1], ())
    median = np.sqrt((frame.iloc[:, 1:] ** 2).sum(axis=1)).median() if hints else np.nan  # motion: of the magnitude
    for low, high, hint in hints:
        if low <= median <= high:
            return f" (median {median:.4g}: {hint})"
    return ""


def _check_overlap(night):
    """Raise UnusableNight if there is too little overlap. Steps, in ten-minute bins, do not tell about an epoch."""
    middle = {"activity": COUNT_S / 2}  # the middle of a bin lies in its epoch, its end may not
    sensed = [_epochs_of(t - middle.get(name, 0)) for name, (t, _) in night.samples.items() if name != "steps"]
    epochs = np.unique(np.concatenate([[], *sensed]))
    what = "heart rate, motion or activity"
    if night.labels:
        t, stage = night.labels
        epochs = np.intersect1d(epochs, t[stage >= 0] // EPOCH_S)
        what = f"scored epochs with {what}"
    if len(epochs) * EPOCH_S < LEAST_OVERLAP_S:
        what = f"{len(epochs) * EPOCH_S / 60:g} min of {what}; at least {LEAST_OVERLAP_S / 60:g} min are needed"
        raise UnusableNight(Finding(f"night {night.subject}", "all files", what, SKIPPED))


def _note_little(night):
    """Add findings about files that are whole and hold next to nothing: few samples, or labels of time not sensed."""
    for sensor, (t, _) in night.samples.items():
        if len(t) < FEW_SAMPLES and sensor != "steps":
            what = f"{len(t)} sample(s) in a night"
            night.findings.append(LAYOUTS[sensor].doubtful(night.subject, what))
    if night.labels:
        scored = night.labels[0][night.labels[1] >= 0]
        first, last = min(t[0] for t, _ in night.samples.values()), max(t[-1] for t, _ in night.samples.values())
        outside = int(((scored + EPOCH_S < first) | (scored > last)).sum())
        if 2 * outside > len(scored):
            what = f"{outside} of {len(scored)} scored epochs lie before or after all that was sensed"
            night.findings.append(LABELS.doubtful(night.subject, what))


def _epochs_of(t):
    """Numbers of the epochs that contain a time; t: ascending."""
    numbers = np.arange(t[0] // EPOCH_S, t[-1] // EPOCH_S + 2)
    return numbers[:-1][np.diff(t.searchsorted(EPOCH_S * numbers)) > 0]


def _available_at(sensor, t, subject):
    """Times at which values with time stamps t are available: samples at once, sums over a bin at its end."""
    if sensor == "steps":
        return np.minimum(t + STEPS_S, np.append(t[1:], np.inf))
    if sensor != "activity":
        return t
    # Counts cover exactly 15 s, but their time stamps drift, by a whole bin over a night. So the k-th count gets the
    # k-th bin, and jumps in the time stamps only tell how many counts are missing.
    step = np.diff(t)
    spacing, usual = spacing_of_counts(t)
    if not usual:
        raise LAYOUTS[sensor].unusable(subject, f"counts every {spacing:g} s, expected every {COUNT_S} s")
    return t[0] + COUNT_S * np.cumsum(np.append(1, np.maximum(np.rint(step / spacing), 1)))


def spacing_of_counts(t: np.ndarray) -> tuple[float, bool]:
    """Median time in s between activity counts, COUNT_S for fewer than two, and whether each can cover COUNT_S.

    Args:
        t: Their times in s, ascending.
    """
    spacing = float(np.median(np.diff(t))) if len(t) > 1 else COUNT_S
    return spacing, abs(spacing - COUNT_S) <= SPACING_TOLERANCE * COUNT_S


def _read(folder, subject, layout, findings):
    """The file's usable rows as a frame of t and values, float64, indexed by line number; None if there is no file."""
    path = Path(folder) / layout.name(subject)
    if not path.exists():
        if path.is_symlink():
            raise layout.unusable(subject, "a link that leads nowhere")
        return None
    frame = _read_clean(path, layout)
    if frame is not None:
        return frame
    frame = _read_unusual(path, subject, layout, findings)
    if (frame.t > LONGEST_NIGHT_S).mean() > 1 / 2:
        what = f"most times are beyond {LONGEST_NIGHT_S} s; expected seconds from the start of the night: milliseconds?"
        raise layout.unusable(subject, what)
    repaired, repairs = repair(layout.name(subject), frame)
    findings += repairs
    hint = _unit_hint(layout, frame)
    if repaired.empty or hint:
        usable = f"{len(repaired)} of {len(frame)} lines usable" if len(repaired) else "no usable line"
        raise layout.unusable(subject, f"{usable}; expected lines of '{layout.line}'{hint}")
    return repaired


def _read_clean(path, layout):
    """`_read` in one fast pass; None for a file with anything unusual in it."""
    columns = layout.columns
    if not path.is_file():
        return None
    rows = np.empty((len(columns), path.stat().st_size // (2 * len(columns)) + 1))  # enough for the shortest lines
    n, last = 0, -np.inf
    try:
        with pyarrow.csv.open_csv(
            path,
            pyarrow.csv.ReadOptions(use_threads=False, block_size=ARROW_BLOCK, column_names=columns),
            pyarrow.csv.ParseOptions(delimiter=layout.separator or " ", quote_char=False, ignore_empty_lines=False),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.float64()), null_values=[]),
        ) as batches:
            for batch in batches:
                block = rows[:, n : n + len(batch)]
                for column, values in zip(block, batch.columns, strict=True):
                    column[:] = values.to_numpy()
                if not clean(columns, block, last):
                    return None
                n, last = n + len(batch), block[0, -1]
    except (OSError, ValueError):  # text, wrong number of fields, repeated blanks: left to _read_unusual
        return None
    return pd.DataFrame(rows[:, :n].T, pd.RangeIndex(1, n + 1), columns, copy=False) if n else None


def _read_unusual(path, subject, layout, findings):
    """The rows of any file as a frame, float64, indexed by line number."""
    strict = {"skip_blank_lines": False, "na_filter": False, "quoting": csv.QUOTE_NONE, "dtype": np.float64}
    if not (path.is_file() or path.is_dir()):  # reading a pipe or device may block forever
        raise layout.unusable(subject, f"not a regular file; expected lines of '{layout.line}'")
    try:
        if _has_long_line(path):
            what = f"a line of more than {LONG_LINE} bytes; expected lines of '{layout.line}'"
            raise layout.unusable(subject, what)
        frame = pd.read_csv(path, sep=layout.separator or r"\s+", header=None, engine="c", **strict)
        return frame.set_axis(layout.columns, axis=1).set_axis(pd.RangeIndex(1, len(frame) + 1))
    except OSError as error:
        raise layout.unusable(subject, f"cannot be read: {error.strerror}") from None
    except ValueError:  # text, undecodable bytes, wrong number of fields: found line by line
        return _parsed_by_line(path, subject, layout, findings)


def _has_long_line(path):
    """Whether a file has a line of at least 2 LONG_LINE bytes; False if all have fewer than LONG_LINE."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            starts = range(0, len(text) - LONG_LINE + 1, LONG_LINE)  # a longer line fills at least one stretch
            return any(text.find(b"\n", i, i + LONG_LINE) < 0 > text.find(b"\r", i, i + LONG_LINE) for i in starts)


def _parsed_by_line(path, subject, layout, findings):
    """The numbers, NaN for text, of all lines with the right number of fields; other lines become findings.

    Runs of lines with only decimal numbers, the usual case, are parsed together.
    """
    columns = layout.columns
    blank = "[ \t]"
    between = f"{blank}*+,{blank}*+" if layout.separator else f"{blank}++"
    decimal_lines = re.compile(f"(?:{blank}*+{between.join([DECIMAL] * len(columns))}{blank}*+\n)*+")
    parts = []  # (line numbers [n], values [n, columns])
    wrong = []
    last: tuple[int, list[str]] = 0, columns  # number and fields of the last line with text
    i = 0  # number of lines so far
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        while text := file.read(LINES_BLOCK) + file.readline():
            text += "" if text.endswith("\n") else "\n"
            runs, plain, odd, numbers, at = [], [], [], [], 0
            while at < len(text):
                run = decimal_lines.match(text, at)
                if run and run.group():
                    n = run.group().count("\n")
                    runs.append(run.group())
                    plain.append(np.arange(i + 1, i + n + 1))
                    i, at, last = i + n, run.end(), (i + n, columns)
                if at == len(text):
                    break
                end = text.index("\n", min(at + ODD_STRETCH, len(text) - 1)) + 1
                for line in text[at : end - 1].split("\n"):
                    i += 1
                    fields = line.split(layout.separator)
                    if not line.strip():
                        continue
                    last = i, fields
                    if len(fields) == len(columns):
                        odd.append(i)
                        numbers.append(_numbers(fields))
                    else:
                        wrong.append(i)
                at = end
            if runs:
                together = StringIO("".join(runs))
                values = pd.read_csv(together, sep=layout.separator or r"\s+", header=None, dtype=np.float64)
                parts.append((np.concatenate(plain), values.to_numpy()))
            if odd:
                parts.append((np.array(odd), np.array(numbers)))
    lines = np.concatenate([np.empty(0, int), *(numbers for numbers, _ in parts)])
    if not len(lines) and not wrong:
        raise layout.unusable(subject, f"empty; expected lines of '{layout.line}'")
    values = np.concatenate([np.empty((0, len(columns))), *(rows for _, rows in parts)])
    order = np.argsort(lines, kind="stable")
    frame = pd.DataFrame(values[order], lines[order], columns)
    off, total = len(wrong) + frame.t.isna().sum(), len(wrong) + len(lines)
    if off > total / 2:
        what = f"wrong separator or columns in {off} of {total} lines; expected lines of '{layout.line}'"
        raise layout.unusable(subject, what)
    if sum(bool(text.strip()) for text in last[1]) < len(columns):
        findings.append(Finding(layout.name(subject), f"line {last[0]}", "truncated last line", ROW_DROPPED))
        frame = frame.drop(last[0], errors="ignore")
        wrong = [i for i in wrong if i != last[0]]
    if wrong:
        what = f"wrong number of fields; expected '{layout.line}'"
        findings.append(Finding(layout.name(subject), lines_text(wrong), what, ROW_DROPPED))
    return frame


def _numbers(fields):
    try:
        if not all(map(plain_digits, fields)):
            raise ValueError
        return [float(text) for text in fields]
    except ValueError:
        return [np.nan] if len(fields) == 1 else [x for text in fields for x in _numbers([text])]
