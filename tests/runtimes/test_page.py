"""The page of `python -m watch_sim serve`, used as people use it, in Chromium: it predicts what the simulator predicts.

What leaves it is read back: CSV with pandas, EDF+ with mne. Every test also fails on an error on the page's console and
on any request that does not go to the page's own server.
"""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.activity import ActivityCounter
from pipeline.constants import STAGES, UNKNOWN
from pipeline.options import Options
from pipeline.recordings import Recording, read_recording
from scoring.metrics import kappa
from scoring.predictions import PROBABILITY_COLUMNS
from watch_sim.predict import predict_night

pytestmark = pytest.mark.runtimes

ROOT = Path(__file__).resolve().parents[2]
DARK, PHONE = {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}


@pytest.fixture(scope="module")
def address(bundles):
    """Where the command serves the run."""
    command = [sys.executable, "-u", "-m", "watch_sim", "serve", bundles.parent, "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://[\d.:]+/", server.stdout.readline()).group()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def data(bundles):
    return json.loads((bundles.parent / "hparams.json").read_text())["dataset_dir"]


@pytest.fixture(scope="module")
def held_out(bundles):
    return json.loads((bundles.parent / "splits.json").read_text())["validation"][0]


@pytest.fixture
def open_call(browser, address):
    """Opens the page in a window of its own; gives it when it is ready to play."""
    contexts, wrong = [], []

    def open_page(**settings):
        context = browser.new_context(timezone_id="America/New_York", **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else wrong.append(r.url))
        page.goto(address)
        return ready(page)

    open_page.expected = ""
    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in wrong if not open_page.expected or open_page.expected not in each] == []


@pytest.fixture
def page(open_call):
    return open_call()


def ready(page):
    """The page, when nothing is being loaded or worked out."""
    page.locator("main[aria-busy=false]").wait_for(timeout=60_000)
    return page


def choose(page, which="model", **chosen):
    """Choose a model's architecture, precision or point."""
    for name, value in chosen.items():
        page.select_option(f"#{which} [name={name}]", value)
    ready(page)


def play(page):
    """Play to the end, at the highest speed."""
    ready(page)
    page.select_option("#speed", "Infinity")
    page.click("#play")
    end = page.get_attribute("#place", "max")
    page.locator("#play", has_text="Play").wait_for(timeout=120_000)
    assert page.input_value("#place") == end


def exported(page, kind, tmp_path):
    """What a button of the export form saves."""
    ready(page)
    with page.expect_download() as download:
        page.click(f"#export button[value={kind}]")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def night_of(page, tmp_path):
    """The page's night, a row per window."""
    return pd.read_csv(exported(page, "csv", tmp_path))


def rows(page, table):
    """The cells of a table's rows."""
    return [row.locator("th, td").all_inner_texts() for row in page.locator(f"{table} tbody tr").all()]


def check_same(table, expected, exact):
    """Stages and probabilities of the page are those of the simulator, window for window."""
    expected = expected.iloc[: len(table)]  # with labels a night may end before its last sample
    assert len(table) > 100
    assert table.time.tolist() == expected.t.tolist()
    unknown = (expected.predicted_stage == UNKNOWN).to_numpy()
    np.testing.assert_array_equal(table.stage == UNKNOWN, unknown)
    assert table[[*PROBABILITY_COLUMNS]][unknown].isna().all(axis=None)
    table, expected = table[~unknown], expected[~unknown]
    p, q = table[[*PROBABILITY_COLUMNS]].to_numpy(), expected[[*PROBABILITY_COLUMNS]].to_numpy()
    apart = 1e-5 if exact else 1e-2  # another processor may round 8-bit products elsewhere
    assert np.abs(p - q).max() < apart
    tied = np.diff(np.sort(q, axis=1)[:, -2:])[:, 0] < 2 * apart
    assert ((table.stage.to_numpy() == expected.predicted_stage.to_numpy()) | tied).all()


