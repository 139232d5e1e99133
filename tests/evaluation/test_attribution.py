"""Attribution by features and sensors, of networks that hear one feature some windows back, and small random ones."""

import keras
import numpy as np
import pytest

from evaluation import attribution
from models.forms import sequence_form
from models.gru import GRU
from models.sensing import Sensing
from pipeline.options import Options

W, N1, N2, N3, R = range(5)
INPUTS = ("heart_rate", "activity")
OPTIONS = Options(architectures=("gru",), channels=INPUTS)


@pytest.fixture(scope="module")
def nights(night_of):
    return [night_of(200), night_of(150)]


@pytest.fixture(scope="module")
def sensing(nights):
    sensing = Sensing(OPTIONS, INPUTS)
    sensing.fit(*sensing.measure_nights(nights))
    return sensing


def test_contributions_by_hand(hearing, back):
    """Softmax over four logits of 0 and one z has log-odds z - log 4: the contribution is exactly weight x feature."""
    model = hearing(3, {(0, back, R): 2, (1, 0, R): -1})
    rng = np.random.default_rng(0)
    crops = [rng.normal(size=(length, 3)).astype(np.float32) for length in (30, 11, 5)]
    for crop, contribution in zip(crops, attribution.contributions(model, crops, [R, R, R]), strict=True):
        expected = np.zeros_like(crop)
        expected[-1, 1] = -crop[-1, 1]
        if len(crop) > back:
            expected[-1 - back, 0] = 2 * crop[-1 - back, 0]
        np.testing.assert_allclose(contribution, expected, atol=1e-5)


def test_contributions_sum_to_the_log_odds(monkeypatch):
    """In batches that the crops do not fill, too."""
    monkeypatch.setattr(attribution, "BATCH", 2)
    keras.utils.set_random_seed(0)
    model = sequence_form(GRU(4, 8))
    rng = np.random.default_rng(1)
    crops = [2 * rng.normal(size=(length, 4)).astype(np.float32) for length in (20, 12, 16)]
    stages = [W, N2, R]

    def log_odds(x, stage):
        p = model.predict_on_batch(x[None])[0, -1, stage]
        return float(np.log(p / (1 - p)))

    away = [log_odds(crop, stage) - log_odds(0 * crop, stage) for crop, stage in zip(crops, stages, strict=True)]
    assert np.abs(away).max() > 0.1
    np.testing.assert_allclose(
        [contribution.sum() for contribution in attribution.contributions(model, crops, stages)], away, atol=0.005
    )


def test_only_the_exchanged_minutes_differ(sensing, nights):
    """And nothing before them; targets late in a night, at its end, and early."""
    targets = [(0, 150), (1, 149), (0, 25)]
    (got,) = attribution.exchange_blocks(sensing, nights, targets)
    assert got.shape == (3, 1 + 2 * 12, 120, len(sensing.feature_names))
    whole, level = sensing.sense_nights(nights), [sensing.feature_names.index(name) for name in INPUTS]
    for (night, window), variants in zip(targets, got, strict=True):
        first = max(0, window - 119)
        length = window + 1 - first
        np.testing.assert_allclose(variants[0, :length], whole[night][first : window + 1], atol=1e-4)
        for i, channel in enumerate(level):
            for block in range(12):
                end = max(0, length - 10 * block)
                start = max(0, end - 10)
                changed = ~np.isclose(variants[1 + 12 * i + block, :length], variants[0, :length], atol=1e-4)
                assert not changed[:start].any()
                assert not changed[end:, channel].any()
                assert not changed[:, level[1 - i]].any()
                assert changed[start:end, channel].sum() >= (end - start) // 10  # one of ten, at least, is another
    alone = next(attribution.exchange_blocks(sensing, nights, targets[:1]))
    np.testing.assert_array_equal(alone[0, 0], got[0, 0])


def test_changes_tell_channel_and_minutes(sensing, nights, hearing, back):
    """A network that hears heart rate's level 10 windows back, the last of the second newest block of 10."""
    model = hearing(len(sensing.feature_names), {(sensing.feature_names.index("heart_rate"), back, N3): 1})
    (features,) = attribution.exchange_blocks(sensing, nights, [(0, 150), (1, 120)])
    got = attribution.changes(model, features, np.int32([N3, N3]), np.int32([119, 119]), 2)
    assert got.shape == (2, 12, 2)
    level = features[:, :, 119 - back, sensing.feature_names.index("heart_rate")]
    np.testing.assert_allclose(got[:, 1, 0], np.abs(level[:, 2] - level[:, 0]), atol=1e-5)
    assert (got[:, 1, 0] > 0.01).all()
    got[:, 1, 0] = 0
    assert not got.any()


def test_a_span_is_an_hour_and_a_block_five_minutes():
    assert attribution.span_and_block(30) == (120, 10)
    assert attribution.span_and_block(3600) == (1, 1)  # at least one window
