"""Garmin: FIT files of daily monitoring, sleep or activities; one file, a folder, or the ZIP file of all data.

Assumptions:

1. Monitoring messages with `timestamp_16` follow one with a full time, and mean the next time with those low 16 bits.
2. `local_timestamp` next to a `timestamp` in `monitoring_info` gives the wearer's UTC offset.
3. Steps of a monitoring message are those of the activity type since midnight.
4. A `sleep_level` lasts from its time to that of the next one; the last of a file lasts a minute.
"""

import io
from array import array
from collections.abc import Iterator

import fitdecode
import numpy as np

from pipeline.constants import MINUTE_S
from pipeline.errors import UserMistake
from pipeline.importers.archive import members
from pipeline.importers.nights import LARGEST_OFFSET_S, LocalTime, Sensed, Source, nights_of
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage, ImportedNight
from pipeline.origin import Origin

ORIGIN = Origin("garmin", licence="The wearer's own nights; not for others without their consent.")
FIT_EPOCH = 631065600  # Unix s of 1989-12-31 00:00 UTC
STAGES = {1: ("Wake", "awake"), 2: ("Light", "light"), 3: ("Deep", "deep"), 4: ("REM", "rem")}
NO_TIME = "heart rates before the first full time of their file"


class Messages:
    """Collects data from the messages of all files.

    Attributes:
        t: Times of heart rates, Unix s.
        bpm: Heart rates.
        offsets: Unix s and UTC offset in s, alternating.
        steps: Start and end in Unix s, and steps, alternating.
        stages: Device stages, in Unix s.
    """

    def __init__(self):
        """Begin without messages."""
        self.t, self.bpm, self.offsets, self.steps = array("d"), array("f"), array("d"), array("d")
        self.stages: list[DeviceStage] = []

    def read(self, data: bytes) -> int:
        """Read one file.

        Returns:
            Number of heart rates dropped for lack of a full time before them.

        Raises:
            Exception: The file is damaged; none of its messages are kept.
        """
        if not data:
            raise ValueError("empty")
        before = len(self.t), len(self.offsets), len(self.steps), len(self.stages)
        try:
            return self._read(data)
        except Exception:
            del self.t[before[0] :], self.bpm[before[0] :], self.offsets[before[1] :], self.steps[before[2] :]
            del self.stages[before[3] :]
            raise

    def _read(self, data):
        full: int | None = None  # newest full time, FIT s
        lost = 0
        walked: dict[object, tuple[int, float]] = {}  # by activity type: FIT s, steps since midnight
        levels = []
        check = {"check_crc": fitdecode.CrcCheck.RAISE, "error_handling": fitdecode.ErrorHandling.RAISE}
        with fitdecode.FitReader(io.BytesIO(data), processor=None, **check) as reader:
            for frame in reader:
                if frame.frame_type != fitdecode.FIT_FRAME_DATA:
                    continue
                if frame.name not in ("monitoring", "monitoring_info", "record", "sleep_level"):
                    continue
                raw = {f.name: f.raw_value for f in frame.fields if f.raw_value is not None}
                time = raw.get("timestamp")
                if time is None and full is not None and "timestamp_16" in raw:
                    time = full + ((raw["timestamp_16"] - (full & 0xFFFF)) & 0xFFFF)
                if time is None:
                    lost += "heart_rate" in raw
                    continue
                full = time
                if frame.name == "sleep_level":
                    levels.append((time + FIT_EPOCH, raw.get("sleep_level")))
                    continue
                if "local_timestamp" in raw and frame.name == "monitoring_info":
                    offset = raw["local_timestamp"] - time
                    if abs(offset) <= LARGEST_OFFSET_S:
                        self.offsets.extend((time + FIT_EPOCH, offset))
                if raw.get("heart_rate"):  # 0 if the watch is not worn
                    self.t.append(time + FIT_EPOCH)
                    self.bpm.append(raw["heart_rate"])
                if "steps" in raw:
                    self._steps(walked, raw, time)
        self._levels(levels)
        return lost

    def _steps(self, walked, raw, time):
        kind, total = raw.get("activity_type"), float(raw["steps"])
        since, before = walked.get(kind, (time - MINUTE_S, 0.0))
        if total < before:  # a new day
            since, before = time - MINUTE_S, 0.0
        if total > before:
            self.steps.extend((since + FIT_EPOCH, time + FIT_EPOCH, total - before))
        walked[kind] = time, total

    def _levels(self, levels):
        levels = sorted(set(levels), key=lambda level: level[0])  # a file may hold another twice
        ends = [t for t, _ in levels[1:]] + [t + MINUTE_S for t, _ in levels[-1:]]
        for (start, level), end in zip(levels, ends, strict=True):
            if level in STAGES:
                self.stages.append(DeviceStage(start, end, *STAGES[level]))

    def sensed(self) -> Sensed:
        """All data in order of time, without duplicates."""
        t, first = np.unique(np.asarray(self.t), return_index=True)
        sources = {"heart_rate": [Source("Garmin", t, np.asarray(self.bpm)[first], watch=True)]}
        if self.steps:
            steps = np.unique(np.asarray(self.steps).reshape(-1, 3), axis=0)
            sources["steps"] = [Source("Garmin", steps[:, 0], steps[:, 2], watch=True, ends=steps[:, 1])]
        stages = list(dict.fromkeys(self.stages))
        return Sensed(sources, {"Garmin": stages} if stages else {})


def nights(request: ImportRequest) -> Iterator[ImportedNight]:
    """Read the nights of all FIT files.

    Raises:
        UserMistake: There is no FIT file, or no file has the UTC offset and the user gave no time zone.
    """
    messages = Messages()
    with members(request.path, "*.fit") as found:
        files = 0
        for member in found:
            files += 1
            try:
                if lost := messages.read(member.read()):
                    request.leave_out(NO_TIME, f"{member.name}: {lost}")
            except UserMistake as error:
                request.leave_out("files that cannot be read", error.message)
            except Exception as error:  # from fitdecode, struct and others, depending on the damage
                what = (
                    f"{member.name}: {(str(error) or type(error).__name__).splitlines()[0]}; expected a whole FIT file"
                )
                request.leave_out("damaged files", what)
            request.progress(1 - 0.98**files)  # their number is known only at the end
    if not files:
        raise UserMistake(f"{request.path}: no FIT file in it; expected *.fit, in a folder or a ZIP file")
    if request.zone is None and messages.t and not messages.offsets:
        raise UserMistake(f"{request.path}: no file has the wearer's local time; add --zone, such as Europe/Berlin")
    offsets = np.asarray(messages.offsets).reshape(-1, 2)
    clock = LocalTime.of_offsets(*offsets.T) if request.zone is None and len(offsets) else LocalTime(request.zone)
    request.zone_text = clock.description()
    yield from nights_of(messages.sensed(), clock, request)
