"""The C++ stager of apps/micro on every test vector: one binary per bundle, its calls made by a Python process, with
ai-edge-litert and, where it is installed, with TensorFlow Lite Micro's own interpreter and kernels.

A microcontroller takes stages after each sample, as it has room for few windows; so does the driver, which keeps them
until the vector asks. Not the library's are: segments, which the phone makes, and reading a contract: what is wrong
with one the exporter says. Findings are codes, not sentences.
"""

import json
import re
from functools import partial

import numpy as np
import pytest

from export.contract import Contract
from export.micro import write_micro
from pipeline.errors import UserMistake
from tests.apps.micro.building import built, drive, epochs, python_of, text
from tests.apps.vectors import VECTORS, bundle_of, read_vector

pytestmark = pytest.mark.runtimes
EXPORTERS = {"refused_runtime"}  # read off contract.json
OPTIONAL = {"open_unsupported_rule"}  # fields that the exporter can do without
OTHERS = {  # a restore that must be refused -> precision and operating point of the stager
    "other_precision": lambda vector: ("float32", vector["operating_point"] or "-"),
    "other_operating_point": lambda vector: (vector["precision"], "-" if vector["operating_point"] else "rem"),
}
NIGHTS = [name for name in VECTORS if "steps" in read_vector(name)]
OPENED = [name for name in VECTORS if "open" in read_vector(name)]
HINTS = {  # of a finding's sentence
    "gravity_removed": "gravity seems to have been removed",
    "metres_per_second_squared": "divide by 9.80665",
    "other_unit": "it is in another unit",
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """(bundle, precision) -> its driver."""
    drivers = {}

    def driver_of(vector, precision):
        key = vector["bundle"], precision
        if key not in drivers:
            bundle = bundle_of({"bundle": vector["bundle"]}, None)
            drivers[key] = built(Contract.read(bundle), bundle, tmp_path_factory.mktemp("model"), precision)
        return drivers[key]

    return driver_of


@pytest.fixture(scope="module", params=["ai-edge-litert", "tflite-micro"])
def run(request):
    """`drive` with a runtime."""
    return partial(drive, python=python_of(request.param), runtime=request.param)


def lines(vector, step, file):
    """Lines that do a step; the answer to the last one counts. None: the step is not for microcontrollers."""
    point = vector["operating_point"] or "-"
    if "feed" in step:
        return [text("feed", sensor, float(t), *map(float, np.ravel(value))) for sensor, t, value in step["feed"]]
    if "take" in step:
        return [text("take", "-" if step["take"] is None else float(step["take"]))]
    if "reset" in step:
        return [text("reset", float(step["reset"]))]
    if step.get("restore") is True:
        return [text("create", -77.0, point), "restore"]
    if step.get("restore") == "damaged":
        return ["restore half"]
    if "restore" in step:
        return [f"store {file}"]
    return None if "segments" in step else [next(word for word in ("save", "dropped", "findings") if word in step)]


def check_findings(answer, sentences):
    words = answer.split()
    assert len(words) == len(sentences)
    for word, sentence in zip(words, sentences, strict=True):
        sensor, kind, outside, seen = word.split(".")
        assert sentence.startswith(f"{sensor}: ")
        counts = re.search(r"(\d+) of the (\d+) samples", sentence)
        assert (kind == "out_of_range") == bool(counts)
        assert counts is None or counts.groups() == (outside, seen)
        assert kind == "out_of_range" or HINTS[kind] in sentence


@pytest.mark.parametrize("name", NIGHTS)
def test_vector(name, driver, run, tmp_path):
    vector = read_vector(name)
    precision = vector["precision"]
    script, ends = [text("create", vector["start"], vector["operating_point"] or "-")], []
    for i, step in enumerate(vector["steps"]):
        script += lines(vector, step, tmp_path / f"{i}.state") or []
        ends.append(len(script))
    answers = run(driver(vector, precision), script)
    for i, step in enumerate(vector["steps"]):
        mine = answers[ends[i - 1] if i else 1 : ends[i]]
        if step.get("restore") in OTHERS:
            other, point = OTHERS[step["restore"]](vector)
            load = [f"create 0 {point}", f"load {tmp_path / f'{i}.state'}", "restore"]
            mine = run(driver(vector, other), load)
        if not mine:
            assert "segments" in step
        elif "error" in step:
            assert mine[-1] == f"error {step['error']}"
        elif "epochs" in step:
            check_epochs(epochs(mine[0]), step["epochs"], vector["tolerance"])
        elif "dropped" in step:
            dropped = {f"{s}.{r}={n}" for s, reasons in step["dropped"].items() for r, n in reasons.items()}
            assert set(mine[0].split()) == dropped
        elif "findings" in step:
            check_findings(mine[0], step["findings"])
        else:
            assert set(mine) == {"ok"}


def check_epochs(found, expected, tolerance):
    assert [e["time"] for e in found] == pytest.approx([e["time"] for e in expected], abs=1e-6)
    assert [e["stage"] for e in found] == [e["stage"] for e in expected]
    assert [e["coverage"] for e in found] == [
        {name: {**c, "share": pytest.approx(c["share"], abs=1e-9)} for name, c in e["coverage"].items()}
        for e in expected
    ]
    probabilities = [[e["probabilities"] for e in side] for side in (found, expected)]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", OPENED)
def test_what_cannot_be_opened_is_not_exported(name, driver, tmp_path):
    vector = read_vector(name)
    if vector["error"] in EXPORTERS or name in OPTIONAL or "contract_sha256" in vector["open"]:
        pytest.skip("a microcontroller reads no contract")
    if vector["error"] == "unknown_operating_point":
        script = [f"create 0 {vector['open']['operating_point']}", "feed heart_rate 1 60"]
        assert drive(driver(vector, "int8"), script) == ["error unknown_operating_point", "error not_begun"]
        return
    folder = bundle_of(vector, tmp_path)
    with pytest.raises(UserMistake) as caught:
        write_micro(tmp_path / "out", Contract.read(folder), vector["open"].get("precision"), folder)
    assert "\n" not in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_runtime_that_the_contract_refuses_is_not_exported(tmp_path):
    folder = bundle_of({"bundle": "counts"}, None)
    document = json.loads((folder / "contract.json").read_text())
    document["precisions"]["int8"]["calls"][1]["runtimes"] = {"tflite-micro": "refused: for a test"}
    with pytest.raises(UserMistake, match="precision int8: tflite-micro: refused: for a test; choose from float32"):
        write_micro(tmp_path / "out", Contract.model_validate(document), "int8", folder)
