"""A bundle as a zip: equal bytes for equal bundles, and opened with care."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.archive import MOST_FILES, opened_bundle, write_zip
from export.bundle import read_bundle
from export.tflite import sha256
from pipeline.errors import UserMistake
from tests.apps.vectors import FOLDER

BUNDLE = FOLDER / "bundles" / "counts"


def test_equal_bundles_give_equal_bytes(tmp_path):
    first = Path(shutil.copytree(BUNDLE, tmp_path / "a" / "gru"))
    second = tmp_path / "b" / "other_name"
    second.mkdir(parents=True)
    for path in sorted(BUNDLE.iterdir(), reverse=True):  # another order, other times, another mode
        shutil.copy(path, second)
        os.utime(second / path.name, (1, 1))
        (second / path.name).chmod(0o600)
    (second / ".DS_Store").write_text("hidden")
    digests = {sha256(write_zip(folder)) for folder in (first, second)}
    assert len(digests) == 1
    (second / "labels.txt").write_text("another file")
    assert sha256(write_zip(second)) not in digests


def test_it_is_what_was_in_the_folder(tmp_path):
    path = write_zip(BUNDLE, tmp_path / "bundle.zip")
    with opened_bundle(path) as folder:
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            file.name: file.read_bytes() for file in BUNDLE.iterdir()
        }
        assert read_bundle(folder).architecture == "gru"
    assert not folder.exists()
    with opened_bundle(BUNDLE) as folder:
        assert folder == BUNDLE


def test_the_command_says_where_it_is_and_its_digest(tmp_path):
    folder = shutil.copytree(BUNDLE, tmp_path / "gru")
    done = CliRunner().invoke(main, ["zip", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'gru.zip'}\nsha256 {sha256(tmp_path / 'gru.zip')}\n"


def test_only_a_whole_bundle_is_packed(tmp_path, mistake):
    folder = Path(shutil.copytree(BUNDLE, tmp_path / "gru"))
    (folder / "sensing.tflite").write_bytes(b"")
    assert "sensing.tflite: its SHA-256" in mistake(CliRunner().invoke(main, ["zip", str(folder)]))
    assert not (tmp_path / "gru.zip").exists()


@pytest.mark.parametrize("name", ["../contract.json", "/contract.json", "a/../../contract.json", "..\\contract.json"])
def test_nothing_is_written_outside(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(name, "{}")
    with pytest.raises(UserMistake, match="unpacked outside"), opened_bundle(tmp_path / "b.zip"):
        pass


def test_two_of_one_name_or_two_bundles(tmp_path):
    """Programs differ in which of them they take."""
    for name, more, why in [
        ("same", "gru/./contract.json", "two entries of one name"),
        ("two", "rnn/contract.json", "2"),
    ]:
        path = write_zip(BUNDLE, tmp_path / f"{name}.zip")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(more, "{}")
        with pytest.raises(UserMistake, match=rf"{name}\.zip: (has|holds) {why}"):
            opened_bundle(path).__enter__()


def test_messages_name_the_zip_and_not_where_it_is_unpacked(tmp_path):
    path = write_zip(BUNDLE, tmp_path / "b.zip")
    with pytest.raises(UserMistake) as caught, opened_bundle(path) as folder:
        raise UserMistake(f"{folder / 'contract.json'}: wrong")
    assert caught.value.message == f"{path}/gru/contract.json: wrong"


@pytest.mark.parametrize("field", ["file_size", "compress_size", "CRC"])
def test_a_directory_that_says_something_else_than_the_files(tmp_path, field):
    """A zip has sizes twice, and not all programs read the same ones."""
    path = write_zip(BUNDLE, tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("gru/more.txt", "more")
        entry = archive.infolist()[0]
        setattr(entry, field, getattr(entry, field) + 1)
    with pytest.raises(UserMistake, match=r"b\.zip: "):
        opened_bundle(path).__enter__()


def test_zips_of_other_programs_will_do(tmp_path):
    """Compressed, and with sizes behind the content, as is written to a pipe."""
    with (tmp_path / "b.zip").open("wb") as file:
        file.seekable = lambda: False
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in BUNDLE.iterdir():
                archive.write(path, f"gru/{path.name}")
    with opened_bundle(tmp_path / "b.zip") as folder:
        assert read_bundle(folder).architecture == "gru"


def test_what_is_no_bundle(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(UserMistake, match=r"text\.zip: damaged, or not what its name says"):
        opened_bundle(tmp_path / "text.zip").__enter__()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(UserMistake, match=r"not a bundle: it has no contract\.json"):
        opened_bundle(tmp_path / "empty.zip").__enter__()
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for i in range(MOST_FILES + 1):
            archive.writestr(f"{i}", "")
    with pytest.raises(UserMistake, match="more than"):
        opened_bundle(tmp_path / "many.zip").__enter__()
