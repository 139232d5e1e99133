"""Locks the folders and files that a command works in, and removes what killed commands left there.

A lock is released when its process ends, however that happens.
"""

import glob
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import UserMistake
from pipeline.files import SHOWN, UNFINISHED, remove_abandoned

LOCK = ".lock"  # suffix of lock files, of folders and of files being written
SCRATCH_LOCK = re.compile(rf"\..*\.[0-9a-f]{{8}}{re.escape(LOCK)}")


@contextmanager
def sole_use(folder: Path) -> Iterator[Path]:
    """Keep other commands out of a folder during the block, and remove what a killed one left unfinished.

    Args:
        folder: An existing folder. If the block fails and the folder is empty, it is removed.

    Yields:
        The folder.

    Raises:
        UserMistake: Another command works in the folder, or it cannot be written to.
    """
    folder = Path(folder)
    lock = FileLock(folder.resolve() / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserMistake(f"{folder}: another command is working in this folder; wait until it ends") from None
    except OSError as error:
        raise UserMistake(f"{folder}: cannot be written to ({error.strerror or error})") from None
    try:
        try:
            remove_unfinished(folder)
            yield folder
        finally:
            with suppress(OSError):  # read-only by now, perhaps
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
    except BaseException:
        with suppress(OSError):  # the folder is not empty
            folder.rmdir()
        raise


@contextmanager
def sole_use_of_output(run: Path, out: Path | None) -> Iterator[None]:
    """`sole_use` of a run, or of an evaluation, where a command writes into it; else of the folder that it writes to.

    Args:
        run: The folder; it exists.
        out: The folder, which exists, or the file that is written; None for something in the run. A file elsewhere than
            in the run locks nothing.

    Raises:
        UserMistake: As `sole_use` does.
    """
    out = Path(run if out is None else out)
    within = Path(run).resolve() in (out.resolve(), *out.resolve().parents)
    with sole_use(run) if within else sole_use(out) if out.is_dir() else nullcontext():
        yield


def is_occupied(path: Path) -> bool:
    """Whether a new folder cannot take this place: it is a file, or a folder that is not empty."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def holds_anything(folder: Path) -> bool:
    """Whether a folder holds anything other than its lock and what a killed command left unfinished."""
    return any(not (path.name == LOCK or _is_unfinished(path)) for path in Path(folder).iterdir())


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files and scratch folders that killed processes left in a folder and below it."""
    for path in [*Path(folder).rglob(f".*{UNFINISHED}")]:
        _remove(path)
    for lock in [*Path(folder).rglob(f".*{LOCK}")]:
        if SCRATCH_LOCK.fullmatch(lock.name):  # the lock exists before its folder is made and until it is removed
            _remove_unowned(lock.with_name(lock.name.removesuffix(LOCK)))


def _is_unfinished(path):
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


def _remove(path):
    """Remove a file or a folder, if that is possible."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove_abandoned(path)


def _remove_unowned(folder):
    """Remove a scratch folder and its lock unless a living process holds it."""
    with suppress(Timeout, OSError), FileLock(f"{folder}{LOCK}", timeout=0):
        _remove(folder)
        Path(f"{folder}{LOCK}").unlink(missing_ok=True)


@contextmanager
def scratch_folder(place: Path, prefix: str) -> Iterator[Path]:
    """Create an empty folder that is removed after the block.

    Args:
        place: Parent folder.
        prefix: Beginning of the folder's name.

    Yields:
        The folder.

    Raises:
        UserMistake: The folder cannot be created.
    """
    folder = Path(place).resolve() / f"{prefix}{secrets.token_hex(4)}"
    lock = FileLock(f"{folder}{LOCK}")
    try:
        lock.acquire(timeout=0)  # first, so that no other process thinks the folder is abandoned
        folder.mkdir()
    except OSError as error:  # Timeout, too: of a place where no file can be made filelock would wait for ever
        why = error.strerror or "it takes no files"
        raise UserMistake(f"{place}: cannot create a folder there ({why})") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def sweep(place: Path, prefix: str) -> None:
    """Remove the scratch folders that no living process holds.

    Args:
        place: Parent folder.
        prefix: Beginning of the folders' names.
    """
    for folder in {
        path.with_name(path.name.removesuffix(LOCK)) for path in Path(place).glob(f"{glob.escape(prefix)}*")
    }:
        _remove_unowned(folder)


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Let only one process at a time run such a block for a file, and remove what killed ones left.

    Args:
        path: A file that `write_whole` writes.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}{LOCK}"))
    with lock:
        for remnant in path.parent.glob(f".{glob.escape(path.name[:SHOWN])}.*{UNFINISHED}"):
            remove_abandoned(remnant)
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
