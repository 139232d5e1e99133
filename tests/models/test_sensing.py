"""Sensing: the step form agrees with the sequence form, nothing looks ahead, and the scaler is of the nights passed."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models.sensing import LIMIT, Sensing
from pipeline.align import Night
from pipeline.options import Options


def steps(sensing, nights, windows):
    """[windows, F] per night, as the wrist makes them: one window at a time."""
    step, stepped = tf.function(sensing.step), []
    for night in nights:
        inputs = {name: night.values(name, sensing.options) for name in sensing.channels}
        context, features = tf.constant(sensing.initial()), []
        for i in range(windows):
            out, context = step({name: tf.constant(x[i : i + 1]) for name, x in inputs.items()}, context)
            features.append(out)
        stepped.append(np.concatenate(features))
    return stepped


def test_step_form_agrees_with_the_sequence_form(case):
    (stepped,) = steps(case.sensing, case.nights[:1], case.windows)
    assert np.abs(stepped - case.features[0]).max() <= 2e-5
    for stepped, expected in zip(steps(case.sensing, case.nights[1:], 100), case.features[1:], strict=True):
        assert np.abs(stepped - expected[:100]).max() <= 2e-5


def test_forms_agree_early_in_many_nights(usual, of_sensors):
    """Where spread and averages rest on a few values, and rounding weighs most."""
    nights = [of_sensors.drawn(100 + seed, usual.options, usual.channels, 12) for seed in range(40)]
    stepped, expected = steps(usual.sensing, nights, 12), usual.sensing.sense_nights(nights)
    apart = np.abs(np.array(stepped) - expected).max((0, 1))
    assert apart.max() <= 2e-5, usual.sensing.feature_names[apart.argmax()]


def test_shapes_and_names(case):
    assert len(set(case.sensing.feature_names)) == len(case.sensing.feature_names) == case.features[0].shape[1]
    assert all(x.shape == case.features[0].shape and x.dtype == np.float32 for x in case.features)
    assert case.sensing.initial().shape == (1, case.sensing.context_size)


def test_everything_is_finite_and_within_the_limit(case):
    for values, features in zip(case.values, case.features, strict=True):
        assert np.isfinite(values).all()
        assert np.isfinite(features).all()
        assert np.abs(features).max() <= LIMIT


def test_features_of_what_was_never_sensed_are_unknown_and_zero(case):
    always = ("sensed", "missing_for", "hours", "min", "since_moved", "moved_just_now")
    for night, available, features in zip(case.nights, case.available, case.features, strict=True):
        assert np.isin(available, [0, 1]).all()
        assert (features[available == 0] == 0).all()
        for i, name in enumerate(case.sensing.feature_names):
            channel = max((c for c in [*case.channels, "moving"] if name.startswith(c)), key=len, default=None)
            channel = "activity" if channel == "moving" else channel
            if channel in case.channels and channel not in night.channels and not name.endswith(always[:2]):
                assert not available[:, i].any(), name
            if channel is None or name.endswith(always[:2]):
                assert available[:, i].all(), name


def test_nothing_looks_ahead(case, of_sensors):
    """What follows is changed, then left out: nothing before it moves by a bit."""
    others = [of_sensors.drawn(seed, case.options, case.channels, case.windows) for seed in (10, 11, 12, 13)]
    cut = round(0.6 * case.windows)
    changed, left_out = [], []
    for night, other in zip(case.nights, others, strict=True):
        windows = {name: night.values(name, case.options) for name in case.channels}
        after = {name: np.concatenate([x[:cut], other.channels[name][cut:]]) for name, x in windows.items()}
        changed.append(Night("1", night.ends, after, night.stages))
        before = {name: x[:cut] for name, x in windows.items()}
        left_out.append(Night("1", night.ends[:cut], before, night.stages[:cut]))
    for nights in (changed, left_out) if case.options == Options() else (changed,):
        for features, expected in zip(case.sensing.sense_nights(nights), case.features, strict=True):
            assert np.array_equal(features[:cut], expected[:cut])
            assert len(features) == cut or (features[cut:] != expected[cut:]).any(1).mean() > 0.9


SHORT = Options(channels=("activity",)), ("activity",)  # which show all of the scaler


@pytest.fixture(scope="module")
def fitted(of_sensors):
    """(nights, sensing fitted on the first two)."""
    nights = [of_sensors.drawn(seed, *SHORT, 40) for seed in range(3)]
    sensing = Sensing(*SHORT)
    sensing.fit(*sensing.measure_nights(nights[:2]))
    return nights, sensing


def test_scaler_is_mean_and_spread_of_what_is_known_in_the_nights_passed(fitted):
    nights, sensing = fitted
    values, available = (np.concatenate(x) for x in sensing.measure_nights(nights[:2]))
    features = np.concatenate(sensing.sense_nights(nights[:2]))
    assert len(sensing.scaler["mean"]) == len(sensing.scaler["spread"]) == values.shape[1]
    for i, name in enumerate(sensing.feature_names):
        on = available[:, i] > 0
        x = values[on, i].astype(float) if on.any() else np.zeros(1)
        spread = x.std() if x.std() > 1e-3 else 1
        assert np.allclose(sensing.scaler["mean"][i], x.mean(), rtol=1e-4, atol=1e-4), name
        assert np.allclose(sensing.scaler["spread"][i], spread, rtol=1e-3, atol=1e-5), name
        scaled = np.where(on, ((values[:, i] - x.mean()) / spread).clip(-LIMIT, LIMIT), 0)
        assert np.allclose(features[:, i], scaled, atol=2e-3), name


def test_scaler_hangs_on_no_other_night_and_goes_through_json(fitted):
    nights, sensing = fitted
    scaler = json.dumps(sensing.scaler)
    expected = sensing.sense_nights(nights)
    assert json.dumps(sensing.scaler) == scaler  # looking at nights fits nothing
    again = Sensing(*SHORT)
    again.fit(*again.measure_nights(nights[1:]))
    assert json.dumps(again.scaler) != scaler
    again.fit(*again.measure_nights(nights[:2]))
    assert json.dumps(again.scaler) == scaler
    loaded = Sensing(*SHORT, json.loads(scaler))
    for *measured, x in zip(*sensing.measure_nights(nights), expected, strict=True):
        assert np.array_equal(loaded.scale(*measured), x)
