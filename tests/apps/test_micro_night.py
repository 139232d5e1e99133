"""The C++ stager against the pipeline, and what only it has: fixed room, saved bytes, the size of its code.

The windows and the motion that its models are given are compared with those of pipeline.align to the last bit, for
activity calls of a stride and of 15 s.
"""

import json
import re
import subprocess

import numpy as np
import pytest

from export.tflite import tensor_positions
from pipeline.activity import HZ
from pipeline.align import CHANNELS_OF_SENSOR
from pipeline.constants import CHANNELS
from pipeline.options import Options
from tests.apps.micro.building import CORTEX_M4, LIBRARY, STRICT, built, compiled, drive, epochs, includes, text, tool
from tests.apps.micro.tiny import tiny_bundle
from tests.apps.reference import aligned, pipeline_grid
from tests.apps.trouble import trouble

pytestmark = pytest.mark.runtimes
GRIDS = ((1, 30, 30), (1, 60, 15), (15, 120, 60), (30, 90, 30))  # data_alignment, window_size, stride
UNIX = 1.7e9 + 0.25


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(options, channels, seconds of an activity call or None) -> (driver, contract, folder of the .tflite files)."""
    models = {}

    def of(options, channels, seconds=None):
        key = (options.data_alignment, options.window_size, options.stride), channels, seconds
        if key not in models:
            bundle = tmp_path_factory.mktemp("bundle")
            contract = tiny_bundle(bundle, options, channels, seconds)
            models[key] = built(contract, bundle, tmp_path_factory.mktemp("model")), contract, bundle
        return models[key]

    return of


@pytest.fixture
def plain(model):
    """The driver of a model of heart rate, steps and activity that counts motion, 15 s at a time."""
    return model(Options(window_size=60), ("heart_rate", "steps", "activity"), 15)[0]


def feeding(events, word="feed"):
    return [text(word, sensor, t, *np.ravel(value)) for sensor, t, value in events]


def given(log, number, bundle, file):
    """What a model was given: {input: [calls, values]}."""
    calls = [json.loads(line) for line in (log / f"{number}.log").read_text().splitlines()]
    positions = tensor_positions((bundle / file).read_bytes())["inputs"]
    return {name: np.array([call[i] for call in calls], np.float32) for name, i in positions.items()}


def restarted(script, rng, times):
    """A script that is stopped and goes on in a new stager, at random."""
    for i in sorted(rng.choice(len(script), times), reverse=True):
        script[i:i] = ["save", "create -77 -", "restore"]
    return script


@pytest.mark.parametrize("start", [0.0, -600.0, UNIX])
@pytest.mark.parametrize("grid", GRIDS)
def test_windows_are_those_of_the_pipeline(model, grid, start, tmp_path):
    options = Options(data_alignment=grid[0], window_size=grid[1], stride=grid[2])
    driver, _, bundle = model(options, tuple(CHANNELS))
    rng = np.random.default_rng([*grid, abs(int(start))])
    fed = trouble(rng, start, CHANNELS_OF_SENSOR)
    script = [text("create", start, "-"), *restarted(feeding(fed), rng, 8), text("take", start + 420), "dropped"]
    *answers, taken, dropped = drive(driver, script, tmp_path)
    assert set(answers) == {"ok"}
    expected, aligner = aligned(options, tuple(CHANNELS), start, fed, start + 420)
    actual = given(tmp_path, 0, bundle, "look.tflite")
    for name, windows in expected.items():
        np.testing.assert_array_equal(actual[name], windows, err_msg=name)
    words = {f"{s}.{r}={n}" for s, reasons in aligner.dropped.items() for r, n in reasons.items() if n}
    assert set(dropped.split()) == words
    assert {"motion.repeated", "motion.late", "motion.out_of_range"} <= {word.split("=")[0] for word in words}
    assert [epoch["time"] for epoch in epochs(taken)] == [start + options.stride * k for k in range(len(windows))]
    memory = actual["memory"]
    np.testing.assert_array_equal(memory[0], np.float32([0.5, 0.25, 0]))
    deciding = given(tmp_path, 1, bundle, "decide.tflite")
    np.testing.assert_array_equal(deciding["memory"], memory)  # the old state, though the first call has renewed it


@pytest.mark.parametrize("seconds", [30, 15])
@pytest.mark.parametrize(("seed", "start"), [(1, 0.0), (2, -600.0), (3, UNIX)])
def test_motion_is_laid_on_the_grid_of_the_pipeline(model, seed, start, seconds, tmp_path, monkeypatch):
    options = Options(window_size=60, data_alignment=1)
    channels = ("heart_rate", "activity")
    driver, _, bundle = model(options, channels, seconds)
    rng = np.random.default_rng(seed)
    fed, end = trouble(rng, start, ("heart_rate", "motion")), start + 420
    script = [text("create", start, "-"), *restarted(feeding(fed), rng, 12), text("take", end), "dropped"]
    *_, dropped = drive(driver, script, tmp_path)
    assert "full" not in dropped
    actual = given(tmp_path, 0, bundle, "activity.tflite")
    motion = actual["motion"].reshape(-1, 3)
    assert len(motion) == 420 * HZ
    for axis in range(3):
        values = pipeline_grid(monkeypatch, options, start, fed, end, axis)
        assert 0.05 < np.isnan(values).mean() < 0.6
        np.testing.assert_array_equal(motion[:, axis], np.where(np.isnan(values), -100, values).astype(np.float32))
    np.testing.assert_array_equal(actual["seen"].ravel(), np.arange(420 // seconds))


def test_no_motion_is_counted_before_there_is_any_or_once_counts_are_fed(plain, tmp_path):
    before, after = ([("motion", t, [0, 0, 1]) for t in np.arange(*x, 0.1)] for x in ((60, 150), (150.2, 170)))
    script = ["create 0 -", "take 60", *feeding([*before, ("activity", 150.05, 7)]), *feeding(after), "take 180"]
    *_, taken = drive(plain, script, tmp_path)
    assert len(epochs(taken)) == 4
    counts = np.array([json.loads(line) for line in (tmp_path / "1.log").read_text().splitlines()], object)
    activity = [next(values for values in call if len(values) == 4) for call in counts]
    assert activity[0] == activity[1] == [-1, -1, -1, -1]
    assert min(activity[3]) >= 0 and activity[4] == [*activity[3][2:], -1, 7] and activity[5] == [-1, 7, -1, -1]


def test_samples_without_room_are_counted_and_time_goes_on(plain):
    fed = [("heart_rate", t, 60) for t in np.arange(1, 300, 10.0)]  # ten strides, with room for four
    full = drive(plain, ["create 0 -", *feeding(fed, "feed_only"), "dropped", "take -"])
    assert full[-2] == "heart_rate.full=18"
    taken = epochs(full[-1])
    assert [epoch["time"] for epoch in taken] == [30.0 * k for k in range(9)]
    assert [epoch["coverage"]["heart_rate"]["seconds_since"] for epoch in taken][:5] == [8, 8, 8, 8, 38]
    with_take = drive(plain, ["create 0 -", *feeding(fed), "dropped", "take -"])
    assert with_take[-2] == "" and len(epochs(with_take[-1])) == 9


def test_motion_far_ahead_waits_for_take_and_what_comes_before_it_is_dropped(plain):
    fed = [("motion", t, [0, 0, 1]) for t in (1.0, 1.1, 3600.0, 3600.1, 3600.2)]
    *_, dropped, taken, again = drive(plain, ["create 0 -", *feeding(fed, "feed_only"), "dropped", "take -", "dropped"])
    assert dropped == again == "motion.full=2"
    assert len(epochs(taken)) == 120
    *_, dropped = drive(plain, ["create 0 -", *feeding(fed), "dropped"])
    assert dropped == ""


def test_a_time_too_old_to_be_remembered_is_dropped_for_want_of_room(model):
    driver, *_ = model(Options(), ("motion_x",))
    fed = [("motion", t / 100, [0, 0, 1]) for t in range(600)]  # 128 of them are remembered
    late = [("motion", t, [0, 0, 1]) for t in (0.005, 4.70, 4.71, 4.72, 4.725, 5.99)]
    *_, dropped = drive(driver, ["create 0 -", *feeding([*fed, *late]), "dropped"])
    assert dropped == "motion.repeated=3 motion.full=2"
    *_, dropped = drive(driver, ["create 0 -", *feeding(fed), *feeding([("motion", 4.725, [0, 0, 1])] * 2), "dropped"])
    assert dropped == "motion.repeated=1"


def test_a_saved_state_that_is_damaged_cut_or_of_another_model_changes_nothing(plain, model, tmp_path):
    fed = feeding([("heart_rate", t, 60) for t in range(0, 100, 5)])
    odd = ["restore damaged", "restore half", f"load {tmp_path / 'other'}", "restore"]
    other, *_ = model(Options(), ("motion_x",))
    drive(other, ["create 0 -", "save", f"store {tmp_path / 'other'}"])
    answers = drive(plain, ["create 0 -", *fed, "save", *odd, "take 120"])
    assert answers[-5:-1] == ["error wrong_state", "error wrong_state", "ok", "error wrong_state"]
    assert answers[-1] == drive(plain, ["create 0 -", *fed, "take 120"])[-1] != ""


def test_operating_point_weighs_and_step_does_not(model):
    driver, contract, _ = model(Options(), ("heart_rate",))
    fed = feeding([("heart_rate", t, 60) for t in range(0, 29, 5)])
    window = "step " + " ".join("60.0" if t % 5 == 0 and t < 29 else "0" for t in range(30))
    raw, weighed = (
        np.array(epochs(drive(driver, [f"create 0 {point}", *fed, "take 30"])[-1])[0]["probabilities"])
        for point in ("-", "light")
    )
    _, stepped = drive(driver, ["create 0 light", window])
    np.testing.assert_array_equal(np.array(stepped.split(), float), raw)
    weights = np.float32(contract.operating_points["light"].weights)
    np.testing.assert_allclose(weighed, raw * weights / np.sum(raw * weights), rtol=1e-6)


def test_before_begin_and_without_a_buffer_it_says_so(plain):
    assert drive(plain, ["create nan -", "feed heart_rate 1 60", "take -", "step 1", "save"]) == [
        "error not_a_time",
        "error not_begun",
        "error not_begun",
        "error not_begun",
        "error not_begun",
    ]


def test_it_compiles_for_a_cortex_m4_without_heap_or_exceptions(plain, tmp_path, capsys):
    prefix = "arm-none-eabi-"
    compiler, size, symbols = (tool(prefix + name) for name in ("g++", "size", "nm"))
    compiled(
        compiler, *STRICT, *CORTEX_M4, *includes(plain.parent), "-c", LIBRARY / "example.cpp", "-o", tmp_path / "o"
    )
    told = subprocess.run([size, tmp_path / "o"], capture_output=True, text=True, check=True).stdout
    with capsys.disabled():
        print(f"\napps/micro/example.cpp on a Cortex-M4:\n{told}")
    code, data, _ = map(int, told.splitlines()[1].split()[:3])
    assert code < 16_384 and data < 64
    undefined = subprocess.run([symbols, "-uC", tmp_path / "o"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"malloc|free|operator new|operator delete|__cxa|atexit|typeinfo|iostream", undefined)
    *_, told = drive(plain, ["create 0 -", "sizes"])
    stager, state, values, arena = map(int, told.split())
    assert values + arena < stager and state < stager - arena
