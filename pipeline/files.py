"""Files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from pipeline.options import Options, UserMistake


def write_whole(path, content):
    """Write bytes or text to `path`, or what content(file) writes to a binary file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(beside, 0o644)  # mkstemp gives 0600
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


@contextmanager
def reading(path):
    """What is done inside reads the file: raises UserMistake where it cannot, in whatever way it is damaged."""
    try:
        yield
    except UserMistake:
        raise
    except Exception as error:  # zip, numpy and Keras have many
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UserMistake(f"{path}: damaged, or not what its name says ({said})") from None


def read_json(path, hint=""):
    """The value in a JSON file. Raises UserMistake, with the hint, where it is missing or cannot be read."""
    try:
        return json.loads(Path(path).read_text())
    except OSError:
        raise UserMistake(f"{path}: missing{hint}") from None
    except ValueError as error:
        raise UserMistake(f"{path}: not readable as JSON ({error})") from None


def read_hparams(folder, hint=""):
    """hparams.json of a run folder, and its Options. Raises UserMistake where it is missing or no such thing."""
    path = Path(folder) / "hparams.json"
    hparams = read_json(path, hint)
    if not isinstance(hparams, dict) or not {"options", "dataset_dir", "channels"} <= hparams.keys():
        raise UserMistake(f"{path}: not the hparams.json of a run")
    return hparams, Options.of(hparams["options"])


def write_json(path, value):
    """Write a value as JSON, whole."""
    write_whole(path, json.dumps(value, indent=1) + "\n")
