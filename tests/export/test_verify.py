"""python -m export RUN and python -m export verify BUNDLE."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.bundle import record_files, reject_precisions
from export.tflite import sha256
from pipeline.constants import PROBABILITIES
from pipeline.errors import UserMistake


@pytest.fixture
def bundle(quick_run, tmp_path):
    """A copy of the GRU's bundle, to be damaged."""
    return shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "gru")


def verified(bundle, *more):
    return CliRunner().invoke(main, ["verify", str(bundle), *more])


def change(path, alter):
    content = json.loads(path.read_text())
    alter(content)
    content.pop("digest", None)  # of a contract
    path.write_text(json.dumps(content))


def test_a_bundle_as_it_was_made(bundle):
    results = bundle.with_name("results.json")
    done = verified(bundle, "--precisions", "float32", "--json", str(results))
    assert done.exit_code == 0, done.output
    written = json.loads(results.read_text())
    assert written["passed"] and written["signed_by"] is None and written["precisions"]["float32"]["same_stage"] == 1
    assert done.stdout.startswith("float32 ")
    assert done.stdout.endswith("same stage 100.00%: pass\n")


def test_every_file_of_every_bundle_keeps_its_gate(quick_run):
    """What does not is among the rejected."""
    for folder in (quick_run.folder / "bundles").iterdir():
        done = verified(folder)
        assert done.exit_code == 0, done.output
        kept = {line.split()[0] for line in done.stdout.splitlines()}
        assert kept == {path.suffixes[0][1:] for path in folder.glob(f"{folder.name}.*.tflite")}


def other_answers(golden):
    for window in golden["windows"][:30]:
        window[PROBABILITIES] = window[PROBABILITIES][::-1]


def test_a_golden_night_that_it_does_not_say(bundle):
    change(bundle / "golden.json", other_answers)
    assert "golden.json: altered" in verified(bundle).stderr
    record_files(bundle)
    results = bundle.with_name("results.json")
    done = verified(bundle, "--precisions", "float32", "--json", str(results))
    assert not json.loads(results.read_text())["passed"]
    assert done.exit_code == 1
    assert done.stdout.endswith(": FAIL\n")


def first_call(contract):
    return contract["precisions"]["float32"]["calls"][0]


def state(contract):
    return contract["precisions"]["float32"]["states"]["context"]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda c: c.pop("stages"), "stages: Field required"),
        (lambda c: c.update(format="wristsleep-contract/2"), "format: Input should be 'wristsleep-contract/1'"),
        (lambda c: c["seconds"].update(row="1"), "seconds.row: Input should be a valid integer"),
        (lambda c: c["channels"][0].update(values_per_window=0), "channels.0.values_per_window"),
        (
            lambda c: c["channels"][0].update(values_per_window=29),
            "channels.0.values_per_window: 29, but heart_rate has 30",
        ),
        (lambda c: c["operating_points"]["rem"]["weights"].pop(), "operating_points.rem.weights"),
        (lambda c: first_call(c).update(file="../gru/sensing.tflite"), "expected a name in the bundle, not a path"),
        (lambda c: first_call(c)["outputs"].pop(0), "precisions.float32"),
        (lambda c: first_call(c)["inputs"][0].update({"from": "state:nothing"}), "'state:nothing': no such source"),
        (lambda c: c["precisions"]["float32"].update(probabilities="features"), "no output 'features' of shape"),
        (lambda c: c["preprocessing"]["activity"]["states"].pop("history"), "'state:history': no such source"),
        (lambda c: first_call(c).update(file="a" * 999), "expected a name in the bundle"),
        (lambda c: state(c).update(initial=[1, 2, 3]), "expected float32 numbers of shape"),
        (lambda c: state(c).update(initial=[[1], [1, 2]]), "expected float32 numbers of shape"),
        (lambda c: state(c).update(initial=["a"]), "expected float32 numbers of shape"),
        (lambda c: state(c).update(dtype="int8"), "float32, but 'state:context' is int8"),
        (lambda c: c.update(delay_windows=1), "the contract embedded in it differs from contract.json"),
    ],
)
def test_a_contract_that_is_none(bundle, alter, message, mistake):
    change(bundle / "contract.json", alter)
    line = mistake(verified(bundle))
    assert "contract.json" in line
    assert message in line


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda g: g.pop("windows"), "no windows"),
        (lambda g: g["windows"][7].pop("heart_rate"), "window 7, heart_rate: expected 30 numbers"),
        (lambda g: g["windows"][7]["activity"].append(1), "window 7, activity: expected 2 numbers"),
        (lambda g: g["windows"][7].update({PROBABILITIES: [0.2] * 4 + [float("nan")]}), "window 7, " + PROBABILITIES),
        (lambda g: g["windows"][7].update(stage="N4"), "window 7, stage: 'N4'; expected Wake, N1"),
    ],
)
def test_a_golden_night_that_is_none(bundle, alter, message, mistake):
    change(bundle / "golden.json", alter)
    record_files(bundle)
    line = mistake(verified(bundle))
    assert "golden.json" in line
    assert message in line


