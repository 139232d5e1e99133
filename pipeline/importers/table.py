"""CSV of any app: a time, and heart rate, acceleration, activity counts or steps, in any order and number of columns.

Assumptions:

1. The first line names the columns; names are compared without case, units and punctuation. Other columns are ignored.
2. Times are Unix s, ms, µs or ns, by their size; ISO dates; or s from the start (ms, if s would amount to days).
3. The unit of acceleration is the one in which gravity is 1 g.
4. Files with dates in a folder are of one wearer and are joined; each file with times from its start is a night.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pandas as pd

from pipeline.constants import LONGEST_NIGHT_S
from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.importers.archive import Member, members
from pipeline.importers.motion import unit_of_motion, why_not
from pipeline.importers.nights import LocalTime, Sensed, Source, longest_stretch, nights_of, plausible
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import ImportedNight, Samples
from pipeline.origin import Origin
from pipeline.recordings import LONG_LINE

ORIGIN = Origin("csv", licence="Not stated: the owner of the files knows.")
CHUNK = 400_000  # lines in memory at a time
HEAD = 1 << 16  # bytes from which separator and columns are detected
NAMES = {
    "time": ("time", "timestamp", "t", "datetime", "unix", "unixtime", "unixtimestamp", "date", "secondselapsed",
             "elapsed", "elapsedtime", "seconds", "startdate"),
    "heart_rate": ("heartrate", "bpm", "hr", "pulse", "heartratebpm", "heartratevalue"),
    "x": ("x", "accx", "accelx", "accelerationx", "accelerometerx", "ax", "motionx", "xaxis"),
    "y": ("y", "accy", "accely", "accelerationy", "accelerometery", "ay", "motiony", "yaxis"),
    "z": ("z", "accz", "accelz", "accelerationz", "accelerometerz", "az", "motionz", "zaxis"),
    "activity": ("activity", "activitycount", "activitycounts", "counts", "count"),
    "steps": ("steps", "stepcount", "step"),
}  # fmt: skip
EXPECTED = "a line of names such as time,heart_rate,x,y,z,activity,steps"
UNIX = ((1e17, 1e9, "ns"), (1e14, 1e6, "µs"), (1e11, 1e3, "ms"), (1e8, 1.0, "s"))  # lowest value, number per s, unit
NO_TEXT = "zero bytes, or a line of more than 1 MB; expected lines of text in UTF-8"
CLOCK = re.compile(r"\d\d?:\d\d(:\d\d([.,]\d+)?)?( ?[ap]m)?", re.IGNORECASE)
YEAR_LAST = re.compile(r"\d\d?([./-])\d\d?\1(\d{4}|\d\d)\b")
OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


@dataclass
class Table:
    """The samples of one file, with Unix times, local times or times from the start."""

    name: str
    samples: Samples
    kind: str  # "unix", "local" or "start"
    offsets: tuple[np.ndarray, np.ndarray] | None = None  # Unix s, UTC offset in s


class _Lines(io.RawIOBase):
    """A file that is refused where it is not text in lines, of which any length would have to be kept in memory."""

    def __init__(self, file: IO[bytes], name: str):
        self._file, self._name, self._begun = file, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        ended = data.rfind(b"\n")
        self._begun = len(data) - ended - 1 + (self._begun if ended < 0 else 0)
        if b"\0" in data or self._begun > LONG_LINE:
            raise UserMistake(f"{self._name}: {NO_TEXT}")
        buffer[: len(data)] = data
        return len(data)


def hint_of_time(text: str) -> str:
    """What to write in place of a time of day without its date, or of a date that begins with day or month; or ""."""
    if CLOCK.fullmatch(text):
        return "; the date is missing: write 2026-01-31T22:15:00, from midnight on with the next day's date"
    return "; write the year first: 2026-01-31T22:15:00" if YEAR_LAST.match(text) else ""


def _plain(name):
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[(\[].*?[)\]]", "", name.lower()))


def columns_of(header: list[str]) -> dict[str, int]:
    """{meaning: index of the column}; of several with one meaning, the first in the order of NAMES."""
    plain = [_plain(name) for name in header]
    found = {}
    for meaning, names in NAMES.items():
        if number := [plain.index(name) for name in names if name in plain]:
            found[meaning] = number[0]
    return found


def _separator(text):
    first = text.splitlines()[0]
    return max((";", "\t", ","), key=first.count)


def _times(column, name):
    """(times in s, kind, (Unix s, offsets) or None) of a column of texts or numbers; NaN for unreadable times."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
    if np.isfinite(numbers).mean() > 1 / 2:
        size = float(np.nanmedian(np.abs(numbers)))
        for least, per_second, _ in UNIX:
            if size >= least:
                return numbers / per_second, "unix", None
        return numbers, "start", None
    text = column.astype(str).str.strip().str.strip('"')
    has_offset = text.str.contains(OFFSET)
    parsed = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
    t = parsed.to_numpy("datetime64[us]").astype(np.int64) / 1e6
    t = np.where(parsed.isna(), np.nan, t)
    if np.isnan(t).mean() > 1 / 2:
        hint = hint_of_time(text.iloc[0])
        raise UserMistake(
            f"{name}: time: {text.iloc[0][:40]!r}; expected Unix s or ms, s from the start, or ISO dates{hint}"
        )
    offsets_of = set(has_offset[np.isfinite(t)])
    if len(offsets_of) > 1:
        raise UserMistake(f"{name}: some times have a UTC offset, others do not; expected one format")
    if True not in offsets_of:
        return t, "local", None
    wall = pd.to_datetime(text.str.replace(OFFSET, "", regex=True), errors="coerce", format="ISO8601")
    offsets = wall.to_numpy("datetime64[us]").astype(np.int64) / 1e6 - t
    usable = np.isfinite(t) & ~wall.isna().to_numpy()
    return t, "unix", (t[usable], np.rint(offsets[usable]))


