"""CSV of one's own night: what is read, and that messages name file, line and field."""

import os

import numpy as np
import pytest

from pipeline.errors import UserMistake
from watch_sim.night_csv import read_night_csv


@pytest.fixture
def read(tmp_path):
    def from_text(text):
        (tmp_path / "mine.csv").write_text(text)
        return read_night_csv(tmp_path / "mine.csv")

    return from_text


def values(recording):
    return {sensor: (t.tolist(), x.tolist()) for sensor, (t, x) in recording.samples.items()}


def test_seconds_from_the_start(read):
    recording = read("time,heart_rate,activity\n3.5,61,\n15,,7\n\n30,62,0\n")
    assert recording.subject == "mine"
    assert values(recording) == {"heart_rate": ([3.5, 30], [61, 62]), "activity": ([15, 30], [7, 0])}


@pytest.mark.parametrize(
    "times",
    [
        ("1767999600", "1767999630.5"),
        ("2026-01-31T23:10:00", "2026-01-31T23:10:30.500"),
        ("2026-01-31 23:10:00+01:00", "2026-01-31T22:10:30.500Z"),
        ("2026-10-25T02:59:45+02:00", "2026-10-25T02:00:15.500+01:00"),  # clocks go back
    ],
)
def test_times_of_a_clock_count_from_the_first_line(read, times):
    recording = read(f"Heart_Rate, TIME\n60,{times[0]}\n61,{times[1]}\n")
    np.testing.assert_allclose(recording.samples["heart_rate"][0], [0, 30.5], atol=1e-6)


def test_a_byte_order_mark_and_quotes(read):
    assert values(read('\ufeff"time","activity"\r\n"15","7"\r\n')) == {"activity": ([15], [7])}


def test_repeated_lines_count_once(read):
    lines = [f"{15 * i},{60 + i},{i % 2}" for i in range(1, 9)]
    once = read("\n".join(["time,heart_rate,activity", *lines]))
    recording = read("\n".join(["time,heart_rate,activity", *(line for line in lines for _ in range(2))]))
    assert values(recording) == values(once) and not once.findings
    (finding,) = recording.findings
    assert str(finding) == "mine.csv: 8 lines, first 3, 5, 7: repeats another line; row dropped"
    assert values(read("time,heart_rate\n3,60\n3,61\n3,60\n"))["heart_rate"] == ([3, 3], [60, 61])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: time is missing; expected time, heart_rate, activity"),
        ("time\n1\n", "line 1: heart_rate or activity is missing"),
        ("heart_rate\n1\n", "line 1: time is missing"),
        ("time,spo2\n1,2\n", "line 1: unknown column 'spo2'; expected time, heart_rate, activity"),
        ("time,activity,activity\n", "line 1: duplicate column name"),
        ("time,heart_rate\n1,60\n2\n", "line 3: 1 fields, but the first line names 2"),
        ("time,heart_rate\n1,fast\n", "line 2, heart_rate: 'fast': not a number"),
        ("time,heart_rate\n1,nan\n", "line 2, heart_rate: 'nan': not a number"),
        ("time,heart_rate\nsoon,60\n", "line 2, time: 'soon': expected seconds or a time like 2026-01-31T23:10:00"),
        (
            "time,heart_rate\n22:15:00,60\n",
            "line 2, time: '22:15:00': expected seconds or a time like 2026-01-31T23:10:00; the date is missing: write "
            "2026-01-31T22:15:00, from midnight on with the next day's date",
        ),
        (
            "time,heart_rate\n31.01.2026 22:15,60\n",
            "line 2, time: '31.01.2026 22:15': expected seconds or a time like 2026-01-31T23:10:00; write the year "
            "first: 2026-01-31T22:15:00",
        ),
        ("time,heart_rate\n,60\n", "line 2, time: '': expected seconds or a time"),
        (
            "time,heart_rate\n2026-02-30T00:00:00,60\n",
            "line 2, time: '2026-02-30T00:00:00': expected seconds or a time",
        ),
        ("time,heart_rate\n5,60\n2026-01-31T23:10:00,60\n", "line 3, time: '2026-01-31T23:10:00': seconds and ISO"),
        ("time,heart_rate\n5,60\n4,60\n", "line 3, time: '4': negative, or earlier than the line before"),
        ("time,heart_rate\n-1,60\n", "line 2, time: '-1': negative, or earlier"),
        ("time,heart_rate\n0,60\n90000,60\n", "line 3, time: '90000': more than 24 hours after the first; milli"),
        ("time,heart_rate\n1767999600000,60\n", "line 2, time: '1767999600000': milliseconds? expected seconds"),
        ("time;heart_rate\n0;60\n", "line 1: fields separated by ';'; expected commas; for other columns, separators"),
        ("time\theart_rate\n0\t60\n", "line 1: fields separated by '\\t'; expected commas"),
        ("time,heart_rate\n0,\n30,0\n", "no valid value of heart_rate or activity"),
        ("time,activity\n5,10\n10,10\n15,10\n", "activity: counts every 5 s, expected every 15 s"),
    ],
)
def test_mistakes_name_file_line_and_field(read, tmp_path, text, message):
    with pytest.raises(UserMistake) as caught:
        read(text)
    assert caught.value.message.startswith(f"{tmp_path / 'mine.csv'}: {message}")


def test_what_is_no_text(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserMistake, match=r"mine\.csv: cannot be read as text \(not UTF-8\)"):
        read_night_csv(tmp_path / "mine.csv")
    with pytest.raises(UserMistake, match=r"none\.csv: no such file$"):
        read_night_csv(tmp_path / "none.csv")


def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.csv")
    path.write_text("time,heart_rate\n0,60\n")
    with pytest.raises(UserMistake, match="the file's name is not UTF-8; rename it"):
        read_night_csv(path)


@pytest.mark.parametrize("number", ["٦١", "６１", "6_1"])
def test_only_digits_of_this_script_are_numbers(read, number):
    with pytest.raises(UserMistake, match=f"line 2, heart_rate: '{number}': not a number"):
        read(f"time,heart_rate\n5,{number}\n")
