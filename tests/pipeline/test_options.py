"""Options: what is refused, in one line, and that the values it suggests do."""

import dataclasses
import json
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipeline.options import ARCHITECTURES, CHANNELS, EPOCH_S, STAGE_OF_CODE, STAGES, Options, UserMistake, one_of

TIMES = "data_alignment", "window_size", "stride"


def mistake(**given):
    """The message with which the options are refused, or None."""
    try:
        Options(**given)
    except UserMistake as error:
        assert error.exit_code == 2
        assert "\n" not in error.message
        return error.message
    return None


def suggested(message):
    """(option, values) of a message that ends in 'such as a, b, c'."""
    name = re.match(r"--(\w+) ", message)[1]
    values = re.search(r"such as ([\d., ]+)$", message)
    return name, [float(x) if "." in x else int(x) for x in values[1].split(", ")] if values else []


USUAL = 1, 2, 5, 6, 10, 15, 30, 45, 60, 90, 120, 180, 300, 600
any_time, usual_time = st.one_of(st.integers(1, 700), st.sampled_from(USUAL)), st.sampled_from(USUAL)
some_channels = st.sampled_from([(), ("heart_rate",), ("heart_rate", "steps"), ("heart_rate", "activity")])


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: value} for name in (*TIMES, "batch_size", "hidden_dim", "epochs") for value in (0, -1)),
        *({"lr": value} for value in (0, -1e-3, float("nan"))),
        *({"train_split": value} for value in (0, 1, 1.5, -0.1, float("nan"))),
        *({"seed": value} for value in (-1, 2**32)),  # of numpy, and so of Keras
        {"architectures": ("gru", "xlstm")},
        {"architectures": ()},
        {"channels": ("heart_rate", "pulse")},
        *({"data_alignment": value} for value in (4, 7, 45, 700)),
        *({"window_size": value} for value in (20, 31, 5000)),
        *({"stride": value} for value in (7, 20, 45, 1000)),
        {"window_size": 30, "stride": 60},
        {"data_alignment": 10, "window_size": 45},
        {"data_alignment": 60},
    ],
    ids=str,
)
def test_refused(wrong):
    message = mistake(**wrong)
    assert message
    assert any(f"--{name} " in message or f"--{name}:" in message for name in wrong)


def test_refusals_name_what_is_known():
    assert mistake(architectures=("xlstm",)) == f"--architectures: xlstm; choose from {', '.join(ARCHITECTURES)}"
    assert "pulse, hr; choose from heart_rate" in mistake(channels=("pulse", "hr"))
    with pytest.raises(UserMistake, match=r"--x: none given; choose from a, b"):
        one_of("--x", [], ("a", "b"))
    assert one_of("--x", ["b"], ("a", "b")) == ("b",)


@pytest.mark.parametrize(
    "wrong",
    [{"train_split": 1.0}, {"data_alignment": 7}, {"window_size": 31}, {"window_size": 5000}, {"stride": 7}],
    ids=str,
)
def test_suggestions_are_made_and_do(wrong):
    name, values = suggested(mistake(**wrong))
    assert name in wrong
    assert values
    for value in values:
        Options(**{name: value})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, any_time)), some_channels)
def test_every_suggestion_fits_where_one_option_alone_is_wrong(times, channels):
    given_ = {**times, "channels": channels}
    message = mistake(**given_)
    assume(message)
    name, values = suggested(message)
    assume(any(mistake(**{**given_, name: value}) is None for value in USUAL))  # so the others fit each other
    for value in values:
        assert mistake(**{**given_, name: value}) is None, message


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, any_time)), some_channels, st.data())
def test_following_suggestions_leads_to_options_that_do(times, channels, data):
    given_ = {**times, "channels": channels}
    for _ in range(5):
        message = mistake(**given_)
        if not message:
            break
        name, values = suggested(message)
        if values:
            given_[name] = data.draw(st.sampled_from(values))
        else:
            given_["window_size"] = given_["stride"]  # it says: no shorter than the stride
    assert mistake(**given_) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, usual_time)), some_channels)
def test_accepted_windows_are_whole_numbers_of_values_and_epochs(times, channels):
    given_ = {**times, "channels": channels}
    assume(mistake(**given_) is None)
    options = Options(**given_)
    assert EPOCH_S % options.stride == 0 or options.stride % EPOCH_S == 0
    for channel in channels or CHANNELS:
        seconds = options.seconds(channel)
        assert seconds == (max(15, options.data_alignment) if channel == "activity" else options.data_alignment)
        assert options.values(channel) * seconds == options.window_size
        assert options.newest(channel) * seconds == options.stride
        assert 1 <= options.newest(channel) <= options.values(channel)


@pytest.mark.parametrize("stride", [15, 30, 60])
@pytest.mark.parametrize("row", [1, 5, 15, 30, 60])
def test_usual_grids_are_accepted(row, stride):
    if row <= stride:
        Options(data_alignment=row, stride=stride, window_size=60)


def test_without_activity_windows_need_not_hold_its_bins():
    assert mistake(window_size=20, stride=10)
    assert Options(window_size=20, stride=10, channels=("heart_rate", "steps")).values("steps") == 20
    assert mistake(window_size=20, stride=10, channels=("heart_rate", "activity"))


def test_options_go_through_json():
    options = Options(channels=("heart_rate",), architectures=("gru", "lstm"), stride=15, lr=1e-3, seed=7)
    again = Options.of(json.loads(json.dumps(options.as_dict())))
    assert again == options
    assert set(options.as_dict()) == {field.name for field in dataclasses.fields(Options)}


def test_alignment_is_what_shapes_a_window():
    options = Options(negative_times=True, data_alignment=5, window_size=60, stride=15)
    expected = {"negative_times": True, "data_alignment": 5, "window_size": 60, "stride": 15}
    assert options.alignment == expected


def test_constants_fit_each_other():
    assert [STAGES[STAGE_OF_CODE[code]] for code in (0, 1, 2, 3, 4, 5)] == ["Wake", "N1", "N2", "N3", "N3", "REM"]
    assert STAGE_OF_CODE[-1] == -1
    for channel in CHANNELS.values():
        assert not channel.low <= channel.missing <= channel.high
        assert channel.missing < channel.low  # sensing tells missing values by it
    assert {name for name, channel in CHANNELS.items() if channel.bins} == {"steps", "activity"}
