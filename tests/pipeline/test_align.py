"""Alignment: what a row and a window hold, nothing from the future, and the same windows online as offline.

Expected values of whole nights come from `by_hand`, which places every value on its own, in plain Python. Counting
activity itself is tested in test_activity.py; here it matters that counts from motion are the same however it is fed.
"""

import io
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.activity import ActivityCounter
from pipeline.align import CHANNELS_OF_SENSOR, Aligner, align, channels_of, extent
from pipeline.constants import CHANNELS, STAGES
from pipeline.options import Options
from pipeline.recordings import Recording, read_recording

REAL_NIGHTS = "46343", "759667"
GRIDS = (  # data_alignment, window_size, stride
    *((1, 30, 30), (1, 60, 30), (1, 60, 15), (1, 30, 15), (5, 45, 15)),
    *((15, 15, 15), (15, 120, 60), (30, 30, 30), (30, 90, 30), (60, 60, 60)),
)


def labelled(*stages):
    return 30.0 * np.arange(len(stages)), np.array(stages)


def recording(labels=(0,) * 4, **samples):
    """A recording of sensor=(times, values) and the stages of its epochs."""
    samples = {sensor: tuple(np.asarray(x, float) for x in pair) for sensor, pair in samples.items()}
    return Recording("1", samples, labelled(*labels) if labels else None)


def still(t):
    """Motion of no movement at times t."""
    return t, np.tile([0.0, 0.6, 0.8], (len(t), 1))


def by_hand(night, options):
    """Every channel but counted activity, [windows, values], by the design's sentences and one value at a time."""
    start, windows = night_start(night, options), math.ceil((night.labels[0][-1] + 30) / options.stride)
    windows += round(-start / options.stride)
    values_of_rows = {}
    for sensor, (times, values) in night.samples.items():
        for t, value in zip(times, values, strict=True):
            value = [*value, math.sqrt(sum(x * x for x in value))] if sensor == "motion" else [value]
            for name, x in zip(CHANNELS_OF_SENSOR[sensor], value, strict=True):
                at = (t - start - 0.1) if sensor in ("steps", "activity") else (t - start)
                at = Fraction(at) / options.seconds_per_value(name)  # no rounding
                row = math.ceil(at) - 1 if sensor in ("steps", "activity") else math.floor(at)
                values_of_rows.setdefault(name, {}).setdefault(row, []).append(x)
    rows = {
        name: {row: sum(x) / (1 if CHANNELS[name].bins else len(x)) for row, x in by_row.items() if row >= 0}
        for name, by_row in values_of_rows.items()
    }
    return {
        name: np.float32(
            [
                [
                    by_row.get((w + 1) * options.values_per_stride(name) - k, CHANNELS[name].missing)
                    for k in range(size, 0, -1)
                ]
                for w in range(windows)
            ]
        )
        for name, by_row in rows.items()
        for size in [options.values_per_window(name)]
    }


def night_start(night, options):
    first = min(t[0] for t, _ in night.samples.values())
    return min(math.floor(first / options.stride) * options.stride, 0) if options.negative_times else 0


