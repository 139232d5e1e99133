"""The service: what it says of nights is what pipeline and watch say, and no request gets past its checks.

The page itself is tested in tests/runtimes/test_page.py.
"""

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from evaluation.results import PROBABILITY_COLUMNS
from pipeline.align import align
from pipeline.files import read_hparams
from pipeline.options import STAGES, Options
from pipeline.recordings import paths, read_recording
from watch_sim import serve
from watch_sim.__main__ import main
from watch_sim.live import Sessions
from watch_sim.predict import predict_night
from watch_sim.watch import Runner

ROOT = Path(__file__).resolve().parents[2]
MODEL = {"architecture": "gru", "precision": "float32"}


@pytest.fixture(scope="module")
def client(quick_run):
    return TestClient(serve.create_app(quick_run.folder))


@pytest.fixture(scope="module")
def held_out(quick_run):
    return json.loads((quick_run.folder / "splits.json").read_text())["validation"][0]


@pytest.fixture(scope="module")
def recording(synthetic, held_out):
    return read_recording(synthetic, held_out, want_labels=False)


@pytest.fixture(scope="module")
def channels(quick_run):
    contract = json.loads((quick_run.folder / "bundles" / "gru" / "contract.json").read_text())
    return [channel["name"] for channel in contract["channels"]]


def refused(response, status=422):
    """The fields that a refusal names."""
    assert response.status_code == status, response.text
    return [each["field"] for each in response.json()["detail"]]


def stages(epochs):
    return [epoch["stage"] for epoch in epochs]


def probabilities(epochs):
    return np.array([epoch["probabilities"] for epoch in epochs])


class TestNights:
    def test_bundles(self, client, quick_run):
        said = client.get("/api/bundles").json()
        assert [bundle["architecture"] for bundle in said["bundles"]] == ["gru", "lstm", "rnn", "transformer"]
        assert said["seconds"] == {"row": 1, "window": 30, "stride": 30}
        folder = quick_run.folder / "bundles" / "gru"
        files = ("sensing.tflite", "gru.float32.tflite")
        assert said["bundles"][0]["precisions"]["float32"] == sum((folder / name).stat().st_size for name in files)
        assert {*said["bundles"][0]["operating_points"]} == {"balanced", "rem"}

    def test_nights_and_what_the_run_used_them_for(self, client, quick_run, synthetic):
        said = client.get("/api/nights").json()
        assert said["dataset_dir"] == str(synthetic)
        assert [night["id"] for night in said["nights"]] == [str(n) for n in range(1001, 1007)]
        splits = json.loads((quick_run.folder / "splits.json").read_text())
        for night in said["nights"]:
            assert [night["part"]] == ([part for part in splits if night["id"] in splits[part]] or [None])
            files = paths(synthetic, night["id"])
            assert {*night["sensors"]} == {name for name, path in files.items() if path.exists()} - {"labels"}
            assert night["labels"] == files["labels"].exists()

    def test_a_night_is_what_the_aligner_gives(self, client, synthetic, held_out, channels):
        said = client.get(f"/api/nights/{held_out}").json()
        night, options = align(read_recording(synthetic, held_out), Options()), Options()
        assert said["part"] == "validation"
        assert said["ends"] == night.ends.tolist()
        assert said["stages"] == [STAGES[i] if i >= 0 else None for i in night.stages]
        assert {*said["channels"]} == {*channels}
        for name, windows in said["channels"].items():
            np.testing.assert_array_equal(np.float32(windows), night.window(name, options))

    def test_another_data_set_with_an_unusable_night(self, quick_run, synthetic, held_out, tmp_path):
        for name in ("heart_rate", "motion"):
            for subject, target in ((held_out, held_out), (held_out, "new")):
                path = paths(tmp_path, target)[name]
                path.parent.mkdir(exist_ok=True)
                shutil.copy(paths(synthetic, subject)[name], path)
        paths(tmp_path, "bad")["heart_rate"].write_text("nonsense\n")
        client = TestClient(serve.create_app(quick_run.folder, tmp_path))
        parts = {night["id"]: night["part"] for night in client.get("/api/nights").json()["nights"]}
        assert parts == {held_out: "validation", "new": None, "bad": None}
        night = client.get("/api/nights/new").json()
        assert {*night["stages"]} == {None}
        refusal = client.get("/api/nights/bad")
        assert refusal.status_code == 422
        assert "heart_rate/bad_heartrate.txt" in refusal.json()["detail"]

    def test_overlapping_windows_and_times_before_zero(self, overlapping_run, synthetic, held_out):
        client = TestClient(serve.create_app(overlapping_run.folder))
        said = client.get(f"/api/nights/{held_out}").json()
        _, options = read_hparams(overlapping_run.folder)
        recording = read_recording(synthetic, held_out, options.negative_times)
        night = align(recording, options)
        assert said["ends"] == night.ends.tolist()
        assert said["start"] == night.ends[0] - 15
        np.testing.assert_array_equal(np.float32(said["channels"]["motion_x"]), night.window("motion_x", options))
        model = {"architecture": "gru", "precision": "float32"}
        by_windows = client.post("/api/predict", json={**model, "windows": said["channels"]}).json()
        assert by_windows["seconds"] == 15
        events = {name: {"t": t.tolist(), "value": x.tolist()} for name, (t, x) in recording.samples.items()}
        by_events = client.post("/api/predict", json={**model, "events": events}).json()["epochs"]
        assert by_events[0]["time"] == said["start"]
        n = len(by_windows["epochs"])
        np.testing.assert_array_equal(
            probabilities(by_events)[:n], probabilities(by_windows["epochs"])[: len(by_events)]
        )

    @pytest.mark.parametrize("name", ["nobody", "..%2fx", "%00", "1001%2f..%2fx"])
    def test_no_such_night(self, client, name):
        assert client.get(f"/api/nights/{name}").status_code == 404


