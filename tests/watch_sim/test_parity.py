"""The parity report: its figures and gates by hand-made probabilities, then the command on the quick run's bundles,
where it must pass, and on spoilt ones, where it must not.
"""

import json
import shutil
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner

from export.gates import compare
from export.tflite import rewrite, sha256
from pipeline.align import Night, align
from pipeline.constants import UNKNOWN
from pipeline.coverage import Coverage
from pipeline.options import Options
from pipeline.recordings import read_recording
from watch_sim.__main__ import main
from watch_sim.parity import Online, check_alignment, check_step, check_unknown
from watch_sim.stream import stream
from watch_sim.watch import Epoch

ROW = {
    "architecture", "precision", "bytes", "p99_abs_dp", "max_abs_dp", "same_stage", "abs_dkappa", "passed",
    "first_divergence",
}  # fmt: skip


def night(windows, subject="1", scored=True):
    stages = np.arange(windows) % 5 if scored else np.full(windows, -1)
    return Night(subject, 30.0 * np.arange(1, windows + 1), {}, stages.astype(np.int8))


def likely(stages, first=0.6):
    """[windows, 5] probabilities, `first` for these stages and the rest shared evenly."""
    p = np.full((len(stages), 5), (1 - first) / 4)
    p[np.arange(len(stages)), stages] = first
    return p


def test_figures_by_hand():
    """Two nights of 100 windows; in the second, two windows say another stage and one is .02 off."""
    nights, p = [night(100, "1"), night(100, "2")], likely(np.arange(100) % 5)
    q = p.copy()
    q[[10, 20]] = likely([1, 1])
    q[50, 0] += 0.02
    got = compare([p, p], [p, q], nights, "int8")
    assert got["p99_abs_dp"] == pytest.approx(0)  # 5 of 1,000 probabilities are off
    assert got["max_abs_dp"] == pytest.approx(0.5)
    assert got["same_stage"] == pytest.approx(0.99)
    assert got["abs_dkappa"] == pytest.approx(1 - (0.99 - 0.2) / 0.8, abs=1e-9)  # chance agreement stays at .2
    assert got["worst_night"] == "2"
    assert got["first_divergence"] == {"night": "2", "window": 10, "t": 330.0, "abs_dp": pytest.approx(0.5)}
    assert not got["passed"]  # by kappa: .0125 is over .01


@pytest.mark.parametrize(
    ("precision", "off", "passed"),
    [
        ("float32", 4.9e-6, True), ("float32", 5.2e-6, False), ("float16", 1.9e-3, True), ("float16", 2.1e-3, False),
        ("dynamic", 0.079, True), ("dynamic", 0.081, False), ("int16x8", 0.079, True), ("int16x8", 0.081, False),
        ("int8", 0.099, True), ("int8", 0.101, False),
    ],
)  # fmt: skip
def test_gate_on_the_size(precision, off, passed):
    p = likely(np.arange(200) % 5)
    q = p + off * np.where(p == p.max(), 1, -0.25)
    got = compare([p], [q], [night(200)], precision)
    assert got["passed"] is passed
    assert (got["first_divergence"] is None) is passed


@pytest.mark.parametrize(
    ("precision", "others", "passed"),
    [
        ("float32", 0, True), ("float32", 1, False), ("float16", 2, True), ("float16", 3, False),
        ("dynamic", 10, True), ("dynamic", 11, False), ("int16x8", 10, True), ("int16x8", 11, False),
        ("int8", 30, True), ("int8", 31, False),
    ],
)  # fmt: skip
def test_gate_on_the_stage(precision, others, passed):
    """Of 2,000 unscored windows, so that kappa does not count; the two likeliest stages are .0002 apart."""
    stages = np.arange(2000) % 5
    p = likely(stages, 0.4)
    p[np.arange(2000), (stages + 1) % 5] = 0.3998
    q = p.copy()
    q[np.arange(others), (stages[:others] + 1) % 5] += 0.0004
    got = compare([p], [q], [night(2000, scored=False)], precision)
    assert got["same_stage"] == pytest.approx(1 - others / 2000)
    assert got["abs_dkappa"] is None
    assert got["passed"] is passed


def test_a_tie_may_swap_in_float32_alone():
    p = np.tile([0.3, 0.3 + 1e-6, 0.2, 0.1, 0.1], (100, 1))
    q = p + np.array([2e-6, -2e-6, 0, 0, 0])
    assert compare([p], [q], [night(100)], "float32")["passed"]
    assert compare([p], [q], [night(100)], "float32")["same_stage"] == 1
    assert compare([p], [q], [night(100)], "float16")["same_stage"] == 0
    apart = np.tile([0.3, 0.3 + 3e-5, 0.2, 0.1, 0.1], (100, 1))
    assert compare([apart], [p], [night(100)], "float32")["same_stage"] == 1  # the same stage, though far off
    assert not compare([apart], [q], [night(100)], "float32")["passed"]


