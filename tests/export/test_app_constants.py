"""What app code gets of a contract."""

import pytest

from export.app_constants import app_constants
from export.contract import Contract


@pytest.fixture
def contract(quick_run):
    return Contract.read(quick_run.folder / "bundles" / "gru")


def test_they_are_plain_and_as_in_the_contract(contract):
    constants, document = app_constants(contract), contract.document()
    for name in ("architecture", "stages", "seconds", "channels", "operating_points"):
        assert constants[name] == document[name]
    assert constants["unknown"] == contract.unknown.model_dump()
    assert constants["input_guard"] == contract.input_guard.model_dump() | {"standard_gravity": 9.80665}
    assert constants["sensors"]["activity"] == {"range": [0, 100_000], "value": "sum", "channels": ["activity"]}
    call = constants["precisions"]["float32"]["calls"][1]
    expected = document["precisions"]["float32"]["calls"][1]
    assert (call["file"], call["sha256"]) == (expected["file"], expected["sha256"])
    assert [tensor | {"dtype": "float32"} for tensor in call["inputs"]] == expected["inputs"]
    assert constants["activity"]["states"]["history"] == {"shape": [1, 101], "initial": [0]}
    assert constants["activity"]["hz"] == document["preprocessing"]["activity"]["hz"]


def test_without_preprocessing_there_is_no_activity_call(contract):
    activity = app_constants(contract.model_copy(update={"preprocessing": {}}))["activity"]
    assert (activity["calls"], activity["states"]) == ([], {})


def test_other_tensors_than_float32_are_refused(contract):
    contract.precisions["float32"].calls[1].inputs[0].dtype = "int8"
    with pytest.raises(ValueError, match=r"gru\.float32\.tflite: inputs are not all float32"):
        app_constants(contract)
