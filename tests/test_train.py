"""train.py as a user runs it: what a run folder holds, options together, stopping and going on, and mistakes.

Networks are hardly trained, so quantized files may fail their gates (exit code 1); float32 and rungs 1 and 2 may not.
"""

import importlib.metadata
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import train
from pipeline.constants import ARCHITECTURES, PRECISIONS, STAGES, UNKNOWN
from pipeline.nights import read_night
from pipeline.scratch import sole_use
from pipeline.synthetic import synthesize

ROOT = Path(train.__file__).parent
REPLAY = ROOT / "tests" / "export" / "replay.py"


def read(path):
    """JSON as every reader takes it: no NaN."""

    def refuse(name):
        raise AssertionError(f"{path}: {name} is no JSON")

    return json.loads(Path(path).read_text(), parse_constant=refuse)


def check_verdict(folder, done, architectures):
    """What must hold of every run: exit code, rungs 1 and 2, float32, and rejected files."""
    parity = read(folder / "parity.json")
    assert done.returncode == (0 if parity["passed"] else 1), done.stderr
    assert done.stdout.splitlines()[-1] == str(folder)
    assert "Traceback" not in done.stderr
    assert parity["nights"] == read(folder / "splits.json")["validation"]
    assert parity["alignment"]["passed"], parity["alignment"]
    assert [*parity["step"]] == [*architectures]
    assert all(step["passed"] and step["max_abs_dp"] <= 1e-5 for step in parity["step"].values()), parity["step"]
    rows = {(row["architecture"], row["precision"]): row for row in parity["models"]}
    assert [*rows] == [(name, precision) for name in architectures for precision in PRECISIONS]
    assert all(rows[name, "float32"]["passed"] for name in architectures)
    for (name, precision), row in rows.items():
        home = "bundles" if row["passed"] else "rejected"
        assert (folder / home / name / f"{name}.{precision}.tflite").is_file()
    assert parity["passed"] == all(row["passed"] for row in rows.values())
    assert (folder / "rejected").exists() != parity["passed"]
    return parity


