"""Atomic file writing: a file is written under a temporary name next to its destination, then renamed."""

import errno
import fcntl
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UserMistake

SHOWN = 50  # characters of a file's name that its temporary file's name repeats
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # the disk is full, or read-only
UNFINISHED = ".part"  # suffix of temporary files, whose names begin with a dot


def write_whole(path: Path | str, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file atomically, and create its folder if needed; a failure leaves an existing file unchanged.

    A symbolic link is kept and its target written. Devices and pipes are written to, not replaced.

    Args:
        path: The file.
        content: Its bytes or text, or a function that writes them to a binary file.

    Raises:
        UserMistake: The file cannot be written: no space, no permission, or a file where a folder should be.
    """
    path = Path(path)
    temporary = ""
    try:
        if writes_through(path):
            with _opened(path) as file:
                file.write(_whole(content))
            return
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        place.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{place.name[:SHOWN]}."
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=prefix, suffix=UNFINISHED)
        with os.fdopen(handle, "wb") as file:
            with suppress(OSError):  # of a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)  # `remove_abandoned` leaves it alone
            if callable(content):
                content(file)
            else:
                file.write(_whole(content))
            file.flush()
            os.chmod(temporary, 0o644)  # mkstemp gives 0600
            _flush(file.fileno())  # after a power cut a renamed file could be empty
            os.replace(temporary, place)
        _flush_folder(place.parent)
    except BaseException as error:
        if temporary:
            with suppress(OSError):  # the folder may be gone, or read-only by now
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise UserMistake(f"{path}: cannot be written ({error.strerror or error})") from None
        raise


def _flush(descriptor: int) -> None:
    """Wait until an open file or folder is on the disk, where the file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise


def _flush_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk, if the folder can be read."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)


def copy_folder(source: Path, folder: Path, **settings: Any) -> None:
    """Copy a folder as shutil.copytree does with these settings, but end at the first file that cannot be copied.

    Raises:
        UserMistake: A file cannot be read, or not be written at its new place.
    """
    shutil.copytree(source, folder, copy_function=_copy, **settings)


def _copy(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
        with open(target, "rb") as file:
            _flush(file.fileno())
    except OSError as error:
        raise UserMistake(f"{source}: cannot be copied to {target} ({error.strerror or error})") from None


def remove_abandoned(temporary: Path) -> None:
    """Remove a temporary file of `write_whole` unless a living process still writes it."""
    with suppress(OSError), open(os.open(temporary, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()


def writes_through(path: Path) -> bool:
    """Whether a path is a device, a pipe, or a file that this process has open, such as /dev/stdout."""
    return path.exists() and not path.is_dir() and (not path.is_file() or _descriptor(path) is not None)


def _descriptor(path: Path) -> int | None:
    """The file descriptor behind a path such as /dev/stdout; None for any other path."""
    linked = path.parent / os.readlink(path) if path.is_symlink() else path
    ours = os.path.realpath(linked.parent) == os.path.realpath("/proc/self/fd")
    return int(linked.name) if ours else None


def _opened(path: Path) -> BinaryIO:
    """Open a path for which `writes_through` is true; an open file is continued at its position."""
    descriptor = _descriptor(path)
    return path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def _whole(content: bytes | str | Callable[[BinaryIO], object]) -> bytes:
    """The bytes of the content that `write_whole` accepts."""
    if not callable(content):
        return content.encode() if isinstance(content, str) else content
    buffer = io.BytesIO()
    content(buffer)
    return buffer.getvalue()


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn any failure of the block, which reads the file, into one message that names the file.

    Raises:
        UserMistake: The block failed.
    """
    try:
        yield
    except UserMistake:
        raise
    except Exception as error:  # zip, numpy and Keras raise many kinds
        if isinstance(error, OSError) and error.errno in CANNOT_WRITE:  # what is read is copied, too, in some blocks
            if error.filename2:
                raise UserMistake(f"{error.filename2}: cannot be written ({error.strerror})") from None
            raise UserMistake(f"{path}: cannot be unpacked or copied ({error.strerror})") from None
        message = (str(error) or type(error).__name__).splitlines()[0]
        raise UserMistake(f"{path}: damaged, or not what its name says ({message})") from None


def read_small(path: Path, most: int) -> bytes:
    """The content of a file of keys or tokens.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe may wait for ever, some devices have no end
        raise OSError(errno.EINVAL, "not a regular file")
    if path.stat().st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return path.read_bytes()


def read_json(path: Path | str, hint: str = "") -> Any:
    """The value in a JSON file.

    Args:
        path: The file.
        hint: Added to the message if the file is missing.

    Raises:
        UserMistake: The file is missing, cannot be read, or is not JSON.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe may wait for ever, some devices have no end
        raise UserMistake(f"{path}: not a regular file")
    try:
        return json.loads(Path(path).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise UserMistake(f"{path}: missing{hint}") from None
    except OSError as error:
        raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserMistake(f"{path}: not readable as JSON ({error})") from None


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_whole(path, as_json(value))


def as_json(value: Any) -> str:
    """A value as the JSON text that `write_json` writes."""
    return json.dumps(value, indent=1) + "\n"
