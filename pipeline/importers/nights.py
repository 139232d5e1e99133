"""Finds the nights in days or years of sensor data.

A night is defined by the device's sleep records or, if there are none, as the longest stretch with heart rate or
movement without a gap of GAP_S, between 18:00 and 12:00 local time. It is named by the date of its evening, even if it
begins after midnight.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipeline.constants import HOUR_S, LEAD_S, MINUTE_S
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import SENSED, DeviceStage, ImportedNight, Samples

DAY_S = 24 * HOUR_S
EVENING_S = 18 * HOUR_S  # local time of day from which a night may begin
NIGHT_S = 18 * HOUR_S  # from then to 12:00
GAP_S = 2 * HOUR_S  # time without values, or without sleep, that ends a night
EARLIEST, LATEST = 631152000.0, 4102444800.0  # Unix s of 1990 and 2100, between which wearables record
LARGEST_OFFSET_S = 15 * HOUR_S  # from UTC; the largest of a country is 14 h
IMPOSSIBLE_TIMES = "values at times before 1990 or after 2099"
SENSORS = {"heart_rate": "heart rate", "motion": "motion", "steps": "steps", "activity": "activity counts"}


@dataclass(frozen=True)
class LocalTime:
    """Converts between Unix times and the wearer's local time.

    Attributes:
        zone: The wearer's time zone; None if only offsets are known.
        since: Unix s from which each offset applies, ascending, [n]; used without a zone.
        offsets: UTC offsets in s, [n].
    """

    zone: ZoneInfo | None = None
    since: np.ndarray = field(default_factory=lambda: np.zeros(1))
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @classmethod
    def of_offsets(cls, t: np.ndarray, offsets: np.ndarray) -> "LocalTime":
        """From the UTC offset at each time, in any order; between times the earlier offset applies."""
        order = np.argsort(t, kind="stable")
        t, offsets = np.asarray(t, float)[order], np.asarray(offsets, float)[order]
        changed = np.flatnonzero(np.diff(offsets, prepend=np.nan) != 0)
        return cls(None, t[changed], offsets[changed])

    def local(self, t: np.ndarray) -> np.ndarray:
        """Wall-clock time in s since 1970 of Unix times [n]."""
        t = np.asarray(t, float)
        if self.zone is None:
            return t + self.offsets[np.clip(np.searchsorted(self.since, t, "right") - 1, 0, None)]
        hours, of_hour = np.unique(
            t // (HOUR_S / 4), return_inverse=True
        )  # no zone changes within a quarter of an hour
        utc = pd.to_datetime(hours * (HOUR_S // 4), unit="s", utc=True)
        shift = np.asarray(utc.tz_convert(self.zone).tz_localize(None) - utc.tz_localize(None), "timedelta64[s]")
        return t + shift.astype(float)[of_hour]

    def of_wall(self, t: np.ndarray) -> np.ndarray:
        """Unix times of wall-clock times in s since 1970, [n], in the order of recording. Only with a zone.

        An hour that a clock change repeats is resolved if times step back in it once; else, and in an hour that it
        leaves out, times are NaN.
        """
        t = np.asarray(t, float)
        minutes, of_minute = np.unique(np.floor(t / MINUTE_S), return_inverse=True)
        wall = pd.to_datetime(minutes * MINUTE_S, unit="s")

        def shift(ambiguous):
            utc = wall.tz_localize(self.zone, ambiguous=ambiguous, nonexistent="NaT").tz_convert("UTC")
            return np.asarray((utc.tz_localize(None) - wall) / pd.Timedelta(seconds=1), float)[of_minute]

        first, second = shift(np.ones(len(wall), bool)), shift(np.zeros(len(wall), bool))
        twice = np.flatnonzero(first < second)
        back = np.flatnonzero(np.diff(t[twice]) < 0)
        if len(back) != 1:
            first[twice] = np.nan
        else:
            first[twice[back[0] + 1 :]] = second[twice[back[0] + 1 :]]
        return t + first

    def unix(self, wall_clock: datetime) -> float:
        """Unix time in s of a wall-clock time without offset."""
        if self.zone is not None:
            return wall_clock.replace(tzinfo=self.zone).timestamp()
        as_utc = wall_clock.replace(tzinfo=UTC).timestamp()
        shifted = as_utc - self.offsets
        return float(shifted[np.clip(np.searchsorted(self.since, shifted[0], "right") - 1, 0, None)])

    def description(self) -> str:
        """The time zone or offsets as text, for the origin."""
        if self.zone is not None:
            return self.zone.key
        names = {timezone(timedelta(seconds=float(s))).tzname(None) for s in self.offsets}
        return "offsets as written: " + ", ".join(sorted(names))


@dataclass
class Source:
    """One sensor's data from one device or app. Times are Unix s.

    Attributes:
        name: Name in the export; it may contain the wearer's name, so it is shown but never written to a file.
        t: Times, ascending, [n]; of steps, the start of each bin.
        readings: Values, [n]; of motion [n, 3].
        watch: Whether the device is worn on the wrist.
        ends: End of each bin of steps, [n]; None if bins last a minute.
    """

    name: str
    t: np.ndarray
    readings: np.ndarray
    watch: bool = False
    ends: np.ndarray | None = None


@dataclass
class Sensed:
    """All data by sensor and source, and the devices' sleep records by source (Unix s)."""

    sources: dict[str, list[Source]]
    sleep: dict[str, list[DeviceStage]] = field(default_factory=dict)


