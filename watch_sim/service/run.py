"""What the service offers from a run folder or a bundle: bundles, nights of a data set, and predictions."""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from fastapi import HTTPException

from export.bundle import read_bundle
from export.contract_parts import ChannelEntry, OperatingPoint
from pipeline.align import CHANNELS_OF_SENSOR, extent
from pipeline.constants import CHANNELS, GRACE_S, LONGEST_NIGHT_S, STAGES
from pipeline.coverage import Coverage, coverage_of_night
from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from pipeline.nights import load_night
from pipeline.recordings import Recording, paths, subjects
from pipeline.run_folder import RunFolder
from watch_sim.service.plain import plain_night
from watch_sim.service.refusals import unprocessable
from watch_sim.service.requests import Model, PlainNight, Prediction
from watch_sim.service.work import Deadline
from watch_sim.stream import stream
from watch_sim.watch import Epoch, Watch


class NotLoaded(Exception):
    """No loaded model is free."""


class ServedRun:
    """The run folder or bundle, and the data set, that the service uses.

    Attributes:
        name: Name of the folder.
        options: Options of the run.
        parts: {subject: its part of the split}.
        folders: {architecture: bundle folder}.
        digests: {architecture: 16-byte digest of its contract, which holds the digests of its files}.
        contracts: {architecture: Contract}.
        contract: One of them; stages, seconds and channels are the same in all.
        dataset_dir: Folder of the recordings, or None.
        subjects: Ids of the recordings.
        busy: Held while a model is loaded or a night read, which redirects standard error for a moment.
        idle: {(architecture, precision): unused watches}; their files stay loaded.
    """

    def __init__(self, run: Path, dataset_dir: Data | None = None):
        """Open a run.

        Args:
            run: Folder of the run or of a bundle.
            dataset_dir: Recordings; by default those of the run, if they exist.

        Raises:
            UserMistake: The run has no bundles, a bundle is incomplete or altered, or the data set has no recordings.
        """
        self.name = Path(os.path.realpath(run)).name  # of a link in a circle, too
        if os.path.lexists(Path(run) / "contract.json"):
            contract = read_bundle(run)
            self.folders, self.contracts = {contract.architecture: Path(run)}, {contract.architecture: contract}
            self.options, self.parts, own_nights = contract.options(), {}, None
        else:
            folder = RunFolder(run)
            self.folders = folder.bundle_folders()
            self.contracts = {name: read_bundle(path) for name, path in self.folders.items()}
            self.options, self.parts, own_nights = folder.options, folder.part_of_subject, folder.dataset_dir
        self.contract = next(iter(self.contracts.values()))
        self.dataset_dir = dataset_dir or own_nights
        self.subjects = self._subjects(required=dataset_dir is not None)
        self.digests = {
            name: hashlib.sha256((folder / "contract.json").read_bytes()).digest()[:16]
            for name, folder in self.folders.items()
        }
        self.sizes = {name: self._sizes(name) for name in self.contracts}
        self.busy = threading.Lock()
        self.idle: dict[tuple[str, str], list[Watch]] = defaultdict(list)

    @contextmanager
    def watch(self, model: Model, load: bool = True) -> Iterator[Watch]:
        """Context manager for a watch of a model; the block must begin a night with it.

        Args:
            model: The model.
            load: Whether to load the model's files if no watch is idle.

        Raises:
            NotLoaded: No watch is idle, and none may be loaded.
            HTTPException: 422 if the run lacks the model.
            UserMistake: The bundle's files have changed.
        """
        folder = self.bundle(model)
        idle = self.idle[model.architecture, model.precision]
        try:
            watch = idle.pop()
        except IndexError:
            if not load:
                raise NotLoaded from None
            with self.busy:
                watch = Watch(folder, model.precision)
        try:
            yield watch
        finally:
            idle.append(watch)

    def bundle(self, model: Model) -> Path:
        """The bundle folder of a model; HTTP 422 if the run lacks it."""
        check_available("architecture", model.architecture, self.contracts)
        check_available("precision", model.precision, self.contracts[model.architecture].precisions)
        if model.operating_point is not None:
            check_available("operating_point", model.operating_point, self.operating_points(model.architecture))
        return self.folders[model.architecture]

    def operating_points(self, architecture: str) -> dict[str, OperatingPoint]:
        """The operating points of a model."""
        return self.contracts[architecture].operating_points

    def _subjects(self, required):
        """Ids of the nights; none if the run's recordings are not here, as on a server that only predicts."""
        try:
            return subjects(self.dataset_dir) if self.dataset_dir else []
        except UserMistake:
            if required:
                raise
            return []

    def _sizes(self, architecture):
        """{precision: bytes of its files}."""
        folder = self.folders[architecture]
        return {
            precision: sum((folder / call.file).stat().st_size for call in plan.calls)
            for precision, plan in self.contracts[architecture].precisions.items()
        }

    def files(self, subject: str) -> dict:
        """A night's sensors, and whether it has labels."""
        names = [
            name for name, path in paths(self.dataset_dir, subject).items() if os.path.isfile(path)
        ]  # False also where the folder is closed to us
        return {"sensors": [name for name in names if name != "labels"], "labels": "labels" in names}

    def night(self, subject: str) -> dict:
        """An aligned night, for the page to play window by window; HTTP 404 or 422 if there is no usable one."""
        if subject not in self.subjects:
            raise HTTPException(404, [{"field": "subject", "message": "no such night"}])
        try:
            with self.busy:
                night, findings = load_night(self.dataset_dir, subject, self.options, require_labels=False)
        except OSError as error:
            message = f"its files cannot be read or cached ({error.strerror})"
            raise HTTPException(409, [{"field": "subject", "message": message}]) from None
        if night is None:
            raise unprocessable("subject", f"the night cannot be used: {findings[-1]}")
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

    def predict(self, request: Prediction, deadline: Deadline) -> dict:
        """A Predicted, for JSON; HTTP 422 if the run lacks the model or windows are invalid."""
        with self.watch(request) as watch:
            if request.events is None:
                watch.begin(operating_point=request.operating_point)
                windows = fill_windows(request.windows, watch.runner.contract.channels, self.options.stride)
                epochs = stage_windows(watch, windows, deadline)
            else:
                samples = {name: (np.array(s.t), np.array(s.value)) for name, s in request.events if s and s.t}
                recording = Recording("", samples)
                watch.begin(extent(recording, self.options)[0], "activity" in samples, request.operating_point)
                epochs = []
                for closed in stream(recording, self.options, watch):
                    deadline.check()
                    epochs += closed
            model = request.model_dump(include={*Model.model_fields})
            return {**model, "seconds": self.options.stride, **staged_as_json(watch, epochs)}

    def predict_plain(self, request: PlainNight, deadline: Deadline) -> dict:
        """A PlainPredicted, for JSON; HTTP 422 if the run lacks the model or lists are invalid."""
        architecture = request.model_type.lower()
        check_available("model_type", architecture, self.contracts)
        available = self.contracts[architecture].precisions
        precision = request.precision or ("int8" if "int8" in available else next(iter(available)))
        model = Model(architecture=architecture, precision=precision, operating_point=request.operating_point)
        with self.watch(model) as watch:
            watch.begin(operating_point=model.operating_point)
            night = plain_night(request, self.contracts[architecture])
            epochs = stage_windows(watch, night.windows, deadline)
        answers = [
            {"time": epoch.time, "stage": epoch.stage, "probabilities": probabilities_by_stage(epoch)}
            for epoch in epochs
        ]
        newest = {name: answers[-1][name] for name in ("stage", "probabilities")}
        described = {"model_type": request.model_type, "precision": precision, "seconds": self.options.stride}
        notes = {"missing": night.missing, "unused": night.unused, "findings": night.findings}
        return {**newest, "epochs": answers, **described, **notes}


