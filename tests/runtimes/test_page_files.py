"""Nights of one's own on the page, from the files that `python -m watch_sim predict` and `pipeline import csv` take."""

import numpy as np
import pandas as pd
import pytest
from on_page import check_same, choose, drop, night_of, play, rows, shown

from pipeline.activity import ActivityCounter
from pipeline.constants import STAGES
from pipeline.options import Options
from pipeline.recordings import Recording, paths, read_recording
from scoring.metrics import kappa
from watch_sim.predict import predict_night

pytestmark = pytest.mark.runtimes

NAMES = "expected column names such as time,heart_rate,x,y,z,activity,steps"
BAD_CSV = [  # text, what is said of it
    ("", f"the file is empty; {NAMES}"),
    ("time,mood\n0,60\n", f"line 1: no sensor column among “time, mood”; {NAMES}"),
    ("time,x,y\n0,1,1\n", f"line 1: no sensor column among “time, x, y”; {NAMES}"),
    ("heart_rate\n60\n", f"line 1: no time column among “heart_rate”; {NAMES}"),
    ("time,heart_rate\n0,sixty\n1,sixty\n", "line 2, heart_rate: “sixty” is not a number"),
    ("time,heart_rate\n,60\n,61\n", "line 2, time: “”; expected Unix seconds or milliseconds, seconds from the start"),
    ("time,heart_rate\n2026-02-30T23:10:00,60\n", "line 2, time: “2026-02-30T23:10:00”; expected"),
    (
        "time,heart_rate\n31.1.2026,60\n",
        "line 2, time: “31.1.2026”; expected Unix seconds or milliseconds, seconds from the start, or a time like "
        "2026-01-31T23:10:00; write the year first: 2026-01-31T22:15:00",
    ),
    (
        "time,heart_rate\n22:15:00,60\n",
        "line 2, time: “22:15:00”; expected Unix seconds or milliseconds, seconds from the start, or a time like "
        "2026-01-31T23:10:00; the date is missing: write 2026-01-31T22:15:00",
    ),
    (
        "time,heart_rate\n0,60\n2026-01-31T23:10:00,60\n",
        "line 3, time: “2026-01-31T23:10:00”; the file mixes numbers and dates",
    ),
    ("time,heart_rate\n0,\n", "no value below the column names"),
    ("time,heart_rate\n0,60\n20,61\n", "ends after 20 s; expected at least 30 s"),
    (
        "time,x,y,z\n0,0,0,.01\n60,0,0,.02\n",
        "acceleration has a median magnitude of 0.0150, expected about 1 g (gravity seems",
    ),
]
EXPORTS = [  # first bytes, name, the command that imports it
    ("PK\3\4 apple_health_export/export.xml", "export.zip", "pipeline import apple-health export.zip NIGHTS”"),
    (
        "PK\3\4 apple_health_export/Export.xml",
        "Exportieren.zip",
        "pipeline import apple-health Exportieren.zip NIGHTS”",
    ),
    ("<?xml version='1.0'?><HealthData locale='de'>", "Export.xml", "pipeline import apple-health Export.xml NIGHTS”"),
    (
        "PK\3\4 Takeout/Fitbit/Global Export Data/",
        "takeout-1.zip",
        "pipeline import fitbit takeout-1.zip NIGHTS --zone",
    ),
    ('[{"dateTime"', "heart_rate-2026-01-31.json", "pipeline import fitbit heart_rate-2026-01-31.json NIGHTS --zone"),
    ("\x0e\x10\1\2\3\4\5\6.FIT", "night.fit", "pipeline import garmin night.fit NIGHTS”"),
    ("PK\3\4", "unknown.zip", "pipeline import SOURCE unknown.zip NIGHTS”"),
]