def plausible(sources: dict[str, list[Source]], request: ImportRequest) -> dict[str, list[Source]]:
    """The sources without values at times that no wearable can have recorded, which are noted in the request."""
    kept: dict[str, list[Source]] = {}
    for sensor, of_sensor in sources.items():
        for source in of_sensor:
            usable = (source.t >= EARLIEST) & (source.t < LATEST)  # NaN compares as False
            if not usable.all():
                what = f"{(~usable).sum()} of {len(usable)} of {SENSORS[sensor]} from {source.name!r}"
                request.leave_out(IMPOSSIBLE_TIMES, what)
                ends = source.ends[usable] if source.ends is not None else None
                source = replace(source, t=source.t[usable], readings=source.readings[usable], ends=ends)
            kept.setdefault(sensor, []).append(source)
    return kept


def plausible_sleep(sleep: dict[str, list[DeviceStage]], request: ImportRequest) -> dict[str, list[DeviceStage]]:
    """The devices' sleep records without those that end before they start or last days, which are noted."""
    kept = {}
    for name, records in sleep.items():
        kept[name] = [r for r in records if EARLIEST <= r.start <= r.end <= min(r.start + DAY_S, LATEST)]
        if odd := len(records) - len(kept[name]):
            request.leave_out("sleep records that end before they start, or last days", f"{odd} from {name!r}")
    return kept


