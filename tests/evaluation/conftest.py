"""Networks whose dependence is known, and nights for them."""

import keras
import numpy as np
import pytest

from pipeline.align import Night

BACK = 10  # windows


@pytest.fixture(scope="session")
def back():
    """How many windows back the networks of `hearing` look."""
    return BACK


@pytest.fixture(scope="session")
def hearing():
    return network_that_hears


@pytest.fixture(scope="session")
def night_of():
    return night_of_windows


def network_that_hears(features, weights):
    """Keras model, a stage's logit being a sum of features heard before: {(feature, windows back, stage): weight}."""
    kernel = np.zeros((BACK + 1, features, 5), np.float32)
    for (feature, back, stage), weight in weights.items():
        kernel[BACK - back, feature, stage] = weight
    x = keras.Input((None, features))
    layer = keras.layers.Conv1D(5, BACK + 1, padding="causal", use_bias=False, activation="softmax")
    model = keras.Model(x, layer(x))
    model.set_weights([kernel])
    return model


def night_of_windows(windows, stages=None, subject="1"):
    """A night of heart rate that differs from window to window, and now and then a movement."""
    rng = np.random.default_rng(windows)
    rates = np.repeat(rng.permutation(windows)[:, None] / windows * 60 + 50, 30, 1)
    counts = np.where(rng.random((windows, 1)) < 0.3, rng.integers(1, 99, (windows, 1)), 0) * np.ones(2)
    channels = {"heart_rate": rates.astype(np.float32), "activity": counts.astype(np.float32)}
    stages = np.zeros(windows, np.int8) if stages is None else np.array(stages, np.int8)
    return Night(subject, 30.0 * np.arange(1, windows + 1), channels, stages)
