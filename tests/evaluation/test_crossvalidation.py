"""python -m evaluation as a user runs it: folds, their predictions, stopping and going on, other nights, mistakes.

Networks are hardly trained; that their predictions are scored right is checked against scikit-learn.
"""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import cohen_kappa_score

from evaluation import crossvalidation
from evaluation.__main__ import LEAK, main, open_evaluation
from models.trained_run import TrainedRun
from pipeline.align import Night
from pipeline.constants import CHANNELS, STAGES
from pipeline.errors import UserMistake
from pipeline.files import UNFINISHED
from pipeline.options import Options
from scoring.predictions import read_predictions

QUICK = "--architectures", "rnn", "--epochs", 2, "--hidden_dim", 8, "--variants", 1, "--inner_folds", 2
QUICK = *QUICK, "--folds", 2, "--jobs", 1, "--channels", "heart_rate"
TINY = *QUICK, "--epochs", 1, "--inner_folds", 0, "--variants", 0
P = [f"p_{stage.lower()}" for stage in STAGES]


def command(*arguments):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module", autouse=True)
def environment():
    """A fold sets these, in a process of its own unless --jobs is 1: they are put back, for the tests after these."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            patch.setenv(name, "1")
        yield


@pytest.fixture
def undrawn(monkeypatch):
    """Plots take most of a report's time; those of the whole evaluation are drawn."""
    monkeypatch.setattr("evaluation.report.draw", lambda *_: {})


@pytest.fixture(scope="module")
def whole(synthetic, tmp_path_factory):
    """A finished 2-fold evaluation of an RNN, with its int8 file on the watch; not to be written to."""
    out = tmp_path_factory.mktemp("evaluations") / "whole"
    arguments = "--precision", "float32,int8", "--json", out.parent / "copy.json", "--out", out
    done = command("run", "--dataset_dir", synthetic, *QUICK, *arguments)
    assert done.exit_code == 0, done.stderr
    return out, done


@pytest.mark.evaluations
def test_what_is_written(whole, synthetic):
    out, done = whole
    assert done.stdout.splitlines()[-1] == str(out / "report.md")
    assert (out.parent / "copy.json").read_bytes() == (out / "evaluation.json").read_bytes()
    folds = sorted((out / "folds").iterdir())
    assert len(folds) == 2
    held_out = [json.loads((fold / "splits.json").read_text())["validation"] for fold in folds]
    assert sorted(s for part in held_out for s in part) == [str(1001 + i) for i in range(6)]
    for fold in folds:
        assert {"RNN_best_model.keras", "splits.json", "scaler.json", "held_out", "bundles"} <= {
            path.name for path in fold.iterdir()
        }
        assert not (fold / "partial").exists()


@pytest.mark.evaluations
def test_scores_are_those_of_the_predictions(whole):
    out, _ = whole
    results = json.loads((out / "evaluation.json").read_text())["results"]
    named = [(r["architecture"], r["precision"], r["operating_point"]) for r in results]
    assert named[:2] == [("rnn", "float32", "default"), ("rnn", "int8", "default")]
    of_folds = [TrainedRun(fold).operating_points("rnn") for fold in (out / "folds").iterdir()]
    assert {point for *_, point in named} == {"default"}.union(*of_folds)
    for result in results[:2]:
        table = pd.read_csv(
            out / "predictions" / f"rnn.{result['precision']}.seed_0.repeat_0.csv", dtype={"subject": str}
        )
        assert [*table] == ["subject", "t", "scored_stage", "predicted_stage", *P]
        scored = table[table.scored_stage.notna()]
        predicted = np.array(STAGES)[scored[P].to_numpy().argmax(1)]
        assert result["scored"]["all"]["5"]["accuracy"] == pytest.approx((predicted == scored.scored_stage).mean())
        assert result["scored"]["all"]["5"]["kappa"] == pytest.approx(cohen_kappa_score(scored.scored_stage, predicted))
        assert result["epochs"]["all"] == len(scored)
    assert (out / "predictions.csv").read_bytes() == (out / "predictions/rnn.float32.seed_0.repeat_0.csv").read_bytes()


@pytest.mark.evaluations
def test_the_watch_predicts_nearly_what_keras_does(whole):
    """The int8 column is another computation (not the same numbers again), and a near one."""
    keras, watch = (pd.read_csv(whole[0] / "predictions" / f"rnn.{p}.seed_0.repeat_0.csv") for p in ("float32", "int8"))
    assert keras[["subject", "t"]].equals(watch[["subject", "t"]])
    apart = np.abs(keras[P] - watch[P]).to_numpy()
    assert 0 < np.percentile(apart, 99) < 0.1


