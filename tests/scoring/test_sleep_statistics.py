"""Sleep statistics and their agreement, against values worked out by hand; definitions are yasa's, and AASM's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scoring.predictions import PredictedNight
from scoring.sleep_statistics import (
    UNITS,
    bland_altman,
    error_matrix,
    hypnogram,
    hypnograms,
    sleep_statistics,
    sleep_table,
    whole_epochs,
)

W, N1, N2, N3, R = range(5)
NIGHT = [W] * 20 + [N1] * 10 + [N2] * 30 + [R] * 10 + [W] * 10 + [N2] * 20  # 50 min


def predicted_night(subject, scored, predicted, stride=30, start=0):
    return PredictedNight(subject, start + stride * np.arange(len(scored)), np.array(scored), np.eye(5)[predicted])


def tables(*nights, seconds=30):
    return [sleep_table(scorer) for scorer in hypnograms(nights, seconds)]


def test_statistics_by_hand():
    """20 min awake, then 100 min asleep with 10 min awake in it, of two hours in bed."""
    stages = [W] * 40 + [N1] * 10 + [N2] * 60 + [N3] * 40 + [W] * 20 + [N2] * 30 + [R] * 40
    got = sleep_statistics({"a": hypnogram(stages, 30)}).loc["a"]
    assert (got.TIB, got.TST, got.SOL, got.WASO) == (120, 90, 20, 10)
    assert (got.N1, got.N2, got.N3, got.REM) == (5, 45, 20, 20)
    assert got.SE == 75
    assert got["REM latency"] == 80  # of sleep, not of the recording: AASM
    assert "Lat_REM" not in got
    assert sleep_statistics({"a": hypnogram(np.repeat(stages, 2), 15)}).loc["a"].equals(got)


def test_sleep_table_by_hand():
    scored, predicted = tables(predicted_night("a", NIGHT, [N2] * 100), predicted_night("b", NIGHT, NIGHT))
    assert scored.loc["a"].to_dict() == {
        "TST": 35, "SE": 70, "SOL": 10, "WASO": 5, "Wake": 15, "N1": 5, "N2": 25, "N3": 0, "REM": 5, "REM latency": 20,
    }  # fmt: skip
    assert scored.loc["a"].equals(predicted.loc["b"])
    assert predicted.loc["a", ["TST", "SE", "SOL", "WASO", "N2"]].tolist() == [50, 100, 0, 0, 50]
    assert np.isnan(predicted.loc["a", "REM latency"])


def test_only_scored_epochs_count_in_both():
    """Unscored ends are cut off, an unscored gap is neither sleep nor wake, whatever was predicted there."""
    scored = [-1] * 10 + NIGHT[:40] + [-1] * 20 + NIGHT[60:] + [-1] * 5
    predicted = [N3] * 10 + NIGHT[:40] + [N3] * 20 + NIGHT[60:] + [N3] * 5
    one, other = tables(predicted_night("a", scored, predicted))
    assert one.equals(other)
    assert one.loc["a", ["TST", "SOL", "WASO", "N2", "N3", "REM latency"]].tolist() == [25, 10, 5, 15, 0, 20]


def unknown_night(subject, predicted, unknown):
    night = predicted_night(subject, NIGHT, predicted)
    return replace(night, unknown=np.array(unknown, bool))


def test_unknown_epochs_are_neither_sleep_nor_wake():
    """In the last ten minutes, scored as N2, nothing was sensed."""
    scored, predicted = tables(unknown_night("a", NIGHT, [0] * 80 + [1] * 20))
    assert scored.loc["a", ["TST", "N2", "Wake"]].tolist() == [35, 25, 15]
    assert predicted.loc["a", ["TST", "N2", "Wake"]].tolist() == [25, 15, 15]
    scored, predicted = tables(unknown_night("a", NIGHT, [1] * 100))  # nothing was sensed all night
    assert scored.loc["a", "TST"] == 35
    assert predicted.loc["a", ["TST", "SE", "Wake"]].tolist() == [0, 0, 0]
    assert np.isnan(predicted.loc["a", "SOL"])


def test_unknown_epochs_are_no_errors():
    """What was predicted wrong there does not count; a night without a predicted stage is left out."""
    wrong = [N3] * 20 + NIGHT[20:]
    nights = [unknown_night(name, wrong, [1] * 20 + [0] * 80) for name in "ab"]
    lost = unknown_night("c", wrong, [1] * 100)
    matrix = error_matrix(*hypnograms([*nights, lost], 30))
    assert matrix["Wake"]["Wake"] == {"mean": 1, "sd": 0}
    assert error_matrix(*hypnograms([nights[0], lost], 30)) is None


def test_whole_epochs_keep_what_belongs_to_them():
    night = replace(predicted_night("a", [-1, W, -1, N2], [W, N1, N2, N3], 15), unknown=np.arange(4) == 3)
    epochs = whole_epochs(night)
    assert epochs.stages.tolist() == [W, N2]
    assert epochs.times.tolist() == [15, 45]
    assert epochs.predicted_stages.tolist() == [N1, -1]
    assert epochs.valid is None


def test_nothing_but_wake_is_no_sleep():
    scored, predicted = tables(predicted_night("a", NIGHT, [W] * 100), predicted_night("b", NIGHT, NIGHT))
    assert predicted.loc["a", ["TST", "SE", "Wake"]].tolist() == [0, 0, 50]
    assert predicted.loc["a", ["SOL", "WASO", "REM latency"]].isna().all()
    got = bland_altman(scored, predicted)
    assert (got["TST"]["bias"], got["TST"]["nights"]) == (-17.5, 2)
    assert (got["SOL"]["bias"], got["SOL"]["nights"]) == (0, 1)


@pytest.mark.parametrize(("stride", "start"), [(15, 0), (10, -600), (15, 15)])
def test_a_stride_under_an_epoch_counts_each_epoch_once(stride, start):
    """The window that ends with an epoch is scored; what is predicted in between does not matter."""
    every = 30 // stride
    scored, predicted = np.full(100 * every, -1), np.full(100 * every, N3)
    scored[every - 1 :: every], predicted[every - 1 :: every] = NIGHT, NIGHT
    one, other = tables(predicted_night("a", scored, predicted, stride, start), seconds=stride)
    whole, _ = tables(predicted_night("a", NIGHT, NIGHT))
    assert one.equals(whole)
    assert other.equals(whole)


def test_bland_altman_by_hand():
    """TST differs by -1, 0, 1 and 4: bias 1, SD sqrt(14/3); it grows by half of what is scored, and a bit."""
    scored = pd.DataFrame({name: [1.0, 2, 3, 4] for name in UNITS}, index=list("abcd"))
    predicted = scored.assign(TST=[0, 2, 4, 8], SE=[2, 3, 4, 5], REM=np.nan, N3=[2, 2, 3, np.nan])
    got = bland_altman(scored, predicted)
    sd = np.sqrt(14 / 3)
    assert got["TST"]["bias"] == 1
    assert got["TST"]["sd"] == pytest.approx(sd)
    assert [got["TST"][name] for name in ("lower", "upper")] == pytest.approx([1 - 1.96 * sd, 1 + 1.96 * sd])
    assert got["TST"]["slope"] == pytest.approx((-1 * -1.5 + 0 * -0.5 + 1 * 0.5 + 4 * 1.5) / 5)
    half = 3.182446 * sd / 2  # t of 3 degrees of freedom
    assert got["TST"]["bias_interval"] == pytest.approx([1 - half, 1 + half])
    assert (got["SE"]["bias"], got["SE"]["sd"]) == (1, 0)
    assert (got["N3"]["bias"], got["N3"]["nights"]) == (pytest.approx(1 / 3), 3)
    assert (got["SOL"]["bias"], got["SOL"]["sd"], got["SOL"]["upper"]) == (0, 0, 0)  # the same on all nights
    assert np.isnan(got["REM"]["bias"])
    assert got["REM"]["nights"] == 0
    assert [*got] == [*UNITS]


def test_one_night_has_a_bias_and_no_limits():
    got = bland_altman(*tables(predicted_night("a", NIGHT, [N2] * 100)))
    assert got["TST"]["bias"] == 15
    assert np.isnan(got["TST"]["upper"])
    assert error_matrix(*hypnograms([predicted_night("a", NIGHT, NIGHT)], 30)) is None


def test_error_matrix_by_hand():
    """Night a has half of Wake as N2, b none of it: 50 and 100 % right, mean 75, SD sqrt(2)/4. Only a has REM."""
    nights = (
        predicted_night("a", [W] * 4 + [R] * 2 + [-1], [W, W, N2, N2, R, R, N3]),
        predicted_night("b", [W, N2], [W, N2]),
    )
    got = error_matrix(*hypnograms(nights, 30))
    assert got["Wake"]["Wake"] == {"mean": pytest.approx(0.75), "sd": pytest.approx(np.sqrt(2) / 4)}
    assert got["Wake"]["N2"]["mean"] == pytest.approx(0.25)
    assert got["REM"]["REM"]["mean"] == 1
    assert np.isnan(got["REM"]["REM"]["sd"])
    assert got["N3"] == {}