def evening_of(local: np.ndarray) -> np.ndarray:
    """Evening, in days since 1970, that wall-clock times [n] belong to; -1 for those between 12:00 and 18:00."""
    since_evening = np.asarray(local) - EVENING_S
    return np.where(since_evening % DAY_S <= NIGHT_S, since_evening // DAY_S, -1).astype(int)


def longest_stretch(t: np.ndarray) -> tuple[float, float]:
    """First and last time of the longest stretch of ascending times without a gap of GAP_S."""
    cuts = np.flatnonzero(np.diff(t) >= GAP_S)
    first, last = t[np.append(0, cuts + 1)], t[np.append(cuts, len(t) - 1)]
    longest = np.argmax(last - first)
    return float(first[longest]), float(last[longest])


def sleeps(records: Sequence[DeviceStage], clock: LocalTime) -> dict[int, tuple[float, float]]:
    """{evening: (start, end)} of each night's longest sleep; records less than GAP_S apart belong to one sleep."""
    found: dict[int, tuple[float, float]] = {}
    groups: list[list[float]] = []
    for record in sorted(records, key=lambda record: record.start):
        if groups and record.start - groups[-1][1] < GAP_S:
            groups[-1][1] = max(groups[-1][1], record.end)
        else:
            groups.append([record.start, record.end])
    if not groups:
        return found
    for evening, (start, end) in zip(evening_of(clock.local(np.array(groups)[:, 0])), groups, strict=True):
        before = found.get(int(evening), (0.0, 0.0))
        if evening >= 0 and end - start > before[1] - before[0]:
            found[int(evening)] = start, end
    return found


def _best(sources, start, end):
    """The source for a span: preferably one on the wrist, then the one with most values; None if none has any."""
    counts = [(int(np.searchsorted(s.t, end, "right") - np.searchsorted(s.t, start)), s) for s in sources]
    return max(((s.watch, n, s.name, s) for n, s in counts if n), default=(None,), key=lambda entry: entry[:3])[-1]


def _cut(source, start, end):
    within = slice(np.searchsorted(source.t, start - LEAD_S), np.searchsorted(source.t, end, "right"))
    t, values = source.t[within], source.readings[within]
    if source.ends is not None:
        t, values = minute_bins(t, source.ends[within], values)
    return t - start, values


def _sleep_source(sleep, start, end):
    """Name of the source with most staged sleep records within a span; None without sources."""

    def stage_counts(name):
        within = [r for r in sleep[name] if r.start < end and r.end > start]
        return sum(r.stage not in ("Sleep", "InBed") for r in within), len(within)

    return max(sleep, key=stage_counts, default=None)


def nights_of(
    sensed: Sensed, clock: LocalTime, request: ImportRequest, evenings: Collection[int] | None = None
) -> Iterator[ImportedNight]:
    """Find the nights in sensor data.

    Args:
        sensed: All sensor data.
        clock: The wearer's local time.
        request: The import; gives the first night wanted, and gets notes about the sources used.
        evenings: Evenings to consider, in days since 1970; None for all.

    Yields:
        Nights in order, with samples from up to LEAD_S before their start, from one source per sensor.
    """
    sensed = Sensed(plausible(sensed.sources, request), plausible_sleep(sensed.sleep, request))
    merged = [source.t for sensor in SENSED for source in sensed.sources.get(sensor, ())]
    t = np.sort(np.concatenate([np.empty(0), *merged]))
    evening = evening_of(clock.local(t)) if len(t) else np.empty(0, int)
    order = np.argsort(evening, kind="stable")
    t, evening = t[order], evening[order]
    slept = sleeps([r for records in sensed.sleep.values() for r in records], clock)
    for day in np.unique(evening):
        name = (date(1970, 1, 1) + timedelta(days=int(day))).isoformat()
        if day < 0 or not request.wants(name) or (evenings is not None and day not in evenings):
            continue
        span = slice(np.searchsorted(evening, day), np.searchsorted(evening, day, "right"))
        start, end = slept.get(int(day)) or longest_stretch(t[span])
        samples: Samples = {}
        for sensor, sources in sensed.sources.items():
            if (best := _best(sources, start, end)) is not None:
                samples[sensor] = _cut(best, start, end)
                others = ", ".join(sorted(repr(s.name) for s in sources if s is not best))
                request.note(f"{SENSORS[sensor]} from {best.name!r}" + (f", not from {others}" if others else ""))
        stages = []
        if (source := _sleep_source(sensed.sleep, start, end)) is not None:
            stages = [
                DeviceStage(max(r.start, start) - start, min(r.end, end) - start, r.stage, r.original)
                for r in sorted(sensed.sleep[source], key=lambda record: record.start)
                if r.start < end and r.end > start and r.stage != "InBed"
            ]
        yield ImportedNight(name, samples, device_stages=stages)


def minute_bins(start: np.ndarray, end: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert steps in bins of any length to steps per minute.

    Each count is spread evenly over its bin. Minutes without steps are filled with 0 between minutes with steps that
    are less than an hour apart, because in the layout a bin ends where the next one begins.

    Args:
        start: Starts of the bins, Unix s, [n].
        end: Ends of the bins, Unix s, [n].
        counts: Steps in each bin, [n].

    Returns:
        (start of each minute in Unix s, steps in it), ascending.
    """
    total: dict[int, float] = {}
    for a, b, n in zip(start.tolist(), end.tolist(), counts.tolist(), strict=True):
        first, last = int(a // 60), int(max(a, b - 1e-6) // 60)
        for minute in range(first, min(last, first + 24 * 60) + 1):
            share = 1.0 if last == first else (min(b, 60 * minute + 60) - max(a, 60 * minute)) / (b - a)
            total[minute] = total.get(minute, 0.0) + n * share
    minutes = np.array(sorted(total), np.int64)
    gaps = np.flatnonzero((np.diff(minutes) > 1) & (np.diff(minutes) < 60))
    after = minutes[np.flatnonzero(np.diff(minutes) >= 60)] + 1
    filled = [np.arange(minutes[i] + 1, minutes[i + 1]) for i in gaps]
    every = np.unique(np.concatenate([minutes, after, *filled])).astype(np.int64)
    return every * 60.0, np.array([total.get(int(minute), 0.0) for minute in every])
