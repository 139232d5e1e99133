"""Files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import tempfile
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
