"""Variants of training nights: plausible, missing where missing, stages with their windows, the same by seed."""

import numpy as np
import pytest

from pipeline import augment
from pipeline.align import Night
from pipeline.augment import LIKELY, night_variants, rotation
from pipeline.constants import CHANNELS
from pipeline.options import Options


def night_of(windows=900):
    """A night whose stage can be read off its heart rate and its motion: 50 + 5 x stage bpm, stage / 10 g."""
    stages = np.repeat(np.random.default_rng(0).integers(0, 5, windows // 30), 30).astype(np.int8)
    heart = np.repeat(50 + 5.0 * stages[:, None], 30, 1).astype(np.float32)
    heart[:, ::3] = 0
    activity = np.where(stages[:, None] == 0, [40.0, 0.0], [0.0, 0.0]).astype(np.float32)
    channels = {"heart_rate": heart, "activity": activity, "motion_x": np.repeat(stages[:, None] / 10, 30, 1)}
    return Night("1", 30.0 * np.arange(1, windows + 1), channels, stages)


def one_variant(night, options, seed):
    (variant,) = night_variants(night, options, seed, 1)
    return variant


@pytest.fixture(scope="module")
def some():
    return night_variants(night_of(), Options(), 0, 60)


@pytest.fixture
def only(monkeypatch):
    """Function of {property: how likely}: no other property is there."""
    return lambda **likely: monkeypatch.setattr(augment, "LIKELY", dict.fromkeys(LIKELY, 0) | likely)


def steady(windows=900, options=None):
    """A night of 60 bpm every 5 s."""
    options = options or Options()
    heart = np.zeros((windows, options.values_per_window("heart_rate")), np.float32)
    heart[:, ::5] = 60
    ends = options.stride * np.arange(1.0, windows + 1)
    return Night("1", ends, {"heart_rate": heart}, np.zeros(windows, np.int8))


def test_the_same_seed_gives_the_same_night_and_another_another():
    night, again, other = (one_variant(night_of(), Options(), seed).channels for seed in (3, 3, 4))
    assert all(np.array_equal(night[name], again[name]) for name in night)
    assert not np.array_equal(night["heart_rate"][:500], other["heart_rate"][:500])


def test_windows_stay_whole_and_equally_spaced(some):
    for night in some:
        assert {len(x) for x in night.channels.values()} == {len(night.stages)} == {len(night.ends)}
        assert (np.diff(night.ends) == 30).all()
        assert night.ends[0] == 30
        assert night.stages.dtype == np.int8


def test_tempo_changes_the_length_within_bounds(some):
    sizes = np.array([len(night) for night in some])
    assert (sizes >= 0.87 * 900).all()
    assert (sizes <= 1.13 * 900).all()
    assert sizes.std() > 30


def test_stages_stay_with_their_windows(only):
    """Scaling keeps the order of heart rates, and one axis alone is not turned: both still tell the stage."""
    only(heart_gap=0.5, movement_gap=0.5)
    for night in night_variants(night_of(), Options(), 0, 20):
        motion = night.channels["motion_x"][:, 0]
        there = motion > -1
        assert np.allclose(motion[there], night.stages[there] / 10)
        heart = night.channels["heart_rate"][:, 1]
        means = [heart[(heart > 0) & (night.stages == stage)] for stage in range(5)]
        assert all(np.ptp(x) < 1e-3 for x in means)
        assert (np.diff([x[0] for x in means]) > 3).all()


def test_values_are_missing_or_in_range_and_movement_is_one_sensor(some):
    for night in some:
        for name, x in night.channels.items():
            channel = CHANNELS[name]
            assert ((x == channel.missing) | ((x >= channel.low) & (x <= channel.high))).all()
            assert x.dtype == np.float32
        both = (night.channels["activity"] < 0).all(1) == (night.channels["motion_x"] < -1).all(1)
        assert both.all()


def test_each_wearer_lacks_a_sensor_in_as_many_variants(only):
    only(no_movement=0.2, no_heart=0.1)
    for seed in range(5):
        nights = night_variants(night_of(120), Options(), seed, 20)
        movement, heart = (
            np.array([(night.channels[name] == CHANNELS[name].missing).all() for night in nights])
            for name in ("activity", "heart_rate")
        )
        assert movement.sum() == 4
        assert heart.sum() == 2
        assert not (movement & heart).any()


@pytest.mark.parametrize("name, least, most", [("noise", 0.4, 5.1), ("wander", 0.7, 5), ("dense", 0.1, 7)])
def test_noise_has_its_size(only, name, least, most):
    only(**{name: 1})
    for night in night_variants(steady(), Options(), 0, 8):
        x = night.channels["heart_rate"]
        assert least < x[x > 0].std() < most
        assert ((x > 0).mean() > 0.99) == (name == "dense")


def test_thinned_heart_rate_comes_at_its_interval(only):
    only(thinned=1)
    gaps = []
    for night in night_variants(steady(), Options(), 0, 8):
        gap = np.diff(np.flatnonzero(night.channels["heart_rate"].ravel()))
        assert np.ptp(gap[1:]) <= 10
        gaps.append(gap.mean())
    assert min(gaps) < 40
    assert max(gaps) > 200


def test_rounded_and_smoothed(only):
    only(rounded=1, noise=1, smoothed=1)
    for night in night_variants(steady(), Options(), 0, 4):
        x = night.channels["heart_rate"]
        values = np.unique(x[x > 0])
        assert 0.99 < np.diff(values).min() < 2.01
    only(smoothed=1)
    for night in night_variants(night_of(), Options(), 0, 4):
        x = night.channels["heart_rate"]
        assert len(np.unique(x[x > 0].round(3))) > 10


def test_swings_come_in_bouts(only):
    only(cyclic=1)
    for night in night_variants(steady(2000), Options(), 0, 4):
        x = night.channels["heart_rate"][:, ::5]
        still = np.ptp(x, axis=1) < 1e-3
        assert 0.15 < still.mean() < 0.85
        assert 2 < np.ptp(x) < 12.5


def test_a_turned_wrist_weighs_as_much():
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 1, (3, 900, 30)).astype(np.float32)
    xyz[:, 5] = -100
    channels = dict(zip(augment.MOTION, xyz, strict=True)) | {"motion_magnitude": np.sqrt((xyz**2).sum(0))}
    channels["motion_magnitude"][5] = -100
    night = one_variant(Night("1", 30 * np.arange(1.0, 901), channels, np.zeros(900, np.int8)), Options(), 1)
    x, y, z, whole = (night.channels[name] for name in (*augment.MOTION, "motion_magnitude"))
    assert np.array_equal(x == -100, whole == -100)
    assert np.allclose(np.sqrt(x**2 + y**2 + z**2)[whole > 0], whole[whole > 0], atol=1e-4)
    turned = rotation(rng)
    assert np.allclose(turned @ turned.T, np.eye(3))
    assert np.isclose(np.linalg.det(turned), 1)


def test_windows_overlap_as_the_options_ask():
    options = Options(window_size=60, stride=15)
    x = one_variant(steady(400, options), options, 0).channels["heart_rate"]
    assert np.array_equal(x[1:, :-15], x[:-1, 15:])


def test_no_variants():
    assert night_variants(night_of(), Options(), 0, 0) == []


def test_the_night_itself_is_not_touched():
    night, same = night_of(), night_of()
    one_variant(night, Options(), 0)
    assert all(np.array_equal(night.channels[name], same.channels[name]) for name in same.channels)
    assert np.array_equal(night.stages, same.stages)


@pytest.mark.parametrize("windows", [1, 2, 7])
def test_the_shortest_nights(windows):
    for seed in range(20):
        night = one_variant(_cut(windows), Options(), seed)
        assert {len(night.ends), *map(len, night.channels.values())} == {len(night.stages)}
        assert (np.diff(night.ends) == 30).all()


@pytest.mark.parametrize("stride", [15, 60])
def test_gaps_last_minutes_whatever_the_stride(only, stride):
    """Heart rate is off for 10 to 60 minutes, at the night's ends for less."""
    only(heart_gap=0.5)
    windows, options = 8 * 3600 // stride, Options(stride=stride, window_size=60)
    heart = np.full((windows, 60), 60, np.float32)
    night = Night("1", stride * np.arange(1.0, windows + 1), {"heart_rate": heart}, np.zeros(windows, np.int8))
    nights = night_variants(night, options, 0, 80)
    gone = [(variant.channels["heart_rate"] == 0).all(1).sum() * stride / 60 for variant in nights]
    assert 30 < np.count_nonzero(gone) <= 40
    assert 45 < max(gone) <= 61


def _cut(windows):
    night = night_of(30)
    channels = {name: x[:windows] for name, x in night.channels.items()}
    return Night("1", night.ends[:windows], channels, night.stages[:windows])
