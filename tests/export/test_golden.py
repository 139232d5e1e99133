"""The golden night: a whole held-out night as the models are fed it, with what the full model answers."""

import json

import numpy as np
import pytest

from pipeline.constants import ARCHITECTURES, STAGES

every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture(scope="module")
def golden(quick_run):
    """(run, golden night, its features)"""
    from models.trained_run import TrainedRun

    run = TrainedRun(quick_run.folder)
    (night,) = run.golden_nights()  # the only one held out
    return run, night, run.sensing().sense_nights([night])


@every
def test_the_golden_night_is_a_whole_night_in_exact_float32(golden, bundle, architecture):
    (run, night, features), document = golden, json.loads((bundle / "golden.json").read_text())
    assert document["night"] == night.subject in run.splits["validation"]
    assert len(document["windows"]) == len(night) > 100
    for name in run.channels:
        values = np.array([window[name] for window in document["windows"]], np.float32)
        np.testing.assert_array_equal(values, night.values(name, run.options), strict=True)
    assert [window["stage"] for window in document["windows"]] == [STAGES[s] if s >= 0 else None for s in night.stages]
    (expected,) = run.probabilities(architecture, features)
    values = np.array([window["stage_probabilities"] for window in document["windows"]])
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def test_the_golden_night_is_the_same_in_every_bundle(quick_run):
    stories = [json.loads((quick_run.folder / "bundles" / a / "golden.json").read_text()) for a in ARCHITECTURES]
    for story in stories:
        for window in story["windows"]:
            del window["stage_probabilities"]
    assert all(story == stories[0] for story in stories)
