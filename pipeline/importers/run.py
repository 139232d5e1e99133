"""One import: `python -m pipeline import SOURCE PATH OUT`."""

import importlib
from pathlib import Path

from pipeline.errors import UserMistake
from pipeline.importers.asked import Asked
from pipeline.importers.research import NightFiles, add_nights
from pipeline.importers.writing import new_data_set

SOURCES = {  # name: module, imported only when asked for
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


def import_nights(source: str, asked: Asked, out: Path) -> list[str]:
    """Write the nights of a source into a new folder, whole or not at all.

    Args:
        source: One of SOURCES.
        asked: What to import; is told what is to be said afterwards.
        out: The folder.

    Returns:
        Ids of the nights.

    Raises:
        UserMistake: Nothing could be imported; nothing is written then.
    """
    importer = importlib.import_module(f"pipeline.importers.{SOURCES[source]}")
    if not asked.path.exists():
        raise UserMistake(f"{asked.path}: no such file or folder")
    if asked.path.is_dir() and asked.path.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserMistake(f"{out}: lies within {asked.path}, which is read; name a folder elsewhere")
    with new_data_set(out, asked) as data:
        nights = importer.nights(asked)
        if isinstance(nights, NightFiles):
            add_nights(data, nights, asked)
        else:  # one stream
            for night in nights:
                data.add(night)
        if not data.names:
            since = f" from --since {asked.since} on" if asked.since else ""
            raise UserMistake(f"{asked.path}: no usable night in it{since}{asked.first_reason()}")
        data.finish(importer.ORIGIN)
        return data.names
