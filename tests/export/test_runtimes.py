"""Which runtime may run which file: one table, written into contracts, and kept to by ours."""

import json
import re
import shutil

import pytest

from export.contract import Contract
from export.runner import Runner
from export.runtimes import OURS, REFUSALS, RUNTIMES, STATUS, TESTED, refusal, statuses
from export.tflite import sha256, strip_contract
from pipeline.constants import PRECISIONS
from pipeline.errors import UserMistake


def test_every_precision_has_a_status_in_every_runtime():
    for precision in (None, *PRECISIONS):
        assert [*statuses(precision)] == [*RUNTIMES]
        assert all(re.match(STATUS, status) for status in statuses(precision).values())
    assert {*statuses(None).values(), *statuses("int8").values()} == {TESTED}
    assert all(statuses(precision)[OURS] == TESTED for precision in PRECISIONS)


def test_what_a_microcontroller_cannot_run_is_refused_with_the_reason():
    assert {*REFUSALS["tflite-micro"]} == {"float16", "dynamic"}
    for precision, reason in REFUSALS["tflite-micro"].items():
        status = statuses(precision)["tflite-micro"]
        assert refusal(statuses(precision), "tflite-micro") == status == f"refused: {reason}"


def test_what_is_not_named_is_not_refused():
    assert refusal(None, OURS) is None
    assert refusal({}, OURS) is None
    assert refusal({"another": "refused: no"}, OURS) is None
    assert refusal({OURS: TESTED}, OURS) is None


def test_a_bundle_says_so_of_each_file(quick_run):
    contract = Contract.read(quick_run.folder / "bundles" / "gru")
    (counting,) = contract.preprocessing["activity"].calls
    assert counting.runtimes == statuses(None)
    assert {"CONV_2D", "MAX_POOL_2D", "GATHER"} < {*counting.operations}
    for precision, plan in contract.precisions.items():
        sensing, network = plan.calls
        assert sensing.runtimes == statuses(None)
        assert network.runtimes == statuses(precision)
        assert "FULLY_CONNECTED" in network.operations
        for call in plan.calls:
            assert call.operations == sorted({*call.operations})
            assert ("QUANTIZE" in call.operations) == (call is network and precision in ("int8", "int16x8"))


def test_a_file_that_is_refused_to_our_runtime_does_not_run(quick_run, tmp_path):
    bundle = shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "gru")
    document = json.loads((bundle / "contract.json").read_text())
    network = document["precisions"]["float32"]["calls"][1]
    network["runtimes"][OURS] = "refused: wrong stages"
    for call in [*document["preprocessing"]["activity"]["calls"], *document["precisions"]["float32"]["calls"]]:
        file = bundle / call["file"]  # an embedded contract would still be the one before
        file.write_bytes(strip_contract(file.read_bytes()))
        call["sha256"] = sha256(file)
    del document["digest"]
    (bundle / "contract.json").write_text(json.dumps(document))
    assert network["sha256"] == sha256(bundle / network["file"])
    with pytest.raises(UserMistake) as caught:
        Runner(bundle, "float32")
    assert caught.value.message == f"{bundle / network['file']}: cannot run in {OURS}: refused: wrong stages"
