"""apps/kotlin on the JVM: every test vector, the tests of kotlin/Tests.kt, and what can be read off its source.

All in one process: compiling takes half a minute. The runtime's class is a stand-in that hands each call to
ai-edge-litert (kotlin/Interpreter.kt, interpreters.py). Android's and Health Connect's types are declarations in
kotlin/stubs, against which the library's Android files and its samples are compiled: that they run on Android is not
shown here.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.vectors import FOLDER, VECTORS, bundle_of, read_vector

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "apps" / "kotlin"
SOURCES = sorted((LIBRARY / "src" / "main" / "kotlin").rglob("*.kt"))
SAMPLES = sorted((LIBRARY / "samples").rglob("*.kt"))
TESTS = re.findall(r'^    "(.+)" to ::\w+', (HERE / "kotlin" / "Tests.kt").read_text(), re.MULTILINE)
BUNDLE = FOLDER / "bundles" / "all"
WIDTH = 120


def found(program):
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.fixture(scope="module")
def jar(tmp_path_factory):
    """Library, samples, stubs and driver, compiled without a warning about the first two."""
    path = tmp_path_factory.mktemp("kotlin") / "all.jar"
    sources = [*SOURCES, *SAMPLES, *(HERE / "kotlin").rglob("*.kt")]
    done = subprocess.run(
        [found("kotlinc"), *sources, "-include-runtime", "-d", path], capture_output=True, text=True, timeout=600
    )
    assert path.exists(), done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith(str(LIBRARY))]
    assert not warnings, warnings
    return path


def environment(folder):
    """With the command of the stand-in for the runtime; models that write down their inputs do so in the folder."""
    return os.environ | {
        "INTERPRETERS": f"{sys.executable}\n{HERE / 'interpreters.py'}\n{folder}",
        "BUNDLE": str(BUNDLE),
    }


@pytest.fixture(scope="module")
def answers(jar, tmp_path_factory):
    """{vector or test: what the driver said of it}."""
    scratch, lines = tmp_path_factory.mktemp("bundles"), {}
    for name, path in VECTORS.items():
        (scratch / name).mkdir()
        lines[name] = f"{path}\t{bundle_of(read_vector(name), scratch / name)}"
    lines |= {name: f"test\t{name}" for name in TESTS}
    done = subprocess.run(
        [found("java"), "-cp", jar, "dev.wristsleep.VectorsKt"],
        input="".join(f"{line}\n" for line in lines.values()),
        capture_output=True,
        text=True,
        timeout=900,
        env=environment(scratch),
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0 and len(said) == len(lines), done.stderr[-3000:]
    return dict(zip(lines, said, strict=True))


@pytest.mark.runtimes
@pytest.mark.parametrize("name", VECTORS)
def test_vector(answers, name):
    assert answers[name] == "passed"


@pytest.mark.runtimes
@pytest.mark.parametrize("name", TESTS)
def test_what_a_vector_cannot_say(answers, name):
    assert answers[name] == "passed"


@pytest.mark.runtimes
def test_the_page_gives_stages_without_android(jar, tmp_path):
    command = [found("java"), "-cp", jar, "com.example.sleep.DesktopKt", BUNDLE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(tmp_path))
    assert len(re.findall(r"^176[78]\d{6} (?:WAKE|N1|N2|N3|REM) \{HEART_RATE=", done.stdout, re.MULTILINE)) == 20, (
        done.stderr
    )
    assert "2026-01-09T23:00:00Z" in done.stdout
    assert "its stages say nothing about people" in done.stderr


def test_every_test_is_listed():
    text = (HERE / "kotlin" / "Tests.kt").read_text()
    assert set(re.findall(r"^private fun (\w+)\(\) \{", text, re.MULTILINE)) == set(re.findall(r" to ::(\w+)", text))


def declarations(text):
    """Names of a file's declarations that have no visibility: those at the top, and those in its public types."""
    public = True
    for line in text.splitlines():
        match = re.match(r"(    )?((?:\w+ )*)(class|interface|object|fun|val|var)\b(?: <.*?>)?(?: ([\w.]+))?", line)
        if not match:
            continue
        inner, words, _, name = match.groups()
        hidden = re.search(r"\b(private|internal)\b", words)
        if not inner:
            public = not hidden and match[3] in ("class", "interface", "object")
        if not hidden and "public" not in words and "override" not in words and (public or not inner):
            yield name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_what_is_public_says_so(path):
    """As explicitApi in build.gradle.kts wants it, which the compiler at hand does not know."""
    text = path.read_text()
    assert not list(declarations(text))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert len(text.splitlines()) <= 300


def test_what_is_public_and_does_not_say_so_is_found():
    for name, expected in (("Types.kt", {"Sensor", "Epoch", "time"}), ("SleepStager.kt", {"feed", "simulated"})):
        text = next(path for path in SOURCES if path.name == name).read_text()
        assert expected <= set(declarations(text.replace("public ", "")))


def test_android_is_used_in_files_of_its_own_only():
    using = {path.name for path in SOURCES if re.search(r"^import android", path.read_text(), re.MULTILINE)}
    assert using == {"AndroidAssets.kt", "AndroidSensors.kt"}


def test_the_page_shows_code_that_is_compiled():
    page = (LIBRARY / "README.md").read_text()
    blocks = re.findall(r"```kotlin\n(.*?)```", page, re.DOTALL)
    compiled = "\n".join(path.read_text() for path in SAMPLES)
    compiled = re.sub(r"\s+", " ", compiled)
    code = [block for block in blocks if "implementation(" not in block and "include(" not in block]
    assert code
    for block in code:
        assert re.sub(r"\s+", " ", block).strip() in compiled, block
    for name in ("NightService.kt", "NightFile.kt", "HealthConnect.kt", "AndroidManifest.xml"):
        assert f"samples/{name}" in page and (LIBRARY / "samples" / name).exists()
    build = (LIBRARY / "build.gradle.kts").read_text()
    assert re.search(r"litert:litert:[\d.]+", page)[0] in build


def test_every_error_code_is_on_the_page():
    page = (LIBRARY / "README.md").read_text()
    codes = re.findall(
        r'^    [A-Z_]+\("(\w+)"\)', SOURCES[[p.name for p in SOURCES].index("StagerException.kt")].read_text(), re.M
    )
    assert len(codes) == 14
    assert all(f"`{code.upper()}`" in page for code in codes)