class TestCsv:
    @pytest.fixture(scope="class")
    def own(self, data, held_out):
        """A night as someone may have it: heart rate, and activity counts with the end of their 15 s."""
        samples = read_recording(data, held_out, want_labels=False).samples
        if "motion" in samples:
            t, xyz = samples["motion"]
            samples["activity"] = tuple(np.ravel(x) for x in ActivityCounter().feed(t[t >= 0], xyz[t >= 0, 2]))
        return Recording("own", {name: samples[name] for name in ("heart_rate", "activity")})

    @staticmethod
    def text(own, clock=lambda t: repr(float(t))):
        lines = [
            (t, f"{clock(t)},{x},") if name == "heart_rate" else (t, f"{clock(t)},,{max(x, 0)}")
            for name, (ts, xs) in own.samples.items()
            for t, x in zip(ts.tolist(), xs.tolist(), strict=True)
        ]
        return "\n".join(["time,heart_rate,activity", *(line for _, line in sorted(lines))]) + "\n"

    def test_a_csv_says_what_the_simulator_says(self, page, own, bundles, tmp_path):
        (tmp_path / "own.csv").write_text(self.text(own))
        choose(page, precision="float32")
        with page.expect_file_chooser() as chooser:
            page.click("#open")
        chooser.value.set_files(tmp_path / "own.csv")
        shown(page, "own.csv")
        play(page)
        wanted = predict_night(bundles / "gru", "float32", own, Options())
        table = night_of(page, tmp_path)
        assert len(table) == len(wanted)
        check_same(table, wanted, exact=True)
        assert page.is_disabled("#overlay")

    def test_dropped_with_a_clock(self, page, own, tmp_path):
        start = pd.Timestamp("2026-03-28T22:30:00+01:00") - pd.Timedelta(seconds=own.samples["heart_rate"][0][0])
        text = self.text(own, lambda t: (start + pd.Timedelta(seconds=t)).isoformat(timespec="milliseconds"))
        drop(page, (text, "own night.csv"))
        shown(page, "own night.csv")
        assert page.input_value("#zone") == "+01:00"
        first = min(t[0] for t, _ in own.samples.values())
        wanted = (start + pd.Timedelta(seconds=first)).floor("s")
        assert pd.Timestamp(page.input_value("#start") + "+01:00") == wanted
        assert night_of(page, tmp_path).clock[0] == wanted.isoformat()

    def test_a_bad_csv_is_named_by_line_and_field(self, page):
        before = page.input_value("#night")
        for text, message in BAD_CSV:
            drop(page, (text, "bad.csv"))
            page.locator("#problem", has_text=message).wait_for(timeout=5000)
            assert page.inner_text("#problem").startswith("bad.csv: ")
            assert page.input_value("#night") == before
        play(page)  # what was there goes on

    def test_what_is_left_out_is_told(self, page):
        lines = [f"{t},{0 if t < 50 else 60},x" for t in range(0, 100, 10)]
        drop(page, ("\ufeffTime,Heart Rate (bpm),mood\r\n" + "\r\n".join([*lines, "120,?,x"]), "own.csv"))
        shown(page, "own.csv")
        assert page.locator("#note li").all_inner_texts()[:3] == [
            "Ignored columns: mood.",
            "Left out 1 unreadable values; the first is in line 12, heart_rate: “?” is not a number.",
            "5 values are out of range and ignored.",
        ]
        assert page.get_attribute("#place", "max") == "3"

    def test_other_separators_units_and_times(self, page, tmp_path):
        """Unix milliseconds, decimal commas and acceleration in m/s² are the night that plain seconds and g are."""
        rng = np.random.default_rng(0)
        t = np.arange(0, 1800, 0.05)
        xyz = np.column_stack([rng.normal(0, 0.02, (len(t), 2)), 1 + rng.normal(0, 0.05, len(t)) * (t % 600 < 60)])
        plain = [
            f"{a:.2f},{x:.5f},{y:.5f},{z:.5f},{55 + i % 7}" for i, (a, (x, y, z)) in enumerate(zip(t, xyz, strict=True))
        ]
        text = "\n".join(["time,x,y,z,bpm", *plain])
        start = 1_769_897_400_000
        other = [
            f"{start + round(1000 * a)};{55 + i % 7};" + ";".join(f"{9.80665 * v:.5f}" for v in values)
            for i, (a, values) in enumerate(zip(t, xyz, strict=True))
        ]
        other = "\n".join(["unix;HR;accX;accY;accZ", *(line.replace(".", ",") for line in other)])
        drop(page, (text, "plain.csv"))
        one = night_of(shown(page, "plain.csv"), tmp_path)
        drop(page, (other, "other.csv"))
        two = night_of(shown(page, "other.csv"), tmp_path)
        assert "Acceleration is in m/s²." in page.inner_text("#note")
        assert page.input_value("#start") == "2026-01-31T17:10"  # in this computer's zone, New York
        assert len(one) == len(two) == 60
        np.testing.assert_allclose(one.iloc[:, 3:], two.iloc[:, 3:], atol=0.02)

    def test_days_become_nights(self, page):
        lines = [
            f"2026-02-0{day}T{hour:02d}:{minute:02d}:00,60"
            for day, hours in ((1, range(22, 24)), (2, [*range(6), *range(21, 24)]), (3, range(5)))
            for hour in hours
            for minute in range(60)
        ]
        drop(page, ("\n".join(["time,hr", *lines]), "days.csv"))
        shown(page, "2026-02-01, days.csv")
        names = page.locator("#night > option").all_inner_texts()
        assert names == ["2026-02-01, days.csv", "2026-02-02, days.csv"]
        assert page.get_attribute("#place", "max") == str(120 * 8 - 2)
        assert page.input_value("#start") == "2026-02-01T22:00"
        assert rows(page, "#runs") == []
        page.click("#as-table summary")
        page.locator("#runs tbody tr").first.wait_for()
        assert rows(page, "#runs")[0][0] == "22:00"

    def test_seldom_heart_rate_is_told(self, page):
        drop(page, ("\n".join(["time,hr", *(f"{t},60" for t in range(0, 7200, 300))]), "fitbit_seldom.csv"))
        shown(page, "fitbit_seldom.csv")  # a name alone makes no export
        assert "Heart rate comes only every 5 min; stages are less accurate" in page.inner_text("#note")
        assert "Missing all night: activity." in page.inner_text("#note")

    def test_repeated_lines_count_once(self, page):
        lines = [line for t in range(15, 900, 15) for line in [f"{t},60,7"] * 2]
        drop(page, ("\n".join(["time,hr,activity", *lines]), "own.csv"))
        shown(page, "own.csv")
        assert "Left out 118 repeated values." in page.inner_text("#note")

    def test_counts_of_another_length_are_left_out(self, page):
        drop(page, ("\n".join(["time,hr,activity", *(f"{t},60,7" for t in range(0, 900, 5))]), "own.csv"))
        shown(page, "own.csv")
        assert "Left out: activity counts come every 5 s, expected every 15 s." in page.inner_text("#note")