class TestPredict:
    def test_events_go_through_the_watch(self, client, quick_run, recording):
        events = {name: {"t": t.tolist(), "value": x.tolist()} for name, (t, x) in recording.samples.items()}
        for point in (None, "rem"):
            said = client.post("/api/predict", json={**MODEL, "operating_point": point, "events": events}).json()
            wanted = predict_night(quick_run.folder / "bundles" / "gru", "float32", recording, Options(), point)
            assert stages(said["epochs"]) == wanted.stage.tolist()
            assert [epoch["time"] for epoch in said["epochs"]] == wanted.time.tolist()
            np.testing.assert_array_equal(probabilities(said["epochs"]), wanted[[*PROBABILITY_COLUMNS]])
            assert {name: said[name] for name in MODEL} == MODEL
            assert said["operating_point"] == point

    def test_windows_go_through_the_runner(self, client, quick_run, recording):
        night = align(recording, Options())
        windows = {name: x.tolist() for name, x in night.channels.items()}
        said = client.post("/api/predict", json={**MODEL, "windows": windows}).json()["epochs"]
        runner = Runner(quick_run.folder / "bundles" / "gru", "float32")
        np.testing.assert_array_equal(np.float32(probabilities(said)), runner.night(night, Options()))
        weighed = client.post("/api/predict", json={**MODEL, "operating_point": "rem", "windows": windows}).json()
        weights = np.float32(runner.contract["operating_points"]["rem"]["weights"])
        wanted = probabilities(said) * weights
        np.testing.assert_allclose(
            probabilities(weighed["epochs"]), wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-5
        )

    def test_what_is_not_given_or_out_of_range_is_missing(self, client, channels):
        missing, far = [[0.0] * 30] * 3, [[1e300] * 30] * 3
        said = [
            client.post("/api/predict", json={**MODEL, "windows": {"heart_rate": x}}).json()["epochs"]
            for x in (missing, far)
        ]
        assert said[0] == said[1]
        assert len(said[0]) == 3
        assert np.isfinite(probabilities(said[0])).all()
        assert len(channels) > 1

    @pytest.mark.parametrize(
        "body, field",
        [
            ({}, "architecture"),
            ({"architecture": "gru"}, "body"),
            ({"architecture": "gru", "windows": {}}, "windows"),
            ({"architecture": "cnn", "windows": {"heart_rate": [[60] * 30]}}, "architecture"),
            ({"architecture": 7, "windows": {"heart_rate": [[60] * 30]}}, "architecture"),
            ({**MODEL, "precision": "int4", "windows": {"heart_rate": [[60] * 30]}}, "precision"),
            ({**MODEL, "operating_point": "most", "windows": {"heart_rate": [[60] * 30]}}, "operating_point"),
            ({**MODEL, "windows": {"heart_rate": [[60] * 30], "pulse": [[60]]}}, "windows.pulse"),
            ({**MODEL, "windows": {"heart_rate": [[60] * 30, [60] * 29]}}, "windows.heart_rate.1"),
            ({**MODEL, "windows": {"heart_rate": [[60] * 30], "activity": [[0, 0]] * 2}}, "windows.activity"),
            ({**MODEL, "windows": {"heart_rate": [["60"] * 30]}}, "windows.heart_rate.0.0"),
            ({**MODEL, "windows": {"heart_rate": [[60] * 30] * 2881}}, "windows.heart_rate"),
            ({**MODEL, "events": {}}, "events"),
            ({**MODEL, "events": {"heart_rate": {"t": [], "value": []}}}, "events"),
            ({**MODEL, "events": {"pulse": {"t": [1], "value": [60]}}}, "events.pulse"),
            ({**MODEL, "events": {"heart_rate": {"t": [1, 2], "value": [60]}}}, "events.heart_rate.value"),
            ({**MODEL, "events": {"heart_rate": {"t": [2, 1], "value": [60, 60]}}}, "events.heart_rate.t"),
            ({**MODEL, "events": {"heart_rate": {"t": [-7201], "value": [60]}}}, "events.heart_rate.t.0"),
            ({**MODEL, "events": {"heart_rate": {"t": [1e9], "value": [60]}}}, "events.heart_rate.t.0"),
            ({**MODEL, "events": {"motion": {"t": [1], "value": [1]}}}, "events.motion.value.0"),
            ({**MODEL, "events": {"motion": {"t": [1], "value": [[0, 1]]}}}, "events.motion.value.0"),
            ({**MODEL, "surprise": 1, "windows": {"heart_rate": [[60] * 30]}}, "surprise"),
            ([], "body"),
            (None, "body"),
        ],
    )
    def test_a_bad_body_is_refused_by_field(self, client, body, field):
        assert field in refused(client.post("/api/predict", json=body))

    @pytest.mark.parametrize("text", ["", "{", '{"a": ', "NaN", '{"architecture": "gru", "windows": NaN}', "\udcff"])
    def test_what_is_no_json_is_refused(self, client, text):
        content = text.encode(errors="surrogateescape")
        response = client.post("/api/predict", content=content, headers={"Content-Type": "application/json"})
        assert 400 <= response.status_code < 500

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" * 5000])
    def test_a_number_that_is_none(self, client, number):
        content = json.dumps({**MODEL, "events": {"heart_rate": {"t": [1, 2], "value": [60, 0.25]}}})
        headers = {"Content-Type": "application/json"}
        response = client.post("/api/predict", content=content.replace("0.25", number), headers=headers)
        assert 400 <= response.status_code < 500
        assert number not in response.text

    def test_a_body_has_a_size(self, quick_run, monkeypatch):
        monkeypatch.setattr(serve, "MOST_BYTES", 1000)
        small = TestClient(serve.create_app(quick_run.folder))
        assert small.post("/api/predict", json={"architecture": "g" * 1000}).status_code == 413