def bundles_as_json(served: ServedRun) -> dict:
    """A Bundles, for JSON."""
    models = [
        {
            "architecture": name,
            "precisions": served.sizes[name],
            "operating_points": {k: point.model_dump() for k, point in served.operating_points(name).items()},
        }
        for name in served.contracts
    ]
    first = {sensor: CHANNELS[names[0]] for sensor, names in CHANNELS_OF_SENSOR.items()}
    contract = served.contract.document()
    return {
        "run": served.name,
        "training_data": served.contract.training_data.model_dump(),
        "stages": contract["stages"],
        "seconds": contract["seconds"],
        "channels": contract["channels"],
        "unknown": served.contract.unknown.model_dump(),
        "bundles": models,
        "sensors": {sensor: {"range": [channel.low, channel.high]} for sensor, channel in first.items()},
        "grace_seconds": GRACE_S,
        "longest_night_seconds": LONGEST_NIGHT_S,
    }


def nights_as_json(served: ServedRun) -> dict:
    """A Nights, for JSON."""
    entries = [{"id": name, "part": served.parts.get(name), **served.files(name)} for name in served.subjects]
    return {"dataset_dir": str(served.dataset_dir or ""), "nights": entries}


def stage_windows(watch: Watch, windows: dict[str, np.ndarray], deadline: Deadline) -> list[Epoch]:
    """The epochs of a night's windows. windows: {channel: [windows, values_per_window]}."""
    epochs = []
    for i in range(len(next(iter(windows.values())))):
        deadline.check()
        window = {name: x[i : i + 1] for name, x in windows.items()}
        epochs += watch.stage_windows(np.array([watch.options.stride * (i + 1.0)]), window)
    return epochs


