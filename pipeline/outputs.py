"""Where commands may write: not over what they read, nor over files of bundles, runs, evaluations and data sets."""

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.constants import ARCHITECTURES
from pipeline.data_sets import WEARERS
from pipeline.errors import UserMistake
from pipeline.files import writes_through
from pipeline.origin import MARK
from pipeline.recordings import LABELS, LAYOUTS, VALID_EPOCHS
from pipeline.run_folder import EVALUATION, HPARAMS, PROTOCOL, SPLITS, TABLES

RECORDED = (*LAYOUTS.values(), LABELS)
BESIDE_RECORDINGS = (MARK, WEARERS, VALID_EPOCHS)
RESULTS = (".json", ".csv", ".zip")  # that the user may name
OWN_NAMES = {  # folder in a run: beginnings of names that commands give files there; TABLES in the run itself
    "": "$",
    "predictions": rf"({'|'.join(ARCHITECTURES)}|ensemble)\.",
    "parity_checks": r"parity_\d+[._]",
    "scores": "$",
    "stress": "$",
}


def must_spare(
    spelt: str, path: Path, read: Iterable[Path] = (), folders: Iterable[Path] = (), written: Iterable[Path] = ()
) -> None:
    """Check that a file to write replaces nothing that the command reads, or writes besides.

    Args:
        spelt: The option, as the user spells it.
        path: The file.
        read: Files that are read.
        folders: Folders in which nothing may be written.
        written: Other files that the command writes.

    Raises:
        UserMistake: It would.
    """
    if writes_through(path):
        return
    place = path.resolve()
    if place in {file.resolve() for file in read}:
        raise UserMistake(f"{spelt} {path}: would overwrite the input; name another file")
    if place in {file.resolve() for file in written}:
        raise UserMistake(f"{spelt} {path}: is written as another result, too; name another file")
    for folder in folders:
        if folder.resolve() in (place, *place.parents):
            raise UserMistake(f"{spelt} {path}: is inside {folder}; name a file elsewhere")


def must_be_free(spelt: str, path: Path) -> None:
    """Check that a file named by the user may be written, whatever the command.

    Args:
        spelt: The option, as the user spells it.
        path: The file.

    Raises:
        UserMistake: It exists and belongs to a run, an evaluation or a data set; or is inside a bundle.
    """
    if writes_through(path):
        return
    must_be_outside_bundles(spelt, path)
    place = path.resolve()
    if place.exists() and (owner := _owner(place)):
        raise UserMistake(f"{spelt} {path}: belongs to {owner}; name another file")


def must_be_outside_bundles(spelt: str, path: Path) -> None:
    """Check that a file or folder to write is not inside a bundle, whose contract lists every file.

    Raises:
        UserMistake: It is.
    """
    for folder in (path.resolve(), *path.resolve().parents):
        if holds_bundle(folder):
            raise UserMistake(f"{spelt} {path}: is inside {folder}; name a file elsewhere")


def must_hold_no_run(spelt: str, folder: Path) -> None:
    """Check that an output folder is not that of a run or an evaluation, whose results it would replace.

    Raises:
        UserMistake: It is.
    """
    if _holds_run(folder):
        raise UserMistake(f"{spelt} {folder}: is the folder of a run or an evaluation; name another")


def holds_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle."""
    return (folder / "contract.json").is_file() and any(folder.glob("*.tflite"))


def _holds_run(folder):
    if (folder / HPARAMS).is_file():
        return (folder / SPLITS).is_file()
    return (folder / PROTOCOL).is_file() and ((folder / EVALUATION).is_file() or (folder / "folds").is_dir())


def _is_users(place, folder):
    """Whether a file of a run is a result that the user has put there, or a plot beside one, and may be replaced."""
    given = next((names for inner, names in OWN_NAMES.items() if folder / inner == place.parent), "")
    tables = [place] if place.suffix in RESULTS else place.parent.iterdir() if place.suffix == ".png" else []
    return any(
        table.suffix in RESULTS
        and f"{place.stem}_".startswith(f"{table.stem}_")
        and not (table.name in TABLES or re.match(given, table.name))
        for table in tables
    )


def _owner(place):
    """The folder of the run, evaluation or data set that an existing file belongs to; None if there is none."""
    for folder in place.parents:
        if _holds_run(folder):
            return None if _is_users(place, folder) else folder
    if any(place.parent.name == layout.folder and place.name.endswith(layout.suffix) for layout in RECORDED):
        return place.parent.parent
    beside = place.name in BESIDE_RECORDINGS and any((place.parent / layout.folder).is_dir() for layout in RECORDED)
    return place.parent if beside else None