class TestLive:
    def test_a_session_says_what_the_watch_says(self, client, recording):
        t, bpm = recording.samples["heart_rate"]
        events = {"heart_rate": {"t": t.tolist(), "value": bpm.tolist()}}
        wanted = client.post("/api/predict", json={**MODEL, "events": events}).json()["epochs"]
        session = client.post("/api/live", json=MODEL)
        assert session.status_code == 201
        address = f"/api/live/{session.json()['session']}"
        samples = [{"sensor": "heart_rate", "t": a, "value": b} for a, b in zip(t.tolist(), bpm.tolist(), strict=True)]
        said = []
        for i in range(0, len(samples), 500):
            said += client.post(address, json={"samples": samples[i : i + 500]}).json()["epochs"]
        said += client.post(address, json={"now": wanted[-1]["time"] + 30}).json()["epochs"]
        assert said == wanted
        assert client.delete(address).status_code == 204
        assert client.post(address, json={"now": 1}).status_code == 404
        assert client.delete(address).status_code == 404

    def test_counts_and_a_clock_of_its_own(self, client):
        opened = client.post("/api/live", json={**MODEL, "start": 1.8e9, "counts": True}).json()
        body = {"samples": [{"sensor": "activity", "t": 1.8e9 + 15, "value": 3}], "now": 1.8e9 + 61}
        said = client.post(f"/api/live/{opened['session']}", json=body).json()["epochs"]
        assert [epoch["time"] for epoch in said] == [1.8e9, 1.8e9 + 30]
        client.delete(f"/api/live/{opened['session']}")

    @pytest.mark.parametrize(
        "body, field",
        [
            ({"samples": [{"sensor": "heart_rate", "t": 1, "value": [1, 2, 3]}]}, "samples.0"),
            ({"samples": [{"sensor": "motion", "t": 1, "value": 1}]}, "samples.0"),
            ({"samples": [{"sensor": "pulse", "t": 1, "value": 1}]}, "samples.0.sensor"),
            ({"samples": [{"sensor": "heart_rate", "t": 1, "value": 90}], "now": 1e8}, "samples"),
            ({"samples": [{"sensor": "heart_rate", "t": 1, "value": 60}] * 2 + [1]}, "samples.2"),
            ({"now": "soon"}, "now"),
        ],
    )
    def test_a_bad_feed_is_refused_and_nothing_is_fed(self, client, body, field):
        address, unfed = (f"/api/live/{client.post('/api/live', json=MODEL).json()['session']}" for _ in range(2))
        assert field in refused(client.post(address, json=body))
        said = client.post(address, json={"now": 60}).json()["epochs"]
        assert len(said) == 2
        assert said == client.post(unfed, json={"now": 60}).json()["epochs"]
        client.delete(address)
        client.delete(unfed)

    def test_a_time_long_ago_is_too_late_and_no_more(self, client):
        address = f"/api/live/{client.post('/api/live', json=MODEL).json()['session']}"
        assert len(client.post(address, json={"now": 60}).json()["epochs"]) == 2
        old = {"samples": [{"sensor": "heart_rate", "t": -1e300, "value": 60}], "now": 90}
        assert len(client.post(address, json=old).json()["epochs"]) == 1
        client.delete(address)

    def test_sessions_are_bounded_and_idle_ones_make_room(self):
        sessions = Sessions(most=2, idle=3600)
        first, second = sessions.open("a"), sessions.open("b")
        assert first != second
        assert sessions.open("c") is None
        sessions.idle = -1
        assert sessions.open("c") is not None
        assert len(sessions.watches) == 1

    def test_too_many_are_refused(self, quick_run, monkeypatch):
        monkeypatch.setattr(serve, "Sessions", lambda: Sessions(most=1))
        client = TestClient(serve.create_app(quick_run.folder))
        assert [client.post("/api/live", json=MODEL).status_code for _ in range(2)] == [201, 429]

    def test_requests_at_the_same_time(self, client):
        body, answers = {**MODEL, "windows": {"heart_rate": [[60] * 30] * 5}}, []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post("/api/predict", json=body).json()))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 4
        assert all(answer == answers[0] for answer in answers)


