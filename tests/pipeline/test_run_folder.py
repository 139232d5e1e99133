"""The run folder: what is written is read back, under the names that it always had, and what is damaged is named."""

import ast
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.align import Night
from pipeline.checks import Finding
from pipeline.constants import ARCHITECTURES
from pipeline.data_sets import data_of
from pipeline.errors import UserMistake
from pipeline.nights import write_night
from pipeline.options import Options
from pipeline.origin import SLEEP_ACCEL, SURROGATE, SYNTHETIC, UNKNOWN, write_origin
from pipeline.run_folder import (
    RunFolder,
    begun,
    clear_unbegun,
    epoch_model,
    fold_folder,
    fold_folders,
    held_out_predictions,
    inner_fold,
    night_plot,
    predictions_of,
    rejected_files,
    saliency_inputs_plot,
    saliency_plot,
    stopped_runs,
)

ROOT = Path(__file__).parents[2]
OPTIONS = Options(architectures=("gru", "lstm"), seed=5)
SPLITS = {"validation": ["4"], "inner_validation": ["3"], "train": ["1", "2"]}


def night(subject="1", channels=("heart_rate",), windows=5):
    values = {name: np.arange(windows * 30, dtype=np.float32).reshape(windows, 30) + 40 for name in channels}
    return Night(subject, 30.0 * np.arange(1, windows + 1), values, np.zeros(windows, np.int8))


NIGHTS = [night("1"), night("2", ("steps",)), night("3", ("heart_rate", "motion_x")), night("4")]


@pytest.fixture
def data(tmp_path):
    """A data set that lists subjects 1 to 4, without a mark."""
    (tmp_path / "data" / "heart_rate").mkdir(parents=True)
    for subject in "1234":
        (tmp_path / "data" / "heart_rate" / f"{subject}_heartrate.txt").touch()
    return tmp_path / "data"


@pytest.fixture
def run(tmp_path, data):
    return RunFolder.create(tmp_path / "run", NIGHTS, SPLITS, OPTIONS, data)


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_create_writes_down_what_the_run_is_made_of(run, data):
    assert names(run.path) == {"hparams.json", "splits.json", "partial"}
    hparams = json.loads((run.path / "hparams.json").read_text())
    keys = {"options", "dataset_dir", "channels", "origin", "synthetic", "seed", "versions", "commit"}
    assert hparams.keys() == keys
    assert hparams["seed"] == 5
    assert hparams["channels"] == ["heart_rate", "steps"]  # of training nights alone
    assert {"tensorflow", "keras", "python"} <= hparams["versions"].keys()
    assert json.loads((run.path / "splits.json").read_text()) == SPLITS
    again = RunFolder(run.path)
    assert again.hparams == hparams
    assert again.requested_options == OPTIONS  # as they were asked for, to go on with
    assert again.options == replace(OPTIONS, channels=("heart_rate", "steps"))  # as the models take them
    assert (again.channels, again.dataset_dir) == (("heart_rate", "steps"), data)
    assert again.splits == SPLITS
    assert again.part_of_subject == {"4": "validation", "3": "inner_validation", "1": "train", "2": "train"}


@pytest.mark.parametrize(
    ("origin", "synthetic"), [(SLEEP_ACCEL, False), (SYNTHETIC, True), (SURROGATE, False), (None, False)]
)
def test_the_origin_of_the_data_is_recorded(tmp_path, data, origin, synthetic):
    if origin:
        write_origin(data, origin)
    run = RunFolder.create(tmp_path / "run", NIGHTS, SPLITS, OPTIONS, data)
    assert RunFolder(run.path).origin == (origin or UNKNOWN)
    assert run.hparams["synthetic"] is synthetic


def test_a_run_from_before_origins_were_recorded_is_of_unknown_origin(run):
    hparams = {key: value for key, value in run.hparams.items() if key != "origin"}
    (run.path / "hparams.json").write_text(json.dumps(hparams))
    assert RunFolder(run.path).origin == UNKNOWN


