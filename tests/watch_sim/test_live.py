"""Live nights: carried by tokens from step to step, they are what the watch gives; by HTTP and by WebSocket."""

import itertools
import json
import shutil
import zlib

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.constants import LEAD_S, LONGEST_NIGHT_S
from pipeline.recordings import read_recording
from watch_sim.service.app import create_app
from watch_sim.service.live import feed
from watch_sim.service.requests import Sample
from watch_sim.service.settings import Settings
from watch_sim.watch import Watch

OPEN = {"open": {"architecture": "gru"}}
KEY = b"a key that all replicas share...."


@pytest.fixture(scope="module")
def replicas(bundle):
    """Clients of two services with one key."""
    return [TestClient(create_app(Settings(bundle, key=KEY))) for _ in range(2)]


@pytest.fixture(scope="module")
def watches(bundle):
    return Watch(bundle), Watch(bundle)


def samples_of(recording, sensors, end):
    """Samples of a recording in order of time, as the service takes them."""
    rows = [
        (t, sensor, value)
        for sensor in sensors
        for t, value in zip(*(x.tolist() for x in recording.samples[sensor]), strict=True)
        if t < end
    ]
    return [{"sensor": sensor, "t": t, "value": value} for t, sensor, value in sorted(rows, key=lambda row: row[0])]


def as_fed(watch, samples, now):
    """The epochs of a watch that is fed sample by sample, as the service answers."""
    epochs = [epoch for s in samples for epoch in watch.feed(s["sensor"], s["t"], s["value"])] + watch.advance(now)
    return [(e.time, e.stage, None if e.coverage.unknown else e.probabilities.tolist()) for e in epochs]


def told(answer):
    return [(epoch["time"], epoch["stage"], epoch["probabilities"]) for epoch in answer["epochs"]]


@pytest.fixture(scope="module")
def fed(synthetic):
    """Ten minutes of heart rate and raw motion."""
    return samples_of(read_recording(synthetic, "1001", want_labels=False), ("heart_rate", "motion"), 600)


