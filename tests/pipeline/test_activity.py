"""Activity counts: agreement with the published algorithm, the same bits however samples come, nothing from the future.

The reference for synthetic movement is the algorithm's own filter (filtfilt over the whole signal); for whole nights it
is the published counts from which make_motion.py made the samples.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, filtfilt, freqz, lfilter

from pipeline.activity import (
    BIN_G,
    COUNT_FREE,
    COUNT_UNIT,
    DELAY,
    HZ,
    POINTS,
    TAPS,
    ActivityCounter,
    counts,
    wiener_taps,
)
from pipeline.constants import COUNT_S, GRACE_S

SHARED = Path(__file__).parents[3] / "shared"


def movement(seconds, seed=0):
    """z axis in g at 50 Hz: gravity turning, and bursts with a spectrum that falls as wrist movement does."""
    rng = np.random.default_rng(seed)
    n = HZ * seconds
    gravity = np.sin(np.cumsum(rng.normal(0, 3e-3, n)))
    carrier = lfilter([1], [1, -0.87], rng.normal(0, 0.5, n))
    size = np.zeros(n)
    for begin in rng.integers(0, n, seconds // 10):
        size[begin : begin + int(HZ * rng.exponential(3))] = rng.gamma(1, 0.2)
    return gravity + size * carrier


def awkward_samples(seed, seconds=120):
    """Jittered samples at 10-67 Hz with equal times, and with stalls and gaps, many of them over the end of a bin."""
    rng = np.random.default_rng(seed)
    t = -2 + np.cumsum(rng.uniform(1 / 67, rng.choice([1 / 60, 1 / 10]), 90 * seconds))
    begins = np.concatenate([rng.uniform(0, seconds, 5), rng.integers(1, 8, 5) * COUNT_S - rng.uniform(0, 1.1, 5)])
    for begin, length in zip(begins, rng.choice([0.05, 0.24, 0.9, 1.5, 8, 20], 10), strict=True):
        silent = (t > begin) & (t < begin + length)
        t = np.where(silent, begin + length, t) if length < 1 else t[~silent]
    t = np.append(np.round(t[t < seconds], rng.choice([2, 9])), seconds)  # 2: many on grid points
    return t, rng.normal(0, 0.5, len(t))


def fed(t, z, start=0.0):
    return ActivityCounter(start).feed(t, z)


def test_the_written_taps_are_those_worked_out():
    assert pytest.approx(wiener_taps(), rel=1e-6, abs=1e-9) == TAPS


def test_filter_is_the_two_passes_of_the_published_one():
    f = np.array([0, 0.3, 1, 3, 4, 6, 8, 10, 11, 14, 20])
    both = np.abs(freqz(*butter(5, [3, 11], "bandpass", fs=HZ), worN=f, fs=HZ)[1]) ** 2
    ours = freqz(TAPS, worN=f, fs=HZ)[1]
    assert len(TAPS) <= 101
    assert np.abs(ours * np.exp(2j * np.pi * f / HZ * DELAY) - both).max() < 0.15  # most at the steep lower edge
    assert np.abs(ours[0]) < BIN_G / 20  # 1 g of gravity stays far below a bin


def test_agrees_with_filtering_forwards_and_backwards():
    z = movement(4 * 3600)
    band = np.abs(filtfilt(*butter(5, [3, 11], "bandpass", fs=HZ), z)).reshape(-1, COUNT_S, HZ)
    theirs = np.maximum(COUNT_UNIT * (np.floor(band.max(2) / BIN_G).sum(1) - COUNT_FREE), 0)
    bin_ends, ours = fed(np.arange(len(z)) / HZ, z)
    assert np.array_equal(bin_ends, COUNT_S * np.arange(1, len(ours) + 1))
    assert len(ours) >= len(theirs) - 1
    assert np.corrcoef(ours, theirs[: len(ours)])[0, 1] >= 0.99
    assert ours.sum() == pytest.approx(theirs[: len(ours)].sum(), rel=0.05)


@pytest.fixture(scope="module")
def surrogate_nights(tmp_path_factory):
    tool, source = SHARED / "tools" / "make_motion.py", SHARED / "sleep-accel"
    if not (tool.exists() and (source / "counts").is_dir()):
        pytest.skip(f"{tool} and {source} are needed for surrogate nights")
    surrogates = tmp_path_factory.mktemp("surrogates")
    command = [sys.executable, tool, source, surrogates, "--subjects", "46343,759667"]
    subprocess.run(command, check=True, capture_output=True)
    return surrogates, source


@pytest.mark.parametrize("subject", ["46343", "759667"])
def test_agrees_with_the_published_counts(surrogate_nights, subject):
    surrogates, source = surrogate_nights
    t, z = (
        pd.read_csv(surrogates / "motion" / f"{subject}_acceleration.txt", sep=" ", header=None).to_numpy()[:, [0, 3]].T
    )
    theirs = np.loadtxt(source / "counts" / f"{subject}_counts.txt", delimiter=",")[:, 1]
    ours = fed(t, z)[1]
    assert np.corrcoef(ours[: len(theirs)], theirs)[0, 1] >= 0.99


def test_stillness_counts_nothing_and_has_no_transient():
    t = np.arange(0, 60, 0.02)
    assert np.array_equal(fed(t, np.full(len(t), -0.97)), [[15, 30, 45, 60], [0, 0, 0, 0]])
    for begin, end, bins in (20, 24, [15, 30, 45, 60]), (14.5, 31, [15, 45, 60]):
        gap = t[(t < begin) | (t > end)]  # turned over unseen
        assert np.array_equal(fed(gap, np.where(gap < end, -8.0, 8.0)), [bins, np.zeros(len(bins))])
    counter = ActivityCounter()
    counter.feed(t[t < 14.5], np.full((t < 14.5).sum(), -8.0))
    counter.advance(30)
    late = t[t > 29.9]  # delivered after the clock
    assert np.array_equal(counter.feed(late, np.full(len(late), 8.0)), [[45, 60], [0, 0]])


def test_count_of_known_peaks():
    band = np.zeros((2, POINTS))
    for edge in DELAY, DELAY + HZ - 1:  # first and last of every other second, as they lag; two bins
        band[:, edge + HZ * np.arange(1, COUNT_S, 2)] = 2.5 * BIN_G
    band[1, : 8 * HZ] = np.nan
    assert counts(band) == pytest.approx([COUNT_UNIT * (2 * 7 - COUNT_FREE), -1])
    band[1, 7 * HZ + HZ // 2 : 8 * HZ] = 0  # half of the eighth second was sensed: 8 of 15
    assert counts(band)[1] == pytest.approx(COUNT_UNIT * (2 * 4 - COUNT_FREE))


@given(seed=st.integers(0, 10**6), start=st.sampled_from([-30.0, 0.0, 15.0]))
@settings(max_examples=60, deadline=None)
def test_same_bits_however_cut_clocked_or_saved(seed, start):
    t, z = awkward_samples(seed)
    whole = ActivityCounter(start)
    expected = whole.feed(t, z)
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, len(t) + 1, rng.integers(0, 200)))
    counter, parts = ActivityCounter(start), []
    for i, j in zip([0, *cuts], [*cuts, len(t)], strict=True):
        parts.append(counter.feed(t[i:j], z[i:j]))
        if rng.random() < 0.3 and j < len(t):  # the clock runs up to the next sample
            parts += [counter.advance(now) for now in np.arange(0, t[j], COUNT_S) + GRACE_S if now < t[j]]
        if rng.random() < 0.3:
            saved, counter = counter.state(), ActivityCounter(start)
            counter.restore({name: value.copy() for name, value in saved.items()})
    assert np.array_equal(np.concatenate(parts, axis=1), expected)
    for name, value in whole.state().items():
        assert np.array_equal(counter.state()[name], value, equal_nan=True)
    assert sum(value.nbytes for value in counter.state().values()) < 8 * (POINTS + 200)


@given(seed=st.integers(0, 10**6), bins=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_nothing_comes_from_the_future(seed, bins):
    t, z = awkward_samples(seed)
    end = bins * COUNT_S
    past = t <= end + GRACE_S
    counter = ActivityCounter()
    live = np.concatenate([counter.feed(t[past], z[past]), counter.advance(end + GRACE_S)], axis=1)
    for later in (fed(t, z), fed(t, np.where(past, z, 5 * z + 1))):
        assert np.array_equal(live, later[:, later[0] <= end])


def test_gap_leaves_bins_out_and_seconds_missing():
    t, z = np.arange(0, 100, 0.02), movement(100, seed=3)[:5000]
    inside = (t <= 18) | (t >= 65)  # 3 s of the second bin, 10 s of the fifth
    bin_ends, count = fed(t[inside], z[inside])
    assert bin_ends.tolist() == [15, 75, 90]
    whole = fed(t, z)
    assert count[0] == whole[1][0]
    assert count[2] == whole[1][5]  # 10 s after the gap the filter has forgotten it
    far = ActivityCounter()  # a clock that jumps by years costs nothing
    far.feed(t, z)
    assert far.feed(t + 1e9, z)[0][0] % COUNT_S == 0


def test_stall_over_a_bins_end_holds_the_last_value():
    t = np.arange(0, 40, 0.02)
    z = np.where(t > 14.9, -8.0, 0)
    for stall, seen in (0.24, False), (0.19, True):  # the backlog comes at once, with equal times
        late = np.where((t > 14.9) & (t < 14.9 + stall), 14.9 + stall, t)
        assert (fed(late, z)[1] > 0).tolist() == [seen, True]
