"""Who is let in, how much, and what is seen of it: access, rates, bodies, pools, logs and metrics."""

import asyncio
import base64
import json
import logging
import os
import shutil
import subprocess
import threading
import time
import warnings
from pathlib import Path

import pytest
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from apps.python.sleep_stager import SimulatedWarning
from pipeline.errors import UserMistake
from watch_sim.service import admission, desk, server
from watch_sim.service.app import create_app
from watch_sim.service.logs import LOG_CONFIG, LOGGER, JsonFormatter, log_warning
from watch_sim.service.metrics import forget_killed
from watch_sim.service.settings import KEY_VARIABLE, Settings, check_origin, check_rate, key_from, read_bearers
from watch_sim.service.work import Bodies, Life, Shape
from watch_sim.watch import Watch

TOKEN = "correct-horse-battery"
LIVE = {"open": {"architecture": "gru"}, "now": 60}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def guarded(bundle, synthetic, tmp_path_factory):
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"# of the backend\n{TOKEN}\n\nanother-token-of-ours\n")
    return TestClient(create_app(Settings(bundle, synthetic, bearers=read_bearers(file))))


class TestAccess:
    @pytest.mark.parametrize(
        "path",
        ["/", "/main.js", "/docs", "/docs-files/swagger-ui.css", "/openapi.json", "/metrics", "/api/bundles",
         "/api/nights", "/bundles/gru/contract.json", "/sleep-stager/package.json", "/nothing"],
    )  # fmt: skip
    def test_nothing_without_a_token(self, guarded, path):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert answer.headers.get_list("www-authenticate") == [*admission.CHALLENGES]
        assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)

    def test_health_is_open(self, guarded):
        assert [guarded.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]

    @pytest.mark.parametrize("token", [TOKEN, "another-token-of-ours"])
    def test_bearer_and_basic(self, guarded, token):
        basic = base64.b64encode(f"anybody:{token}".encode()).decode()
        for authorization in (f"Bearer {token}", f"bearer  {token}", f"Basic {basic}"):
            answer = guarded.post("/live", json=LIVE, headers={"Authorization": authorization})
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        "authorization",
        ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Digest {TOKEN}", "Basic x",
         "Basic ////", "Basic " + base64.b64encode(TOKEN.encode()).decode(), "Bearer # of the backend", "Bearer \xff"],
    )  # fmt: skip
    def test_nobody_else(self, guarded, authorization):
        answer = guarded.post("/live", json=LIVE, headers={"Authorization": authorization.encode("latin-1")})
        assert answer.status_code == 401

    def test_sockets_too(self, guarded):
        with pytest.raises(WebSocketDenialResponse) as denied:  # noqa: SIM117
            with guarded.websocket_connect("/live"):
                pass
        assert denied.value.status_code == 401
        with guarded.websocket_connect("/live", headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
            socket.send_json(LIVE)
            assert len(socket.receive_json()["epochs"]) == 2

    def test_the_description_says_so(self, guarded):
        document = guarded.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        assert document["paths"]["/live"]["post"]["security"] == [{"bearer": []}]
        assert "security" not in document["paths"]["/healthz"]["get"]


class TestOtherSites:
    def test_closed_by_default(self, reference):
        answer = reference.get("/api/bundles", headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in answer.headers
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        assert reference.options("/predict", headers=asked).status_code == 405

    def test_open_to_those_named(self, bundle):
        client = TestClient(create_app(Settings(bundle, origins=("https://app.example",), bearers=(b"x" * 32,))))
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        answer = client.options("/predict", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        other = client.options("/predict", headers={**asked, "Origin": "https://other.example"})
        assert (other.status_code, "access-control-allow-origin" in other.headers) == (400, False)

    def test_no_socket_from_another_site(self, reference):
        with pytest.raises(WebSocketDenialResponse) as denied:  # noqa: SIM117
            with reference.websocket_connect("/live", headers={"Origin": "https://app.example"}):
                pass
        assert denied.value.status_code == 403
        with reference.websocket_connect("/live", headers={"Origin": "http://testserver"}) as socket:
            socket.send_json(LIVE)
            assert "token" in socket.receive_json()

    @pytest.mark.parametrize(
        ("host", "served"),
        [("a.example", True), ("A.example:80", True), ("b.example", False), ("[::1]:8000", True), ("", False)],
    )
    def test_names(self, host, served):
        assert admission.serves(host, ("a.example", "::1")) is served


class TestLimits:
    def test_a_rate_for_each_address(self, bundle):
        client = TestClient(create_app(Settings(bundle, rate="3/minute")))
        assert [client.get("/api/bundles").status_code for _ in range(5)] == [200] * 3 + [429] * 2
        assert client.get("/healthz").status_code == 200

    def test_a_socket_counts_too(self, bundle):
        client = TestClient(create_app(Settings(bundle, rate="3/minute")))
        with client.websocket_connect("/live") as socket:
            for status in (None, None, 429):
                socket.send_json(LIVE)
                assert socket.receive_json().get("status") == status

    @pytest.mark.parametrize("path", ["/predict", "/live", "/api/predict", "/api/statistics", "/api/export/edf"])
    def test_a_body_has_a_size(self, reference, refused, path):
        assert refused(reference.post(path, content=b" " * (2**24 + 1), headers=JSON), 413) == ["body"]
        in_pieces = (b" " * 2**20 for _ in range(17))
        assert refused(reference.post(path, content=in_pieces, headers=JSON), 413) == ["body"]

    @pytest.mark.parametrize("path", ["/predict", "/live", "/api/predict", "/api/statistics", "/api/export/edf"])
    @pytest.mark.parametrize(
        "body",
        ['{"heart_rate": [' + "[],[]," * 410_000 + "[]]}", '{"heart_rate": ' + "[" * 900_000, "{" * 900_000,
         "{" + '"a":0,' * 110_000 + '"b":0}'],
        ids=["wide", "deep", "objects", "names"],
    )  # fmt: skip
    def test_a_body_has_a_shape(self, reference, refused, path, body):
        assert refused(reference.post(path, content=body, headers=JSON), 413) == ["body"]

    @pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded"])
    def test_a_body_is_json(self, reference, refused, content_type):
        answer = reference.post("/predict", content=b"{}", headers={"Content-Type": content_type})
        assert refused(answer, 415) == ["Content-Type"]

    def test_the_first_wrong_value_ends_it(self, reference, refused):
        body = {"model_type": "gru", "heart_rate": ["x"] * 5000}
        assert refused(reference.post("/predict", json=body)) == ["heart_rate.0"]

    def test_a_client_that_goes_away_in_its_body_is_no_internal_error(self):
        async def away():
            return {"type": "http.disconnect"}

        async def read():
            scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
            async with Bodies(Life()).read(Request(scope, away), Shape()):
                pass

        with pytest.raises(HTTPException, match="went away") as refusal:
            asyncio.run(read())
        assert refusal.value.status_code == 408

    def test_bodies_have_a_sum(self, reference, refused, monkeypatch):
        bodies = reference.app.state.desk.bodies
        assert bodies.held == 0
        monkeypatch.setattr(bodies, "most_held", 20)
        assert refused(reference.post("/live", json=LIVE), 503) == ["service"]
        assert bodies.held == 0

    def test_predictions_do_not_keep_live_steps_waiting(self, bundle, monkeypatch):
        client = TestClient(create_app(Settings(bundle, predictions=(1, 2, 30.0))))
        begun, go_on, answers = threading.Event(), threading.Event(), []
        predict = desk.ServedRun.predict_plain

        def slow(*arguments):
            begun.set()
            assert go_on.wait(30)
            return predict(*arguments)

        monkeypatch.setattr(desk.ServedRun, "predict_plain", slow)
        with client:
            body = {"model_type": "gru", "heart_rate": [60] * 30}
            ask = lambda: answers.append(client.post("/predict", json=body).status_code)  # noqa: E731
            threads = [threading.Thread(target=ask) for _ in range(3)]  # one works, one waits, one is refused
            threads[0].start()
            assert begun.wait(30)
            threads[1].start()
            threads[2].start()
            assert client.post("/live", json=LIVE).status_code == 200
            while not answers:
                time.sleep(0.01)
            go_on.set()
            for thread in threads:
                thread.join()
        assert answers == [503, 200, 200]

    def test_only_brief_steps_run_on_the_event_loop(self, bundle, monkeypatch):
        client = TestClient(create_app(Settings(bundle)))
        names, step = [], desk.LiveNights.step

        def named(*arguments):
            names.append(threading.current_thread().name.partition("_")[0])
            return step(*arguments)

        class Loaded(Watch):
            def __init__(self, *arguments):
                loading.append(threading.current_thread().name.partition("_")[0])
                super().__init__(*arguments)

        loading = []
        monkeypatch.setattr(desk.LiveNights, "step", named)
        monkeypatch.setattr("watch_sim.service.run.Watch", Loaded)
        pulse = [{"sensor": "heart_rate", "t": i / 100, "value": 60} for i in range(3000)]
        long = ({**LIVE, "now": 6000}, {**LIVE, "samples": pulse[:1000]}, {**LIVE, "samples": pulse})
        for body in (LIVE, *long, LIVE):  # the first finds no model loaded, and is handed on
            assert client.post("/live", json=body).status_code == 200
        assert names[1:5] == ["steps", "steps", "steps", "predictions"]
        assert not {names[0], names[5]} & {"steps", "predictions"}
        assert loading == ["steps"]

    def test_live_steps_have_a_limit(self, bundle, refused):
        client = TestClient(create_app(Settings(bundle, steps=(1, 0, 10.0))))
        assert refused(client.post("/live", json=LIVE), 503) == ["service"]

    def test_what_takes_too_long_is_given_up(self, bundle):
        client = TestClient(create_app(Settings(bundle, predictions=(1, 2, 0.0))))
        answer = client.post("/predict", json={"model_type": "gru", "heart_rate": [60] * 86400})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


class TestFaults:
    def test_an_unreadable_night_and_an_unwritable_cache(self, reference, refused, monkeypatch):
        def load_night(*_, **__):
            raise PermissionError(13, "Permission denied", "secret/path")

        monkeypatch.setattr("watch_sim.service.run.load_night", load_night)
        answer = reference.get("/api/nights/1001")
        assert refused(answer, 409) == ["subject"]
        assert "Permission denied" in answer.text and "secret" not in answer.text

    def test_a_night_that_cannot_be_looked_at_has_no_sensors(self, reference, monkeypatch):
        unseen = {"heart_rate": Path("x" * 300)}  # as in a folder that is closed to the service, which root is not
        monkeypatch.setattr("watch_sim.service.run.paths", lambda *_: unseen)
        night = reference.get("/api/nights").json()["nights"][0]
        assert (night["sensors"], night["labels"]) == ([], False)

    def test_a_bundle_that_changed(self, bundle, tmp_path, refused, monkeypatch):
        folder = shutil.copytree(bundle, tmp_path / "gru")
        client = TestClient(create_app(Settings(folder)))
        (folder / "README.md").unlink()
        (folder / "README.md").symlink_to("README.md")
        assert client.get("/bundles/gru/README.md").status_code == 404

        def unreadable(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("export.bundle.sha256", unreadable)
        answer = client.post("/live", json=LIVE)
        assert refused(answer, 409) == ["service"] and "cannot be read (Permission denied)" in answer.text

    def test_a_bundle_that_vanished(self, quick_run, tmp_path, refused):
        for name in ("hparams.json", "splits.json"):
            shutil.copy(quick_run.folder / name, tmp_path)
        shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "bundles" / "gru")
        client = TestClient(create_app(Settings(tmp_path)))
        assert client.get("/readyz").json() == {"status": "ok"}
        shutil.rmtree(tmp_path / "bundles" / "gru")
        live = {"open": {"architecture": "gru", "precision": "float32"}}
        assert refused(client.post("/live", json=live), 409) == ["service"]
        assert client.get("/api/bundles").status_code == 200
        assert client.get("/bundles/gru/contract.json").status_code == 404
        assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, {"status": "no bundle"})

    def test_a_contract_that_cannot_be_read_any_more_is_not_ready(self, bundle, tmp_path):
        folder = shutil.copytree(bundle, tmp_path / "bundle")
        client = TestClient(create_app(Settings(folder)))
        (folder / "contract.json").unlink()
        for make in (os.mkfifo, lambda path: path.symlink_to(path)):
            make(folder / "contract.json")
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "no bundle"})
            with pytest.raises(UserMistake, match=r"contract\.json"):
                create_app(Settings(folder))
            (folder / "contract.json").unlink()

    def test_folders_that_are_closed_or_links_in_a_circle(self, bundle, tmp_path, monkeypatch):
        circle = tmp_path / "circle"
        circle.symlink_to(circle)
        with pytest.raises(UserMistake, match="circle: cannot be read"):
            create_app(Settings(circle))
        with pytest.raises(UserMistake, match="circle: cannot be read"):
            create_app(Settings(bundle, circle))

        def closed(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "listdir", closed)
        for settings in (Settings(tmp_path), Settings(bundle, tmp_path)):
            with pytest.raises(UserMistake, match="cannot be read \\(Permission denied"):
                create_app(settings)

    def test_an_error_of_ours_tells_nothing(self, reference, monkeypatch):
        def fail(*_):
            raise RuntimeError("heart rate 61 of subject 1001")

        monkeypatch.setattr(desk.ServedRun, "predict_plain", fail)
        answer = reference.post("/predict", json={"model_type": "gru", "heart_rate": [60] * 30})
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] in answer.text and "1001" not in answer.text


