"""Coverage and the unknown stage: what windows rest on, when nothing can be predicted, streams and nights agreeing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.align import Night
from pipeline.constants import ABSENT_S, COVERAGE_S, OFF_WRIST_BLIND_S, OFF_WRIST_S
from pipeline.coverage import CoverageTracker, coverage_of_night, unknown_windows
from pipeline.options import Options

OPTIONS = Options(channels=("heart_rate", "activity"))
STRIDE = OPTIONS.stride


def night_of(heart_rate, activity, options=OPTIONS):
    """A night from one heart rate and one activity count per window; None is missing."""
    windows = len(heart_rate)
    channels = {
        "heart_rate": np.float32([[x or 0] * options.values_per_window("heart_rate") for x in heart_rate]),
        "activity": np.float32([[-1 if x is None else x] * options.values_per_window("activity") for x in activity]),
    }
    ends = options.stride * np.arange(1.0, windows + 1)
    return Night("1", ends, channels, np.full(windows, -1, np.int8))


def unknown(heart_rate, activity):
    return unknown_windows(night_of(heart_rate, activity), OPTIONS, OPTIONS.channels)


HOUR = 3600 // STRIDE


def test_nothing_sensed_gives_no_stage_at_all():
    assert unknown([None] * 8 * HOUR, [None] * 8 * HOUR).all()


def test_a_watch_on_a_table_gives_no_stage_at_all():
    assert unknown([None] * 8 * HOUR, [0] * 8 * HOUR).all()


def test_a_still_sleeper_with_a_heart_beat_is_never_unknown():
    assert not unknown([60] * 8 * HOUR, [0] * 8 * HOUR).any()


def test_heart_rate_alone_and_movement_alone_are_enough():
    assert not unknown([60] * HOUR, [None] * HOUR).any()
    moving = [0] * HOUR
    moving[0] = 40
    assert not unknown([None] * HOUR, moving).any()


def test_both_absent_for_minutes_is_unknown_until_one_is_back():
    silent = 2 * ABSENT_S // STRIDE
    heart = [60] * 20 + [None] * silent + [60] * 20
    result = unknown(heart, [1] * 20 + [None] * silent + [None] * 20)
    first = 20 + ABSENT_S // STRIDE - 1  # the newest value is then ABSENT_S old
    np.testing.assert_array_equal(np.flatnonzero(result), np.arange(first, 20 + silent))


def test_a_watch_taken_off_is_unknown_after_half_an_hour_and_a_hole_in_heart_rate_is_not():
    off = 2 * OFF_WRIST_S // STRIDE
    result = unknown([60] * 20 + [None] * off, [5] * 20 + [0] * off)
    first = 20 + OFF_WRIST_S // STRIDE - 1
    np.testing.assert_array_equal(np.flatnonzero(result), np.arange(first, 20 + off))
    hole = 10 * 60 // STRIDE
    assert not unknown([60] * 20 + [None] * hole + [60] * 5, [5] * 20 + [0] * (hole + 5)).any()


def test_without_any_heart_rate_people_may_lie_still_for_two_hours():
    still = (OFF_WRIST_BLIND_S // STRIDE) + 10
    result = unknown([None] * (1 + still), [30] + [0] * still)
    np.testing.assert_array_equal(np.flatnonzero(result), np.arange(OFF_WRIST_BLIND_S // STRIDE, 1 + still))


def test_share_and_seconds_since():
    night = night_of([60, None, None, 62], [None, 3, None, None])
    rows = coverage_of_night(night, OPTIONS, OPTIONS.channels)
    heart = [row.sensors["heart_rate"] for row in rows]
    assert [c.share for c in heart] == [1, 1 / 2, 1 / 3, 1 / 2]
    assert [c.seconds_since for c in heart] == [0, STRIDE, 2 * STRIDE, 0]
    activity = [row.sensors["activity"] for row in rows]
    assert [c.seconds_since for c in activity] == [None, 0, STRIDE, 2 * STRIDE]


def test_seconds_since_sees_within_the_window():
    night = night_of([60], [None])
    night.channels["heart_rate"][0, 12:] = 0
    (row,) = coverage_of_night(night, OPTIONS, OPTIONS.channels)
    assert row.sensors["heart_rate"].seconds_since == 30 - 12


def test_share_is_of_the_last_minutes_only():
    many = COVERAGE_S // STRIDE
    rows = coverage_of_night(night_of([60] * many + [None] * many, [0] * 2 * many), OPTIONS, OPTIONS.channels)
    assert [row.sensors["heart_rate"].share for row in rows[many:]] == [
        pytest.approx(1 - (i + 1) / many) for i in range(many)
    ]


sensed = st.lists(st.tuples(st.sampled_from([None, 60]), st.sampled_from([None, 0, 0, 20])), min_size=1, max_size=300)


@settings(deadline=None, max_examples=50)
@given(sensed, st.integers(0, 300))
def test_a_restored_tracker_goes_on_as_if_it_had_never_stopped(windows, cut):
    night = night_of(*zip(*windows, strict=True))
    whole = coverage_of_night(night, OPTIONS, OPTIONS.channels)
    first, second = (CoverageTracker(OPTIONS, OPTIONS.channels) for _ in range(2))
    inputs = [{name: x[i] for name, x in night.channels.items()} for i in range(len(night))]
    got = [first.update(window) for window in inputs[:cut]]
    second.restore({name: x.copy() for name, x in first.state().items()})
    got += [second.update(window) for window in inputs[cut:]]
    assert got == whole


@settings(deadline=None, max_examples=50)
@given(sensed)
def test_a_window_with_heart_rate_in_the_last_minutes_is_never_unknown(windows):
    night = night_of(*zip(*windows, strict=True))
    for row in coverage_of_night(night, OPTIONS, OPTIONS.channels):
        since = row.sensors["heart_rate"].seconds_since
        assert not (row.unknown and since is not None and since < ABSENT_S)


@pytest.mark.parametrize("channels", [("heart_rate",), ("activity",), ("heart_rate", "motion_z"), ("steps",)])
def test_models_of_fewer_channels_have_coverage_too(channels):
    options = Options(channels=channels)
    night = Night("1", 30 * np.arange(1.0, 61), {}, np.full(60, -1, np.int8))
    rows = coverage_of_night(night, options, channels)
    assert all(row.unknown for row in rows)
    assert all(c.share == 0 and c.seconds_since is None for row in rows for c in row.sensors.values())


def test_every_real_night_is_predicted_where_it_has_sensors(real):
    from pipeline.nights import load_nights

    nights, _ = load_nights(real, OPTIONS)
    for night in nights:
        share = unknown_windows(night, OPTIONS, OPTIONS.channels).mean()
        # 7749105 has next to no motion and little heart rate; 1066528 lost both for its last quarter of an hour
        assert share <= {"7749105": 0.9, "1066528": 0.05}.get(night.subject, 0), night.subject