def read_table(member: Member, request: ImportRequest) -> Table:
    """Read the samples of one file.

    Raises:
        UserMistake: The file has no line of column names, no time, or no known sensor.
    """
    with member.open() as file:
        head = file.read(HEAD).decode("utf-8-sig", errors="replace")
    if not head.strip():
        raise UserMistake(f"{member.name}: empty; expected {EXPECTED}")
    separator = _separator(head)
    header = [name.strip().strip('"') for name in head.splitlines()[0].split(separator)]
    found = columns_of(header)
    if "time" not in found or len(found) < 2:
        lacking = "no column of times" if "time" not in found else "no column of a known sensor"
        raise UserMistake(f"{member.name}: line 1: {lacking} among {', '.join(header)[:80]!r}; expected {EXPECTED}")
    axes = [axis for axis in "xyz" if axis in found]
    if axes and len(axes) < 3:
        request.leave_out("acceleration with fewer than three axes", f"{member.name}: {', '.join(axes)}")
        found = {meaning: number for meaning, number in found.items() if meaning not in axes}
    if ignored := [name for i, name in enumerate(header) if i not in found.values()]:
        request.note(f"{member.name}: ignored the columns {', '.join(ignored)}")
    decimal = "," if separator == ";" and re.search(r"(^|;)-?\d+,\d+(;|$)", head, re.MULTILINE) else "."
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    kinds, offsets, line = [], [], 2
    with member.open() as opened, io.BufferedReader(_Lines(opened, member.name)) as file:
        chunks = pd.read_csv(
            file, sep=separator, header=0, names=range(len(header)), usecols=[*found.values()], decimal=decimal,
            chunksize=CHUNK, encoding="utf-8-sig", encoding_errors="replace", on_bad_lines="skip", engine="c",
        )  # fmt: skip
        try:
            for chunk in chunks:
                if chunk.empty:
                    continue
                t, kind, offset = _times(chunk[found["time"]], member.name)
                kinds.append(kind)
                offsets += [offset] if offset else []
                line = _take(chunk, found, t, parts, member.name, line, request)
                request.progress(min(0.9, line / (line + CHUNK)))
        except (pd.errors.ParserError, UnicodeError, ValueError) as error:
            raise UserMistake(f"{member.name}: from line {line}: {str(error).splitlines()[0]}; expected CSV") from None
    if len(set(kinds)) != 1:
        what = "the format of times changes" if kinds else "no line after the column names"
        raise UserMistake(f"{member.name}: {what}; expected times in one format, and values")
    samples = {
        sensor: (np.concatenate([t for t, _ in chunks]), np.concatenate([v for _, v in chunks]))
        for sensor, chunks in parts.items()
    }
    utc = (np.concatenate([t for t, _ in offsets]), np.concatenate([o for _, o in offsets])) if offsets else None
    if back := _steps_back([t for t, _ in samples.values()]):
        what = f"times go back by up to {back:.0f} s: sorted; if the clock was set back, hours lie one over the other"
        request.note(f"{member.name}: {what}")
    if kinds[0] != "local":  # the order of local times tells which of two equal hours is the first
        samples = _sorted(samples)
    samples = {sensor: (t, values) for sensor, (t, values) in samples.items() if len(t)}
    return Table(member.name, _in_g(samples, member.name, request), kinds[0], utc)


