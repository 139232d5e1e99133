"""Conversion in a child process, and what a build puts right before it begins."""

import shutil
import stat

import psutil
import pytest

from export import build
from models.trained_run import TrainedRun
from pipeline.errors import UserMistake


@pytest.fixture
def run(quick_run):
    return TrainedRun(quick_run.folder)


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Lets a shell script stand for the child."""

    def stand_in(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(build.sys, "executable", str(path))

    return stand_in


def convert(run, out, messages=None):
    build.convert_in_child(run, "gru", out, ("float32", "int8"), (messages if messages is not None else []).append)


def test_a_child_that_fails(run, child, tmp_path):
    child("echo float32; echo converting; echo 'Traceback: no such operator' >&2; exit 3")
    with pytest.raises(RuntimeError, match="export of gru ended with status 3") as caught:
        convert(run, tmp_path)
    assert "converting\n" in str(caught.value)
    assert "Traceback: no such operator" in str(caught.value)


def test_a_child_that_the_converter_takes_down(run, child, tmp_path):
    child("echo 'check failed' >&2; kill -9 $$")
    with pytest.raises(RuntimeError, match="ended with status -9\\ncheck failed"):
        convert(run, tmp_path)


def test_a_mistake_of_the_user_is_passed_on_as_one_line(run, child, tmp_path):
    child("echo 'W0000 a warning of TensorFlow' >&2; echo float32; echo 'run/GRU.keras: damaged'; exit 2")
    with pytest.raises(UserMistake) as caught:
        convert(run, tmp_path)
    assert caught.value.message == "run/GRU.keras: damaged"


def test_progress_is_of_files_alone(run, child, tmp_path):
    messages = []
    child("echo float32; echo fully_quantize: 0; echo int8")
    convert(run, tmp_path, messages)
    assert messages == ["gru: exporting"] * 2


def test_temporary_files_of_the_converter_lie_where_they_are_swept(run, child, tmp_path):
    child('echo "$TMPDIR"; exit 2')
    with pytest.raises(UserMistake) as caught:
        convert(run, tmp_path / ".export.1" / "gru")
    assert caught.value.message == str(tmp_path / ".export.1")


def test_an_interrupt_ends_the_children(run, child, tmp_path):
    child(f"echo $$ > {tmp_path}/pid; echo float32; exec sleep 600")

    def interrupted(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.build_bundles(run, ["gru"], tmp_path / "out", interrupted)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_the_child_itself_names_a_damaged_file(run, tmp_path):
    shutil.copy(run.path / "hparams.json", tmp_path)
    (tmp_path / "scaler.json").write_text("{")
    with pytest.raises(UserMistake) as caught:
        convert(TrainedRun(tmp_path), tmp_path / "out")
    assert caught.value.message.startswith(f"{tmp_path / 'scaler.json'}: not readable as JSON")


def test_a_build_first_puts_back_what_an_interrupted_one_moved_aside(run, child, tmp_path):
    old = tmp_path / "bundles" / ".gru.old"
    old.mkdir(parents=True)
    (old / "contract.json").write_text("{}")
    child("exit 3")
    with pytest.raises(RuntimeError):
        build.build_bundles(run, ("gru",), tmp_path / "bundles")
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["gru"]
    assert (tmp_path / "bundles" / "gru" / "contract.json").read_text() == "{}"
