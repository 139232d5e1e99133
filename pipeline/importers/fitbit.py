"""Fitbit, exported by Google Takeout (a ZIP file or the folder in it): heart rate, steps and device stages.

Assumptions:

1. `heart_rate-*.json` and `steps-*.json` are in UTC, `sleep-*.json` in the wearer's local time; both without an offset.
   Heart rate files begin at the wearer's midnight: a published one from California begins at 07:00:04.
2. A confidence of 0 means that the watch was not worn.
3. `levels.shortData` are short awakenings that override `levels.data`.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np

from pipeline.constants import HOUR_S
from pipeline.errors import UserMistake
from pipeline.importers.archive import Member, members
from pipeline.importers.nights import DAY_S, LocalTime, Sensed, Source, nights_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage, ImportedNight
from pipeline.origin import Origin

ORIGIN = Origin("fitbit", licence="The wearer's own nights; not for others without their consent.")
NAMED = re.compile(r"(heart_rate|steps|sleep)-(\d{4}-\d\d-\d\d)( ?\(\d+\))?\.json", re.IGNORECASE)
STAGES = {
    "wake": "Wake",
    "awake": "Wake",
    "light": "Light",
    "deep": "Deep",
    "rem": "REM",
    "asleep": "Sleep",
    "restless": "Sleep",
}
DAYS_IN_MEMORY = 4  # of heart rate
EPOCH = date(1970, 1, 1)
DAMAGED = "files that are not as Fitbit writes them"


class Times:
    """Parses times such as '01/31/26 22:10:05'; each day is parsed only once."""

    def __init__(self):
        """Begin without any day."""
        self._days: dict[str, int] = {}

    def unix(self, text: str) -> int:
        """Unix time in s of a text in UTC; ValueError if it has another form."""
        if (day := self._days.get(text[:9])) is None:
            day = int(datetime.strptime(text[:9], "%m/%d/%y ").replace(tzinfo=UTC).timestamp())
            self._days[text[:9]] = day
        hour, minute, second = int(text[9:11]), int(text[12:14]), int(text[15:17])
        if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
            raise ValueError(text)
        return day + hour * 3600 + minute * 60 + second


def _day(text: str) -> date | None:
    """The date in a file's name; None if there is no such day, or no Fitbit can have recorded it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1990 <= day.year < 2100 else None


def _records(member: Member, request: ImportRequest):
    """The list in a JSON file; [] with a note in the request if it is not a list."""
    try:
        records = json.loads(member.read())
        if isinstance(records, list):
            return records
        what = "expected a list"
    except (ValueError, RecursionError, UserMistake) as error:
        what = f"not readable as JSON ({error})"
    request.leave_out(DAMAGED, f"{member.name}: {what}")
    return []


def _samples(member, request, value_of, times):
    """(t, values) of a file's records, [n] each; invalid records are left out and reported by number."""
    t, values, odd = [], [], []
    for i, record in enumerate(_records(member, request)):
        try:
            value = value_of(record["value"])
            if value is not None:
                t.append(times.unix(record["dateTime"]))
                values.append(value)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            odd.append(i + 1)
    if odd:
        what = f"{member.name}: {len(odd)} records, first {odd[0]}: expected dateTime 'MM/DD/YY HH:MM:SS' and value"
        request.leave_out("records that are not as Fitbit writes them", what)
    order = np.argsort(t, kind="stable")
    return np.array(t, float)[order], np.array(values, float)[order]


def _joined(parts):
    """(t, values) of several files, with ascending, unique times."""
    t, first = np.unique(np.concatenate([np.empty(0), *(t for t, _ in parts)]), return_index=True)
    return t, np.concatenate([np.empty(0), *(values for _, values in parts)])[first]


def _bpm(value):
    """Heart rate in a record's value; None if the watch was not worn."""
    return float(value["bpm"]) if value.get("confidence", 1) else None


def device_stages(levels: dict, clock: LocalTime) -> list[DeviceStage]:
    """The stages of one sleep record in Unix s, with short awakenings inserted.

    Raises:
        KeyError, ValueError: The record has another form.
    """
    spans: list[DeviceStage] = []
    for part in ("data", "shortData"):
        for entry in levels.get(part) or ():
            start = clock.unix(datetime.fromisoformat(entry["dateTime"]).replace(tzinfo=None))
            new = DeviceStage(start, start + float(entry["seconds"]), STAGES[entry["level"]], entry["level"])
            cut = []
            for old in spans:
                if old.end <= new.start or old.start >= new.end:
                    cut.append(old)
                    continue
                if old.start < new.start:
                    cut.append(DeviceStage(old.start, new.start, old.stage, old.original))
                if old.end > new.end:
                    cut.append(DeviceStage(new.end, old.end, old.stage, old.original))
            spans = [*cut, new]
    return sorted(spans, key=lambda span: span.start)


