"""Folders for work under way that a later process removes where a killed one left them."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import UserMistake

LOCK = ".lock"  # ends the name of the lock of a folder, or of a file that is written


@contextmanager
def scratch_folder(place: Path, prefix: str) -> Iterator[Path]:
    """An empty folder, removed after the block.

    Args:
        place: Folder in which it is made.
        prefix: Its name begins so.

    Raises:
        UserMistake: No folder can be made there.
    """
    folder = Path(place).resolve() / f"{prefix}{secrets.token_hex(4)}"
    lock = FileLock(f"{folder}{LOCK}")
    try:
        lock.acquire()  # first, so that no other process takes the folder for abandoned
        folder.mkdir()
    except OSError as error:
        raise UserMistake(f"{place}: no folder can be made there ({error.strerror})") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def sweep(place: Path, prefix: str) -> None:
    """Remove the scratch folders that no living process owns.

    Args:
        place: Folder in which they are.
        prefix: Their names begin so.
    """
    for folder in {path.with_name(path.name.removesuffix(LOCK)) for path in Path(place).glob(f"{prefix}*")}:
        with suppress(Timeout, OSError), FileLock(f"{folder}{LOCK}", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            Path(f"{folder}{LOCK}").unlink(missing_ok=True)


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """While the block lasts no other process is in such a block for this file; what killed ones left is removed.

    Args:
        path: A file that `write_whole` writes.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}{LOCK}"))
    with lock:
        for remnant in path.parent.glob(f".{path.name}.*"):
            if remnant.name != f".{path.name}{LOCK}":
                remnant.unlink()
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
