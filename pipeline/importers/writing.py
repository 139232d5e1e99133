"""Writes imported nights in the layout of sleep-accel; the folder appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.constants import CHANNELS, COUNT_S, EPOCH_S, LEAST_OVERLAP_S, MINUTE_S
from pipeline.data_sets import WEARERS
from pipeline.device_stages import COLUMNS, FOLDER
from pipeline.errors import UserMistake
from pipeline.files import SHOWN, write_json
from pipeline.importers.asked import Asked
from pipeline.origin import Origin, write_origin
from pipeline.recordings import LAYOUTS, SPACING_TOLERANCE, paths
from pipeline.scratch import scratch_folder, sweep

CONVERTER = "Wristsleep import 1"  # the number goes up when the same export would give other nights
CHANNEL_OF = {"heart_rate": "heart_rate", "motion": "motion_x", "steps": "steps", "activity": "activity"}
SENSED = ("heart_rate", "motion", "activity")  # sensors that make a night usable

Samples = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class DeviceStage:
    """A stretch of a device's own staging.

    Attributes:
        start: s from the start of the night (or Unix s, before the night is cut).
        end: s, likewise.
        stage: One of pipeline.device_stages.NAMES.
        said: As the device says it.
    """

    start: float
    end: float
    stage: str
    said: str


@dataclass
class ImportedNight:
    """A night on its way into the layout. Times are s from its start.

    Attributes:
        name: Its id, free of personal names.
        samples: {sensor: (t [n], values [n] or [n, 3])}; t of steps and activity is the start of the bin.
        labels: (t [n], sleep-accel codes [n]), or None. Scored by people only.
        device_stages: The device's own.
        wearer: A number or code that nights of one wearer share; empty where there is but one wearer.
        beside: {path below the data set: text} of what the layout has no place for.
    """

    name: str
    samples: Samples
    labels: tuple[np.ndarray, np.ndarray] | None = None
    device_stages: list[DeviceStage] = field(default_factory=list)
    wearer: str = ""
    beside: dict[str, str] = field(default_factory=dict)


def cleaned(night: ImportedNight, asked: Asked) -> Samples:
    """The night's samples in order of time, without those that are no numbers or out of range; what goes is said."""
    clean: Samples = {}
    for sensor, (t, values) in night.samples.items():
        t, values = np.asarray(t, float), np.asarray(values, float)
        channel = CHANNELS[CHANNEL_OF[sensor]]
        rows = values.reshape(len(t), -1)
        usable = np.isfinite(t) & ((rows >= channel.low) & (rows <= channel.high)).all(1)  # NaN compares as False
        if not usable.all():
            what = f"{night.name}: {(~usable).sum()} of {len(t)} of {sensor.replace('_', ' ')}"
            asked.leave_out(f"values outside {channel.low:g} to {channel.high:g} {channel.unit}", what)
        t, values = t[usable], values[usable]
        if (np.diff(t) < 0).any():
            order = np.argsort(t, kind="stable")
            t, values = t[order], values[order]
        if sensor == "activity" and len(t) > 1:
            spacing = float(np.median(np.diff(t)))
            if abs(spacing - COUNT_S) > SPACING_TOLERANCE * COUNT_S:
                asked.leave_out(f"activity that is not counted every {COUNT_S} s", f"{night.name}: every {spacing:g} s")
                continue
        if len(t):
            clean[sensor] = t, values
    return clean


