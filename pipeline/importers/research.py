"""What importers of research sets share: a night after another, one that is damaged does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.importers.asked import Asked
from pipeline.importers.writing import DeviceStage, ImportedNight, NewDataSet, WrittenNight, write_night
from pipeline.workers import in_parallel

WORTH_A_CHILD = 4  # nights; for more, another process is worth the seconds that it takes to start


@dataclass(frozen=True)
class NightFiles:
    """Where the nights of a set are.

    Attributes:
        found: A file or folder per night.
        read: Reads one, of a module, so that another process can; may fail in any way.
        expected: What a set of this kind holds, for the message where nothing was found.
    """

    found: Sequence[Path]
    read: Callable[[Path, Asked], ImportedNight]
    expected: str


def add_nights(data: NewDataSet, files: NightFiles, asked: Asked) -> None:
    """Read and write the nights, `in_parallel`; why one cannot be read is said.

    Args:
        data: The data set that they are added to.
        files: The nights.
        asked: The import.

    Raises:
        UserMistake: Nothing was found, or nights have no date to tell --since by.
    """
    n = len(files.found)
    if not asked.path.is_dir() or not n:
        raise UserMistake(f"{asked.path}: expected a folder with {files.expected}")
    if asked.since:
        raise UserMistake("--since: nights of a research set are not told by their date; leave it out")
    work = [(files.read, path, asked.path, asked.zone, data.workplace) for path in files.found]
    for i, (night, of_night) in enumerate(in_parallel(_read_and_write, work, worth_a_child=n > WORTH_A_CHILD), 1):
        asked.add(of_night)
        if night:
            data.take(night)
        asked.progress(i / n)


def _read_and_write(
    read: Callable[[Path, Asked], ImportedNight], path: Path, root: Path, zone: ZoneInfo | None, workplace: Path
) -> tuple[WrittenNight | None, Asked]:
    """A night of a set, as written, or None; what is to be said of it."""
    asked = Asked(root, zone=zone)
    try:
        night = read(path, asked)
    except UserMistake as error:
        asked.leave_out("nights that cannot be read", error.message)
    except Exception as error:  # pandas, scipy, wfdb: by how a file is damaged
        what = (str(error) or type(error).__name__).splitlines()[0]
        name = path.relative_to(root).as_posix()
        asked.leave_out("nights that cannot be read", f"{name}: {type(error).__name__}: {what}")
    else:
        return write_night(night, asked, workplace), asked
    return None, asked


def epochs_of(codes: np.ndarray, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels in the layout from sleep-accel codes of consecutive epochs, moved by `shift` epochs; none before t=0."""
    epoch = np.arange(len(codes)) + shift
    return epoch[epoch >= 0] * EPOCH_S, np.asarray(codes)[epoch >= 0]


def stretches(codes: np.ndarray, names: dict, said: dict) -> list[DeviceStage]:
    """A device's stages from its codes of consecutive epochs; codes without a name are left out."""
    cuts = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts, ends = np.append(0, cuts), np.append(cuts, len(codes))
    return [
        DeviceStage(float(a * EPOCH_S), float(b * EPOCH_S), names[codes[a]], said[codes[a]])
        for a, b in zip(starts, ends, strict=True)
        if b > a and codes[a] in names
    ]
