"""The activity call against the pipeline's own counts."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.python.sleep_stager import SleepStager
from export.cost import cost_of
from pipeline.activity import HZ, N_TAPS, POINTS, ActivityCounter
from pipeline.constants import COUNT_S
from pipeline.options import Options
from pipeline.recordings import read_recording
from pipeline.run_folder import RunFolder
from watch_sim.stream import events
from watch_sim.watch import Watch

MISSING = -100


@pytest.fixture(scope="module")
def call():
    """{stride and row: a function of motion [windows, points, 3] that gives the outputs of each call}"""
    from export import activity
    from export.convert import function_model

    made = {}

    def of(stride=30, row=1):
        if (stride, row) not in made:
            options = Options(stride=stride, window_size=stride, data_alignment=row, channels=("activity",))
            content = function_model("activity", *activity.signature(options))
            made[stride, row] = Interpreter(model_content=content, num_threads=1).get_signature_runner("activity")
        return lambda motion: rolled(made[stride, row], motion)

    return of


def rolled(run, motion):
    states, actual = {"history": np.zeros((1, N_TAPS - 2), np.float32), "newest": np.float32([[MISSING]])}, []
    points = run.get_input_details()["motion"]["shape"][1]
    for part in motion.reshape(-1, points, 3):
        out = {name: x.copy() for name, x in run(motion=part[None], **states).items()}
        states = {name: out.pop(f"{name}_out") for name in states}
        actual.append(out)
    return {name: np.concatenate([out[name] for out in actual]) for name in actual[0]}


def wrist(seconds, seed):
    """z of a wrist in g at 50 Hz that turns, rests and moves."""
    rng = np.random.default_rng(seed)
    n = seconds * HZ
    turning = np.sin(np.cumsum(rng.normal(0, 2e-3, n)))
    moving = np.repeat(rng.choice([0, 0.01, 0.3], n // 250 + 1), 250)[:n]
    return turning + moving * rng.normal(0, 1, n)


def counted(z, sensed):
    """The pipeline's counts of samples that lie on the grid, [bins]; -1 where there is none."""
    t = np.arange(len(z)) / HZ
    counter = ActivityCounter()
    known = [counter.feed(t[sensed], z[sensed]), counter.advance(len(z) / HZ)]
    counts = np.full(len(z) // (HZ * COUNT_S), -1.0)
    for at, count in np.concatenate(known, axis=1).T:
        counts[round(at / COUNT_S) - 1] = count
    return counts


def windows(z, sensed, stride):
    """Motion on the grid: the first point after a gap has no sample before it, so it is missing."""
    sensed = sensed & np.concatenate([[False], sensed[:-1]])
    motion = np.full((len(z), 3), MISSING, np.float32)
    motion[sensed] = np.column_stack([0 * z, 0 * z, z])[sensed]
    return motion.reshape(-1, stride * HZ, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 17_000), st.integers(100, 4000)), max_size=3))
def test_counts_are_those_of_the_pipeline_whatever_is_missing(call, seed, gaps):
    z = wrist(360, seed)
    sensed = np.ones(len(z), bool)
    for start, length in gaps:  # of two seconds and more
        if start % POINTS < POINTS - HZ:  # in a bin's last second the counter holds a value, as it cannot wait
            sensed[start : start + length] = False
    for first, last in _runs(sensed):  # what is sensed for less than a second between gaps may end either way
        if last - first < HZ:
            sensed[first:last] = False
    expected = counted(z, sensed)
    actual = call()(windows(z, sensed, 30))["activity"].ravel()
    assert np.array_equal(actual == -1, expected == -1)
    apart = np.abs(actual - expected)
    assert (apart < 1e-3).mean() > 0.95  # float32 may round a peak into the bin beside it
    assert apart.max() < 3.08


def _runs(sensed):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sensed, [0]])))
    return edges.reshape(-1, 2)


def test_a_call_takes_the_motion_of_one_value():
    from export import activity

    for row, points in ((1, 750), (15, 750), (30, 1500)):
        _, (motion, history, newest) = activity.signature(Options(data_alignment=row, channels=("activity",)))
        assert motion.shape == (1, points, 3)
        assert history.shape == (1, N_TAPS - 2)
        assert newest.shape == (1, 1)


