"""apps/swift without a Swift toolchain: that its source parses, and that its words and numbers are those of Python's.

Nothing of it is compiled or run here. Where there is a toolchain (a Mac, Linux with Swift), `swift test` in apps/swift
runs every test vector.
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from apps.python import sleep_stager
from export.handover import PLATFORMS

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "apps" / "swift"
FILES = sorted(path for path in LIBRARY.rglob("*.swift") if ".build" not in path.parts)
SOURCES = [path for path in FILES if "Sources" in path.parts]
TEXT = {path.name: path.read_text() for path in FILES}
PAGE = (LIBRARY / "README.md").read_text()
PYTHON = Path(sleep_stager.__file__).read_text()
WIDTH = 120
APPLE = {"CoreMotion", "CryptoKit", "HealthKit", "TensorFlowLite", "WatchConnectivity", "os"}  # not on Linux
RUNTIME = "tensorflow-lite-swift"


def enum_cases(file, name, level=""):
    """{raw value: case} of an enum, in its order."""
    body = re.search(rf"^{level}public enum {name}: String.*?\n{level}\}}", TEXT[file], re.MULTILINE | re.DOTALL)[0]
    return {value: case for case, value in re.findall(r'^ +case (\w+) = "(.*)"$', body, re.MULTILINE)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_source_parses(path):
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_swift")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    wrong, nodes = [], [parser.parse(path.read_bytes()).root_node]
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.type == "ERROR" or node.is_missing:
            wrong.append(f"line {node.start_point[0] + 1}: {node.text.decode()[:60]}")
    assert not wrong


@pytest.mark.runtimes
def test_vectors_where_there_is_a_toolchain(tmp_path):
    swift = shutil.which("swift")
    if not swift:
        pytest.skip("swift is not installed")
    command = [swift, "test", "--package-path", LIBRARY, "--scratch-path", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_are_short(path):
    lines = TEXT[path.name].splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines)) <= WIDTH


def test_error_codes_are_those_of_every_language():
    codes = enum_cases("StagerError.swift", "Code", "    ")
    assert set(codes) == set(re.findall(r'(?:StagerError|one_of)\(\s*"(\w+)"', PYTHON)) and len(codes) == 14
    assert all(re.search(rf"[(,]\s*\.{case},", "".join(map(Path.read_text, SOURCES))) for case in codes.values())
    assert all(f"`{case}`" in PAGE for case in codes.values())


def test_sensors_and_drop_reasons():
    assert tuple(enum_cases("Types.swift", "DropReason")) == sleep_stager.REASONS
    assert tuple(enum_cases("Types.swift", "Sensor")) == tuple(sleep_stager.REQUIRED["sensors"])


def test_stages_and_their_codes():
    stages = enum_cases("Types.swift", "Stage")
    assert tuple(stages) == (*sleep_stager.STAGES, sleep_stager.UNKNOWN)
    assert set(enum_cases("Types.swift", "HealthStore")) == set(sleep_stager.CODES)
    for store, expected in {"healthKit": "healthkit", "healthConnect": "health_connect"}.items():
        body = re.search(rf"private var {store}: Int\? \{{(.*?)\n    \}}", TEXT["Types.swift"], re.DOTALL)[1]
        found = dict(re.findall(r"case \.(\w+): return (\d+|nil)", body))
        codes = map(str, sleep_stager.CODES[expected])
        assert found == dict(zip(stages.values(), (*codes, "nil"), strict=True))
        names = re.search(rf"case \.{store}: return \[(.*)\]", TEXT["Segments.swift"])[1]
        assert {int(k): v for k, v in re.findall(r'(\d+): "(\w+)"', names)} == sleep_stager.NAMES[expected]


def test_format_version_and_words():
    assert f'private let format = "{sleep_stager.FORMAT}"' in TEXT["Contract.swift"]
    version = tomllib.loads((ROOT / "apps" / "python" / "pyproject.toml").read_text())["project"]["version"]
    assert f"// version {version}:" in TEXT["Package.swift"]
    assert f'"{sleep_stager.SIMULATED}"' in TEXT["SleepStager.swift"]
    for _, hint in sleep_stager.GUARDED.values():
        assert f'"{hint}"' in TEXT["InputGuard.swift"]
    for hint in ("it is in another unit", "gravity seems to have been removed: feed acceleration with gravity"):
        assert f'"{hint}"' in TEXT["InputGuard.swift"] and f'"{hint}"' in PYTHON


def names_in(form):
    """All field names of a form of the contract."""
    if isinstance(form, dict):
        return {name for name in form if name != "*"}.union(*map(names_in, form.values()))
    return names_in(form[0]) if isinstance(form, list) else set()


def test_fields_of_the_contract():
    text = TEXT["Contract.swift"] + TEXT["Plan.swift"]
    found = set(re.findall(r'\.(?:get|find)\("(\w+)"\)', text))
    expected = names_in(sleep_stager.REQUIRED) | names_in(sleep_stager.OPTIONAL) | {"format", "runtimes", "dtype"}
    by_name = set(sleep_stager.REQUIRED["sensors"])  # taken by the sensors' names
    assert found | by_name | {"from"} == expected | {"activity", "call_seconds"}
    assert 'linkName: "from"' in text and 'linkName: "to"' in text


def test_apples_modules_are_imported_only_where_they_are():
    """So that the package, which has no dependency, and its tests build on Linux as well."""
    for path in FILES:
        text = TEXT[path.name]
        imported = set(re.findall(r"^(?:@testable )?import (\w+)", text, re.MULTILINE))
        inside = {"Sources", "Tests"} & set(path.parts)
        for module in imported & APPLE if inside else ():
            assert f"#if canImport({module})\n" in text or text.startswith("#if (os(iOS)"), f"{path.name}: {module}"
        assert "TensorFlowLite" not in imported or path.parent.name == "LiteRT"


def test_the_runtime_goes_by_one_name_and_is_called_by_its_own():
    """Of TensorFlowLiteSwift: Sources/Interpreter.swift and Sources/SignatureRunner.swift of TensorFlow."""
    text = TEXT["LiteRTRuntime.swift"]
    for call in (
        "Interpreter.Options()", ".threadCount = 1", "Interpreter(modelPath: file.path, options: options)",
        ".signatureRunner(with: signature)", ".invoke(with: data)", ".output(named: name).data",
    ):  # fmt: skip
        assert call in text
    for file in ("LiteRTRuntime.swift", "StandIn.swift"):
        assert f'let name = "{RUNTIME}"' in TEXT[file]
    assert f"`{RUNTIME}`" in PAGE
    refused = (ROOT / "tests" / "vectors" / "open_refused_runtime.json").read_text()
    assert f'"{RUNTIME}"' in refused


def test_no_expression_has_try_to_the_right_of_an_operator():
    """A parser takes it, a compiler does not."""
    for path in FILES:
        code = re.sub(r"//[^\n]*", "", TEXT[path.name])
        assert not re.search(r"(?: [-*/<>?:+]| ==| !=| &&| \|\|) try\b(?![?!])", code), path.name


def test_the_page_shows_code_that_is_there():
    assert PLATFORMS["ios"].library == "swift"
    assert "compiled" in PAGE and "watchOS" in PAGE
    whole = re.sub(r"\s+", " ", "\n".join(TEXT.values()))
    blocks = re.findall(r"```swift\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        assert re.sub(r"\s+", " ", block).strip() in whole, block
    for name in re.findall(r"`((?:Samples|LiteRT|Sources|Tests)/[\w/]+\.swift)`", PAGE):
        assert (LIBRARY / name).is_file()
    samples = {path.name for path in LIBRARY.glob("Samples/*.swift")}
    assert samples == {Path(name).name for name in re.findall(r"Samples/\w+\.swift", PAGE)}
