"""What of a run folder is served: its bundles, the nights of a data set, and predictions through the watch."""

import threading
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import numpy as np
from fastapi import HTTPException

from export.bundle import read_bundle
from export.contract_parts import ChannelEntry, OperatingPoint
from pipeline.constants import LONGEST_NIGHT_S, STAGES
from pipeline.coverage import Coverage, coverage_of_night
from pipeline.data_sets import Data
from pipeline.nights import load_night
from pipeline.recordings import Recording, paths, subjects
from pipeline.run_folder import RunFolder
from watch_sim.predict import stage_recording
from watch_sim.service.requests import Model, Prediction
from watch_sim.watch import Epoch, Watch


class ServedRun:
    """A run folder and a data set, as the service answers from them.

    Attributes:
        run: The run folder.
        options: Of the run.
        parts: {subject: the part of the split it was in}.
        folders: {architecture: bundle folder}.
        contracts: {architecture: Contract}.
        contract: One of them; stages, seconds and channels are the same in all.
        dataset_dir: Folder of the recordings.
        subjects: Of the recordings.
        busy: Held while a model is loaded or a night read, which turns standard error away for a moment.
    """

    def __init__(self, run: Path, dataset_dir: Data | None = None):
        """Open a run.

        Args:
            run: Folder of the run.
            dataset_dir: Recordings; by default those of the run.

        Raises:
            UserMistake: The run has no bundles, one of them is not whole, or the data set has no recordings.
        """
        self.run = RunFolder(run)
        self.options = self.run.options
        self.parts = self.run.part_of_subject
        self.folders = self.run.bundle_folders()
        self.contracts = {name: read_bundle(folder) for name, folder in self.folders.items()}
        self.dataset_dir = dataset_dir or self.run.dataset_dir
        self.subjects = subjects(self.dataset_dir)
        self.contract = next(iter(self.contracts.values()))
        self.busy = threading.Lock()

    def bundle(self, model: Model) -> Path:
        """The bundle folder of a model; HTTP 422 for what the run lacks."""
        check_available("architecture", model.architecture, self.contracts)
        check_available("precision", model.precision, self.contracts[model.architecture].precisions)
        if model.operating_point is not None:
            check_available("operating_point", model.operating_point, self.operating_points(model.architecture))
        return self.folders[model.architecture]

    def operating_points(self, architecture: str) -> dict[str, OperatingPoint]:
        """The operating points of a model."""
        return self.contracts[architecture].operating_points

    def sizes(self, architecture: str) -> dict[str, int]:
        """{precision: bytes of the files that it calls}."""
        folder = self.folders[architecture]
        return {
            precision: sum((folder / call.file).stat().st_size for call in plan.calls)
            for precision, plan in self.contracts[architecture].precisions.items()
        }

    def files(self, subject: str) -> dict:
        """Which files a night has: its sensors, and whether it is labelled."""
        names = [name for name, path in paths(self.dataset_dir, subject).items() if path.is_file()]
        return {"sensors": [name for name in names if name != "labels"], "labels": "labels" in names}

    def night(self, subject: str) -> dict:
        """A night as the aligner gives it, for the page to play window by window; HTTP 404 or 422 where it cannot."""
        if subject not in self.subjects:
            raise HTTPException(404, f"no night {subject[:80]!r} in {self.dataset_dir}")
        with self.busy:
            night, findings = load_night(self.dataset_dir, subject, self.options, require_labels=False)
        if night is None:
            raise HTTPException(422, f"night {subject} cannot be used: {findings[-1]}")
        channels = [channel.name for channel in self.contract.channels]
        coverage = coverage_of_night(night, self.options, channels)
        return {
            "id": subject,
            "part": self.parts.get(subject),
            "start": float(night.ends[0] - self.options.stride) if len(night) else 0.0,
            "ends": night.ends.tolist(),
            "channels": {name: shortest_decimals(night.values(name, self.options)) for name in channels},
            "stages": [STAGES[stage] if stage >= 0 else None for stage in night.stages],
            "unknown": [window.unknown for window in coverage],
            "coverage": [sensors_as_dict(window) for window in coverage],
            "findings": [str(finding) for finding in findings],
        }

    def predict(self, request: Prediction) -> tuple[Watch, list[Epoch]]:
        """A watch and its epochs of a night; HTTP 422 for a model that the run lacks and windows that do not fit."""
        bundle = self.bundle(request)
        with self.busy:
            if request.events is None:
                watch = Watch(bundle, request.precision, operating_point=request.operating_point)
                windows = fill_windows(request.windows, watch.runner.contract.channels, self.options.stride)
                n = len(next(iter(windows.values())))
                return watch, watch.stage_windows(self.options.stride * np.arange(1.0, n + 1), windows)
            samples = {name: (np.array(s.t), np.array(s.value)) for name, s in request.events if s and s.t}
            recording = Recording("", samples)
            return stage_recording(bundle, request.precision, recording, self.options, request.operating_point)


def sensors_as_dict(coverage: Coverage) -> dict[str, dict]:
    """{sensor: {"share", "seconds_since"}} for JSON."""
    return {sensor: asdict(entry) for sensor, entry in coverage.sensors.items()}


def fill_windows(
    given: dict[str, list[list[float]]], channels: list[ChannelEntry], stride: int
) -> dict[str, np.ndarray]:
    """Windows as a model takes them: a channel that is not given is missing, as are values out of its range.

    Args:
        given: {channel: [windows, values_per_window]}.
        channels: Of the contract.
        stride: Seconds.

    Returns:
        {channel: [windows, values_per_window] float32} of all channels; HTTP 422 for windows that do not fit.
    """
    entries = {channel.name: channel for channel in channels}
    n = len(next(iter(given.values())))
    windows = {
        name: np.full((n, entry.values_per_window), entry.missing, np.float32) for name, entry in entries.items()
    }
    for name, rows in given.items():
        if name not in entries:
            field = f"windows.{ascii(name)[1:-1]}"  # a lone surrogate cannot be answered with
            raise unprocessable(field, f"no channel of this model; it has {', '.join(entries)}")
        entry = entries[name]
        for i, row in enumerate(rows):
            if len(row) != entry.values_per_window:
                raise unprocessable(f"windows.{name}.{i}", f"{len(row)} values, expected {entry.values_per_window}")
        if len(rows) != n or n > LONGEST_NIGHT_S // stride:
            raise unprocessable(f"windows.{name}", f"{len(rows)} windows; all channels need as many, at most a day's")
        low, high = entry.range
        values = np.array(rows)
        windows[name] = np.where((values >= low) & (values <= high), values, entry.missing).astype(np.float32)
    return windows


def check_available(field: str, name: str, available: Collection[str]) -> None:
    """HTTP 422 where the run lacks what a field names."""
    if name not in available:
        raise unprocessable(field, f"{name!r} is not available; choose from {', '.join(available)}")


def unprocessable(field: str, message: str) -> HTTPException:
    """HTTP 422 for a body whose field does not fit the run, in the form that pydantic's errors have."""
    return HTTPException(422, [{"field": field, "message": message}])


def shortest_decimals(values: np.ndarray) -> list[list[float]]:
    """float32 values as the shortest decimals that give them back, nested as they are."""
    return [[float(str(x)) for x in row] for row in values]
