"""A bundle is enough: replay.py, written from contract.json alone, gives the golden night's probabilities, or fails."""

import ast
import json
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.constants import ARCHITECTURES

REPLAY = Path(__file__).parent / "replay.py"


def test_replay_knows_nothing_of_the_project():
    tree = ast.parse(REPLAY.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "ai_edge_litert"}


@pytest.fixture
def replay(run_python, tmp_path):
    return lambda bundle, *options: run_python("-I", REPLAY, bundle, *options, cwd=tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_precision_of_a_bundle_replays(quick_run, replay, architecture):
    bundle = quick_run.folder / "bundles" / architecture
    precisions = json.loads((bundle / "contract.json").read_text())["precisions"]
    done = replay(bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [*precisions]
    assert all(line.endswith(": pass") for line in lines)


def swap_states(contract):
    for call in contract["precisions"]["float32"]["calls"]:
        for tensor in call["outputs"]:
            swapped = {"state:hidden": "state:cell", "state:cell": "state:hidden"}
            if "to" in tensor:
                tensor["to"] = swapped.get(tensor["to"], tensor["to"])


def leave_out_a_state(contract):
    outputs = contract["precisions"]["float32"]["calls"][1]["outputs"]
    next(tensor for tensor in outputs if tensor.get("to") == "state:hidden").pop("to")


def begin_elsewhere(contract):
    contract["precisions"]["float32"]["states"]["hidden"]["initial"] = 0.5


def claim_another_type(contract):
    contract["precisions"]["float32"]["calls"][0]["inputs"][0]["dtype"] = "float64"


def claim_another_digest(contract):
    contract["precisions"]["float32"]["calls"][1]["sha256"] = 64 * "0"


def claim_another_answer(contract):
    contract["precisions"]["float32"]["probabilities"] = "hidden_out"


@pytest.fixture
def lstm(quick_run, tmp_path):
    """A copy of the LSTM bundle: its two states are of the same shape, so only the probabilities tell them apart."""
    return Path(shutil.copytree(quick_run.folder / "bundles" / "lstm", tmp_path / "lstm"))


@pytest.mark.parametrize(
    "wrong",
    [swap_states, leave_out_a_state, begin_elsewhere, claim_another_type, claim_another_digest, claim_another_answer],
)
def test_replay_fails_by_a_wrong_contract(lstm, replay, wrong):
    contract = json.loads((lstm / "contract.json").read_text())
    wrong(contract)
    (lstm / "contract.json").write_text(json.dumps(contract))
    done = replay(lstm, "--precision", "float32")
    assert done.returncode == 1
    assert done.stdout.startswith("float32: ")
    assert done.stdout.endswith(": FAIL\n")


def test_replay_fails_by_an_altered_file(lstm, replay):
    file = lstm / "lstm.float16.tflite"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = replay(lstm, "--precision", "float32,float16")
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first.endswith(": pass")
    assert second == "float16: ValueError('lstm.float16.tflite: digest differs'): FAIL"


@pytest.mark.parametrize("what", ["stage_probabilities", "heart_rate"])
def test_replay_fails_by_an_altered_golden_night(lstm, replay, what):
    golden = json.loads((lstm / "golden.json").read_text())
    for window in golden["windows"][20:22]:
        window[what] = window[what][::-1] if what == "stage_probabilities" else [120.0] * len(window[what])
    (lstm / "golden.json").write_text(json.dumps(golden))
    assert replay(lstm, "--precision", "float32").returncode == 1


def test_replay_fails_by_a_precision_that_is_not_there(lstm, replay):
    assert replay(lstm, "--precision", "int4").returncode == 1
