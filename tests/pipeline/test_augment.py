"""Variants of training nights: plausible, missing where missing, stages with their windows, the same by seed."""

import numpy as np
import pytest

from pipeline.align import Night
from pipeline.augment import varied
from pipeline.options import CHANNELS, Options


def night_of(windows=900):
    """A night whose stage can be read off its heart rate and its motion: 50 + 5 x stage bpm, stage / 10 g."""
    stages = np.repeat(np.random.default_rng(0).integers(0, 5, windows // 30), 30).astype(np.int8)
    heart = np.repeat(50 + 5.0 * stages[:, None], 30, 1).astype(np.float32)
    heart[:, ::3] = 0
    activity = np.where(stages[:, None] == 0, [40.0, 0.0], [0.0, 0.0]).astype(np.float32)
    channels = {"heart_rate": heart, "activity": activity, "motion_x": np.repeat(stages[:, None] / 10, 30, 1)}
    return Night("1", 30.0 * np.arange(1, windows + 1), channels, stages)


@pytest.fixture(scope="module")
def variants():
    return [varied(night_of(), Options(), seed) for seed in range(60)]


def test_the_same_seed_gives_the_same_night_and_another_another(variants):
    again = varied(night_of(), Options(), 3)
    assert all(np.array_equal(again.channels[name], variants[3].channels[name]) for name in again.channels)
    assert not np.array_equal(variants[3].channels["heart_rate"][:500], variants[4].channels["heart_rate"][:500])


def test_windows_stay_whole_and_equally_spaced(variants):
    for night in variants:
        assert {len(x) for x in night.channels.values()} == {len(night.stages)} == {len(night.ends)}
        assert (np.diff(night.ends) == 30).all()
        assert night.ends[0] == 30
        assert night.stages.dtype == np.int8


def test_tempo_changes_the_length_within_bounds(variants):
    sizes = np.array([len(night) for night in variants])
    assert (sizes >= 0.87 * 900).all()
    assert (sizes <= 1.13 * 900).all()
    assert sizes.std() > 30


def test_stages_stay_with_their_windows(variants):
    """Scaling keeps the order of heart rates, and motion is not scaled: where sensed, both still tell the stage."""
    for night in variants:
        motion = night.channels["motion_x"][:, 0]
        there = motion > -1
        assert np.allclose(motion[there], night.stages[there] / 10)
        heart = night.channels["heart_rate"][:, 1]
        means = [heart[(heart > 0) & (night.stages == stage)] for stage in range(5)]
        assert all(np.ptp(x) < 1e-3 for x in means)
        assert (np.diff([x[0] for x in means]) > 3).all()


def test_values_are_missing_or_in_range_and_gaps_come(variants):
    gone = {name: [] for name in CHANNELS}
    for night in variants:
        for name, x in night.channels.items():
            channel = CHANNELS[name]
            assert ((x == channel.missing) | ((x >= channel.low) & (x <= channel.high))).all()
            assert x.dtype == np.float32 or name == "motion_x"
            gone[name].append((x == channel.missing).all(1).mean())
        assert (night.channels["heart_rate"][:, ::3] == 0).all()  # what was missing stays so
        both = (night.channels["activity"] < 0).all(1) == (night.channels["motion_x"] < -1).all(1)
        assert both.all()  # one sensor: they go together
    assert 0.2 < np.mean(np.array(gone["heart_rate"]) > 0) < 0.8
    assert 0.3 < np.mean(np.array(gone["activity"]) > 0) < 0.9


def test_the_night_itself_is_not_touched():
    night, same = night_of(), night_of()
    varied(night, Options(), 0)
    assert all(np.array_equal(night.channels[name], same.channels[name]) for name in same.channels)
    assert np.array_equal(night.stages, same.stages)


@pytest.mark.parametrize("windows", [1, 2, 7])
def test_the_shortest_nights(windows):
    for seed in range(20):
        night = varied(_cut(windows), Options(), seed)
        assert {len(night.ends), *map(len, night.channels.values())} == {len(night.stages)}
        assert (np.diff(night.ends) == 30).all()


@pytest.mark.parametrize("stride", [15, 60])
def test_gaps_last_minutes_whatever_the_stride(stride):
    """Heart rate is off for 10 to 60 minutes, at the night's ends for less."""
    windows, options = 8 * 3600 // stride, Options(stride=stride, window_size=60)
    heart = np.full((windows, 60), 60, np.float32)
    night = Night("1", stride * np.arange(1.0, windows + 1), {"heart_rate": heart}, np.zeros(windows, np.int8))
    gone = [(varied(night, options, seed).channels["heart_rate"] == 0).all(1).sum() * stride / 60 for seed in range(80)]
    assert 20 < np.count_nonzero(gone) < 60
    assert 45 < max(gone) <= 61


def _cut(windows):
    night = night_of(30)
    channels = {name: x[:windows] for name, x in night.channels.items()}
    return Night("1", night.ends[:windows], channels, night.stages[:windows])
