"""Values that are valid, one by one, and yet of no wearer."""

import numpy as np
import pytest

from pipeline.oddities import odd_spacing, odd_values

T = np.arange(0, 4 * 3600, 5.0)
VARIED = 60.0 + np.arange(len(T)) % 7


def with_one_value(sensor, minutes, value):
    values = VARIED.copy()
    values[: 12 * minutes] = value
    return odd_values({sensor: (T, values)})


@pytest.mark.parametrize(
    ("sensor", "value", "longest"), [("heart_rate", 61, 60), ("activity", 30.5, 30), ("activity", 0, 120)]
)
def test_a_sensor_that_is_stuck(sensor, value, longest):
    ((found, what),) = with_one_value(sensor, longest + 1, value)
    assert found == sensor
    assert what == f"always {value:g} for {longest + 1} min from t=0 on: stuck?"
    assert with_one_value(sensor, longest - 1, value) == []


def test_motion_is_stuck_if_all_axes_are():
    t = np.arange(0, 3600, 0.5)
    still, moving = np.tile([0.1, 0.2, 0.97], (len(t), 1)), np.tile([0.1, 0.2, 0.97], (len(t), 1))
    moving[::2, 0] += 0.01
    assert [sensor for sensor, _ in odd_values({"motion": (t, still)})] == ["motion"]
    assert odd_values({"motion": (t, moving)}) == []


def test_a_few_equal_values_far_apart_are_not_stuck():
    assert odd_values({"heart_rate": (np.arange(0, 4 * 3600, 300.0), np.full(48, 61.0))}) == []


def test_counts_of_other_bins_in_part_of_a_night():
    usual = 15.0155 * np.arange(400)
    assert odd_spacing(usual) == ""
    assert odd_spacing(np.delete(usual, [7, 9, 30, 31])) == ""  # lost counts
    other = np.append(usual, usual[-1] + 60.0 * np.arange(1, 50))
    assert odd_spacing(other) == "49 counts in a row every 60 s, from t=5991 on; expected every 15 s"
    assert odd_spacing(other[:1]) == ""