def test_a_stage_is_unknown_alike_in_every_precision(monkeypatch):
    """It hangs on the input, not on the model: three strides with values, then nothing for ten minutes."""
    sensed = np.arange(20) < 3
    heart_rate = np.where(sensed[:, None], 60.0, CHANNELS["heart_rate"].missing).repeat(30, 1).astype(np.float32)
    night = Night("1", 30.0 * np.arange(1, 21), {"heart_rate": heart_rate}, np.zeros(20, np.int8))
    run = SimpleNamespace(options=Options(), channels=("heart_rate", "activity"))
    monkeypatch.setattr(crossvalidation, "model_probabilities", lambda *_: [np.full((20, 5), 0.2)])
    for precision in ("float32", "int8"):
        result = crossvalidation.predict_result(run, "gru", precision, 0, [night], Path("recordings"))
        assert result.nights[0].unknown.tolist() == [False] * 12 + [True] * 8  # five minutes after the last value
        assert result.nights[0].times.tolist() == [*range(0, 600, 30)]


@pytest.mark.evaluations
def test_operating_points_are_each_folds_own(whole):
    out, _ = whole
    results = json.loads((out / "evaluation.json").read_text())["results"]
    point = next(r["operating_point"] for r in results if r["operating_point"] != "default")  # some fold has one
    (rem,) = [r for r in results if (r["precision"], r["operating_point"]) == ("float32", point)]
    true, predicted = [], []
    for fold in (out / "folds").iterdir():
        weights = TrainedRun(fold).operating_points("rnn").get(point, {"weights": np.ones(5)})["weights"]
        for night in read_predictions(fold / "held_out" / "rnn.float32.csv"):
            true.append(night.stages[night.stages >= 0])
            predicted.append((night.probabilities * weights).argmax(1)[night.stages >= 0])
    accuracy = (np.concatenate(true) == np.concatenate(predicted)).mean()
    assert rem["scored"]["all"]["5"]["accuracy"] == pytest.approx(accuracy)


@pytest.mark.evaluations
def test_a_stopped_evaluation_goes_on_and_gives_the_same(whole, synthetic, tmp_path, monkeypatch, undrawn):
    """Stopped after its first fold, which is not trained here: it is that of the whole evaluation."""
    out, arguments = tmp_path / "stopped", ("run", "--dataset_dir", synthetic, *QUICK)
    done = []

    def interrupted(folder, *_):
        if done:
            raise KeyboardInterrupt
        done.append(shutil.copytree(whole[0] / "folds" / folder.name, folder))

    with monkeypatch.context() as patch:
        patch.setattr(crossvalidation, "run_fold", interrupted)
        stopped = command(*arguments, "--out", out)
    assert stopped.exit_code == 130
    assert f"add --resume --out {out}" in stopped.stderr
    assert not (out / "evaluation.json").exists()
    (kept,) = (out / "folds").iterdir()
    before = (kept / "held_out" / "rnn.float32.csv").stat().st_mtime_ns
    again = command(*arguments, "--out", out, "--resume")
    assert again.exit_code == 0, again.stderr
    assert (kept / "held_out" / "rnn.float32.csv").stat().st_mtime_ns == before
    assert (out / "predictions.csv").read_bytes() == (whole[0] / "predictions.csv").read_bytes()


@pytest.mark.evaluations
def test_a_fold_killed_between_its_predictions_is_finished(whole, synthetic, tmp_path, undrawn):
    out = tmp_path / "killed"
    shutil.copytree(whole[0], out)
    fold = sorted((out / "folds").iterdir())[0]
    (fold / "partial").mkdir()
    (fold / "held_out" / "rnn.int8.csv").unlink()
    (out / "evaluation.json").unlink()
    arguments = "run", "--dataset_dir", synthetic, *QUICK, "--precision", "float32,int8", "--resume", "--out", out
    done = command(*arguments)
    assert done.exit_code == 0, done.stderr
    assert not (fold / "partial").exists()
    for name in ("predictions.csv", "evaluation.json"):
        assert (out / name).read_bytes() == (whole[0] / name).read_bytes()


@pytest.mark.evaluations
def test_going_on_with_other_nights_is_a_mistake(whole, synthetic, mistake, tmp_path):
    """The folds would be others, and models be scored on nights that they were trained on."""
    fewer = tmp_path / "data"
    shutil.copytree(synthetic, fewer)
    for path in fewer.rglob("1006_*"):
        path.unlink()
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    protocol = json.loads((out / "protocol.json").read_text()) | {"dataset_dir": str(fewer)}
    (out / "protocol.json").write_text(json.dumps(protocol))
    arguments = "run", "--dataset_dir", fewer, *QUICK, "--precision", "float32,int8", "--resume", "--out", out
    assert "does not have held_out" in mistake(command(*arguments))


