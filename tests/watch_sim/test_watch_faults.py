"""A faulty stream: late, repeated, reordered and batched samples, jumps of the clock, long gaps, restarts at any point.

Whatever comes, the watch gives bit for bit what the pipeline and Runner give of the samples that may be taken. Which
these are is worked out here one by one, from the rules alone: those of a window that is open, each time once.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.runner import Runner
from pipeline.align import align
from pipeline.constants import ARCHITECTURES, CHANNELS, GRACE_S, STAGES, UNKNOWN
from pipeline.coverage import coverage_of_night
from pipeline.options import Options
from pipeline.recordings import Recording
from scoring.predictions import weigh
from watch_sim import Watch

OPTIONS = Options()
STRIDE, MINUTES = OPTIONS.stride, 15
POINT = "balanced"  # the operating point of the watches


def stream(counted):
    """Calls of `Watch.feed` over MINUTES: heart rate, and activity counts or raw motion at 10 Hz, ten seconds a call.

    Heart rate is whole numbers, whose sums are exact in any order. A call of motion ends with a window's grace, as in
    watch_sim.stream: counting looks at the first sample past a window's end.
    """
    rng, end = np.random.default_rng(5), 60 * MINUTES
    calls = [("heart_rate", np.array([t]), rng.integers(50, 90, 1) * 1.0) for t in np.arange(2.0, end, 7)]
    if counted:
        calls += [("activity", np.array([t]), rng.integers(0, 9, 1) * 1.0) for t in np.arange(15.0, end, 15)]
    else:
        t = np.arange(0.05, end, 0.1)
        xyz = rng.normal(0, 0.3, (len(t), 3)) * (t[:, None] % 200 < 40) + [0, 0, 1]
        cuts = np.searchsorted(t, np.arange(10, end, 10) + GRACE_S)
        calls += [("motion", ts, xs) for ts, xs in zip(np.split(t, cuts), np.split(xyz, cuts), strict=True)]
    return sorted(calls, key=lambda call: call[1][-1])


STREAMS = {counted: stream(counted) for counted in (True, False)}


def delay(calls, at, places):
    """A call comes some places later."""
    call = calls.pop(at)
    calls.insert(at + places, call)


def repeat(calls, at, places):
    """A call comes once more."""
    calls.insert(at + places, calls[at])


def batch(calls, at, places):
    """Calls of one sensor come as one, with the last of them, newest sample first."""
    sensor = calls[at][0]
    joined = [i for i in range(at, min(at + places, len(calls))) if calls[i][0] == sensor]
    t, values = (np.concatenate([calls[i][k] for i in joined])[::-1] for k in (1, 2))
    calls[joined[-1]] = sensor, t, values
    for i in reversed(joined[:-1]):
        del calls[i]


def lose(calls, at, places):
    """Calls never come."""
    del calls[at : min(at + places, len(calls) - 1)]


def jump(calls, at, seconds):
    """From here on the clock is ahead, or behind."""
    calls[at:] = [(sensor, t + seconds, values) for sensor, t, values in calls[at:]]


places = st.floats(0, 0.99)  # where in the stream
faults = st.lists(st.tuples(st.sampled_from([delay, repeat, batch, lose]), places, st.integers(1, 40)), max_size=8)
jumps = st.lists(st.tuples(places, st.sampled_from([-400.0, -29.5, 31.25, 3600.0])), max_size=2)  # s
gaps = st.lists(st.tuples(places, st.just(36_000.0)), max_size=1)  # ten hours


def window_of(sensor, t):
    """The window in which a sample is new."""
    bins = CHANNELS.get(sensor, CHANNELS["motion_x"]).bins
    return int(np.ceil((t - GRACE_S) / STRIDE) - 1 if bins else np.floor(t / STRIDE))


def acceptable(calls):
    """The Recording of the samples that may be taken."""
    closed, taken, newest = 0, {}, {}
    for sensor, ts, values in calls:
        samples = taken.setdefault(sensor, {})
        for t, value in zip(ts.tolist(), values, strict=True):
            backwards = sensor == "motion" and t < newest.get(sensor, -np.inf)  # counting needs them in order
            if window_of(sensor, t) >= closed and t not in samples and not backwards:
                samples[t] = value
                newest[sensor] = max(t, newest.get(sensor, -np.inf))
        closed = max(closed, int(np.ceil((max(ts) - GRACE_S) / STRIDE)) - 1)
    return Recording(
        "1",
        {
            sensor: (np.array(sorted(samples)), np.array([samples[t] for t in sorted(samples)]))
            for sensor, samples in taken.items()
            if samples
        },
    )


@pytest.fixture(scope="module")
def bundles(quick_run):
    return quick_run.folder / "bundles"


@pytest.fixture(scope="module", params=ARCHITECTURES)
def machinery(request, bundles, tmp_path_factory):
    """(a function that gives a watch as new, a Runner, a file for states) of a network."""
    bundle, folder = bundles / request.param, tmp_path_factory.mktemp(request.param)
    watches = {}
    for counted in STREAMS:
        watches[counted] = Watch(bundle, "float32", counts=counted, operating_point=POINT)
        watches[counted].save(folder / f"new_{counted}.npz")

    def new_watch(counted):
        watches[counted].restore(folder / f"new_{counted}.npz")
        return watches[counted]

    return new_watch, Runner(bundle, "float32"), folder / "state.npz"


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), faults, jumps, gaps, st.lists(places, max_size=3))
def test_online_is_offline_whatever_the_stream(machinery, counted, faults, jumps, gaps, restarts):
    new_watch, runner, state = machinery
    calls = [*STREAMS[counted]]
    for fault, place, size in faults:
        at = int(place * len(calls))
        if calls[at][0] != "motion" or fault in (repeat, lose):  # counting needs the first sample past a window in time
            fault(calls, at, size)
    for place, seconds in (*jumps, *gaps):
        jump(calls, int(place * len(calls)), seconds if counted else STRIDE * round(seconds / STRIDE))
    recording = acceptable(calls)
    night = align(recording, OPTIONS)

    watch, epochs = new_watch(counted), []
    stops = {int(place * len(calls)) for place in restarts}
    for i, call in enumerate(calls):
        if i in stops:
            watch.save(state)
            watch = new_watch(counted)
            watch.restore(state)
        epochs += watch.feed(*call)
    epochs += watch.advance(night.ends[-1])

    assert [epoch.time for epoch in epochs] == (night.ends - STRIDE).tolist()
    weights = runner.contract.operating_points[POINT].weights
    expected = weigh(runner.night(night, OPTIONS), weights)
    np.testing.assert_array_equal(np.stack([epoch.probabilities for epoch in epochs]), expected)
    coverage = coverage_of_night(night, OPTIONS, runner.contract.options().channels)
    assert [epoch.coverage for epoch in epochs] == coverage
    stages = [UNKNOWN if c.unknown else STAGES[i] for c, i in zip(coverage, expected.argmax(1), strict=True)]
    assert [epoch.stage for epoch in epochs] == stages
    fed = sum(len(t) for _, t, _ in calls)
    dropped = sum(sum(reasons.values()) for reasons in watch.dropped.values())
    if counted:  # of raw motion, what comes backwards is taken and not counted
        assert fed - dropped == sum(len(t) for t, _ in recording.samples.values())


def test_a_gap_of_ten_hours_is_unknown_and_the_night_goes_on(machinery):
    new_watch, _, _ = machinery
    calls = [*STREAMS[True]]
    jump(calls, len(calls) // 2, 36_000.0)
    watch = new_watch(True)
    epochs = [epoch for call in calls for epoch in watch.feed(*call)]
    unknown = np.array([epoch.stage == UNKNOWN for epoch in epochs])
    first, last = np.flatnonzero(unknown)[[0, -1]]
    assert unknown[first : last + 1].all()
    assert (last + 1 - first) * STRIDE == pytest.approx(36_000, abs=400)  # five minutes pass until a stage is unknown
    assert np.isfinite(np.stack([epoch.probabilities for epoch in epochs])).all()