BAD_CSV = [  # text, what is said of it
    ("", "line 1: column “” is unknown; expected time, heart_rate, activity"),
    ("time,pulse\n0,60\n", "line 1: column “pulse” is unknown; expected time, heart_rate, activity"),
    ("heart_rate\n60\n", "line 1: time is missing"),
    ("time\n1\n", "line 1: heart_rate or activity is missing"),
    ("time,heart_rate,time\n", "line 1: a column is named twice"),
    ("time,heart_rate\n0,60\n1,sixty\n", "line 3, heart_rate: “sixty” is not a number"),
    ("time,heart_rate\n0,60\n1;61\n", "line 3: 1 fields, but the first line names 2"),
    ("time,heart_rate\n0,60\n,61\n", "line 3, time: “” is neither seconds nor like 2026-01-31T23:10:00"),
    ("time,heart_rate\n\n5,60\n4,61\n", "line 4, time: “4” is earlier than the line before"),
    ("time,heart_rate\n-5,60\n", "line 2, time: “-5” is before the start of the night, 0"),
    ("time,heart_rate\n0,60\n90000,60\n", "line 3, time: “90000” is more than 24 hours after the first"),
    ("time,heart_rate\n2026-02-30T23:10:00,60\n", "line 2, time: “2026-02-30T23:10:00” is not a date and time of"),
    ("time,heart_rate\n31.1.2026,60\n", "line 2, time: “31.1.2026” is not a number"),
    ("time,heart_rate\n0,60\n2026-01-31T23:10:00,60\n", "seconds and ISO 8601 are mixed"),
    ("time,heart_rate\n0,NaN\n", "line 2, heart_rate: “NaN” is not a number"),
    ("time,heart_rate\n0,\n", "the file holds no value of heart_rate or activity"),
    ("time,heart_rate\n0,60\n20,61\n", "the file ends after 20 s; a window of 30 s is the least"),
]


class TestPlaying:
    @pytest.mark.parametrize("model", ["gru float32", "gru int8", "lstm int16x8", "transformer dynamic"])
    def test_it_says_what_the_simulator_says(self, page, bundles, data, held_out, tmp_path, model):
        architecture, precision = model.split()
        page.select_option("#night", held_out)
        choose(page, architecture=architecture, precision=precision)
        play(page)
        recording = read_recording(data, held_out, want_labels=False)
        wanted = predict_night(bundles / architecture, precision, recording, Options())
        table = night_of(page, tmp_path)
        check_same(table, wanted, exact=precision == "float32")
        assert page.inner_text("#stage") == table.stage.iloc[-1]
        shown = [int(text.split()[0]) for text in page.locator("#bars li > span:last-child").all_inner_texts()]
        order = ["p_wake", "p_rem", "p_n1", "p_n2", "p_n3"]
        np.testing.assert_allclose(shown, 100 * table[order].iloc[-1], atol=0.51)

    def test_it_grows_window_by_window(self, page):
        page.select_option("#speed", "1800")
        page.click("#play")
        page.wait_for_timeout(1500)
        page.click("#play")
        place = int(page.input_value("#place"))
        assert 10 < place < int(page.get_attribute("#place", "max"))
        page.click("#as-table summary")
        page.locator("#runs tbody tr").first.wait_for()
        first, last = rows(page, "#runs")[0], rows(page, "#runs")[-1]
        assert first[0] == "0:00"
        minutes = sum(float(row[2]) for row in rows(page, "#runs"))
        assert minutes == place / 2
        assert last[3] == page.inner_text("#stage")
        painted = page.evaluate(PAINTED)
        assert painted == pytest.approx(place / int(page.get_attribute("#place", "max")), abs=0.02)
        page.wait_for_timeout(300)
        assert int(page.input_value("#place")) == place  # it is paused
        page.click("#restart")
        ready(page)
        assert page.input_value("#place") == "0"
        assert page.inner_text("#stage") == "–"

    def test_heart_rate_and_movement_scroll(self, page):
        pictures = []
        for window in (200, 201):
            page.locator("#place").evaluate(MOVE, window)
            ready(page)
            pictures.append([page.locator(f"#{name}").screenshot() for name in ("heart", "movement")])
        assert pictures[0][0] != pictures[1][0]
        assert pictures[0][1] != pictures[1][1]

    def test_the_stage_is_said_aloud(self, page):
        page.locator("#place").evaluate(MOVE, 100)
        page.locator("#status", has_text="at 0:50").wait_for()
        assert page.inner_text("#status") == f"{page.inner_text('#stage')} at 0:50"
        assert page.get_attribute("#status", "aria-live") == "polite"

    def test_another_precision_goes_on_where_it_was(self, page, tmp_path):
        page.locator("#place").evaluate(MOVE, 150)
        choose(page, precision="float32")
        page.locator("#hypnogram-of", has_text="gru float32").wait_for()
        assert page.input_value("#place") == "150"
        assert page.inner_text("#stage") == night_of(page, tmp_path).stage[149]

    def test_operating_points(self, page, bundles, tmp_path):
        choose(page, precision="float32")
        play(page)
        plain = night_of(page, tmp_path)[[*PROBABILITY_COLUMNS]].to_numpy()
        choose(page, point="balanced")
        weighed = night_of(page, tmp_path)
        points = json.loads((bundles / "gru" / "contract.json").read_text())["operating_points"]
        wanted = plain * points["balanced"]["weights"]
        wanted /= wanted.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(weighed[[*PROBABILITY_COLUMNS]], wanted, atol=1e-6)
        assert weighed.stage.tolist() == [STAGES[i] for i in wanted.argmax(1)]
        assert "balanced" in page.inner_text("#hypnogram-of")
        assert page.inner_text("#stage") == weighed.stage.iloc[-1]


