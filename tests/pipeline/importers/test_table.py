"""CSV of any app: separators, kinds of time, units of acceleration, and what is wrong with files."""

import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.__main__ import main

START = datetime(2026, 1, 31, 22, tzinfo=UTC).timestamp()
HOUR = np.arange(0, 3600, 5)
ZONE = ("--zone", "Europe/Berlin")


def table(path, times, header="time,heart_rate", values=lambda i: "60", separator=","):
    lines = [header, *(separator.join([str(t), values(i)]) for i, t in enumerate(times))]
    path.write_text("\n".join(lines) + "\n")
    return path


def t_of(done):
    return done.read(f"heart_rate/{done.nights[0]}_heartrate.txt")[:, 0]


@pytest.mark.parametrize("per_second", [1, 1000, 10**6, 10**9])
def test_unix_times_in_any_unit(tmp_path, imported, per_second):
    path = table(tmp_path / "a.csv", [int((START + s) * per_second) for s in HOUR])
    done = imported("csv", path, *ZONE)
    assert done.nights == ["2026-01-31"]
    assert np.allclose(t_of(done), HOUR)
    assert done.origin["zone"] == "Europe/Berlin"


def test_iso_times_with_offset_and_without(tmp_path, imported):
    iso = [datetime.fromtimestamp(START + s, UTC).isoformat() for s in HOUR]
    assert imported("csv", table(tmp_path / "a.csv", iso)).origin["zone"] == "offsets as written: UTC"
    local = imported("csv", table(tmp_path / "b.csv", [text[:19].replace("T", " ") for text in iso]))
    assert local.nights == ["2026-01-31"]
    assert local.origin["zone"] == "local times as written"
    assert np.allclose(t_of(local), HOUR)


@pytest.mark.parametrize("shift", [0, 81234.5])
def test_seconds_from_the_start_or_since_the_device_was_switched_on(tmp_path, imported, shift):
    done = imported("csv", table(tmp_path / "a.csv", HOUR + shift, "seconds_elapsed,bpm"))
    assert done.nights == ["night_1"]
    assert np.allclose(t_of(done), HOUR)


def test_milliseconds_from_the_start(tmp_path, imported):
    done = imported("csv", table(tmp_path / "a.csv", HOUR * 1000))
    assert np.allclose(t_of(done), HOUR)
    assert "times are read as ms from the start" in done.output


@pytest.mark.parametrize(("separator", "value"), [(";", "60,5"), ("\t", "60.5"), (",", "60.5")])
def test_separators_and_decimal_commas(tmp_path, imported, separator, value):
    path = table(tmp_path / "a.csv", HOUR, f"Time{separator}Heart Rate (bpm)", lambda i: value, separator)
    done = imported("csv", path)
    assert set(done.read("heart_rate/night_1_heartrate.txt")[:, 1]) == {60.5}


@pytest.mark.parametrize(
    ("gravity", "unit"), [(1.0, "g"), (9.81, "m/s²"), (1000, "milli-g"), (64, "1/64 g")]
)  # fmt: skip
def test_the_unit_of_acceleration_is_told_by_gravity(tmp_path, imported, gravity, unit):
    t = np.arange(0, 2400, 0.5)
    path = table(tmp_path / "a.csv", t, "t,z,y,x", lambda i: f"{gravity},0,{gravity / 10}")
    done = imported("csv", path)
    assert f"acceleration is in {unit}, as gravity shows" in done.output
    rows = np.loadtxt(done.out / "motion" / "night_1_acceleration.txt")
    assert np.allclose(rows[0], [0, 0.1, 0, 1], atol=1e-3)


def test_acceleration_without_gravity_is_left_out(tmp_path, imported):
    path = table(tmp_path / "a.csv", HOUR, "t,x,y,z,bpm", lambda i: "0.01,0.02,0.01,60")
    done = imported("csv", path)
    assert not (done.out / "motion").exists()
    assert "gravity seems to have been removed" in done.output


