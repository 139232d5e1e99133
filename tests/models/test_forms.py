"""The four networks: the step form, rolled over nights, agrees with the sequence form; neither looks ahead.

Every weight is drawn at random, so that no bias or gain that begins at zero or one hides a difference.
"""

import zipfile

import keras
import numpy as np
import pytest

from models.forms import padded, roll_network, sequence_form, step_form
from models.registry import NETWORKS
from models.transformer import WINDOW
from pipeline.constants import ARCHITECTURES, PROBABILITIES, STAGES

FEATURES, HIDDEN, WINDOWS = 7, 12, 1000
LENGTHS = 1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW, 2 * WINDOW + 1, WINDOWS


def drawn_features(seed, windows=WINDOWS):
    """[windows, FEATURES] as sensing gives them: within 4 SD, 0 where not available, alone and for hours."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(0, 0.3, (windows, FEATURES)), 0) + rng.normal(0, 1, (windows, FEATURES))
    x[rng.random((windows, FEATURES)) < 0.1] = 0
    for begin in rng.integers(0, windows, 4):
        x[begin : begin + rng.choice([10, 200]), rng.integers(FEATURES) :] = 0
    return x.clip(-4, 4).astype(np.float32)


class Case:
    """A network, probabilities of its sequence form, and those of the step form with its saved and loaded weights."""

    def __init__(self, architecture, path):
        keras.utils.set_random_seed(7)  # of some weights a network is chaotic: float32 rounding grows beyond any gate
        self.path, self.network = path, NETWORKS[architecture](FEATURES, HIDDEN)
        self.model = sequence_form(self.network)
        rng = np.random.default_rng(7)
        for weight in self.model.weights:
            spread = 0.7 if "near" in weight.path else 0.25
            weight.assign(np.array(weight) + rng.normal(0, spread, weight.shape).astype(np.float32))
        assert all((np.array(weight) != 0).all() for weight in self.model.weights)
        self.nights = [drawn_features(seed) for seed in range(3)]
        self.batch = np.stack(self.nights)
        self.probabilities = self.model.predict_on_batch(self.batch)
        self.model.save(path)
        self.loaded = NETWORKS[architecture](FEATURES, HIDDEN)  # as a run folder is read
        sequence_form(self.loaded).set_weights(keras.models.load_model(path, safe_mode=True).get_weights())
        self.rolled, self.before = roll_network(self.loaded, self.batch)


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, tmp_path_factory):
    return Case(request.param, tmp_path_factory.mktemp(request.param) / "model.keras")


def test_registry_has_the_architectures_of_the_options():
    assert tuple(NETWORKS) == ARCHITECTURES


def test_probabilities(case):
    assert case.probabilities.shape == (3, WINDOWS, len(STAGES))
    assert np.allclose(case.probabilities.sum(2), 1, atol=1e-5)
    assert case.probabilities.std((0, 1)).min() > 0.01  # not the same for all
    assert len(np.unique(case.probabilities.argmax(2))) > 1


def test_step_form_agrees_with_the_sequence_form(case):
    assert np.abs(case.rolled - case.probabilities).max() <= 1e-5
    assert case.before.keys() == case.network.states.keys()
    for name, shape in case.network.states.items():
        assert case.before[name].shape == (3, WINDOWS, *shape)
        assert (case.before[name][:, 0] == 0).all()
        assert (case.before[name][:, 1] != 0).any()


def test_one_call_of_the_step_form_goes_on_from_any_window(case):
    step = step_form(case.loaded)
    for at in (0, 1, 613):
        out = step({"features": case.batch[:, at], **{name: x[:, at] for name, x in case.before.items()}})
        assert out.keys() == {PROBABILITIES, *(f"{name}_out" for name in case.before)}
        assert np.abs(out[PROBABILITIES] - case.probabilities[:, at]).max() <= 1e-5
        for name, x in case.before.items():
            assert np.allclose(out[f"{name}_out"], x[:, at + 1], atol=1e-6)


@pytest.mark.parametrize("at", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 613, WINDOWS - 1])
def test_sequence_form_does_not_look_ahead(case, at):
    changed = case.batch.copy()
    changed[:, at:] = drawn_features(99)[at:]
    changed[0, at:] = 4
    predicted = case.model.predict_on_batch(changed)
    assert np.array_equal(predicted[:, :at], case.probabilities[:, :at])
    assert (predicted[:, at] != case.probabilities[:, at]).any()


def test_sequence_form_looks_back(case):
    changed = case.batch.copy()
    changed[:, 613] = drawn_features(99)[613]
    moved = np.abs(case.model.predict_on_batch(changed) - case.probabilities).max((0, 2)) > 0
    assert not moved[:613].any()
    assert moved[613 : 613 + WINDOW].mean() > 0.9


def test_nights_of_any_length(case):
    for length in LENGTHS:
        predicted = case.model.predict_on_batch(case.batch[:, :length])
        assert predicted.shape[1] == length
        assert np.abs(predicted - case.probabilities[:, :length]).max() <= 1e-6, length


def test_padding_and_company_in_the_batch_change_nothing(case):
    nights = [night[:length] for night, length in zip(case.nights, (WINDOWS, 130, 61), strict=True)]
    batch = padded(nights, 4.0)
    assert batch.shape == case.batch.shape
    for predicted, night, alone in zip(case.model.predict_on_batch(batch), nights, case.nights, strict=True):
        expected = case.model.predict_on_batch(alone[None, : len(night)])[0]
        assert np.abs(predicted[: len(night)] - expected).max() <= 1e-6


def test_saved_and_loaded_in_safe_mode(case):
    again = keras.models.load_model(case.path, safe_mode=True)
    assert np.array_equal(again.predict_on_batch(case.batch), case.probabilities)
    with zipfile.ZipFile(case.path) as archive:
        config = archive.read("config.json").decode()
        assert {info.filename for info in archive.infolist()} == {"config.json", "metadata.json", "model.weights.h5"}
    assert "lambda" not in config.lower()
    for one, two in zip(again.weights, case.model.weights, strict=True):
        assert np.array_equal(one, two)


def test_padded():
    nights = [np.ones((2, 3), np.float32), np.full((4, 3), 2, np.float32)]
    batch = padded(nights, -1)
    assert batch.dtype == np.float32
    assert np.array_equal(batch[:, :, 0], [[1, 1, -1, -1], [2, 2, 2, 2]])
    assert padded([np.arange(2), np.arange(3)]).tolist() == [[0, 1, 0], [0, 1, 2]]
