"""The test vectors of tests/vectors, for the tests of a language whose driver answers them in JSON."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "vectors"
VECTORS = sorted(FOLDER.glob("*.json"))


def bundle_of(vector: dict, scratch: Path) -> Path:
    """The bundle folder of a vector: an altered copy in the folder scratch where the vector alters one."""
    tiny = FOLDER / "bundles" / vector["bundle"]
    folder = tiny if tiny.is_dir() else ROOT / "bundles" / vector["bundle"]
    change = vector.get("open", {}).get("alter")
    if change is None:
        return folder
    copy = Path(shutil.copytree(folder, Path(scratch) / "altered"))
    path = copy / change["file"]
    if change.get("delete"):
        path.unlink()
    elif "flip_byte" in change:
        content = bytearray(path.read_bytes())
        content[change["flip_byte"]] ^= 0xFF
        path.write_bytes(content)
    else:
        document = json.loads(path.read_text())
        for place, value in change.get("json", {}).items():
            *_, (parent, name) = walk(document, place)
            parent[name] = value
        if "remove" in change:
            *_, (parent, name) = walk(document, change["remove"])
            del parent[name]
        path.write_text(json.dumps(document))
    return copy


def walk(document, place):
    """(parent, name or index) of each part of a place such as stages.3.name, from the outermost in."""
    for part in place.split("."):
        name = int(part) if isinstance(document, list) else part
        yield document, name
        document = document.get(name) if isinstance(document, dict) else document[name]


def check(vector: dict, answers) -> None:
    """Assert that a driver's answers are a vector's.

    Args:
        vector: Its JSON.
        answers: Of a vector that opens a bundle, {"error", "message"} or None; of others a list, for each step that or
            the epochs, dropped samples, findings or segments, as the vector has them; None where there is nothing.
    """
    if "open" in vector:
        assert answers and answers["error"] == vector["error"] and answers["message"], answers
        return
    assert isinstance(answers, list), answers
    for i, (step, answer) in enumerate(zip(vector["steps"], answers, strict=True)):
        place = f"step {i}, {json.dumps(step)[:60]}"
        if "error" in step:
            assert answer and answer["error"] == step["error"] and answer["message"], (place, answer)
        elif "take" in step:
            check_epochs(answer, step["epochs"], vector["tolerance"], place)
        else:
            expected = next((step[name] for name in ("dropped", "findings", "values") if name in step), None)
            assert answer == expected, place


def check_epochs(actual, expected, tolerance, place):
    assert [epoch["stage"] for epoch in actual] == [epoch["stage"] for epoch in expected], place
    for epoch, wanted in zip(actual, expected, strict=True):
        assert epoch["time"] == pytest.approx(wanted["time"], abs=1e-6, rel=0), place
        assert epoch["probabilities"] == pytest.approx(wanted["probabilities"], abs=tolerance, rel=0), (place, wanted)
        assert {*epoch["coverage"]} == {*wanted["coverage"]}, place
        for sensor, coverage in wanted["coverage"].items():
            found = epoch["coverage"][sensor]
            assert found["share"] == pytest.approx(coverage["share"], abs=1e-9, rel=0), (place, sensor)
            assert found["seconds_since"] == coverage["seconds_since"], (place, sensor)