class TestLogs:
    @pytest.fixture
    def lines(self):
        """What the service logs, parsed."""
        given = []

        class Keeper(logging.Handler):
            def emit(self, record):
                given.append(JsonFormatter().format(record))

        keeper, level = Keeper(), LOGGER.level
        LOGGER.addHandler(keeper)
        LOGGER.setLevel("INFO")
        yield given
        LOGGER.removeHandler(keeper)
        LOGGER.setLevel(level)

    def test_a_line_for_each_request_without_subjects_and_values(self, reference, lines, monkeypatch):
        reference.get("/api/nights/1001", headers={"X-Request-ID": "asked-42"})
        reference.post("/predict", json={"model_type": "gru", "heart_rate": [61.625] * 30})
        reference.post("/predict", json={"model_type": "gru", "heart_rate": ["secret"] * 30})
        reference.get("/secret?subject=1001")

        def fail(*_):
            raise RuntimeError("secret of 1001")

        monkeypatch.setattr(desk.ServedRun, "predict_plain", fail)
        reference.post("/predict", json={"model_type": "gru", "heart_rate": [60] * 30})
        entries = [json.loads(line) for line in lines]
        asked = [entry for entry in entries if entry["message"] == "request"]
        assert [(e["method"], e["route"], e["status"]) for e in asked] == [
            ("GET", "/api/nights/{subject}", 200), ("POST", "/predict", 200), ("POST", "/predict", 422),
            ("GET", "files", 404), ("POST", "/predict", 500),
        ]  # fmt: skip
        assert asked[0]["request_id"] == "asked-42"
        (failed,) = [entry for entry in entries if entry["message"] == "failed"]
        assert (failed["level"], failed["error"], failed["request_id"]) == (
            "error",
            "RuntimeError",
            asked[-1]["request_id"],
        )
        for word in ("1001", "61.625", "secret", "testclient"):
            assert not any(word in line for line in lines)

    def test_a_warning_is_a_line_too(self, lines):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = log_warning
            warnings.warn("secret of 1001", RuntimeWarning, stacklevel=1)
            warnings.warn("simulated nights", SimulatedWarning, stacklevel=1)
        other, simulated = map(json.loads, lines)
        assert (other["level"], other["message"], other["error"]) == ("warning", "warning", "RuntimeWarning")
        assert simulated["message"] == "simulated nights"

    def test_what_libraries_log_is_one_line_without_their_details(self):
        assert LOG_CONFIG["root"]["handlers"] == ["stderr"]
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "never retrieved\nexception: 1001", (), None)
        assert json.loads(JsonFormatter().format(record))["message"] == "never retrieved"

    @pytest.mark.parametrize("asked", ["", "x" * 65, "a b", "ä", '"'])
    def test_a_request_id_of_ours_where_none_is_given(self, reference, asked):
        headers = {"X-Request-ID": asked.encode()}
        assert len(reference.get("/healthz", headers=headers).headers["x-request-id"]) == 16

    def test_metrics(self, bundle):
        client = TestClient(create_app(Settings(bundle)))
        client.post("/live", json=LIVE)
        client.get("/secret/1001")
        text = client.get("/metrics").text
        assert 'wristsleep_requests_total{method="POST",route="/live",status="200"} 1.0' in text
        assert 'wristsleep_request_seconds_count{route="/live"} 1.0' in text
        assert "wristsleep_live_epochs_total 2.0" in text
        assert "wristsleep_requests_running 1.0" in text  # this one
        assert "1001" not in text