class TestSteps:
    def test_a_night_from_replica_to_replica_is_the_watchs(self, replicas, watches, fed):
        watches[0].begin()
        expected = as_fed(watches[0], fed, 600)
        assert len(expected) == 20
        body, given = dict(OPEN), []
        for step, turn in zip(range(0, len(fed), 777), itertools.cycle((0, 1)), strict=False):
            answer = replicas[turn].post("/live", json={**body, "samples": fed[step : step + 777]})
            assert answer.status_code == 200, answer.text
            body = {"token": answer.json()["token"]}
            given += told(answer.json())
        last = replicas[0].post("/live", json={**body, "now": 600}).json()
        assert given + told(last) == expected
        assert last["dropped"] == watches[0].dropped
        assert last["seconds"] == 30

    def test_a_step_that_is_repeated_is_the_same(self, replicas, fed):
        token = replicas[0].post("/live", json={**OPEN, "samples": fed[:500]}).json()["token"]
        body = {"token": token, "samples": fed[500:1500], "now": 300}
        one, other = (replica.post("/live", json=body).json() for replica in replicas)
        one.pop("token"), other.pop("token")
        assert one == other

    def test_the_model_start_and_counts_stay(self, replicas):
        opened = {"architecture": "gru", "operating_point": None, "start": 1.8e9, "counts": True}
        token = replicas[0].post("/live", json={"open": opened}).json()["token"]
        body = {"samples": [{"sensor": "activity", "t": 1.8e9 + 15, "value": 3}], "now": 1.8e9 + 61}
        answer = replicas[1].post("/live", json={"token": token, **body}).json()
        assert [epoch["time"] for epoch in answer["epochs"]] == [1.8e9, 1.8e9 + 30]
        assert answer["epochs"][0]["coverage"]["activity"]["share"] == 1

    def test_dropped_samples_and_findings_come_along(self, replicas):
        motion = [{"sensor": "motion", "t": 0.5 * i, "value": [0, 0, 9.81]} for i in range(200)]
        pulse = [{"sensor": "heart_rate", "t": 100.0 + i, "value": x} for i, x in enumerate((60, 300, 61))]
        answer = replicas[0].post("/live", json={**OPEN, "samples": [*motion, *pulse, pulse[-1]]}).json()
        assert answer["dropped"]["motion"] == dict.fromkeys(answer["dropped"]["motion"], 0) | {"wrong_unit": 80}
        assert (answer["dropped"]["heart_rate"]["out_of_range"], answer["dropped"]["heart_rate"]["repeated"]) == (1, 1)
        unit, lost = answer["findings"]
        assert "m/s²" in unit
        assert lost == "82 of these 204 samples were dropped; see dropped"
        later = replicas[1].post("/live", json={"token": answer["token"], "now": 150}).json()
        assert (later["findings"], later["dropped"]) == ([unit], answer["dropped"])

    def test_a_sample_that_comes_late_is_said(self, replicas):
        token = replicas[0].post("/live", json={**OPEN, "now": 60}).json()["token"]
        old = {"samples": [{"sensor": "heart_rate", "t": -1e300, "value": 60}], "now": 90}
        answer = replicas[0].post("/live", json={"token": token, **old}).json()
        assert len(answer["epochs"]) == 1
        assert answer["findings"] == ["1 of these 1 samples were dropped; see dropped"]
        assert answer["dropped"]["heart_rate"]["late"] == 1

    @pytest.mark.parametrize("field", ["samples", "now"])
    def test_a_time_far_away_is_refused(self, replicas, refused, field):
        far = LONGEST_NIGHT_S + LEAD_S + 1
        body = {"now": far} if field == "now" else {"samples": [{"sensor": "heart_rate", "t": far, "value": 60}]}
        assert refused(replicas[0].post("/live", json={**OPEN, **body})) == [field]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "body"),
            ({**OPEN, "token": "x"}, "body"),
            ({"token": "x"}, "token"),
            ({"open": {"architecture": "cnn"}}, "architecture"),
            ({"open": {"architecture": "gru", "start": "now"}}, "open.start"),
            ({"open": {"architecture": "gru", "counts": 1}}, "open.counts"),
            ({**OPEN, "samples": [{"sensor": "heart_rate", "t": 1, "value": [1, 2, 3]}]}, "samples.0"),
            ({**OPEN, "samples": [{"sensor": "motion", "t": 1, "value": 1}]}, "samples.0"),
            ({**OPEN, "samples": [{"sensor": "pulse", "t": 1, "value": 1}]}, "samples.0.sensor"),
            ({**OPEN, "samples": [{"sensor": "heart_rate", "t": 1, "value": 60}] * 2 + [1]}, "samples.2"),
            ({**OPEN, "now": "soon"}, "now"),
            ({**OPEN, "surprise": 1}, "surprise"),
        ],
    )
    def test_a_bad_step_is_refused_by_field(self, replicas, refused, body, field):
        assert field in refused(replicas[0].post("/live", json=body))

    def test_a_token_of_another_key_or_altered(self, replicas, bundle):
        token = replicas[0].post("/live", json={**OPEN, "now": 60}).json()["token"]
        stranger = TestClient(create_app(Settings(bundle)))
        for client, altered in ((stranger, token), (replicas[0], token[:-5] + "AAAAA")):
            answer = client.post("/live", json={"token": altered, "now": 90})
            assert (answer.status_code, answer.json()["detail"][0]["field"]) == (422, "token")
        assert 'wristsleep_live_tokens_refused_total{status="422"} 1.0' in stranger.get("/metrics").text

    def test_a_token_is_of_a_few_kilobytes(self, replicas, fed):
        quiet = replicas[0].post("/live", json={**OPEN, "samples": fed, "now": 600}).json()["token"]
        assert len(quiet) < 4000
        busy = replicas[0].post("/live", json={**OPEN, "samples": fed[:400]}).json()["token"]  # within a window
        assert len(busy) < 12_000
        with pytest.raises(zlib.error):
            zlib.decompress(busy.encode())


