"""Reads a night from a CSV, as the page does: columns time and heart_rate, activity or both."""

import csv
import re
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import numpy as np

from pipeline.checks import ROW_DROPPED, USED, Finding, lines_text
from pipeline.constants import CHANNELS, COUNT_S, HOUR_S, LONGEST_NIGHT_S
from pipeline.errors import UserMistake
from pipeline.importers.table import hint_of_time
from pipeline.oddities import odd_spacing, odd_values
from pipeline.recordings import Recording, night_name, spacing_of_counts

SENSORS = "heart_rate", "activity"
COLUMNS = ("time", *SENSORS)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
LEAST_UNIX_MS = 1e11  # as Unix s the year 5138, as ms 1973
IMPORT = "for other columns, separators and units use python -m pipeline import csv"
SHOWN = 40  # characters of a field in a message


def read_night_csv(path: Path) -> Recording:
    """A night from a CSV file.

    Args:
        path: Columns `time` (s from the start of the night, Unix time or ISO 8601), `heart_rate` (bpm) and `activity`
            (counts per 15 s, timed at the end of the bin), in any order; an empty field is not sensed.

    Returns:
        The recording, with the file's name as subject. Times count from 0, or for ISO 8601 and Unix times from the
        first line. Of repeated lines one is kept, with a finding.

    Raises:
        UserMistake: The file is invalid; names file, line and field.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserMistake(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserMistake(f"{path}: cannot be read as text ({what})") from None
    rows = [[field.strip() for field in row] for row in csv.reader(lines)]
    names = [name.lower() for name in (rows[0] if rows else ())]
    _check_names(path, names)
    samples: dict[str, tuple[list, list]] = {sensor: ([], []) for sensor in SENSORS}
    first, last, iso = None, 0.0, None
    here: set[tuple] = set()  # what the lines of this time have
    repeated: list[int] = []
    for line, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        if len(row) != len(names):
            raise UserMistake(f"{path}: line {line}: {len(row)} fields, but the first line names {len(names)}")
        fields = dict(zip(names, row, strict=True))
        time, is_iso = _time(path, line, fields["time"])
        if first is None:
            iso, first = is_iso, time if is_iso or time > LONGEST_NIGHT_S else 0.0
        if is_iso != iso:
            raise _wrong(path, line, "time", fields["time"], "seconds and ISO 8601 are mixed")
        if not is_iso and time > LEAST_UNIX_MS:
            raise _wrong(path, line, "time", fields["time"], f"milliseconds? expected seconds; {IMPORT}")
        t = time - first
        if t < last:
            raise _wrong(path, line, "time", fields["time"], "negative, or earlier than the line before")
        if t > LONGEST_NIGHT_S:
            late = f"more than {LONGEST_NIGHT_S // HOUR_S} hours after the first"
            late += "" if iso else f"; milliseconds? expected seconds; {IMPORT}"
            raise _wrong(path, line, "time", fields["time"], late)
        here = here if t == last else set()
        last, sensed = t, tuple(fields.get(sensor) for sensor in SENSORS)
        if sensed in here:
            repeated.append(line)
            continue
        here.add(sensed)
        for sensor in SENSORS:
            if fields.get(sensor):
                value = _number(path, line, sensor, fields[sensor])
                samples[sensor][0].append(t)
                samples[sensor][1].append(value)
    arrays = {sensor: (np.array(t), np.array(values)) for sensor, (t, values) in samples.items() if t}
    limits = {sensor: (CHANNELS[sensor].low, CHANNELS[sensor].high) for sensor in arrays}
    if not any(((low <= arrays[s][1]) & (arrays[s][1] <= high)).any() for s, (low, high) in limits.items()):
        raise UserMistake(f"{path}: no valid value of {' or '.join(SENSORS)}")
    if "activity" in arrays:
        spacing, usual = spacing_of_counts(arrays["activity"][0])
        if not usual:
            raise UserMistake(f"{path}: activity: counts every {spacing:g} s, expected every {COUNT_S} s")
    findings = [Finding(path.name, lines_text(repeated), "repeats another line", ROW_DROPPED)] if repeated else []
    odd = [*odd_values(arrays)]
    if "activity" in arrays and (what := odd_spacing(arrays["activity"][0])):
        odd.append(("activity", what))
    findings += [Finding(path.name, sensor, what, USED) for sensor, what in odd]
    return Recording(night_name(path, path.stem), arrays, findings=findings)


def _check_names(path, names):
    if len(names) == 1 and (other := next((mark for mark in ";\t" if mark in names[0]), "")):
        raise UserMistake(f"{path}: line 1: fields separated by {other!r}; expected commas; {IMPORT}")
    for name in names:
        if name not in COLUMNS:
            expected = ", ".join(COLUMNS)
            raise UserMistake(f"{path}: line 1: unknown column {name[:SHOWN]!r}; expected {expected}; {IMPORT}")
    if len({*names}) < len(names):
        raise UserMistake(f"{path}: line 1: duplicate column name")
    if "time" not in names or len(names) == 1:
        missing = " or ".join(SENSORS) if "time" in names else "time"
        raise UserMistake(f"{path}: line 1: {missing} is missing; expected {', '.join(COLUMNS)}")


def _time(path, line, text):
    """(seconds, whether the text is ISO 8601). A time without an offset counts as UTC: only differences matter."""
    if NUMBER.fullmatch(text):
        return _number(path, line, "time", text), False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = f"expected seconds or a time like 2026-01-31T23:10:00{hint_of_time(text)}"
        raise _wrong(path, line, "time", text, expected) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), True


def _number(path, line, field, text):
    value = float(text) if NUMBER.fullmatch(text) else np.nan
    if not isfinite(value):
        raise _wrong(path, line, field, text, "not a number")
    return value


def _wrong(path, line, field, text, what):
    return UserMistake(f"{path}: line {line}, {field}: {text[:SHOWN]!r}: {what}")
