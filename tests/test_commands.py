"""Commands take the same options in the same form."""

import pytest

from evaluation.__main__ import run, score, stress
from export.__main__ import run as rebuild
from export.__main__ import verify, zip_bundle
from pipeline.__main__ import check
from pipeline.command_line import CommaList, OutputFile
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
        assert "By comma" in options[name].help


@pytest.mark.parametrize(("command", "chosen"), COMMANDS.values(), ids=COMMANDS)
def test_names_with_underscores_may_have_dashes(command, chosen):
    for option in command.params:
        spelt = [name for name in option.opts if name.startswith("--") and "_" in name]
        assert {name.replace("_", "-") for name in spelt} <= {*option.opts}


@pytest.mark.parametrize(
    ("command", "name"),
    [(run, "copy"), (score, "copy"), (stress, "copy"), (parity, "report"), (predict, "out"), (check, "out"),
     (zip_bundle, "out")],
)  # fmt: skip
def test_files_that_commands_write_are_checked_before_the_work(command, name):
    (option,) = (option for option in command.params if option.name == name)
    assert isinstance(option.type, OutputFile)