@pytest.mark.evaluations
def test_split_by_window_warns_wherever_it_is_read(synthetic, tmp_path, undrawn):
    done = command("run", "--dataset_dir", synthetic, *TINY, "--split_by", "window", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert LEAK in done.stderr.replace("\n", " ")
    assert "**A leak.**" in (tmp_path / "out" / "report.md").read_text()
    table = pd.read_csv(tmp_path / "out" / "predictions.csv", dtype={"subject": str})
    assert not table.duplicated(["subject", "t"]).any()


def test_other_nights_are_scored_with_a_trained_run(quick_run, tmp_path, undrawn):
    """Those that the run was trained on are left out."""
    out = tmp_path / "out"
    folder = json.loads((quick_run.folder / "hparams.json").read_text())["dataset_dir"]
    done = command("score", quick_run.folder, "--dataset_dir", folder, "--architectures", "gru", "--out", out)
    assert done.exit_code == 0, done.stderr
    held_out = json.loads((quick_run.folder / "splits.json").read_text())["validation"]
    assert [night.subject for night in read_predictions(out / "predictions.csv")] == held_out
    results = json.loads((out / "evaluation.json").read_text())["results"]
    trained = json.loads((quick_run.folder / "evaluation.json").read_text())["results"]
    (same,) = [r for r in trained if (r["architecture"], r["operating_point"]) == ("gru", "default")]
    assert results[0]["scored"] == same["scored"]


@pytest.mark.evaluations
def test_each_data_set_is_held_out_in_turn_and_scored_apart(synthetic, mistake, tmp_path, undrawn):
    for name, first, number in (("one", 0, 3), ("two", 3, 2)):
        for kind in ("heart_rate", "labels"):
            (tmp_path / name / kind).mkdir(parents=True)
            for i, path in enumerate(sorted((synthetic / kind).iterdir())[first : first + number], 1):
                shutil.copy(path, tmp_path / name / kind / f"100{i}{path.name[4:]}")  # ids repeat, nights do not
    out, both = tmp_path / "out", f"{tmp_path / 'two'},{tmp_path / 'one'}"
    done = command("run", "--dataset_dir", both, "--protocol", "sets", *TINY, "--out", out)
    assert done.exit_code == 0, done.stderr
    held_out = [["one.1001", "one.1002", "one.1003"], ["two.1001", "two.1002"]]
    protocol = json.loads((out / "protocol.json").read_text())
    assert protocol["dataset_dir"] == {name: str(tmp_path / name) for name in ("one", "two")}
    assert protocol["held_out"] == held_out
    result = json.loads((out / "evaluation.json").read_text())["results"][0]
    assert sorted(result["subjects"]) == [*held_out[0], *held_out[1]]
    assert {name: entry["nights"] for name, entry in result["sets"].items()} == {"one": 3, "two": 2}
    assert sum(entry["epochs"] for entry in result["sets"].values()) == result["epochs"]["all"]
    fold = sorted((out / "folds").iterdir())[0]  # trained on two
    done = command("score", fold, "--dataset_dir", both)
    assert done.exit_code == 0, done.stderr
    assert "left out, because the run was trained on these ids, persons or values: two.1001, two.1002" in done.stderr
    scored = json.loads((fold / "scores" / "one+two.float32" / "evaluation.json").read_text())["results"][0]
    assert scored["sets"].keys() == {"one"}
    assert scored["sets"]["one"] == result["sets"]["one"]
    message = mistake(command("score", fold, "--dataset_dir", tmp_path / "two"))
    assert f"{tmp_path / 'two'}: the run was trained on every night in it" in message


@pytest.mark.evaluations
def test_several_precisions_are_scored_in_one_report(whole, synthetic, tmp_path, undrawn):
    """And the old spelling, --precision, gives of one what it always gave."""
    run = shutil.copytree(sorted((whole[0] / "folds").iterdir())[0], tmp_path / "run")
    done = command("score", run, "--dataset_dir", synthetic, "--precisions", "float32,int8")
    both = run / "scores" / f"{synthetic.name}.float32+int8"
    assert done.stdout.splitlines()[-1] == str(both / "report.md")
    results = json.loads((both / "evaluation.json").read_text())["results"]
    named = [(result["precision"], result["operating_point"]) for result in results]
    assert named[:2] == [("float32", "default"), ("int8", "default")]
    points = TrainedRun(run).operating_points("rnn")
    assert {*named[2:]} == {(p, point) for p in ("float32", "int8") for point in points}
    for precision in ("float32", "int8"):
        written = both / "predictions" / f"rnn.{precision}.seed_0.repeat_0.csv"
        assert written.read_bytes() == (run / "held_out" / f"rnn.{precision}.csv").read_bytes()
    done = command("score", run, "--dataset_dir", synthetic, "--precision", "int8")
    one = run / "scores" / f"{synthetic.name}.int8"
    assert done.stdout.splitlines()[-1] == str(one / "report.md")
    alone = json.loads((one / "evaluation.json").read_text())["results"]
    assert alone == [result for result in results if result["precision"] == "int8"]


@pytest.mark.evaluations
def test_a_precision_that_is_none_is_a_mistake(whole, synthetic, mistake):
    run = sorted((whole[0] / "folds").iterdir())[0]
    message = mistake(command("score", run, "--dataset_dir", synthetic, "--precisions", "float32,int4"))
    assert "--precisions: int4; choose from float32" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", 9], "--protocol kfold, 9 folds of 6 usable nights"),
        (["--dataset_dir", "/nowhere"], "/nowhere"),
        (["--protocol", "sets"], "--protocol sets: needs several data sets"),
        (["--out", Path(__file__)], "cannot be written there (Not a directory)"),
        (["--json", "/tmp"], "--json /tmp: is a folder"),
        (["--precision", "int4"], "--precisions: int4; choose from float32"),
        (["--seeds", "1,x"], "--seeds x: must be whole numbers"),
        (["--seeds", "٣"], "--seeds ٣: must be whole numbers"),
        (["--protocol", "loso", "--split_by", "window"], "--split_by window: only with --protocol kfold"),
        (["--resume"], "--resume: name the stopped evaluation with --out"),
        (["--variants", -1], "--variants -1: must be at least 0"),
    ],
)
def test_mistakes_are_one_clear_line(synthetic, mistake, tmp_path, arguments, message):
    out = [] if {"--resume", "--out"} & {*arguments} else ["--out", tmp_path / "out"]
    assert message in mistake(command("run", "--dataset_dir", synthetic, *QUICK, *arguments, *out))