class TestWhatAModelMayNot:
    """The contract as the page is given it: of simulated nights, of recorded ones, and one that refuses LiteRT.js."""

    @staticmethod
    def serve(page, change):
        """Have the page be given other contracts."""

        def answer(route):
            contract = route.fetch().json()
            change(contract)
            route.fulfill(json=contract)

        page.route("**/contract.json", answer)
        page.reload()
        return ready(page)

    def test_simulated_nights_are_named(self, page):
        banner = page.locator("#simulated")
        assert banner.inner_text() == "gru: trained on simulated nights; the stages say nothing about people."
        choose(page, which="other", architecture="transformer")
        banner.locator("text=gru and transformer: trained on simulated nights").wait_for()
        choose(page, which="other", architecture="")
        assert banner.inner_text().startswith("gru: ")

    def test_recorded_nights_are_not(self, page):
        self.serve(page, lambda contract: contract["training_data"].update(simulated=False))
        assert page.locator("#simulated").is_hidden()
        assert not page.is_disabled("#play")

    def test_a_refused_file_is_not_played(self, page):
        def refuse(contract):
            contract["precisions"]["dynamic"]["calls"][1]["runtimes"] = {"litert.js": "refused: its sums are wrong"}

        self.serve(page, refuse)
        choose(page, precision="dynamic")
        problem = page.locator("#problem")
        assert "gru.dynamic.tflite: litert.js is refused: its sums are wrong" in problem.inner_text()
        assert page.is_disabled("#play")
        choose(page, precision="int8")
        assert problem.is_hidden()
        assert not page.is_disabled("#play")


