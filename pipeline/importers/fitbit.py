"""Fitbit, as Google Takeout gives it (a ZIP file or the folder in it): heart rate, steps, the device's own stages.

Assumptions:

1. `heart_rate-*.json` and `steps-*.json` are in UTC, `sleep-*.json` in the wearer's local time; both without an offset.
   Files of heart rate begin at the wearer's midnight: one of a Californian that was made public begins at 07:00:04.
2. A confidence of 0 means that the watch was not worn.
3. `levels.shortData` are short wakes that lie over `levels.data`.
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
from pipeline.importers.asked import Asked
from pipeline.importers.nights import DAY_S, LocalTime, Sensed, Source, nights_of
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
HELD = 4  # days of heart rate in memory at a time
EPOCH = date(1970, 1, 1)
DAMAGED = "files that are not as Fitbit writes them"


class Times:
    """Unix times of texts such as '01/31/26 22:10:05'; a day is parsed once."""

    def __init__(self):
        """Begin without any day."""
        self._days: dict[str, int] = {}

    def unix(self, text: str) -> int:
        """Unix s of a text in UTC; ValueError in another form."""
        if (day := self._days.get(text[:9])) is None:
            day = int(datetime.strptime(text[:9], "%m/%d/%y ").replace(tzinfo=UTC).timestamp())
            self._days[text[:9]] = day
        return day + int(text[9:11]) * 3600 + int(text[12:14]) * 60 + int(text[15:17])


def _records(member: Member, asked: Asked):
    """The list in a JSON file; what is no list is said, and no records."""
    try:
        records = json.loads(member.read())
        if isinstance(records, list):
            return records
        what = "expected a list"
    except (ValueError, RecursionError, UserMistake) as error:
        what = f"not readable as JSON ({error})"
    asked.leave_out(DAMAGED, f"{member.name}: {what}")
    return []


def _samples(member, asked, value_of, times):
    """(t, values) of a file's records [n]; one that is not in the form is said with its number."""
    t, values, odd = [], [], []
    for i, record in enumerate(_records(member, asked)):
        try:
            value = value_of(record["value"])
            if value is not None:
                t.append(times.unix(record["dateTime"]))
                values.append(value)
        except (ValueError, KeyError, TypeError, AttributeError):
            odd.append(i + 1)
    if odd:
        what = f"{member.name}: {len(odd)} records, first {odd[0]}: expected dateTime 'MM/DD/YY HH:MM:SS' and value"
        asked.leave_out("records that are not as Fitbit writes them", what)
    order = np.argsort(t, kind="stable")
    return np.array(t, float)[order], np.array(values, float)[order]


def _joined(parts):
    """(t, values) of several files, ascending, each time once."""
    t, first = np.unique(np.concatenate([np.empty(0), *(t for t, _ in parts)]), return_index=True)
    return t, np.concatenate([np.empty(0), *(values for _, values in parts)])[first]


def _bpm(value):
    """Heart rate of a record's value; None where the watch was not worn."""
    return float(value["bpm"]) if value.get("confidence", 1) else None


def device_stages(levels: dict, clock: LocalTime) -> list[DeviceStage]:
    """The stages of one sleep record, short wakes laid over, Unix s.

    Raises:
        KeyError, ValueError: It is not in the form.
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
                    cut.append(DeviceStage(old.start, new.start, old.stage, old.said))
                if old.end > new.end:
                    cut.append(DeviceStage(new.end, old.end, old.stage, old.said))
            spans = [*cut, new]
    return sorted(spans, key=lambda span: span.start)


def _sleep(found, clock, asked):
    """Sleep records of all files, each sleep once."""
    sleeps: dict[tuple, list[DeviceStage]] = {}
    for member in found:
        for i, record in enumerate(_records(member, asked)):
            try:
                key = record["startTime"], record["endTime"]
                sleeps[key] = device_stages(record["levels"], clock)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"{member.name}: record {i + 1}: {type(error).__name__} {error}; expected startTime and levels"
                asked.leave_out("sleep records that are not as Fitbit writes them", what)
    return sorted((stage for stages in sleeps.values() for stage in stages), key=lambda stage: stage.start)


def _begin_hours(days, clock, asked):
    """Say which time heart rate is in: daily files of the whole day begin at local midnight, given in UTC."""
    hours = [t[0] % DAY_S // HOUR_S for t in days if len(t)]
    local = [clock.local(t[:1])[0] % DAY_S // HOUR_S for t in days if len(t)]
    if len(hours) < 3:
        return
    if np.median(local) == 0:
        asked.note(f"files of heart rate begin at midnight in {clock.said()}: they are in UTC, as was taken")
    elif np.median(hours) == 0:
        asked.note(
            "files of heart rate begin at 00:00 UTC, not at local midnight: if nights look shifted by your offset, "
            "the export is in local time: import it with --zone UTC"
        )


def nights(asked: Asked) -> Iterator[ImportedNight]:
    """The nights of a Takeout, a few days in memory at a time.

    Raises:
        UserMistake: There is no heart rate in it, or no zone was named.
    """
    if asked.zone is None:
        raise UserMistake("fitbit: heart rate is in UTC, sleep in local time; add --zone, such as --zone Europe/Berlin")
    clock, times = LocalTime(asked.zone), Times()
    asked.zone_said = clock.said()
    with members(asked.path, "heart_rate-*.json", "steps-*.json", "sleep-*.json") as found:
        kinds: dict[str, dict[date, list[Member]]] = {"heart_rate": {}, "steps": {}, "sleep": {}}
        for member in found:
            if match := NAMED.fullmatch(member.file_name):
                kinds[match[1].lower()].setdefault(date.fromisoformat(match[2]), []).append(member)
        if not kinds["heart_rate"]:
            raise UserMistake(f"{asked.path}: no heart_rate-YYYY-MM-DD.json in it; expected a Takeout of Fitbit")
        sleep = _sleep([m for files in kinds["sleep"].values() for m in files], clock, asked)
        steps = [_samples(m, asked, float, times) for files in kinds["steps"].values() for m in files]
        step_t, step_n = _joined(steps)
        sleep_t = np.array([stage.start for stage in sleep])
        held: OrderedDict[date, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        begins: list[np.ndarray] = []

        def heart_rate(day):
            if day not in held:
                parts = [_samples(m, asked, _bpm, times) for m in kinds["heart_rate"].get(day, ())]
                held[day] = _joined(parts)
                begins.append(held[day][0][:1])
                if len(held) > HELD:
                    held.popitem(last=False)
            return held[day]

        files = sorted(kinds["heart_rate"])
        evenings = sorted({day + timedelta(days=shift) for day in files for shift in (-1, 0)})
        for i, evening in enumerate(evenings):
            asked.progress(i / len(evenings))
            if not asked.wants(evening.isoformat()):
                continue
            parts = [heart_rate(evening + timedelta(days=shift)) for shift in (-1, 0, 1, 2)]
            t, bpm = _joined(parts)
            day = (evening - EPOCH).days
            begin, end = (day - 1) * DAY_S, (day + 3) * DAY_S
            sources = {"heart_rate": [Source("Fitbit", t, bpm, watch=True)]}
            if len(step_t):
                near = slice(np.searchsorted(step_t, begin), np.searchsorted(step_t, end))
                sources["steps"] = [Source("Fitbit", step_t[near], step_n[near], watch=True)]
            told = {"Fitbit": sleep[slice(*np.searchsorted(sleep_t, [begin, end]))]}
            yield from nights_of(Sensed(sources, told), clock, asked, {day})
        _begin_hours(begins, clock, asked)
