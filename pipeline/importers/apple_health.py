"""Apple Health: `export.zip` from the Health app, or the `export.xml` in it. Heart rate, steps, own stages.

Assumptions:

1. `startDate` and `endDate` are `YYYY-MM-DD HH:MM:SS +HHMM`; the offset is that of the wearer's clock at that time.
2. A record inside a `Correlation` is repeated outside it; of the three types that are read there is none in one.
3. The export of a phone in another language may be named differently: the XML file with `HealthData` in it is taken.
"""

import re
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.importers.archive import Member, members
from pipeline.importers.asked import Asked
from pipeline.importers.nights import DAY_S, LocalTime, Sensed, Source, nights_of
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
PASSED_OVER = re.compile(  # most of an export: as a match it takes a fifth of the time that parsing it does
    rb'\n *<(?:MetadataEntry |Record type="(?!(?:%s)"))[^>]*+(?<=/)>'
    % b"|".join(t.encode() for t in (HEART_RATE, STEPS, SLEEP))
)
SAID = "HKCategoryValueSleepAnalysis"
TWELVE_HOURS = re.compile(r"\b[ap]\.?\s?m\b", re.IGNORECASE)
TIME = "YYYY-MM-DD HH:MM:SS +HHMM"


class Clock:
    """Unix times of the export's texts; a day and an offset are parsed once."""

    def __init__(self):
        """Begin without any day."""
        self._days: dict[str, tuple[int, int]] = {}
        self.seen = array("d")  # Unix s and offset in s, in turn, wherever the offset changes
        self._last = None

    def unix(self, text: str) -> float:
        """Unix s of a text in the form of TIME.

        Raises:
            ValueError: It has another form.
        """
        key = text[:11] + text[19:]
        if (day := self._days.get(key)) is None:
            midnight = datetime.strptime(key, "%Y-%m-%d  %z")
            offset = int(midnight.utcoffset().total_seconds())  # type: ignore[union-attr]  # %z gives one
            day = self._days[key] = int(midnight.timestamp()), offset
        if len(text) != 25 or text[13] != ":" or text[16] != ":":
            raise ValueError(text)
        t = day[0] + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        if day is not self._last:  # a day's first record, of every source: enough to know when offsets change
            self._last = day
            self.seen.extend((t, day[1]))
        return t

    def local_time(self) -> LocalTime:
        """Of all that was seen."""
        pairs = np.asarray(self.seen).reshape(-1, 2)
        return LocalTime.of_offsets(pairs[:, 0], pairs[:, 1]) if len(pairs) else LocalTime()


class Records:
    """Takes what is wanted from the stream of elements."""

    def __init__(self, asked: Asked, name: str):
        """Begin with nothing read of the file of this name."""
        self.clock, self.name, self._asked = Clock(), name, asked
        self.heart: dict[str, tuple[array, array]] = {}
        self.steps: dict[str, tuple[array, array, array]] = {}
        self.sleep: dict[str, list[DeviceStage]] = {}
        self.watches: set[str] = set()
        self._from = -np.inf
        if asked.since:
            since = datetime(asked.since.year, asked.since.month, asked.since.day, tzinfo=UTC)
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
            said = ", ".join(f"{k}={fields.get(k)!r}" for k in ("startDate", "endDate", "value", "unit"))
            self._asked.leave_out(self._fault(fields), f"{kind} {said}")

    def _fault(self, fields):
        if any(TWELVE_HOURS.search(fields.get(name, "")) for name in ("startDate", "endDate")):
            return (
                f"records of {self.name} with a 12-hour clock, which is not read as it was never seen in an export; "
                "set the phone to 24 hours and export anew"
            )
        return f"records of {self.name} that do not read '{TIME}' and a number"

    def _source(self, fields, kinds, arrays):
        name = fields.get("sourceName", "unknown")
        if (held := kinds.get(name)) is None:
            held = kinds[name] = tuple(map(array, arrays))
        if name not in self.watches and "watch" in (name + fields.get("device", "")).lower():
            self.watches.add(name)
        return held

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
        said = fields["value"].removeprefix(SAID)
        if end > self._from:
            stages = self.sleep.setdefault(fields.get("sourceName", "unknown"), [])
            stages.append(DeviceStage(begin, end, STAGES[said], said))

    def sensed(self) -> Sensed:
        """All that was taken, in order of time, what is told twice once."""
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
    again = np.logical_and.reduce([np.diff(values, prepend=np.nan) == 0 for values in arrays])
    return [values[~again] for values in arrays] if again.any() else arrays


def _export(found, path) -> Member:
    """The file with the records: the largest with the right root; others are the clinical summary."""
    for member in sorted(found, key=lambda member: -member.size):
        with reading(member.name), member.open() as file:
            if b"<" + ROOT.encode() in file.read(CHUNK):
                return member
    raise UserMistake(f"{path}: holds no export of Apple Health; expected export.zip or export.xml with <{ROOT}>")


def nights(asked: Asked) -> Iterator[ImportedNight]:
    """The nights of an export.

    Raises:
        UserMistake: The export is damaged or none.
    """
    with members(asked.path, "*.xml") as found:
        member = _export(found, asked.path)
        records = Records(asked, member.name)
        size = max(member.size, 1)
        with reading(asked.path), member.open() as file:
            stream(file, member.name, ROOT, records.start, lambda read: asked.progress(read / size), PASSED_OVER)
    clock = LocalTime(asked.zone) if asked.zone else records.clock.local_time()
    asked.zone_said = clock.said()
    yield from nights_of(records.sensed(), clock, asked)