def test_a_stopped_run_is_created_again_and_another_split_refused_before_anything_is_written(run, data):
    before = (run.path / "hparams.json").read_bytes()
    assert RunFolder.create(run.path, NIGHTS, SPLITS, OPTIONS, data).splits == SPLITS
    other = {**SPLITS, "train": ["1"]}
    with pytest.raises(UserMistake, match="was begun with other nights or another split; start a new run"):
        RunFolder.create(run.path, NIGHTS, other, Options(), data)
    assert (run.path / "hparams.json").read_bytes() == before
    assert json.loads((run.path / "splits.json").read_text()) == SPLITS


def test_a_requested_channel_that_no_training_night_has_is_refused_before_anything_is_written(tmp_path, data):
    with pytest.raises(UserMistake, match="--channels motion_x: in no training night"):
        RunFolder.create(tmp_path / "run", NIGHTS, SPLITS, Options(channels=("motion_x",)), data)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "hparams.json: missing: an incomplete run folder"),
        ("{", "hparams.json: not readable as JSON"),
        ("[]", "hparams.json: not the hparams.json of a run"),
        ('{"options": {}}', "hparams.json: not the hparams.json of a run"),
        ('{"options": {"pulse": 1}, "dataset_dir": "", "channels": []}', "not the options of a run"),
        ('{"options": {}, "dataset_dir": "", "channels": [], "origin": {"name": 1}}', "hparams.json: name: expected"),
    ],
)
def test_a_folder_that_is_no_run_is_named(tmp_path, content, message):
    if content:
        (tmp_path / "hparams.json").write_text(content)
    with pytest.raises(UserMistake) as error:
        RunFolder(tmp_path)
    assert message in error.value.message


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserMistake, match="gone: no such run folder"):
        RunFolder(tmp_path / "gone")


def test_unseen_subjects_are_those_not_trained_on(run, data):
    assert run.unseen_subjects(data) == ["4"]
    (data / "heart_rate" / "10_heartrate.txt").touch()
    assert run.unseen_subjects(data) == ["4", "10"]
    for subject in ("4", "10"):
        (data / "heart_rate" / f"{subject}_heartrate.txt").unlink()
    with pytest.raises(UserMistake, match=r"trained on every night in it; name some$"):
        run.unseen_subjects(data, "; name some")


def test_a_night_that_repeats_a_training_night_under_another_id_is_not_unseen(tmp_path, run, data):
    """In another set, with its ends cut off; and as long as the run's recordings are there."""
    rng = np.random.default_rng(0)
    lines = {name: [f"{5 * i},{60 + x}\n" for i, x in enumerate(rng.integers(0, 9, 900))] for name in "12"}
    other = tmp_path / "other"
    (other / "heart_rate").mkdir(parents=True)
    (data / "heart_rate" / "1_heartrate.txt").write_text("".join(lines["1"]))
    for folder, name, content in ((other, "8", lines["1"][50:]), (other, "9", lines["2"]), (data, "11", lines["1"])):
        (folder / "heart_rate" / f"{name}_heartrate.txt").write_text("".join(content))
    for folder in (data, other):  # of the run, only 1 is whole
        (folder / "labels").mkdir()
        for name in ("1", "8", "9", "11"):
            (folder / "labels" / f"{name}_labeled_sleep.txt").write_text(
                "".join(f"{t} 1\n" for t in range(0, 4500, 30))
            )
    assert run.unseen_subjects(other) == ["9"]
    assert run.unseen_subjects(data) == ["4"]
    shutil.rmtree(data)
    assert run.unseen_subjects(other) == ["8", "9"]


ALL_TRAINED = {"validation": [], "inner_validation": [], "train": ["1", "2", "3", "4"]}


