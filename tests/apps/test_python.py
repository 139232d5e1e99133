"""apps/python/sleep_stager.py: every test vector, and what only this language has."""

import ast
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apps.python import sleep_stager
from apps.python.sleep_stager import REASONS, SIMULATED, SleepStager, StagerError
from tests.apps.vectors import FOLDER, VECTORS, bundle_of, read_vector

SOURCE = Path(sleep_stager.__file__)
BUNDLES = FOLDER / "bundles"


def opened(vector, folder, **settings):
    """A stager as a vector wants it."""
    names = ("precision", "operating_point", "contract_sha256")
    settings = {name: vector[name] for name in names if name in vector} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SleepStager(folder, **settings)


class Player:
    """Plays the steps of a vector."""

    def __init__(self, vector, folder):
        self.vector, self.folder = vector, folder
        self.stager = opened(vector, folder, start=vector["start"])
        self.epochs, self.saved = [], b""

    def play(self, step):
        if "feed" in step:
            for sensor, t, value in step["feed"]:
                self.stager.feed(sensor, float(t), np.float64(value).tolist())
        elif "take" in step:
            now = step["take"]
            taken = self.stager.take(None if now is None else float(now))
            self.epochs += taken
            return taken
        elif "save" in step:
            self.saved = self.stager.save()
        elif step.get("restore") is True:
            self.stager = opened(self.vector, self.folder, start=-77.0)
            self.stager.restore(self.saved)
        elif "restore" in step:
            damaged = step["restore"] == "damaged"
            other = self.stager if damaged else opened(self.vector, self.folder, **self.other(step["restore"]))
            other.restore(self.saved[: len(self.saved) // 2] if damaged else self.saved)
        elif "reset" in step:
            self.stager.reset(float(step["reset"]))
        elif "segments" in step:
            how = step["segments"]
            return self.stager.segments(self.epochs, how["zone"], how["platform"], how["origin"])
        return None

    def other(self, what):
        """Settings of a stager that must refuse the state."""
        if what == "other_precision":
            return {"precision": "float32"}
        return {"operating_point": None if self.vector["operating_point"] else "rem"}


def check_epochs(epochs, expected, tolerance):
    assert [e.time for e in epochs] == pytest.approx([e["time"] for e in expected], abs=1e-6)
    assert [e.stage for e in epochs] == [e["stage"] for e in expected]
    for epoch, entry in zip(epochs, expected, strict=True):
        assert epoch.probabilities.dtype == np.float32
        np.testing.assert_allclose(epoch.probabilities, entry["probabilities"], rtol=0, atol=tolerance)
        assert {name: c.seconds_since for name, c in epoch.coverage.items()} == {
            name: c["seconds_since"] for name, c in entry["coverage"].items()
        }
        for name, coverage in epoch.coverage.items():
            assert coverage.share == pytest.approx(entry["coverage"][name]["share"], abs=1e-9)


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name, tmp_path):
    vector = read_vector(name)
    folder = bundle_of(vector, tmp_path)
    if "open" in vector:
        with pytest.raises(StagerError) as caught:
            opened(vector["open"], folder)
        assert caught.value.code == vector["error"]
        assert len(str(caught.value)) > 20 and "\n" not in str(caught.value)
        return
    player = Player(vector, folder)
    for step in vector["steps"]:
        if "error" in step:
            with pytest.raises(StagerError) as caught:
                player.play(step)
            assert caught.value.code == step["error"]
            continue
        answer = player.play(step)
        if "epochs" in step:
            check_epochs(answer, step["epochs"], vector["tolerance"])
        elif "dropped" in step:
            counts = {s: {r: n for r, n in d.items() if n} for s, d in player.stager.dropped.items()}
            assert {sensor: d for sensor, d in counts.items() if d} == step["dropped"]
        elif "findings" in step:
            assert player.stager.findings == step["findings"]
        elif "values" in step:
            assert [segment._asdict() for segment in answer] == step["values"]


def error_codes():
    """Every code that the source raises."""
    return set(re.findall(r'StagerError\(\s*"(\w+)"', SOURCE.read_text())) | set(
        re.findall(r'one_of\("(\w+)"', SOURCE.read_text())
    )


def test_every_error_code_has_a_vector():
    vectors = [read_vector(name) for name in VECTORS]
    codes = {vector.get("error") for vector in vectors}
    codes |= {step.get("error") for vector in vectors for step in vector.get("steps", ())}
    assert codes - {None} == error_codes()
    assert len(error_codes()) == 14


def test_every_reason_and_both_findings_have_a_vector():
    steps = [step for name in VECTORS for step in read_vector(name).get("steps", ())]
    reasons = {reason for step in steps for dropped in step.get("dropped", {}).values() for reason in dropped}
    assert reasons == set(REASONS)
    findings = {finding for step in steps for finding in step.get("findings", ())}
    assert {finding.split(":")[0] for finding in findings} == {"heart_rate", "motion"} and len(findings) >= 5


def test_errors_are_value_errors_that_name_what_was_given():
    stager = SleepStager(BUNDLES / "counts")
    with pytest.raises(ValueError, match="sensor 'spo2': expected one of heart_rate, motion, steps, activity"):
        stager.feed("spo2", 1, 97)
    with pytest.raises(StagerError, match=r"t=1\.7e\+12 s: more than a night .* are these milliseconds\?"):
        stager.feed("heart_rate", 1.7e12, 60)
    with pytest.raises(StagerError, match="now='soon': expected a time in seconds"):
        stager.take("soon")
    for value, shown in ((None, "None"), ("fast", "'fast'"), ([[1], [2, 3]], r"\[\[1\], \[2, 3\]\]")):
        with pytest.raises(StagerError, match=f"heart_rate: {shown}, expected 1 numbers") as caught:
            stager.feed("heart_rate", 1, value)
        assert caught.value.code == "wrong_value_count"
    for t in (None, "soon", [1, 2]):
        with pytest.raises(StagerError, match="expected a time in seconds") as caught:
            stager.feed("heart_rate", t, 60)
        assert caught.value.code == "not_a_time"
    with pytest.raises(StagerError, match="heart_rate: 2 values, expected 30"):
        stager.step({"heart_rate": [60, 61], "activity": [0, 0]})
    with pytest.raises(StagerError, match="activity: 0 values, expected 2"):
        stager.step({"heart_rate": [60] * 30})


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda d: d["seconds"].pop("stride"), "seconds.stride: missing"),
        (lambda d: d["channels"][1].update(missing=None), "channels.1.missing: None, expected int or float"),
        (lambda d: d["channels"][1].update(missing=math.nan), "channels.1.missing: nan, expected int or float"),
        (lambda d: d["seconds"].update(row=0), "seconds.row: 0, expected 1 or more"),
        (lambda d: d["seconds"].update(window=10**400), "seconds.window: 1000000000"),
        (lambda d: d["operating_points"]["rem"].update(weights=[10**400] * 5), "operating_points.rem.weights.0: 1000"),
        (lambda d: d["channels"][1].update(seconds_per_value=0), "channels.1.seconds_per_value: 0, expected a"),
        (lambda d: d["sensors"].update(steps=[]), "sensors.steps: expected an object"),
        (lambda d: d["precisions"]["int8"].update(calls={}), "precisions.int8.calls: expected a list"),
        (lambda d: d["precisions"]["int8"]["states"]["hidden"].pop("initial"), "precisions.int8.states.hidden.initial"),
        (lambda d: d["precisions"]["int8"]["calls"][0]["inputs"][0].pop("from"), "calls.0.inputs.0.from: missing"),
        (lambda d: d["precisions"]["int8"]["calls"][1]["inputs"][0].update(dtype="int8"), "hidden is int8, expected"),
        (lambda d: d["operating_points"]["rem"].update(weights=["1"]), "operating_points.rem.weights.0: '1', expected"),
        (lambda d: d["training_data"].pop("simulated"), "training_data.simulated: missing"),
        (lambda d: d["preprocessing"]["activity"].pop("bin_seconds"), "preprocessing.activity.bin_seconds: missing"),
        (
            lambda d: d["preprocessing"]["activity"].update(call_seconds=7),
            "preprocessing.activity.call_seconds: 7, ex",
        ),
        (lambda d: d.update(format="wristsleep-contract/2"), "format: expected 'wristsleep-contract/1'"),
        (lambda d: d.clear(), "format: missing"),
    ],
)
def test_a_contract_that_is_not_supported_names_the_field(alter, message, tmp_path):
    document = json.loads((BUNDLES / "all" / "contract.json").read_text())
    alter(document)
    (tmp_path / "contract.json").write_text(json.dumps(document))
    with pytest.raises(StagerError, match=re.escape(f"{tmp_path / 'contract.json'}: ")) as caught:
        SleepStager(tmp_path)
    assert caught.value.code == "unsupported_contract" and message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"'])
