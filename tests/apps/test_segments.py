"""Runs of a health store and the clocks of zones; the service and sleep_stager.py both use them."""

from datetime import datetime, timedelta

import pytest

from apps.python.sleep_stager import equal_runs, iso_time, local_time, zone_of

AUTUMN = 1792890000000  # 2026-10-25T01:00:00Z, when Central European clocks go back from three to two


def test_equal_values_merge():
    epochs = [(0, 2), (30, 3), (60, 3), (90, 2)]
    assert equal_runs(epochs, 30) == [(0, 30_000, 2), (30_000, 90_000, 3), (90_000, 120_000, 2)]
    assert equal_runs(reversed(epochs), 30) == equal_runs(epochs, 30)


def test_a_gap_stays_a_gap():
    assert equal_runs([(0, 2), (60, 2)], 30) == [(0, 30_000, 2), (60_000, 90_000, 2)]


def test_an_unknown_stage_is_a_gap():
    assert equal_runs([(0, 2), (30, None), (60, 2)], 30) == [(0, 30_000, 2), (60_000, 90_000, 2)]
    assert equal_runs([(0, None), (15, 3)], 30) == [(15_000, 45_000, 3)]


def test_overlap_goes_to_the_earlier_epoch():
    assert equal_runs([(0, 2), (15, 3)], 30) == [(0, 30_000, 2), (30_000, 45_000, 3)]
    assert equal_runs([(0, 2), (0, 3)], 30) == [(0, 30_000, 2)]


def test_times_are_rounded_to_milliseconds_from_the_origin():
    assert equal_runs([(0.0004, 2)], 30, origin=10.25) == [(10_250, 40_250, 2)]
    assert equal_runs([(0.0005, 2)], 30) == [(1, 30_001, 2)]


def test_nothing():
    assert equal_runs([], 30) == []


def test_offsets_are_those_of_the_zone_at_the_time():
    zone = zone_of("Europe/Berlin")
    assert iso_time(AUTUMN - 1000, zone) == "2026-10-25T02:59:59+02:00"
    assert iso_time(AUTUMN, zone) == "2026-10-25T02:00:00+01:00"
    assert iso_time(AUTUMN + 250, zone) == "2026-10-25T02:00:00.250+01:00"
    assert iso_time(-1, zone_of("+00:00")) == "1969-12-31T23:59:59.999+00:00"
    assert local_time(AUTUMN, zone).utcoffset() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "minutes", "title"),
    [("+02:00", 120, "GMT+0200"), ("-03:30", -210, "GMT-0330"), ("+0545", 345, "GMT+0545")],
)
def test_zones_by_offset(name, minutes, title):
    zone = zone_of(name)
    assert zone.utcoffset(datetime(2026, 1, 1)) == timedelta(minutes=minutes)
    assert str(zone) == title


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "+25:00", "+02:60", "+2:00", "", "Europe", "02:00"]
)
def test_what_is_no_zone(name):
    with pytest.raises(ValueError, match="neither an IANA name"):
        zone_of(name)
