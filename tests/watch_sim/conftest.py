"""What the tests of the watch simulator and its service share."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipeline.recordings import read_recording
from watch_sim.service.app import create_app
from watch_sim.service.settings import Settings

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "gru-int8"


@pytest.fixture(scope="module")
def client(quick_run):
    """A client of the service of the quick run."""
    return TestClient(create_app(Settings(quick_run.folder)))


@pytest.fixture(scope="session")
def bundle():
    """The bundle that comes with the code: a service of it needs no training."""
    return BUNDLE


@pytest.fixture(scope="module")
def reference(synthetic):
    """A client of the service of that bundle, with the synthetic nights."""
    return TestClient(create_app(Settings(BUNDLE, synthetic)))


@pytest.fixture(scope="module")
def held_out(quick_run):
    """The held-out subject of the quick run."""
    return json.loads((quick_run.folder / "splits.json").read_text())["validation"][0]


@pytest.fixture(scope="module")
def recording(synthetic, held_out):
    """The held-out night."""
    return read_recording(synthetic, held_out, want_labels=False)


@pytest.fixture(scope="session")
def refused():
    """Asserts that a request was refused; gives the fields that the answer names."""

    def fields(response, status=422):
        assert response.status_code == status, response.text
        return [entry["field"] for entry in response.json()["detail"]]

    return fields
