"""Options: what is refused, in one line, and that the values it suggests do."""

import dataclasses
import json
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipeline.constants import ARCHITECTURES, CHANNELS, EPOCH_S
from pipeline.errors import UserMistake
from pipeline.options import Options

TIMES = "data_alignment", "window_size", "stride"


def mistake(**options):
    """The message with which the options are refused, or None."""
    try:
        Options(**options)
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
        *({"train_split": value} for value in (0, 1.01, 1.5, -0.1, float("nan"))),
        *({"inner_folds": value} for value in (1, -1, -2)),
        {"train_split": 1, "inner_folds": 0},  # nothing would choose the epoch
        {"variants": -1},
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


def test_refusals_name_the_choices():
    assert mistake(architectures=("xlstm",)) == f"--architectures: xlstm; choose from {', '.join(ARCHITECTURES)}"
    assert "pulse, hr; choose from heart_rate" in mistake(channels=("pulse", "hr"))


@pytest.mark.parametrize(
    "wrong",
    [{"train_split": 1.5}, {"data_alignment": 7}, {"window_size": 31}, {"window_size": 5000}, {"stride": 7}],
    ids=str,
)
def test_suggestions_are_made_and_do(wrong):
    name, values = suggested(mistake(**wrong))
    assert name in wrong
    assert values
    for value in values:
        Options(**{name: value})


@pytest.mark.parametrize(
    "accepted", [{"train_split": 1}, {"inner_folds": 0}, {"inner_folds": 2}, {"variants": 0}], ids=str
)
def test_accepted_at_the_edge(accepted):
    assert mistake(**accepted) is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, any_time)), some_channels)
def test_every_suggestion_fits_where_one_option_alone_is_wrong(times, channels):
    options = {**times, "channels": channels}
    message = mistake(**options)
    assume(message)
    name, values = suggested(message)
    assume(any(mistake(**{**options, name: value}) is None for value in USUAL))  # so the others fit each other
    for value in values:
        assert mistake(**{**options, name: value}) is None, message


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, any_time)), some_channels, st.data())
def test_following_suggestions_leads_to_options_that_do(times, channels, data):
    options = {**times, "channels": channels}
    for _ in range(5):
        message = mistake(**options)
        if not message:
            break
        name, values = suggested(message)
        if values:
            options[name] = data.draw(st.sampled_from(values))
        else:
            options["window_size"] = options["stride"]  # it says: no shorter than the stride
    assert mistake(**options) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.fixed_dictionaries(dict.fromkeys(TIMES, usual_time)), some_channels)
def test_accepted_windows_are_whole_numbers_of_values_and_epochs(times, channels):
    values = {**times, "channels": channels}
    assume(mistake(**values) is None)
    options = Options(**values)
    assert EPOCH_S % options.stride == 0 or options.stride % EPOCH_S == 0
    for channel in channels or CHANNELS:
        seconds = options.seconds_per_value(channel)
        assert seconds == (max(15, options.data_alignment) if channel == "activity" else options.data_alignment)
        assert options.values_per_window(channel) * seconds == options.window_size
        assert options.values_per_stride(channel) * seconds == options.stride
        assert 1 <= options.values_per_stride(channel) <= options.values_per_window(channel)


@pytest.mark.parametrize("stride", [15, 30, 60])
@pytest.mark.parametrize("row", [1, 5, 15, 30, 60])
def test_usual_grids_are_accepted(row, stride):
    if row <= stride:
        Options(data_alignment=row, stride=stride, window_size=60)


def test_without_activity_windows_need_not_hold_its_bins():
    assert mistake(window_size=20, stride=10)
    assert Options(window_size=20, stride=10, channels=("heart_rate", "steps")).values_per_window("steps") == 20
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


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_dim", 999_999_999), ("epochs", 10**20), ("window_size", 999_999_990), ("stride", 10**9), ("lr", 1e400),
     ("lr", float("nan")), ("inner_folds", 10**6), ("variants", 10**9), ("batch_size", 10**12)],
)  # fmt: skip
def test_what_fits_no_memory_or_is_no_number_is_refused_at_once(field, value):
    with pytest.raises(UserMistake, match=f"^--{field} {value}: must be "):
        Options(**{field: value})
