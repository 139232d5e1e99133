"""Scores against values worked out by hand; what scikit-learn counts is taken as right."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from pipeline.constants import STAGES
from scoring.metrics import (
    VIEWS,
    agreement,
    by_hour,
    calibration,
    confusion,
    expected_kappa,
    kappa,
    over_subjects,
    scores,
    view_probabilities,
)

W, N1, N2, N3, R = range(5)


def sure(*predicted):
    """Probabilities [windows, 5] that leave no doubt."""
    return np.eye(5)[list(predicted)]


def test_views_sum_probabilities():
    p = np.array([[0.2, 0.08, 0.26, 0.1, 0.36], [0.15, 0.2, 0.25, 0.1, 0.3], [0.45, 0.15, 0.15, 0.15, 0.1]])
    np.testing.assert_allclose(view_probabilities(p, "5"), p)
    np.testing.assert_allclose(
        view_probabilities(p, "4"), [[0.2, 0.34, 0.1, 0.36], [0.15, 0.45, 0.1, 0.3], [0.45, 0.3, 0.15, 0.1]]
    )
    np.testing.assert_allclose(view_probabilities(p, "3"), [[0.2, 0.44, 0.36], [0.15, 0.55, 0.3], [0.45, 0.45, 0.1]])
    np.testing.assert_allclose(view_probabilities(p, "2"), [[0.2, 0.8], [0.15, 0.85], [0.45, 0.55]])


def test_a_view_is_not_the_likeliest_of_five_renamed():
    """REM is likeliest of five stages twice, yet NREM is of three; Wake is likeliest of five, yet Sleep of two."""
    p = np.array([[0.2, 0.08, 0.26, 0.1, 0.36], [0.15, 0.2, 0.25, 0.1, 0.3], [0.45, 0.1, 0.15, 0.15, 0.15]])
    got = scores([N2, N3, N1], p)
    assert [got[view]["accuracy"] for view in ("5", "4", "3", "2")] == [0, 0, pytest.approx(2 / 3), 1]


def test_views_name_every_stage_once():
    for view, (names, class_of_stage) in VIEWS.items():
        assert len(names) == int(view)
        assert sorted(set(class_of_stage)) == [*range(len(names))]
        assert len(class_of_stage) == len(STAGES)


def test_scores_by_hand():
    """Ten windows, eight right. Five stages: chance agreement (2·3 + 2·1 + 3·3 + 2·1 + 1·2) / 100 = .21."""
    true = [W, W, N1, N1, N2, N2, N2, N3, N3, R]
    predicted = [W, W, N1, W, N2, N2, N2, N3, R, R]
    got = scores(true, sure(*predicted))["5"]
    assert got["accuracy"] == pytest.approx(0.8)
    assert got["kappa"] == pytest.approx((0.8 - 0.21) / (1 - 0.21))
    assert got["majority_accuracy"] == pytest.approx(0.3)
    assert got["recall"] == {"Wake": 1, "N1": 0.5, "N2": 1, "N3": 0.5, "REM": 1}
    assert got["precision"] == {"Wake": pytest.approx(2 / 3), "N1": 1, "N2": 1, "N3": 1, "REM": 0.5}
    assert got["macro_f1"] == pytest.approx((4 / 5 + 2 / 3 + 1 + 2 / 3 + 2 / 3) / 5)


def test_coarser_views_by_hand():
    true, predicted = [W, W, N1, N2, N2, N3, N3, R], [W, N1, N2, N1, N3, N3, N2, W]
    got = scores(true, sure(*predicted))
    assert got["4"]["accuracy"] == pytest.approx(4 / 8)  # Light for N1 and N2, not for N3
    assert got["4"]["recall"] == {"Wake": 0.5, "Light": pytest.approx(2 / 3), "Deep": 0.5, "REM": 0}
    assert got["3"]["accuracy"] == pytest.approx(6 / 8)
    assert got["3"]["recall"] == {"Wake": 0.5, "NREM": 1, "REM": 0}
    assert got["3"]["majority_accuracy"] == pytest.approx(5 / 8)
    assert got["2"]["accuracy"] == pytest.approx(6 / 8)
    assert got["2"]["precision"] == {"Wake": 0.5, "Sleep": pytest.approx(5 / 6)}
    assert got["2"]["kappa"] == pytest.approx((6 / 8 - (2 * 2 + 6 * 6) / 64) / (1 - 40 / 64))


def test_unscored_windows_are_left_out():
    true, predicted = np.array([W, N2, R, N2]), [W, N2, N2, N2]
    with_gaps = np.insert(true, [0, 2, 4], -1)
    spread = np.insert(sure(*predicted), [0, 2, 4], sure(N3), axis=0)
    np.testing.assert_equal(scores(with_gaps, spread), scores(true, sure(*predicted)))  # NaN equals NaN here


def test_a_stage_that_the_night_lacks():
    """No N3, and none predicted: its figures are NaN, all others as without it. REM is scored, but never predicted."""
    got = scores([W, N1, N2, R], sure(W, N1, N2, N2))["5"]
    assert got["accuracy"] == 0.75
    assert got["recall"] == pytest.approx({"Wake": 1, "N1": 1, "N2": 1, "N3": np.nan, "REM": 0}, nan_ok=True)
    assert got["precision"] == pytest.approx({"Wake": 1, "N1": 1, "N2": 0.5, "N3": np.nan, "REM": np.nan}, nan_ok=True)
    assert got["auc"] == pytest.approx({"Wake": 1, "N1": 1, "N2": 5 / 6, "N3": np.nan, "REM": 0.5}, nan_ok=True)
    assert got["kappa"] == pytest.approx((0.75 - 4 / 16) / (1 - 4 / 16))
    assert got["balanced_accuracy"] == pytest.approx(3 / 4)
    assert got["macro_f1"] == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert got["macro_auc"] == pytest.approx((1 + 1 + 5 / 6 + 1 / 2) / 4)


def test_a_stage_that_is_only_predicted_counts_in_macro_f1_not_in_balanced_accuracy():
    got = scores([W, W, N2, N2], sure(W, N3, N2, N2))["5"]
    assert got["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert got["balanced_accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert np.isnan(got["recall"]["N3"])
    assert got["precision"]["N3"] == 0


def test_auc_by_hand():
    """Of Wake's four pairs with Sleep two are in order, one is tied, one is reversed."""
    wake = np.array([0.6, 0.3, 0.1, 0.3])
    p = np.column_stack([wake, 1 - wake, 0 * wake, 0 * wake, 0 * wake])
    two = scores([W, N2, N2, W], p)["2"]
    assert two["auc"] == {"Wake": pytest.approx(3.5 / 4), "Sleep": pytest.approx(3.5 / 4)}


