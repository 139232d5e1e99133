"""Saliency of a network whose dependence is known: it hears one feature some windows back.

What trained networks attend to is not tested; how the plot looks is for the eye. The two ways: test_attribution.
"""

import json

import numpy as np
import pytest

from evaluation import saliency, saliency_plot, transition_plot
from models.sensing import Sensing
from pipeline.constants import CHANNELS
from pipeline.errors import UserMistake
from pipeline.files import write_json
from pipeline.nights import load_nights
from pipeline.options import Options

W, _, N2, _, R = range(5)
INPUTS = ("heart_rate", "activity")
OPTIONS = Options(architectures=("gru",), channels=INPUTS)


def names_of(channels):
    return Sensing(OPTIONS, channels).feature_names


@pytest.mark.parametrize("channel", CHANNELS)
def test_features_of_one_channel_are_of_it_or_of_the_clock(channel):
    of_any = set(names_of(["steps"])) & set(names_of(["motion_x"]))  # whatever is sensed
    assert {"hours"} < of_any
    for name in names_of([channel]):
        assert saliency.input_of(name) == ("clock" if name in of_any else channel)


def test_every_channel_has_its_features_beside_others():
    together = names_of(CHANNELS)
    for channel in CHANNELS:
        names = {name for name in together if saliency.input_of(name) in (channel, "clock")}
        assert names == set(names_of([channel]))


@pytest.mark.parametrize("name", ["heart", "heart_rates", "motion", "", "moving"])
def test_a_feature_of_no_input_is_refused(name):
    with pytest.raises(ValueError, match="not a feature of any input"):
        saliency.input_of(name)


def test_share_and_minutes_by_hand(back):
    """Heart rate contributes 3 ten windows back, activity -1 now, in a night that began 20 windows ago."""
    contribution = np.zeros((20, 3))
    contribution[-1 - back, 0] = 3
    contribution[-1, 1] = -1
    curves = saliency.newest_first(contribution, 30)
    assert curves.shape == (30, 3)
    assert curves[back, 0] == 3
    got = saliency.summary(curves, ["heart_rate", "activity", "clock"], 0.5)
    assert got["share"] == {"heart_rate": 0.75, "activity": 0.25, "clock": 0}
    assert got["half_minutes"] == {"heart_rate": 5.25, "activity": 0.25, "clock": None}  # in the middle of the window


def test_half_lies_within():
    assert saliency.half_minutes([1, 1, 1, 1], 5) == 10
    assert saliency.half_minutes([3, 1], 1) == pytest.approx(2 / 3)
    assert saliency.half_minutes([0, 0, 4], 0.5) == 1.25


def test_nights_count_alike():
    curves = np.array([1.0, 1, 1, 5])[:, None, None]
    np.testing.assert_array_equal(saliency.mean_over_nights(curves, np.array([0, 0, 0, 2])), [[3]])


def test_windows_of_each_stage_are_explained(night_of):
    stages = [-1, *[N2] * 100, R, R, -1]
    got = saliency.sample_windows([night_of(104, stages), night_of(3, [W, -1, -1])])
    assert [target for target in got if target[0] == 1] == [(1, 0, W)]
    assert [target for target in got if target[2] == R] == [(0, 101, R), (0, 102, R)]
    even = [window for night, window, stage in got if stage == N2]
    assert (len(even), even[0], even[-1]) == (saliency.WINDOWS, 1, 100)


@pytest.fixture(scope="module")
def run_folder(synthetic, tmp_path_factory, hearing, back):
    """A run whose GRU hears nothing but heart rate's level, 10 windows back; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    nights, _ = load_nights(synthetic, OPTIONS)
    subjects = [night.subject for night in nights]
    sensing = Sensing(OPTIONS, INPUTS)
    sensing.fit(*sensing.measure_nights(nights))
    hparams = {"options": OPTIONS.as_dict(), "dataset_dir": str(synthetic), "channels": INPUTS}
    write_json(folder / "hparams.json", hparams)
    write_json(folder / "scaler.json", {"features": sensing.feature_names, **sensing.scaler})
    parts = {"train": subjects[2:], "inner_validation": [], "validation": subjects[:2]}
    write_json(folder / "splits.json", parts)
    at = sensing.feature_names.index("heart_rate")
    hearing(len(sensing.feature_names), {(at, back, s): s for s in range(5)}).save(folder / "GRU_best_model.keras")
    return folder


def test_saliency_of_a_run(run_folder, tmp_path, monkeypatch):
    """All contributions are heart rate's, from ten windows back: of the features, and of the sensors' second block."""
    monkeypatch.setattr(saliency, "WINDOWS", 2)
    messages, figures = [], {}
    for module in (saliency_plot, transition_plot):
        monkeypatch.setattr(module, "save", lambda figure, path: figures.update({path: figure}))
    report = saliency.saliency_of_run(run_folder, out=tmp_path, progress=messages.append)
    assert json.loads((tmp_path / "saliency.json").read_text()) == report
    splits = json.loads((run_folder / "splits.json").read_text())
    assert report["nights"] == splits["validation"]
    stages = report["architectures"]["gru"]
    assert len(stages) > 1
    for stage in stages.values():
        for kind, minutes in (("features", 5.25), ("sensors", 7.5)):
            assert stage[kind]["share"]["heart_rate"] == pytest.approx(1)
            assert stage[kind]["half_minutes"]["heart_rate"] == pytest.approx(minutes, abs=0.5)
    assert any("gru" in message for message in messages)
    shares, *_ = figures[tmp_path / "saliency_gru_inputs.png"].axes
    assert [label.get_text() for label in shares.get_yticklabels()] == [*stages]
    contributing = figures[tmp_path / "saliency_gru.png"].axes[-2]  # then comes the scale's
    totals = [float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in contributing.texts]
    assert totals[0] and not any(totals[1:])  # heart rate alone
    saliency_plot.plt.close("all")


def test_what_the_run_lacks_is_named(run_folder, tmp_path):
    with pytest.raises(UserMistake, match="lstm"):
        saliency.saliency_of_run(run_folder, architectures=["lstm"], out=tmp_path)
    with pytest.raises(UserMistake, match="no such run folder"):
        saliency.saliency_of_run(tmp_path / "none")
