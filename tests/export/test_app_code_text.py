"""The text of app code and of the page for developers: that all of a contract is in it, and what can be seen of Swift
without its compiler. What it does is tested in test_app_code.py.
"""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from export.app_code import CODE, write_apps
from export.app_constants import app_constants
from export.app_literals import WIDTH
from export.contract import Contract
from pipeline.align import REASONS
from pipeline.constants import ARCHITECTURES

every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture
def bundle(quick_run, architecture, tmp_path):
    """A bundle with its app code."""
    folder = Path(shutil.copytree(quick_run.folder / "bundles" / architecture, tmp_path / architecture))
    write_apps(folder, Contract.read(folder))
    return folder


def strings_of(value):
    """All names and words of a contract that app code needs: files, digests, signatures, tensors, states, stages."""
    if isinstance(value, dict):
        return {x for each in value.values() for x in strings_of(each)}
    if isinstance(value, list):
        return {x for each in value for x in strings_of(each)}
    return {value} if isinstance(value, str) else set()


@every
def test_all_of_the_contract_is_in_every_language(bundle):
    constants = app_constants(Contract.read(bundle))
    for entry in (*constants["channels"], *constants["sensors"].values()):
        entry["value"] = ""  # sum or mean: true or false in Kotlin and Swift
    expected = strings_of(constants)
    expected |= {name for plan in (constants["activity"], *constants["precisions"].values()) for name in plan["states"]}
    expected |= {*constants["precisions"], *constants["operating_points"], *constants["sensors"]}
    for name in CODE:
        found = set(re.findall(r'"([^"\n]*)"', (bundle / name).read_text()))
        assert expected - found <= {""}, name
    assert any(len(word) == 64 for word in expected)


@every
def test_nothing_is_left_to_fill_in(bundle):
    for name in (*CODE, "README.md"):
        text = (bundle / name).read_text()
        assert not re.search(r"\{\{|\{%|\{#|%\}", text)
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
        assert max(map(len, text.splitlines())) <= WIDTH, name
        assert text.count("constants of the contract") == 2 * (name != "README.md")


