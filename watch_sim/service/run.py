"""What of a run folder is served: its bundles, the nights of a data set, and predictions through the watch."""

import threading
from pathlib import Path

import numpy as np
from fastapi import HTTPException

from export.bundle import read_contract
from pipeline.files import read_hparams, read_json
from pipeline.nights import load_night
from pipeline.options import ARCHITECTURES, LONGEST_NIGHT_S, STAGES, UserMistake
from pipeline.recordings import Recording, paths, subjects
from watch_sim.predict import predict_night
from watch_sim.watch import Epoch, Watch

APP_CODE = "sleep-stager.js"  # of a bundle: what the page plays it with


class Served:
    """What of a run folder is served. Raises UserMistake where the run has no bundles or the data set no recordings."""

    def __init__(self, run, dataset_dir=None):
        self.run = Path(run)
        if not self.run.is_dir():
            raise UserMistake(f"{run}: no such run folder")
        hparams, self.options = read_hparams(self.run)
        splits = read_json(self.run / "splits.json")
        self.parts = {subject: part for part, members in splits.items() for subject in members}
        order = [name for name in ("gru", *ARCHITECTURES) if (self.run / "bundles" / name).is_dir()]
        self.folders = {name: self.run / "bundles" / name for name in order}
        self.contracts = {name: read_contract(folder) for name, folder in self.folders.items()}
        if not self.contracts:
            raise UserMistake(f"{self.run / 'bundles'}: no bundle there; not a run folder, or an incomplete one")
        for folder in self.folders.values():
            if not (folder / APP_CODE).is_file():
                raise UserMistake(f"{folder}: lacks {APP_CODE}; python -m export {run} makes its bundles anew")
        self.dataset_dir = Path(dataset_dir or hparams["dataset_dir"])
        self.nights = subjects(self.dataset_dir)
        self.contract = next(iter(self.contracts.values()))  # stages, seconds and channels are the same in all
        self.busy = threading.Lock()  # one at a time: loading a model turns standard error away for a moment

    def check(self, model):
        """The bundle folder of a bodies.Model; HTTP 422 for what the run lacks."""
        for field, asked, known in (
            ("architecture", model.architecture, self.contracts),
            ("precision", model.precision, self.contracts.get(model.architecture, {}).get("precisions", ())),
            ("operating_point", model.operating_point, self.points(model.architecture)),
        ):
            if asked not in known and (field, asked) != ("operating_point", None):
                raise unfit(field, f"{asked!r} is not there; choose from {', '.join(known)}")
        return self.folders[model.architecture]

    def points(self, architecture):
        """The operating points of a model."""
        return self.contracts.get(architecture, {}).get("operating_points", {})

    def files(self, subject):
        """Which files a night has: its sensors, and whether it is labelled."""
        there = [name for name, path in paths(self.dataset_dir, subject).items() if path.is_file()]
        return {"sensors": [name for name in there if name != "labels"], "labels": "labels" in there}

    def night(self, subject):
        """A night as the aligner gives it, for the page to play window by window."""
        if subject not in self.nights:
            raise HTTPException(404, f"no night {subject[:80]!r} in {self.dataset_dir}")
        with self.busy:
            night, findings = load_night(self.dataset_dir, subject, self.options, labelled=None)
        if night is None:
            raise HTTPException(422, f"night {subject} cannot be used: {findings[-1]}")
        channels = [channel["name"] for channel in self.contract["channels"]]
        return {
            "id": subject,
            "part": self.parts.get(subject),
            "start": float(night.ends[0] - self.options.stride) if len(night) else 0.0,
            "ends": night.ends.tolist(),
            "channels": {name: decimals(night.window(name, self.options)) for name in channels},
            "stages": [STAGES[stage] if stage >= 0 else None for stage in night.stages],
            "findings": [str(finding) for finding in findings],
        }

    def predict(self, asked):
        """Epochs of a bodies.Prediction, through the watch."""
        folder = self.check(asked)
        with self.busy:
            if asked.events is None:
                watch = Watch(folder, asked.precision, operating_point=asked.operating_point)
                return self.predict_windows(asked.windows, watch)
            given = {name: (np.array(s.t), np.array(s.value)) for name, s in asked.events if s and s.t}
            night = Recording("", given)
            table = predict_night(folder, asked.precision, night, self.options, asked.operating_point)
        return [Epoch(row[0], row[1], row[2:]) for row in table.to_numpy().tolist()]

    def predict_windows(self, given, watch):
        """As `predict`, of windows. A channel that is not given is missing, as are values out of its range."""
        known = {channel["name"]: channel for channel in watch.runner.contract["channels"]}
        n = len(next(iter(given.values())))
        windows = {c["name"]: np.full((n, c["values_per_window"]), c["missing"], np.float32) for c in known.values()}
        for name, rows in given.items():
            if name not in known:
                field = f"windows.{ascii(name)[1:-1]}"  # a lone surrogate cannot be answered with
                raise unfit(field, f"no channel of this model; it has {', '.join(known)}")
            values, (low, high) = known[name]["values_per_window"], known[name]["range"]
            wrong = next((i for i, row in enumerate(rows) if len(row) != values), None)
            if wrong is not None:
                raise unfit(f"windows.{name}.{wrong}", f"{len(rows[wrong])} values, expected {values}")
            if len(rows) != n or n > LONGEST_NIGHT_S // self.options.stride:
                raise unfit(f"windows.{name}", f"{len(rows)} windows; all channels need as many, at most a day's")
            rows = np.array(rows)
            windows[name] = np.where((rows >= low) & (rows <= high), rows, known[name]["missing"]).astype(np.float32)
        return watch.say(self.options.stride * np.arange(1.0, n + 1), windows)


def unfit(field, message):
    """HTTP 422 for a body whose field does not fit the run, in the form that pydantic's findings have."""
    return HTTPException(422, [{"field": field, "message": message}])


def decimals(values):
    """float32 values as the shortest decimals that give them back, nested as they are."""
    return [[float(str(x)) for x in row] for row in values]
