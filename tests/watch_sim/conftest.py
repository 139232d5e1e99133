"""What the tests of the watch simulator and its service share."""

import json

import pytest
from fastapi.testclient import TestClient

from pipeline.recordings import read_recording
from watch_sim.service import app


@pytest.fixture(scope="module")
def client(quick_run):
    """A client of the service of the quick run."""
    return TestClient(app.create_app(quick_run.folder))


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