@pytest.mark.parametrize(("option", "tried"), [("--out", "/proc/x/protocol.json"), ("--json", "/proc/x")])
def test_outputs_are_tried_before_the_nights_are_read(monkeypatch, synthetic, mistake, option, tried):
    monkeypatch.setattr("evaluation.__main__.load_nights", None)
    message = mistake(command("run", "--dataset_dir", synthetic, *QUICK, option, "/proc/x"))
    assert f"{option} {tried}: cannot be written there" in message


@pytest.mark.evaluations
def test_going_on_with_something_else_is_a_mistake(whole, synthetic, mistake):
    arguments = "run", "--dataset_dir", synthetic, *QUICK, "--precision", "float32,int8", "--resume", "--out", whole[0]
    assert "does not have seeds" in mistake(command(*arguments, "--seed", 5))
    assert "does not have epochs 3" in mistake(command(*arguments, "--epochs", 3))


def test_an_evaluation_from_before_an_option_is_gone_on_with_at_its_default(tmp_path):
    settings = {"name": "kfold", "options": Options().as_dict()}
    before = {**settings, "options": {k: v for k, v in settings["options"].items() if k != "unscaled"}}
    (tmp_path / "protocol.json").write_text(json.dumps(before))
    with open_evaluation(tmp_path, settings, resume=True) as out:
        assert out == tmp_path.resolve()
    for name, asked in ("unscaled", {"options": Options(unscaled=True).as_dict()}), ("folds", {"folds": 3}):
        with (
            pytest.raises(UserMistake, match=f"does not have {name}"),
            open_evaluation(tmp_path, settings | asked, resume=True),
        ):
            raise AssertionError


@pytest.mark.evaluations
@pytest.mark.parametrize("name", ["nothing", "evaluation.json"])
def test_a_folder_that_is_no_evaluation_is_refused(whole, synthetic, mistake, tmp_path, name):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / name).write_text("{}")
    message = mistake(command("run", "--dataset_dir", synthetic, *QUICK, "--out", tmp_path / "some"))
    assert "exists and is not empty" in message
    assert "no evaluation to resume" in mistake(
        command("run", "--dataset_dir", synthetic, *QUICK, "--resume", "--out", tmp_path / "some")
    )


def test_a_run_that_is_none_is_a_mistake(mistake, synthetic, tmp_path):
    message = mistake(command("score", Path(tmp_path) / "none", "--dataset_dir", synthetic))
    assert "no such run folder" in message


def test_two_that_do_the_same_fold_take_turns(tmp_path, monkeypatch):
    """As when a worker was given up for lost; what one left half-written goes before the next begins."""
    folder, at_work, seen = tmp_path / "folds" / "a", [], []

    def run(folder, *_):
        seen.append(sorted(path.name for path in folder.glob(".*")) if folder.exists() else None)
        at_work.append(1)
        folder.mkdir(exist_ok=True)
        (folder / f".half{UNFINISHED}").touch()
        time.sleep(0.2)
        assert len(at_work) == 1
        at_work.clear()

    monkeypatch.setattr(crossvalidation, "_run_fold", run)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(crossvalidation.run_fold, folder, tmp_path, None, None, ()) for _ in range(2)]:
            future.result()
    assert seen == [None, []]