def _sleep(found, clock, request):
    """Stages of the sleep records in all files, without duplicates."""
    sleeps: dict[tuple, list[DeviceStage]] = {}
    for member in found:
        for i, record in enumerate(_records(member, request)):
            try:
                key = record["startTime"], record["endTime"]
                sleeps[key] = device_stages(record["levels"], clock)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                what = f"{member.name}: record {i + 1}: {type(error).__name__} {error}; expected startTime and levels"
                request.leave_out("sleep records that are not as Fitbit writes them", what)
    return sorted((stage for stages in sleeps.values() for stage in stages), key=lambda stage: stage.start)


def _begin_hours(days, clock, request):
    """Report whether heart rate is in UTC: files of whole days then begin at local midnight."""
    hours = [t[0] % DAY_S // HOUR_S for t in days if len(t)]
    local = [clock.local(t[:1])[0] % DAY_S // HOUR_S for t in days if len(t)]
    if len(hours) < 3:
        return
    if np.median(local) == 0:
        request.note(f"heart rate files begin at midnight in {clock.description()}, so they are in UTC as assumed")
    elif np.median(hours) == 0:
        request.note(
            "heart rate files begin at 00:00 UTC, not at local midnight: if nights look shifted by your UTC offset, "
            "the export is in local time; import it with --zone UTC"
        )


def nights(request: ImportRequest) -> Iterator[ImportedNight]:
    """Read the nights of a Takeout export, a few days in memory at a time.

    Raises:
        UserMistake: There is no heart rate in it, or the user gave no time zone.
    """
    if request.zone is None:
        raise UserMistake("fitbit: heart rate is in UTC, sleep in local time; add --zone, such as --zone Europe/Berlin")
    clock, times = LocalTime(request.zone), Times()
    request.zone_text = clock.description()
    with members(request.path, "heart_rate-*.json", "steps-*.json", "sleep-*.json") as found:
        kinds: dict[str, dict[date, list[Member]]] = {"heart_rate": {}, "steps": {}, "sleep": {}}
        for member in found:
            if match := NAMED.fullmatch(member.file_name):
                if (day_of_file := _day(match[2])) is None:
                    request.leave_out(DAMAGED, f"{member.name}: expected a date of 1990 to 2099 in its name")
                    continue
                kinds[match[1].lower()].setdefault(day_of_file, []).append(member)
        if not kinds["heart_rate"]:
            raise UserMistake(f"{request.path}: no heart_rate-YYYY-MM-DD.json in it; expected a Fitbit Takeout")
        sleep = _sleep([m for files in kinds["sleep"].values() for m in files], clock, request)
        steps = [_samples(m, request, float, times) for files in kinds["steps"].values() for m in files]
        step_t, step_n = _joined(steps)
        sleep_t = np.array([stage.start for stage in sleep])
        cached: OrderedDict[date, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        begins: list[np.ndarray] = []

        def heart_rate(day):
            if day not in cached:
                parts = [_samples(m, request, _bpm, times) for m in kinds["heart_rate"].get(day, ())]
                cached[day] = _joined(parts)
                begins.append(cached[day][0][:1])
                if len(cached) > DAYS_IN_MEMORY:
                    cached.popitem(last=False)
            return cached[day]

        files = sorted(kinds["heart_rate"])
        evenings = sorted({day + timedelta(days=shift) for day in files for shift in (-1, 0)})
        for i, evening in enumerate(evenings):
            request.progress(i / len(evenings))
            if not request.wants(evening.isoformat()):
                continue
            parts = [heart_rate(evening + timedelta(days=shift)) for shift in (-1, 0, 1, 2)]
            t, bpm = _joined(parts)
            day = (evening - EPOCH).days
            begin, end = (day - 1) * DAY_S, (day + 3) * DAY_S
            sources = {"heart_rate": [Source("Fitbit", t, bpm, watch=True)]}
            if len(step_t):
                near = slice(np.searchsorted(step_t, begin), np.searchsorted(step_t, end))
                sources["steps"] = [Source("Fitbit", step_t[near], step_n[near], watch=True)]
            stages = {"Fitbit": sleep[slice(*np.searchsorted(sleep_t, [begin, end]))]}
            yield from nights_of(Sensed(sources, stages), clock, request, {day})
        _begin_hours(begins, clock, request)
