"""Lists the files of an export: a folder, a ZIP file (and ZIP files directly within it), or a single file."""

import fnmatch
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.errors import UserMistake
from pipeline.files import reading

LARGEST = 512 * 1024 * 1024  # bytes of a file that is read at once; reading stops there whatever a ZIP member claims


@dataclass(frozen=True)
class Member:
    """One file of an export.

    Attributes:
        name: Path within the export, for messages.
        size: Unpacked size in bytes.
        open: Opens the file for reading bytes.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    @property
    def file_name(self) -> str:
        """Name without folders."""
        return PurePosixPath(self.name).name

    def read(self) -> bytes:
        """Read all bytes.

        Raises:
            UserMistake: The file is damaged, or larger than LARGEST.
        """
        if self.size > LARGEST:
            raise UserMistake(f"{self.name}: {self.size >> 20} MB; expected at most {LARGEST >> 20} MB")
        with reading(self.name), self.open() as file:
            return file.read(LARGEST)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _unreadable(name: str, why: str) -> Member:
    """A file that is refused when it is opened, so that the importer names it and goes on with the others."""

    def refuse():
        raise UserMistake(f"{name}: {why}")

    return Member(name, 0, refuse)


def _of_folder(path, patterns):
    for file in sorted(path.rglob("*")):
        if not _wanted(file.name, patterns) or file.is_dir():
            continue
        name = file.relative_to(path).as_posix()
        if file.is_file():
            yield Member(name, file.stat().st_size, partial(_open, file))
        else:  # reading a pipe or device may block forever
            yield _unreadable(name, "not a regular file, or a link that leads nowhere")


def _wanted(name, patterns):
    plain = PurePosixPath(name).name
    return not plain.startswith(".") and any(fnmatch.fnmatch(plain.lower(), pattern) for pattern in patterns)


def _of_zip(archive, patterns, nested):
    for info in archive.infolist():
        if info.is_dir() or "__MACOSX" in info.filename:
            continue
        member = Member(info.filename, info.file_size, partial(archive.open, info))
        if _wanted(info.filename, patterns):
            yield member
        elif nested and info.filename.lower().endswith(".zip"):
            try:
                with reading(info.filename):
                    inner = zipfile.ZipFile(io.BytesIO(member.read()))
            except UserMistake as error:
                yield _unreadable(info.filename, error.message.removeprefix(f"{info.filename}: "))
                continue
            with inner:
                yield from _of_zip(inner, patterns, False)


@contextmanager
def members(path: Path, *patterns: str) -> Iterator[Iterator[Member]]:
    """Find the files of an export whose names match, to be read inside the block.

    Args:
        path: A folder, a ZIP file or any other file; the latter is included whatever its name.
        patterns: Patterns of names in lower case, such as "*.fit".

    Yields:
        An iterator over the files.

    Raises:
        UserMistake: The path does not exist, or a ZIP file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UserMistake(f"{path}: no such file or folder")
    if path.is_dir():
        yield _of_folder(path, patterns)
    elif zipfile.is_zipfile(path):
        with reading(path):
            archive = zipfile.ZipFile(path)
        with archive:
            yield _of_zip(archive, patterns, True)
    elif path.suffix.lower() == ".zip":
        raise UserMistake(f"{path}: {'empty' if not path.stat().st_size else 'damaged'}; expected a ZIP file")
    else:
        yield iter([Member(path.name, path.stat().st_size, partial(_open, path))])