def test_altered_files(bundle, mistake):
    for name in ("sensing.tflite", "activity.tflite", "gru.float32.tflite"):
        whole = (bundle / name).read_bytes()
        (bundle / name).write_bytes(whole[:-1])
        assert f"{name}: its SHA-256 is not the one in contract.json" in mistake(verified(bundle))
        (bundle / name).write_bytes(whole)
    (bundle / "activity.tflite").unlink()
    assert "activity.tflite: missing" in mistake(verified(bundle))


def test_a_file_of_another_call_under_its_digest(bundle, mistake):
    """Digests of a forger are right; what the files are is not."""
    shutil.copy(bundle / "sensing.tflite", bundle / "gru.float32.tflite")

    def forge(contract):
        contract["precisions"]["float32"]["calls"][1]["sha256"] = sha256(bundle / "sensing.tflite")

    change(bundle / "contract.json", forge)
    assert "gru.float32.tflite: not a TFLite file with a signature 'step'" in mistake(verified(bundle))


@pytest.mark.parametrize("name", ["README.md", "contract.schema.json"])
def test_altered_pages(bundle, name, mistake):
    (bundle / name).write_text((bundle / name).read_text() + " ")
    assert f"{name}: altered" in mistake(verified(bundle))


def test_a_file_that_is_not_tflite_under_its_digest(bundle, mistake):
    (bundle / "activity.tflite").write_bytes(b"no TFLite file, but long enough to look like one" * 9)

    def forge(contract):
        contract["preprocessing"]["activity"]["calls"][0]["sha256"] = sha256(bundle / "activity.tflite")

    change(bundle / "contract.json", forge)
    assert "activity.tflite: damaged, or not what its name says" in mistake(verified(bundle))


def test_a_bundle_whose_last_file_is_rejected_goes(bundle, tmp_path):
    kept = list(json.loads((bundle / "contract.json").read_text())["precisions"])
    reject_precisions(bundle, kept, tmp_path / "rejected")
    assert not bundle.exists()
    assert {path.name for path in (tmp_path / "rejected").iterdir()} == {f"gru.{p}.tflite" for p in kept}


def test_a_later_parity_check_of_other_nights_leaves_the_reports_alone(quick_run, tmp_path, run_python):
    """Or nights that it was trained on could be read of as held out."""
    run = shutil.copytree(quick_run.folder, tmp_path / "run")
    before = {path: path.read_bytes() for path in [*run.glob("bundles/*/*"), run / "parity.json"]}
    seen = json.loads((run / "splits.json").read_text())["train"][0]
    run_python("-m", "watch_sim", "parity", run, "--nights", seen, "--architectures", "rnn", "--precisions", "float32")
    assert json.loads((run / "parity_checks" / "parity_1.json").read_text())["nights"] == [seen]
    assert {path: path.read_bytes() for path in before} == before


