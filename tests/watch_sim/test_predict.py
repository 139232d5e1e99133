"""python -m watch_sim predict: the table, plot and statistics of nights, with and without some sensors, no labels."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from apps.python.sleep_stager import SIMULATED
from export.runner import Runner
from pipeline.align import align
from pipeline.constants import STAGES, UNKNOWN
from pipeline.coverage import coverage_of_night
from pipeline.options import Options
from pipeline.recordings import paths, read_recording
from scoring.predictions import read_predictions
from watch_sim.__main__ import main
from watch_sim.predict import input_notes, night_named

P = [f"p_{stage.lower()}" for stage in STAGES]
SENSORS = ("heart_rate", "activity")
COLUMNS = ["subject", "t", "scored_stage", "predicted_stage", *P]
COLUMNS += [f"{sensor}_{what}" for sensor in SENSORS for what in ("coverage", "seconds_since")]


def command(*arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


@pytest.fixture
def night_of(synthetic, tmp_path):
    """Copies these files of a subject into a separate data set; gives its folder."""

    def copy(subject, *kinds, folder="data"):
        for kind in kinds:
            path = paths(tmp_path / folder, subject)[kind]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths(synthetic, subject)[kind], path)
        return tmp_path / folder

    return copy


@pytest.fixture
def run(quick_run, tmp_path):
    """What predicting needs of a run: its options and a bundle."""
    shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "run" / "bundles" / "gru")
    shutil.copy(quick_run.folder / "hparams.json", tmp_path / "run")
    return tmp_path / "run"


def check(table, run, folder, subject, architecture="gru"):
    """A night's table is what the runner predicts on the pipeline's windows."""
    night = align(read_recording(folder, subject, want_labels=False), Options())
    expected = Runner(run / "bundles" / architecture, "float32").night(night, Options())
    coverage = coverage_of_night(night, Options(), SENSORS)
    unknown = np.array([window.unknown for window in coverage])
    np.testing.assert_allclose(table[P][~unknown], expected[~unknown], rtol=1e-5, atol=1e-9)
    assert table[P][unknown].isna().all(axis=None)
    for sensor in SENSORS:
        entries = [window.sensors[sensor] for window in coverage]
        np.testing.assert_allclose(table[f"{sensor}_coverage"], [entry.share for entry in entries], rtol=1e-8)
        since = [np.nan if entry.seconds_since is None else entry.seconds_since for entry in entries]
        np.testing.assert_array_equal(table[f"{sensor}_seconds_since"], since)
    assert table.scored_stage.isna().all()
    assert list(table.t) == [30 * i for i in range(len(night))]
    stages = [UNKNOWN if hidden else STAGES[i] for hidden, i in zip(unknown, expected.argmax(1), strict=True)]
    assert list(table.predicted_stage) == stages


def test_several_nights_with_and_without_sensors(run, night_of, tmp_path):
    sensors = {"1001": ("heart_rate", "motion", "steps"), "1002": ("heart_rate",), "1003": ("motion",)}
    for subject, kinds in sensors.items():
        folder = night_of(subject, *kinds)
    out = tmp_path / "out" / "stages.csv"
    done = command(run, "--dataset_dir", folder, "--architecture", "gru", "--precision", "float32", "--out", out)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out, dtype={"subject": str})
    assert list(table) == COLUMNS
    assert list(table.subject.unique()) == [*sensors]
    for subject in sensors:
        check(table[table.subject == subject], run, folder, subject)
        assert (out.parent / f"stages_{subject}.png").read_bytes().startswith(b"\x89PNG")
    statistics = pd.read_csv(out.parent / "stages_statistics.csv", dtype={"subject": str}).set_index("subject")
    assert list(statistics.index) == [*sensors]
    for subject, rows in table.groupby("subject"):
        assert statistics.TIB[subject] == pytest.approx(len(rows) / 2)
        assert statistics.N3[subject] == pytest.approx((rows.predicted_stage == "N3").sum() / 2)
        stages = list(rows.predicted_stage)
        onset = next((i for i, stage in enumerate(stages) if stage not in ("Wake", UNKNOWN)), None)
        latency = (stages.index("REM") - onset) / 2 if "REM" in stages else np.nan  # min, from sleep onset
        assert statistics["REM latency"][subject] == pytest.approx(latency, nan_ok=True)
        assert subject in done.stdout
    written = {path.name for path in out.parent.iterdir()}
    assert written == {"stages.csv", "stages_statistics.csv", *(f"stages_{subject}.png" for subject in sensors)}
    assert {Path(line).name for line in done.stdout.splitlines()[-5:]} == written


def test_one_night_whose_labels_are_not_read(run, night_of):
    bare = night_of("1004", "heart_rate", "motion", "steps", folder="bare")
    labelled = night_of("1004", "heart_rate", "motion", "steps", "labels", folder="labelled")
    broken = night_of("1004", "heart_rate", "motion", "steps", folder="broken")
    paths(broken, "1004")["labels"].parent.mkdir()
    paths(broken, "1004")["labels"].write_text("nonsense")
    tables = []
    for folder in (bare, labelled, broken):
        done = command(run, "--dataset-dir", folder, "--precision", "float32")
        assert done.exit_code == 0, done.output
        tables.append((run / "predictions" / "gru.float32.csv").read_bytes())
    assert tables[0] == tables[1] == tables[2]
    table = pd.read_csv(run / "predictions" / "gru.float32.csv")
    assert list(table) == COLUMNS
    assert {*table.subject} == {1004}
    check(table, run, bare, "1004")


def test_several_models_make_an_output_each(quick_run, run, night_of, tmp_path):
    shutil.copytree(quick_run.folder / "bundles" / "rnn", run / "bundles" / "rnn")
    folder = night_of("1004", "heart_rate", "steps")
    options = ("--dataset_dir", folder, "--architectures", "gru,rnn", "--precisions", "float32")
    done = command(run, *options)
    assert done.exit_code == 0, done.output
    for architecture in ("gru", "rnn"):
        check(pd.read_csv(run / "predictions" / f"{architecture}.float32.csv"), run, folder, "1004", architecture)
    assert {path.name.split(".")[0] for path in (run / "predictions").iterdir()} == {"gru", "rnn"}
    assert command(run, *options, "--out", tmp_path / "out" / "stages.csv").exit_code == 0
    for architecture in ("gru", "rnn"):
        copy = (tmp_path / "out" / f"stages.{architecture}.float32.csv").read_bytes()
        assert copy == (run / "predictions" / f"{architecture}.float32.csv").read_bytes()


def test_the_table_can_be_read_as_predictions(run, night_of, tmp_path):
    folder = night_of("1004", "heart_rate")
    assert command(run, "--dataset_dir", folder, "--precision", "float32", "--out", tmp_path / "a.csv").exit_code == 0
    (night,) = read_predictions(tmp_path / "a.csv")
    expected = Runner(run / "bundles" / "gru", "float32").night(
        align(read_recording(folder, "1004"), Options()), Options()
    )
    assert night.subject == "1004"
    assert {*night.stages} == {-1}
    np.testing.assert_array_equal(np.float32(night.probabilities), expected)


def test_an_operating_point_is_another_file(run, night_of):
    folder = night_of("1004", "heart_rate", "motion", "steps")
    for options in ([], ["--operating_point", "balanced"]):
        assert command(run, "--dataset_dir", folder, "--precision", "float32", *options).exit_code == 0
    contract = json.loads((run / "bundles" / "gru" / "contract.json").read_text())
    plain, moved = (pd.read_csv(run / "predictions" / f"gru.float32{point}.csv") for point in ("", ".balanced"))
    expected = plain[P] * contract["operating_points"]["balanced"]["weights"]
    np.testing.assert_allclose(moved[P], expected.div(expected.sum(axis=1), axis=0), rtol=1e-4, atol=1e-6)


def test_an_unusable_night_is_named_and_left_out(run, night_of, tmp_path):
    night_of("1001", "heart_rate", "motion")
    folder = night_of("1002", "motion")
    paths(folder, "1002")["heart_rate"].write_text("nonsense\n")
    done = command(run, "--dataset_dir", folder, "--precision", "float32", "--out", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    assert "heart_rate/1002_heartrate.txt: " in done.stderr
    assert "; night skipped" in done.stderr
    assert list(pd.read_csv(tmp_path / "out.csv")) == COLUMNS


def test_repairs_are_listed_as_in_every_report(run, night_of, tmp_path):
    done = command(run, "--dataset_dir", night_of("1002", "heart_rate"), "--precision", "float32")
    assert done.exit_code == 0, done.output
    repaired, missing = done.stderr.strip().splitlines()
    assert repaired.startswith("heart_rate/1002_heartrate.txt: ")
    assert repaired.endswith("repeats another line; row dropped")
    assert missing == "night 1002: missing all night, though the model uses it: activity"


@pytest.fixture
def on_a_table(tmp_path):
    """A data set of one night: 40 minutes of a watch that lies on a table, its motion in g."""
    t = np.arange(0, 2401, 0.1)
    noise = np.random.default_rng(0).normal(0, 0.002, (len(t), 3))
    path = paths(tmp_path / "table", "7")["motion"]
    path.parent.mkdir(parents=True)
    np.savetxt(path, np.column_stack([t, noise + np.array([0, 0, 1.0])]), fmt="%.4f")
    return tmp_path / "table"


def test_a_night_without_a_stage_is_warned_of(run, on_a_table, tmp_path):
    done = command(run, "--dataset_dir", on_a_table, "--precision", "float32", "--out", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    missing, line = done.stderr.strip().splitlines()
    assert missing == "night 7: missing all night, though the model uses it: heart_rate"
    assert line == "night 7: warning: the stage is unknown all night: too little was sensed"
    table = pd.read_csv(tmp_path / "out.csv")
    check(table, run, on_a_table, "7")
    assert {*table.predicted_stage} == {UNKNOWN}
    statistics = pd.read_csv(tmp_path / "out_statistics.csv").iloc[0]
    assert (statistics.TIB, statistics.TST, statistics.WAKE, statistics.UNS) == (40, 0, 0, 40)
    assert (tmp_path / "out_7.png").exists()


def test_findings_and_dropped_samples_are_a_line_each():
    dropped = {"motion": {"wrong_unit": 9, "late": 0}, "heart_rate": {"late": 2, "out_of_range": 1}}
    watch = SimpleNamespace(findings=["motion: it seems to be in m/s²"], dropped=dropped | {"steps": {"late": 0}})
    assert input_notes(watch, []) == [
        "motion: it seems to be in m/s²",
        "motion: samples dropped: 9 wrong unit",
        "heart_rate: samples dropped: 2 late, 1 out of range",
    ]


def test_simulated_nights_are_said(run, night_of):
    done = command(run, "--dataset_dir", night_of("1004", "heart_rate"), "--precision", "float32")
    assert done.stdout.splitlines()[0] == f"{run}: {SIMULATED}"


def test_tensorflow_is_not_needed(run, night_of, run_python, tmp_path):
    """So a small computer can stage nights."""
    folder = night_of("1001", "heart_rate", "steps")
    code = "import sys\nfor name in ('tensorflow', 'keras', 'ai_edge_quantizer'): sys.modules[name] = None\n"
    code += f"from watch_sim.__main__ import main\nmain({['predict', str(run), '--dataset_dir', str(folder)]!r}"
    done = run_python("-c", f"{code} + ['--precision', 'float32', '--out', {str(tmp_path / 'out.csv')!r}])")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").exists()
    assert done.stderr.strip() == "night 1001: missing all night, though the model uses it: activity"


MISTAKES = {
    "unknown architecture": (None, ["--architecture", "cnn"], "choose from gru"),
    "architecture not there": (None, ["--architecture", "lstm"], "choose from gru"),
    "unknown precision": (None, ["--precision", "int4"], "choose from float32"),
    "unknown operating point": (None, ["--operating_point", "brisk"], "choose from balanced, rem"),
    "no data": (None, ["--dataset_dir", "/nowhere"], "/nowhere"),
    "data that are none": (None, ["--dataset_dir", Path(__file__).parent], "no recordings"),
    "no run": (shutil.rmtree, [], "no such run folder"),
    "no bundles": (lambda run: shutil.rmtree(run / "bundles"), [], "no bundle"),
    "no hparams": (lambda run: (run / "hparams.json").unlink(), [], "hparams.json: missing"),
    "no contract": (lambda run: (run / "bundles/gru/contract.json").unlink(), [], "contract.json: missing"),
    "no file": (lambda run: (run / "bundles/gru/sensing.tflite").unlink(), [], "sensing.tflite: missing"),
    "altered file": (lambda run: (run / "bundles/gru/sensing.tflite").write_bytes(b"x"), [], "SHA-256"),
}


@pytest.mark.parametrize(("spoil", "options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_clear_line(run, synthetic, mistake, spoil, options, message):
    if spoil:
        spoil(run)
    before = sorted(run.rglob("*"))
    assert message in mistake(command(run, "--dataset_dir", synthetic, "--precision", "float32", *options))
    assert sorted(run.rglob("*")) == before


def test_a_rejected_precision_is_not_offered(run, synthetic, mistake):
    from export.bundle import reject_precisions

    reject_precisions(run / "bundles" / "gru", ["float16"], run / "rejected" / "gru")
    kept = ", ".join(json.loads((run / "bundles/gru/contract.json").read_text())["precisions"])
    message = mistake(command(run, "--dataset_dir", synthetic, "--precision", "float16"))
    assert f"choose from {kept}" in message


@pytest.mark.parametrize(("name", "words"), [("46343", "night 46343"), ("night_1", "night_1"), ("Night 3", "Night 3")])
def test_a_night_is_not_called_night_twice(name, words):
    assert night_named(name) == words