class TestOtherFiles:
    def test_the_sample(self, page, address, bundles, tmp_path):
        page.click("#sample")
        shown(page, "Sample")
        assert "A simulated night" in page.inner_text("#note")
        assert page.input_value("#start") == "2026-01-31T23:05:01"
        table = night_of(page, tmp_path)
        assert 850 < len(table) < 900
        assert {*table.stage} > {*STAGES} - {"N1"}
        assert "Unknown" in {*table.stage}  # where the watch lies on the table

    def test_files_of_the_published_layout(self, page, data, held_out, bundles, tmp_path):
        """Raw motion, counted by the library, with heart rate and labels; predicted as `predict` does."""
        choose(page, precision="float32")
        files = [paths(data, held_out)[name] for name in ("heart_rate", "motion", "labels")]
        page.set_input_files("#file", files)
        shown(page, held_out)
        recording = read_recording(data, held_out, want_labels=True)
        recording.samples.pop("steps", None)
        expected = predict_night(bundles / "gru", "float32", recording, Options())
        table = night_of(page, tmp_path)
        assert len(table) == len(expected)
        check_same(table, expected, exact=False)
        t, stage = recording.labels
        pairs = [(table.stage[round(a / 30)], STAGES[b]) for a, b in zip(t, stage, strict=True) if b >= 0]
        assert rows(page, "#agreement")[0][2] == f"{kappa(*map(np.array, zip(*pairs, strict=True))):.2f}"

    def test_a_broken_file_of_the_published_layout(self, page):
        for text, name, message in (
            ("", "7_heartrate.txt", "7_heartrate.txt: empty; expected lines of a time and 1 value"),
            ("0 1 2\n", "7_acceleration.txt", "7_acceleration.txt: expected lines of a time and 3 values"),
            ("0,1\n60,2\n120,3\n", "7_counts.txt", "7_counts.txt: a count every 60 s, expected one every 15 s"),
            ("0 1\n30 1\n", "7_labeled_sleep.txt", "7_labeled_sleep.txt: no sensor values within a night"),
        ):
            drop(page, (text, name))
            page.locator("#problem", has_text=message).wait_for(timeout=5000)

    def test_an_export_names_the_command_that_imports_it(self, page):
        for head, name, command in EXPORTS:
            drop(page, (head, name))
            page.locator("#problem", has_text=command).wait_for(timeout=5000)
            assert page.inner_text("#problem").startswith(f"{name} is a")