def test_work_and_memory(quick_run):
    """At most 8 million multiply-accumulates per hour, and tensors that live at the same time in at most 16 KB."""
    cost = cost_of((quick_run.folder / "bundles" / "gru" / "activity.tflite").read_bytes())
    assert cost["macs"] * 3600 / COUNT_S <= 8e6
    assert cost["arena_bytes"] <= 16_000


@pytest.mark.parametrize(("stride", "row", "per_value"), [(15, 1, 1), (30, 30, 2), (60, 15, 1), (60, 60, 4)])
def test_strides_and_rows(call, stride, row, per_value):
    z = wrist(600, 3)
    sensed = np.ones(len(z), bool)
    sensed[100 * HZ : 140 * HZ] = False
    bins = counted(z, sensed).reshape(-1, per_value)
    expected = np.where((bins >= 0).any(1), np.maximum(bins, 0).sum(1), -1)
    actual = call(stride, row)(windows(z, sensed, stride))["activity"].ravel()
    assert np.array_equal(actual == -1, expected == -1)
    assert np.abs(actual - expected).max() < 3.08 * per_value
    assert (np.abs(actual - expected) < 1e-2).mean() > 0.9


def test_posture_is_the_mean_of_what_was_sensed(call):
    rng = np.random.default_rng(1)
    motion = rng.normal(0, 0.1, (2, 30 * HZ, 3)).astype(np.float32) + np.float32([0.1, -0.5, 0.8])
    motion[0, :700] = MISSING
    motion[1] = MISSING
    posture = call()(motion)["posture"]
    assert np.allclose(posture[0], motion[0, 700:POINTS].mean(0, dtype=np.float64), atol=1e-5)
    assert np.allclose(posture[1], motion[0, POINTS:].mean(0, dtype=np.float64), atol=1e-5)
    assert np.array_equal(posture[2:], [[MISSING] * 3] * 2)


def test_only_built_in_operations(quick_run):
    file = quick_run.folder / "bundles" / "gru" / "activity.tflite"
    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    names = {details["op_name"] for details in interpreter._get_ops_details()}
    assert "CONV_2D" in names
    assert not [name for name in names if "Flex" in name or "CUSTOM" in name]


HOURS = 4  # of the night that are streamed


@pytest.fixture(scope="session")
def full_rate(real, tmp_path_factory):
    """A data set of one real night with motion at 50 Hz, jittered and stalling as real files are."""
    maker = real.parent / "tools" / "make_motion.py"
    if not maker.exists():
        pytest.skip(f"no {maker}")
    folder = tmp_path_factory.mktemp("full_rate")
    subprocess.run([sys.executable, maker, real, folder, "--subjects", "1818471"], check=True, capture_output=True)
    return folder


def test_raw_motion_through_the_library_and_the_activity_call(quick_run, full_rate):
    """Sample by sample as on a phone: the counts and stages are those of the pipeline's own filter."""
    bundle = quick_run.folder / "bundles" / "gru"
    options = RunFolder(quick_run.folder).options
    recording = read_recording(full_rate, "1818471")
    stager, watch = SleepStager(bundle, "float32"), Watch(bundle, "float32")
    own, expected, ours, theirs = [], [], [], []
    closed = watch.aligner.before

    def seen(t):
        ends, windows = closed(t)
        expected.extend(windows["activity"].ravel())
        return ends, windows

    watch.aligner.before = seen
    for sensor, t, values in events(recording, options):
        if t[0] > HOURS * 3600:
            break
        for at, value in zip(t, values, strict=True):
            stager.feed(sensor, at, value)
        while stager.pending:  # one window at a time, to see what the call actual
            rest, stager.pending = stager.pending[1:], stager.pending[:1]
            own += [(epoch.time, epoch.stage) for epoch in stager.take()]
            ours.extend(stager.recent["activity"])
            stager.pending = rest
        theirs += [(epoch.time, epoch.stage) for epoch in watch.feed(sensor, t, values)]
    n = len(own)
    assert n >= 120 * HOURS - 1
    assert abs(n - len(theirs)) <= 1
    ours, expected = np.array(ours[: 2 * n - 2]), np.array(expected[: 2 * n - 2])
    assert np.array_equal(ours == -1, expected == -1)
    assert np.corrcoef(ours, expected)[0, 1] >= 0.99
    assert np.mean([a == b for a, b in zip(own, theirs, strict=False)]) >= 0.995