@pytest.fixture(scope="module")
def random_nights():
    """Eight nights (stages, probabilities), better than chance, some without N3, with probabilities that tie."""
    rng = np.random.default_rng(0)
    nights = []
    for i in range(8):
        stages = rng.choice([-1, W, N1, N2, R] if i % 3 == 0 else [-1, W, N1, N2, N3, R], 150)
        p = (rng.dirichlet(np.ones(5), 150) + np.eye(5)[stages] * rng.uniform(0, 1)).round(1) + 0.02
        nights.append((stages, p / p.sum(1, keepdims=True)))
    return nights


@pytest.mark.filterwarnings("ignore")
def test_as_scikit_learn_has_it(random_nights):
    for stages, p in random_nights:
        true, predicted, got = stages[stages >= 0], p[stages >= 0].argmax(1), scores(stages, p)["5"]
        assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted))
        assert got["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
        for i in set(true):
            assert got["auc"][STAGES[i]] == pytest.approx(roc_auc_score(true == i, p[stages >= 0][:, i]))


def test_confusion_gives_the_figures_that_scores_gives(random_nights):
    for view in VIEWS:
        matrices = np.stack([confusion(stages, p, view) for stages, p in random_nights])
        assert matrices.sum((1, 2)).tolist() == [(stages >= 0).sum() for stages, _ in random_nights]
        for name, values in agreement(matrices).items():
            assert values == pytest.approx([scores(stages, p)[view][name] for stages, p in random_nights])


def test_confusion_by_hand():
    matrix = confusion([W, N1, -1, N3, N3], sure(W, N2, W, N3, R), "4")
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert agreement(np.diag([5, 0]))["kappa"] == 1


def test_interval_over_subjects():
    good, poor = np.array([[9, 1], [1, 9]]), np.array([[5, 5], [5, 5]])
    alike = over_subjects(np.stack([good] * 5))["kappa"]
    assert alike["mean"] == pytest.approx(0.8)
    assert alike["sd"] == pytest.approx(0)
    assert list(alike["interval"]) == pytest.approx([0.8, 0.8])
    two = over_subjects(np.stack([good, poor]))["kappa"]
    assert (two["mean"], two["sd"]) == (pytest.approx(0.4), pytest.approx(np.sqrt(0.32)))
    assert list(two["interval"]) == pytest.approx([0, 0.8])  # each drawn twice in a quarter of the draws
    ten = over_subjects(np.stack([good, poor] * 10))["kappa"]["interval"]
    assert 0 < ten[0] < 0.4 < ten[1] < 0.8
    assert ten == pytest.approx(over_subjects(np.stack([good, poor] * 10))["kappa"]["interval"])
    alone = over_subjects(good[None])["kappa"]
    assert alone["interval"] is None
    assert np.isnan(alone["sd"])


def test_the_interval_is_of_the_pooled_figure_not_of_the_mean_over_subjects():
    long, short = np.array([[900, 100], [100, 900]]), np.array([[0, 1], [1, 0]])
    got = over_subjects(np.stack([long] * 10 + [short] * 10))["accuracy"]
    assert got["mean"] == pytest.approx(0.45)
    assert got["interval"][0] > 0.89


def test_expected_kappa_tells_chance_from_a_repeat_that_is_worse():
    good, fair, poor = (np.array([[10 - n, n], [n, 10 - n]]) for n in (1, 2, 5))
    mixed = [np.stack([good, fair] * 5), np.stack([fair, good] * 5)]
    for (low, high), repeat in zip(expected_kappa(mixed), mixed, strict=True):
        assert low < agreement(repeat.sum(0))["kappa"] < high
    apart = expected_kappa([np.stack([good] * 10), np.stack([poor] * 10)])
    assert apart[0][1] < agreement(good)["kappa"]
    assert apart[1][0] > agreement(poor)["kappa"]
    wide, narrow = expected_kappa([np.stack([good, poor]), np.stack([good, poor] * 10)])
    assert wide[1] - wide[0] > narrow[1] - narrow[0]  # the fewer subjects, the more chance


def test_calibration_by_hand():
    """Predicted with .8 and right once in two; with .6 and right twice in two; one sure window is right."""
    p = np.array([[0.8, 0.2, 0, 0, 0], [0.2, 0.8, 0, 0, 0], [0, 0, 0.6, 0.4, 0], [0, 0, 0.6, 0, 0.4], [0, 0, 0, 0, 1]])
    got = calibration([W, N2, N2, N2, R], p)
    assert [list(row.values()) for row in got["bins"]] == [[0.6, 0.6, 1, 2], [0.8, 0.8, 0.5, 2], [0.9, 1, 1, 1]]
    assert got["ece"] == pytest.approx((2 * 0.4 + 2 * 0.3 + 0) / 5)
    assert got["stage_ece"]["Wake"] == pytest.approx((0.2 + 0.2 + 0) / 5)  # of .8, right; of .2, wrong; of 0, wrong
    assert got == calibration([W, N2, N2, N2, R, -1], np.vstack([p, sure(W)]))


def test_by_hour_by_hand():
    times = [0, 3570, 3600, 7170, 10800, 11000]
    got = by_hour(times, [W, N2, W, N2, -1, R], sure(W, N2, N2, N2, W, R))
    assert [row["hour"] for row in got] == [0, 1, 3]
    assert [row["epochs"] for row in got] == [2, 2, 1]
    assert [row["accuracy"] for row in got] == [1, 0.5, 1]
    assert [row["kappa"] for row in got] == [1, 0, 1]


def test_one_stage_throughout():
    got = scores([N2] * 4, sure(N2, N2, N2, N2))
    assert [got[view]["kappa"] for view in VIEWS] == [1, 1, 1, 1]
    assert got["5"]["majority_accuracy"] == 1
    assert scores([N2] * 4, sure(N2, N2, N2, W))["5"]["kappa"] == 0
    assert kappa([1, 2, 1, 2], [2, 1, 2, 1]) == pytest.approx(-1)
    assert kappa([0, 0], [0, 0]) == 1


def test_scores_are_plain_numbers_in_documented_keys():
    numbers = ["accuracy", "balanced_accuracy", "kappa", "macro_f1", "macro_auc", "majority_accuracy"]
    for view, got in scores([W, N2], sure(W, R)).items():
        assert [*got] == [*numbers, "recall", "precision", "auc"]
        assert tuple(got["recall"]) == tuple(got["precision"]) == tuple(got["auc"]) == VIEWS[view][0]
        assert all(type(got[name]) is float for name in numbers)
