"""Runs one import: `python -m pipeline import SOURCE PATH OUT`."""

import importlib
from pathlib import Path

from pipeline.errors import UserMistake
from pipeline.importers.request import ImportRequest
from pipeline.importers.research import NightFiles, add_nights
from pipeline.importers.writing import new_data_set

SOURCES = {  # name: module, imported only when needed
    "apple-health": "apple_health",
    "fitbit": "fitbit",
    "garmin": "garmin",
    "csv": "table",
    "bidsleep": "bidsleep",
    "wearanize": "wearanize",
    "mesa": "mesa",
    "dreamt": "dreamt",
    "slpdb": "slpdb",
}


def import_nights(source: str, request: ImportRequest, out: Path) -> list[str]:
    """Write the nights of a source into a new folder, atomically.

    Args:
        source: One of SOURCES.
        request: What to import; gets notes for the user.
        out: The new folder.

    Returns:
        Ids of the nights.

    Raises:
        UserMistake: No night could be imported; nothing is written.
    """
    importer = importlib.import_module(f"pipeline.importers.{SOURCES[source]}")
    if not request.path.exists():
        raise UserMistake(f"{request.path}: no such file or folder")
    if not (request.path.is_file() or request.path.is_dir()):  # reading a pipe or device may block forever
        raise UserMistake(f"{request.path}: not a regular file or folder")
    if request.path.is_dir() and request.path.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserMistake(f"{out}: is inside {request.path}, which is imported; name a folder elsewhere")
    with new_data_set(out, request) as data:
        nights = importer.nights(request)
        if isinstance(nights, NightFiles):
            add_nights(data, nights, request)
        else:  # one stream
            for night in nights:
                data.add(night)
        if not data.names:
            since = f" from --since {request.since} on" if request.since else ""
            raise UserMistake(f"{request.path}: no usable night in it{since}{request.first_reason()}")
        data.finish(importer.ORIGIN)
        return data.names