def test_other_columns_are_ignored_and_named(tmp_path, imported):
    path = table(tmp_path / "a.csv", HOUR, "time,spo2,bpm,mood", lambda i: "97,60,fine")
    assert "a.csv: ignored the columns spo2, mood" in imported("csv", path).output


def test_rows_of_one_sensor_each(tmp_path, imported):
    path = table(tmp_path / "a.csv", HOUR, "time,bpm,steps", lambda i: ",7" if i == 100 else "60,")
    done = imported("csv", path)
    assert len(t_of(done)) == len(HOUR) - 1
    assert done.read("steps/night_1_steps.txt").tolist() == [[500, 7]]
    assert "no number" not in done.output


def test_activity_must_be_counted_every_15_s(tmp_path, imported):
    done = imported("csv", table(tmp_path / "a.csv", np.arange(0, 3600, 15), "time,activity"))
    assert len(done.read("counts/night_1_counts.txt")) == 240
    path = table(tmp_path / "b.csv", np.arange(0, 36000, 60), "time,activity,bpm", lambda i: "3,60")
    assert "activity counts not every 15 s (1): night_1: every 60 s" in imported("csv", path).output


def test_a_folder_is_laid_together_and_a_bad_file_is_named(tmp_path, imported):
    folder = tmp_path / "export"
    folder.mkdir()
    table(
        folder / "HeartRate.csv", [int((START + s) * 1e9) for s in HOUR], "time,seconds_elapsed,bpm", lambda i: "1,60"
    )
    table(folder / "Total.csv", [int((START + s) * 1e9) for s in HOUR], "time,z,y,x", lambda i: "9.8,0,0")
    (folder / "notes.txt").write_text("slept well\n")
    done = imported("csv", folder, *ZONE)
    assert {path.name for path in done.out.iterdir()} == {"heart_rate", "motion", "origin.json"}
    assert "files that are not as expected (1): notes.txt: line 1: no column of times" in done.output


def test_unreadable_lines_are_counted(tmp_path, imported):
    done = imported("csv", table(tmp_path / "a.csv", HOUR, values=lambda i: "n.a.?" if i == 7 else "60"))
    assert "lines with a time or value that is not a number (1): a.csv: 1 from line 9 on" in done.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv: empty; expected a line of names"),
        ("time,heart_rate\n", "a.csv: no line after the column names"),
        ("1769810400,61\n1769810405,62\n", "a.csv: line 1: no column of times"),
        ("time,mood\n1,2\n", "no column of a known sensor"),
        ("time,bpm\nnoon,60\n", "time: 'noon'; expected Unix s or ms"),
        ("time,bpm\n0,60\n5,60\n", "no usable night in it"),
        ("time,bpm\n0,60\n90000000,60\n", "a.csv: times span"),
        ("time,bpm\n1769810400,60\n1769990400,60\n", "Unix times of several days; add --zone"),
        ("\x00\x01\x02", "a.csv: line 1: no column of times"),
    ],
)
def test_mistakes_get_one_line(tmp_path, imported, mistake, content, message):
    (tmp_path / "a.csv").write_text(content)
    assert message in mistake(imported("csv", tmp_path / "a.csv", ends_well=False).result)


def test_a_folder_within_what_is_read_is_refused(tmp_path, mistake):
    (tmp_path / "in").mkdir()
    table(tmp_path / "in" / "a.csv", HOUR)
    for out in (tmp_path / "in" / "out", tmp_path / "in"):
        result = CliRunner().invoke(main, ["import", "csv", str(tmp_path / "in"), str(out)])
        assert "in, which is imported; name a folder elsewhere" in mistake(result)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.csv"]


def test_since_tells_why_there_is_nothing(tmp_path, imported, mistake):
    path = table(tmp_path / "a.csv", [int(START + s) for s in HOUR])
    late = imported("csv", path, *ZONE, "--since", "2026-02-01", ends_well=False)
    assert "no usable night in it from --since 2026-02-01 on" in mistake(late.result)
    future = imported("csv", path, *ZONE, "--since", "2999-01-01", ends_well=False)
    assert "--since 2999-01-01: is in the future" in mistake(future.result)
    nonsense = imported("csv", path, *ZONE, "--since", "soon", ends_well=False)
    assert nonsense.result.exit_code == 2 and "soon" in nonsense.result.stderr