@pytest.mark.parametrize("architecture", ["gru"])
def test_python_needs_numpy_and_the_runtime_alone(bundle):
    tree = ast.parse((bundle / "sleep_stager.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names}
    assert roots - sys.stdlib_module_names == {"numpy", "ai_edge_litert", "tflite_runtime"}
    assert not re.search(r"^\s*import |\bfrom \"", (bundle / "sleep-stager.js").read_text().split("*/")[1], re.M)


@pytest.mark.parametrize("architecture", ["gru"])
def test_python_falls_back_on_the_older_runtime(bundle, run_python, tmp_path):
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("class Interpreter:\n    pass\n")
    code = "import sys; sys.modules['ai_edge_litert'] = None; import sleep_stager; print(sleep_stager.Interpreter)"
    done = run_python("-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(bundle)!r}]; {code}", cwd=tmp_path)
    assert "tflite_runtime" in done.stdout, done.stderr


@pytest.mark.parametrize("architecture", ["gru"])
def test_the_page_runs_a_night_and_the_golden_night_in_python(bundle, run_python):
    page = (bundle / "README.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(first.splitlines()) <= 12
    for code in (first, second):
        (bundle / "example.py").write_text(code)
        done = run_python("example.py", cwd=bundle)
        assert done.returncode == 0, done.stderr
    assert re.search(r"99 % of differences below [\d.e-]+\nsame stage (1|0\.9)", done.stdout)


@pytest.mark.parametrize("architecture", ["gru"])
def test_the_page_names_every_file_of_the_bundle(bundle):
    page = (bundle / "README.md").read_text()
    named = set(re.findall(r"^\| (`.*?) \|", page, re.M))
    named = {name for cell in named for name in re.findall(r"`(.*?)`", cell)}
    assert {path.name for path in bundle.iterdir()} - {"README.md"} - {
        path.name for path in bundle.glob("*.png")
    } <= named


def without_words(text):
    """Swift without comments and what strings say; what they interpolate stays."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    return re.sub(r'"((?:\\\(|[^"\\])*)"', lambda m: "".join(re.findall(r"[()]", m[1])), text)


@every
def test_swift_is_balanced(bundle):
    open_ones, pairs = [], {")": "(", "]": "[", "}": "{"}
    for character in without_words((bundle / "SleepStager.swift").read_text()):
        if character in pairs.values():
            open_ones.append(character)
        elif character in pairs:
            assert open_ones.pop() == pairs[character]
    assert not open_ones


@every
def test_swift_uses_only_constants_that_are_there(bundle):
    text = (bundle / "SleepStager.swift").read_text()
    there = set(re.findall(r"static let (\w+):", text)) | set(re.findall(r"struct (\w+)", text))
    assert set(re.findall(r"Contract\.(\w+)", without_words(text))) <= there


@pytest.mark.parametrize("architecture", ["gru"])
def test_swift_calls_the_runtime_by_its_own_names(bundle):
    """Of TensorFlowLiteSwift: Sources/Interpreter.swift and Sources/SignatureRunner.swift of TensorFlow."""
    text = (bundle / "SleepStager.swift").read_text()
    for call in (
        "Interpreter.Options()",
        ".threadCount = 1",
        "Interpreter(modelPath: file.path, options: ",
        ".signatureRunner(with: call.signature)",
        ".invoke(with: inputs)",
        ".output(named: tensor.name).data",
    ):
        assert call in text


@pytest.mark.parametrize("architecture", ["gru"])
def test_python_is_clean(bundle, run_python):
    """Templates are not linted; what they give is."""
    rules = "E,F,I,B,UP,SIM,C4,PIE"
    command = ["-m", "ruff", "check", "--isolated", "--line-length", WIDTH, "--target-version", "py39"]
    done = run_python(*command, "--select", rules, bundle / "sleep_stager.py")
    assert done.returncode == 0, done.stdout


@every
def test_the_page_says_of_raw_motion_and_operating_points_what_the_contract_has(bundle):
    with_all = (bundle / "README.md").read_text()
    assert "Activity counts come from it by themselves." in with_all
    assert "| `rem` | " in with_all
    document = Contract.read(bundle).document() | {"preprocessing": {}, "operating_points": {}}
    write_apps(bundle, Contract.model_validate(document))
    without = (bundle / "README.md").read_text()
    assert "Activity counts come from it by themselves." not in without
    assert "Operating points" not in without
    assert "\n\n\n\n" not in without


@pytest.mark.parametrize("architecture", ["gru"])
def test_the_page_has_the_rule_for_unknown_stages_and_every_reason(bundle):
    document = Contract.read(bundle).document() | {"unknown": {"absent_seconds": 420, "off_wrist_seconds": 3000}}
    contract = Contract.model_validate(document)
    write_apps(bundle, contract)
    page = (bundle / "README.md").read_text()
    assert "absent for 7 minutes" in page and "moved for 50 minutes" in page
    assert all(f"`{reason}`" in page for reason in REASONS)
    assert all(f"**`{name}`**" in page for name in ("Unknown", "coverage", "dropped", "findings"))


@pytest.mark.parametrize("architecture", ["gru"])
def test_the_schema_is_that_of_the_contract(bundle):
    schema = json.loads((bundle / "contract.schema.json").read_text())
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract.keys() <= schema["properties"].keys()
    assert {"architecture", "stages", "seconds", "channels", "precisions"} <= {*schema["required"]} <= contract.keys()
    tensor = contract["precisions"]["float32"]["calls"][0]["inputs"][0]
    assert (
        tensor.keys() <= schema["$defs"]["Tensor"]["properties"].keys()
    )  # "from", not the name that Python has for it