def usable_minutes(samples: Samples) -> float:
    """Minutes of 30-s epochs from the night's start on that hold heart rate or movement, as the reader counts them."""
    epochs = [samples[name][0] // EPOCH_S for name in SENSED if name in samples]
    sensed = np.unique(np.concatenate([[], *epochs]))
    return float((sensed >= 0).sum() * EPOCH_S / MINUTE_S)


@dataclass(frozen=True)
class WrittenNight:
    """A night whose files are written, but not yet in the data set.

    Attributes:
        name: Its id.
        wearer: As of the ImportedNight.
        folder: With its files in the layout, and no others.
    """

    name: str
    wearer: str
    folder: Path


def write_night(night: ImportedNight, asked: Asked, workplace: Path) -> WrittenNight | None:
    """Write a night into a new folder.

    Args:
        night: The night.
        asked: Is told what of it is left out.
        workplace: The folder in which that folder is made; several processes may do so.

    Returns:
        What was written; None where the night does not hold enough to be used.
    """
    samples = cleaned(night, asked)
    minutes = usable_minutes(samples)
    if minutes * MINUTE_S < LEAST_OVERLAP_S:
        reason = f"nights with less than {LEAST_OVERLAP_S // MINUTE_S} min of heart rate or movement"
        asked.leave_out(reason, f"{night.name}: {minutes:g} min")
        return None
    folder = Path(tempfile.mkdtemp(dir=workplace))
    files = paths(folder, night.name)
    for name in (*samples, *(["labels"] if night.labels else [])):
        files[name].parent.mkdir(parents=True, exist_ok=True)
    for sensor, (t, values) in samples.items():
        if sensor == "motion":
            from pipeline.synthetic import write_acceleration  # with scipy's filters, slow to import

            write_acceleration(files[sensor], t, values.T)
        else:
            separator = LAYOUTS[sensor].separator or " "
            np.savetxt(files[sensor], np.stack([t, values], 1), ["%.3f", "%.6g"], delimiter=separator)
    if night.labels:
        np.savetxt(files["labels"], np.stack(night.labels, 1), "%d %d")
    if night.device_stages:
        path = folder / FOLDER / f"{night.name}.csv"
        path.parent.mkdir()
        lines = [f"{s.start:.0f},{s.end:.0f},{s.stage},{s.said}" for s in night.device_stages]
        path.write_text("\n".join([",".join(COLUMNS), *lines, ""]))
    for name, text in night.beside.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return WrittenNight(night.name, night.wearer, folder)


class NewDataSet:
    """A data set that is being written.

    Attributes:
        folder: Where it is written until it is complete.
        workplace: For nights that are not in it yet; goes with the end of the import.
        names: Ids of the nights in it.
    """

    def __init__(self, workplace: Path, asked: Asked):
        """Begin an empty data set."""
        self.workplace, self._asked = workplace, asked
        self.folder = workplace / "new"
        self.folder.mkdir()
        self.names: list[str] = []
        self._wearers: dict[str, str] = {}

    def add(self, night: ImportedNight) -> bool:
        """Write a night; returns whether it is in the set now (if not, why is said)."""
        written = write_night(night, self._asked, self.workplace)
        return written is not None and self.take(written)

    def take(self, night: WrittenNight) -> bool:
        """Move a night's files into the set; returns whether it is in it now (if not, why is said)."""
        if night.name in self.names:
            self._asked.leave_out("nights whose id another night has", night.name)
            return False
        for path in [path for path in night.folder.rglob("*") if path.is_file()]:
            place = self.folder / path.relative_to(night.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
        shutil.rmtree(night.folder)
        self.names.append(night.name)
        if night.wearer:
            self._wearers[night.name] = night.wearer
        return True

    def finish(self, origin: Origin) -> None:
        """Write the marks of the whole set."""
        write_origin(self.folder, replace(origin, zone=self._asked.zone_said, converter=CONVERTER))
        if self._wearers:
            write_json(self.folder / WEARERS, self._wearers)


@contextmanager
def new_data_set(out: Path, asked: Asked) -> Iterator[NewDataSet]:
    """A data set that appears at `out` when the block ends well, and not at all when it fails.

    Raises:
        UserMistake: There is something at `out` already, or it cannot be written.
    """
    out = Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserMistake(f"{out}: exists and is not empty; name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{out.name[:SHOWN]}.new."
        sweep(out.parent, prefix)
        with scratch_folder(out.parent, prefix) as beside:
            new = NewDataSet(beside, asked)
            yield new
            if out.exists():
                out.rmdir()
            os.replace(new.folder, out)
    except OSError as error:
        raise UserMistake(f"{error.filename or out}: cannot be read or written ({error.strerror or error})") from None
