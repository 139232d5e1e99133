"""The service: it gives of nights what pipeline and watch give, serves no other files, and ends with one-line mistakes.

The page itself is tested in tests/runtimes/test_page.py, bodies in test_requests.py, plain ones in test_plain.py, live
nights in test_live.py, who is let in in test_admission.py, exports in test_night_files.py; processes in tests/service.
"""

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

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from export.runner import Runner
from pipeline.align import align
from pipeline.constants import STAGES, UNKNOWN
from pipeline.coverage import coverage_of_night
from pipeline.options import Options
from pipeline.recordings import paths, read_recording
from pipeline.run_folder import RunFolder
from scoring.predictions import PROBABILITY_COLUMNS
from watch_sim.__main__ import main
from watch_sim.predict import predict_night
from watch_sim.service import app
from watch_sim.service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MODEL = {"architecture": "gru", "precision": "float32"}


@pytest.fixture(scope="module")
def channels(quick_run):
    contract = json.loads((quick_run.folder / "bundles" / "gru" / "contract.json").read_text())
    return [channel["name"] for channel in contract["channels"]]


def stages(epochs):
    return [epoch["stage"] for epoch in epochs]


def probabilities(epochs):
    """[epochs, 5], NaN where there are none."""
    return np.array([epoch["probabilities"] or [np.nan] * 5 for epoch in epochs])


