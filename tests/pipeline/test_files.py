"""Files that appear whole or not at all, and messages for those that cannot be read."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserMistake
from pipeline.files import copy_folder, read_json, reading, write_json, write_whole
from tests.conftest import ROOT


@pytest.mark.parametrize("content", ["κ\n", "κ\n".encode(), lambda file: file.write("κ\n".encode())])
def test_text_bytes_and_functions_are_written(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_whole(path, content)
    assert path.read_bytes() == b"\xce\xba\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    """A power cut leaves the old file or the new one."""
    steps = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor):
        steps.append(f"flush {Path(f'/proc/self/fd/{descriptor}').resolve().suffix}")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: steps.append("rename") or real_replace(*paths))
    (tmp_path / "folder").mkdir()
    write_whole(tmp_path / "folder" / "file", "new")
    assert steps == ["flush .part", "rename", "flush "]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EIO])
def test_file_systems_that_cannot_flush(tmp_path, error, monkeypatch):
    def fsync(descriptor):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fsync)
    if error == errno.EIO:
        with pytest.raises(UserMistake, match="file: cannot be written"):
            write_whole(tmp_path / "file", "new")
        assert not [*tmp_path.iterdir()]
    else:
        write_whole(tmp_path / "file", "new")
        assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_after_a_failure_the_file_is_as_it_was(tmp_path, error):
    def fail(file):
        file.write(b"half")
        raise error

    path = tmp_path / "file"
    for before in (None, b"before"):
        if before:
            write_whole(path, before)
        with pytest.raises(error):
            write_whole(path, fail)
        assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([before] if before else [])


def test_what_cannot_be_written_is_one_line_that_names_the_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserMistake, match=f"^{tmp_path}/file/x: cannot be written \\("):
        write_whole(tmp_path / "file" / "x", "text")

    def full(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserMistake, match=rf"^{tmp_path}/file: cannot be written \(No space left on device\)$"):
        write_whole(tmp_path / "file", full)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b""]


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None], "κ": "ü"}, [], "text", 0])
def test_json_goes_through_a_file(tmp_path, value):
    write_json(tmp_path / "file.json", value)
    assert read_json(tmp_path / "file.json") == value
    assert (tmp_path / "file.json").read_text() == json.dumps(value, indent=1) + "\n"


def test_json_that_cannot_be_read_is_not_called_missing(tmp_path):
    with pytest.raises(UserMistake, match=r"cannot be read \(File name too long\)$"):
        read_json(tmp_path / ("n" * 300))


def test_json_that_is_missing_or_damaged_is_named(tmp_path):
    path = tmp_path / "file.json"
    with pytest.raises(UserMistake, match=f"^{path}: missing: make it first$"):
        read_json(path, ": make it first")
    for content in (b"{", b"", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(UserMistake, match=f"^{path}: not readable as JSON"):
            read_json(path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), "'x'"),
        (ValueError("first\nsecond"), "first"),
        (EOFError(), "EOFError"),
        (zipfile.BadZipFile("no zip"), "no zip"),
    ],
)
def test_any_failure_to_read_is_one_line_that_names_the_file(error, message):
    with pytest.raises(UserMistake) as mistake, reading("a/b.npz"):
        raise error
    assert mistake.value.message == f"a/b.npz: damaged, or not what its name says ({message})"


def test_a_mistake_inside_keeps_its_own_message_and_an_interrupt_is_none():
    with pytest.raises(UserMistake, match=r"^other$"), reading("a"):
        raise UserMistake("other")
    with pytest.raises(KeyboardInterrupt), reading("a"):
        raise KeyboardInterrupt


def test_a_damaged_archive_is_named(tmp_path):
    path = tmp_path / "x.npz"
    write_whole(path, lambda file: np.savez_compressed(file, x=np.arange(100)))
    with reading(path), np.load(path) as saved:
        assert saved["x"].sum() == 4950
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserMistake, match=f"^{path}: damaged"), reading(path), np.load(path) as saved:
        saved["x"]


def test_links_and_devices_stay_and_are_written_through(tmp_path):
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to(tmp_path / "new" / "file")
    for name, target in (("link", "file"), ("dangling", "new/file")):
        write_whole(tmp_path / name, "after")
        assert (tmp_path / name).is_symlink() and (tmp_path / target).read_text() == "after"
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "link", "dangling", "new"}
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", lambda file: np.save(file, np.arange(3)))
    assert os.read(reader, 1000).startswith(b"\x93NUMPY")
    os.close(reader)
    (tmp_path / "null").symlink_to("/dev/null")
    write_whole(tmp_path / "null", "nothing")
    assert (tmp_path / "null").is_char_device() and (tmp_path / "pipe").is_fifo()


def test_standard_output_is_added_to_even_where_it_is_a_file(tmp_path):
    with (tmp_path / "out").open("w") as out:
        code = "from pipeline.files import write_json; print(1, flush=True); write_json('/dev/stdout', 2); print(3)"
        subprocess.run([sys.executable, "-c", code], stdout=out, cwd=ROOT, check=True)
    assert (tmp_path / "out").read_text().split() == ["1", "2", "3"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    code = """
import resource, signal
from pathlib import Path
from pipeline.files import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_whole(Path("x.bin"), b"x" * 5000)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "pipeline.errors.UserMistake: x.bin: cannot be written (File too large)"
    assert not [*tmp_path.iterdir()]


def test_names_as_long_as_a_file_system_takes_can_be_written(tmp_path):
    for name in ("n" * 255, "é" * 127, "😀" * 63):
        write_whole(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name


def test_a_folder_that_cannot_be_copied_is_one_line(tmp_path, full_disk):
    write_whole(tmp_path / "a" / "b" / "long", b"x" * 2000)
    with (
        full_disk(),
        pytest.raises(UserMistake, match=r"/a/b/long: cannot be copied to .*/c/b/long \(File too large\)"),
    ):
        copy_folder(tmp_path / "a", tmp_path / "c")
    copy_folder(tmp_path / "a", tmp_path / "c", dirs_exist_ok=True)
    assert (tmp_path / "c" / "b" / "long").read_bytes() == b"x" * 2000


def test_json_is_read_from_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(UserMistake, match=f"^{path}: not a regular file$"):
            read_json(path)


def test_a_full_disk_is_not_blamed_on_what_is_read(tmp_path, full_disk):
    (tmp_path / "a").write_bytes(bytes(2000))
    with full_disk(), pytest.raises(UserMistake, match=r"/b: cannot be written \(File too large\)$"), reading(tmp_path):
        shutil.copy(tmp_path / "a", tmp_path / "b")
    with full_disk(), pytest.raises(UserMistake, match=r"a: cannot be unpacked or copied \(File too large\)$"):  # noqa: SIM117
        with reading(tmp_path / "a"):
            (tmp_path / "c").write_bytes(bytes(2000))
