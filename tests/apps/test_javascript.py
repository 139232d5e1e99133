"""apps/javascript: all test vectors in Node, by a stand-in that hands the calls to ai-edge-litert and by LiteRT.js
itself; what vectors cannot say (javascript/stager.test.mjs); its types, and what npm would pack.

LiteRT.js in Chromium replays the vectors in tests/runtimes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apps.answers import check
from tests.apps.vectors import FOLDER, VECTORS, bundle_of, read_vector

pytestmark = pytest.mark.runtimes

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "apps" / "javascript"
LITERT = ROOT / "watch_sim" / "page" / "litert"
OWN = Path(__file__).parent / "javascript"
CODE = sorted(LIBRARY.glob("*.js"))
TYPED = """
import { loadLitert, segments, SleepStager, StagerError, type Epoch, type Segment } from "sleep-stager";

const litert = await loadLitert({ wasm: new URL("https://example.org/wasm/") });
const stager: SleepStager = await SleepStager.create({ litert, base: "/bundle/", contractSha256: "ab", start: 0 });
stager.feed("heart_rate", 1, 60);
stager.feed("motion", 1, new Float32Array(3));
const night: Epoch[] = await stager.take(30.1);
const since: number | null | undefined = night[0].coverage.heart_rate?.secondsSince;
const runs: Segment[] = segments(night, { platform: "health_connect", zone: "+02:00" });
// @ts-expect-error: there is no such sensor
stager.feed("pulse", 1, 60);
// @ts-expect-error: motion has three values
stager.feed("motion", 1, 60);
// @ts-expect-error: there is no such platform
stager.segments(night, { platform: "fitbit" });
export const words = new StagerError("wrong_state", `${since} ${runs.length} ${stager.simulated}`).code;
"""


@pytest.fixture(scope="module")
def node():
    return found("node")


def found(program):
    """Path of a program; skips the test where it is not installed."""
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def output(*command, **settings):
    """What a command says, when it ends well."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("runtime", ["stand-in", "LiteRT.js"])
@pytest.mark.parametrize("name", VECTORS)
def test_vector(node, name, runtime, tmp_path):
    vector = read_vector(name)
    folder = bundle_of(vector, tmp_path)
    interpreters = f"{sys.executable}\n{Path(__file__).parent / 'interpreters.py'}\n{tmp_path}"
    where = "stand-in" if runtime == "stand-in" else LITERT
    environment = os.environ | {"INTERPRETERS": interpreters}
    said = output(node, OWN / "driver.mjs", VECTORS[name], folder, where, env=environment)
    check(vector, json.loads(said))


def test_what_vectors_cannot_say(node):
    said = output(node, "--test", OWN)
    assert int(re.search(r"^# pass (\d+)", said, re.M).group(1)) >= 39


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_syntax(node, path):
    output(node, "--check", path)


def test_nothing_is_imported_but_the_library_itself():
    """A page without a bundler can import it, and no bundler looks for modules of Node."""
    for path in CODE:
        for name in re.findall(r"(?:^(?:im|ex)port .* from |import\()\"([^\"]+)\"", path.read_text(), re.M):
            assert (LIBRARY / name).is_file() if name.startswith("./") else name == "@litertjs/core", path


def test_what_npm_packs(tmp_path):
    said = output(found("npm"), "pack", "--dry-run", "--json", cwd=LIBRARY)
    (packed,) = json.loads(said)
    names = {file["path"] for file in packed["files"]}
    assert names == {path.name for path in CODE} | {
        "LICENSE", "README.md", "example.html", "package.json", "sleep-stager.d.ts",
    }  # fmt: skip
    assert packed["name"] == "sleep-stager"
    assert packed["size"] < 40_000
    listed = json.loads((LIBRARY / "package.json").read_text())["files"]
    assert {*listed} == names - {"LICENSE", "README.md", "package.json"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that has installed the library, LiteRT.js and TypeScript; skips the tests where npm cannot get them."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm = found("npm")
    output(npm, "pack", LIBRARY, cwd=folder)
    packages = ["./sleep-stager-1.0.0.tgz", "typescript@5.9.3"]  # LiteRT.js comes as what the library asks for
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    command = [npm, "install", *options, *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def test_types(project):
    (project / "app.mts").write_text(TYPED)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    output(project / "node_modules" / ".bin" / "tsc", *options, "app.mts", cwd=project)


def test_the_readme_runs_in_node(project, node):
    """Its quick start, as it stands there, with LiteRT.js as npm installs it."""
    (code,) = re.findall(r"```javascript\n(import \{ SleepStager \}.*?)```", (LIBRARY / "README.md").read_text(), re.S)
    (project / "night.mjs").write_text(code)
    shutil.copytree(FOLDER / "bundles" / "all", project / "bundle", dirs_exist_ok=True)
    stages = output(node, "night.mjs", cwd=project).splitlines()[0].split(" ")
    assert len(stages) == 20
    assert {*stages} <= {"Wake", "N1", "N2", "N3", "REM"}
