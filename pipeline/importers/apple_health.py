"""Apple Health: `export.zip` from the Health app, or the `export.xml` in it. Heart rate, steps, device stages.

Assumptions:

1. `startDate` and `endDate` are `YYYY-MM-DD HH:MM:SS +HHMM`, with the offset of the wearer's clock at that time.
2. Records inside a `Correlation` are repeated outside it; the three types that are read do not occur inside one.
3. In other languages the export may have another name: the XML file that contains `HealthData` is read.
"""

import re
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.importers.archive import Member, members
from pipeline.importers.nights import DAY_S, LocalTime, Sensed, Source, nights_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage, ImportedNight
from pipeline.importers.xml import CHUNK, stream
from pipeline.origin import Origin

ORIGIN = Origin("apple-health", licence="The wearer's own nights; not for others without their consent.")
ROOT = "HealthData"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
PER_MINUTE = {"count/min": 1.0, "count/s": 60.0}  # units of heart rate
STAGES = {
    "InBed": "InBed",
    "Asleep": "Sleep",
    "AsleepUnspecified": "Sleep",
    "AsleepCore": "Light",
    "AsleepDeep": "Deep",
    "AsleepREM": "REM",
    "Awake": "Wake",
}
SKIPPED = re.compile(  # most of an export: matching takes a fifth of the time of parsing
    rb'\n *<(?:MetadataEntry |Record type="(?!(?:%s)"))[^>]*+(?<=/)>'
    % b"|".join(t.encode() for t in (HEART_RATE, STEPS, SLEEP))
)
STAGE_PREFIX = "HKCategoryValueSleepAnalysis"
TWELVE_HOURS = re.compile(r"\b[ap]\.?\s?m\b", re.IGNORECASE)
TIME = "YYYY-MM-DD HH:MM:SS +HHMM"


class Clock:
    """Parses the export's times; each day and offset is parsed only once."""

    def __init__(self):
        """Begin without any day."""
        self._days: dict[str, tuple[int, int]] = {}
        self.seen = array("d")  # Unix s and offset in s, alternating, at every change of day
        self._last = None

    def unix(self, text: str) -> float:
        """Unix time in s of a text of the form TIME.

        Raises:
            ValueError: The text has another form.
        """
        key = text[:11] + text[19:]
        if (day := self._days.get(key)) is None:
            midnight = datetime.strptime(key, "%Y-%m-%d  %z")
            offset = int(midnight.utcoffset().total_seconds())  # type: ignore[union-attr]  # %z gives one
            day = self._days[key] = int(midnight.timestamp()), offset
        if len(text) != 25 or text[13] != ":" or text[16] != ":":
            raise ValueError(text)
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
        if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
            raise ValueError(text)
        t = day[0] + hour * 3600 + minute * 60 + second
        if day is not self._last:  # the first record of each day tells when offsets change
            self._last = day
            self.seen.extend((t, day[1]))
        return t

    def local_time(self) -> LocalTime:
        """The wearer's local time, from all times seen."""
        pairs = np.asarray(self.seen).reshape(-1, 2)
        return LocalTime.of_offsets(pairs[:, 0], pairs[:, 1]) if len(pairs) else LocalTime()