class TestStatistics:
    def test_of_a_known_night(self, client):
        night = ["Wake"] * 20 + ["N1"] * 2 + ["N2"] * 58 + ["N3"] * 40 + ["Wake"] * 4 + ["REM"] * 76
        said = {each["name"]: each for each in client.post("/api/statistics", json={"stages": night}).json()}
        minutes = {"TST": 88, "SOL": 10, "WASO": 2, "Wake": 12, "N1": 1, "N2": 29, "N3": 20, "REM": 38}
        assert {name: said[name]["value"] for name in minutes} == minutes
        assert said["SE"] == {"name": "SE", "unit": "%", "value": 88.0}
        assert said["REM latency"] == {"name": "REM latency", "unit": "min", "value": 52.0}

    def test_there_may_be_none(self, client):
        said = client.post("/api/statistics", json={"stages": ["N2", None, "N2"]}).json()
        assert [each["value"] for each in said if each["name"] == "REM latency"] == [None]
        assert [each["value"] for each in said if each["name"] == "TST"] == [1.0]

    @pytest.mark.parametrize(
        "body, field", [({"stages": []}, "stages"), ({"stages": [None]}, "stages"), ({}, "stages")]
    )
    def test_nothing_to_count(self, client, body, field):
        assert refused(client.post("/api/statistics", json=body)) == [field]

    def test_unknown_stage(self, client):
        assert refused(client.post("/api/statistics", json={"stages": ["N2", "N4"]})) == ["stages.1"]


