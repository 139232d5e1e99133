"""Shared by importers of research sets: nights are read one by one, and a damaged one does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage, ImportedNight, NewDataSet, WrittenNight, write_night
from pipeline.workers import in_parallel

MOST_BYTES = 1 << 27  # ten times the motion of a night at 32 Hz
LONGEST_LINE = 10_000  # characters
WORTH_A_CHILD = 4  # nights; for more, another process is worth the seconds it takes to start


@dataclass(frozen=True)
class NightFiles:
    """The nights of a set.

    Attributes:
        found: A file or folder per night.
        read: Function that reads one, at the top level of a module so that it can be pickled; may raise anything.
        expected: Files that such a set holds, for the message if none were found.
    """

    found: Sequence[Path]
    read: Callable[[Path, ImportRequest], ImportedNight]
    expected: str


@contextmanager
def reading_file(path: Path) -> Iterator[None]:
    """As `reading`, but refuses what is no regular file: reading a pipe or device may block forever."""
    if path.exists() and not path.is_file():
        raise UserMistake(f"{path}: not a regular file")
    with reading(path):
        yield


def text_file(path: Path) -> BytesIO:
    """The content of a text file of one night, for pandas.

    Raises:
        UserMistake: It is no regular file, or larger, or with a longer line, than that of any night: parsing could take
            gigabytes and minutes.
    """
    with reading_file(path):
        if path.stat().st_size > MOST_BYTES:
            raise UserMistake(f"{path}: over {MOST_BYTES >> 20} MB; expected the file of a night")
        content = path.read_bytes()
        long = next((n for n, line in enumerate(content.splitlines(), 1) if len(line) > LONGEST_LINE), None)
        if long:
            raise UserMistake(f"{path}: line {long}: over {LONGEST_LINE} characters; expected a row of a night")
        return BytesIO(content)


def is_there(path: Path) -> bool:
    """Whether a file exists; UserMistake for a link that leads nowhere, which is no missing file."""
    if path.is_symlink() and not path.exists():
        raise UserMistake(f"{path}: a link that leads nowhere")
    return path.exists()


def add_nights(data: NewDataSet, files: NightFiles, request: ImportRequest) -> None:
    """Read and write the nights, `in_parallel`. Nights that cannot be read are noted in the request.

    Args:
        data: The data set to add the nights to.
        files: The nights.
        request: The import.

    Raises:
        UserMistake: No nights were found, or --since was given, although nights of research sets have no dates.
    """
    n = len(files.found)
    if not request.path.is_dir() or not n:
        raise UserMistake(f"{request.path}: expected a folder with {files.expected}")
    if request.since:
        raise UserMistake("--since: nights of a research set have no dates; leave it out")
    work = [(files.read, path, request.path, request.zone, data.workplace) for path in files.found]
    for i, (night, of_night) in enumerate(in_parallel(_read_and_write, work, worth_a_child=n > WORTH_A_CHILD), 1):
        request.add(of_night)
        if night:
            data.take(night)
        request.progress(i / n)


def _read_and_write(
    read: Callable[[Path, ImportRequest], ImportedNight], path: Path, root: Path, zone: ZoneInfo | None, workplace: Path
) -> tuple[WrittenNight | None, ImportRequest]:
    """Read and write one night; returns the written night, or None, and a request with its notes."""
    request = ImportRequest(root, zone=zone)
    try:
        night = read(path, request)
    except UserMistake as error:
        request.leave_out("nights that cannot be read", error.message)
    except Exception as error:  # from pandas, scipy or wfdb, depending on the damage
        what = (str(error) or type(error).__name__).splitlines()[0]
        name = path.relative_to(root).as_posix()
        request.leave_out("nights that cannot be read", f"{name}: {type(error).__name__}: {what}")
    else:
        return write_night(night, request, workplace), request
    return None, request


def epochs_of(codes: np.ndarray, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels (t in s, codes) from the sleep-accel codes of consecutive epochs, moved by `shift` epochs, from t=0 on."""
    epoch = np.arange(len(codes)) + shift
    return epoch[epoch >= 0] * EPOCH_S, np.asarray(codes)[epoch >= 0]


def stretches(codes: np.ndarray, names: dict, originals: dict) -> list[DeviceStage]:
    """A device's stages from its codes of consecutive epochs; codes without a name are left out."""
    cuts = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts, ends = np.append(0, cuts), np.append(cuts, len(codes))
    return [
        DeviceStage(float(a * EPOCH_S), float(b * EPOCH_S), names[codes[a]], originals[codes[a]])
        for a, b in zip(starts, ends, strict=True)
        if b > a and codes[a] in names
    ]