def test_parity_is_checked_on_unseen_subjects_or_where_there_is_none_on_the_golden_nights(run, data, monkeypatch):
    assert not run.all_trained_on
    assert run.parity_subjects(data) == ["4"]
    everyone = RunFolder.create(
        run.path.with_name("everyone"), NIGHTS, ALL_TRAINED, replace(OPTIONS, train_split=1), data
    )
    assert everyone.all_trained_on
    everyone.write_golden_nights([night("3"), night("1")])
    assert everyone.parity_subjects(data) == ["3", "1"]
    monkeypatch.chdir(data.parent)
    assert everyone.parity_subjects(Path("data")) == ["3", "1"]  # by whatever name the folder goes
    other = data.with_name("other")
    (other / "heart_rate").mkdir(parents=True)
    for subject in ("1", "10"):
        (other / "heart_rate" / f"{subject}_heartrate.txt").touch()
    assert everyone.parity_subjects(other) == ["10"]


def test_a_run_is_stopped_until_it_is_finished(run, tmp_path):
    assert begun(run.path)
    assert not begun(tmp_path)
    partial = run.partial("gru")
    partial.mkdir()
    epoch_model(partial, 3).touch()
    inner_fold(partial, 2).touch()
    run.accuracy_log("gru").write_text("[]")
    files = {"epoch_3.keras", "inner_fold_2.npy", "accuracies.json"}
    assert {*names(run.partial())} == {"gru", *(f"gru/{name}" for name in files)}
    assert run.stopped
    for _ in range(2):
        run.finish()
        assert not run.stopped
    assert names(run.path) == {"hparams.json", "splits.json"}


def test_stopped_runs_come_the_newest_last(tmp_path):
    for age, name in enumerate(("2026-01-02/run_2", "2026-01-02/run_1", "2026-01-01/run_1")):
        (tmp_path / name / "partial").mkdir(parents=True)
        (tmp_path / name / "hparams.json").touch()
        os.utime(tmp_path / name / "partial", (1000 - age, 1000 - age))
    (tmp_path / "2026-01-03" / "run_1" / "partial").mkdir(parents=True)  # killed before it was begun
    (tmp_path / "2026-01-02" / "run_3").mkdir()  # complete
    stopped = [path.relative_to(tmp_path).as_posix() for path in stopped_runs(tmp_path)]
    assert stopped == ["2026-01-01/run_1", "2026-01-02/run_1", "2026-01-02/run_2"]


def test_what_training_writes_is_read_back(run):
    run.write_scaler(["a", "b"], {"mean": [1.5, 2], "spread": [1, 0.5]})
    points = {"gru": {"balanced": {"weights": [1, 2, 3, 4, 5]}}, "lstm": {}}
    run.write_operating_points(points, {"gru": {"rem": "no night has REM"}})
    rows = pd.DataFrame({"epoch": [1, 2], "architecture": "gru", "train_accuracy": [0.5, 0.75]})
    run.write_accuracies(rows)
    run.write_findings([Finding("a", "line 1", "odd", "row dropped")])
    assert run.scaler == {"features": ["a", "b"], "mean": [1.5, 2.0], "spread": [1.0, 0.5]}
    assert run.operating_points("gru") == {"balanced": {"weights": [1, 2, 3, 4, 5]}}
    assert run.operating_points("lstm") == {}
    assert run.left_out_points("gru") == {"rem": "no night has REM"}
    assert run.left_out_points("lstm") == {}
    pd.testing.assert_frame_equal(run.accuracies(), rows)
    assert (run.path / "data_check_failures.txt").read_text().endswith("a: line 1: odd; row dropped\n")
    assert {"scaler.json", "operating_points.json", "model_accuracies.csv"} <= names(run.path)
    with pytest.raises(UserMistake, match=r"operating_points.json: lacks rnn"):
        run.operating_points("rnn")
    (run.path / "scaler.json").write_text('{"features": ["a"], "mean": 3}')
    with pytest.raises(UserMistake, match=r"scaler.json: damaged"):
        RunFolder(run.path).scaler  # noqa: B018