NIGHT = ["Wake"] * 3 + ["N1", "N2"] * 200 + ["N3"] * 10 + ["REM"] * 7
P = np.eye(5)[[STAGES.index(stage) for stage in NIGHT]] * 0.9 + 0.02
TAKEN = {"stages": NIGHT, "probabilities": P.tolist(), "start": "2026-10-24T23:10:00", "zone": "Europe/Berlin"}


class TestExport:
    def test_edf_as_mne_reads_it(self, client, tmp_path):
        named = {**TAKEN, "subject": "Jörg, 7", "model": "gru int8"}
        (tmp_path / "night.edf").write_bytes(client.post("/api/export/edf", json=named).content)
        notes = mne.read_annotations(tmp_path / "night.edf")
        assert notes.onset.tolist() == [30.0 * i for i in range(len(NIGHT))]
        assert {*notes.duration} == {30.0}
        texts = {"Wake": "W", "REM": "R"}
        assert notes.description.tolist() == [f"Sleep stage {texts.get(stage, stage)}" for stage in NIGHT]
        raw = mne.io.read_raw_edf(tmp_path / "night.edf", verbose="error")
        assert raw.info["meas_date"].isoformat() == "2026-10-24T23:10:00+00:00"  # EDF has local time and no zone
        assert raw.ch_names == [f"P({stage})" for stage in STAGES]
        np.testing.assert_allclose(raw.get_data().T, P, atol=2e-5)
        assert raw.times[1] == 30

    def test_healthkit_merges_and_keeps_the_offset_over_a_change_of_clocks(self, client):
        said = client.post("/api/export/healthkit", json=TAKEN).json()
        assert said == {
            "type": "HKCategoryTypeIdentifierSleepAnalysis",
            "metadata": {"HKTimeZone": "Europe/Berlin"},
            "samples": [
                {"start": "2026-10-24T23:10:00+02:00", "end": "2026-10-24T23:11:30+02:00", "value": 2},
                {"start": "2026-10-24T23:11:30+02:00", "end": "2026-10-25T02:31:30+02:00", "value": 3},
                {"start": "2026-10-25T02:31:30+02:00", "end": "2026-10-25T02:36:30+02:00", "value": 4},
                {"start": "2026-10-25T02:36:30+02:00", "end": "2026-10-25T02:40:00+02:00", "value": 5},
            ],
        }

    def test_health_connect(self, client):
        said = client.post("/api/export/health_connect", json={**TAKEN, "start": "2026-10-24T23:30"}).json()
        assert [stage["stage"] for stage in said["stages"]] == [1, 4, 5, 6]
        assert (said["startTime"], said["startZoneOffset"]) == ("2026-10-24T23:30:00+02:00", "+02:00")
        assert (said["endTime"], said["endZoneOffset"]) == ("2026-10-25T02:00:00+01:00", "+01:00")
        ends = [stage["endTime"] for stage in said["stages"]]
        assert [stage["startTime"] for stage in said["stages"]] == [said["startTime"], *ends[:-1]]

    def test_csv(self, client):
        text = client.post("/api/export/csv", json={**TAKEN, "zone": "-03:30"}).text
        table = pd.read_csv(io.StringIO(text))
        assert list(table) == ["time", "clock", "stage", *PROBABILITY_COLUMNS]
        assert table.time.tolist() == [30 * i for i in range(len(NIGHT))]
        assert table.stage.tolist() == NIGHT
        assert table.clock[1] == "2026-10-24T23:10:30-03:30"
        np.testing.assert_allclose(table[[*PROBABILITY_COLUMNS]], P)

    def test_no_such_export(self, client):
        assert client.post("/api/export/pdf", json=TAKEN).status_code == 404

    @pytest.mark.parametrize(
        "change, field",
        [
            ({"zone": "Mars/Olympus"}, "zone"),
            ({"zone": "../../etc/passwd"}, "zone"),
            ({"zone": "+25:00"}, "zone"),
            ({"zone": "Europe"}, "zone"),
            ({"start": "yesterday"}, "start"),
            ({"start": "2026-10-24T23:10:00Z"}, "start"),
            ({"start": "2026-03-29T02:30:00"}, "start"),
            ({"start": "0001-01-01T00:00:00"}, "start"),
            ({"stages": NIGHT[1:]}, "probabilities"),
            ({"probabilities": [[0.5] * 5] * (len(NIGHT) - 1) + [[0.5] * 4]}, f"probabilities.{len(NIGHT) - 1}"),
            ({"probabilities": [[0.5] * 5] * (len(NIGHT) - 1) + [[2] * 5]}, f"probabilities.{len(NIGHT) - 1}.0"),
            ({"stages": []}, "stages"),
            ({"subject": "x" * 81}, "subject"),
        ],
    )
    @pytest.mark.parametrize("kind", ["edf", "healthkit"])
    def test_bad_bodies(self, client, kind, change, field):
        assert field in refused(client.post(f"/api/export/{kind}", json=TAKEN | change))