class TestComparing:
    def test_a_second_model(self, page, tmp_path):
        choose(page, which="other", architecture="transformer", precision="float32")
        page.locator("#second:not([hidden])").wait_for()
        play(page)
        page.uncheck("#overlay")
        one = night_of(page, tmp_path).stage
        page.locator("#statistics th", has_text="transformer float32").wait_for()
        assert page.locator("#statistics thead th").all_inner_texts() == ["gru int8", "transformer float32"]
        found = rows(page, "#agreement")
        choose(page, architecture="transformer", precision="float32")
        other = night_of(page, tmp_path).stage
        wanted = [f"{100 * (one == other).mean():.0f} %", f"{kappa(one, other):.2f}"]
        assert found == [["gru int8 – transformer float32", *wanted]]
        choose(page, which="other", architecture="")
        page.locator("#second").wait_for(state="hidden")

    def test_the_scoring_laid_over(self, page, address, held_out, tmp_path):
        page.select_option("#night", held_out)
        play(page)
        true = page.request.get(f"{address}api/nights/{held_out}").json()["stages"]
        pairs = [(a, b) for a, b in zip(night_of(page, tmp_path).stage, true, strict=True) if b]
        one, other = map(np.array, zip(*pairs, strict=True))
        wanted = [f"{100 * (one == other).mean():.0f} %", f"{kappa(one, other):.2f}"]
        assert rows(page, "#agreement") == [["gru int8 – scored", *wanted]]
        with_it = page.locator("#hypnogram").screenshot()
        page.uncheck("#overlay")
        page.locator("#agreement").wait_for(state="hidden")
        assert page.locator("#hypnogram").screenshot() != with_it

    def test_sleep_statistics_are_the_services(self, page, address, tmp_path):
        play(page)
        page.uncheck("#overlay")
        page.locator("#statistics thead th", has_text="scored").wait_for(state="detached")
        stages = night_of(page, tmp_path).stage.tolist()
        wanted = page.request.post(f"{address}api/statistics", data={"stages": stages}).json()
        shown = rows(page, "#statistics")
        assert len(shown) == len(wanted) == 10
        for (_, text), each in zip(shown, wanted, strict=True):
            if each["value"] is None:
                assert text == "–"
            elif each["unit"] == "%":
                assert text == f"{each['value']:.1f} %"
            else:
                hours, minutes = re.fullmatch(r"(?:(\d+) h )?([\d.]+)(?: min)?", text).groups()
                assert 60 * int(hours or 0) + float(minutes) == pytest.approx(each["value"], abs=0.51)


class TestOwnNight:
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
        page.locator("#night option:checked", has_text="own.csv").wait_for(state="attached")
        play(page)
        wanted = predict_night(bundles / "gru", "float32", own, Options())
        table = night_of(page, tmp_path)
        assert len(table) == len(wanted)
        check_same(table, wanted, exact=True)
        assert page.is_disabled("#overlay")

    def test_dropped_with_a_clock(self, page, own, tmp_path):
        start = pd.Timestamp("2026-03-28T22:30:00+01:00") - pd.Timedelta(seconds=own.samples["heart_rate"][0][0])
        text = self.text(own, lambda t: (start + pd.Timedelta(seconds=t)).isoformat(timespec="milliseconds"))
        page.evaluate(DROP, [text, "own night.csv"])
        page.locator("#night option:checked", has_text="own night.csv").wait_for(state="attached")
        ready(page)
        assert page.input_value("#zone") == "+01:00"
        first = min(t[0] for t, _ in own.samples.values())
        wanted = (start + pd.Timedelta(seconds=first)).floor("s")
        assert pd.Timestamp(page.input_value("#start") + "+01:00") == wanted
        assert night_of(page, tmp_path).clock[0] == wanted.isoformat()

    def test_a_bad_csv_is_named_by_line_and_field(self, page):
        before = page.input_value("#night")
        for text, message in BAD_CSV:
            page.evaluate(DROP, [text, "bad.csv"])
            page.locator("#problem", has_text=message).wait_for(timeout=2000)
            assert page.inner_text("#problem").startswith("bad.csv: ")
            assert page.input_value("#night") == before
        play(page)  # what was there goes on

    def test_what_is_out_of_range_is_told(self, page):
        lines = [f"{t},{0 if t < 50 else 60}" for t in range(0, 100, 10)]
        page.evaluate(DROP, ["\ufeffTime,Heart_Rate\r\n" + "\r\n".join(lines), "own.csv"])
        page.locator("#note", has_text="5 values out of range").wait_for()
        play(page)
        assert page.get_attribute("#place", "max") == "3"