def test_what_cannot_be_read_in_a_folder_is_named_and_the_rest_imported(tmp_path, imported):
    table(tmp_path / "a.csv", [START + s for s in HOUR])
    os.mkfifo(tmp_path / "b.csv")
    (tmp_path / "c.csv").symlink_to(tmp_path / "gone")
    (tmp_path / "e.csv").write_bytes(b"time,bpm\n1,60\n" + bytes(1 << 18))
    table(tmp_path / "f.csv", [0, 1e9, 5e9])
    done = imported("csv", tmp_path, *ZONE)
    assert done.nights == ["2026-01-31"]
    for text in ("as expected (3): b.csv: not a regular file", "c.csv: not a regular", "e.csv: zero bytes"):
        assert text in done.output


def test_a_pipe_is_not_waited_for(tmp_path, imported, mistake):
    os.mkfifo(tmp_path / "a.csv")
    assert "not a regular file or folder" in mistake(imported("csv", tmp_path / "a.csv", ends_well=False).result)


@pytest.mark.parametrize(
    "content", [b"time,bpm\n1,60\n" + bytes(1 << 18), b"time,bpm\n" + b"1,60\n" * 20000 + b"7" * (3 << 20)]
)
def test_zero_bytes_and_endless_lines_are_not_kept(tmp_path, imported, mistake, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert "zero bytes, or a line of more than" in mistake(imported("csv", tmp_path / "a.csv", ends_well=False).result)


def test_impossible_times_are_left_out(tmp_path, imported):
    times = [*(START + s for s in HOUR), 1e15, -1e300]
    done = imported("csv", table(tmp_path / "a.csv", times), *ZONE)
    assert np.allclose(t_of(done), HOUR)
    assert "values at times before 1990 or after 2099 (1): 2 of 722 of heart rate" in done.output


def test_times_with_and_without_offset_are_not_mixed(tmp_path, imported, mistake):
    iso = [datetime.fromtimestamp(START + s, UTC).isoformat()[: 19 if s > 99 else None] for s in HOUR]
    line = mistake(imported("csv", table(tmp_path / "a.csv", iso), ends_well=False).result)
    assert "some times have a UTC offset, others do not" in line


def test_ignored_columns_may_have_one_name(tmp_path, imported):
    path = table(tmp_path / "a.csv", HOUR, "time,heart_rate,x1,x1", lambda i: f"{60 + i % 5},7,8")
    assert "ignored the columns x1, x1" in imported("csv", path).output


def local_times(first, hours=8):
    """Berlin's wall clock, without offset, every 30 s from a time in UTC."""
    return [
        datetime.fromtimestamp(first.timestamp() + s, ZoneInfo("Europe/Berlin")).isoformat()[:19]
        for s in range(0, 3600 * hours, 30)
    ]


@pytest.mark.parametrize("first", [datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2025, 10, 25, 22, tzinfo=UTC)])
def test_local_times_around_a_clock_change_are_exact_with_a_zone(tmp_path, imported, first):
    done = imported("csv", table(tmp_path / "a.csv", local_times(first)), *ZONE)
    assert np.allclose(t_of(done), np.arange(0, 8 * 3600, 30))


def test_an_hour_that_a_clock_has_twice_is_told_without_zone_and_left_out_without_order(tmp_path, imported):
    times = local_times(datetime(2025, 10, 25, 22, tzinfo=UTC))
    told = "times go back by up to 3570 s: sorted"
    assert told in imported("csv", table(tmp_path / "a.csv", times)).output
    shuffled = np.random.default_rng(0).permutation(times)
    assert (
        "values in an hour that the clock has twice"
        in imported("csv", table(tmp_path / "b.csv", shuffled), *ZONE).output
    )
