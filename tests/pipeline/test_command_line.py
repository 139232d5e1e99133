"""What the command lines share: options, their spellings and help, and the folders that commands write to."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import fields
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline import command_line
from pipeline.command_line import (
    HELP,
    CommaList,
    Commands,
    OneLine,
    OutputFile,
    make_folder,
    must_be_new,
    new_folder,
    option,
    options_of_run,
)
from pipeline.errors import UserMistake
from pipeline.options import Options
from tests.conftest import ROOT


@click.command()
@options_of_run
@option("names", into="chosen", type=CommaList(), default=())
def command(chosen, **values):
    click.echo(repr((Options(**values), chosen)))


def parse(*arguments):
    """(Options, names) that the arguments give."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return eval(result.output, {"Options": Options})


def test_without_arguments_options_have_their_defaults():
    assert parse() == (Options(), ())


def test_every_option_has_help_and_both_spellings():
    assert HELP.keys() == {field.name for field in fields(Options)}
    usage = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    for name, text in HELP.items():
        assert text.split(";")[0].rstrip(".") in usage
        assert f"--{name}" in usage
        assert f"--{name.replace('_', '-')}" in usage
    assert "[lstm,gru,rnn,transformer]" in usage
    assert "[heart_rate,activity]" in usage and "[off]" in usage
    assert not any(word in usage for word in ("[]", "[False]", "[None]", "[()]"))
    assert parse("--window_size", "60") == parse("--window-size", "60") == (Options(window_size=60), ())


def test_lists_are_split_at_commas_without_blanks_and_repeats():
    options, names = parse("--architectures", " gru, lstm,,gru", "--names", "b,a")
    assert options.architectures == ("gru", "lstm")
    assert names == ("b", "a")
    assert parse("--negative-times")[0].negative_times is True


def test_new_folders_of_a_day_are_numbered_and_created(tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "ARTIFACTS", tmp_path)
    day = tmp_path / date.today().isoformat()
    assert [new_folder("run"), new_folder("run"), new_folder("evaluation")] == [
        day / "run_1",
        day / "run_2",
        day / "evaluation_1",
    ]
    assert all(folder.is_dir() for folder in (day / "run_1", day / "run_2", day / "evaluation_1"))


@click.command()
@option("out", type=OutputFile(), default=None)
@option("from_dir", type=Path, default=None)
def writing(out, from_dir):
    click.echo(f"works with {out} and {from_dir}")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "--out: empty; name a file or folder"),
        (".", "--out .: is a folder; name a file"),
        ("/dev/null", "--out /dev/null: is a device or pipe; name a file"),
        ("file/x.csv", "--out file/x.csv: cannot be written there (Not a directory)"),
        ("/proc/x/y.csv", "--out /proc/x/y.csv: cannot be written there ("),
        ("n" * 300, "cannot be written there (File name too long)"),
        ("circle/x.csv", "--out circle/x.csv: cannot be followed: its links lead in a circle"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_the_work(tmp_path, monkeypatch, mistake, path, message):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("circle").symlink_to("circle")
    assert message in mistake(CliRunner().invoke(writing, ["--out", path]))
    assert {*tmp_path.iterdir()} == {tmp_path / "file", tmp_path / "circle"}


def test_a_file_that_can_be_written_is_not_made_yet(tmp_path, mistake):
    done = CliRunner().invoke(writing, ["--out", str(tmp_path / "new" / "x.csv"), "--from-dir", str(tmp_path)])
    assert done.stdout == f"works with {tmp_path / 'new' / 'x.csv'} and {tmp_path}\n"
    assert not [*tmp_path.iterdir()]
    assert "--from_dir: empty" in mistake(CliRunner().invoke(writing, ["--from_dir", ""]))


def test_a_path_that_cannot_be_read_is_found_before_the_work(tmp_path, monkeypatch, mistake):
    denied = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK and denied(path, mode))  # tests run as root
    line = mistake(CliRunner().invoke(writing, ["--from-dir", str(tmp_path)]))
    assert line == f"Error: --from_dir {tmp_path}: cannot be read (Permission denied)"
    assert (
        CliRunner().invoke(writing, ["--from-dir", str(tmp_path / "new"), "--out", str(tmp_path / "x")]).exit_code == 0
    )


def test_a_folder_is_created_or_the_mistake_named(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserMistake, match=f"^--out {tmp_path}/file/x: cannot create a folder there"):
        make_folder(tmp_path / "file" / "x")


def test_only_a_missing_or_empty_folder_is_new(tmp_path):
    must_be_new(tmp_path / "missing")
    must_be_new(tmp_path)
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserMistake, match=r"exists and is not empty.*--resume"):
            must_be_new(out)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), 2, "Error: a/b: No space left on device\n"),
        (OSError("unable to write"), 2, "Error: unable to write\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_file_that_fails_is_one_line_and_an_interrupt_none(error, code, said):
    def fail():
        raise error

    group = Commands(
        "group", commands={"one": OneLine("one", callback=fail), "two": click.Command("two", callback=fail)}
    )
    for command, arguments in ((group.commands["one"], []), (group, ["one"]), (group, ["two"])):
        result = CliRunner().invoke(command, arguments)
        assert (result.exit_code, result.stderr.removeprefix("stopped\n")) == (code, said)


def test_an_empty_list_is_a_mistake(mistake):
    for text in ("", ",", " , "):
        assert "empty list" in mistake(CliRunner().invoke(command, ["--architectures", text]))


def test_devices_are_outputs_where_nothing_else_is_written_beside():
    assert OutputFile(devices=True).convert("/dev/null", None, None) == Path("/dev/null")
    with pytest.raises(UserMistake, match="is a folder"):
        OutputFile(devices=True).convert("/dev", None, None)


INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(name, *_):
        if name in ("click", "tensorflow"):
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt)
"""


@pytest.mark.parametrize(
    "command", ["train.py", "-m pipeline", "-m evaluation", "-m export", "-m models", "-m watch_sim"]
)
def test_an_interrupt_while_modules_are_imported_has_no_traceback(tmp_path, command):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, *command.split()], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
