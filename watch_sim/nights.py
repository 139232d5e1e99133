"""Finds the nights to predict: those of a data set, a single recording of one, or a CSV."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.data_sets import Data, DataSets, located
from pipeline.errors import UserMistake, one_of
from pipeline.importers.recognise import import_hint
from pipeline.options import Options
from pipeline.recordings import LABELS, LAYOUTS, Recording, paths, read_recording, subjects
from watch_sim.night_csv import read_night_csv


class NightPlace(NamedTuple):
    """Where a night is.

    Attributes:
        path: Folder of the data set, or a CSV.
        subject: Id of the recording in the data set; "" for a CSV.
        among_sets: `<set>.<id>` if there are several data sets, else "".
    """

    path: Path
    subject: str
    among_sets: str = ""

    @property
    def name(self) -> str:
        """Name of the night."""
        return self.among_sets or self.subject or self.path.stem

    def read(self, options: Options) -> Recording:
        """The recording, without labels.

        Raises:
            UnusableNight: The recording of a data set cannot be used.
            UserMistake: The CSV cannot be used.
        """
        if not self.subject:
            return read_night_csv(self.path)
        recording = read_recording(self.path, self.subject, options.negative_times, want_labels=False)
        return replace(recording, subject=self.name)

    def files(self) -> list[Path]:
        """The files that the night may be read from."""
        return [*paths(self.path, self.subject).values()] if self.subject else [self.path]


def find_nights(path: Data, chosen: Sequence[str] | None = None) -> list[NightPlace]:
    """The nights at a path.

    Args:
        path: Folder of a data set (such as an import) or several sets, any file of a recording in one, or a CSV.
        chosen: Subjects of the data set; None for all.

    Raises:
        UserMistake: There is no night; suggests an import if the path holds a known export.
    """
    if isinstance(path, DataSets):
        names = subjects(path) if chosen is None else one_of("--nights", chosen, subjects(path))
        return [NightPlace(*located(path, name), name) for name in names]
    path = Path(path)
    if not path.exists():
        raise UserMistake(f"{path}: no such file or folder; expected a data set, a recording of one, or a CSV")
    if path.is_dir():
        return [NightPlace(path, subject) for subject in _subjects(path, chosen)]
    if chosen is not None:
        raise UserMistake(f"--nights {','.join(chosen)}: needs a data set, but {path} is a file")
    folder = path.resolve().parent
    for layout in (*LAYOUTS.values(), LABELS):
        if folder.name == layout.folder and path.name.endswith(layout.suffix):
            (subject,) = one_of(str(path), [path.name.removesuffix(layout.suffix)], subjects(folder.parent))
            return [NightPlace(folder.parent, subject)]
    if path.suffix.lower() != ".csv" and (hint := import_hint(path)):
        raise UserMistake(f"{path}: an export; convert it to a data set first: {hint}")
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        raise UserMistake(
            f"{path}: a damaged ZIP file, or one without an export that python -m pipeline import can read"
        )
    return [NightPlace(path, "")]


def _subjects(folder, chosen):
    try:
        names = subjects(folder)
    except UserMistake as mistake:
        if hint := import_hint(folder):
            raise UserMistake(f"{folder}: no recordings; convert it to a data set first: {hint}") from None
        raise mistake from None
    return names if chosen is None else one_of("--nights", chosen, names)
