"""Writes imported nights in the layout of sleep-accel; the folder is written atomically."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.constants import CHANNELS, COUNT_S, EPOCH_S, LEAST_OVERLAP_S, LONGEST_NIGHT_S, MINUTE_S
from pipeline.data_sets import WEARERS
from pipeline.device_stages import COLUMNS, FOLDER
from pipeline.errors import UserMistake
from pipeline.files import SHOWN, write_json
from pipeline.importers.request import ImportRequest
from pipeline.origin import Origin, write_origin
from pipeline.recordings import LAYOUTS, paths, spacing_of_counts
from pipeline.scratch import is_occupied, scratch_folder, sweep

CONVERTER = "Wristsleep import 2"  # the number is raised when the same export would give other nights
CHANNEL_OF = {"heart_rate": "heart_rate", "motion": "motion_x", "steps": "steps", "activity": "activity"}
SENSED = ("heart_rate", "motion", "activity")  # sensors that make a night usable

Samples = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class DeviceStage:
    """A stretch of one stage that a device predicted.

    Attributes:
        start: Start, s from the start of the night (Unix s before the night is cut out).
        end: End, likewise.
        stage: One of pipeline.device_stages.NAMES.
        original: Name of the stage in the export.
    """

    start: float
    end: float
    stage: str
    original: str


@dataclass
class ImportedNight:
    """A night to be written. Times are s from its start.

    Attributes:
        name: Id, without personal names.
        samples: {sensor: (t [n], values [n] or [n, 3])}; t of steps and activity is the start of the bin.
        labels: (t [n], sleep-accel codes [n]), scored by people; or None.
        device_stages: Stages that the device predicted.
        wearer: Number or code shared by the nights of one wearer; empty if there is only one wearer.
        extra_files: {path below the data set: text} of data that do not fit the layout.
    """

    name: str
    samples: Samples
    labels: tuple[np.ndarray, np.ndarray] | None = None
    device_stages: list[DeviceStage] = field(default_factory=list)
    wearer: str = ""
    extra_files: dict[str, str] = field(default_factory=dict)


def cleaned(night: ImportedNight, request: ImportRequest) -> Samples:
    """The night's samples in order of time; invalid and out-of-range ones are left out and noted in the request."""
    clean: Samples = {}
    for sensor, (t, values) in night.samples.items():
        t, values = np.asarray(t, float), np.asarray(values, float)
        if not len(t):
            request.leave_out("sensors without a value in the night", f"{night.name}: {sensor.replace('_', ' ')}")
            continue
        channel = CHANNELS[CHANNEL_OF[sensor]]
        rows = values.reshape(len(t), -1)
        timely = np.abs(t) <= LONGEST_NIGHT_S  # NaN compares as False
        if not timely.all():
            what = f"{night.name}: {(~timely).sum()} of {len(t)} of {sensor.replace('_', ' ')}"
            request.leave_out("values at times that are not in the night", what)
            t, rows, values = t[timely], rows[timely], values[timely]
        usable = ((rows >= channel.low) & (rows <= channel.high)).all(1)  # NaN compares as False
        if not usable.all():
            what = f"{night.name}: {(~usable).sum()} of {len(t)} of {sensor.replace('_', ' ')}"
            request.leave_out(f"values outside {channel.low:g} to {channel.high:g} {channel.unit}", what)
        t, values = t[usable], values[usable]
        if (np.diff(t) < 0).any():
            order = np.argsort(t, kind="stable")
            t, values = t[order], values[order]
        if sensor == "activity":
            spacing, usual = spacing_of_counts(t)
            if not usual:
                request.leave_out(f"activity counts not every {COUNT_S} s", f"{night.name}: every {spacing:g} s")
                continue
        if len(t):
            clean[sensor] = t, values
    return clean


