"""The parity report: where it is written, what it replaces (nothing of the training), its plots and its table."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from apps.python.sleep_stager import SIMULATED
from models.trained_run import TrainedRun
from watch_sim.__main__ import main
from watch_sim.parity_report import check_again, print_report

CHECK = {"architectures": ["gru"], "precisions": ["float32"]}


@pytest.fixture
def run(quick_run, tmp_path):
    """A copy of the quick run."""
    return Path(shutil.copytree(quick_run.folder, tmp_path / "run"))


def contents(folder):
    """{path: bytes} of all files."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_later_check_replaces_nothing(run):
    before = contents(run)
    assert run / "parity.json" in before
    assert run / "parity_gru.png" in before
    assert check_again(TrainedRun(run), **CHECK)
    first = contents(run)
    assert {path: first[path] for path in before} == before
    checks = run / "parity_checks"
    assert first.keys() - before.keys() == {checks / "parity_1.json", checks / "parity_1_gru.png"}
    assert check_again(TrainedRun(run), **CHECK)
    second = contents(run)
    assert {path: second[path] for path in first} == first
    assert second.keys() - first.keys() == {checks / "parity_2.json", checks / "parity_2_gru.png"}


def test_the_report_is_that_of_the_training(run):
    check_again(TrainedRun(run), **CHECK)
    trained = json.loads((run / "parity.json").read_text())
    report = json.loads((run / "parity_checks" / "parity_1.json").read_text())
    (expected,) = [m for m in trained["models"] if (m["architecture"], m["precision"]) == ("gru", "float32")]
    (row,) = report["models"]
    assert row.keys() == expected.keys()
    for name in ("p99_abs_dp", "max_abs_dp", "same_stage", "passed", "measured"):
        assert row[name] == expected[name], name
    assert report["nights"] == trained["nights"]
    assert report["step"] == {"gru": trained["step"]["gru"]}


def test_the_plot_is_a_drawing(run):
    check_again(TrainedRun(run), run / "elsewhere.json", **CHECK)
    image = imread(run / "elsewhere_gru.png")
    assert min(image.shape[:2]) > 200
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 10  # colours
    assert not (run / "parity_checks").exists()


def test_the_command_takes_one_model_by_the_singular_too(run):
    arguments = ["parity", str(run), "--architecture", "gru", "--precision", "float32"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    path = run / "parity_checks" / "parity_1.json"
    assert done.stdout.splitlines()[-1] == str(path)
    assert [m["architecture"] for m in json.loads(path.read_text())["models"]] == ["gru"]


def report_of(*, first=None, kappa=0.0125, passed=True):
    rung = {"passed": passed, "first_divergence": first}
    row = {
        "architecture": "gru", "precision": "int8", "bytes": 12_340, "p99_abs_dp": 0.01, "max_abs_dp": 0.5,
        "same_stage": 0.99, "abs_dkappa": kappa, "drift": [0.001, 0.25], **rung,
    }  # fmt: skip
    alignment = {"passed": True, "windows": 960, "unknown_windows": 12, "first_divergence": None}
    steps = {"gru": {"max_abs_dp": 2e-6, **rung}, "rnn": {"max_abs_dp": 1e-6, "passed": True, "first_divergence": None}}
    return {"passed": passed, "nights": ["1", "2"], "models": [row], "alignment": alignment, "step": steps}


def test_a_passing_report_as_it_is_printed(capsys):
    print_report(report_of(kappa=None))
    text = capsys.readouterr().out
    assert "watch against full model, 2 night(s)" in text
    row = next(line for line in text.splitlines() if "gru" in line)
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells == [
        "gru", "int8", "12.3", "1.0e-02", "5.0e-01", "99.00%", "-", "1.0e-03 to 2.5e-01", "none", "pass",
    ]  # fmt: skip
    assert text.splitlines()[-3:] == [
        "online = offline alignment: pass (960 windows, 12 of them unknown)",
        "step = sequence form in Keras: pass (max |Δp| 2.0e-06)",
        "all gates passed",
    ]


def test_simulated_nights_are_said(capsys, run):
    print_report(report_of() | {"simulated": True})
    assert capsys.readouterr().out.splitlines()[-2] == f"simulated: {SIMULATED}"
    assert json.loads((run / "parity.json").read_text())["simulated"] is True


def test_a_failing_report_as_it_is_printed(capsys):
    first = {"night": "2", "window": 10, "t": 330.0, "abs_dp": 0.5}
    print_report(report_of(first=first, passed=False))
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if "gru" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")][-2:] == ["2 epoch 10", "FAIL"]
    assert "0.0125" in row
    assert f"step = sequence form in Keras: FAIL at {first}" in text
    assert text.splitlines()[-1] == "a gate FAILED"