class TestFiles:
    def test_page_and_bundles(self, client, quick_run):
        assert client.get("/").text.startswith("<!doctype html>")
        for name in ("main.js", "style.css", "litert/litert.js", "litert/litert_wasm_compat_internal.wasm"):
            assert client.get(f"/{name}").content == (serve.PAGE / name).read_bytes()
        for name in ("contract.json", "gru.float32.tflite", "sleep-stager.js"):
            wanted = (quick_run.folder / "bundles" / "gru" / name).read_bytes()
            assert client.get(f"/bundles/gru/{name}").content == wanted

    @pytest.mark.parametrize(
        "path",
        [
            "/bundles/gru/../../hparams.json", "/bundles/gru/%2e%2e/%2e%2e/hparams.json",
            "/bundles/gru/..%2f..%2fhparams.json", "/bundles/gru/..%5c..%5chparams.json",
            "/bundles/gru/%2fetc/passwd", "/bundles//etc/passwd", "/bundles/", "/bundles/gru/", "/bundles/gru",
            "/bundles/cnn/contract.json", "/../serve.py", "/..%2fserve.py", "/%2e%2e/serve.py", "/docs", "/redoc",
        ],
    )  # fmt: skip
    def test_nothing_else(self, client, path):
        assert client.get(path).status_code == 404

    def test_no_link_leads_out_of_a_bundle(self, quick_run, tmp_path):
        shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "bundles" / "gru")
        for name in ("hparams.json", "splits.json"):
            shutil.copy(quick_run.folder / name, tmp_path)
        (tmp_path / "bundles" / "gru" / "out.json").symlink_to(tmp_path / "hparams.json")
        client = TestClient(serve.create_app(tmp_path))
        assert client.get("/bundles/gru/contract.json").status_code == 200
        assert client.get("/bundles/gru/out.json").status_code == 404

    def test_what_the_service_does_is_described(self, client):
        described = client.get("/openapi.json").json()["paths"]
        assert {"/api/bundles", "/api/nights/{subject}", "/api/predict", "/api/export/{kind}"} <= described.keys()

    def test_another_site_cannot_pose_as_it(self, quick_run):
        client = TestClient(serve.create_app(quick_run.folder, hosts=["localhost"]), base_url="http://localhost:8000")
        assert client.get("/api/nights").status_code == 200
        assert client.get("/api/nights", headers={"Host": "elsewhere.example"}).status_code == 400


