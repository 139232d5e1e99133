"""Locks of folders and files that a command works in, and what killed commands left there, which the next removes.

A lock goes with its process, however that ends.
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

LOCK = ".lock"  # ends the name of the lock of a folder, or of a file that is written
SCRATCH_LOCK = re.compile(rf"\..*\.[0-9a-f]{{8}}{re.escape(LOCK)}")


@contextmanager
def sole_use(folder: Path) -> Iterator[Path]:
    """While the block lasts no other command works in this folder; what a killed one left unfinished is removed.

    Args:
        folder: It exists. Where the block fails and nothing is in it, it is removed.

    Yields:
        The folder.

    Raises:
        UserMistake: Another command works in it, or it cannot be written to.
    """
    folder = Path(folder)
    lock = FileLock(folder.resolve() / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserMistake(f"{folder}: another command is at work in this folder; wait for its end") from None
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
        with suppress(OSError):  # not empty
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


def holds_anything(folder: Path) -> bool:
    """Whether there is anything in a folder but its lock and what a killed command left unfinished."""
    return any(not (path.name == LOCK or _is_unfinished(path)) for path in Path(folder).iterdir())


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder and below it: temporary files and scratch folders."""
    for path in [*Path(folder).rglob(f".*{UNFINISHED}")]:
        _remove(path)
    for lock in [*Path(folder).rglob(f".*{LOCK}")]:
        if SCRATCH_LOCK.fullmatch(lock.name):  # it is there before its folder and after it
            _remove_unowned(lock.with_name(lock.name.removesuffix(LOCK)))


def _is_unfinished(path):
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


def _remove(path):
    """Remove a file or a folder; nothing, if it cannot be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove_abandoned(path)


def _remove_unowned(folder):
    """Remove a scratch folder and its lock if no living process has it."""
    with suppress(Timeout, OSError), FileLock(f"{folder}{LOCK}", timeout=0):
        _remove(folder)
        Path(f"{folder}{LOCK}").unlink(missing_ok=True)


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
    for folder in {
        path.with_name(path.name.removesuffix(LOCK)) for path in Path(place).glob(f"{glob.escape(prefix)}*")
    }:
        _remove_unowned(folder)


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
        for remnant in path.parent.glob(f".{glob.escape(path.name[:SHOWN])}.*{UNFINISHED}"):
            remove_abandoned(remnant)
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
