"""What a bundle becomes for microcontrollers: arrays, operations, and which position of a call holds what."""

import json
import re
import shutil
from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter

from export.contract import Contract
from export.cost import cost_of, operations
from export.micro import FILES, arena_estimate, write_micro
from export.micro_layout import MicroLayout
from export.micro_operations import METHOD_OF, methods
from export.tflite import embedded_contract, rewrite, strip_contract
from pipeline.errors import UserMistake
from tests.apps.vectors import FOLDER

BUNDLES = FOLDER / "bundles"


@pytest.fixture(scope="module", params=["all", "counts"])
def written(request, tmp_path_factory):
    """(bundle, its contract, {file: text})."""
    bundle, folder = BUNDLES / request.param, tmp_path_factory.mktemp("micro")
    contract = Contract.read(bundle)
    write_micro(folder, contract, bundle=bundle)
    assert {path.name for path in folder.iterdir()} == {*FILES}
    return bundle, contract, {name: (folder / name).read_text() for name in FILES}


def table(text, name):
    """Rows of numbers of an array in contract.h."""
    body = re.search(rf" {name}\[.*?\] = {{(.*?)\n}};", text, re.DOTALL)[1]
    return [[int(n) for n in re.findall(r"-?\d+", row.split("//")[0])] for row in body.strip().splitlines()]


def names(text, name):
    """The comment behind each row of an array in contract.h."""
    body = re.search(rf" {name}\[.*?\] = {{(.*?)\n}};", text, re.DOTALL)[1]
    return [row.split("// ")[1] for row in body.splitlines() if "// " in row and "{" in row]


def test_arrays_are_the_files_without_their_contract(written):
    bundle, contract, texts = written
    for call in contract.calls(["int8"]):
        name = call.file.replace(".", "_")
        body = re.search(
            rf"alignas\(16\) const unsigned char {name}\[\] = {{(.*?)}};", texts["model_data.cc"], re.DOTALL
        )
        content = bytes(int(n) for n in re.findall(r"\d+", body[1]))
        assert content == strip_contract((bundle / call.file).read_bytes())
        assert f"{name}_size = {len(content)};" in texts["model_data.h"]


def test_an_embedded_contract_stays_behind(tmp_path):
    bundle = Path(shutil.copytree(BUNDLES / "counts", tmp_path / "counts"))
    contract = Contract.read(bundle)
    for call in contract.calls():
        path = bundle / call.file
        path.write_bytes(rewrite(path.read_bytes(), contract.document(digests=False)))
        assert embedded_contract(path)
    write_micro(tmp_path / "with", contract.with_digests(bundle), bundle=bundle)
    write_micro(tmp_path / "without", Contract.read(BUNDLES / "counts"), bundle=BUNDLES / "counts")
    with_contract, without = ((tmp_path / x / "model_data.h").read_text() for x in ("with", "without"))
    assert with_contract == without


def test_the_resolver_has_the_operations_of_the_files_and_no_other(written):
    bundle, contract, texts = written
    used = {name for call in contract.calls(["int8"]) for name in operations((bundle / call.file).read_bytes())}
    added = re.findall(r"resolver\.(\w+)\(\)", texts["op_resolver.h"])
    assert {*added} == {METHOD_OF[name.replace("_", "")] for name in used}
    assert f"MicroMutableOpResolver<{len(added)}>" in texts["op_resolver.h"]


def test_positions_are_those_of_the_graph(written):
    bundle, contract, texts = written
    plans = {"Plan": contract.precisions["int8"]}
    plans |= {"Activity": contract.preprocessing["activity"]} if contract.preprocessing else {}
    for kind, plan in plans.items():
        for i, call in enumerate(plan.calls):
            interpreter = Interpreter(model_path=str(bundle / call.file))
            runner = interpreter.get_signature_runner(call.signature)
            sides = {
                "Inputs": (interpreter.get_input_details(), runner.get_input_details()),
                "Outputs": (interpreter.get_output_details(), runner.get_output_details()),
            }
            for side, (in_order, by_name) in sides.items():
                array = f"k{kind}{i}{side}"
                for (position, _, size), name in zip(
                    table(texts["contract.h"], array), names(texts["contract.h"], array), strict=True
                ):
                    assert in_order[position]["index"] == by_name[name]["index"]
                    assert size == in_order[position]["shape"].prod()


def altered(path, value):
    """The contract of the bundle `counts` with one field altered, unchecked files."""
    document = json.loads((BUNDLES / "counts" / "contract.json").read_text())
    *parents, last = path
    part = document
    for key in parents:
        part = part[key]
    part[last] = value
    return Contract.model_validate(document)


def test_a_state_that_a_later_call_still_takes_is_renewed_after_the_last():
    plain = MicroLayout(Contract.read(BUNDLES / "counts"), "int8")
    assert plain.plan.moves == []
    inputs = Contract.read(BUNDLES / "counts").precisions["int8"].calls[1].inputs
    which = next(i for i, tensor in enumerate(inputs) if tensor.source == "output:features")
    contract = altered(["precisions", "int8", "calls", 1, "inputs", which, "from"], "state:context")
    layout = MicroLayout(contract, "int8")
    ((source, to, size),) = layout.plan.moves
    assert to == layout.states["context"] and source >= layout.saved and size == 4
    assert [p.at for call in layout.plan.calls for p in call.inputs].count(to) == 2
    assert "features" not in [p.name for call in layout.plan.calls for p in call.outputs]  # nobody takes it


@pytest.mark.parametrize("precision", ["dynamic", "float16"])
def test_a_precision_that_runs_there_wrongly_is_refused(precision, tmp_path):
    plan = json.loads((BUNDLES / "counts" / "contract.json").read_text())["precisions"]["float32"]
    contract = altered(["precisions"], {precision: plan, "float32": plan})
    with pytest.raises(UserMistake, match=f"precision {precision}: tflite-micro: .*; choose from float32"):
        write_micro(tmp_path / "out", contract, precision, BUNDLES / "counts")
    write_micro(tmp_path / "out", contract, bundle=BUNDLES / "counts")
    assert 'kPrecision[] = "float32"' in (tmp_path / "out" / "contract.h").read_text()


def test_an_operation_that_it_lacks_is_named():
    assert methods(["FULLY_CONNECTED", "CONV_2D"], "x.tflite") == ["AddConv2D", "AddFullyConnected"]
    with pytest.raises(ValueError, match=r"x\.tflite: TensorFlow Lite Micro has no ATAN2, RANGE"):
        methods(["ADD", "ATAN2", "RANGE"], "x.tflite")


def test_the_arena_holds_the_largest_call_and_what_is_kept_of_it():
    contents = [path.read_bytes() for path in sorted((BUNDLES / "all").glob("*.tflite"))]
    largest = max(cost_of(content)["arena_bytes"] for content in contents)
    assert arena_estimate(contents) > largest + 2000
    assert arena_estimate(contents) == max(arena_estimate([content]) for content in contents)
    assert arena_estimate(contents) % 16 == 0
