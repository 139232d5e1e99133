"""Operating points: chosen by the nights passed, as asked; left out with a reason where they would change nothing."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from models.operating_points import MOST_REM_WEIGHT, REM, REM_RECALL, operating_points


def nights_of(seed, sharp=1.3, windows=900, spread=0.3, n=4):
    """Nights whose probabilities lean towards their stage, REM's more or less so; N2 is predicted too often."""
    rng, out = np.random.default_rng(seed), []
    for lean in sharp + spread * np.linspace(-1, 1, n):
        stages = rng.choice(5, windows, p=[0.1, 0.05, 0.55, 0.1, 0.2])
        score = np.array([sharp, sharp, sharp, sharp, lean]) * np.eye(5)[stages] + [0, 0, 0.8, 0, 0]
        score += rng.gumbel(0, 0.6, (windows, 5))
        p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
        stages[rng.random(windows) < 0.1] = -1
        out.append((stages, p))
    return [s for s, _ in out], [p for _, p in out]


def scored_and_predicted(stages, p, weights):
    scored, p = np.concatenate(stages), np.concatenate(p)
    return scored[scored >= 0], (p * weights)[scored >= 0].argmax(1)


def recall_with_margin(stages, p, rem):
    """REM recall of all windows, less the standard error of the nights' own; rem: weight on REM, of others 1."""
    hits = [((q * [1, 1, 1, 1, rem]).argmax(1) == REM)[s == REM] for s, q in zip(stages, p, strict=True)]
    of_nights = [x.mean() for x in hits if len(x)]
    return np.concatenate(hits).mean() - np.std(of_nights, ddof=1) / np.sqrt(len(of_nights))


@pytest.fixture(scope="module", params=[0, 1, 2])
def chosen(request):
    stages, p = nights_of(request.param)
    points, left_out = operating_points(stages, p)
    assert left_out == {}
    return stages, p, {name: np.array(point["weights"]) for name, point in points.items()}


def test_weights_are_five_shares(chosen):
    assert [*chosen[2]] == ["balanced", "rem"]
    for weights in chosen[2].values():
        assert weights.shape == (5,)
        assert (weights > 0).all()
        assert weights.sum() == pytest.approx(1, abs=1e-3)


def test_rem_recall_is_reached_with_its_margin_and_the_least_weight(chosen):
    stages, p, points = chosen
    weights = points["rem"]
    assert np.ptp(np.delete(weights, REM)) == 0
    rem = weights[REM] / weights[0]
    assert 1 < rem < MOST_REM_WEIGHT
    assert recall_with_margin(stages, p, rem) >= REM_RECALL - 0.005  # weights are rounded
    assert recall_with_margin(stages, p, rem / 1.04) < REM_RECALL  # the weight tried before


def test_nights_that_differ_more_need_a_wider_margin():
    weights = []
    for spread in (0.05, 0.8):
        stages, p = nights_of(0, spread=spread)
        points, _ = operating_points(stages, p)
        weights.append(points["rem"]["weights"])
        scored, predicted = scored_and_predicted(stages, p, weights[-1])
        weights[-1] = (predicted == REM)[scored == REM].mean()
    assert REM_RECALL <= weights[0] < weights[1] - 0.03


def test_one_night_alone_has_no_margin():
    stages, p = nights_of(0, n=1)
    points, _ = operating_points(stages, p)
    scored, predicted = scored_and_predicted(stages, p, points["rem"]["weights"])
    assert REM_RECALL - 0.005 <= (predicted == REM)[scored == REM].mean() < REM_RECALL + 0.03


def test_the_weight_on_rem_has_a_limit():
    stages, p = nights_of(0, sharp=0, spread=0)
    p = [q * [1, 1, 1, 1, 0.01] for q in p]
    rem = operating_points(stages, p)[0]["rem"]["weights"]
    assert rem[REM] / rem[0] == pytest.approx(MOST_REM_WEIGHT, rel=1e-3)


def test_balanced_has_a_better_macro_f1_than_the_probabilities_as_they_are(chosen):
    stages, p, points = chosen
    scores = [f1_score(*scored_and_predicted(stages, p, w), average="macro") for w in (np.ones(5), points["balanced"])]
    assert scores[1] > scores[0]  # N2 is predicted too often by far


def test_unscored_windows_have_no_say():
    stages, p = nights_of(3)
    other = [np.where((s < 0)[:, None], np.roll(q, 1, 1), q) for s, q in zip(stages, p, strict=True)]
    assert operating_points(stages, p) == operating_points(stages, other)


def test_a_night_without_a_scored_window_has_no_say():
    stages, p = nights_of(3)
    more = [*stages, np.full(50, -1)], [*p, np.full((50, 5), 0.2)]
    assert operating_points(stages, p) == operating_points(*more)


def test_nights_without_rem_leave_its_point_out():
    stages, p = nights_of(4)
    points, left_out = operating_points([np.where(s == REM, 2, s) for s in stages], p)
    assert "rem" not in points
    assert "no night has REM" in left_out["rem"]


def test_a_night_without_rem_among_others_has_no_say_in_its_margin():
    stages, p = nights_of(4)
    more = [*stages, np.full(900, 2)], [*p, p[0]]
    assert operating_points(stages, p)[0]["rem"] == operating_points(*more)[0]["rem"]


def test_points_that_would_change_nothing_are_left_out_and_say_why():
    """Every stage is predicted as often as it is there, and hardly ever wrongly."""
    stages = [np.repeat(np.arange(5), 60) for _ in range(3)]
    p = [np.eye(5)[s] * 0.9 + 0.02 for s in stages]
    points, left_out = operating_points(stages, p)
    assert points == {}
    assert left_out.keys() == {"balanced", "rem"}
    assert "macro F1" in left_out["balanced"]
    assert f"{REM_RECALL:g}" in left_out["rem"]