def test_a_maximum_beyond_the_float32_gate():
    p = likely(np.arange(1000) % 5)
    q = p.copy()
    q[7, 0] += 2e-5
    got = compare([p], [q], [night(1000)], "float32")
    assert got["p99_abs_dp"] == 0
    assert not got["passed"]
    assert got["first_divergence"]["window"] == 7


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_is_not_a_number_never_passes(precision):
    p = likely(np.arange(5000) % 5)
    q = p.copy()
    q[4000] = np.nan
    got = compare([p], [q], [night(5000, scored=False)], precision)
    assert not got["passed"]
    assert got["first_divergence"]["window"] == 4000


def test_alignment_names_the_first_difference(synthetic):
    options = Options(channels=("heart_rate", "motion_z", "steps", "activity"))
    recording = read_recording(synthetic, "1001")
    aligned = align(recording, options)
    closed = list(stream(recording, options, Online(options, tuple(aligned.channels))))
    assert check_alignment(closed, aligned, options) is None
    aligned.channels["steps"][40, 3] += 1
    aligned.channels["motion_z"][30, 29] = np.nextafter(aligned.channels["motion_z"][30, 29], np.float32(9))
    first = check_alignment(closed, aligned, options)
    assert first == {"night": "1001", "window": 30, "channel": "motion_z"}


def epochs_of(flags):
    stages = [UNKNOWN if unknown else "N2" for unknown in flags]
    return [Epoch(30.0 * i, stage, np.full(5, 0.2), Coverage({}, stage == UNKNOWN)) for i, stage in enumerate(stages)]


def test_unknown_stages_name_the_first_difference():
    options = Options(channels=("heart_rate", "activity"))
    heart = np.full((40, 30), 60, np.float32)
    heart[10:] = 0  # and no activity at all: unknown once five minutes have passed
    silent = Night("1", 30.0 * np.arange(1, 41), {"heart_rate": heart}, np.full(40, -1, np.int8))
    flags = [i >= 19 for i in range(40)]
    assert check_unknown(epochs_of(flags), silent, options, options.channels) is None
    flags[25] = False
    first = check_unknown(epochs_of(flags), silent, options, options.channels)
    assert first == {"night": "1", "window": 25, "unknown": {"watch": False, "pipeline": True}}


def test_step_form_names_the_first_difference(quick_run):
    from models.trained_run import TrainedRun

    run = TrainedRun(quick_run.folder)
    nights = run.golden_nights()
    features = run.sensing().sense_nights(nights)
    (p,) = run.probabilities("gru", features)
    network = run.network("gru")
    passing = check_step(network, features, [p], nights)
    assert passing["passed"]
    assert passing["first_divergence"] is None
    assert 0 <= passing["max_abs_dp"] <= 1e-5
    p[60, 1] += 2e-5
    failed = check_step(network, features, [p], nights)
    assert not failed["passed"]
    assert failed["first_divergence"]["window"] == 60
    assert failed["max_abs_dp"] == pytest.approx(2e-5, rel=0.2)


