"""Calls by themselves: what flows between them, states, and names of files. Whole contracts: test_contract.py."""

import numpy as np
import pytest
from pydantic import ValidationError

from export.calls import Call, Calls, State, Tensor, states_of


def tensor(name, shape=(1, 2), dtype="float32", **link):
    return Tensor.model_validate({"name": name, "shape": [*shape], "dtype": dtype, **link})


def call(inputs, outputs, file="a.tflite"):
    return Call(file=file, signature="step", inputs=inputs, outputs=outputs)


def state(shape=(1, 2), dtype="float32", initial=0):
    return State(shape=[*shape], dtype=dtype, initial=initial)


GIVEN = {"channel:x": [1, 2]}


def test_outputs_of_a_call_are_there_for_the_next():
    first = call([tensor("x", **{"from": "channel:x"})], [tensor("y", (1, 3))])
    second = call([tensor("y", (1, 3), **{"from": "output:y"})], [tensor("p", (1, 5))])
    after = Calls(calls=[first, second], states={}).check_flow(GIVEN)
    assert after == {"channel:x": [1, 2], "output:y": [1, 3], "output:p": [1, 5]}
    assert GIVEN == {"channel:x": [1, 2]}
    with pytest.raises(ValueError, match=r"calls\.0\.inputs\.y: from 'output:y': no such source before this call"):
        Calls(calls=[second, first], states={}).check_flow(GIVEN)


def test_a_call_does_not_see_its_own_outputs():
    own = call([tensor("y", **{"from": "output:y"})], [tensor("y")])
    with pytest.raises(ValueError, match="no such source"):
        Calls(calls=[own], states={}).check_flow(GIVEN)


def fed_back(**output):
    return call([tensor("s", **{"from": "state:s"})], [tensor("s_out", **{"to": "state:s"} | output)])


def test_states_are_fed_back():
    Calls(calls=[fed_back()], states={"s": state()}).check_flow({})


@pytest.mark.parametrize(
    ("output", "states", "message"),
    [
        ({"to": None}, {"s": state()}, r"states: no output becomes state:s"),
        ({"to": "state:t"}, {"s": state()}, r"calls\.0\.outputs\.s_out: to 'state:t': no such state"),
        ({"shape": (1, 3)}, {"s": state()}, r"calls\.0\.outputs\.s_out: does not fit 'state:s'"),
        ({"dtype": "int8"}, {"s": state()}, r"calls\.0\.outputs\.s_out: does not fit 'state:s'"),
        ({}, {"s": state(), "t": state(), "u": state()}, r"states: no output becomes state:t, state:u"),
        ({}, {}, r"calls\.0\.inputs\.s: from 'state:s': no such source"),
        ({}, {"s": state((1, 3))}, r"calls\.0\.inputs\.s: shape \[1, 2\], but 'state:s' has \[1, 3\]"),
        ({}, {"s": state(dtype="int8")}, r"calls\.0\.inputs\.s: float32, but 'state:s' is int8"),
    ],
)
def test_states_that_do_not_fit(output, states, message):
    with pytest.raises(ValueError, match=message):
        Calls(calls=[fed_back(**output)], states=states).check_flow({})


@pytest.mark.parametrize(
    ("initial", "shape", "expected"),
    [(0, (1, 2), [[0, 0]]), (0.5, (1, 2), [[0.5, 0.5]]), ([[1, 2]], (1, 2), [[1, 2]]), ([3, 4], (2, 2), [[3, 4]] * 2)],
)
def test_initial_values(initial, shape, expected):
    array = state(shape, initial=initial).initial_array()
    np.testing.assert_array_equal(array, np.float32(expected), strict=True)
    array[:] = 9  # it is a copy, to be written to


@pytest.mark.parametrize(
    ("dtype", "initial"),
    [("float32", [1, 2, 3]), ("float32", [[1], [1, 2]]), ("float32", ["a"]), ("float32", [None, {}]), ("int8", 300)],
)
def test_initial_values_that_do_not_fit(dtype, initial):
    with pytest.raises(ValidationError, match=f"expected {dtype} numbers of shape") as caught:
        state(dtype=dtype, initial=initial)
    assert caught.value.errors()[0]["loc"] == ("initial",)


def test_a_wrong_shape_is_told_by_itself():
    with pytest.raises(ValidationError) as caught:
        State(shape=[0], dtype="float32", initial=0)
    assert [error["loc"] for error in caught.value.errors()] == [("shape", 0)]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.tflite", "/a.tflite", "..\\a.tflite", "a" * 201])
def test_paths_are_no_names(name):
    with pytest.raises(ValidationError, match="expected a name in the bundle, not a path"):
        call([], [], file=name)


def test_a_call_is_read_off_its_file(quick_run):
    bundle = quick_run.folder / "bundles" / "lstm"
    sensing = Call.of_file(bundle / "sensing.tflite", ("heart_rate",))
    sources = {tensor.name: tensor.source for tensor in sensing.inputs}
    assert (sources["heart_rate"], sources["context"]) == ("channel:heart_rate", "state:context")
    assert sources["activity"] == "output:activity"  # no such channel was named
    assert {tensor.name: tensor.to for tensor in sensing.outputs} == {"features": None, "context_out": "state:context"}
    network = Call.of_file(bundle / "lstm.float32.tflite", ())
    assert (network.signature, network.sha256) == ("step", None)
    states = states_of([sensing, network])
    assert states.keys() == {"context", "hidden", "cell"}
    assert all(entry.initial == 0 for entry in states.values())