class TestCommand:
    """It serves until it is interrupted; mistakes end in one line."""

    @staticmethod
    def command(*arguments):
        return CliRunner().invoke(main, ["serve", *map(str, arguments)])

    @pytest.fixture
    def run(self, quick_run, tmp_path):
        shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "run" / "bundles" / "gru")
        for name in ("hparams.json", "splits.json"):
            shutil.copy(quick_run.folder / name, tmp_path / "run")
        return tmp_path / "run"

    def test_it_serves_until_ctrl_c(self, quick_run):
        command = [sys.executable, "-u", "-m", "watch_sim", "serve", quick_run.folder, "--port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            address = re.search(r"http://127.0.0.1:\d+/", server.stdout.readline()).group()
            with urllib.request.urlopen(address) as page:
                assert page.read().startswith(b"<!doctype html>")
                assert "default-src 'self'" in page.headers["Content-Security-Policy"]
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=20)
        assert (server.returncode, said) == (0, ("", ""))

    def test_no_run(self, tmp_path, mistake):
        assert "no such run folder" in mistake(self.command(tmp_path / "none"))

    def test_no_bundles(self, run, mistake):
        shutil.rmtree(run / "bundles")
        assert "no bundle there" in mistake(self.command(run))

    def test_a_bundle_without_app_code(self, run, mistake):
        (run / "bundles" / "gru" / "sleep-stager.js").unlink()
        assert "python -m export" in mistake(self.command(run))

    def test_an_altered_file(self, run, mistake):
        with (run / "bundles" / "gru" / "gru.float32.tflite").open("ab") as file:
            file.write(b"\0")
        assert "gru.float32.tflite" in mistake(self.command(run))

    @pytest.mark.parametrize("what", ["no such folder", "not a folder", "holds no recordings"])
    def test_no_data_set(self, run, tmp_path, mistake, what):
        (tmp_path / "holds no recordings").mkdir()
        (tmp_path / "not a folder").write_text("")
        assert what in mistake(self.command(run, "--dataset_dir", tmp_path / what))

    def test_a_port_in_use(self, run, mistake):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            assert "--port" in mistake(self.command(run, "--port", taken.getsockname()[1]))

    def test_a_host_that_is_none(self, run, mistake):
        assert "--host 256.0.0.1" in mistake(self.command(run, "--host", "256.0.0.1"))

    def test_a_port_that_is_none(self, run):
        assert self.command(run, "--port", 70000).exit_code == 2
