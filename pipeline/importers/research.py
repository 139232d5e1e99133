"""What importers of research sets share: a night after another, one that is damaged does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.constants import EPOCH_S
from pipeline.errors import UserMistake
from pipeline.importers.asked import Asked
from pipeline.importers.writing import DeviceStage, ImportedNight


def each(
    asked: Asked, found: Sequence[Path], read: Callable[[Path], ImportedNight], expected: str
) -> Iterator[ImportedNight]:
    """The nights that can be read; why the others cannot is said.

    Args:
        asked: The import.
        found: A file or folder per night.
        read: Reads one; may fail in any way.
        expected: What a set of this kind holds, for the message where nothing was found.

    Raises:
        UserMistake: Nothing was found, or nights have no date to tell --since by.
    """
    if not asked.path.is_dir() or not found:
        raise UserMistake(f"{asked.path}: expected a folder with {expected}")
    if asked.since:
        raise UserMistake("--since: nights of a research set are not told by their date; leave it out")
    for i, path in enumerate(found):
        asked.progress(i / len(found))
        try:
            night = read(path)
        except UserMistake as error:
            asked.leave_out("nights that cannot be read", error.message)
        except Exception as error:  # pandas, scipy, wfdb: by how a file is damaged
            what = (str(error) or type(error).__name__).splitlines()[0]
            name = path.relative_to(asked.path).as_posix()
            asked.leave_out("nights that cannot be read", f"{name}: {type(error).__name__}: {what}")
        else:
            yield night


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