def test_calibration_is_the_last_that_a_training_writes(run):
    assert not run.trained
    with pytest.raises(UserMistake, match=r"calibration.npz: missing: an incomplete run folder"):
        run.calibration("gru")
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    states = {"gru": {"hidden": features + 1}, "lstm": {"hidden": features + 2, "cell": features + 3}}
    run.write_calibration(features, states)
    assert run.trained
    for architecture, expected in states.items():
        arrays = run.calibration(architecture)
        assert arrays.keys() == {"features", *expected}
        for name, x in {"features": features, **expected}.items():
            assert np.array_equal(arrays[name], x)
            assert arrays[name].dtype == np.float32
    (run.path / "calibration.npz").write_bytes(b"PK")
    with pytest.raises(UserMistake, match=r"calibration.npz: damaged"):
        run.calibration("gru")


@pytest.mark.parametrize(("written", "expected"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_golden_nights_are_at_most_three(run, written, expected):
    run.write_golden_nights([night(str(i)) for i in range(written)])
    assert [golden.subject for golden in run.golden_nights()] == [str(i) for i in range(expected)]


def test_golden_nights_that_are_missing_or_damaged_are_named(run):
    with pytest.raises(UserMistake, match=r"golden.npz: missing"):
        run.golden_nights()
    run.write_golden_nights([night(), night()])
    (run.path / "golden_2.npz").write_bytes(b"damaged")
    with pytest.raises(UserMistake, match=r"golden_2.npz: damaged"):
        run.golden_nights()
    write_night(run.path / "golden_2.npz", None)
    with pytest.raises(UserMistake, match=r"golden_2.npz: damaged.*no night in it"):
        run.golden_nights()


def test_the_validation_sample_is_the_middle_window_as_models_are_fed_it(run):
    run.write_validation_sample(night(windows=5))
    sample = pd.read_csv(run.path / "validation_sample.csv")
    assert list(sample.columns) == ["heart_rate", "steps"]
    assert sample.heart_rate.tolist() == [100 + i for i in range(30)]
    assert (sample.steps == -1).all()


def test_names_of_files_are_those_that_they_always_had(run):
    def name(path):
        return path.relative_to(run.path).as_posix()

    assert [name(run.model_path(architecture)) for architecture in ARCHITECTURES] == [
        "LSTM_best_model.keras",
        "GRU_best_model.keras",
        "RNN_best_model.keras",
        "Transformer_best_model.keras",
    ]
    assert name(run.accuracies_plot) == "model_accuracies_plot.png"
    assert name(run.bundles) == "bundles"
    assert name(run.rejected("gru")) == "rejected/gru"
    assert name(run.out_of_fold("gru")) == "out_of_fold/gru.csv"
    assert name(run.parity_report) == "parity.json"
    assert name(run.parity_plot(run.parity_report, "gru")) == "parity_gru.png"
    assert name(run.predictions("gru", "int8", None)) == "predictions/gru.int8.csv"
    assert name(run.predictions("gru", "int8", "balanced")) == "predictions/gru.int8.balanced.csv"
    assert name(run.scores(run.path / "nights" / "..", "int8")) == "scores/run.int8"
    assert name(held_out_predictions(run.path, "gru", "int8")) == "held_out/gru.int8.csv"
    assert name(rejected_files(run.path, "gru")) == "rejected/gru"
    assert name(predictions_of(run.path, "gru", "int8", "seed_0", "repeat_1")) == (
        "predictions/gru.int8.seed_0.repeat_1.csv"
    )
    assert name(night_plot(run.path, "median")) == "night_median.png"
    assert name(saliency_plot(run.path, "gru")) == "saliency_gru.png"
    assert name(saliency_inputs_plot(run.path, "gru")) == "saliency_gru_inputs.png"


def test_folds_are_the_run_folders_of_an_evaluation(tmp_path):
    assert fold_folders(tmp_path) == []
    for fold in ("repeat_0.fold_1.seed_0", "repeat_0.fold_0.seed_0"):
        fold_folder(tmp_path, fold).mkdir(parents=True)
        (fold_folder(tmp_path, fold) / "hparams.json").touch()
    fold_folder(tmp_path, "not_begun").mkdir()
    names = [folder.relative_to(tmp_path).as_posix() for folder in fold_folders(tmp_path)]
    assert names == ["folds/repeat_0.fold_0.seed_0", "folds/repeat_0.fold_1.seed_0"]


def test_nobody_else_spells_the_name_of_a_file():
    """But for the files of a bundle, some of which have the same names."""

    def texts(path):
        return {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}

    owner = ROOT / "pipeline" / "run_folder.py"
    names = {text for text in texts(owner) if isinstance(text, str) and re.fullmatch(r"\w+\.\w+", text)}
    assert {"hparams.json", "evaluation.json", "stress.md", "golden.npz", "GRU_best_model.keras"} <= names
    of_bundles = {"confusion.png", "reliability.png", "report.md"}
    for folder in ("pipeline", "scoring", "models", "export", "watch_sim", "evaluation", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path != owner and "templates" not in path.parts:
                assert not texts(path) & (names - of_bundles if folder == "export" else names), path


def test_a_later_parity_check_leaves_earlier_ones_and_their_plots_alone(run):
    reports = []
    for _ in range(3):
        reports.append(run.new_parity_check())
        reports[-1].parent.mkdir(exist_ok=True)
        reports[-1].touch()
    assert [report.relative_to(run.path).as_posix() for report in reports] == [
        f"parity_checks/parity_{n}.json" for n in (1, 2, 3)
    ]
    plots = {run.parity_plot(report, "gru") for report in (run.parity_report, *reports)}
    assert len(plots) == 4
    assert run.parity_plot(reports[1], "gru").name == "parity_2_gru.png"


def test_parity_is_what_the_training_found_or_nothing(run):
    assert run.parity() == {}
    run.parity_report.write_text('{"models": []}')
    assert run.parity() == {"models": []}


def test_evaluation_results_are_a_list_or_the_file_is_named(run):
    path = run.path / "evaluation.json"
    assert run.evaluation_results() == []
    path.write_text('{"results": [{"architecture": "gru"}]}')
    assert run.evaluation_results() == [{"architecture": "gru"}]
    for content in ("[]", '{"results": {}}', "{}"):
        path.write_text(content)
        with pytest.raises(UserMistake, match=r"evaluation.json: no list 'results' in it"):
            run.evaluation_results()


def test_bundles_are_listed_the_default_one_first(run):
    with pytest.raises(UserMistake, match="no bundle there"):
        run.bundle_folders()
    for architecture in ("transformer", "lstm", "gru"):
        (run.bundles / architecture).mkdir(parents=True)
    assert list(run.bundle_folders()) == ["gru", "lstm", "transformer"]
    assert run.bundle("lstm") == run.bundle_folders()["lstm"] == run.path / "bundles" / "lstm"
    with pytest.raises(UserMistake, match="bundles/rnn: missing"):
        run.bundle("rnn")


def test_architectures_are_those_requested_of_the_run(run):
    assert run.chosen_architectures(None) == ("gru", "lstm")
    assert run.chosen_architectures(["lstm"]) == ("lstm",)
    with pytest.raises(UserMistake, match="--architectures: rnn; choose from gru, lstm"):
        run.chosen_architectures(["rnn"])


class TestSeveralDataSets:
    """Two sets, a and b, each with subjects 1 to 4."""

    @pytest.fixture
    def sets(self, tmp_path, data):
        for name in "ab":
            shutil.copytree(data, tmp_path / name)
        write_origin(tmp_path / "a", SLEEP_ACCEL)
        write_origin(tmp_path / "b", SYNTHETIC)
        return data_of(f"{tmp_path / 'a'},{tmp_path / 'b'}")

    @pytest.fixture
    def run(self, tmp_path, sets):
        (tmp_path / "b" / "wearers.json").write_text('{"1": "ann", "2": "ann", "3": "a.4"}')
        splits = {"validation": ["b.1", "b.2"], "inner_validation": ["a.3"], "train": ["a.1", "a.4", "b.3"]}
        nights = [night(subject) for part in splits.values() for subject in part]
        return RunFolder.create(tmp_path / "run", nights, splits, OPTIONS, sets)

    def test_sets_origins_and_persons_are_kept(self, run, sets):
        again = RunFolder(run.path)
        assert again.dataset_dir == sets
        assert again.origins == {"a": SLEEP_ACCEL, "b": SYNTHETIC}
        assert again.origin.simulated
        assert again.hparams["synthetic"] is True
        assert again.origin.name == "sleep-accel 1.0.0 and synthetic"
        assert again.origin.licence == f"sleep-accel: {SLEEP_ACCEL.licence}"
        assert again.people == {"b.1": "b.ann", "b.2": "b.ann", "b.3": "a.4"}
        assert run.scores(sets, "int8") == run.path / "scores" / "a+b.int8"

    def test_a_single_folder_leaves_no_trace_of_sets(self, tmp_path, data):
        run = RunFolder.create(tmp_path / "run", NIGHTS, SPLITS, OPTIONS, data)
        assert (run.origins, run.people) == ({}, {})

    def test_nobody_trained_on_is_unseen_in_any_set(self, run, sets, tmp_path):
        assert run.unseen_subjects(sets) == ["a.2", "b.1", "b.2", "b.4"]
        assert run.unseen_subjects(sets.folders["a"]) == ["2"]
        assert run.unseen_subjects(sets.folders["b"]) == ["1", "2", "4"]
        (tmp_path / "c" / "counts").mkdir(parents=True)
        for subject in ("1", "7", "8"):
            (tmp_path / "c" / "counts" / f"{subject}_counts.txt").touch()
        (tmp_path / "c" / "wearers.json").write_text('{"7": "a.4", "8": "b.ann"}')
        assert run.unseen_subjects(tmp_path / "c") == ["1", "8"]
        assert run.unseen_subjects(data_of(f"{tmp_path / 'c'},{sets.folders['a']}")) == ["a.2", "c.1", "c.8"]

    def test_persons_count_in_a_single_folder_too(self, run, sets, tmp_path):
        b = sets.folders["b"]
        alone = RunFolder.create(
            tmp_path / "alone", NIGHTS, {"validation": ["3"], "inner_validation": ["4"], "train": ["1"]}, OPTIONS, b
        )
        assert alone.people == {"1": "ann", "2": "ann", "3": "a.4"}
        assert alone.unseen_subjects(b) == ["3"]  # 2 is the person of 1
        assert alone.unseen_subjects(sets) == ["a.1", "a.2", "a.3", "a.4", "b.3"]


def test_a_data_set_of_another_form_in_the_file_is_a_mistake(tmp_path):
    content = {"options": {}, "dataset_dir": ["a", "b"], "channels": []}
    (tmp_path / "hparams.json").write_text(json.dumps(content))
    with pytest.raises(UserMistake, match=r"hparams\.json: damaged"):
        RunFolder(tmp_path)


def test_what_was_killed_before_it_began_can_be_begun_anew(tmp_path, data, run):
    (run.path / "hparams.json").unlink()
    other = {"validation": ["3"], "inner_validation": ["4"], "train": ["1", "2"]}
    clear_unbegun(run.path)
    assert names(run.path) == set()
    assert RunFolder.create(run.path, NIGHTS, other, OPTIONS, data).splits == other
    clear_unbegun(run.path)  # begun: nothing goes
    assert names(run.path) == {"hparams.json", "splits.json", "partial"}
    (run.path / "hparams.json").unlink()
    (run.path / "partial" / "gru").mkdir()  # of a run whose hparams.json was lost
    clear_unbegun(run.path)
    assert names(run.path) == {"splits.json", "partial", "partial/gru"}
    clear_unbegun(tmp_path / "missing")
