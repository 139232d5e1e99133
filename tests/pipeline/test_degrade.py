"""Stresses: what each does to the samples, the same by seed, without touching the recording that goes in."""

import numpy as np
import pytest

from pipeline.align import align
from pipeline.degrade import (
    AS_RECORDED,
    CADENCE,
    CADENCE_OF_COUNTS,
    CADENCE_S,
    OF_RAW_MOTION,
    STRESSES,
    cyclic,
    degraded,
    wander,
)
from pipeline.options import Options
from pipeline.recordings import Recording

HOURS = 8


def recording_of(*sensors):
    t = np.arange(2.5, HOURS * 3600, 5)
    samples = {"heart_rate": (t, 60 + 5 * np.sin(t / 2000)), "activity": (np.arange(15.0, HOURS * 3600, 15),) * 2}
    labels = 30.0 * np.arange(HOURS * 120), np.zeros(HOURS * 120, int)
    return Recording("7", {name: samples[name] for name in sensors or samples}, labels)


def with_motion(begins=0.0):
    """Heart rate as above, and an hour of raw motion at 20 Hz with restless minutes."""
    recording, t = recording_of("heart_rate"), begins + np.arange(0, 3600, 0.05)
    restless = (t % 600 < 60)[:, None]
    xyz = np.random.default_rng(3).normal(0, 0.2, (len(t), 3)) * restless + [0, 0, 1]
    recording.samples["motion"] = t, xyz
    return recording


COUNTS = np.arange(15.0, 3600, 15), np.ones(239)


def heart(stress, seed=0):
    t, x = degraded(recording_of(), stress, seed).samples["heart_rate"]
    return t, x


@pytest.mark.parametrize("stress", STRESSES)
def test_the_recording_stays_and_the_seed_decides(stress):
    recording, same = recording_of(), recording_of()
    once, again = degraded(recording, stress), degraded(recording, stress)
    assert once.samples.keys() == again.samples.keys()
    for name, (t, x) in once.samples.items():
        assert np.array_equal(t, again.samples[name][0])
        assert np.array_equal(x, again.samples[name][1])
        assert len(t) == len(x) > 0
        assert (np.diff(t) > 0).all()
    for name, (t, x) in same.samples.items():
        assert np.array_equal(recording.samples[name][0], t)
        assert np.array_equal(recording.samples[name][1], x)
    assert np.array_equal(once.labels[0], recording.labels[0])
    only_movement = recording_of("activity")
    assert "heart_rate" not in degraded(only_movement, stress).samples


@pytest.mark.parametrize("bpm", [1, 2, 3, 5])
def test_noise_has_its_size_and_is_the_same_noise_whatever_its_size(bpm):
    x = recording_of().samples["heart_rate"][1]
    noise = heart(f"noise {bpm} bpm")[1] - x
    assert np.isclose(noise.std(), bpm, rtol=0.05)
    assert np.allclose(noise / bpm, heart("noise 3 bpm")[1] / 3 - x / 3)
    assert not np.allclose(noise, heart(f"noise {bpm} bpm", seed=1)[1] - x)


def test_correlated_noise_wanders_with_its_time_constant():
    x = recording_of().samples["heart_rate"][1]
    noise = heart("correlated noise 3 bpm")[1] - x
    assert 2 < noise.std() < 4
    assert np.isclose(np.corrcoef(noise[:-12], noise[12:])[0, 1], np.exp(-1), atol=0.15)  # 60 s apart


