"""Files that appear whole or not at all: written beside their place, then renamed."""

import fcntl
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UserMistake

SHOWN = 50  # characters of a file's name in that of the temporary file beside it
UNFINISHED = ".part"  # how names of temporary files end, which begin with a dot


def write_whole(path: Path | str, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file, and its folder if need be; after a failure the file is as it was before.

    A link stays, and what it leads to is written. Devices and pipes are written to, not replaced.

    Args:
        path: The file.
        content: Its bytes or text, or a function that writes them to a binary file.

    Raises:
        UserMistake: It cannot be written: no room, no permission, or a file stands where a folder should be.
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
            os.replace(temporary, place)
    except BaseException as error:
        if temporary:
            with suppress(OSError):  # the folder may be gone, or read-only by now
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise UserMistake(f"{path}: cannot be written ({error.strerror or error})") from None
        raise


def remove_abandoned(temporary: Path) -> None:
    """Remove a temporary file of `write_whole` unless a living process still writes it."""
    with suppress(OSError), open(os.open(temporary, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()


def writes_through(path: Path) -> bool:
    """Whether a device or pipe is at a path, or a file that the process has open, as at /dev/stdout."""
    return path.exists() and not path.is_dir() and (not path.is_file() or _descriptor(path) is not None)


def _descriptor(path: Path) -> int | None:
    """The number of the open file that a path, such as /dev/stdout, stands for; None of any other."""
    linked = path.parent / os.readlink(path) if path.is_symlink() else path
    ours = os.path.realpath(linked.parent) == os.path.realpath("/proc/self/fd")
    return int(linked.name) if ours else None


def _opened(path: Path) -> BinaryIO:
    """What `writes_through` is true of, to be written to: an open file goes on where it is."""
    descriptor = _descriptor(path)
    return path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def _whole(content: bytes | str | Callable[[BinaryIO], object]) -> bytes:
    """The bytes of what `write_whole` takes."""
    if not callable(content):
        return content.encode() if isinstance(content, str) else content
    buffer = io.BytesIO()
    content(buffer)
    return buffer.getvalue()


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn any failure of the block, which reads the file, into one message that names the file.

    Raises:
        UserMistake: The block failed, in whatever way the file is damaged.
    """
    try:
        yield
    except UserMistake:
        raise
    except Exception as error:  # zip, numpy and Keras have many kinds
        message = (str(error) or type(error).__name__).splitlines()[0]
        raise UserMistake(f"{path}: damaged, or not what its name says ({message})") from None


def read_json(path: Path | str, hint: str = "") -> Any:
    """The value in a JSON file.

    Args:
        path: The file.
        hint: Added to the message where the file is missing.

    Raises:
        UserMistake: The file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except OSError:
        raise UserMistake(f"{path}: missing{hint}") from None
    except ValueError as error:
        raise UserMistake(f"{path}: not readable as JSON ({error})") from None


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as JSON, whole."""
    write_whole(path, as_json(value))


def as_json(value: Any) -> str:
    """The text that `write_json` writes."""
    return json.dumps(value, indent=1) + "\n"