def test_where_bundles_may_go(quick_run, tmp_path, mistake):
    (tmp_path / "file").write_text("")
    asked = [str(quick_run.folder), "--precisions", "float32"]
    assert "needs --out" in mistake(CliRunner().invoke(main, asked))
    assert "cannot create a folder" in mistake(CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "file")]))


def test_no_bundle_no_run(tmp_path, mistake):
    assert "contract.json: missing" in mistake(verified(tmp_path))
    assert "--precisions: int4" in mistake(CliRunner().invoke(main, [str(tmp_path), "--precisions", "int4"]))
    assert "hparams.json: missing" in mistake(CliRunner().invoke(main, [str(tmp_path)]))


def test_bundles_made_anew_from_the_run_alone(quick_run, tmp_path, run_python):
    run = shutil.copytree(quick_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("bundles", "rejected"))
    change(run / "hparams.json", lambda hparams: hparams.update(dataset_dir="/nowhere"))
    done = run_python(
        "-m", "export", run, "--architectures", "rnn", "--precisions", "float32,int8", "--out", tmp_path / "b"
    )
    assert done.returncode in (0, 1), done.stderr
    old, new = quick_run.folder / "bundles" / "rnn", tmp_path / "b" / "rnn"
    assert verified(new).exit_code == 0
    contracts = [json.loads((folder / "contract.json").read_text()) for folder in (old, new)]
    assert contracts[0]["preprocessing"].keys() == contracts[1]["preprocessing"].keys()
    golden = [json.loads((folder / "golden.json").read_text())["windows"] for folder in (old, new)]
    actual = [np.array([window[PROBABILITIES] for window in windows]) for windows in golden]
    assert np.abs(actual[0] - actual[1]).max() < 1e-5
    kept = set(contracts[1]["precisions"])
    rejected = {path.name for path in (tmp_path / "b" / "rejected" / "rnn").glob("*")}
    assert kept | {name.split(".")[1] for name in rejected} == {"float32", "int8"}
    assert done.returncode == bool(rejected)
    assert all(str(tmp_path / "b" / "rejected" / "rnn" / name) in done.stdout for name in rejected)
    assert not [path for path in run.iterdir() if path.name.startswith(".export")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scaler.json", b"[]"),
        ("scaler.json", b'{"mean": ["a"]}'),
        ("golden.npz", b""),
        ("golden.npz", None),  # cut short
        ("parity.json", b"{}"),
        ("parity.json", b'{"models": [1]}'),
        ("evaluation.json", b"null"),
        ("calibration.npz", None),
        ("RNN_best_model.keras", None),
        ("evaluation.json", b'{"results": [{"architecture": "rnn", "precision": "float32"}]}'),
    ],
)
def test_a_damaged_file_of_the_run_is_named_and_the_bundles_stay(quick_run, tmp_path, name, content, monkeypatch):
    from export import build
    from export.convert import convert
    from models.trained_run import TrainedRun

    def convert_here(run, architecture, out, precisions, *_):  # a child would import TensorFlow first
        convert(str(run.path), architecture, str(out), *precisions)

    monkeypatch.setattr(build, "convert_in_child", convert_here)
    precision = "int8" if name == "calibration.npz" else "float32"
    run = shutil.copytree(quick_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("rejected", "predictions"))
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    before = {path: path.read_bytes() for path in run.glob("bundles/**/*") if path.is_file()}
    with pytest.raises(UserMistake, match=re.escape(name if b"results" not in (content or b"") else "run")):
        build.rebuild_bundles(TrainedRun(run), ("rnn",), (precision,), tmp_path / "b", lambda message: None)
    assert not list(tmp_path.glob("b/rnn"))
    assert {path: path.read_bytes() for path in run.glob("bundles/**/*") if path.is_file()} == before
    assert not list(run.glob(".export*"))
