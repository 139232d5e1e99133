"""A recording as events: every sample once, in time order, and none past the end of the night."""

import numpy as np
import pytest

from pipeline.align import Aligner
from pipeline.constants import GRACE_S
from pipeline.options import Options
from pipeline.recordings import Recording
from watch_sim.stream import BATCHES, events, stream

OPTIONS = Options()


@pytest.fixture
def recording():
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0.2, 149, 3000)), np.sort(rng.uniform(0, 140, 40))
    bins = np.arange(15.0, 151.0, 15)
    return Recording(
        "1",
        {
            "motion": (t[0], rng.normal(size=(3000, 3))),
            "heart_rate": (t[1], rng.uniform(50, 70, 40)),
            "steps": (bins + 0.05, np.ones(len(bins))),  # its end lies a little late, as watches report it
        },
    )


def test_every_sample_comes_once_and_in_time_order(recording):
    pieces = list(events(recording, OPTIONS))
    for sensor, (t, values) in recording.samples.items():
        fed = [(ts, xs) for name, ts, xs in pieces if name == sensor]
        np.testing.assert_array_equal(np.concatenate([ts for ts, _ in fed]), t)
        np.testing.assert_array_equal(np.concatenate([xs for _, xs in fed]), values)
    times = [ts[-1] for _, ts, _ in pieces]
    assert times == sorted(times)


def test_motion_comes_in_batches_and_all_else_sample_by_sample(recording):
    pieces = list(events(recording, OPTIONS))
    assert {len(t) for sensor, t, _ in pieces if sensor != "motion"} == {1}
    batches = [t for sensor, t, _ in pieces if sensor == "motion"]
    assert len(batches) == 150 // OPTIONS.stride * BATCHES
    for t in batches:
        assert len(np.unique(np.ceil((t - GRACE_S) / OPTIONS.stride))) == 1  # of one window, its grace counted in


def test_nothing_comes_after_the_end_of_the_night(recording):
    recording.labels = np.array([0.0, 30.0]), np.array([0, 0])
    pieces = list(events(recording, OPTIONS))
    assert max(t[-1] for _, t, _ in pieces) <= 60 + GRACE_S
    steps = [t[0] for sensor, t, _ in pieces if sensor == "steps"]
    assert steps == pytest.approx([15.05, 30.05, 45.05, 60.05])


def test_the_clock_shows_the_end_after_the_last_sample(recording):
    class Recorder:
        def feed(self, sensor, t, values):
            return sensor

        def advance(self, t):
            return t

    results = list(stream(recording, OPTIONS, Recorder()))
    assert results[-1] == 150
    assert results[:-1] == [sensor for sensor, _, _ in events(recording, OPTIONS)]


@pytest.mark.parametrize("start", [0, -30, -2940, -7200])
def test_the_end_of_the_night_is_the_same_online_and_at_once(start):
    options = Options(negative_times=True)
    for end in range(30, 9000, 330):
        ties = end + GRACE_S, np.nextafter(end + GRACE_S, np.inf), np.nextafter(end + GRACE_S, 0)
        for t in ties:
            recording = Recording("1", {"steps": (np.array([start + 15.0, t]), np.array([1.0, 2.0]))})
            recording.labels = np.array([end - 30.0]), np.array([0])
            aligner = Aligner(options, ["steps"], start)
            aligner.feed("steps", *recording.samples["steps"])
            _, at_once = aligner.advance(end)
            fed = [t for _, ts, _ in events(recording, options) for t in ts]
            assert (t in fed) == (at_once["steps"][-1].max() == 2), (end, t)
