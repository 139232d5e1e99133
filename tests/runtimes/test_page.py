"""The page of `python -m watch_sim serve`, used as people use it, in Chromium: it predicts what the simulator predicts.

What leaves it is read back: CSV with pandas, EDF+ with mne.
"""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from on_page import MOVE, check_same, choose, drop, exported, move, night_of, play, ready, rows, seconds_of, shown

from pipeline.constants import STAGES, UNKNOWN
from pipeline.options import Options
from pipeline.recordings import read_recording
from scoring.metrics import kappa
from scoring.predictions import PROBABILITY_COLUMNS
from watch_sim.predict import predict_night

pytestmark = pytest.mark.runtimes


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
        assert seconds_of(last[1]) == 30 * place
        minutes = sum(float(row[2]) for row in rows(page, "#runs"))
        assert minutes == place / 2
        assert last[3] == page.inner_text("#stage")
        painted = page.evaluate(PAINTED)
        assert painted == pytest.approx(place / int(page.get_attribute("#place", "max")), abs=0.02)
        page.wait_for_timeout(300)
        assert int(page.input_value("#place")) == place  # it is paused
        assert page.inner_text("#play") == "Play"
        page.click("#whole")
        ready(page)
        assert page.input_value("#place") == page.get_attribute("#place", "max")
        assert page.inner_text("#play") == "Replay live"
        assert page.is_disabled("#whole")

    def test_heart_rate_and_movement_grow(self, page):
        pictures = []
        for window in (200, 300):
            move(page, window)
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
        page.locator("#hypnogram-of", has_text="GRU, 32-bit float").wait_for()
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


class TestOpening:
    def test_a_finished_night_with_its_kappa(self, page, address, held_out, tmp_path):
        assert page.input_value("#night") == held_out  # of the held-out nights, which is one, the median
        assert page.input_value("#place") == page.get_attribute("#place", "max")
        assert page.inner_text("#play") == "Replay live"
        true = page.request.get(f"{address}api/nights/{held_out}").json()["stages"]
        pairs = [(a, b) for a, b in zip(night_of(page, tmp_path).stage, true, strict=True) if b and a != UNKNOWN]
        label = page.inner_text("#night option:checked")
        assert label == f"{held_out}, Cohen's κ {kappa(*map(np.array, zip(*pairs, strict=True))):.2f}"

    def test_every_scored_night_is_labelled_with_its_kappa(self, page):
        labelled = page.locator("#night option", has_text=re.compile(r", Cohen's κ -?0\.\d\d$"))
        assert page.locator("#night option").count() == 10
        labelled.nth(9).wait_for(state="attached", timeout=60_000)

    def test_the_median_of_several_nights_is_chosen(self, page):
        offered = [{"id": str(i), "part": "validation", "labels": True} for i in range(5)]
        kappas = page.evaluate(MEDIAN, offered)
        assert kappas == {"chosen": "3", "told": 5}

    def test_choices_are_in_the_address(self, page, held_out):
        choose(page, architecture="lstm", precision="float32")
        choose(page, which="other", architecture="gru")
        page.uncheck("#overlay")
        page.select_option("#speed", "60")
        move(page, 150)
        page.reload()
        ready(page)
        assert f"night={held_out}" in page.url
        assert page.inner_text("#hypnogram-of").startswith("LSTM, 32-bit float, ")
        assert page.inner_text("#hypnogram-2-of").startswith("GRU, 8-bit, ")
        assert [page.input_value(f"#{name}") for name in ("place", "speed")] == ["150", "60"]
        assert not page.is_checked("#overlay")

    def test_an_address_of_a_night_that_is_not_there(self, open_call, held_out):
        page = open_call("?night=nobody&model=cnn.int4&speed=3&at=x")
        assert page.inner_text("#problem") == "This data set has no night nobody; showing another one."
        assert page.input_value("#night") == held_out
        assert page.inner_text("#hypnogram-of").startswith("GRU, 8-bit, ")

    def test_without_nights_the_sample_is_shown(self, page):
        page.route("**/api/nights", lambda route: route.fulfill(json={"dataset_dir": "", "nights": []}))
        page.reload()
        shown(ready(page), "Sample")
        assert page.locator("#night option").all_inner_texts() == ["Sample"]
        assert page.inner_text("#stage") in STAGES

    def test_points_that_change_nothing_are_not_offered(self, open_call, address):
        def even(route):
            catalog = route.fetch().json()
            for model in catalog["bundles"]:
                model["operating_points"] = {"even": {"weights": [0.2] * 5}}
            route.fulfill(json=catalog)

        page = open_call()
        page.route("**/api/bundles", even)
        page.reload()
        ready(page)
        assert page.locator("#model [name=point] option").all_inner_texts() == ["default"]
        assert page.locator("#model [name=point]").is_hidden()


