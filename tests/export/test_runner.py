"""The runner: the calls of a contract in order, with states from window to window, and files that keep its promises."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.bundle import read_bundle
from export.runner import Runner, open_call
from pipeline.errors import UserMistake
from pipeline.nights import read_night
from tests.conftest import ROOT


@pytest.fixture
def gru(quick_run):
    return quick_run.folder / "bundles" / "gru"


@pytest.fixture
def night(quick_run):
    return read_night(quick_run.folder / "golden.npz")[0]


def test_a_night_is_the_golden_one_and_begins_anew_every_time(gru, night):
    runner = Runner(gru, "float32")
    windows = json.loads((gru / "golden.json").read_text())["windows"]
    expected = np.array([window["stage_probabilities"] for window in windows])
    once, again = (runner.night(night, runner.contract.options()) for _ in range(2))
    assert once.dtype == np.float32
    np.testing.assert_allclose(once, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(again, once)


def test_a_step_hangs_on_the_windows_before_it_until_reset(gru, night):
    runner = Runner(gru, "float32")
    options = runner.contract.options()
    window = {channel.name: night.values(channel.name, options)[40] for channel in runner.contract.channels}
    first, second = runner.step(window), runner.step(window)
    assert np.abs(second - first).max() > 1e-5
    assert all(np.any(state) for state in runner.states.values())
    runner.reset()
    assert not any(np.any(state) for state in runner.states.values())
    np.testing.assert_array_equal(runner.step(window), first)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_file_that_breaks_a_promise_is_named(gru, side):
    call = read_bundle(gru).precisions["float32"].calls[1]
    getattr(call, side)[0].shape = [1, 7]
    with pytest.raises(UserMistake, match=rf"gru\.float32\.tflite: its {side} are .*, but contract\.json promises"):
        open_call(gru, call)


def test_what_is_no_file_of_the_signature_is_named(gru, tmp_path):
    copy = Path(shutil.copytree(gru, tmp_path / "gru"))
    call = read_bundle(copy).precisions["float32"].calls[1]
    with pytest.raises(UserMistake, match="not a TFLite file with a signature 'leap'"):
        open_call(copy, call.model_copy(update={"signature": "leap"}))
    (copy / call.file).write_text("no .tflite")
    with pytest.raises(UserMistake, match=r"gru\.float32\.tflite: not a TFLite file"):
        open_call(copy, call)


def test_a_folder_whose_name_is_no_text(tmp_path):
    folder = shutil.copytree(ROOT / "bundles" / "gru-int8", tmp_path / os.fsdecode(b"\xff"))
    assert Runner(folder, "int8").states
