"""Scores against values worked out by hand; what scikit-learn counts is taken as right."""

import numpy as np
import pytest

from evaluation.metrics import VIEWS, kappa, scores, viewed
from pipeline.options import STAGES

W, N1, N2, N3, R = range(5)


def sure(*said):
    """Probabilities [windows, 5] that leave no doubt."""
    return np.eye(5)[list(said)]


def test_views_sum_probabilities():
    p = np.array([[0.2, 0.08, 0.26, 0.1, 0.36], [0.15, 0.2, 0.25, 0.1, 0.3], [0.45, 0.15, 0.15, 0.15, 0.1]])
    np.testing.assert_allclose(viewed(p, "5"), p)
    np.testing.assert_allclose(viewed(p, "4"), [[0.2, 0.34, 0.1, 0.36], [0.15, 0.45, 0.1, 0.3], [0.45, 0.3, 0.15, 0.1]])
    np.testing.assert_allclose(viewed(p, "3"), [[0.2, 0.44, 0.36], [0.15, 0.55, 0.3], [0.45, 0.45, 0.1]])
    np.testing.assert_allclose(viewed(p, "2"), [[0.2, 0.8], [0.15, 0.85], [0.45, 0.55]])


def test_a_view_is_not_the_likeliest_of_five_renamed():
    """REM is likeliest of five stages twice, yet NREM is of three; Wake is likeliest of five, yet Sleep of two."""
    p = np.array([[0.2, 0.08, 0.26, 0.1, 0.36], [0.15, 0.2, 0.25, 0.1, 0.3], [0.45, 0.1, 0.15, 0.15, 0.15]])
    got = scores([N2, N3, N1], p)
    assert [got[view]["accuracy"] for view in ("5", "4", "3", "2")] == [0, 0, pytest.approx(2 / 3), 1]


def test_views_name_every_stage_once():
    for view, (names, of) in VIEWS.items():
        assert len(names) == int(view)
        assert sorted(set(of)) == [*range(len(names))]
        assert len(of) == len(STAGES)


def test_scores_by_hand():
    """Ten windows, eight right. Five stages: chance agreement (2·3 + 2·1 + 3·3 + 2·1 + 1·2) / 100 = .21."""
    true = [W, W, N1, N1, N2, N2, N2, N3, N3, R]
    said = [W, W, N1, W, N2, N2, N2, N3, R, R]
    got = scores(true, sure(*said))["5"]
    assert got["accuracy"] == pytest.approx(0.8)
    assert got["kappa"] == pytest.approx((0.8 - 0.21) / (1 - 0.21))
    assert got["majority_accuracy"] == pytest.approx(0.3)
    assert got["recall"] == {"Wake": 1, "N1": 0.5, "N2": 1, "N3": 0.5, "REM": 1}
    assert got["precision"] == {"Wake": pytest.approx(2 / 3), "N1": 1, "N2": 1, "N3": 1, "REM": 0.5}
    assert got["macro_f1"] == pytest.approx((4 / 5 + 2 / 3 + 1 + 2 / 3 + 2 / 3) / 5)


def test_coarser_views_by_hand():
    true, said = [W, W, N1, N2, N2, N3, N3, R], [W, N1, N2, N1, N3, N3, N2, W]
    got = scores(true, sure(*said))
    assert got["4"]["accuracy"] == pytest.approx(4 / 8)  # Light for N1 and N2, not for N3
    assert got["4"]["recall"] == {"Wake": 0.5, "Light": pytest.approx(2 / 3), "Deep": 0.5, "REM": 0}
    assert got["3"]["accuracy"] == pytest.approx(6 / 8)
    assert got["3"]["recall"] == {"Wake": 0.5, "NREM": 1, "REM": 0}
    assert got["3"]["majority_accuracy"] == pytest.approx(5 / 8)
    assert got["2"]["accuracy"] == pytest.approx(6 / 8)
    assert got["2"]["precision"] == {"Wake": 0.5, "Sleep": pytest.approx(5 / 6)}
    assert got["2"]["kappa"] == pytest.approx((6 / 8 - (2 * 2 + 6 * 6) / 64) / (1 - 40 / 64))


def test_unscored_windows_are_left_out():
    true, said = np.array([W, N2, R, N2]), [W, N2, N2, N2]
    with_gaps = np.insert(true, [0, 2, 4], -1)
    spread = np.insert(sure(*said), [0, 2, 4], sure(N3), axis=0)
    assert scores(with_gaps, spread) == scores(true, sure(*said))


def test_a_stage_that_the_night_lacks():
    """No N3, and none said: its figures are 0, and every other's as without it."""
    got = scores([W, N1, N2, R], sure(W, N1, N2, N2))["5"]
    assert got["accuracy"] == 0.75
    assert got["recall"] == {"Wake": 1, "N1": 1, "N2": 1, "N3": 0, "REM": 0}
    assert got["precision"] == {"Wake": 1, "N1": 1, "N2": 0.5, "N3": 0, "REM": 0}
    assert got["kappa"] == pytest.approx((0.75 - 4 / 16) / (1 - 4 / 16))


def test_one_stage_throughout():
    got = scores([N2] * 4, sure(N2, N2, N2, N2))
    assert [got[view]["kappa"] for view in VIEWS] == [1, 1, 1, 1]
    assert got["5"]["majority_accuracy"] == 1
    assert scores([N2] * 4, sure(N2, N2, N2, W))["5"]["kappa"] == 0
    assert kappa([1, 2, 1, 2], [2, 1, 2, 1]) == pytest.approx(-1)
    assert kappa([0, 0], [0, 0]) == 1


def test_scores_are_plain_numbers_in_documented_keys():
    keys = ["accuracy", "kappa", "macro_f1", "majority_accuracy", "recall", "precision"]
    for view, got in scores([W, N2], sure(W, R)).items():
        assert [*got] == keys
        names = VIEWS[view][0]
        assert tuple(got["recall"]) == tuple(got["precision"]) == names
        assert all(type(value) is float for name, value in got.items() if name not in ("recall", "precision"))