class TestWhatAModelMayNot:
    """The contract as the page is given it: of simulated nights, of recorded ones, and one that refuses LiteRT.js."""

    @staticmethod
    def serve(page, change):
        """Have the page be given other contracts."""

        def answer(route):
            contract = route.fetch().json()
            change(contract)
            del contract["digest"]  # of the contract before
            route.fulfill(json=contract)

        page.route("**/contract.json", answer)
        page.reload()
        return ready(page)

    def test_simulated_nights_are_named(self, page):
        banner, stages = page.locator("#simulated"), "The stages say nothing about people."
        assert banner.inner_text() == f"Trained on simulated nights: GRU, 8-bit. {stages}"
        choose(page, which="other", architecture="transformer")
        banner.locator(f"text=Trained on simulated nights: GRU, 8-bit; Transformer, 8-bit. {stages}").wait_for()
        choose(page, which="other", architecture="")
        assert banner.inner_text() == f"Trained on simulated nights: GRU, 8-bit. {stages}"

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
        page.locator("#statistics th", has_text="Transformer, 32-bit float").wait_for()
        wanted = ["GRU, 8-bit", "Transformer, 32-bit float"]
        assert page.locator("#statistics thead th").all_inner_texts() == wanted
        found = rows(page, "#agreement")
        choose(page, architecture="transformer", precision="float32")
        other = night_of(page, tmp_path).stage
        wanted = [f"{100 * (one == other).mean():.0f} %", f"{kappa(one, other):.2f}"]
        assert found == [["GRU, 8-bit – Transformer, 32-bit float", *wanted]]
        choose(page, which="other", architecture="")
        page.locator("#second").wait_for(state="hidden")

    def test_the_scoring_laid_over(self, page, address, held_out, tmp_path):
        page.select_option("#night", held_out)
        play(page)
        true = page.request.get(f"{address}api/nights/{held_out}").json()["stages"]
        pairs = [(a, b) for a, b in zip(night_of(page, tmp_path).stage, true, strict=True) if b]
        one, other = map(np.array, zip(*pairs, strict=True))
        wanted = [f"{100 * (one == other).mean():.0f} %", f"{kappa(one, other):.2f}"]
        assert rows(page, "#agreement") == [["GRU, 8-bit – Scored", *wanted]]
        with_it = page.locator("#hypnogram").screenshot()
        page.uncheck("#overlay")
        page.locator("#agreement").wait_for(state="hidden")
        assert page.locator("#hypnogram").screenshot() != with_it

    def test_sleep_statistics_are_the_services(self, page, address, tmp_path):
        play(page)
        page.uncheck("#overlay")
        page.locator("#statistics thead th", has_text="Scored").wait_for(state="detached")
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


class TestUnknown:
    """A night of two hours, of which one hour and a half in the middle has no value at all."""

    MINUTES, FIRST, LAST = 120, 15, 105

    @pytest.fixture
    def gapped(self, page):
        times = [t for t in range(0, 60 * self.MINUTES + 1, 10) if not 60 * self.FIRST < t < 60 * self.LAST]
        text = "\n".join(["time,heart_rate", *(f"{t},{55 + t % 9}" for t in times)])
        drop(page, (text, "gapped.csv"))
        return shown(page, "gapped.csv")

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
        move(page, 2 * 60)  # unknown long before: the time is told of the window that it was moved to
        assert page.inner_text("#stage") == UNKNOWN
        assert {*page.locator("#bars li > span:last-child").all_inner_texts()} == {""}
        heart = page.locator("#coverage li[data-sensor=heart_rate] span").all_inner_texts()
        assert heart == ["Heart rate", "0 %", "45 min ago"]
        activity = page.locator("#coverage li[data-sensor=activity] span").all_inner_texts()
        assert activity == ["Activity", "0 %", "never sensed"]
        assert page.inner_text("#coverage-title") == "Sensed in the last 10 min"
        move(page, 20)
        assert page.inner_text("#stage") in STAGES
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
        assert rows(page, "#agreement") == [["GRU, 8-bit – GRU, 32-bit float", *expected]]

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
        page.locator("#start-error", has_text="its clocks skip that time").wait_for()
        assert page.get_attribute("#start", "aria-invalid") == "true"
        assert page.evaluate(FOCUSED) == "start"
        assert page.is_hidden("#problem")

    def test_it_asks_when_the_night_began_and_says_what_it_wrote(self, page, held_out, tmp_path):
        page.select_option("#night", held_out)
        ready(page)
        assert page.input_value("#start") == ""
        page.fill("#zone", "")
        page.click("#export button[value=csv]")
        assert page.inner_text("#start-error") == "Enter when the night began; the recording does not say."
        assert page.inner_text("#zone-error") == "Enter a time zone, such as Europe/Berlin."
        page.fill("#zone", "Europe/Nowhere")
        page.fill("#start", "2026-01-31T23:10:00")
        assert page.is_hidden("#start-error")

    def test_what_was_written_is_named(self, page, held_out, tmp_path):
        page.select_option("#night", held_out)
        page.fill("#zone", "Europe/Berlin")
        table = night_of(page, tmp_path)
        text = page.inner_text("#exported")
        assert text.startswith(f"Wrote {held_out}.gru.int8.csv: CSV, {len(table)} epochs of GRU, 8-bit, ")
        assert text.endswith("from 2026-01-31 22:30 (Europe/Berlin).")


MEDIAN = """async (offered) => {  // of nights whose κ are 0, 1, … in disorder, as a stand-in has them
  const { medianOf } = await import("./survey.js");
  const kappas = { 0: 0.9, 1: 0.1, 2: 0.2, 3: 0.5, 4: 0.6 };
  let told = 0;
  const chosen = await medianOf(offered, ["validation"], async (id) => kappas[id], () => told++, () => {});
  return { chosen, told };
}"""
SEGMENTS = """async ([epochs, options]) =>
  (await import("/sleep-stager/sleep-stager.js")).segments(epochs, options)"""
FOCUSED = "() => document.activeElement.id || document.activeElement.value || document.activeElement.tagName"
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