sensors = st.sampled_from(["heart_rate", "motion", "activity", "steps"])
steps = st.lists(st.tuples(sensors, st.floats(-1, 13), st.integers(0, 300)), max_size=60)


@settings(max_examples=40, deadline=None)
@given(steps, st.sampled_from([0.0, 1.8e9, -7200.5]), st.booleans())
def test_what_is_fed_at_once_is_as_if_one_by_one(watches, steps, start, jitter):
    """Out of order, repeated, late, on both sides of windows' ends and a grace after them."""
    samples, t = [], start
    for sensor, ahead, value in steps:
        t += ahead if jitter else round(ahead)
        at = t + (0.1 if value % 7 == 0 else 0)
        samples.append(Sample(sensor=sensor, t=at, value=[0, 0, value / 100] if sensor == "motion" else float(value)))
    for watch in watches:
        watch.begin(start)
    together = feed(watches[0], samples, None)
    alone = [epoch for sample in samples for epoch in watches[1].feed(sample.sensor, sample.t, sample.value)]
    assert [(e.time, e.stage, e.coverage) for e in together] == [(e.time, e.stage, e.coverage) for e in alone]
    np.testing.assert_array_equal([e.probabilities for e in together], [e.probabilities for e in alone])
    one, other = watches[0].state(), watches[1].state()
    assert one.keys() == other.keys()
    for name in one:
        grown = name.partition(".")[2].startswith(("sums.", "numbers."))  # as much room as was needed, the rest 0
        a, b = one[name], other[name]
        if grown:
            n = max(len(a), len(b))
            a, b = np.pad(a, (0, n - len(a))), np.pad(b, (0, n - len(b)))
        np.testing.assert_array_equal(a, b, name)


class TestSocket:
    def test_a_night_resumed_after_a_cut(self, replicas, watches, fed):
        watches[0].begin()
        expected, given, token = as_fed(watches[0], fed, 600), [], None
        for turn, half in enumerate((fed[:3000], fed[3000:])):
            with replicas[turn].websocket_connect("/live") as socket:
                begun = OPEN if token is None else {"token": token}
                for i in range(0, len(half), 700):
                    socket.send_json({**begun, "samples": half[i : i + 700]})
                    answer = socket.receive_json()
                    begun, token = {}, answer["token"]
                    given += told(answer)
        with replicas[0].websocket_connect("/live") as socket:
            socket.send_json({"token": token, "now": 600})
            given += told(socket.receive_json())
        assert given == expected

    def test_a_message_that_is_refused_changes_nothing(self, replicas):
        with replicas[0].websocket_connect("/live") as socket:
            socket.send_json({"now": 60})
            assert socket.receive_json()["detail"][0]["field"] == "body"
            socket.send_json({**OPEN, "now": 60})
            assert len(socket.receive_json()["epochs"]) == 2
            for text, status in (("{", 422), ('{"now": "x"}', 422), ("[" * 60_000, 413), ('{"token": "x"}', 422)):
                socket.send_text(text)
                assert socket.receive_json()["status"] == status
            socket.send_text(json.dumps({"now": 90}))
            assert [epoch["time"] for epoch in socket.receive_json()["epochs"]] == [60]

    def test_a_bundle_that_vanished_is_told(self, bundle, tmp_path):
        folder = shutil.copytree(bundle, tmp_path / "gru")
        client = TestClient(create_app(Settings(folder)))
        shutil.rmtree(folder)
        with client.websocket_connect("/live") as socket:
            for _ in range(2):
                socket.send_json({**OPEN, "now": 60})
                answer = socket.receive_json()
                assert (answer["status"], answer["detail"][0]["field"]) == (409, "service")
