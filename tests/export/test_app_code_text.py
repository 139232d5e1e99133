"""The text of app code and of the page for developers: that all of a contract is in it, and what can be seen of Swift
without its compiler. What it does is tested in test_apps.py.
"""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from export.apps import CODE, TEMPLATES, WIDTH, constants, laid_out, write_apps
from pipeline.options import ARCHITECTURES

every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture
def bundle(quick_run, architecture, tmp_path):
    """A bundle with its app code."""
    folder = Path(shutil.copytree(quick_run.folder / "bundles" / architecture, tmp_path / architecture))
    write_apps(folder, json.loads((folder / "contract.json").read_text()))
    return folder


def contract_of(folder):
    return json.loads((folder / "contract.json").read_text())


def strings_of(value):
    """All names and words of a contract that app code needs: files, digests, signatures, tensors, states, stages."""
    if isinstance(value, dict):
        return {x for each in value.values() for x in strings_of(each)}
    if isinstance(value, list):
        return {x for each in value for x in strings_of(each)}
    return {value} if isinstance(value, str) else set()


@every
def test_all_of_the_contract_is_in_every_language(bundle):
    known = constants(contract_of(bundle))
    wanted = strings_of({**known, "channels": [c | {"value": ""} for c in known["channels"]]})
    wanted |= {name for plan in (known["activity"], *known["precisions"].values()) for name in plan["states"]}
    wanted |= {*known["precisions"], *known["operating_points"], *known["sensors"]}
    for name in CODE:
        found = set(re.findall(r'"([^"\n]*)"', (bundle / name).read_text()))
        assert wanted - found <= {""}, name
    assert any(len(word) == 64 for word in wanted)


@every
def test_nothing_is_left_to_fill_in(bundle):
    for name in (*CODE, "README.md"):
        text = (bundle / name).read_text()
        assert "{{" not in text
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
        assert max(map(len, text.splitlines())) <= WIDTH, name
        assert text.count("constants of the contract") == 2 * (name != "README.md")


def test_python_needs_numpy_and_the_runtime_alone():
    tree = ast.parse((TEMPLATES / "sleep_stager.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names}
    assert roots - sys.stdlib_module_names == {"numpy", "ai_edge_litert", "tflite_runtime"}
    assert not re.search(r"^\s*import |\bfrom \"", (TEMPLATES / "sleep-stager.js").read_text().split("*/")[1], re.M)


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


def test_swift_calls_the_runtime_by_its_own_names():
    """Of TensorFlowLiteSwift: Sources/Interpreter.swift and Sources/SignatureRunner.swift of TensorFlow."""
    text = (TEMPLATES / "SleepStager.swift").read_text()
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
def test_other_tensors_than_float32_are_refused(bundle):
    contract = contract_of(bundle)
    contract["precisions"]["float32"]["calls"][1]["inputs"][0]["dtype"] = "int8"
    with pytest.raises(ValueError, match=r"gru\.float32\.tflite: inputs are not all float32"):
        write_apps(bundle, contract)


def test_text_is_broken_over_lines_where_it_is_too_long():
    short, long = ("[", ["1", "2"], "]"), ("f(", ["x" * 60, ("[", ["y" * 59], "]")], ")")
    assert laid_out(short, 4) == "[1, 2]"
    assert laid_out(long, 4) == f"f(\n    {'x' * 60},\n    [{'y' * 59}]\n)"
