"""Operating points: chosen by the inner nights, as asked."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from models.operating_points import REM, REM_RECALL, operating_points


def nights_of(seed, sharp=1.0, windows=900):
    """Two nights whose probabilities lean towards their stage; N2 is common and is predicted too often."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(2):
        stages = rng.choice(5, windows, p=[0.1, 0.05, 0.55, 0.1, 0.2])
        score = sharp * np.eye(5)[stages] + rng.gumbel(0, 0.6, (windows, 5)) + [0, 0, 0.8, 0, 0]
        p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        stages[rng.random(windows) < 0.1] = -1
        out.append((stages, p))
    return [s for s, _ in out], [p for _, p in out]


def scored_and_predicted(stages, p, weights):
    scored, p = np.concatenate(stages), np.concatenate(p)
    return scored[scored >= 0], (p * weights)[scored >= 0].argmax(1)


@pytest.fixture(scope="module", params=[0, 1, 2])
def chosen(request):
    stages, p = nights_of(request.param)
    points = operating_points(stages, p)
    return stages, p, {name: np.array(point["weights"]) for name, point in points.items()}


def test_weights_are_five_shares(chosen):
    assert [*chosen[2]] == ["balanced", "rem"]
    for weights in chosen[2].values():
        assert weights.shape == (5,)
        assert (weights > 0).all()
        assert weights.sum() == pytest.approx(1, abs=1e-3)


def test_rem_recall_is_reached_with_the_least_weight(chosen):
    stages, p, points = chosen
    weights = points["rem"]
    scored, now = scored_and_predicted(stages, p, weights)
    assert (now == REM)[scored == REM].mean() >= REM_RECALL - 0.01  # weights are rounded
    less = np.where(np.arange(5) == REM, weights / 1.15, weights)
    scored, now = scored_and_predicted(stages, p, less)
    assert (now == REM)[scored == REM].mean() < REM_RECALL
    assert np.ptp(np.delete(weights, REM)) == 0


def test_balanced_has_no_worse_macro_f1_than_the_probabilities_as_they_are(chosen):
    stages, p, points = chosen
    scores = [f1_score(*scored_and_predicted(stages, p, w), average="macro") for w in (np.ones(5), points["balanced"])]
    assert scores[1] > scores[0]  # N2 is predicted too often by far


def test_unscored_windows_have_no_say():
    stages, p = nights_of(3)
    other = [np.where((s < 0)[:, None], np.roll(q, 1, 1), q) for s, q in zip(stages, p, strict=True)]
    assert operating_points(stages, p) == operating_points(stages, other)


def test_inner_nights_without_rem_leave_its_weight_alone():
    stages, p = nights_of(4)
    points = operating_points([np.where(s == REM, 2, s) for s in stages], p)
    assert points["rem"]["weights"] == [0.2] * 5