def _steps_back(times):
    """Longest step back in s among arrays of times; 0 if none, or if newest comes first."""
    steps = [np.diff(t) for t in times if len(t) > 1]
    return max((-float(step.min()) for step in steps if step.min() < 0 < step.max()), default=0.0)


def _take(chunk, names, t, parts, file, line, request):
    """Add a chunk's samples to `parts`; returns the number of the next line."""
    unreadable = ~np.isfinite(t)
    for sensor, columns in (("heart_rate", ["heart_rate"]), ("motion", [*"xyz"]), ("activity", ["activity"]),
                            ("steps", ["steps"])):  # fmt: skip
        if not all(column in names for column in columns):
            continue
        raw = chunk[[names[column] for column in columns]]
        values = raw.apply(pd.to_numeric, errors="coerce").to_numpy(float)
        unreadable |= (~np.isfinite(values)).any(1) & raw.notna().all(axis=1).to_numpy()
        usable = np.isfinite(t) & np.isfinite(values).all(1)  # an empty cell is not an error
        parts.setdefault(sensor, []).append((t[usable], values[usable] if len(columns) > 1 else values[usable, 0]))
    if unreadable.any():
        what = f"{file}: {unreadable.sum()} from line {line + int(np.argmax(unreadable))} on"
        request.leave_out("lines with a time or value that is not a number", what)
    return line + len(chunk)


def _sorted(samples):
    kept = {}
    for sensor, (t, values) in samples.items():
        order = np.argsort(t, kind="stable") if (np.diff(t) < 0).any() else slice(None)
        kept[sensor] = t[order], values[order]
    return kept


def _in_g(samples, name, request):
    if "motion" in samples:
        t, xyz = samples["motion"]
        if (unit := unit_of_motion(xyz)) is None:
            request.leave_out("acceleration without gravity or in an unknown unit", f"{name}: {why_not(xyz)}")
            return {sensor: kept for sensor, kept in samples.items() if sensor != "motion"}
        request.note(f"{name}: acceleration is in {unit[0]}, as gravity shows")
        samples["motion"] = t, xyz / unit[1]
    return samples


def _from_start(table, number, request):
    """The night in a file whose times count from its start, or from when the device was switched on."""
    every = np.sort(np.concatenate([t for t, _ in table.samples.values()]))
    per_second = 1.0
    if every[-1] - every[0] > LONGEST_NIGHT_S:
        if (every[-1] - every[0]) / 1000 > LONGEST_NIGHT_S:
            raise UserMistake(f"{table.name}: times span {(every[-1] - every[0]) / 86400:.0f} days; expected one night")
        per_second = 1000.0
        request.note(f"{table.name}: times are read as ms from the start; in s the night would last days")
    first, last = longest_stretch(every / per_second)
    samples: Samples = {}
    for sensor, (t, values) in table.samples.items():
        within = (t / per_second >= first) & (t / per_second <= last)
        samples[sensor] = t[within] / per_second - first, values[within]
    return ImportedNight(f"night_{number}", samples)


