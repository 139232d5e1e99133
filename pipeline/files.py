"""Files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UserMistake

SHOWN = 100  # characters of a file's name in that of the temporary file beside it


def write_whole(path: Path | str, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file, and its folder if need be; after a failure the file is as it was before.

    Args:
        path: The file.
        content: Its bytes or text, or a function that writes them to a binary file.

    Raises:
        UserMistake: It cannot be written: no room, no permission, or a file stands where a folder should be.
    """
    path = Path(path)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:SHOWN]}.")
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)  # mkstemp gives 0600
        os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise UserMistake(f"{path}: cannot be written ({error.strerror or error})") from None
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder and below it: whatever has a name with a dot first.

    Args:
        folder: In which no other process writes now.
    """
    for path in sorted(folder.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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
