"""Whether the answers of a driver, in JSON, are those of a test vector."""

import json

import pytest


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