@pytest.mark.parametrize("seconds", [15, 60, 300])
def test_one_sample_of_each_slot(seconds):
    t, _ = heart(f"every {seconds} s")
    assert np.array_equal(np.floor(t / seconds), np.arange(HOURS * 3600 // seconds))
    assert (t % seconds < 5).all()


def test_smoothed_is_the_mean_of_what_was():
    (t, x), (_, y) = recording_of().samples["heart_rate"], heart("smoothed 30 s")
    for i in (0, 3, 100):
        assert np.isclose(y[i], x[(t > t[i] - 30) & (t <= t[i])].mean())


def test_rounded_moved_and_swings():
    x = recording_of().samples["heart_rate"][1]
    assert (heart("rounded to 5 bpm")[1] % 5 == 0).all()
    assert np.allclose(heart("+10 bpm")[1], x + 10)
    assert np.allclose(heart("-10 bpm")[1], x - 10)
    assert np.isclose(heart("swings x1.3")[1].std(), 1.3 * x.std())


def test_holes_last_ten_minutes_and_more_of_them_hold_the_fewer():
    lost = []
    for share in (10, 30, 50):
        t, _ = heart(f"{share}% in holes")
        lost.append(set(range(HOURS * 6)) - set((t // 600).astype(int)))
        assert len(lost[-1]) == round(share / 100 * HOURS * 6)
        assert len(t) == 120 * (HOURS * 6 - len(lost[-1]))
    assert lost[0] < lost[1] < lost[2]


def test_lost_sensors_and_a_late_start():
    assert set(degraded(recording_of(), "no heart rate").samples) == {"activity"}
    assert set(degraded(recording_of(), "no movement").samples) == {"heart_rate"}
    assert all(t[0] >= 3600 for t, _ in degraded(recording_of(), "1 h late").samples.values())


def test_off_the_wrist_nothing_is_sensed_for_an_hour_of_the_night():
    samples = degraded(recording_of(), "off the wrist for an hour").samples
    gaps = []
    for name, (t, _) in samples.items():
        (at,) = np.flatnonzero(np.diff(t) > 60)  # one gap, within the night
        gaps.append((t[at], t[at + 1]))
        assert len(recording_of().samples[name][0]) - len(t) == pytest.approx(3600 / np.diff(t).min(), abs=1)
    (one, other) = gaps
    assert np.allclose(one, other, atol=15)
    assert 3600 <= one[1] - one[0] < 3615
    another = degraded(recording_of(), "off the wrist for an hour", seed=1).samples["heart_rate"][0]
    assert not np.array_equal(another, samples["heart_rate"][0])


def test_a_short_night_may_be_lost_altogether():
    recording = recording_of()
    short = Recording("7", {name: (t[t < 600], x[t < 600]) for name, (t, x) in recording.samples.items()})
    for stress in ("1 h late", "off the wrist for an hour"):
        assert degraded(short, stress).samples == {}


def test_combined_stresses_do_both():
    samples = degraded(recording_of(), "every 60 s, no movement").samples
    assert [*samples] == ["heart_rate"]
    for one, other in zip(samples["heart_rate"], heart("every 60 s"), strict=True):
        assert np.array_equal(one, other)


def test_sensors_that_a_stress_leaves_alone_keep_their_arrays():
    """So that whoever aligns both recordings need not align these sensors twice."""
    recording = recording_of()
    for stress in ("noise 1 bpm", "50% in holes", "no heart rate"):
        assert degraded(recording, stress).samples["activity"] is recording.samples["activity"]
    assert degraded(recording, AS_RECORDED) is recording


def test_cadences_are_those_of_the_stresses():
    for (heart_rate, _), name in CADENCE.items():
        assert CADENCE_S[heart_rate] == (STRESSES[name].strength or 5)


def test_cadence_has_every_pair_once_and_names_stresses():
    hearts = ("5 s", "15 s", "60 s", "5 min")
    assert [*CADENCE] == [(f"every {heart}", m) for heart in hearts for m in ("motion", "counts only", "none")]
    assert [*CADENCE_OF_COUNTS] == [(f"every {heart}", m) for heart in hearts for m in ("counts only", "none")]
    recording = with_motion()
    for cells in (CADENCE, CADENCE_OF_COUNTS):
        assert set(cells.values()) <= set(STRESSES)
        assert len(set(cells.values())) == len(cells)
    for (heart_rate, movement), name in CADENCE.items():
        samples = degraded(recording, name).samples
        assert {*samples} - {"heart_rate"} == {"motion": {"motion"}, "counts only": {"activity"}, "none": set()}[
            movement
        ]
        number, unit = heart_rate.split()[1:]
        seconds = int(number) * (60 if unit == "min" else 1)
        assert np.median(np.diff(samples["heart_rate"][0])) == seconds


@pytest.mark.parametrize("begins", [0.0, 37.5])
def test_counts_only_are_those_that_the_motion_gives(begins):
    recording, options = with_motion(begins), Options()
    night, counted = align(recording, options), degraded(recording, "counts only")
    np.testing.assert_array_equal(align(counted, options).channels["activity"], night.channels["activity"])
    assert (night.channels["activity"] > 0).any()


def test_counts_that_are_there_are_not_counted_anew():
    recording = with_motion()
    recording.samples["activity"] = COUNTS
    assert degraded(recording, "counts only").samples["activity"] is COUNTS
    del recording.samples["motion"]
    assert degraded(recording, "counts only") is recording


def test_motion_with_fewer_samples_and_on_a_turned_wrist():
    recording = with_motion()
    t, xyz = recording.samples["motion"]
    thin, every = degraded(recording, "motion at 10 Hz").samples["motion"]
    assert np.allclose(np.diff(thin), 0.1, atol=0.051)
    assert np.isin(thin, t).all()
    np.testing.assert_array_equal(every, xyz[np.isin(t, thin)])
    same, other = degraded(recording, "turned wrist").samples["motion"]
    np.testing.assert_array_equal(same, t)
    np.testing.assert_allclose((other**2).sum(1), (xyz**2).sum(1))
    assert np.abs(other - xyz).max() > 0.1
    without_motion = recording_of()
    for name in OF_RAW_MOTION:
        assert degraded(without_motion, name).samples.keys() == without_motion.samples.keys()
        assert degraded(without_motion, name).samples["activity"] is without_motion.samples["activity"]


def test_strengths_of_a_kind_are_numbers_in_one_unit():
    kinds = {}
    for stress in STRESSES.values():
        kinds.setdefault(stress.kind, []).append(stress)
    for stresses in kinds.values():
        assert len({stress.unit for stress in stresses}) == 1
        strengths = [stress.strength for stress in stresses]
        assert strengths == [None] or strengths == sorted(set(strengths))


def test_wander_has_mean_0_and_sd_1_and_forgets_over_its_time_constant():
    x = wander(np.random.default_rng(0), 200_000, 50)
    assert abs(x.mean()) < 0.1
    assert np.isclose(x.std(), 1, atol=0.05)
    assert np.isclose(np.corrcoef(x[:-50], x[50:])[0, 1], np.exp(-1), atol=0.05)


def test_an_ecg_is_dense_and_lively():
    (t, x), (grid, y) = recording_of().samples["heart_rate"], heart("1-Hz ECG")
    assert (np.diff(grid) == 1).all()
    assert 2.5 < (y - np.interp(grid, t, x)).std() < 5
    samples = degraded(recording_of(), "1-Hz ECG, apnoea, no movement").samples
    assert set(samples) == {"heart_rate"}
    assert len(samples["heart_rate"][0]) == len(grid)


def test_apnoea_swings_come_in_bouts():
    t, x = recording_of().samples["heart_rate"]
    swings = cyclic(t, x, np.random.default_rng(0))[1] - x
    assert 4 < np.ptp(swings) <= 10
    still = np.ptp(swings[: len(swings) // 12 * 12].reshape(-1, 12), axis=1) < 1e-6  # a minute each
    assert 0.2 < still.mean() < 0.8