def test_what_is_no_contract(text, tmp_path):
    (tmp_path / "contract.json").write_text(text)
    with pytest.raises(StagerError) as caught:
        SleepStager(tmp_path)
    assert caught.value.code == "unsupported_contract"


def test_a_saved_state_that_was_altered_anywhere_is_refused():
    stager = SleepStager(FOLDER / "bundles" / "counts")
    for t in range(0, 90, 5):
        stager.feed("heart_rate", t, 60)
    stager.take()
    saved = stager.save()
    for i in range(0, len(saved), max(1, len(saved) // 50)):
        with pytest.raises(StagerError) as error:
            stager.restore(saved[:i] + bytes([saved[i] ^ 1]) + saved[i + 1 :])
        assert error.value.code == "wrong_state"
    stager.restore(saved)
    assert stager.save() == saved


def test_a_state_of_another_operating_point_is_refused_and_an_earlier_one_without_its_weights_is_taken():
    plain = SleepStager(FOLDER / "bundles" / "counts")
    weighed = SleepStager(FOLDER / "bundles" / "counts", operating_point="rem")
    plain.feed("heart_rate", 40, 60)
    saved, before = plain.save(), weighed.save()
    with pytest.raises(StagerError, match="of another operating point"):
        weighed.restore(saved)
    assert weighed.save() == before
    earlier = json.loads(saved[64:])
    assert earlier.pop("weights") == []
    content = json.dumps(earlier).encode()
    weighed.restore(hashlib.sha256(content).hexdigest().encode() + content)
    assert len(weighed.take(60)) == 2


def test_a_pinned_contract_is_taken():
    digest = hashlib.sha256((BUNDLES / "counts" / "contract.json").read_bytes()).hexdigest()
    assert SleepStager(BUNDLES / "counts", contract_sha256=digest.upper()).contract_sha256 == digest


def test_simulated_nights_are_warned_of_once():
    with pytest.warns(UserWarning, match=re.escape(SIMULATED)) as warned:
        assert SleepStager(BUNDLES / "all").simulated
    assert len(warned) == 1 and warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not SleepStager(BUNDLES / "counts").simulated


def test_motion_is_counted_in_calls_of_call_seconds(tmp_path):
    """An activity call may take less than a stride: states go from call to call, the counts are appended."""
    stager = SleepStager(BUNDLES / "motion")
    seconds = stager.motion_plan.get("call_seconds", stager.stride)
    calls = []

    def record(**inputs):
        calls.append(inputs)
        n = seconds // 15
        return {"activity": np.float32([[10 * len(calls) + i for i in range(n)]]), "history_out": inputs["history"] + 1}

    (call,) = stager.motion_plan["calls"]
    run = stager.runners[call["file"]]
    stager.runners[call["file"]] = lambda **inputs: run(**inputs) | record(**inputs)
    for t in np.arange(0, 60.2, 0.1):
        stager.feed("motion", t, [0, 0, 1])
    stager.take(60)
    assert len(calls) == 60 // seconds
    assert {x["motion"].shape for x in calls} == {(1, 50 * seconds, 3)}
    for before, after in pairwise(calls):
        np.testing.assert_array_equal(after["history"], before["history"] + 1)


def test_numpy_and_a_runtime_are_all_it_needs():
    tree = ast.parse(SOURCE.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy"}


def test_the_older_runtime_is_taken_where_there_is_no_other(run_python, tmp_path):
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").write_text("__version__ = '2.14.0'\n")
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("class Interpreter:\n    pass\n")
    code = "import sys; sys.modules['ai_edge_litert'] = None; import sleep_stager; print(sleep_stager.load_runtime())"
    done = run_python("-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(SOURCE.parent)!r}]; {code}")
    assert "'tflite-runtime-2.14', <class 'tflite_runtime.interpreter.Interpreter'>" in done.stdout, done.stderr


def test_the_wheel_has_the_version_of_the_format_and_the_readme_every_code():
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())
    assert project["project"]["version"].split(".")[0] == sleep_stager.FORMAT.rpartition("/")[2]
    assert project["tool"]["setuptools"]["py-modules"] == ["sleep_stager"]
    page = (SOURCE.parent / "README.md").read_text()
    assert all(f"`{code}`" in page for code in error_codes())


def test_the_readme_gets_from_a_bundle_to_a_stage(run_python, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (SOURCE.parent / "README.md").read_text(), re.DOTALL)
    shutil.copy(SOURCE, tmp_path)
    (tmp_path / "bundle").symlink_to(BUNDLES / "overlap")
    (tmp_path / "first.py").write_text(code)
    done = run_python("first.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2


OLDER = FOLDER.parents[1] / ".venv-older" / "bin" / "python"
PLAY = """
import json, sys, warnings
sys.path.insert(0, sys.argv[1])
from sleep_stager import SleepStager, load_runtime
warnings.simplefilter("ignore")
vector, night = json.load(open(sys.argv[2])), []
stager = SleepStager(sys.argv[3], vector["precision"], vector["start"])
for step in vector["steps"]:
    for sensor, t, value in step.get("feed", ()):
        stager.feed(sensor, t, value)
    if "take" in step:
        night += stager.take(step["take"])
print(json.dumps([load_runtime()[0], [[e.stage, *e.probabilities.tolist()] for e in night]]))
"""


@pytest.mark.runtimes
@pytest.mark.parametrize("name", ["half_hour", "everything", "coarse_restarted"])
def test_the_older_runtime_gives_the_same(name):
    if not OLDER.exists():
        pytest.skip(f"{OLDER} is missing; make test-runtimes makes it")
    bundle = BUNDLES / read_vector(name)["bundle"]
    command = [OLDER, "-c", PLAY, SOURCE.parent, VECTORS[name], bundle]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runtime, night = json.loads(done.stdout)
    expected = [e for step in read_vector(name)["steps"] for e in step.get("epochs", ())]
    assert runtime == "tflite-runtime-2.14"
    assert [stage for stage, *_ in night] == [e["stage"] for e in expected]
    np.testing.assert_allclose([p for _, *p in night], [e["probabilities"] for e in expected], rtol=0, atol=1e-4)


def test_without_a_runtime_it_says_what_to_install(monkeypatch):
    for name in sleep_stager.RUNTIMES:
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        sleep_stager.load_runtime()
