"""Modality dropout: which channels a night is shown with, and that this says little of its data set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.align import Night
from pipeline.modality_dropout import channel_choices, channels_of_sets, only_channels
from pipeline.nights import StoredChannels

CHANNELS = ("heart_rate", "steps", "activity")
SENSORS = st.sets(st.sampled_from(CHANNELS), min_size=1)


def night(subject, *channels):
    return Night(subject, 30.0 * np.arange(1, 4), {name: np.ones((3, 2)) for name in channels}, np.zeros(3, np.int8))


def choices(nights, channels=CHANNELS, trained_on=None):
    """Of nights `<set>.<id>`."""
    sets = {n.subject: n.subject.split(".")[0] for n in nights}
    return channel_choices(nights, sets, channels, trained_on or [*sets])


def test_a_single_folder_and_sets_of_equal_channels_are_shown_as_they_are():
    nights = [night("a.1", "heart_rate", "activity"), night("b.1", "heart_rate", "activity")]
    own = [[{"heart_rate", "activity"}]] * 2
    assert channel_choices(nights, {}, CHANNELS, ["a.1", "b.1"]) == own
    assert choices(nights) == own
    assert choices([night("a.1", "heart_rate", "activity"), night("a.2", "activity")]) == [*own[:1], [{"activity"}]]


def test_a_night_is_shown_without_what_another_set_lacks():
    nights = [night("a.1", "heart_rate", "steps", "activity"), night("b.1", "activity"), night("c.1", "heart_rate")]
    assert choices(nights) == [
        [{*CHANNELS}, {"activity"}, {"heart_rate"}], [{"activity"}], [{"heart_rate"}],
    ]  # fmt: skip
    assert choices(nights, ("heart_rate",)) == [[{*CHANNELS}], [{"activity"}], [{"heart_rate"}]]  # b has none of it


def test_what_a_set_has_is_said_by_half_of_its_training_nights_alone():
    both, one = ("heart_rate", "activity"), ("activity",)
    nights = [night("a.1", *both), night("b.1", *both), night("b.2", *one), night("b.3", *one)]
    assert choices(nights)[0] == [{*both}, {*one}]
    assert choices(nights, trained_on=["a.1", "b.1", "b.2"])[0] == [{*both}]
    sets = {n.subject: n.subject[0] for n in nights}
    assert channels_of_sets(nights, sets, CHANNELS) == [{*both}, {*one}]


def test_sets_with_no_sensor_in_common_stay_as_they_are():
    nights = [night("a.1", "heart_rate", "steps"), night("b.1", "activity", "steps")]
    assert choices(nights) == [[{"heart_rate", "steps"}], [{"activity", "steps"}]]


@given(st.lists(SENSORS, min_size=2, max_size=4), SENSORS)
def test_choices_are_distinct_begin_with_the_night_and_only_take_away(sets, channels):
    for shown, has in zip(choices([night(f"{i}.1", *has) for i, has in enumerate(sets)], channels), sets, strict=True):
        assert shown[0] == has
        assert all(one < has and one <= channels and one - {"steps"} for one in shown[1:])
        assert all(one not in shown[:i] for i, one in enumerate(shown))
        assert [len(one) for one in shown] == sorted(map(len, shown), reverse=True)


@given(SENSORS, SENSORS, st.sampled_from(CHANNELS))
def test_of_two_sets_a_channel_that_one_lacks_is_in_half_of_what_the_other_shows(a, b, channel):
    """Whoever guesses the set by the channel is right in no more than 3 of 4 cases: 1/2 by chance."""
    if not (a & b) - {"steps"}:
        return
    one, other = choices([night("a.1", *a), night("b.1", *b)])
    there = [np.mean([channel in names for names in shown]) for shown in (one, other)]
    assert abs(there[0] - there[1]) <= 0.5


@pytest.mark.parametrize("stored", [False, True])
def test_a_night_loses_its_other_channels_and_nothing_else(stored):
    before = night("a.1", "heart_rate", "activity")
    if stored:  # it need not be read
        before = Night("a.1", before.ends, StoredChannels("nowhere.npz", before.channels), before.stages)
    after = only_channels(before, {"activity", "steps"})
    assert [*after.channels] == ["activity"]
    assert [*before.channels] == ["heart_rate", "activity"]
    assert after.stages is before.stages
    assert isinstance(after.channels, StoredChannels) == stored
