"""Sleep statistics and their agreement, against values worked out by hand; definitions are yasa's."""

import numpy as np
import pandas as pd
import pytest

from evaluation.results import SaidNight
from evaluation.sleep import UNITS, bland_altman, error_matrix, hypnograms, sleep_table, statistics

W, N1, N2, N3, R = range(5)
NIGHT = [W] * 20 + [N1] * 10 + [N2] * 30 + [R] * 10 + [W] * 10 + [N2] * 20  # 50 min


def said_night(subject, scored, said, stride=30, start=0):
    return SaidNight(subject, start + stride * np.arange(len(scored)), np.array(scored), np.eye(5)[said])


def tables(*nights, seconds=30):
    return [sleep_table(each) for each in hypnograms(nights, seconds)]


def test_statistics_by_hand():
    """20 min awake, then 100 min asleep with 10 min awake in it, of two hours in bed."""
    stages = [W] * 40 + [N1] * 10 + [N2] * 60 + [N3] * 40 + [W] * 20 + [N2] * 30 + [R] * 40
    got = statistics(stages, 30)
    assert (got.TIB, got.TST, got.SOL, got.WASO) == (120, 90, 20, 10)
    assert (got.N1, got.N2, got.N3, got.REM) == (5, 45, 20, 20)
    assert got.SE == 75
    assert got.Lat_REM == 100
    assert statistics(np.repeat(stages, 2), 15).equals(got)


def test_sleep_table_by_hand():
    scored, said = tables(said_night("a", NIGHT, [N2] * 100), said_night("b", NIGHT, NIGHT))
    assert scored.loc["a"].to_dict() == {
        "TST": 35, "SE": 70, "SOL": 10, "WASO": 5, "Wake": 15, "N1": 5, "N2": 25, "N3": 0, "REM": 5, "REM latency": 20,
    }  # fmt: skip
    assert scored.loc["a"].equals(said.loc["b"])
    assert said.loc["a", ["TST", "SE", "SOL", "WASO", "N2"]].tolist() == [50, 100, 0, 0, 50]
    assert np.isnan(said.loc["a", "REM latency"])


def test_only_scored_epochs_count_in_both():
    """Unscored ends are cut off, an unscored gap is neither sleep nor wake, whatever was said there."""
    scored = [-1] * 10 + NIGHT[:40] + [-1] * 20 + NIGHT[60:] + [-1] * 5
    said = [N3] * 10 + NIGHT[:40] + [N3] * 20 + NIGHT[60:] + [N3] * 5
    one, other = tables(said_night("a", scored, said))
    assert one.equals(other)
    assert one.loc["a", ["TST", "SOL", "WASO", "N2", "N3", "REM latency"]].tolist() == [25, 10, 5, 15, 0, 20]


def test_nothing_but_wake_is_no_sleep():
    scored, said = tables(said_night("a", NIGHT, [W] * 100), said_night("b", NIGHT, NIGHT))
    assert said.loc["a", ["TST", "SE", "Wake"]].tolist() == [0, 0, 50]
    assert said.loc["a", ["SOL", "WASO", "REM latency"]].isna().all()
    got = bland_altman(scored, said)
    assert (got["TST"]["bias"], got["TST"]["nights"]) == (-17.5, 2)
    assert (got["SOL"]["bias"], got["SOL"]["nights"]) == (0, 1)


@pytest.mark.parametrize(("stride", "start"), [(15, 0), (10, -600), (15, 15)])
def test_a_stride_under_an_epoch_counts_each_epoch_once(stride, start):
    """The window that ends with an epoch is scored; what is said in between does not matter."""
    every = 30 // stride
    scored, said = np.full(100 * every, -1), np.full(100 * every, N3)
    scored[every - 1 :: every], said[every - 1 :: every] = NIGHT, NIGHT
    one, other = tables(said_night("a", scored, said, stride, start), seconds=stride)
    whole, _ = tables(said_night("a", NIGHT, NIGHT))
    assert one.equals(whole)
    assert other.equals(whole)


def test_bland_altman_by_hand():
    """TST differs by -1, 0, 1 and 4: bias 1, SD sqrt(14/3); it grows by half of what is scored, and a bit."""
    scored = pd.DataFrame({name: [1.0, 2, 3, 4] for name in UNITS}, index=list("abcd"))
    said = scored.assign(TST=[0, 2, 4, 8], SE=[2, 3, 4, 5], REM=np.nan, N3=[2, 2, 3, np.nan])
    got = bland_altman(scored, said)
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
    got = bland_altman(*tables(said_night("a", NIGHT, [N2] * 100)))
    assert got["TST"]["bias"] == 15
    assert np.isnan(got["TST"]["upper"])
    assert error_matrix(*hypnograms([said_night("a", NIGHT, NIGHT)], 30)) is None


def test_error_matrix_by_hand():
    """Night a says half of Wake N2, b none of it: 50 and 100 % right, mean 75, SD sqrt(2)/4. Only a has REM."""
    nights = said_night("a", [W] * 4 + [R] * 2 + [-1], [W, W, N2, N2, R, R, N3]), said_night("b", [W, N2], [W, N2])
    got = error_matrix(*hypnograms(nights, 30))
    assert got["Wake"]["Wake"] == {"mean": pytest.approx(0.75), "sd": pytest.approx(np.sqrt(2) / 4)}
    assert got["Wake"]["N2"]["mean"] == pytest.approx(0.25)
    assert got["REM"]["REM"]["mean"] == 1
    assert np.isnan(got["REM"]["REM"]["sd"])
    assert got["N3"] == {}
