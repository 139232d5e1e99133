"""A run folder read back: models, networks, probabilities, and the windows drawn for quantization."""

import shutil

import numpy as np
import pytest

from models.forms import roll_network
from models.trained_run import CALIBRATION_WINDOWS, TrainedRun
from pipeline.errors import UserMistake


@pytest.fixture(scope="module")
def features(small):
    """[windows, F] of each training night."""
    return small.run.sensing().sense_nights(small.parts["train"])


@pytest.fixture
def copy(small, tmp_path):
    """A copy of the run that may be damaged."""
    shutil.copytree(small.run.path, tmp_path / "run")
    return TrainedRun(tmp_path / "run")


def test_sensing_has_the_options_channels_and_scaler_of_the_run(small):
    sensing = small.run.sensing()
    assert (sensing.options, sensing.channels) == (small.run.options, small.run.channels)
    assert sensing.scaler["mean"] == small.run.scaler["mean"]
    assert list(sensing.feature_names) == small.run.scaler["features"]


@pytest.mark.parametrize("architecture", ["gru", "rnn"])
def test_probabilities_of_a_night_hang_on_no_other(small, features, architecture):
    together = small.run.probabilities(architecture, features)
    for p, night in zip(together, features, strict=True):
        assert p.shape == (len(night), 5)
        assert np.allclose(p, small.run.probabilities(architecture, [night])[0], atol=1e-6)


@pytest.mark.parametrize("architecture", ["gru", "rnn"])
def test_network_has_the_trained_weights(small, features, architecture):
    p, _ = roll_network(small.run.network(architecture), features[0][None])
    assert np.abs(p[0] - small.run.probabilities(architecture, features[:1])[0]).max() <= 1e-5


def test_an_architecture_that_the_run_lacks(small):
    with pytest.raises(UserMistake, match="--architectures: lstm; choose from gru, rnn"):
        small.run.model("lstm")


def test_a_missing_model(copy):
    copy.model_path("gru").unlink()
    with pytest.raises(UserMistake, match=r"GRU_best_model\.keras: missing"):
        copy.model("gru")


def test_a_damaged_model(copy):
    path = copy.model_path("gru")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserMistake, match=r"GRU_best_model\.keras"):
        copy.model("gru")


def test_the_model_of_another_network(copy):
    shutil.copyfile(copy.model_path("rnn"), copy.model_path("gru"))
    with pytest.raises(UserMistake, match=r"GRU_best_model\.keras"):
        copy.network("gru")


def test_calibration_is_windows_of_training_nights_with_the_states_before_them(small, features):
    length = min(map(len, features))
    batch = np.stack([night[:length] for night in features])
    for architecture in small.run.options.architectures:
        drawn = small.run.calibration(architecture)
        assert len(drawn["features"]) == min(CALIBRATION_WINDOWS, len(features) * length)
        _, before = roll_network(small.run.network(architecture), batch)
        assert drawn.keys() == {"features", *before}
        for i, window in enumerate(drawn["features"]):
            night, at = np.unravel_index(np.abs(batch - window).max(2).argmin(), batch.shape[:2])
            assert np.allclose(batch[night, at], window, atol=1e-4)
            for name, states in before.items():
                assert np.allclose(drawn[name][i], states[night, at], atol=1e-4), (architecture, i)


def test_calibration_draws_from_the_longest_nights_by_the_seed(copy):
    """Nights of more windows in all than are drawn; the features are the numbers of night and window."""
    lengths = [20, *range(81, 89)]  # the eight longest have 81 windows in common
    nights = [np.zeros((n, len(copy.scaler["mean"])), np.float32) for n in lengths]
    for i, night in enumerate(nights):
        night[:, 0], night[:, 1] = i, np.arange(len(night))
    drawn = []
    for _ in range(2):
        copy.draw_calibration(nights)
        drawn.append(copy.calibration("rnn")["features"])
    assert np.array_equal(*drawn)
    assert len(np.unique(drawn[0], axis=0)) == len(drawn[0]) == CALIBRATION_WINDOWS
    assert set(drawn[0][:, 0]) == {1, 2, 3, 4, 5, 6, 7, 8}
    assert drawn[0][:, 1].max() == 80
