"""Commands take the same options in the same form."""

import os

import pytest
from click.testing import CliRunner

from evaluation.__main__ import run, saliency, score, stress
from export.__main__ import main as export
from export.__main__ import run as rebuild
from export.__main__ import verify, zip_bundle
from pipeline.__main__ import check, import_, main, synthesize
from pipeline.command_line import CommaList, OutputFile
from pipeline.scratch import sole_use
from tests.conftest import ROOT
from train import main as train
from watch_sim.__main__ import parity, predict

MODELS = {"architectures": ["--architectures", "--architecture"], "precisions": ["--precisions", "--precision"]}
COMMANDS = {
    "train": (train, {"architectures"}),
    "export": (rebuild, {*MODELS}),
    "verify": (verify, {"precisions"}),
    "run": (run, {*MODELS}),
    "score": (score, {*MODELS}),
    "stress": (stress, {*MODELS}),
    "parity": (parity, {*MODELS}),
    "predict": (predict, {*MODELS}),
}


@pytest.mark.parametrize(("command", "chosen"), COMMANDS.values(), ids=COMMANDS)
def test_models_are_chosen_by_lists_of_the_same_names(command, chosen):
    options = {option.name: option for option in command.params}
    assert options.keys() & MODELS.keys() == chosen
    for name in chosen:
        assert options[name].opts == MODELS[name]
        assert isinstance(options[name].type, CommaList)
        assert "comma-separated" in options[name].help.lower()


@pytest.mark.parametrize(("command", "chosen"), COMMANDS.values(), ids=COMMANDS)
def test_names_with_underscores_may_have_dashes(command, chosen):
    for option in command.params:
        spelt = [name for name in option.opts if name.startswith("--") and "_" in name]
        assert {name.replace("_", "-") for name in spelt} <= {*option.opts}


@pytest.mark.parametrize(
    ("command", "name"),
    [(run, "copy"), (score, "copy"), (stress, "copy"), (predict, "copy"), (check, "copy"), (import_, "copy"),
     (verify, "copy"), (parity, "report"), (predict, "out"), (check, "out"), (zip_bundle, "out")],
)  # fmt: skip
def test_files_that_commands_write_are_checked_before_the_work(command, name):
    (option,) = (option for option in command.params if option.name == name)
    assert isinstance(option.type, OutputFile)


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        (train, "--epochs", "1_0", "--epochs 1_0: expected a number in the digits 0 to 9"),
        (train, "--lr", "0.0_1", "--lr 0.0_1: expected a number in the digits 0 to 9"),
        (synthesize, "--hours", "٣", "--hours ٣: expected a number in the digits 0 to 9"),
        (stress, "--seed", "１", "--seed １: expected a number in the digits 0 to 9"),
        (check, "--jobs", "0_1", "--jobs 0_1: expected a number"),
        (check, "--scheduler", "", "--scheduler: empty; for the default, leave the option out"),
        (import_, "--zone", "", "--zone: empty"),
        (rebuild, "--for", "", "--for: empty"),
    ],
)
def test_odd_numbers_and_empty_words_are_mistakes(command, option, value, message, mistake):
    places = {train: [], import_: ["csv", "x", "y"]}.get(command, ["x"])
    assert mistake(CliRunner().invoke(command, [*places, option, value])).startswith(f"Error: {message}")


@pytest.mark.parametrize(("command", "line"), [(main, ["check", "x", "a\nb"]), (train, ["a\nb"])])
def test_arguments_that_break_lines_stay_on_one(command, line, mistake):
    assert mistake(CliRunner().invoke(command, line)) == r"Error: Got unexpected extra argument (a\nb)"


def test_a_run_that_is_none_costs_no_folder(tmp_path, mistake):
    done = CliRunner().invoke(rebuild, [str(tmp_path), "--out", str(tmp_path / "new")])
    assert "hparams.json: missing" in mistake(done)
    assert not (tmp_path / "new").exists()


def test_a_path_that_is_no_text_is_printed_as_it_is(tmp_path):
    bundle, path = ROOT / "bundles" / "gru-int8", os.fsencode(tmp_path) + b"/\xff.zip"
    done = CliRunner().invoke(export, ["zip", str(bundle), "--out", os.fsdecode(path)])
    assert done.stdout_bytes.splitlines()[0] == path


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (check, "set --out set/heart_rate/1001_heartrate.txt", "belongs to {set}; name another file"),
        (check, "elsewhere --json set/heart_rate/1001_heartrate.txt", "belongs to {set}; name another file"),
        (check, "set --json set/origin.json", "would overwrite the input; name another file"),
        (check, "set --out x --json x", "is written as another result, too; name another file"),
        (import_, "csv set/heart_rate new --json set/heart_rate/x", "is inside set/heart_rate; name"),
        (import_, "csv set new --json new/x", "is inside new; name a file elsewhere"),
        (verify, "set --json set/x", "is inside set; name a file elsewhere"),
    ],
)
def test_results_replace_nothing_that_is_read(command, arguments, message, tmp_path, monkeypatch, mistake):
    monkeypatch.chdir(tmp_path)
    recording = tmp_path / "set" / "heart_rate" / "1001_heartrate.txt"
    recording.parent.mkdir(parents=True)
    recording.write_text("0,60\n")
    message = message.format(set=tmp_path / "set")
    assert message in mistake(CliRunner().invoke(command, arguments.split()))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [recording]
    assert recording.read_text() == "0,60\n"


