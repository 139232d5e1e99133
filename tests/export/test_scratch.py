"""Scratch folders: kept while their process lives, swept away once it was killed."""

import subprocess
import sys

import pytest

from export.archive import write_zip
from export.scratch import scratch_folder, sole_writer, sweep
from pipeline.errors import UserMistake
from tests.apps.vectors import FOLDER
from tests.conftest import ROOT

OWNER = """
import sys
from export.scratch import scratch_folder
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
    with pytest.raises(UserMistake, match="no folder can be made there"), scratch_folder(tmp_path / "file", ".export."):
        pass


def test_what_a_killed_process_left_of_a_zip_goes(tmp_path):
    (tmp_path / ".a.zip.x7_yz").write_text("half")
    (tmp_path / ".b.zip.x7_yz").write_text("of another zip")
    path = write_zip(FOLDER / "bundles" / "counts", tmp_path / "a.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", ".b.zip.x7_yz"}
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no"), sole_writer(path):
        raise ValueError("no")
    assert path.read_bytes() == before and len([*tmp_path.iterdir()]) == 2
