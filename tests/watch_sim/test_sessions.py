"""Live sessions, by themselves with watches that only record, and through the service."""

import pytest
from fastapi.testclient import TestClient

from pipeline.constants import LEAD_S, LONGEST_NIGHT_S
from watch_sim.service import app
from watch_sim.service.sessions import Sessions

MODEL = {"architecture": "gru", "precision": "float32"}


class Recorder:
    """A watch that keeps what it is fed, and closes an epoch with every call."""

    class aligner:  # as Watch has it
        start = 100.0

    def __init__(self):
        self.calls = []
        self.dropped = {"heart_rate": {"late": 0}}
        self.findings = ["motion: it seems to be in m/s²"]

    def feed(self, *sample):
        self.calls.append(sample)
        return [len(self.calls)]

    def advance(self, t):
        self.calls.append(t)
        return [len(self.calls)]


class TestSessions:
    def test_samples_then_the_clock(self):
        sessions, watch = Sessions(), Recorder()
        session = sessions.open(watch)
        samples = [("heart_rate", 101.0, 60), ("motion", 102.0, [0, 0, 1])]
        assert sessions.feed(session, samples, 130.0).epochs == [1, 2, 3]
        assert watch.calls == [*samples, 130.0]
        answer = sessions.feed(session, [], None)
        assert answer == ([], watch.dropped, watch.findings)
        assert answer.dropped["heart_rate"] is not watch.dropped["heart_rate"]  # the watch goes on counting
        assert len(watch.calls) == 3

    @pytest.mark.parametrize("field", ["t", "now"])
    def test_a_time_far_away_is_refused_and_nothing_is_fed(self, field):
        sessions, watch = Sessions(), Recorder()
        session, last = sessions.open(watch), 100.0 + LONGEST_NIGHT_S + LEAD_S
        for t, refused in ((last + 1, True), (last, False)):
            samples, now = [("heart_rate", 101.0, 60)], None
            if field == "t":
                samples.append(("heart_rate", t, 60))
            else:
                now = t
            if refused:
                with pytest.raises(ValueError, match="more than a night"):
                    sessions.feed(session, samples, now)
                assert watch.calls == []
            else:
                assert sessions.feed(session, samples, now).epochs == [1, 2]

    def test_a_session_that_is_closed_is_gone(self):
        sessions = Sessions()
        session = sessions.open(Recorder())
        sessions.close(session)
        for use in (lambda: sessions.close(session), lambda: sessions.feed(session, [], 101.0)):
            with pytest.raises(KeyError):
                use()

    def test_the_longest_idle_session_goes_first(self):
        sessions = Sessions(most=2)
        first, second = sessions.open(Recorder()), sessions.open(Recorder())
        sessions.feed(first, [], 101.0)
        assert [*sessions.watches] == [second, first]

    def test_sessions_are_bounded_and_idle_ones_make_room(self):
        sessions = Sessions(most=2, idle=3600)
        first, second = sessions.open("a"), sessions.open("b")
        assert first != second
        assert sessions.open("c") is None
        sessions.idle = -1
        assert sessions.open("c") is not None
        assert len(sessions.watches) == 1


class TestLive:
    def test_a_session_says_what_the_watch_says(self, client, recording):
        t, bpm = recording.samples["heart_rate"]
        events = {"heart_rate": {"t": t.tolist(), "value": bpm.tolist()}}
        expected = client.post("/api/predict", json={**MODEL, "events": events}).json()["epochs"]
        session = client.post("/api/live", json=MODEL)
        assert session.status_code == 201
        address = f"/api/live/{session.json()['session']}"
        samples = [{"sensor": "heart_rate", "t": a, "value": b} for a, b in zip(t.tolist(), bpm.tolist(), strict=True)]
        answer = []
        for i in range(0, len(samples), 500):
            answer += client.post(address, json={"samples": samples[i : i + 500]}).json()["epochs"]
        answer += client.post(address, json={"now": expected[-1]["time"] + 30}).json()["epochs"]
        assert answer == expected
        assert client.delete(address).status_code == 204
        assert client.post(address, json={"now": 1}).status_code == 404
        assert client.delete(address).status_code == 404

    def test_dropped_samples_and_findings_come_along(self, client):
        address = f"/api/live/{client.post('/api/live', json=MODEL).json()['session']}"
        motion = [{"sensor": "motion", "t": 0.5 * i, "value": [0, 0, 9.81]} for i in range(200)]
        pulse = [{"sensor": "heart_rate", "t": 100.0 + i, "value": x} for i, x in enumerate((60, 300, 61))]
        answer = client.post(address, json={"samples": [*motion, *pulse, pulse[-1]]}).json()
        assert answer["dropped"]["motion"] == dict.fromkeys(answer["dropped"]["motion"], 0) | {"wrong_unit": 80}
        assert (answer["dropped"]["heart_rate"]["out_of_range"], answer["dropped"]["heart_rate"]["repeated"]) == (1, 1)
        (finding,) = answer["findings"]
        assert "m/s²" in finding
        assert client.post(address, json={"now": 150}).json()["findings"] == [finding]
        client.delete(address)

    def test_counts_and_a_clock_of_its_own(self, client):
        open_call = client.post("/api/live", json={**MODEL, "start": 1.8e9, "counts": True}).json()
        body = {"samples": [{"sensor": "activity", "t": 1.8e9 + 15, "value": 3}], "now": 1.8e9 + 61}
        answer = client.post(f"/api/live/{open_call['session']}", json=body).json()["epochs"]
        assert [epoch["time"] for epoch in answer] == [1.8e9, 1.8e9 + 30]
        client.delete(f"/api/live/{open_call['session']}")

    def test_a_time_long_ago_is_too_late_and_no_more(self, client):
        address = f"/api/live/{client.post('/api/live', json=MODEL).json()['session']}"
        assert len(client.post(address, json={"now": 60}).json()["epochs"]) == 2
        old = {"samples": [{"sensor": "heart_rate", "t": -1e300, "value": 60}], "now": 90}
        assert len(client.post(address, json=old).json()["epochs"]) == 1
        client.delete(address)

    def test_too_many_are_refused(self, quick_run, monkeypatch):
        monkeypatch.setattr(app, "Sessions", lambda: Sessions(most=1))
        client = TestClient(app.create_app(quick_run.folder))
        assert [client.post("/api/live", json=MODEL).status_code for _ in range(2)] == [201, 429]
