"""Recognises an export by its file names, to suggest the command that imports it."""

from fnmatch import fnmatch
from pathlib import Path

from pipeline.errors import UserMistake
from pipeline.importers.archive import members

SIGNS = {  # pattern of a file's name, in lower case: source; the most specific patterns come first
    "*.fit": "garmin",
    "heart_rate-????-??-??*.json": "fitbit",
    "*-rpoint.csv": "mesa",
    "labels.mat": "bidsleep",
    "*_whole_df.csv": "dreamt",
    "*.ecg": "slpdb",
    "acc.csv": "wearanize",
    "*.xml": "apple-health",
    "*.csv": "csv",
    "*.tsv": "csv",
}


def import_hint(path: Path) -> str:
    """The command that imports the export at a path; "" if it is not recognised."""
    try:
        with members(path, *SIGNS) as found:
            names = {member.file_name.lower() for member in found}
    except (UserMistake, OSError):
        return ""
    for pattern, source in SIGNS.items():
        if any(fnmatch(name, pattern) for name in names):
            zone = " --zone Europe/Berlin" if source == "fitbit" else ""
            return f"python -m pipeline import {source} {path} NIGHTS{zone}"
    return ""
