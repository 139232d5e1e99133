"""The committed vectors: what Watch gives now, and what is said of them."""

import json
from pathlib import Path

import pytest

from export.bundle import read_bundle
from tests.vectors import make

HERE = Path(__file__).parent
MOST_BYTES = 1_500_000  # of all vectors


@pytest.fixture(scope="module")
def vectors():
    return make.vectors()


def test_the_committed_vectors_are_what_the_watch_gives(vectors):
    assert {path.stem for path in HERE.glob("*.json")} == {*vectors}
    for name, vector in vectors.items():
        committed = json.loads((HERE / f"{name}.json").read_text())
        for step, given in zip(committed.get("steps", ()), vector.get("steps", ()), strict=True):
            for epoch, given_epoch in zip(step.get("epochs", ()), given.get("epochs", ()), strict=True):
                expected = pytest.approx(given_epoch.pop("probabilities"), abs=2e-6)  # processors round differently
                assert epoch.pop("probabilities") == expected
        assert committed == json.loads(json.dumps(vector)), name


def test_they_are_small_and_have_something_of_everything(vectors):
    assert sum(path.stat().st_size for path in HERE.glob("*.json")) < MOST_BYTES
    steps = [step for vector in vectors.values() for step in vector.get("steps", ())]
    epochs = [epoch for step in steps for epoch in step.get("epochs", ())]
    assert {"Wake", "N1", "N2", "N3", "REM", "Unknown"} <= {epoch["stage"] for epoch in epochs}
    assert {key for step in steps for key in step} >= {
        "feed",
        "take",
        "dropped",
        "findings",
        "save",
        "restore",
        "reset",
    }
    platforms = {step["segments"]["platform"] for step in steps if "values" in step}
    assert platforms == {"healthkit", "health_connect"}
    bundles = {"gru-int8", *(path.name for path in (HERE / "bundles").iterdir())}  # the first is the shipped one
    assert {vector["bundle"] for vector in vectors.values()} == bundles


@pytest.mark.parametrize("folder", sorted((HERE / "bundles").iterdir()), ids=lambda folder: folder.name)
def test_the_tiny_bundles_are_whole_and_tiny(folder):
    contract = read_bundle(folder)
    assert [*contract.precisions] == ["int8", "float32"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40_000


def test_the_readme_names_every_error_code(vectors):
    codes = {vector["error"] for vector in vectors.values() if "error" in vector}
    codes |= {step["error"] for vector in vectors.values() for step in vector.get("steps", ()) if "error" in step}
    page = (HERE / "README.md").read_text()
    assert len(codes) == 14 and all(f"`{code}`" in page for code in codes)