class TestUnknown:
    """A night of two hours, of which one hour and a half in the middle has no value at all."""

    MINUTES, FIRST, LAST = 120, 15, 105

    @pytest.fixture
    def gapped(self, page):
        times = [t for t in range(0, 60 * self.MINUTES + 1, 10) if not 60 * self.FIRST < t < 60 * self.LAST]
        text = "\n".join(["time,heart_rate", *(f"{t},{55 + t % 9}" for t in times)])
        page.evaluate(DROP, [text, "gapped.csv"])
        page.locator("#night option:checked", has_text="gapped.csv").wait_for(state="attached")
        ready(page)
        return page

    def test_it_is_a_gap_with_a_name(self, gapped, tmp_path):
        page = gapped
        play(page)
        table = night_of(page, tmp_path)
        unknown = (table.stage == UNKNOWN).to_numpy()
        first, last = np.flatnonzero(unknown)[[0, -1]]
        assert unknown[first : last + 1].all()
        assert unknown.sum() * 0.5 == pytest.approx(self.LAST - self.FIRST - 5, abs=1)
        assert table[[*PROBABILITY_COLUMNS]].isna().any(axis=1).tolist() == unknown.tolist()
        assert page.locator("#unknown-key").is_visible()
        assert page.evaluate(GREY) == pytest.approx(unknown.mean(), abs=0.02)
        page.click("#as-table summary")
        page.locator("#runs tbody tr").first.wait_for()
        assert UNKNOWN in [row[3] for row in rows(page, "#runs")]

    def test_now_shows_it_and_what_the_stage_rests_on(self, gapped):
        page = gapped
        page.locator("#place").evaluate(MOVE, 2 * 60)
        ready(page)  # windows before are unknown, too
        assert page.inner_text("#stage") == UNKNOWN
        assert {*page.locator("#bars li > span:last-child").all_inner_texts()} == {""}
        heart = page.locator("#coverage li[data-sensor=heart_rate] span").all_inner_texts()
        assert heart == ["Heart rate", "0 %", "45 min ago"]
        activity = page.locator("#coverage li[data-sensor=activity] span").all_inner_texts()
        assert activity == ["Activity", "0 %", "never sensed"]
        assert page.inner_text("#coverage-title") == "Sensed in the last 10 min"
        page.locator("#place").evaluate(MOVE, 20)
        page.locator("#stage", has_text=re.compile("|".join(STAGES))).wait_for()
        heart = page.locator("#coverage li[data-sensor=heart_rate] span").all_inner_texts()
        assert heart[1] == "100 %"

    def test_a_sensor_that_is_missing_all_night_is_named(self, gapped):
        assert "Missing all night: activity." in gapped.inner_text("#note")

    def test_only_windows_with_a_stage_on_both_sides_agree_or_differ(self, gapped, tmp_path):
        page = gapped
        choose(page, which="other", architecture="gru", precision="float32")
        play(page)
        one = night_of(page, tmp_path).stage
        choose(page, precision="float32")
        other = night_of(page, tmp_path).stage
        both = one != UNKNOWN
        choose(page, precision="int8")
        expected = [f"{100 * (one == other)[both].mean():.0f} %", f"{kappa(one[both], other[both]):.2f}"]
        assert rows(page, "#agreement") == [["gru int8 – gru float32", *expected]]

    def test_health_stores_and_edf_take_it(self, gapped, tmp_path):
        import mne

        gapped.fill("#start", "2026-10-20T22:00:00")
        samples = json.loads(exported(gapped, "healthkit", tmp_path).read_text())["samples"]
        holes = [(a["end"], b["start"]) for a, b in pairwise(samples) if a["end"] != b["start"]]
        ((begin, end),) = holes
        minutes = (pd.Timestamp(end) - pd.Timestamp(begin)).total_seconds() / 60
        notes = mne.read_annotations(exported(gapped, "edf", tmp_path)).description
        assert minutes == sum(text == "Sleep stage ?" for text in notes) / 2


