"""Where nights begin and end, local time, which source is taken, and steps by minute."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipeline.importers.nights import (
    LocalTime,
    Sensed,
    Source,
    evening_of,
    longest_stretch,
    minute_bins,
    nights_of,
    sleeps,
)
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage

BERLIN = LocalTime(ZoneInfo("Europe/Berlin"))


def unix(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_local_time_follows_the_clocks_of_a_zone():
    t = np.array([unix("2026-03-29 00:59:59"), unix("2026-03-29 01:00:00"), unix("2026-10-25 01:00:00")])
    assert (BERLIN.local(t) - t).tolist() == [3600, 7200, 3600]
    assert BERLIN.unix(datetime(2026, 7, 1, 12)) == unix("2026-07-01 10:00:00")
    assert BERLIN.description() == "Europe/Berlin"


def test_local_time_of_offsets_holds_until_the_next():
    clock = LocalTime.of_offsets(np.array([200.0, 0, 100]), np.array([7200.0, 3600, 3600]))
    assert (clock.local(np.array([-5.0, 150, 200, 300])) - [-5, 150, 200, 300]).tolist() == [3600, 3600, 7200, 7200]
    assert clock.description() == "offsets as written: UTC+01:00, UTC+02:00"


@pytest.mark.parametrize(
    ("time", "evening"),
    [("2026-01-31 18:00", 31), ("2026-02-01 00:00", 31), ("2026-02-01 12:00", 31), ("2026-02-01 12:01", None),
     ("2026-01-31 17:59", None)],
)  # fmt: skip
def test_a_night_lies_between_18_and_12(time, evening):
    expected = (date(2026, 1, evening) - date(1970, 1, 1)).days if evening else -1
    assert evening_of(np.array([unix(time)])).tolist() == [expected]


def test_the_longest_stretch_has_no_gap_of_two_hours():
    t = np.concatenate([np.arange(0, 3600, 60), np.arange(10800, 30000, 60), np.arange(37200, 39000, 60)])
    assert longest_stretch(t) == (10800, 29940)
    assert longest_stretch(np.array([0.0, 7199])) == (0, 7199)
    assert longest_stretch(np.array([5.0])) == (5, 5)


def test_sleeps_less_than_two_hours_apart_are_one_and_naps_by_day_none():
    def stage(start, end):
        return DeviceStage(unix(start), unix(end), "Sleep", "asleep")

    records = [stage("2026-02-01 13:00", "2026-02-01 17:00"), stage("2026-02-01 03:30", "2026-02-01 06:00")]
    records += [stage("2026-01-31 23:00", "2026-02-01 02:00"), stage("2026-01-31 19:00", "2026-01-31 19:30")]
    assert list(sleeps(records, LocalTime()).values()) == [(unix("2026-01-31 23:00"), unix("2026-02-01 06:00"))]
    assert sleeps([], LocalTime()) == {}


def source(name, start, hours, every, watch):
    t = unix(start) + np.arange(0, hours * 3600, every)
    return Source(name, t, np.full(len(t), 60.0), watch)


def test_a_source_on_the_wrist_comes_first_then_the_one_with_most_values():
    request = ImportRequest(Path())
    watch, strap = source("watch", "2026-01-31 23:00", 8, 300, True), source("strap", "2026-01-31 23:00", 8, 1, False)
    ring = source("ring", "2026-02-01 23:00", 8, 60, False), source("app", "2026-02-01 23:00", 8, 600, False)
    found = list(nights_of(Sensed({"heart_rate": [watch, strap, *ring]}), LocalTime(), request))
    assert [(night.name, len(night.samples["heart_rate"][0])) for night in found] == [
        ("2026-01-31", 96), ("2026-02-01", 480),
    ]  # fmt: skip
    assert request.notes[0] == "heart rate from 'watch', not from 'app', 'ring', 'strap'"


def test_steps_by_minute():
    t, steps = minute_bins(np.array([30.0, 600, 9000]), np.array([90.0, 600, 9060]), np.array([10.0, 4, 6]))
    assert dict(zip(t.tolist(), steps.tolist(), strict=True)) == {
        0: 5, 60: 5, **dict.fromkeys(range(120, 600, 60), 0), 600: 4, 660: 0, 9000: 6,
    }  # fmt: skip