class TestNights:
    def test_bundles(self, client, quick_run):
        answer = client.get("/api/bundles").json()
        assert [bundle["architecture"] for bundle in answer["bundles"]] == ["gru", "lstm", "rnn", "transformer"]
        assert answer["seconds"] == {"row": 1, "window": 30, "stride": 30}
        assert answer["training_data"]["name"] == "synthetic" and answer["training_data"]["simulated"] is True
        folder = quick_run.folder / "bundles" / "gru"
        files = ("sensing.tflite", "gru.float32.tflite")
        assert answer["bundles"][0]["precisions"]["float32"] == sum((folder / name).stat().st_size for name in files)
        assert {*answer["bundles"][0]["operating_points"]} == {"balanced", "rem"}
        assert [stage["name"] for stage in answer["stages"]] == [*STAGES]
        assert answer["sensors"]["heart_rate"] == {"range": [20, 250]}
        assert answer["sensors"]["activity"] == {"range": [0, 100_000]}
        assert (answer["grace_seconds"], answer["longest_night_seconds"]) == (0.1, 86400)
        assert answer["unknown"] == {
            "stage": "Unknown", "absent_seconds": 300, "off_wrist_seconds": 1800, "off_wrist_blind_seconds": 7200,
            "coverage_seconds": 600,
        }  # fmt: skip

    def test_nights_and_what_the_run_used_them_for(self, client, quick_run, synthetic):
        answer = client.get("/api/nights").json()
        assert answer["dataset_dir"] == str(synthetic)
        assert [night["id"] for night in answer["nights"]] == [str(n) for n in range(1001, 1007)]
        splits = json.loads((quick_run.folder / "splits.json").read_text())
        for night in answer["nights"]:
            assert [night["part"]] == ([part for part in splits if night["id"] in splits[part]] or [None])
            files = paths(synthetic, night["id"])
            assert {*night["sensors"]} == {name for name, path in files.items() if path.exists()} - {"labels"}
            assert night["labels"] == files["labels"].exists()

    def test_a_night_is_what_the_aligner_gives(self, client, synthetic, held_out, channels):
        answer = client.get(f"/api/nights/{held_out}").json()
        night, options = align(read_recording(synthetic, held_out), Options()), Options()
        assert answer["part"] == "validation"
        assert answer["ends"] == night.ends.tolist()
        assert answer["stages"] == [STAGES[i] if i >= 0 else None for i in night.stages]
        assert {*answer["channels"]} == {*channels}
        coverage = coverage_of_night(night, options, channels)
        assert answer["unknown"] == [window.unknown for window in coverage]
        assert [*answer["coverage"][0]] == [*coverage[0].sensors]
        for sensor in coverage[0].sensors:
            entries = [(window[sensor]["share"], window[sensor]["seconds_since"]) for window in answer["coverage"]]
            assert entries == [(w.sensors[sensor].share, w.sensors[sensor].seconds_since) for w in coverage]
        for name, windows in answer["channels"].items():
            np.testing.assert_array_equal(np.float32(windows), night.values(name, options))

    def test_another_data_set_with_an_unusable_night(self, quick_run, synthetic, held_out, tmp_path):
        for name in ("heart_rate", "motion"):
            for subject, target in ((held_out, held_out), (held_out, "new")):
                path = paths(tmp_path, target)[name]
                path.parent.mkdir(exist_ok=True)
                shutil.copy(paths(synthetic, subject)[name], path)
        paths(tmp_path, "bad")["heart_rate"].write_text("nonsense\n")
        client = TestClient(app.create_app(Settings(quick_run.folder, tmp_path)))
        parts = {night["id"]: night["part"] for night in client.get("/api/nights").json()["nights"]}
        assert parts == {held_out: "validation", "new": None, "bad": None}
        night = client.get("/api/nights/new").json()
        assert {*night["stages"]} == {None}
        refusal = client.get("/api/nights/bad")
        assert refusal.status_code == 422
        (finding,) = refusal.json()["detail"]
        assert finding["field"] == "subject" and "heart_rate/bad_heartrate.txt" in finding["message"]

    def test_overlapping_windows_and_times_before_zero(self, overlapping_run, synthetic, held_out):
        client = TestClient(app.create_app(Settings(overlapping_run.folder)))
        answer = client.get(f"/api/nights/{held_out}").json()
        options = RunFolder(overlapping_run.folder).options
        recording = read_recording(synthetic, held_out, options.negative_times)
        night = align(recording, options)
        assert answer["ends"] == night.ends.tolist()
        assert answer["start"] == night.ends[0] - 15
        np.testing.assert_array_equal(np.float32(answer["channels"]["motion_x"]), night.values("motion_x", options))
        model = {"architecture": "gru", "precision": "float32"}
        by_windows = client.post("/api/predict", json={**model, "windows": answer["channels"]}).json()
        assert by_windows["seconds"] == 15
        events = {name: {"t": t.tolist(), "value": x.tolist()} for name, (t, x) in recording.samples.items()}
        by_events = client.post("/api/predict", json={**model, "events": events}).json()["epochs"]
        assert by_events[0]["time"] == answer["start"]
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
            answer = client.post("/api/predict", json={**MODEL, "operating_point": point, "events": events}).json()
            expected = predict_night(quick_run.folder / "bundles" / "gru", "float32", recording, Options(), point)
            assert stages(answer["epochs"]) == expected.predicted_stage.tolist()
            assert [epoch["time"] for epoch in answer["epochs"]] == expected.t.tolist()
            np.testing.assert_array_equal(probabilities(answer["epochs"]), expected[[*PROBABILITY_COLUMNS]])
            assert {name: answer[name] for name in MODEL} == MODEL
            assert answer["operating_point"] == point

    def test_windows_go_through_the_runner(self, client, quick_run, recording):
        night = align(recording, Options())
        windows = {name: x.tolist() for name, x in night.channels.items()}
        answer = client.post("/api/predict", json={**MODEL, "windows": windows}).json()["epochs"]
        runner = Runner(quick_run.folder / "bundles" / "gru", "float32")
        np.testing.assert_array_equal(np.float32(probabilities(answer)), runner.night(night, Options()))
        weighed = client.post("/api/predict", json={**MODEL, "operating_point": "rem", "windows": windows}).json()
        weights = np.float32(runner.contract.operating_points["rem"].weights)
        expected = probabilities(answer) * weights
        np.testing.assert_allclose(
            probabilities(weighed["epochs"]), expected / expected.sum(axis=1, keepdims=True), rtol=1e-5
        )

    def test_what_is_not_given_or_out_of_range_is_missing(self, client, channels):
        missing, far = [[60.0] * 30] + [[0.0] * 30] * 2, [[60.0] * 30] + [[1e300] * 30] * 2
        missing_and_far = [
            client.post("/api/predict", json={**MODEL, "windows": {"heart_rate": x}}).json()["epochs"]
            for x in (missing, far)
        ]
        assert missing_and_far[0] == missing_and_far[1]
        assert len(missing_and_far[0]) == 3
        assert np.isfinite(probabilities(missing_and_far[0])).all()
        assert len(channels) > 1

    def test_without_anything_sensed_there_is_no_stage(self, client):
        body = {**MODEL, "windows": {"heart_rate": [[0.0] * 30] * 3}}
        answer = client.post("/api/predict", json=body).json()
        nothing = {"share": 0, "seconds_since": None}
        for epoch in answer["epochs"]:
            assert (epoch["stage"], epoch["probabilities"]) == (UNKNOWN, None)
            assert epoch["coverage"] == {"heart_rate": nothing, "activity": nothing}
        assert (len(answer["epochs"]), answer["findings"]) == (3, [])
        assert {count for reasons in answer["dropped"].values() for count in reasons.values()} == {0}

    def test_coverage_of_windows(self, client):
        body = {**MODEL, "windows": {"heart_rate": [[60.0] * 30, [60.0] * 20 + [0.0] * 10, [0.0] * 30]}}
        epochs = client.post("/api/predict", json=body).json()["epochs"]
        heart = [epoch["coverage"]["heart_rate"] for epoch in epochs]
        assert heart == [{"share": s, "seconds_since": t} for s, t in ((1, 0), (1, 10), (pytest.approx(2 / 3), 40))]

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
        statistics = {entry["name"]: entry for entry in client.post("/api/statistics", json={"stages": night}).json()}
        minutes = {"TST": 88, "SOL": 10, "WASO": 2, "Wake": 12, "N1": 1, "N2": 29, "N3": 20, "REM": 38}
        assert {name: statistics[name]["value"] for name in minutes} == minutes
        assert statistics["SE"] == {"name": "SE", "unit": "%", "value": 88.0}
        assert statistics["REM latency"] == {"name": "REM latency", "unit": "min", "value": 52.0}

    def test_unknown_is_neither_sleep_nor_wake(self, client):
        night = ["Wake"] * 4 + ["N2"] * 8 + [UNKNOWN] * 10 + ["N2"] * 2 + ["Wake"] * 6
        statistics = {x["name"]: x["value"] for x in client.post("/api/statistics", json={"stages": night}).json()}
        assert {name: statistics[name] for name in ("TST", "WASO", "Wake", "N2")} == {
            "TST": 5, "WASO": 0, "Wake": 5, "N2": 5,
        }  # fmt: skip

    def test_there_may_be_none(self, client):
        answer = client.post("/api/statistics", json={"stages": ["N2", None, "N2"]}).json()
        assert [entry["value"] for entry in answer if entry["name"] == "REM latency"] == [None]
        assert [entry["value"] for entry in answer if entry["name"] == "TST"] == [1.0]