def command(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def run(quick_run, tmp_path):
    """A copy of the quick run."""
    return Path(shutil.copytree(quick_run.folder, tmp_path / "run"))


def test_the_command_as_a_user_calls_it(quick_run, run_python, tmp_path):
    precisions = list(json.loads((quick_run.folder / "bundles/gru/contract.json").read_text())["precisions"])[:2]
    before = {path: path.stat().st_mtime_ns for path in quick_run.folder.rglob("*")}
    report = tmp_path / "report.json"
    options = ("--architectures", "gru", "--precisions", ",".join(precisions), "--nights", "1004", "--json", report)
    done = run_python("-m", "watch_sim", "parity", quick_run.folder, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["all gates passed", str(report)]
    assert done.stdout.count("gru") == len(precisions)
    assert not done.stderr.strip()
    content = json.loads(report.read_text())
    assert content["passed"] is True
    assert content["nights"] == ["1004"]
    assert [(row["architecture"], row["precision"]) for row in content["models"]] == [
        ("gru", name) for name in precisions
    ]
    for row in content["models"]:
        assert row.keys() >= ROW
        assert row["passed"] is True
        assert row["bytes"] == (quick_run.folder / f"bundles/gru/gru.{row['precision']}.tflite").stat().st_size
        assert 0 <= row["p99_abs_dp"] <= row["max_abs_dp"] < 1
    assert content["alignment"]["passed"] is content["step"]["gru"]["passed"] is True
    assert content["models"][0]["first_divergence"] is None
    assert content["alignment"]["windows"] == 144
    assert 0 <= content["alignment"]["unknown_windows"] < 144
    assert {path: path.stat().st_mtime_ns for path in quick_run.folder.rglob("*")} == before


def test_nights_it_was_trained_on_are_left_out_unless_named(quick_run, tmp_path):
    arguments = ("parity", quick_run.folder, "--architectures", "rnn", "--precisions", "float32", "--json")
    assert command(*arguments, tmp_path / "a.json").exit_code == 0
    splits = json.loads((quick_run.folder / "splits.json").read_text())
    assert json.loads((tmp_path / "a.json").read_text())["nights"] == splits["validation"]
    named = splits["train"][0], splits["validation"][0]
    assert command(*arguments, tmp_path / "b.json", "--nights", ",".join(named)).exit_code == 0
    assert json.loads((tmp_path / "b.json").read_text())["nights"] == sorted(named)


def test_nights_without_stages_leave_kappa_out(quick_run, synthetic, tmp_path):
    for kind in ("heart_rate", "steps"):
        shutil.copytree(synthetic / kind, tmp_path / "data" / kind)
    options = ("--dataset-dir", tmp_path / "data", "--architectures", "gru", "--precisions", "float32")
    done = command("parity", quick_run.folder, *options, "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "report.json").read_text())["models"]
    assert row["abs_dkappa"] is None
    assert row["same_stage"] == 1


def spoil(bundle, name):
    """Change the weights of a bundle's file a little, and its digest in the contract to fit."""
    model = schema.ModelT.InitFromPackedBuf((bundle / name).read_bytes(), 0)
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32 and len(tensor.shape) == 2:
            weights = np.frombuffer(bytes(data), np.float32) * np.float32(1.01)
            model.buffers[tensor.buffer].data = list(weights.tobytes())
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (bundle / name).write_bytes(rewrite(bytes(builder.Output())))
    contract = json.loads((bundle / "contract.json").read_text())
    for precision in contract["precisions"].values():
        for call in precision["calls"]:
            call["sha256"] = sha256(bundle / call["file"])
    del contract["digest"]
    (bundle / "contract.json").write_text(json.dumps(contract))


def test_it_fails_where_the_watch_predicts_something_else(run):
    spoil(run / "bundles" / "gru", "gru.float32.tflite")
    done = command("parity", run, "--architectures", "gru", "--precisions", "float32,float16", "--json", run / "r.json")
    assert done.exit_code == 1, done.output
    report = json.loads((run / "r.json").read_text())
    spoilt, other = report["models"]
    assert not report["passed"]
    assert not spoilt["passed"]
    assert other["passed"]
    assert report["alignment"]["passed"]
    assert report["step"]["gru"]["passed"]
    first = spoilt["first_divergence"]
    assert (first["night"], first["window"], first["t"]) == ("1004", 0, 30.0)
    assert first["abs_dp"] > 1e-5
    assert "FAIL" in done.stdout
    assert f"1004 epoch {first['window']}" in done.stdout
    assert (run / "bundles/gru/gru.float32.tflite").exists()  # parity looks, only training rejects


def test_it_refuses_a_file_whose_digest_differs(run, mistake):
    file = run / "bundles/gru/gru.float32.tflite"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    message = mistake(command("parity", run, "--architectures", "gru", "--precisions", "float32"))
    assert "gru.float32.tflite" in message
    assert "SHA-256" in message


def without(*names):
    def leave_out(run):
        for name in names:
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return leave_out


MISTAKES = {
    "unknown architecture": (None, ["--architectures", "cnn"], "choose from lstm, gru"),
    "unknown precision": (None, ["--precisions", "float64"], "choose from float32"),
    "unknown night": (None, ["--nights", "42"], "no recording of 42"),
    "no data": (None, ["--dataset_dir", "/nowhere"], "/nowhere"),
    "no run": (shutil.rmtree, [], "no such run folder"),
    "no hparams": (without("hparams.json"), [], "hparams.json: missing"),
    "no splits": (without("splits.json"), [], "splits.json: missing"),
    "no scaler": (without("scaler.json"), [], "scaler.json: missing"),
    "no model": (without("GRU_best_model.keras"), [], "GRU_best_model.keras: missing"),
    "no bundles": (without("bundles"), [], "missing: an incomplete run"),
    "no contract": (without("bundles/gru/contract.json"), [], "contract.json: missing"),
    "no sensing": (without("bundles/gru/sensing.tflite"), [], "sensing.tflite: missing"),
}


@pytest.mark.parametrize(("spoil", "options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_clear_line(run, mistake, spoil, options, message):
    if spoil:
        spoil(run)
    assert message in mistake(command("parity", run, *options))


def test_only_trained_nights_are_a_mistake(run, mistake):
    splits = json.loads((run / "splits.json").read_text())
    splits["train"] += splits["validation"]
    (run / "splits.json").write_text(json.dumps(splits))
    assert "--nights" in mistake(command("parity", run, "--architectures", "gru"))
