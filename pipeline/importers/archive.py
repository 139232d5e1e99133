"""The files of an export, be it a folder, a ZIP file, or one file; ZIP files within are looked into once."""

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

LARGEST = 512 * 1024 * 1024  # bytes of a file that is read at once; a ZIP member that claims less and holds more fails


@dataclass(frozen=True)
class Member:
    """One file of an export.

    Attributes:
        name: Its path within the export, for messages.
        size: In bytes, unpacked.
        open: Opens it for reading bytes.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    @property
    def file_name(self) -> str:
        """Without folders."""
        return PurePosixPath(self.name).name

    def read(self) -> bytes:
        """All its bytes.

        Raises:
            UserMistake: It is damaged, or larger than LARGEST.
        """
        if self.size > LARGEST:
            raise UserMistake(f"{self.name}: {self.size >> 20} MB; expected at most {LARGEST >> 20}")
        with reading(self.name), self.open() as file:
            return file.read(LARGEST)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


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
            with zipfile.ZipFile(io.BytesIO(member.read())) as inner:
                yield from _of_zip(inner, patterns, False)


@contextmanager
def members(path: Path, *patterns: str) -> Iterator[Iterator[Member]]:
    """The files of an export whose names fit, to be read within the block.

    Args:
        path: A folder, a ZIP file or any other file; the latter is taken whatever its name.
        patterns: Of names in lower case, such as "*.fit".

    Raises:
        UserMistake: There is nothing at the path, or a ZIP file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise UserMistake(f"{path}: no such file or folder")
    if path.is_dir():
        files = (p for p in sorted(path.rglob("*")) if p.is_file() and _wanted(p.name, patterns))
        yield (Member(p.relative_to(path).as_posix(), p.stat().st_size, partial(_open, p)) for p in files)
    elif zipfile.is_zipfile(path):
        with reading(path):
            archive = zipfile.ZipFile(path)
        with archive:
            yield _of_zip(archive, patterns, True)
    elif path.suffix.lower() == ".zip":
        raise UserMistake(f"{path}: {'empty' if not path.stat().st_size else 'damaged'}; expected a ZIP file")
    else:
        yield iter([Member(path.name, path.stat().st_size, partial(_open, path))])