class TestFiles:
    def test_page_and_bundles(self, client, quick_run):
        assert client.get("/").text.startswith("<!doctype html>")
        for name in ("main.js", "style.css", "litert/litert.js", "litert/litert_wasm_compat_internal.wasm"):
            assert client.get(f"/{name}").content == (app.PAGE / name).read_bytes()
        for name in ("contract.json", "gru.float32.tflite"):
            expected = (quick_run.folder / "bundles" / "gru" / name).read_bytes()
            assert client.get(f"/bundles/gru/{name}").content == expected
        for name in json.loads((app.LIBRARY / "package.json").read_text())["files"]:
            assert client.get(f"/sleep-stager/{name}").content == (app.LIBRARY / name).read_bytes()

    @pytest.mark.parametrize(
        "path",
        [
            "/bundles/gru/../../hparams.json", "/bundles/gru/%2e%2e/%2e%2e/hparams.json",
            "/bundles/gru/..%2f..%2fhparams.json", "/bundles/gru/..%5c..%5chparams.json",
            "/bundles/gru/%2fetc/passwd", "/bundles//etc/passwd", "/bundles/", "/bundles/gru/", "/bundles/gru",
            "/bundles/cnn/contract.json", "/../watch.py", "/..%2fwatch.py", "/%2e%2e/watch.py", "/docs-files/core.py",
        ],
    )  # fmt: skip
    def test_nothing_else(self, client, path):
        assert client.get(path).status_code == 404

    def test_no_link_leads_out_of_a_bundle(self, quick_run, tmp_path):
        shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "bundles" / "gru")
        for name in ("hparams.json", "splits.json"):
            shutil.copy(quick_run.folder / name, tmp_path)
        (tmp_path / "bundles" / "gru" / "out.json").symlink_to(tmp_path / "hparams.json")
        client = TestClient(app.create_app(Settings(tmp_path)))
        assert client.get("/bundles/gru/contract.json").status_code == 200
        assert client.get("/bundles/gru/out.json").status_code == 404

    def test_what_the_service_does_is_described(self, client):
        described = client.get("/openapi.json").json()["paths"]
        assert {"/api/bundles", "/api/nights/{subject}", "/api/predict", "/api/export/{kind}"} <= described.keys()

    def test_another_site_cannot_pose_as_it(self, quick_run):
        client = TestClient(
            app.create_app(Settings(quick_run.folder, hosts=("localhost",))), base_url="http://localhost:8000"
        )
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
            assert server.stdout.readline().startswith("WRISTSLEEP_TOKEN_KEY is not set: live tokens")
            with urllib.request.urlopen(address) as page:
                assert page.read().startswith(b"<!doctype html>")
                assert "default-src 'self'" in page.headers["Content-Security-Policy"]
            server.send_signal(signal.SIGINT)
            stdout, stderr = server.communicate(timeout=60)
        assert (server.returncode, stdout) == (0, "")
        (line,) = map(json.loads, stderr.splitlines())
        assert (line["route"], line["status"], line["message"]) == ("files", 200, "request")

    def test_no_run(self, tmp_path, mistake):
        assert "no such run folder" in mistake(self.command(tmp_path / "none"))

    def test_no_bundles(self, run, mistake):
        shutil.rmtree(run / "bundles")
        assert "no bundle there" in mistake(self.command(run))

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

    @pytest.mark.parametrize("host", ["", " "])
    def test_an_empty_host(self, bundle, mistake, host):
        assert "--host: empty" in mistake(self.command(bundle, "--host", host))

    def test_others_are_let_in_by_a_token_or_aloud(self, bundle, mistake, tmp_path):
        assert "--token_file FILE, or --no_auth" in mistake(self.command(bundle, "--host", "0.0.0.0", "--port", 0))
        file = tmp_path / "tokens"
        file.write_text("correct-horse-battery\n")
        both = mistake(self.command(bundle, "--no-auth", "--token-file", file, "--port", 0))
        assert "leave one of them out" in both

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(None, "cannot be read"), ("# none\n\n", "no token; expected"), ("x" * 17 + "\nshort", "line 2")],
    )
    def test_token_files_that_are_none(self, bundle, mistake, tmp_path, content, reason):
        file = tmp_path / "tokens"
        if content is not None:
            file.write_text(content)
        assert reason in mistake(self.command(bundle, "--token_file", file))

    @pytest.mark.parametrize(
        "arguments", [("--rate", "often"), ("--allow-origin", "*"), ("--allow-origin", "https://a.example/path")]
    )
    def test_rates_and_origins_that_are_none(self, bundle, mistake, arguments):
        assert arguments[0].replace("-", "_")[2:] in mistake(self.command(bundle, *arguments)).replace("-", "_")

    def test_a_key_that_is_too_short(self, bundle, mistake, monkeypatch):
        monkeypatch.setenv("WRISTSLEEP_TOKEN_KEY", "secret")
        assert "expected at least 32" in mistake(self.command(bundle, "--port", 0))

    def test_a_port_that_is_none(self, run):
        assert self.command(run, "--port", 70000).exit_code == 2