class TestExport:
    def test_edf(self, page, held_out, tmp_path):
        import mne

        page.select_option("#night", held_out)
        page.fill("#start", "2026-03-28T22:30:00")
        path = exported(page, "edf", tmp_path)  # of the whole night, though nothing was played
        table = night_of(page, tmp_path)
        assert path.name == f"{held_out}.gru.int8.edf"
        notes, texts = mne.read_annotations(path), {"Wake": "W", "REM": "R"}
        assert notes.onset.tolist() == table.time.tolist()
        assert {*notes.duration} == {30.0}
        assert notes.description.tolist() == [f"Sleep stage {texts.get(stage, stage)}" for stage in table.stage]
        raw = mne.io.read_raw_edf(path, verbose="error")
        np.testing.assert_allclose(raw.get_data().T, table[[*PROBABILITY_COLUMNS]], atol=2e-5)
        assert raw.info["meas_date"].isoformat() == "2026-03-28T22:30:00+00:00"

    def test_the_bundles_own_segments_say_the_same(self, page, tmp_path):
        page.fill("#start", "2026-03-28T22:30:00")
        page.fill("#zone", "Europe/Berlin")
        table = night_of(page, tmp_path)
        epochs = table[["time", "stage"]].to_dict("records")
        zone = {"zone": "Europe/Berlin", "origin": pd.Timestamp("2026-03-28T22:30:00+01:00").timestamp()}
        own = {
            platform: page.evaluate(SEGMENTS, [epochs, {"platform": platform, **zone}])
            for platform in ("healthkit", "health_connect")
        }
        kit = json.loads(exported(page, "healthkit", tmp_path).read_text())
        assert kit["samples"] == [{k: each[k] for k in ("start", "end", "value")} for each in own["healthkit"]]
        assert kit["metadata"] == {"HKTimeZone": "Europe/Berlin"}
        connect = json.loads(exported(page, "health_connect", tmp_path).read_text())
        wanted = [{"startTime": x["start"], "endTime": x["end"], "stage": x["value"]} for x in own["health_connect"]]
        assert connect["stages"] == wanted
        assert connect["startZoneOffset"] == "+01:00"

    def test_a_time_that_clocks_skip_is_refused(self, open_call):
        open_call.expected, page = "status of 422", open_call()
        page.fill("#start", "2026-03-29T02:30:00")
        page.fill("#zone", "Europe/Berlin")
        page.click("#export button[value=edf]")
        page.locator("#problem", has_text="start: ").wait_for()
        assert "its clocks skip that time" in page.inner_text("#problem")


class TestForEveryone:
    def test_by_keyboard_alone(self, page, held_out):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the player"
        page.keyboard.press("Enter")
        walked = [page.evaluate(FOCUSED)]
        page.keyboard.press("Space")
        page.wait_for_timeout(300)
        assert page.inner_text("#play") == "Pause"
        page.keyboard.press("Space")
        assert page.inner_text("#play") == "Play"
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == "place"
        before = int(page.input_value("#place"))
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        ready(page)
        assert int(page.input_value("#place")) == before + 3
        assert page.get_attribute("#place", "aria-valuetext").endswith(page.inner_text("#stage"))
        for _ in range(40):
            page.keyboard.press("Tab")
            walked.append(page.evaluate(FOCUSED))
            assert walked[-1] in ("", "BODY") or page.evaluate(OUTLINED), walked[-1]
            if walked[-1] == "theme":
                break
        assert {"play", "speed", "overlay", "start", "zone", "healthkit", "edf", "csv", "theme"} <= {*walked}
        for _ in range(2):
            page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == "open"

    def test_everything_has_a_name_and_the_drawings_have_words(self, page):
        play(page)
        snapshot = page.locator("body").aria_snapshot()
        for wanted in (
            'combobox "Recording"', 'group "Model"', 'group "Compared with"', 'combobox "Architecture"',
            'button "Open CSV …"', 'slider "Place in the night"', 'combobox "Speed"', 'checkbox "Scored stages"',
            'img "Heart rate of the last hour"', 'img /Hypnogram of gru int8/', 'combobox "in time zone"', "status:",
            'button "EDF+"', 'heading "Now', 'table',
        ):  # fmt: skip
            name = wanted.replace("/", '"', 1).rstrip("/")
            assert name in snapshot, f"{wanted} is not in\n{snapshot}"
        assert page.evaluate(NAMELESS) == []

    def test_light_and_dark(self, open_call):
        page = open_call(**DARK)
        assert page.get_attribute("#theme", "aria-pressed") == "true"
        dark = page.evaluate(COLOURS)
        page.click("#theme")
        light = page.evaluate(COLOURS)
        for colours in (light, dark):
            for ink in ("ink", "muted", "accent", "wrong"):
                for ground in ("ground", "card"):
                    assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, colours)
            assert contrast(colours["ink"], colours["unknown"]) >= 4.5  # its name stands on it
            for stage in ("wake", "n1", "n2", "n3", "rem", "heart", "move", "edge"):
                assert contrast(colours[stage], colours["card"]) >= 2.4, (stage, colours)
            assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert luminance(dark["ground"]) < 0.05 < 0.8 < luminance(light["ground"])
        page.reload()
        ready(page)
        assert page.get_attribute("#theme", "aria-pressed") == "false"  # it is remembered
        assert page.evaluate(COLOURS) == light

    def test_on_a_phone_nothing_lies_aside(self, open_call):
        page = open_call(**PHONE)
        choose(page, which="other", architecture="transformer")
        play(page)
        page.locator("#statistics th", has_text="transformer").wait_for()
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate(ASIDE) == []


