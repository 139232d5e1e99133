"""Every file of every bundle says in each runtime, window by window, what the golden night says it should."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matrix import FOUND, REFUSED, RUNTIMES

from export.runtimes import OURS, REFUSALS
from pipeline.activity import COUNT_UNIT, HZ
from pipeline.constants import ARCHITECTURES, PRECISIONS
from pipeline.recordings import read_recording, subjects

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "export"))
from replay import within_tolerance

pytestmark = pytest.mark.runtimes

CALLS = Path(__file__).parent / "calls.py"
# the networks made here are hardly trained, and a night is short: stages that lie closer than this may swap
TIE = 0 if "RUN" in os.environ else 0.01


@pytest.fixture(scope="session")
def motion(nights, bundles):
    """[calls, points, 3]: an hour of a night on the grid of the activity call, five times as strong so that there is
    much to count, with gaps short and long.
    """
    (call,) = contract_of(bundles, "gru")["preprocessing"]["activity"]["calls"]
    (points,) = (tensor["shape"][1] for tensor in call["inputs"] if tensor["from"] == "sensor:motion")
    t, xyz = read_recording(nights, subjects(nights)[0]).samples["motion"]
    grid = np.arange(3600 * HZ) / HZ
    x = np.float32(5) * np.stack([np.interp(grid, t, axis) for axis in xyz.T], axis=1).astype(np.float32)
    for start, length in ((1000, 1), (30_000, 40), (70_000, 3000), (120_010, 800)):
        x[start : start + length] = -100
    return x[: len(x) // points * points].reshape(-1, points, 3)


def contract_of(bundles, architecture):
    return json.loads((bundles / architecture / "contract.json").read_text())


@pytest.fixture(scope="session")
def python_says(bundles, motion, tmp_path_factory, python_of):
    """What `calls.py` gives for (runtime, architecture)."""

    @cache
    def says(runtime, architecture):
        out = tmp_path_factory.mktemp("calls")
        np.save(out / "motion.npy", motion)
        command = [python_of(runtime), CALLS, bundles / architecture, out / "motion.npy", out / "said.npz"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=out)
        assert done.returncode == 0, done.stderr
        with np.load(out / "said.npz") as actual:
            return dict(actual)

    return says


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_golden_night(runtime, architecture, precision, bundles, python_says, request):
    plan = contract_of(bundles, architecture)["precisions"].get(precision)
    if plan is None:
        pytest.skip(f"the {architecture} bundle has no {precision}: the run's parity check rejected it")
    if precision in REFUSALS[RUNTIMES[runtime]]:
        pytest.skip(f"{runtime} is refused {precision}")
    windows = json.loads((bundles / architecture / "golden.json").read_text())["windows"]
    expected = np.array([window[plan["probabilities"]] for window in windows])
    if runtime == "LiteRT.js":
        page, _ = request.getfixturevalue("replay_page")
        actual = np.array(page.evaluate("(a) => replay(...a)", [f"/bundles/{architecture}/", precision]))
    else:
        answers = python_says(runtime, architecture)
        FOUND[runtime, architecture, precision] = np.nan, False
        actual = answers.get(f"golden.{precision}")
        assert actual is not None, str(answers[f"error.{precision}"])
    assert actual.shape == expected.shape
    passed, figures = within_tolerance({"tie": TIE} | plan["tolerance"], expected, actual)
    FOUND[runtime, architecture, precision] = np.percentile(np.abs(actual - expected), 99), passed
    assert passed, figures


@pytest.mark.parametrize("runtime", [runtime for runtime in RUNTIMES if runtime != "LiteRT.js"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_degraded_night(runtime, architecture, precision, bundles, python_says):
    """Noise, holes and no movement, against our own runtime in float32."""
    plan = contract_of(bundles, architecture)["precisions"].get(precision)
    if plan is None:
        pytest.skip(f"the {architecture} bundle has no {precision}: the run's parity check rejected it")
    if precision in REFUSALS[RUNTIMES[runtime]]:
        pytest.skip(f"{runtime} is refused {precision}")
    expected = python_says(OURS, architecture)["degraded.float32"]
    actual = python_says(runtime, architecture)[f"degraded.{precision}"]
    clean = python_says(OURS, architecture)["golden.float32"]
    assert (expected.argmax(1) != clean.argmax(1)).mean() > 0.05
    passed, figures = within_tolerance({"tie": TIE} | plan["tolerance"], expected, actual)
    assert passed, figures


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("runtime", "precision"), [(title, p) for title, name in RUNTIMES.items() for p in REFUSALS[name]]
)
def test_what_is_refused_fails(runtime, precision, architecture, bundles, python_says):
    """It does not load, or gives wrong stages: a runtime that has learnt it is to be refused no longer."""
    plan = contract_of(bundles, architecture)["precisions"][precision]
    assert plan["calls"][-1]["runtimes"][RUNTIMES[runtime]].startswith("refused: ")
    FOUND[runtime, architecture, precision] = REFUSED
    answers = python_says(runtime, architecture)
    if f"golden.{precision}" in answers:
        expected = python_says(OURS, architecture)[f"golden.{precision}"]
        assert not within_tolerance(plan["tolerance"], expected, answers[f"golden.{precision}"])[0]


@pytest.mark.parametrize("runtime", [*RUNTIMES][1:])
def test_activity_call(runtime, python_says, motion, request):
    """The counts of our own runtime, give or take a peak that lies on the edge of a bin; posture; what is carried."""
    expected = {name: x for name, x in python_says(OURS, "gru").items() if name.startswith("activity.")}
    assert (expected["activity.activity"] > 0).sum() > 30
    assert (expected["activity.activity"] < 0).any()
    if runtime == "LiteRT.js":
        page, given = request.getfixturevalue("replay_page")
        (given / "motion.json").write_text(json.dumps(motion.tolist()))
        outputs = page.evaluate("activity('/bundles/gru/', '/given/motion.json')")
        actual = {f"activity.{name}": np.array([output[name] for output in outputs]) for name in outputs[0]}
    else:
        actual = python_says(runtime, "gru")
    for name in ("activity.posture", "activity.history_out", "activity.newest_out"):
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-5)
    apart = np.abs(actual["activity.activity"] - expected["activity.activity"])
    assert apart.max() < 1.1 * COUNT_UNIT
    assert (apart > 1e-3).mean() < 0.01
