"""Scratch folders: kept while their process lives, swept away once it was killed."""

import subprocess
import sys

import pytest

from export.archive import write_zip
from pipeline.errors import UserMistake
from pipeline.scratch import holds_anything, scratch_folder, sole_use, sole_use_of_output, sole_writer, sweep
from tests.apps.vectors import FOLDER
from tests.conftest import ROOT

OWNER = """
import sys
from pipeline.scratch import scratch_folder
with scratch_folder(sys.argv[1], ".export.") as folder:
    (folder / "half").write_text("")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_there_while_it_is_needed(tmp_path):
    with scratch_folder(tmp_path, ".export.") as folder:
        assert folder.parent == tmp_path and folder.is_dir() and not [*folder.iterdir()]
    with pytest.raises(ValueError, match="no"), scratch_folder(tmp_path, ".export.") as folder:
        (folder / "x").write_text("")
        raise ValueError("no")
    assert not [*tmp_path.iterdir()]


def test_only_what_no_process_owns_is_swept(tmp_path):
    owner = [sys.executable, "-c", OWNER, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(owner, **pipes) as child:
        folder = child.stdout.readline().strip()
        (tmp_path / ".export.abandoned" / "gru").mkdir(parents=True)  # of a version without locks
        (tmp_path / "bundles").mkdir()
        with scratch_folder(tmp_path, ".export.") as mine:
            sweep(tmp_path, ".export.")
            assert mine.is_dir()
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"bundles", folder.rpartition("/")[2], folder.rpartition("/")[2] + ".lock"}
        child.kill()
        child.wait()
        assert (tmp_path / folder / "half").is_file()
        sweep(tmp_path, ".export.")
    assert [path.name for path in tmp_path.iterdir()] == ["bundles"]


def test_a_place_that_does_not_take_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserMistake, match="cannot create a folder there"),
        scratch_folder(tmp_path / "file", ".export."),
    ):
        pass


def test_what_a_killed_process_left_of_a_zip_goes(tmp_path):
    (tmp_path / ".a.zip.x7_yz.part").write_text("half")
    (tmp_path / ".b.zip.x7_yz.part").write_text("of another zip")
    path = write_zip(FOLDER / "bundles" / "counts", tmp_path / "a.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", ".b.zip.x7_yz.part"}
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no"), sole_writer(path):
        raise ValueError("no")
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 2


USER = """
import sys
from pathlib import Path
from pipeline.files import write_whole
from pipeline.scratch import sole_use
with sole_use(Path(sys.argv[1])):
    def half(file):
        print("at work", flush=True)
        sys.stdin.read()
    write_whole(Path(sys.argv[1], "deep", "x.json"), half)
"""


def test_a_folder_is_of_one_command_until_that_ends_or_is_killed(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", USER, tmp_path], **pipes) as child:
        assert child.stdout.readline() == "at work\n"
        at_work = f"^{tmp_path}: another command is working in this folder"
        with pytest.raises(UserMistake, match=at_work), sole_use(tmp_path):
            pass
        child.kill()
        child.wait()
    left = {path.name for path in tmp_path.rglob("*")}
    assert len(left) == 3 and left > {".lock", "deep"}
    assert holds_anything(tmp_path) and not holds_anything(tmp_path / "deep")
    with sole_use(tmp_path) as folder:
        assert folder == tmp_path
        assert {path.name for path in tmp_path.rglob("*")} == {".lock", "deep"}
        (tmp_path / "x").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "x"}


def test_what_killed_commands_left_is_removed_and_nothing_else(tmp_path):
    kept = {"a.json", ".hidden", ".poetry", ".poetry.lock", "b"}
    for name in (*kept - {"b"}, ".a.json.abcd.part", ".export.0a1b2c3d.lock"):
        (tmp_path / name).touch()
    for name in ("b", ".partial.part/x", ".export.0a1b2c3d/gru"):
        (tmp_path / name).mkdir(parents=True)
    with scratch_folder(tmp_path, ".export.") as mine, sole_use(tmp_path):
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {*kept, ".lock", mine.name, f"{mine.name}.lock"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_an_empty_folder_goes_after_a_failure_and_a_read_only_one_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with sole_use(tmp_path / "empty"):
        pass
    with pytest.raises(KeyboardInterrupt), sole_use(tmp_path / "empty"):
        raise KeyboardInterrupt
    assert not [*tmp_path.iterdir()]
    with pytest.raises(UserMistake, match=r"^/sys: cannot be written to"), sole_use("/sys"):
        pass


WRITER = """
import sys
from pipeline.files import write_whole
def slowly(file):
    print("at work", flush=True)
    sys.stdin.readline()
    file.write(b"whole")
write_whole(sys.argv[1], slowly)
"""


def test_what_a_living_process_writes_is_not_taken_for_left_over(tmp_path):
    """As a bundle's zip is written into a run that another command locks and sweeps."""
    path = tmp_path / "bundles" / "gru.zip"
    (tmp_path / ".gru.zip.x7_yz.part").touch()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", WRITER, path], **pipes) as child:
        assert child.stdout.readline() == "at work\n"
        with sole_use(tmp_path):
            assert not (tmp_path / ".gru.zip.x7_yz.part").exists()
        with sole_writer(path):
            assert len([*path.parent.glob(".gru.zip.*.part")]) == 1
        child.communicate("\n")
    assert child.returncode == 0
    assert path.read_text() == "whole"
    assert [*path.parent.iterdir()] == [path]


def test_what_is_written_into_a_run_locks_it_and_a_folder_elsewhere_itself(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir(), elsewhere.mkdir()
    for out, locked in (
        (None, run), (run, run), (run / "scores" / "new", run), (elsewhere, elsewhere), (tmp_path / "x.json", None),
    ):  # fmt: skip
        with sole_use_of_output(run, out):
            assert [*tmp_path.rglob(".lock")] == ([locked / ".lock"] if locked else [])