class Records:
    """Collects heart rate, steps and sleep records from the stream of elements."""

    def __init__(self, request: ImportRequest, name: str):
        """Begin without records; name: of the file, for messages."""
        self.clock, self.name, self._request = Clock(), name, request
        self.heart: dict[str, tuple[array, array]] = {}
        self.steps: dict[str, tuple[array, array, array]] = {}
        self.sleep: dict[str, list[DeviceStage]] = {}
        self.watches: set[str] = set()
        self._from = -np.inf
        if request.since:
            since = datetime(request.since.year, request.since.month, request.since.day, tzinfo=UTC)
            self._from = since.timestamp() - DAY_S

    def start(self, tag: str, fields: dict[str, str]) -> None:
        """Take one element."""
        if tag != "Record":
            return
        kind = fields.get("type", "")
        try:
            if kind == HEART_RATE:
                self._heart_rate(fields)
            elif kind == STEPS:
                self._steps(fields)
            elif kind == SLEEP:
                self._sleep(fields)
        except (ValueError, KeyError):
            kind = kind.removeprefix("HKQuantityTypeIdentifier").removeprefix("HKCategoryTypeIdentifier")
            content = ", ".join(f"{k}={fields.get(k)!r}" for k in ("startDate", "endDate", "value", "unit"))
            self._request.leave_out(self._fault(fields), f"{kind} {content}")

    def _fault(self, fields):
        if any(TWELVE_HOURS.search(fields.get(name, "")) for name in ("startDate", "endDate")):
            return (
                f"records of {self.name} with 12-hour times, which are not supported; "
                "set the phone to 24 hours and export again"
            )
        return f"records of {self.name} without a time '{TIME}' or a number"

    def _source(self, fields, kinds, arrays):
        name = fields.get("sourceName", "unknown")
        if (columns := kinds.get(name)) is None:
            columns = kinds[name] = tuple(map(array, arrays))
        if name not in self.watches and "watch" in (name + fields.get("device", "")).lower():
            self.watches.add(name)
        return columns

    def _heart_rate(self, fields):
        t = self.clock.unix(fields["startDate"])
        if t < self._from:
            return
        value = float(fields["value"]) * PER_MINUTE[fields.get("unit", "count/min")]
        at, values = self._source(fields, self.heart, "df")
        at.append(t)
        values.append(value)

    def _steps(self, fields):
        begin, end = self.clock.unix(fields["startDate"]), self.clock.unix(fields["endDate"])
        if begin < self._from:
            return
        value = float(fields["value"])
        for column, entry in zip(self._source(fields, self.steps, "ddf"), (begin, end, value), strict=True):
            column.append(entry)

    def _sleep(self, fields):
        begin, end = self.clock.unix(fields["startDate"]), self.clock.unix(fields["endDate"])
        stage = fields["value"].removeprefix(STAGE_PREFIX)
        if end > self._from:
            stages = self.sleep.setdefault(fields.get("sourceName", "unknown"), [])
            stages.append(DeviceStage(begin, end, STAGES[stage], stage))

    def sensed(self) -> Sensed:
        """All records in order of time, without duplicates."""
        sources: dict[str, list[Source]] = {"heart_rate": [], "steps": []}
        for name, columns in self.heart.items():
            t, bpm = _in_order(columns)
            sources["heart_rate"].append(Source(name, t, bpm, name in self.watches))
        for name, steps in self.steps.items():
            begin, end, n = _in_order(steps)
            sources["steps"].append(Source(name, begin, n, name in self.watches, end))
        return Sensed({sensor: found for sensor, found in sources.items() if found}, self.sleep)


def _in_order(columns):
    arrays = [np.frombuffer(column, column.typecode) for column in columns]
    if (np.diff(arrays[0]) < 0).any():
        order = np.argsort(arrays[0], kind="stable")
        arrays = [values[order] for values in arrays]
    repeated = np.logical_and.reduce([np.diff(values, prepend=np.nan) == 0 for values in arrays])
    return [values[~repeated] for values in arrays] if repeated.any() else arrays


def _export(found, path) -> Member:
    """The file with the records: the largest with the right root; others hold the clinical summary."""
    for member in sorted(found, key=lambda member: -member.size):
        with reading(member.name), member.open() as file:
            if b"<" + ROOT.encode() in file.read(CHUNK):
                return member
    raise UserMistake(f"{path}: not an Apple Health export; expected export.zip or export.xml with <{ROOT}>")


def nights(request: ImportRequest) -> Iterator[ImportedNight]:
    """Read the nights of an export.

    Raises:
        UserMistake: The export is damaged, or not one of Apple Health.
    """
    with members(request.path, "*.xml") as found:
        member = _export(found, request.path)
        records = Records(request, member.name)
        size = max(member.size, 1)
        with reading(request.path), member.open() as file:
            stream(file, member.name, ROOT, records.start, lambda read: request.progress(read / size), SKIPPED)
    clock = LocalTime(request.zone) if request.zone else records.clock.local_time()
    request.zone_text = clock.description()
    yield from nights_of(records.sensed(), clock, request)