RUN_FILES = ["hparams.json", "splits.json", "evaluation.json", "bundles/gru/contract.json", "bundles/gru/new.json"]


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize(
    ("command", "arguments", "option"),
    [(run, "--dataset_dir DATA", "--json"), (score, "RUN --dataset_dir DATA", "--json"), (stress, "RUN", "--json"),
     (parity, "RUN", "--json"), (predict, "RUN DATA", "--json"), (predict, "RUN DATA", "--out"),
     (check, "DATA", "--out"), (import_, "csv DATA new", "--json"), (verify, "OTHER", "--json"),
     (zip_bundle, "OTHER", "--out")],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_results_replace_no_file_of_a_run(command, arguments, option, name, quick_run, synthetic, tmp_path, mistake):
    places = {"RUN": quick_run.folder, "DATA": synthetic, "OTHER": tmp_path}
    file = quick_run.folder / name
    before = file.read_bytes() if file.exists() else None
    asked = [*(str(places.get(word, word)) for word in arguments.split()), option, str(file)]
    expected = "is inside" if "bundles" in name else f"belongs to {quick_run.folder}; name another file"
    assert expected in mistake(CliRunner().invoke(command, asked))
    assert (file.read_bytes() if file.exists() else None) == before


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (score, "RUN --dataset_dir DATA --out RUN", "is the folder of a run or an evaluation; name another"),
        (score, "RUN --dataset_dir DATA --out RUN/bundles/gru", "is inside"),
        (score, "RUN --dataset_dir DATA --out NEW --json NEW/report.md", "is inside"),
        (stress, "RUN --dataset_dir DATA --out RUN", "is the folder of a run or an evaluation; name another"),
        (stress, "RUN --out NEW --json NEW/stress.md", "is written as another result, too; name another file"),
        (saliency, "RUN --out RUN/bundles/gru/x", "is inside"),
        (run, "--dataset_dir DATA --out NEW --json NEW/protocol.json", "is inside"),
        (run, "--dataset_dir DATA --out RUN/bundles/gru/x", "is inside"),
        (train, "--dataset_dir DATA --out RUN/bundles/gru/x", "is inside"),
        (parity, "RUN --json RUN/parity.txt", ".png: belongs to"),
        (predict, "RUN DATA --precisions float32 --out RUN/golden.npz", "belongs to"),
        (rebuild, "RUN --out OCCUPIED", "gru: exists and is not empty; name another"),
        (rebuild, "RUN --out RUN/bundles --precisions int8", "needs --out, because the run's own bundles must have"),
        (rebuild, "RUN --for any --out RUN/bundles/gru/x", "is inside"),
    ],
)
def test_folders_replace_no_file_of_a_run(command, arguments, message, quick_run, synthetic, tmp_path, mistake):
    (tmp_path / "gru").mkdir()
    (tmp_path / "gru" / "mine.txt").write_text("mine")
    places = {"RUN": quick_run.folder, "DATA": synthetic, "NEW": tmp_path / "new", "OCCUPIED": tmp_path}

    def state():
        return {path: path.stat().st_mtime_ns for place in (quick_run.folder, tmp_path) for path in place.rglob("*")}

    before = state()
    asked = ["/".join([str(places.get(x, x)) for x in word.split("/")]) for word in arguments.split()]
    assert message in mistake(CliRunner().invoke(command, asked))
    after = state()
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in before if path.is_file())


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(saliency, []), (stress, []), (parity, []), (score, ["--dataset_dir"]), (predict, []), (rebuild, []),
     (rebuild, ["--for", "any"])],
    ids=["saliency", "stress", "parity", "score", "predict", "export", "export --for"],
)  # fmt: skip
def test_a_run_is_written_to_by_one_command_at_a_time(command, arguments, quick_run, synthetic, mistake):
    nights = [synthetic] if command is predict or command is score else []
    with sole_use(quick_run.folder):
        done = CliRunner().invoke(command, [*map(str, [quick_run.folder, *arguments, *nights])])
        assert "another command is working in this folder" in mistake(done)
