"""apps/python/sleep_stager.py on bundles of trained networks, and window by window against pipeline.align."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from apps.python.sleep_stager import SleepStager, StagerError
from export.contract import Contract
from pipeline.activity import HZ
from pipeline.align import CHANNELS_OF_SENSOR
from tests.apps.reference import aligned, pipeline_grid
from tests.apps.trouble import trouble
from tests.apps.vectors import FOLDER

UNIX = 1.7e9 + 0.25
BUNDLES = FOLDER / "bundles"


def options_of(stager):
    """The pipeline's options of a stager."""
    return Contract.model_validate(stager.contract).options()


def written_down(stager, file):
    """The inputs of each later call of a file, as they come."""
    run, calls = stager.runners[file], []

    def call(**inputs):
        calls.append(inputs)
        return run(**inputs)

    stager.runners[file] = call
    return calls


@pytest.mark.parametrize("start", [0.0, -600.0, UNIX])
@pytest.mark.parametrize("name", ["all", "coarse", "counts", "overlap"])
def test_windows_are_those_of_the_pipeline(name, start):
    stager = SleepStager(BUNDLES / name, start=start)
    options, rng = options_of(stager), np.random.default_rng([*name.encode(), abs(int(start))])
    sensors = [s for s, names in CHANNELS_OF_SENSOR.items() if {*names} & {*options.channels}]
    fed = [event for event in trouble(rng, start, sensors) if event[0] != "motion" or name in ("all", "overlap")]
    stager.counting = False  # the counts that are fed count
    calls = written_down(stager, "sensing.tflite")
    for i, event in enumerate(fed):
        stager.feed(*event)
        if i % 97 == 0:
            stager.take()
    stager.take(start + 420)
    expected, aligner = aligned(options, options.channels, start, fed, start + 420, counted=False)
    assert stager.dropped == aligner.dropped
    assert len(calls) == 420 // options.stride
    for channel, windows in expected.items():
        np.testing.assert_array_equal(np.concatenate([call[channel] for call in calls]), windows, err_msg=channel)


@pytest.mark.parametrize(("name", "start"), [("motion", 0.0), ("overlap", -600.0), ("all", UNIX), ("coarse", 0.0)])
def test_motion_is_laid_on_the_grid_of_the_pipeline(name, start, monkeypatch):
    stager, rng = SleepStager(BUNDLES / name, start=start), np.random.default_rng([*name.encode()])
    options = options_of(stager)
    fed, end = trouble(rng, start, ("heart_rate", "motion")), start + 420
    calls = written_down(stager, "activity.tflite")
    for event in fed:
        stager.feed(*event)
    stager.take(end)
    motion = np.concatenate([call["motion"][0] for call in calls])
    assert len(motion) == 420 * HZ
    for axis in range(3):
        values = pipeline_grid(monkeypatch, options, start, fed, end, axis)
        assert 0.05 < np.isnan(values).mean() < 0.6
        np.testing.assert_array_equal(motion[:, axis], np.where(np.isnan(values), -100, values).astype(np.float32))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("signature",), "other", "no TFLite file with a signature 'other'"),
        (("inputs", 0, "name"), "other", "its inputs are"),
        (("inputs", 0, "shape"), [4, 1], "its inputs are"),
        (("outputs", 0, "to"), [None], r"to \[None\], expected a state or channel"),
    ],
)
def test_a_contract_that_its_files_contradict(tmp_path, place, value, message):
    folder = shutil.copytree(BUNDLES / "counts", tmp_path / "b")
    document = json.loads((folder / "contract.json").read_text())
    part = document["precisions"]["int8"]["calls"][0]
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    (folder / "contract.json").write_text(json.dumps(document))
    with pytest.raises(StagerError, match=message) as caught:
        SleepStager(folder)
    assert caught.value.code == "unsupported_contract"


def test_a_file_of_another_type_than_the_contract(monkeypatch):
    class Integers(Interpreter):
        def get_signature_runner(self, signature):
            runner = super().get_signature_runner(signature)
            details = {name: {**entry, "dtype": np.int32} for name, entry in runner.get_input_details().items()}
            monkeypatch.setattr(runner, "get_input_details", lambda: details)
            return runner

    monkeypatch.setattr("apps.python.sleep_stager.load_runtime", lambda: ("ai-edge-litert", Integers))
    with pytest.raises(StagerError, match=r"its inputs are \{.*int32.*contract\.json promises .*float32") as caught:
        SleepStager(BUNDLES / "counts")
    assert caught.value.code == "unsupported_contract"


def test_a_file_that_is_none_and_has_its_digest(tmp_path):
    folder = shutil.copytree(BUNDLES / "counts", tmp_path / "b")
    document = json.loads((folder / "contract.json").read_text())
    (folder / "sensing.tflite").write_bytes(b"TFL3" * 99)
    for call in document["precisions"]["int8"]["calls"]:
        if call["file"] == "sensing.tflite":
            call["sha256"] = hashlib.sha256(b"TFL3" * 99).hexdigest()
    (folder / "contract.json").write_text(json.dumps(document))
    with pytest.raises(StagerError, match=r"sensing\.tflite: no TFLite file"):
        SleepStager(folder)


def test_the_golden_night_replays_in_every_precision_of_every_network(quick_run):
    for folder in sorted((quick_run.folder / "bundles").iterdir()):
        windows = json.loads((folder / "golden.json").read_text())["windows"]
        expected = np.array([window["stage_probabilities"] for window in windows])
        for precision, plan in json.loads((folder / "contract.json").read_text())["precisions"].items():
            stager = SleepStager(folder, precision)
            apart = np.abs([stager.step(window) for window in windows] - expected)
            assert np.percentile(apart, 99) <= plan["tolerance"]["p99_abs_dp"], (folder.name, precision)


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        (("operating_points", "rem", "weights", 0), 10**400, "unsupported_contract"),
        (("precisions", "int8", "calls", -1, "file"), "9" * 400, "missing_file"),
    ],
)
def test_numbers_and_names_without_measure(tmp_path, place, value, code):
    bundle = shutil.copytree(BUNDLES / "counts", tmp_path / "b")
    contract = json.loads((bundle / "contract.json").read_text())
    *path, last = place
    part = contract
    for name in path:
        part = part[name]
    part[last] = value
    (bundle / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(StagerError) as error:
        SleepStager(bundle, "int8")
    assert error.value.code == code