def test_requests_of_killed_workers_do_not_run(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for worker in (ended.pid, os.getpid()):
        (tmp_path / f"gauge_livesum_{worker}.db").touch()
    forget_killed(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"gauge_livesum_{os.getpid()}.db"]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_a_regular_file_holds_tokens(tmp_path, kind):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = {"pipe": pipe, "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    with pytest.raises(UserMistake, match=r"^--token_file \S+: cannot be read \(not a regular file\)"):
        read_bearers(path)


@pytest.mark.parametrize("lines", [b"x" * 1001, b"x" * 2**20 + b"\n", b"a-token-with-\0-in-it", b"a-token-with-\ttabs"])
def test_what_cannot_be_a_token_is_refused(tmp_path, lines):
    (tmp_path / "tokens").write_bytes(lines)
    with pytest.raises(UserMistake, match=r"^--token_file \S+"):
        read_bearers(tmp_path / "tokens")


@pytest.mark.parametrize(
    "origin", ["https://a.example", "http://localhost:3000", "https://[::1]:8443", "http://[::80]"]
)
def test_an_origin_that_browsers_send(origin):
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://", "https://A.example", "https://a.example/", "https://a.example:443", "http://a.example:80",
     "https://a.example?x", "https://a:b@a.example", "https://a.example ", "https://a\nb", "https://*.example", "https://."],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin):
    with pytest.raises(UserMistake, match="expected a site as browsers name it"):
        check_origin(origin)


@pytest.mark.parametrize("rate", ["0/second", "-1/second", "1/second;2/minute", "1/century", ""])
def test_a_rate_that_is_none(rate):
    with pytest.raises(UserMistake, match="expected a number per time"):
        check_rate(rate)


def test_a_key_of_any_bytes():
    assert key_from({KEY_VARIABLE: "\udcff" * 32}) == b"\xff" * 32


@pytest.mark.parametrize(("given", "trusted"), [(None, []), ("10.0.0.7", "10.0.0.7")])
def test_no_address_is_forwarded_unless_the_proxy_is_named(bundle, monkeypatch, given, trusted):
    configs = []
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if given:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", given)
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: configs.append(self.config))
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    server.serve(Settings(bundle), "127.0.0.1", 0)
    assert configs[0].forwarded_allow_ips == trusted