class TestRunFolder:
    def test_it_is_complete(self, quick_run):
        expected = {
            "hparams.json", "data_check_failures.txt", "splits.json", "scaler.json", "validation_sample.csv",
            "out_of_fold",
            "LSTM_best_model.keras", "GRU_best_model.keras", "RNN_best_model.keras", "Transformer_best_model.keras",
            "model_accuracies.csv", "model_accuracies_plot.png", "operating_points.json", "parity.json",
            "evaluation.json", "report.md", "predictions.csv", "predictions", "confusion.png",
            "confusion_views.png", "reliability.png", "by_hour.png", "night_median.png", "subjects.png",
            "models.png", *(f"parity_{name}.png" for name in ARCHITECTURES), "calibration.npz", "golden.npz",
            "bundles", "stress.json", "stress.md", "stress.png",
        }  # fmt: skip
        assert {path.name for path in quick_run.folder.iterdir()} - {"rejected"} == expected
        assert {path.name for path in (quick_run.folder / "bundles").iterdir()} == {*ARCHITECTURES}
        for path in quick_run.folder.glob("*.png"):
            image = Image.open(path)
            assert min(image.size) > 200, path
            assert image.getcolors(5) is None, path  # more than five: something is drawn

    def test_the_verdict(self, quick_run):
        parity = check_verdict(quick_run.folder, quick_run.done, ARCHITECTURES)
        assert quick_run.done.stdout.count("│ transformer") == len(PRECISIONS)
        assert ("all gates passed" in quick_run.done.stdout) == parity["passed"]
        for row in parity["models"]:
            home = "bundles" if row["passed"] else "rejected"
            name = f"{row['architecture']}.{row['precision']}.tflite"
            assert row["bytes"] == (quick_run.folder / home / row["architecture"] / name).stat().st_size

    def test_planted_flaws_are_listed(self, quick_run):
        header, *lines = (quick_run.folder / "data_check_failures.txt").read_text().splitlines()
        assert header == "file: where: what was found; what was done"
        expected = [
            ("heart_rate/1002_heartrate.txt: ", "repeats another line; row dropped"),
            ("heart_rate/1003_heartrate.txt: ", "earlier than the line before; sorted"),
            ("heart_rate/1005_heartrate.txt: ", "outside 20 to 250 bpm"),
            ("motion/1006_acceleration.txt: ", "truncated last line; row dropped"),
        ]
        for line, (start, what) in zip(lines, expected, strict=True):
            assert line.startswith(start)
            assert what in line

    def test_no_subject_is_in_two_parts(self, quick_run):
        splits = read(quick_run.folder / "splits.json")
        assert {name: len(part) for name, part in splits.items()} == {
            "train": 4,
            "inner_validation": 1,
            "validation": 1,
        }
        assert sorted(subject for part in splits.values() for subject in part) == [str(1001 + i) for i in range(6)]

    def test_what_the_run_was_made_with(self, quick_run, synthetic):
        hparams = read(quick_run.folder / "hparams.json")
        assert hparams["dataset_dir"] == str(synthetic)
        assert hparams["options"]["epochs"] == 2
        assert hparams["seed"] == hparams["options"]["seed"] == 0
        assert hparams["versions"].pop("python") == sys.version.split()[0]
        for name, version in hparams["versions"].items():
            assert version == importlib.metadata.version(name)
        assert {"tensorflow", "keras", "numpy", "ai-edge-litert"} <= set(hparams["versions"])
        if (ROOT / ".git").exists():
            assert len(hparams["commit"].rstrip("+")) == 40

    def test_the_scaler_can_be_read(self, quick_run):
        scaler = read(quick_run.folder / "scaler.json")
        names, mean, spread = scaler.pop("features"), *scaler.values()
        assert len(names) == len(set(names)) == len(mean) == len(spread)
        assert np.isfinite(mean).all()
        assert (np.array(spread) > 0).all()

    def test_the_sample_is_a_window_as_it_is_fed(self, quick_run):
        sample = pd.read_csv(quick_run.folder / "validation_sample.csv")
        hparams, night = read(quick_run.folder / "hparams.json"), read_night(quick_run.folder / "golden.npz")[0]
        assert list(sample) == hparams["channels"]
        for name in sample:
            expected = night.channels[name][len(night) // 2]
            np.testing.assert_allclose(sample[name].dropna(), expected, rtol=1e-6)

    def test_accuracies_per_epoch_and_the_evaluation_agree(self, quick_run):
        table = pd.read_csv(quick_run.folder / "model_accuracies.csv")
        evaluation, splits = read(quick_run.folder / "evaluation.json"), read(quick_run.folder / "splits.json")
        named = [(result["architecture"], result["operating_point"]) for result in evaluation["results"]]
        assert named[:4] == [(name, "default") for name in ("gru", "lstm", "rnn", "transformer")]  # gru is the default
        points = read(quick_run.folder / "operating_points.json")
        assert {*named[4:]} == {(name, point) for name in ARCHITECTURES for point in points[name]}
        for result in evaluation["results"][:4]:
            rows = table[table.architecture == result["architecture"]]
            assert list(rows.epoch) == [1, 2]
            assert rows.filter(like="accuracy").ge(0).all(axis=None)
            assert rows.filter(like="accuracy").le(1).all(axis=None)
            identity = (result["precision"], result["seed"], result["repeat"], result["operating_point"])
            assert identity == ("float32", 0, 0, "default")
            scored = result["scored"]["all"]
            assert [*scored] == ["5", "4", "3", "2"]
            assert [*scored["5"]["recall"]] == [*scored["5"]["precision"]] == [*STAGES]
            (best,) = rows[rows.best].itertuples()
            assert scored["5"]["accuracy"] == pytest.approx(best.validation_accuracy, abs=0.008)  # a tie may fall apart
            assert [*result["subjects"]] == splits["validation"]
            (alone,) = result["subjects"].values()  # one night held out: pooled is the same
            for view, figures in alone.items():
                assert figures == {name: scored[view][name] for name in figures}

    def test_the_data_are_not_touched(self, quick_run, synthetic):
        assert {path.name for path in synthetic.iterdir()} == {
            "heart_rate",
            "labels",
            "motion",
            "steps",
            "SYNTHETIC.txt",
            "origin.json",
        }

    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_scores_are_those_of_the_predictions(self, quick_run, architecture):
        """evaluation.json's scores are computed anew from the confusion matrix of the table of predictions."""
        table = pd.read_csv(quick_run.folder / "predictions" / f"{architecture}.float32.seed_0.repeat_0.csv")
        p = table[[f"p_{stage.lower()}" for stage in STAGES]].to_numpy()
        table["likeliest"] = [STAGES[i] for i in p.argmax(1)]
        sensed = table.predicted_stage != UNKNOWN  # the scores are of all windows
        assert list(table.likeliest[sensed]) == list(table.predicted_stage[sensed])
        assert sensed.mean() > 0.9
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
        assert {*map(str, table.subject)} == {*read(quick_run.folder / "splits.json")["validation"]}
        scored = table.dropna(subset="scored_stage")
        counts = np.zeros((len(STAGES), len(STAGES)))  # scored, predicted
        for true, predicted in zip(scored.scored_stage, scored.likeliest, strict=True):
            counts[STAGES.index(true), STAGES.index(predicted)] += 1
        n, right = counts.sum(), np.diag(counts)
        assert n > 100
        chance = (counts.sum(0) * counts.sum(1)).sum() / n**2
        results = read(quick_run.folder / "evaluation.json")["results"]
        result = next(result for result in results if result["architecture"] == architecture)
        scores = result["scored"]["all"]["5"]
        assert scores["accuracy"] == pytest.approx(right.sum() / n)
        assert scores["kappa"] == pytest.approx((right.sum() / n - chance) / (1 - chance))
        assert scores["majority_accuracy"] == pytest.approx(counts.sum(1).max() / n)
        for name, totals in (("recall", counts.sum(1)), ("precision", counts.sum(0))):
            expected = {s: x / total for s, x, total in zip(STAGES, right, totals, strict=True) if total}
            assert {s: scores[name][s] for s in expected} == pytest.approx(expected), name

    def test_the_first_result_is_the_one_to_read(self, quick_run):
        first = read(quick_run.folder / "evaluation.json")["results"][0]["architecture"]
        table = quick_run.folder / "predictions" / f"{first}.float32.seed_0.repeat_0.csv"
        assert (quick_run.folder / "predictions.csv").read_bytes() == table.read_bytes()

    def test_what_is_printed_is_what_was_scored(self, quick_run):
        results = read(quick_run.folder / "evaluation.json")["results"][: len(ARCHITECTURES)]
        for result in results:
            scores = result["scored"]["all"]["5"]
            text = f"κ {scores['kappa']:.2f}, accuracy {scores['accuracy']:.2f}"
            assert f"{result['architecture']} on subjects not trained on, 5 stages: {text}" in quick_run.done.stderr


class TestOptions:
    """Every option that shapes windows, and every network, in separate runs; replay.py runs their bundles."""

    @staticmethod
    def check(run_python, run, *architectures):
        """(seconds, values per window, golden night) of a run whose verdict is right."""
        check_verdict(run.folder, run.done, architectures)
        assert not (run.folder / "partial").exists()
        for architecture in architectures:
            bundle = run.folder / "bundles" / architecture
            replayed = run_python("-I", REPLAY, bundle, cwd=run.folder)
            assert replayed.stdout.startswith("float32: ")
            assert "pass" in replayed.stdout.splitlines()[0], replayed.stdout
        contract = read(bundle / "contract.json")
        sizes = {channel["name"]: channel["values_per_window"] for channel in contract["channels"]}
        return contract["seconds"], sizes, read_night(run.folder / "golden.npz")[0]

    def test_clinical_alignment(self, clinical_run, run_python):
        seconds, sizes, _ = self.check(run_python, clinical_run, "lstm")
        assert seconds == {"row": 30, "window": 30, "stride": 30}
        assert sizes == dict.fromkeys(("heart_rate", "motion_x", "motion_y", "motion_z", "steps", "activity"), 1)
        assert len(read(clinical_run.folder / "splits.json")["validation"]) == 2

    def test_two_windows_per_epoch_of_chosen_channels_from_before_the_night(self, overlapping_run, run_python):
        seconds, sizes, night = self.check(run_python, overlapping_run, "gru", "transformer")
        assert seconds == {"row": 1, "window": 30, "stride": 15}
        assert sizes == {"heart_rate": 30, "motion_x": 30, "activity": 2}
        assert -7200 <= night.ends[0] < -1000
        assert set(np.diff(night.ends)) == {15}
        assert (night.stages[night.ends <= 0] == -1).all()
        assert (night.stages[night.ends % 30 == 15] == -1).all()

    def test_stopped_and_gone_on_with_long_windows(self, stopped_run, run_python):
        run, epochs = stopped_run, read(stopped_run.folder / "hparams.json")["options"]["epochs"]
        assert run.stopped.returncode == 130, run.stopped.stderr
        assert f"to resume: python train.py --resume --out {run.folder}" in run.stopped.stderr
        assert "Traceback" not in run.stopped.stderr
        assert {"partial", "hparams.json"} <= {*run.left}
        assert "parity.json" not in run.left
        assert 2 <= run.epochs < epochs
        seconds, sizes, _ = self.check(run_python, run, "rnn")
        assert seconds == {"row": 1, "window": 60, "stride": 30}
        assert sizes == {"heart_rate": 60, "motion_magnitude": 60, "activity": 4}
        assert list(pd.read_csv(run.folder / "model_accuracies.csv").epoch) == [*range(1, epochs + 1)]


class TestMistakes:
    """Exit code 2 and one clear line, before TensorFlow is loaded, and no run folder is left behind."""

    @pytest.fixture(autouse=True)
    def apart(self, monkeypatch, tmp_path):
        monkeypatch.setattr(train, "ARTIFACTS", tmp_path / "artifacts")
        monkeypatch.setattr("pipeline.command_line.ARTIFACTS", tmp_path / "artifacts")
        monkeypatch.setattr("pipeline.nights.CACHE", tmp_path / "cache")
        monkeypatch.setattr(train, "train_and_check", lambda *_: pytest.fail("it would be trained"))

    @pytest.fixture
    def run(self, synthetic, tmp_path):
        """Runs train.py; of the data set unless another is named."""

        def call(*arguments):
            data = () if "--dataset_dir" in arguments or "--resume" in arguments else ("--dataset_dir", synthetic)
            out = () if "--out" in arguments else ("--out", tmp_path / "run")
            return CliRunner().invoke(train.main, [*map(str, (*data, *out, *arguments))])

        return call

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--architectures", "cnn"], "choose from lstm, gru, rnn, transformer"),
            (["--architectures", ""], "empty list"),
            (["--architectures", ","], "empty list"),
            (["--epochs", "9" * 20], "must be at most"),
            (["--lr", "inf"], "must be positive and finite"),
            (["--channels", "spo2"], "choose from heart_rate"),
            (["--window_size", "31"], "--window_size 31: "),
            (["--window_size", "40"], "such as 30, 45"),
            (["--window_size", "0"], "must be at least 1"),
            (["--window_size", "15"], "at least --stride 30"),
            (["--stride", "20"], "--stride 20: "),
            (["--stride", "45"], "such as "),
            (["--data_alignment", "7"], "--data_alignment 7: "),
            (["--data-alignment", "45"], "such as "),
            (["--data_alignment", "30", "--stride", "15"], "--stride 15: "),
            (["--data_alignment", "0"], "must be at least 1"),
            (["--epochs", "0"], "must be at least 1"),
            (["--batch_size", "-1"], "must be at least 1"),
            (["--hidden-dim", "0"], "must be at least 1"),
            (["--lr", "0"], "must be positive and finite"),
            (["--lr", "nan"], "must be positive and finite"),
            (["--train_split", "0"], "above 0 and at most 1"),
            (["--train_split", "1", "--inner_folds", "0"], "--inner_folds must be at least 2"),
            (["--inner_folds", "1"], "must be 0 or at least 2"),
            (["--seed", "-1"], "must be between 0 and"),
            (["--epochs", "ten"], "'ten' is not a valid integer"),
            (["--epoch_count", "3"], "--epoch_count"),
            (["--dataset_dir", "/nowhere"], "/nowhere: no such folder"),
            (["--dataset_dir", __file__], "not a folder"),
            (["--dataset_dir", f"/nowhere,{Path(__file__).parent}"], "/nowhere: no such folder"),
            (["--dataset_dir", f"{Path(__file__).parent},/tmp/..,/"], "/: given twice"),
            (["--dataset_dir", ""], "--dataset_dir: empty"),
        ],
    )
    def test_options(self, run, mistake, tmp_path, options, message):
        assert message in mistake(run(*options))
        assert [*tmp_path.iterdir()] == []

    def test_an_empty_folder(self, run, mistake, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "holds no recordings; expected" in mistake(run("--dataset_dir", tmp_path / "empty"))

    @pytest.fixture
    def copied(self, synthetic, tmp_path):
        def copy(*kinds, subjects="12345"):
            for kind in kinds:
                for path in (synthetic / kind).glob(f"100[{subjects}]_*"):
                    (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, tmp_path / "data" / kind)
            return tmp_path / "data"

        return copy

    def test_a_data_set_without_stages(self, run, mistake, copied, tmp_path):
        message = mistake(run("--dataset_dir", copied("heart_rate", subjects="123")))
        assert "no usable night among 3" in message
        assert "no stages" in message
        assert not (tmp_path / "run").exists()

    def test_no_usable_night(self, run, mistake, copied, tmp_path):
        folder = copied("heart_rate", "labels", subjects="12")
        for path in (folder / "heart_rate").iterdir():
            path.write_text("nothing, but, text\n")
        message = mistake(run("--dataset_dir", folder))
        assert "no usable night among 2" in message
        assert "heartrate.txt" in message
        assert not (tmp_path / "run").exists()

    def test_too_few_subjects(self, run, mistake, copied):
        message = mistake(run("--dataset_dir", copied("heart_rate", "labels", subjects="12")))
        assert "at least 3 subjects" in message

    def test_a_channel_that_no_night_has(self, run, mistake, copied, tmp_path):
        folder = copied("heart_rate", "labels", subjects="123")
        message = mistake(run("--dataset_dir", folder, "--channels", "heart_rate,activity"))
        assert "--channels activity: in no training night; choose from heart_rate" in message
        assert not (tmp_path / "run").exists()

    def test_a_mistake_leaves_no_run_folder_in_artifacts(self, synthetic, mistake, copied, tmp_path):
        folder = copied("heart_rate", "labels", subjects="12")
        mistake(CliRunner().invoke(train.main, ["--dataset_dir", str(folder)]))
        assert [*tmp_path.glob("artifacts/*/run_*")] == []

    def test_out_is_not_empty(self, run, mistake, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes.txt").write_text("mine")
        assert "is not empty" in mistake(run())
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("out", ["file", "file/run"])
    def test_out_is_or_lies_in_a_file(self, run, mistake, tmp_path, out):
        (tmp_path / "file").write_text("mine")
        assert "file" in mistake(run("--out", tmp_path / out))

    def test_another_command_is_at_work_in_the_folder(self, run, mistake, tmp_path, synthetic):
        (tmp_path / "run").mkdir()
        with sole_use(tmp_path / "run"):
            at_work = "run: another command is working in this folder"
            assert at_work in mistake(run("--dataset_dir", synthetic))
            (tmp_path / "run" / "hparams.json").touch()
            assert at_work in mistake(run("--resume", "--out", tmp_path / "run"))
            assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock", "hparams.json"}

    def test_what_was_killed_before_it_began_is_begun_anew(self, run, mistake, monkeypatch, tmp_path, synthetic):
        monkeypatch.setattr(train, "run_all", lambda *_: True)
        (tmp_path / "run" / "partial").mkdir(parents=True)
        for name in ("splits.json", ".lock", ".hparams.json.x7_yz.part"):
            (tmp_path / "run" / name).touch()
        assert "to begin one, leave out --resume" in mistake(run("--resume"))
        assert run("--dataset_dir", synthetic).exit_code == 0
        assert [*(tmp_path / "run").iterdir()] == []

    def test_nothing_to_resume(self, run, mistake, tmp_path):
        assert "no run to resume" in mistake(run("--resume", "--out", tmp_path / "run"))
        message = mistake(CliRunner().invoke(train.main, ["--resume"]))
        assert "no stopped run" in message
        assert [*tmp_path.iterdir()] == []

    def test_several_data_sets(self, run, mistake, copied, tmp_path, monkeypatch):
        monkeypatch.setattr(train, "train_and_check", lambda *_: True)
        data, other = copied("heart_rate", "labels", subjects="123456"), tmp_path / "other"
        for path in [*data.glob("*/100[456]_*")]:  # ids repeat, nights do not
            (other / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(other / path.parent.name / f"100{int(path.name[3]) - 3}{path.name[4:]}")
        (other / "wearers.json").write_text('{"1001": "ann", "1003": "ann"}')
        options = "--train_split", 0.5, "--channels", "heart_rate"
        done = run("--dataset_dir", f"{data},{other}", *options)
        assert done.exit_code == 0, done.stderr
        out = tmp_path / "run"
        assert read(out / "hparams.json")["dataset_dir"] == {"data": str(data), "other": str(other)}
        splits = read(out / "splits.json")
        parts = {subject: part for part, subjects in splits.items() for subject in subjects}
        assert sorted(parts) == [f"{name}.{subject}" for name in ("data", "other") for subject in (1001, 1002, 1003)]
        assert parts["other.1001"] == parts["other.1003"]
        done = run("--resume", "--out", out, "--dataset_dir", f"{other},{data}")
        assert done.exit_code == 0, done.stderr
        assert read(out / "splits.json") == splits
        assert f"the stopped run has {data},{other}" in mistake(run("--resume", "--out", out, "--dataset_dir", data))

    @pytest.fixture
    def stopped(self, quick_run, tmp_path):
        (tmp_path / "run" / "partial").mkdir(parents=True)
        shutil.copy(quick_run.folder / "hparams.json", tmp_path / "run")
        return tmp_path / "run"

    def test_resuming_with_other_options(self, run, mistake, stopped, tmp_path):
        arguments = ("--resume", "--out", stopped)
        assert "--epochs 9: the stopped run has 2" in mistake(run(*arguments, "--epochs", 9))
        assert "the stopped run has" in mistake(run(*arguments, "--dataset_dir", tmp_path))

    @pytest.mark.parametrize("text", ["", "{}"])
    def test_resuming_what_cannot_be_read(self, run, mistake, stopped, text):
        (stopped / "hparams.json").write_text(text)
        assert "hparams.json" in mistake(run("--resume", "--out", stopped))

    def test_resuming_a_run_that_is_complete(self, quick_run, run, mistake, tmp_path, monkeypatch):
        monkeypatch.setattr(train, "run_all", lambda *_: pytest.fail("it would be made again"))
        folder = shutil.copytree(quick_run.folder, tmp_path / "run")
        assert "complete" in mistake(run("--resume", "--out", folder))


class TestWhereRunsGo:
    """With the training itself left out."""

    @pytest.fixture(autouse=True)
    def apart(self, monkeypatch, tmp_path):
        monkeypatch.setattr(train, "ARTIFACTS", tmp_path / "artifacts")
        monkeypatch.setattr("pipeline.command_line.ARTIFACTS", tmp_path / "artifacts")
        monkeypatch.setattr(train, "SYNTHETIC", tmp_path / "made")
        monkeypatch.setattr(
            train, "synthesize", lambda folder, progress: synthesize(folder, subjects=3, hours=1, motion_hz=0)
        )

    @pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
    def test_numbered_folders_of_the_day_from_synthetic_nights(self, monkeypatch, tmp_path, passed, code):
        calls = []
        monkeypatch.setattr(train, "run_all", lambda *arguments: calls.append(arguments) or passed)
        for n in (1, 2, 3):
            done = CliRunner().invoke(train.main, [])
            assert done.exit_code == code, done.output
            out = Path(done.stdout.splitlines()[-1])
            assert out == tmp_path / "artifacts" / time.strftime("%Y-%m-%d") / f"run_{n}"
            assert calls[-1][:2] == (out, tmp_path / "made")
            assert len(calls[-1][2]) == 3

    def test_the_newest_stopped_run_goes_on(self, monkeypatch, tmp_path, quick_run):
        calls = []
        monkeypatch.setattr(train, "run_all", lambda *arguments: calls.append(arguments) or True)
        day = tmp_path / "artifacts" / "2026-01-01"
        for name in ("run_1", "run_2", "run_3"):
            (day / name).mkdir(parents=True)
            shutil.copy(quick_run.folder / "hparams.json", day / name)
        (day / "run_2" / "partial").mkdir()
        done = CliRunner().invoke(train.main, ["--resume"])
        assert done.exit_code == 0, done.output
        assert calls[0][0] == day / "run_2"
        assert calls[0][3].epochs == 2

    def test_interrupted(self, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(train, "run_all", interrupt)
        done = CliRunner().invoke(train.main, [])
        assert done.exit_code == 130
        assert "stopped" in done.stderr
