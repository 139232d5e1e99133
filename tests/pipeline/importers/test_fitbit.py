"""Fitbit on Takeouts made in the documented form; no real export of a person was at hand."""

import json
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

FOLDER = "Takeout/Fitbit/Global Export Data"
LOCAL = ("--zone", "America/New_York")


def heart_rate(start, hours, every=10, bpm=60, confidence=2):
    """Records from a start in UTC."""
    times = [start + timedelta(seconds=s) for s in range(0, int(hours * 3600), every)]
    return [{"dateTime": f"{t:%m/%d/%y %T}", "value": {"bpm": bpm, "confidence": confidence}} for t in times]


def takeout(folder, **files):
    for name, content in files.items():
        path = folder / FOLDER / name.replace("__", "-").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


# 23:00 to 07:00 in New York, in two daily files
EVENING = heart_rate(datetime(2026, 2, 1, 4, tzinfo=UTC), 2)
MORNING = heart_rate(datetime(2026, 2, 1, 6, tzinfo=UTC), 6)
NIGHT = {"heart_rate-2026-01-31_json": EVENING, "heart_rate-2026-02-01_json": MORNING}
SLEEP = [
    {
        "logId": 1, "dateOfSleep": "2026-02-01", "startTime": "2026-01-31T23:30:00.000",
        "endTime": "2026-02-01T05:30:00.000", "type": "stages", "mainSleep": True,
        "levels": {
            "data": [
                {"dateTime": "2026-01-31T23:30:00.000", "level": "light", "seconds": 3600},
                {"dateTime": "2026-02-01T00:30:00.000", "level": "deep", "seconds": 7200},
                {"dateTime": "2026-02-01T02:30:00.000", "level": "rem", "seconds": 10800},
            ],
            "shortData": [{"dateTime": "2026-02-01T01:00:00.000", "level": "wake", "seconds": 60}],
        },
    }
]  # fmt: skip


def test_heart_rate_is_in_utc(tmp_path, imported):
    done = imported("fitbit", takeout(tmp_path / "t", **NIGHT), *LOCAL)
    assert done.nights == ["2026-01-31"]
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert np.array_equal(rows[:, 0], np.arange(0, 8 * 3600, 10))
    assert done.origin["name"] == "fitbit"
    assert done.origin["zone"] == "America/New_York"


def test_sleep_is_in_local_time_and_short_wakes_lie_over_it(tmp_path, imported):
    done = imported("fitbit", takeout(tmp_path / "t", **NIGHT, **{"sleep-2026-01-05_json": SLEEP}), *LOCAL)
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert (rows[0, 0], rows[-1, 0]) == (-1800, 6 * 3600)  # 04:30 UTC is 23:30 in New York
    lines = (done.out / "device_stages" / "2026-01-31.csv").read_text().splitlines()[1:]
    assert lines == [
        "0,3600,Light,light", "3600,5400,Deep,deep", "5400,5460,Wake,wake", "5460,10800,Deep,deep",
        "10800,21600,REM,rem",
    ]  # fmt: skip


def test_a_watch_that_is_not_worn_gives_no_heart_rate(tmp_path, imported):
    off = heart_rate(datetime(2026, 2, 1, 4, 0, 5, tzinfo=UTC), 2, bpm=70, confidence=0)
    done = imported("fitbit", takeout(tmp_path / "t", **NIGHT | {"heart_rate-2026-01-31_json": EVENING + off}), *LOCAL)
    assert set(done.read("heart_rate/2026-01-31_heartrate.txt")[:, 1]) == {60}


