"""bundles/gru-int8, the model that is handed over with the code (make reference)."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from apps.python.sleep_stager import SleepStager
from export.contract import Contract
from export.verify import verify_bundle
from pipeline.constants import STAGES
from pipeline.origin import SLEEP_ACCEL
from tests.conftest import ROOT
from watch_sim.__main__ import main

BUNDLE = ROOT / "bundles" / "gru-int8"
MOST_BYTES = 200_000


@pytest.fixture
def night(tmp_path):
    """Four hours whose heart rate falls, with little movement: nobody's night."""
    rng, t = np.random.default_rng(0), np.arange(5, 4 * 3600 + 1, 5)
    heart = 52 + 14 * np.exp(-t / 3000) + rng.normal(0, 1.5, len(t))
    moved = np.where(rng.random(len(t)) < np.where(t < 1200, 0.5, 0.03), 60, 0)
    counts = np.where(t % 15 == 0, moved, -1)
    frame = pd.DataFrame({"time": t, "heart_rate": heart.round(1), "activity": counts})
    frame.activity = frame.activity.astype(object).where(counts >= 0, "")
    frame.to_csv(tmp_path / "night.csv", index=False)
    return tmp_path / "night.csv"


def test_it_is_small_and_whole():
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) < MOST_BYTES
    assert verify_bundle(BUNDLE) == {}
    contract = Contract.read(BUNDLE)
    assert [*contract.precisions] == ["int8"]
    assert [*contract.files()] == ["activity.tflite", "sensing.tflite", "gru.int8.tflite"]


def test_it_says_whose_nights_it_learned_from():
    data = json.loads((BUNDLE / "contract.json").read_text())["training_data"]
    assert data == SLEEP_ACCEL.as_dict() | {"nights": 25}
    for page in ("README.md", "MODEL_CARD.md"):
        text = " ".join((BUNDLE / page).read_text().split())
        assert "10.13026/hmhs-py35" in text and ("ODC-By" in text) and "SIMULATED" not in text
    card = (BUNDLE / "MODEL_CARD.md").read_text()
    assert "**No night was held out**" in card and "inner cross-validation" in card
    assert "![" not in card  # no plot of it is there


def test_it_stages_a_night_without_a_run(night):
    done = CliRunner().invoke(main, ["predict", "--bundle", str(BUNDLE), str(night)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(night.with_name("night_stages.csv"))
    assert len(table) == 480
    assert {*table.predicted_stage} <= {*STAGES} and table.predicted_stage.nunique() >= 3
    assert "TST" in done.stdout


def test_the_library_gives_what_the_simulator_gives(night):
    CliRunner().invoke(main, ["predict", "--bundle", str(BUNDLE), str(night)])
    table, stager = pd.read_csv(night.with_name("night_stages.csv")), SleepStager(BUNDLE)
    assert not stager.simulated
    for row in pd.read_csv(night).itertuples():
        stager.feed("heart_rate", row.time, row.heart_rate)
        if row.activity == row.activity:
            stager.feed("activity", row.time, row.activity)
    epochs = stager.take(4 * 3600)
    assert [epoch.stage for epoch in epochs] == list(table.predicted_stage)
