"""The beginning of a run folder: what the run will be made of."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.files import read_json, write_json
from pipeline.options import CHANNELS, UserMistake
from pipeline.synthetic import MARK

PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "ai-edge-litert", "ai-edge-quantizer")


def begin(folder, nights, splits, options, dataset_dir):
    """Write down what a run is made of: hparams.json, splits.json, and `partial`, there until it is complete.

    Raises UserMistake, before anything is written, for a channel asked for that no training night has, and for a folder
    that was begun with another split: nights have come or gone, and its models may have been trained on those held out.
    """
    folder = Path(folder)
    channels = channels_used([night for night in nights if night.subject in splits["train"]], options)
    kept = folder / "splits.json"
    if kept.exists() and read_json(kept) != splits:
        raise UserMistake(f"{folder}: was begun with other nights or another split; start anew")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}
    known = {"options": options.as_dict(), "dataset_dir": str(dataset_dir), "channels": channels}
    write_json(kept, splits)
    (folder / "partial").mkdir(exist_ok=True)
    known["synthetic"] = (Path(dataset_dir) / MARK).exists()
    write_json(folder / "hparams.json", known | {"seed": options.seed, "versions": versions, "commit": commit()})
    return channels


def channels_used(nights, options):
    """Channels that any of the training nights has, in the order of CHANNELS."""
    there = {name for night in nights for name in night.channels}
    for name in options.channels:
        if name not in there:
            raise UserMistake(f"--channels {name}: no training night has it; they have {', '.join(sorted(there))}")
    return [name for name in CHANNELS if name in there]


def commit():
    """The project's commit, with a + where files differ from it; None outside a checkout or without git."""
    if shutil.which("git") is None:
        return None
    said = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return said.stdout.strip() or None