def test_a_zip_with_steps_and_files_of_several_nights(tmp_path, imported):
    steps = [{"dateTime": "02/01/26 04:10:00", "value": "12"}, {"dateTime": "02/01/26 04:11:00", "value": "0"}]
    other = {"heart_rate-2026-02-04_json": heart_rate(datetime(2026, 2, 5, 5, tzinfo=UTC), 6)}
    folder = takeout(tmp_path / "t", **NIGHT, **other, **{"steps-2026-01-31_json": steps})
    path = tmp_path / "takeout.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.json"):
            archive.write(file, file.relative_to(folder))
    done = imported("fitbit", path, *LOCAL)
    assert done.nights == ["2026-01-31", "2026-02-04"]
    assert done.read("steps/2026-01-31_steps.txt").tolist() == [[600, 12], [660, 0]]
    assert imported("fitbit", path, *LOCAL, "--since", "2026-02-01").nights == ["2026-02-04"]


def test_files_tell_which_time_they_are_in(tmp_path, imported):
    days = {
        f"heart_rate-2026-02-0{d}_json": heart_rate(datetime(2026, 2, d, tzinfo=UTC), 24, every=60) for d in (1, 2, 3)
    }
    assert "not at local midnight" in imported("fitbit", takeout(tmp_path / "t", **days), *LOCAL).output
    days = {
        f"heart_rate-2026-02-0{d}_json": heart_rate(datetime(2026, 2, d, 5, tzinfo=UTC), 24, every=60)
        for d in (1, 2, 3)
    }
    said = imported("fitbit", takeout(tmp_path / "u", **days), *LOCAL).output
    assert "begin at midnight in America/New_York, so they are in UTC as assumed" in said


def test_damaged_files_are_named_and_the_other_nights_go_on(tmp_path, imported):
    damaged = {"heart_rate-2026-02-08_json": '[{"dateTime": ', "heart_rate-2026-02-09_json": "{}"}
    damaged |= {"sleep-2026-01-05_json": [{"startTime": "yesterday"}], "steps-2026-01-31_json": [{"a": 1}]}
    done = imported("fitbit", takeout(tmp_path / "t", **NIGHT, **damaged), *LOCAL)
    assert done.nights == ["2026-01-31"]
    assert "heart_rate-2026-02-08.json: not readable as JSON" in done.output
    assert "heart_rate-2026-02-09.json: expected a list" in done.output
    assert "sleep-2026-01-05.json: record 1" in done.output
    assert "steps-2026-01-31.json: 1 records, first 1: expected dateTime" in done.output


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (NIGHT, (), "add --zone"),
        ({"sleep-2026-01-05_json": SLEEP}, LOCAL, "no heart_rate-YYYY-MM-DD.json in it"),
        ({"heart_rate-2026-01-31_json": ""}, LOCAL, "no usable night in it"),
        ({"heart_rate-2026-01-31_json": [{"dateTime": "2026-01-31", "value": 3}]}, LOCAL, "no usable night in it"),
    ],
)
def test_mistakes_get_one_line(tmp_path, imported, mistake, files, options, message):
    done = imported("fitbit", takeout(tmp_path / "t", **files), *options, ends_well=False)
    assert message in mistake(done.result)


def test_odd_dates_numbers_and_times_cost_only_themselves(tmp_path, imported):
    odd = [
        {"dateTime": "02/01/26 99:00:00", "value": {"bpm": 60}},
        {"dateTime": "02/01/26 05:00:00", "value": {"bpm": 10**400}},
    ]
    files = {"heart_rate-2026-13-45_json": MORNING, "heart_rate-9999-12-31_json": MORNING}
    sleep = [SLEEP[0] | {"levels": {"data": [SLEEP[0]["levels"]["data"][0] | {"seconds": 1e300}]}}]
    files |= NIGHT | {"heart_rate-2026-02-01_json": MORNING + odd, "sleep-2026-01-05_json": sleep}
    done = imported("fitbit", takeout(tmp_path / "t", **files), *LOCAL)
    assert done.nights == ["2026-01-31"]
    assert np.array_equal(done.read("heart_rate/2026-01-31_heartrate.txt")[:, 0], np.arange(0, 8 * 3600, 10))
    for text in (
        "expected a date of 1990 to 2099 in its name",
        "2 records, first 2161",
        "sleep records that end before",
    ):
        assert text in done.output