def usable_minutes(samples: Samples) -> float:
    """Minutes of epochs with heart rate or movement from the night's start on, as `read_recording` counts them."""
    epochs = [samples[name][0] // EPOCH_S for name in SENSED if name in samples]
    sensed = np.unique(np.concatenate([[], *epochs]))
    return float((sensed >= 0).sum() * EPOCH_S / MINUTE_S)


@dataclass(frozen=True)
class WrittenNight:
    """A night whose files are written, but not yet in the data set.

    Attributes:
        name: Id.
        wearer: As in ImportedNight.
        folder: Folder with only this night's files.
    """

    name: str
    wearer: str
    folder: Path


def write_night(night: ImportedNight, request: ImportRequest, workplace: Path) -> WrittenNight | None:
    """Write a night into a new folder.

    Args:
        night: The night.
        request: The import; gets notes about what is left out.
        workplace: Parent of the new folder; several processes may use it.

    Returns:
        The written night; None if it has too little data.
    """
    samples = cleaned(night, request)
    minutes = usable_minutes(samples)
    if minutes * MINUTE_S < LEAST_OVERLAP_S:
        reason = f"nights with less than {LEAST_OVERLAP_S // MINUTE_S} min of heart rate or movement"
        request.leave_out(reason, f"{night.name}: {minutes:g} min")
        return None
    folder = Path(tempfile.mkdtemp(dir=workplace))
    files = paths(folder, night.name)
    for name in (*samples, *(["labels"] if night.labels else [])):
        files[name].parent.mkdir(parents=True, exist_ok=True)
    for sensor, (t, values) in samples.items():
        if sensor == "motion":
            from pipeline.synthetic import write_acceleration  # imports scipy, which is slow

            write_acceleration(files[sensor], t, values.T)
        else:
            separator = LAYOUTS[sensor].separator or " "
            np.savetxt(files[sensor], np.stack([t, values], 1), ["%.3f", "%.6g"], delimiter=separator)
    if night.labels:
        np.savetxt(files["labels"], np.stack(night.labels, 1), "%d %d")
    if night.device_stages:
        path = folder / FOLDER / f"{night.name}.csv"
        path.parent.mkdir()
        lines = [f"{s.start:.0f},{s.end:.0f},{s.stage},{s.original}" for s in night.device_stages]
        path.write_text("\n".join([",".join(COLUMNS), *lines, ""]))
    for name, text in night.extra_files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return WrittenNight(night.name, night.wearer, folder)


class NewDataSet:
    """A data set that is being written.

    Attributes:
        folder: Folder of the data set until it is complete.
        workplace: Folder for nights that are not in the set yet; removed after the import.
        names: Ids of the nights in the set.
    """

    def __init__(self, workplace: Path, request: ImportRequest):
        """Begin an empty data set."""
        self.workplace, self._request = workplace, request
        self.folder = workplace / "new"
        self.folder.mkdir()
        self.names: list[str] = []
        self._wearers: dict[str, str] = {}

    def add(self, night: ImportedNight) -> bool:
        """Write a night; returns whether it was added (if not, the request gets a note)."""
        written = write_night(night, self._request, self.workplace)
        return written is not None and self.take(written)

    def take(self, night: WrittenNight) -> bool:
        """Move a night's files into the set; returns whether it was added (if not, the request gets a note)."""
        if night.name in self.names:
            self._request.leave_out("nights with the id of another night", night.name)
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
        """Write origin.json and wearers.json."""
        write_origin(self.folder, replace(origin, zone=self._request.zone_text, converter=CONVERTER))
        if self._wearers:
            write_json(self.folder / WEARERS, self._wearers)


@contextmanager
def new_data_set(out: Path, request: ImportRequest) -> Iterator[NewDataSet]:
    """A data set that is moved to `out` after the block, or removed if the block fails.

    Raises:
        UserMistake: `out` exists and is not empty, or cannot be written.
    """
    out = Path(out).resolve()
    if is_occupied(out):
        raise UserMistake(f"{out}: exists and is not empty; name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{out.name[:SHOWN]}.new."
        sweep(out.parent, prefix)
        with scratch_folder(out.parent, prefix) as scratch:
            new = NewDataSet(scratch, request)
            yield new
            if out.exists():
                out.rmdir()
            os.replace(new.folder, out)
    except OSError as error:
        raise UserMistake(f"{error.filename or out}: cannot be read or written ({error.strerror or error})") from None
