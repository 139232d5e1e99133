"""Bodies of requests: no request gets past its checks, and a refusal names the field."""

import json

import pytest
from pydantic import ValidationError

from pipeline.constants import LEAD_S, LONGEST_NIGHT_S
from watch_sim.service.requests import Export, Prediction

MODEL = {"architecture": "gru", "precision": "float32"}
NIGHT_TO_EXPORT = {"stages": ["N2"] * 4, "probabilities": [[0.2] * 5] * 4, "start": "2026-10-24T23:10:00"}
BERLIN = {"zone": "Europe/Berlin"}


class TestPrediction:
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
            ({**MODEL, "windows": {"heart_rate": [[60] * 30], "pulse": [[60]]}}, "windows.pulse.[key]"),
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
        ],
    )
    def test_a_bad_body_is_refused_by_field(self, client, refused, body, field):
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

    @pytest.mark.parametrize("t", [-LEAD_S, 0, LONGEST_NIGHT_S])
    def test_times_up_to_the_limits_are_taken(self, t):
        body = Prediction(**MODEL, events={"heart_rate": {"t": [t], "value": [60]}})
        assert body.events.heart_rate.t == [t]
        with pytest.raises(ValidationError, match=r"events\.heart_rate\.t\.0"):
            Prediction(**MODEL, events={"heart_rate": {"t": [t * 1.001 or 1e9], "value": [60]}})

    def test_defaults(self):
        body = Prediction(architecture="gru", windows={"heart_rate": [[60]]})
        assert (body.precision, body.operating_point, body.events) == ("int8", None, None)


class TestHypnogram:
    @pytest.mark.parametrize(
        "body, field", [({"stages": []}, "stages"), ({"stages": [None]}, "stages"), ({}, "stages")]
    )
    def test_nothing_to_count(self, client, refused, body, field):
        assert refused(client.post("/api/statistics", json=body)) == [field]

    @pytest.mark.parametrize("stages", [["Unknown"], ["Unknown", None]])
    def test_unknown_throughout(self, client, refused, stages):
        assert refused(client.post("/api/statistics", json={"stages": stages})) == ["stages"]

    def test_unknown_stage(self, client, refused):
        assert refused(client.post("/api/statistics", json={"stages": ["N2", "N4"]})) == ["stages.1"]


class TestExport:
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
            ({"stages": ["N2"] * 3}, "probabilities"),
            ({"probabilities": [[0.5] * 5] * 3 + [[0.5] * 4]}, "probabilities.3"),
            ({"probabilities": [[0.5] * 5] * 3 + [[2] * 5]}, "probabilities.3.0"),
            ({"probabilities": [[0.2] * 5] * 3 + [None]}, "probabilities"),
            ({"stages": []}, "stages"),
            ({"subject": "x" * 81}, "subject"),
        ],
    )
    @pytest.mark.parametrize("kind", ["edf", "healthkit"])
    def test_bad_bodies(self, client, refused, kind, change, field):
        assert field in refused(client.post(f"/api/export/{kind}", json=NIGHT_TO_EXPORT | BERLIN | change))

    @pytest.mark.parametrize(
        ("zone", "text"),
        [
            ("Europe/Berlin", "2026-10-24T23:10:00+02:00"),
            ("-03:30", "2026-10-24T23:10:00-03:30"),
            ("UTC", "2026-10-24T23:10:00+00:00"),
        ],
    )
    def test_the_start_is_an_instant_in_its_zone(self, zone, text):
        assert Export(**NIGHT_TO_EXPORT, zone=zone).instant().isoformat() == text