def probabilities_by_stage(epoch: Epoch) -> dict[str, float] | None:
    """{stage: probability}; None if the stage is unknown."""
    return None if epoch.coverage.unknown else dict(zip(STAGES, epoch.probabilities.tolist(), strict=True))


def staged_as_json(watch: Watch, epochs: Sequence[Epoch]) -> dict:
    """A Staged, for JSON; the probabilities of an unknown epoch are null."""
    return {
        "epochs": [
            {
                "time": epoch.time,
                "stage": epoch.stage,
                "probabilities": None if epoch.coverage.unknown else epoch.probabilities.tolist(),
                "coverage": sensors_as_dict(epoch.coverage),
            }
            for epoch in epochs
        ],
        "dropped": {sensor: {**counts} for sensor, counts in watch.dropped.items()},
        "findings": watch.findings,
    }


def sensors_as_dict(coverage: Coverage) -> dict[str, dict]:
    """{sensor: {"share", "seconds_since"}} for JSON."""
    return {sensor: asdict(entry) for sensor, entry in coverage.sensors.items()}


def fill_windows(
    given: dict[str, list[list[float]]], channels: list[ChannelEntry], stride: int
) -> dict[str, np.ndarray]:
    """Windows as the model's input: channels that are not given and values out of range are missing.

    Args:
        given: {channel: [windows, values_per_window]}.
        channels: The contract's.
        stride: Seconds.

    Returns:
        {channel: [windows, values_per_window] float32} for all channels.

    Raises:
        HTTPException: 422 if windows have the wrong channel, size or number.
    """
    entries = {channel.name: channel for channel in channels}
    n = len(next(iter(given.values())))
    windows = {
        name: np.full((n, entry.values_per_window), entry.missing, np.float32) for name, entry in entries.items()
    }
    for name, rows in given.items():
        if name not in entries:
            raise unprocessable(f"windows.{name}", f"not a channel of this model; it has {', '.join(entries)}")
        entry = entries[name]
        for i, row in enumerate(rows):
            if len(row) != entry.values_per_window:
                raise unprocessable(f"windows.{name}.{i}", f"{len(row)} values, expected {entry.values_per_window}")
        if len(rows) != n or n > LONGEST_NIGHT_S // stride:
            raise unprocessable(
                f"windows.{name}", f"{len(rows)} windows; expected the same number in all channels, at most a day"
            )
        low, high = entry.range
        values = np.array(rows)
        windows[name] = np.where((values >= low) & (values <= high), values, entry.missing).astype(np.float32)
    return windows


def check_available(field: str, name: str, available: Collection[str]) -> None:
    """Raise HTTP 422 if the run lacks what a field names."""
    if name not in available:
        raise unprocessable(field, f"{name!a} is not available; choose from {', '.join(available)}")


def shortest_decimals(values: np.ndarray) -> list[list[float]]:
    """float32 values as the shortest decimals that round-trip, in the same nesting."""
    return [[float(str(x)) for x in row] for row in values]