def drawn(rng, options, seconds=150, sensors=CHANNELS_OF_SENSOR):
    """A recording with every kind of trouble: gaps, jitter, and times on the edges of rows, bins and grid points."""
    begin, samples = -rng.choice([0, 7, 90]) * options.negative_times, {}
    edges = np.concatenate([15 * np.arange(-6, 12) + x for x in (0, 0.1, 0.02, -0.02)])
    edges = np.concatenate([edges, np.nextafter(edges, 1e3), np.nextafter(edges, -1e3)])
    for sensor in sensors:
        if rng.random() < 0.15:
            continue
        hz = {"heart_rate": 0.3, "motion": rng.choice([8, 25, 60]), "steps": 0.03, "activity": 1 / 15}[sensor]
        t = np.cumsum(rng.uniform(0.2, 1.8, int(1.2 * seconds * hz))) / hz + begin
        silences = np.append(rng.uniform(begin, seconds, 6), 15 * rng.integers(1, 10, 4) - rng.uniform(0, 0.8, 4))
        for silent, long in zip(silences, rng.choice([0.11, 0.9, 0.9, 1.2, 20], 10), strict=True):
            t = t[(t < silent) | (t > silent + long)]
        t = np.concatenate([t, rng.choice(edges, rng.integers(0, 20))])
        t = np.unique(t[(t >= begin) & (t < seconds)])
        shape = (len(t), 3) if sensor == "motion" else len(t)
        low, high = {"heart_rate": (30, 180), "motion": (-1, 1)}.get(sensor, (0, 300))
        if len(t):
            samples[sensor] = t, rng.uniform(low, high, shape).round(3)
    samples = samples or {"heart_rate": (np.array([3.5]), np.array([61.0]))}
    return Recording("1", samples, labelled(*rng.integers(-1, 5, seconds // 30)))


def aligner_of(night, options):
    start = extent(night, options)[0]
    return Aligner(options, channels_of(night, options), start, count_motion="activity" not in night.samples)


def online(night, options, rng):
    """(ends, channels) of the recording's events in time order, in pieces, with restarts, closed by events or clock."""
    aligner, closed = aligner_of(night, options), []
    order = [
        (t, sensor, i)
        for sensor in rng.permutation(list(night.samples))
        for i, t in enumerate(night.samples[sensor][0])
    ]
    order.sort(key=lambda event: event[0])
    pauses = 1 + np.flatnonzero(np.diff([t for t, _, _ in order]) > 0.15)  # in which the clock may close a window
    cuts = np.append(rng.integers(0, len(order) + 1, rng.integers(0, 40)), rng.permutation(pauses)[:20])
    cuts.sort()
    for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True):
        for sensor in rng.permutation(list(night.samples)):
            mine = [i for _, name, i in order[a:b] if name == sensor]
            for some in np.array_split(mine, rng.integers(1, 4)):
                t, values = (x[some.astype(int)] for x in night.samples[sensor])
                aligner.feed(sensor, t if len(t) != 1 else float(t[0]), values)
        if b and rng.random() < 0.7:
            closed.append(aligner.before(order[b - 1][0]))
        following = order[b][0] if b < len(order) else 1e3
        if rng.random() < 0.5:  # the clock: no later than what may still count in the window comes
            closed.append(aligner.advance(min(following - 0.1 - 1e-6, 150)))
        if rng.random() < 0.2:
            file = io.BytesIO()
            np.savez(file, **aligner.state())
            file.seek(0)
            with np.load(file, allow_pickle=False) as saved:
                aligner = aligner_of(night, options)
                aligner.restore(dict(saved))
    closed.append(aligner.advance(extent(night, options)[1]))
    ends = np.concatenate([ends for ends, _ in closed])
    return ends, {name: np.concatenate([windows[name] for _, windows in closed]) for name in aligner.channels}


def assert_same(night, ends, channels):
    n = len(night)
    assert np.array_equal(ends[:n], night.ends)
    assert channels.keys() == night.channels.keys()
    for name, windows in channels.items():
        assert windows.dtype == night.channels[name].dtype == np.float32
        assert np.array_equal(windows[:n], night.channels[name]), name


any_grid = st.sampled_from(GRIDS)
any_seed = st.integers(0, 2**32 - 1)


def options_of(grid, **more):
    return Options(**dict(zip(("data_alignment", "window_size", "stride"), grid, strict=True)), **more)


def test_row_holds_the_mean_of_its_samples_from_its_begin_to_before_its_end():
    before = np.nextafter([1, 30], 0)
    t = [0, before[0], 1, 5.5, before[1], 30, 59.25]
    night = align(recording(heart_rate=(t, [60, 70, 80, 50, 90, 100, 40])), Options())
    rows = np.zeros((4, 30))
    rows[0, [0, 1, 5, 29]], rows[1, [0, 29]] = [65, 80, 50, 90], [100, 40]
    assert np.array_equal(night.channels["heart_rate"], rows)  # 0: no sample, no neighbour's value
    assert night.channels["heart_rate"].dtype == np.float32
    assert np.array_equal(night.ends, [30, 60, 90, 120])


def test_motion_is_the_mean_of_each_axis_and_its_magnitude_the_mean_of_magnitudes():
    xyz = [[1, 0, -0.5], [-1, 0, -0.5], [0, 3, 4]]
    channels = ("motion_x", "motion_y", "motion_z", "motion_magnitude")
    night = align(recording(motion=([2, 2.5, 3], xyz)), Options(channels=channels))
    for axis, (both, alone) in {"x": (0, 0), "y": (0, 3), "z": (-0.5, 4)}.items():
        assert np.array_equal(night.channels[f"motion_{axis}"][0, 1:5], [-100, both, alone, -100])
    assert np.allclose(night.channels["motion_magnitude"][0, 1:5], [-100, np.sqrt(1.25), 5, -100])


def test_a_bin_is_a_sum_in_the_row_at_whose_end_it_is_known():
    t = [1, 1.05, 29.5, 30, 30.1, np.nextafter(30.1, 31), 60.09]
    night = align(recording(steps=(t, [1, 2, 4, 8, 16, 32, 0])), Options(channels=("steps",)))
    rows = np.full((4, 30), -1.0)
    rows[0, [0, 29]], rows[1, [0, 29]] = [3, 28], [32, 0]  # nothing walked is 0, nothing known is -1
    assert np.array_equal(night.channels["steps"], rows)


@pytest.mark.parametrize("late, window", [(0, 0), (0.0999, 0), (0.1, 0), (0.1001, 1), (1, 1)])
def test_a_count_enters_in_the_first_window_that_ends_no_more_than_the_grace_before_it(late, window):
    night = align(recording(activity=([45 + late], [7.0])), options_of((1, 15, 15)))
    assert np.array_equal(np.flatnonzero(night.channels["activity"] == 7), [2 + window])


@pytest.mark.parametrize("row, places", [(1, [1, 4]), (15, [1, 4]), (30, [0, 2])])
def test_activity_has_one_value_per_15_s_or_per_row(row, places):
    night = align(recording(activity=([30, 75], [3.0, 5.0])), options_of((row, 30, 30)))
    assert night.channels["activity"].shape == (4, 30 // max(row, 15))
    assert np.array_equal(np.flatnonzero(night.channels["activity"] >= 0), places)


def test_rows_of_a_whole_epoch_sum_their_counts():
    night = align(recording(activity=([15, 30, 45], [3.0, 5.0, 2.0])), options_of((30, 30, 30)))
    assert np.array_equal(night.channels["activity"][:3], [[8], [2], [-1]])


@pytest.mark.parametrize("stride, size", [(30, 60), (15, 60), (15, 90)])
def test_first_window_ends_after_one_stride_and_reaches_back_to_nothing(stride, size):
    t = np.arange(0.5, 120)
    night = align(
        recording(heart_rate=(t, 60 + t), activity=(15 * np.arange(1, 9.0), np.arange(8))),
        options_of((1, size, stride)),
    )
    rows = np.concatenate([np.zeros(size - stride), 60 + t])
    counts = np.concatenate([np.full((size - stride) // 15, -1), np.arange(8)])
    assert np.array_equal(night.ends, np.arange(stride, 121, stride))
    for i in range(len(night)):
        assert np.array_equal(night.channels["heart_rate"][i], np.float32(rows[i * stride :][:size]))
        assert np.array_equal(night.channels["activity"][i], counts[i * stride // 15 :][: size // 15])


@pytest.mark.parametrize("sensor", CHANNELS_OF_SENSOR)
def test_what_was_sensed_before_the_start_is_no_part_of_the_first_windows(sensor):
    """Files are cut at t=0 when read; a watch may be fed earlier events, and must get the same windows."""
    options = options_of((1, 60, 30), motion_magnitude=True)
    t = np.arange(-60, 60, 0.02 if sensor == "motion" else 7.5)
    values = np.random.default_rng(0).uniform(20, 150, (len(t), 3) if sensor == "motion" else len(t))
    values = values / 150 if sensor == "motion" else values
    channels = (*CHANNELS_OF_SENSOR[sensor], *["activity"] * (sensor == "motion"))
    windows = []
    for some in (slice(None), t >= 0):
        aligner = Aligner(options, channels, count_motion=sensor == "motion")
        aligner.feed(sensor, t[some], values[some])
        windows.append(aligner.advance(60)[1])
    for name in channels:
        assert np.array_equal(windows[0][name], windows[1][name]), name
        before = options.values_per_window(name) // 2
        assert (windows[0][name][0, :before] == CHANNELS[name].missing).all()


@pytest.mark.parametrize(
    "stride, expected",
    [
        (30, [0, 2, -1, -1, 4]),
        (15, [-1, 0, -1, 2, -1, -1, -1, -1, -1, 4]),
        (60, [2, -1, -1]),
        (10, [-1, -1, 0, -1, -1, 2]),
    ],
)
def test_a_window_has_the_stage_of_the_epoch_that_it_ends_with(stride, expected):
    night = recording(heart_rate=([3, 140], [60, 60]))
    night.labels = np.array([0.0, 30, 60, 120]), np.array([0, 2, -1, 4])  # unscored at 60, a gap at 90
    options = Options(stride=stride, window_size=60, channels=("heart_rate",))
    stages = align(night, options).stages
    assert stages.dtype == np.int8
    assert np.array_equal(stages[: len(expected)], expected)
    assert len(stages) == math.ceil(150 / stride)
    assert (stages >= 0).sum() == {30: 3, 15: 3, 10: 3, 60: 1}[stride]


def test_the_night_ends_with_its_labels_or_without_any_with_its_last_whole_stride():
    long = ([3, 400], [60, 61])
    assert align(recording(heart_rate=long), Options()).ends[-1] == 120
    assert align(recording((0,) * 40, heart_rate=long), Options()).ends[-1] == 1200
    unlabelled = align(recording(None, heart_rate=long), Options())
    assert unlabelled.ends[-1] == 390
    assert (unlabelled.stages == -1).all()
    assert align(recording(None, heart_rate=long, activity=([500.0], [1])), Options()).ends[-1] == 480


def test_negative_times_are_shown_and_not_scored():
    samples = {"heart_rate": ([-61.5, -59.5, 0.5], [50, 60, 70]), "activity": ([-45, 15], [3, 4])}
    night = align(recording(**samples), Options(negative_times=True))
    assert np.array_equal(night.ends, np.arange(-60, 121, 30))  # whole strides from the first sample
    assert np.array_equal(night.stages, [-1] * 3 + [0] * 4)
    assert np.array_equal(np.argwhere(night.channels["heart_rate"]), [[0, 28], [1, 0], [3, 0]])
    assert np.array_equal(np.argwhere(night.channels["activity"] >= 0), [[1, 0], [3, 0]])
    assert align(recording(heart_rate=([0.5], [60])), Options(negative_times=True)).ends[0] == 30


def test_channels_are_those_that_the_recording_can_fill_and_the_options_ask_for():
    pulse, motion, counts = ([1], [60]), still([1.0]), ([15], [2])
    axes = ["motion_x", "motion_y", "motion_z"]
    cases = [
        (recording(heart_rate=pulse), {}, ["heart_rate"]),
        (recording(heart_rate=pulse, activity=counts), {}, ["heart_rate", "activity"]),
        (recording(motion=motion), {}, ["activity"]),
        (recording(motion=motion), {"motion_magnitude": True}, ["motion_magnitude", "activity"]),
        (recording(steps=counts, motion=motion, activity=counts), {}, ["activity"]),
        (recording(steps=counts, motion=motion), {"channels": (*axes, "steps")}, [*axes, "steps"]),
        (recording(heart_rate=pulse, motion=motion), {"channels": ("activity",)}, ["activity"]),
        (recording(heart_rate=pulse, motion=motion), {"channels": ("motion_magnitude",)}, ["motion_magnitude"]),
        (recording(heart_rate=pulse), {"channels": ("heart_rate", "steps")}, ["heart_rate"]),
    ]
    for night, options, expected in cases:
        options = Options(**options)
        assert sorted(channels_of(night, options)) == sorted(expected)
        assert sorted(align(night, options).channels) == sorted(expected)


def test_published_counts_go_before_counts_from_motion():
    t = np.arange(0, 120, 0.02)
    shaken = t, np.random.default_rng(0).normal(0, 1, (len(t), 3))
    night = align(recording(motion=shaken, activity=([30.0], [7])), Options())
    assert np.array_equal(night.channels["activity"].ravel(), [-1, 7, -1, -1, -1, -1, -1, -1])


def test_activity_is_counted_from_the_z_axis_where_there_are_no_counts():
    t = np.arange(0, 120.02, 0.02)
    xyz = np.random.default_rng(0).normal(0, 0.5, (len(t), 3))
    bin_ends, counts = ActivityCounter().feed(t, xyz[:, 2])
    assert np.array_equal(bin_ends, 15 * np.arange(1, 9))
    night = align(recording(motion=(t, xyz)), Options())
    assert np.array_equal(night.channels["activity"].ravel(), np.float32(counts))
    assert (counts > 100).all()


def test_a_missing_sensor_is_a_missing_value_and_never_a_missing_row():
    night = align(recording(heart_rate=([1, 100], [60, 70]), activity=([105], [2])), Options())
    assert np.array_equal(np.diff(night.ends), [30] * 3)
    assert np.array_equal((night.channels["heart_rate"] > 0).sum(1), [1, 0, 0, 1])
    for name, value in (("motion_z", -100), ("steps", -1)):
        windows = night.values(name, Options())
        assert windows.shape == (4, 30)
        assert windows.dtype == np.float32
        assert (windows == value).all()


def test_values_out_of_range_count_as_not_sensed():
    bad = [19.9, 250.1, np.nan, np.inf, -np.inf, 0]
    night = align(recording(heart_rate=(np.arange(9), [*bad, 20, 250, 60])), Options())
    assert np.array_equal(np.flatnonzero(night.channels["heart_rate"][0]), [6, 7, 8])
    t, xyz = still(np.arange(0, 120, 0.1))
    reference = align(recording(motion=(np.delete(t, [50, 51, 52]), np.delete(xyz, [50, 51, 52], 0))), Options())
    xyz[50:53] = [17, 0, 0], [0, np.nan, 0], [0, 0, -np.inf]
    assert_same(reference, reference.ends, align(recording(motion=(t, xyz)), Options()).channels)
    night = align(recording(activity=([15, 30, 45], [-1, 100_001, 5])), Options())
    assert np.array_equal(night.channels["activity"][:2], [[-1, -1], [5, -1]])


def test_times_that_are_no_numbers_are_left_out():
    aligner = Aligner(Options(), ("heart_rate",))
    aligner.feed("heart_rate", [np.nan, 1, np.inf, 2], [60, 61, 62, 63])
    assert len(aligner.before(np.nan)[0]) == 0
    assert np.array_equal(aligner.advance(30)[1]["heart_rate"][0, :3], [0, 61, 63])


@pytest.mark.parametrize("t", [1.7e9, 1.7e12, 1e300])
@pytest.mark.parametrize("value", [60, 0])  # in range, and nothing sensed
def test_an_absurd_time_is_refused(t, value):
    aligner = Aligner(Options(), ("heart_rate",))
    with pytest.raises(ValueError, match="at most a night"):  # no attempt at a window for every stride until then
        aligner.feed("heart_rate", t, value)
        aligner.before(t)
    with pytest.raises(ValueError, match="at most a night"):
        aligner.advance(t)


def test_unknown_sensor():
    with pytest.raises(KeyError):
        Aligner(Options(), ("heart_rate",)).feed("pulse", 1.0, 60)


def test_the_clock_closes_windows_and_what_comes_later_leaves_them_as_they_are():
    aligner = Aligner(Options(), ("heart_rate", "activity"), count_motion=False)
    assert len(aligner.advance(29.99)[0]) == 0
    assert np.array_equal(aligner.advance(30)[0], [30])
    aligner.feed("heart_rate", [12.0, 31], [60, 61])  # the first is of a closed window
    assert np.array_equal(aligner.advance(95)[0], [60, 90])
    ends, windows = aligner.advance(120)
    assert np.array_equal(ends, [120])
    assert (windows["heart_rate"] == 0).all()
    assert len(aligner.advance(60)[0]) == 0  # a clock set back closes nothing


@pytest.mark.parametrize("sensor", CHANNELS_OF_SENSOR)
def test_what_comes_late_changes_nothing_that_follows(sensor):
    t = np.arange(0, 90, 0.05 if sensor == "motion" else 3)
    values = np.random.default_rng(0).uniform(0, 1, (len(t), 3) if sensor == "motion" else len(t))
    values = values if sensor == "motion" else 60 + values
    closed = []
    for late in (False, True):
        channels = {*CHANNELS_OF_SENSOR[sensor], "activity"}
        aligner = Aligner(options_of((1, 60, 30)), channels, count_motion=sensor != "activity")
        aligner.feed(sensor, t[t < 24], values[t < 24])
        aligner.advance(30)
        if late:
            aligner.feed(sensor, t[(t >= 24) & (t < 30)], values[(t >= 24) & (t < 30)])
        aligner.feed(sensor, t[t >= 31], values[t >= 31])
        closed.append(aligner.advance(90)[1])
    for name, windows in closed[0].items():
        assert np.array_equal(windows, closed[1][name]), name


def test_an_event_closes_the_windows_it_lies_past_by_more_than_the_grace():
    aligner = Aligner(Options(), ("heart_rate",))
    for t, ends in ((30.0, []), (30.1, []), (30.2, [30]), (95.0, [60, 90])):
        aligner.feed("heart_rate", t, 60)
        assert np.array_equal(aligner.before(t)[0], ends)


def test_a_saved_state_stays_as_it_was_saved():
    aligner, other = (Aligner(Options(), ("heart_rate",)) for _ in range(2))
    aligner.feed("heart_rate", 5.0, 60)
    saved = aligner.state()
    aligner.feed("heart_rate", 5.5, 80)
    other.restore(saved)
    assert other.advance(30)[1]["heart_rate"][0, 5] == 60


@settings(max_examples=60, deadline=None)
@given(any_grid, any_seed, st.booleans())
def test_every_value_lies_where_the_design_says(grid, seed, negative):
    options = options_of(grid, negative_times=negative, channels=tuple(CHANNELS))
    night = drawn(np.random.default_rng(seed), options)
    expected, actual = by_hand(night, options), align(night, options)
    assert np.array_equal(actual.ends, night_start(night, options) + options.stride * np.arange(1, len(actual) + 1))
    assert expected.keys() - actual.channels.keys() == set()
    for name, windows in expected.items():
        assert np.array_equal(windows, actual.channels[name]), name


@settings(max_examples=80, deadline=None)
@given(any_grid, any_seed, st.booleans())
def test_online_windows_are_those_of_the_whole_recording(grid, seed, negative):
    options, rng = options_of(grid, negative_times=negative, motion_magnitude=True), np.random.default_rng(seed)
    sensors = [s for s in CHANNELS_OF_SENSOR if s != "activity" or rng.random() < 0.3]  # mostly counted from motion
    night = drawn(rng, options, sensors=sensors)
    assert_same(align(night, options), *online(night, options, rng))


@settings(max_examples=60, deadline=None)
@given(any_grid, any_seed, st.one_of(st.floats(10, 150), st.sampled_from([30, 30.1, 45.1, 60, 90.1, 120.02])))
def test_nothing_after_a_moment_moves_a_window_that_ended_before_it(grid, seed, moment):
    options, rng = options_of(grid), np.random.default_rng(seed)
    sensors = [s for s in CHANNELS_OF_SENSOR if s != "activity" or rng.random() < 0.3]
    night, other = drawn(rng, options, sensors=sensors), drawn(rng, options, sensors=sensors)
    changed = {}
    for sensor in {**night.samples, **other.samples}:
        nothing = np.zeros(0), np.zeros((0, 3) if sensor == "motion" else 0)
        (t, values), (later, new) = (x.samples.get(sensor, nothing) for x in (night, other))
        t, values = (
            np.append(t[t <= moment], later[later > moment]),
            np.append(values[t <= moment], new[later > moment], 0),
        )
        changed |= {sensor: (t, values)} if len(t) else {}
    counted = "activity" in night.samples  # which a data set ships is no news of the night
    if not changed or ("activity" in changed) != counted:
        return
    one, two = align(night, options), align(Recording("1", changed, night.labels), options)
    ended = one.ends <= moment - 0.1
    for name in {**one.channels, **two.channels}:
        assert np.array_equal(one.values(name, options)[ended], two.values(name, options)[ended]), name


@pytest.fixture(scope="module", params=REAL_NIGHTS)
def real_night(request, real):
    return read_recording(real, request.param)


@pytest.mark.parametrize("grid", [(1, 30, 30), (1, 60, 15)])
def test_real_night(real_night, grid):
    options = options_of(grid)
    night = align(real_night, options)
    expected = by_hand(real_night, options)
    assert expected.keys() == night.channels.keys() == {"heart_rate", "activity"}
    for name, windows in expected.items():
        assert np.array_equal(windows, night.channels[name])
    t, stage = real_night.labels
    scored = night.stages >= 0
    assert np.array_equal(night.stages[scored], stage[stage >= 0])
    assert np.array_equal(night.ends[scored] - 30, t[stage >= 0])
    assert night.stages.max() < len(STAGES)
    rng = np.random.default_rng(int(night.subject))
    for _ in range(3):
        assert_same(night, *online(real_night, options, rng))
    middle = np.median(t)
    cut = {sensor: (t[t <= middle], values[t <= middle]) for sensor, (t, values) in real_night.samples.items()}
    early = night.ends <= middle - 0.1
    without = align(Recording(night.subject, cut, real_night.labels), options)
    for name, windows in night.channels.items():
        assert np.array_equal(windows[early], without.channels[name][early])


@pytest.mark.parametrize("start", [np.nan, np.inf, -np.inf])
def test_a_start_that_is_no_time_is_refused(start):
    with pytest.raises(ValueError, match=rf"^start={start}: expected a time in seconds$"):
        Aligner(Options(), ["heart_rate"], start)


def test_a_clock_that_goes_far_back_closes_nothing():
    aligner = Aligner(options_of((1, 30, 30)), ["heart_rate"])
    assert len(aligner.before(100)[0]) == 3  # as a sample does
    assert len(aligner.advance(-1e300)[0]) == len(aligner.before(-1e300)[0]) == 0
    assert np.array_equal(aligner.advance(120)[0], [120])
