"""The plain body of POST /predict: what apps of this field send, as it stands."""

import warnings

import numpy as np
import pytest
from fastapi.testclient import TestClient

from export.runner import Runner
from pipeline.constants import STAGES
from watch_sim.service.app import create_app
from watch_sim.service.settings import Settings

WINDOW = {
    "model_type": "GRU",
    "heart_rate": [70] * 30,
    "motion_x": [0.01] * 30,
    "motion_y": [0.02] * 30,
    "motion_z": [0.99] * 30,
    "steps": [0] * 30,
    "motion_magnitude": [],
}


class TestPlain:
    def test_one_window_as_apps_send_it(self, reference, bundle):
        answer = reference.post("/predict", json=WINDOW).json()
        runner = Runner(bundle, "int8")
        window = {"heart_rate": np.full(30, 70, np.float32), "activity": np.full(2, -1, np.float32)}
        expected = runner.step(window)
        assert answer["stage"] == STAGES[int(expected.argmax())]
        assert [*answer["probabilities"]] == [*STAGES]
        np.testing.assert_array_equal(np.float32([*answer["probabilities"].values()]), expected)
        assert answer["epochs"] == [{"time": 0, "stage": answer["stage"], "probabilities": answer["probabilities"]}]
        assert answer["missing"] == ["activity"]
        assert answer["unused"] == ["motion_x", "motion_y", "motion_z", "steps"]
        assert "cannot be counted from rows of motion" in answer["findings"][0]
        assert (answer["model_type"], answer["precision"], answer["seconds"]) == ("GRU", "int8", 30)

    def test_a_night_is_its_windows(self, reference):
        heart = [round(60 + 5 * np.sin(i / 40), 2) for i in range(300)]
        counts = [i % 7 for i in range(20)]
        body = {"model_type": "gru", "heart_rate": heart, "activity": counts}
        answer = reference.post("/predict", json=body).json()
        assert [epoch["time"] for epoch in answer["epochs"]] == [30.0 * i for i in range(10)]
        assert (answer["stage"], answer["probabilities"]) == tuple(
            answer["epochs"][-1][name] for name in ("stage", "probabilities")
        )
        windows = {"heart_rate": np.reshape(heart, (10, 30)), "activity": np.reshape(counts, (10, 2))}
        model = {"architecture": "gru", "windows": {name: x.tolist() for name, x in windows.items()}}
        expected = reference.post("/api/predict", json=model).json()["epochs"]
        assert [[*epoch["probabilities"].values()] for epoch in answer["epochs"]] == [
            epoch["probabilities"] for epoch in expected
        ]

    @pytest.mark.parametrize("empty", [[], None])
    def test_a_missing_sensor_is_stated(self, reference, empty):
        body = {"model_type": "gru", "heart_rate": empty, "activity": [0, 3]}
        answer = reference.post("/predict", json=body).json()
        assert (answer["missing"], answer["unused"]) == (["heart_rate"], [])

    def test_a_magnitude_beyond_all_numbers_gives_no_warning(self, reference):
        body = {**WINDOW, "motion_x": [1e300] * 30}
        with warnings.catch_warnings(action="error"):
            answer = reference.post("/predict", json=body)
        assert "motion: median magnitude" in answer.json()["findings"][0]

    def test_nothing_sensed_has_no_stage(self, reference):
        answer = reference.post("/predict", json={"model_type": "gru", "heart_rate": [0] * 30}).json()
        assert (answer["stage"], answer["probabilities"]) == ("Unknown", None)
        assert answer["findings"] == ["heart_rate: 30 of 30 values outside 20 to 250 are missing"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"model_type": "CNN"}, "model_type"),
            ({"model_type": "LSTM"}, "model_type"),  # a model, but not of this bundle
            ({"model_type": None}, "model_type"),
            ({"heart_rate": [70] * 29}, "heart_rate"),
            ({"heart_rate": [70] * 30, "activity": [0, 0, 0, 0], "motion_x": []}, "activity"),
            ({"heart_rate": [70] * 60}, "motion_x"),
            ({"heart_rate": ["70"] * 30}, "heart_rate.0"),
            ({"heart_rate": [70] * 29 + [None]}, "heart_rate.29"),
            ({"heart_rate": 70}, "heart_rate"),
            ({"heart_rate": []}, "body"),
            ({"precision": "float32"}, "precision"),
            ({"pulse": []}, "pulse"),
        ],
    )
    def test_a_body_that_does_not_fit(self, reference, refused, change, field):
        assert field in refused(reference.post("/predict", json=WINDOW | change))


class TestModelsWithMotion:
    """Of a window of 30 s and a stride of 15 s, with times before 0."""

    @pytest.fixture(scope="class")
    def client(self, overlapping_run):
        return TestClient(create_app(Settings(overlapping_run.folder)))

    def test_windows_end_with_strides(self, client):
        rng = np.random.default_rng(0)
        heart, x = rng.integers(50, 70, 60).astype(float), rng.normal(0, 0.1, 60)
        body = {"model_type": "gru", "precision": "float32", "heart_rate": heart.tolist(), "motion_x": x.tolist()}
        answer = client.post("/predict", json=body).json()
        assert [epoch["time"] for epoch in answer["epochs"]] == [0, 15, 30, 45]
        padded = np.append(np.zeros(15), heart), np.append(np.full(15, -100), x)
        windows = {
            name: [rows[i : i + 30].tolist() for i in range(0, 60, 15)]
            for name, rows in zip(("heart_rate", "motion_x"), padded, strict=True)
        }
        model = {"architecture": "gru", "precision": "float32", "windows": windows}
        expected = client.post("/api/predict", json=model).json()["epochs"]
        assert [[*epoch["probabilities"].values()] for epoch in answer["epochs"]] == [
            epoch["probabilities"] for epoch in expected
        ]

    def test_motion_in_another_unit_is_not_used(self, client):
        axes = dict(zip(("motion_x", "motion_y", "motion_z"), ([0] * 30, [0] * 30, [9.81] * 30), strict=True))
        body = {"model_type": "gru", "precision": "float32", "heart_rate": [60] * 30}
        answer = client.post("/predict", json={**body, **axes}).json()
        assert "motion_x" in answer["missing"]
        assert "m/s²" in answer["findings"][0]
        assert answer["probabilities"] == client.post("/predict", json=body).json()["probabilities"]