def _clock(tables, request):
    """The wearer's local time; None if it is unknown, so that there can be only one night."""
    if request.zone is not None:
        return LocalTime(request.zone)
    offsets = [table.offsets for table in tables if table.offsets]
    if offsets:
        return LocalTime.of_offsets(*(np.concatenate(column) for column in zip(*offsets, strict=True)))
    if all(table.kind == "local" for table in tables):
        return LocalTime()
    return None


def nights(request: ImportRequest) -> Iterator[ImportedNight]:
    """Read the nights of one or several CSV files.

    Raises:
        UserMistake: No file can be read, or a time zone is needed.
    """
    tables: list[Table] = []
    with members(request.path, "*.csv", "*.txt", "*.tsv") as found:
        for member in found:
            try:
                with reading(member.name):
                    table = read_table(member, request)
                if table.samples:
                    tables.append(table)
            except UserMistake as error:
                if request.path.is_file() and not request.path.suffix.lower() == ".zip":
                    raise
                request.leave_out("files that are not as expected", error.message)
    number = 0
    for table in tables:
        if table.kind == "start":
            number += 1
            try:
                night = _from_start(table, number, request)
            except UserMistake as error:
                if len(tables) == 1:
                    raise
                request.leave_out("files that are not as expected", error.message)
                continue
            yield night
    dated = [table for table in tables if table.kind != "start"]
    if not dated:
        return
    if len({table.kind for table in dated}) > 1 and request.zone is None:
        raise UserMistake(
            f"{request.path}: some files have Unix times, some local times; add --zone, such as Europe/Berlin"
        )
    clock = _clock(dated, request)
    sources: dict[str, list[Source]] = {}
    for table in dated:
        for sensor, (t, values) in table.samples.items():
            if table.kind == "local" and request.zone is not None:
                told, t = len(t), clock.of_wall(t)
                t, values = t[np.isfinite(t)], values[np.isfinite(t)]
                if len(t) < told:
                    what = f"{table.name}: {told - len(t)} of {sensor.replace('_', ' ')}"
                    request.leave_out("values in an hour that the clock has twice, or not at all", what)
            sources.setdefault(sensor, []).append(Source(table.name, t, values))
    joined = plausible({sensor: [_joined(parts)] for sensor, parts in sources.items()}, request)
    joined = {sensor: parts for sensor, parts in joined.items() if len(parts[0].t)}
    if not joined:
        return
    if clock is None:
        every = np.concatenate([source.t for (source,) in joined.values()])
        if every.max() - every.min() > LONGEST_NIGHT_S:
            raise UserMistake(f"{request.path}: Unix times of several days; add --zone, such as Europe/Berlin")
        first, last = longest_stretch(np.sort(every))
        request.note("no --zone: all data are taken as one night")
        request.zone_text = "not stated"
        name = pd.Timestamp(first - 43200, unit="s").date().isoformat()  # from noon to noon, UTC
        inside = {
            sensor: slice(*np.searchsorted(s.t, [first, np.nextafter(last, np.inf)])) for sensor, (s,) in joined.items()
        }
        yield ImportedNight(name, {k: (joined[k][0].t[i] - first, joined[k][0].readings[i]) for k, i in inside.items()})
        return
    request.zone_text = (
        clock.description() if request.zone or any(t.offsets for t in dated) else "local times as written"
    )
    yield from nights_of(Sensed(joined), clock, request)


def _joined(parts):
    """Join several files of one sensor into one source."""
    t, values = np.concatenate([part.t for part in parts]), np.concatenate([part.readings for part in parts])
    order = np.argsort(t, kind="stable")
    return Source(
        ", ".join(part.name for part in parts[:3]) + (", …" if len(parts) > 3 else ""), t[order], values[order]
    )