MOVE = "(place, window) => { place.value = window; place.dispatchEvent(new Event('input')); }"
DROP = """([text, name]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
}"""
SEGMENTS = """async ([epochs, options]) =>
  (await import("/sleep-stager/sleep-stager.js")).segments(epochs, options)"""
FOCUSED = "() => document.activeElement.id || document.activeElement.value || document.activeElement.tagName"
OUTLINED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"
PAINTED = """() => {  // the share of the night's width that the probabilities take up
  const canvas = document.getElementById("probabilities"), scale = canvas.width / canvas.clientWidth;
  const y = Math.round(30 * scale), left = Math.round(44 * scale), wide = canvas.width - left - Math.round(8 * scale);
  const row = canvas.getContext("2d").getImageData(left, y, wide, 1).data;
  let painted = 0;
  for (let i = 0; i < wide; i++) {
    const [r, g, b, a] = row.slice(4 * i, 4 * i + 4);
    painted += a > 150 && Math.max(r, g, b) - Math.min(r, g, b) > 40;
  }
  return painted / wide;
}"""
GREY = """() => {  // the share of the night's width that is shown as unknown
  const canvas = document.getElementById("hypnogram"), scale = canvas.width / canvas.clientWidth;
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.color = "var(--unknown)";
  const grey = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  probe.remove();
  const y = Math.round(3 * scale), left = Math.round(44 * scale), wide = canvas.width - left - Math.round(8 * scale);
  const row = canvas.getContext("2d").getImageData(left, y, wide, 1).data;
  let painted = 0;
  for (let i = 0; i < wide; i++) painted += grey.every((value, k) => Math.abs(row[4 * i + k] - value) < 3);
  return painted / wide;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, select, input, canvas, summary")]
  .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)"""
COLOURS = """() => {
  const names = ["ground", "card", "ink", "muted", "accent", "on-accent", "wrong", "edge", "heart", "move",
                 "wake", "n1", "n2", "n3", "rem", "unknown"];
  const probe = document.body.appendChild(document.createElement("span"));
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)];
  });
  probe.remove();
  return Object.fromEntries(found);
}"""
ASIDE = """() => [...document.querySelectorAll("main *, form *, header *")]
  .filter((e) => !e.closest(".unseen, pre, .scrolling, canvas, datalist") && e.getBoundingClientRect().right > 360.5)
  .map((e) => e.outerHTML.slice(0, 90))"""


def luminance(rgb):
    """Relative luminance, as WCAG 2 has it."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (c / 255 for c in rgb)]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
