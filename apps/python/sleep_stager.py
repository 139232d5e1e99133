"""Live sleep stages from heart rate and movement at the wrist. A single file; needs numpy and ai-edge-litert.

    from sleep_stager import SleepStager

    stager = SleepStager("bundle", precision="int8", start=1767999600)
    stager.feed("heart_rate", 1767999603.2, 61)
    for epoch in stager.take(1767999630.1):
        print(epoch.time, epoch.stage, epoch.probabilities, epoch.coverage)

It reads a bundle's contract.json, in the format wristsleep-contract/1, and runs the .tflite files listed in it. See
README.md.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

FORMAT = "wristsleep-contract/1"
UNKNOWN = "Unknown"
STAGES = ("Wake", "N1", "N2", "N3", "REM")
CODES = {  # of the stages, in this order
    "healthkit": (2, 3, 3, 4, 5),  # HKCategoryValueSleepAnalysis
    "health_connect": (1, 4, 4, 5, 6),  # SleepSessionRecord.STAGE_TYPE_*
}
NAMES = {  # value -> its name on the platform
    "healthkit": {2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"},
    "health_connect": {1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"},
}
CONSTANTS = {  # of the format: contracts repeat them for readers, and any other value is an error
    "grace_seconds": 0.1,
    "longest_seconds": 93600,
    "sensors": {
        "heart_rate": {"range": [20, 250], "value": "mean", "channels": ["heart_rate"]},
        "motion": {
            "range": [-16, 16],
            "value": "mean",
            "channels": ["motion_x", "motion_y", "motion_z", "motion_magnitude"],
        },
        "steps": {"range": [0, 10000], "value": "sum", "channels": ["steps"]},
        "activity": {"range": [0, 100000], "value": "sum", "channels": ["activity"]},
    },
    "unknown": {
        "absent_seconds": 300,
        "off_wrist_seconds": 1800,
        "off_wrist_blind_seconds": 7200,
        "coverage_seconds": 600,
    },
    "input_guard": {
        "first_seconds": 60,
        "least_samples": 25,
        "gravity_g": [0.5, 2.0],
        "standard_gravity": 9.80665,
    },
}
GRID_CONSTANTS = {"hz": 50, "missing": -100, "grace_seconds": 0.1, "gap_seconds": 1, "bin_seconds": 15}
MISSING = {"heart_rate": 0, "steps": -1, "activity": -1}  # missing value of a channel; -100 for all others
WEIGHTS_ROUNDING = 3e-4  # tolerance of the sum of an operating point's weights, which is 1
REASONS = ("not_a_number", "wrong_unit", "out_of_range", "late", "repeated")  # why a sample is dropped
SIMULATED = "trained on simulated nights: its stages say nothing about people"
GUARDED = {  # sensor -> unit, hint at the unit it may be in
    "heart_rate": (
        "bpm",
        "is it beats per second (multiply by 60), or milliseconds from beat to beat (60000 / value)?",
    ),
    "motion": ("g", "is it in milli-g (divide by 1000), or raw numbers of the sensor?"),
}
RUNTIMES = ("ai_edge_litert", "tflite_runtime")  # modules, in order of preference


class StagerError(ValueError):
    """An error. code: machine-readable, the same in the libraries of all languages."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class SimulatedWarning(UserWarning):
    """A model was trained on simulated nights."""


class SensorCoverage(NamedTuple):
    """Coverage of one sensor at a window.

    Attributes:
        share: Share of the strides of the last ten minutes that have a value.
        seconds_since: Seconds from the newest value to the end of the window; None if there has been none.
    """

    share: float
    seconds_since: float | None


class Epoch(NamedTuple):
    """The stage of one stride.

    Attributes:
        time: Start of the stride, s.
        stage: One of STAGES, or UNKNOWN if there are too few data.
        probabilities: [5] float32 in the order of STAGES; meaningless if the stage is UNKNOWN.
        coverage: {sensor: SensorCoverage}.
    """

    time: float
    stage: str
    probabilities: np.ndarray
    coverage: dict[str, SensorCoverage]


class Segment(NamedTuple):
    """A stretch of one stage for a health store.

    Attributes:
        start: Start, ISO 8601 with offset.
        end: End, ISO 8601 with offset.
        stage: The platform's name of the stage.
        value: The platform's value of the stage.
    """

    start: str
    end: str
    stage: str
    value: int


class InputGuard:
    """Checks, on a sensor's first minute of samples, that they are in the expected unit."""

    def __init__(self, sensor: str):
        self.sensor = sensor
        self.first = math.inf  # s, time of the first sample
        self.seen = self.outside = 0  # number of samples, and of those out of range
        self.magnitudes: list[float] = []  # g, of motion samples in range
        self.decided = self.refused = False
        self.finding = ""

    def accept(self, contract: dict, t: float, values: Sequence[float], in_range: bool) -> bool:
        """Whether a sample is accepted."""
        if self.decided:
            return not self.refused
        rule, motion = contract["input_guard"], self.sensor == "motion"
        self.first = min(self.first, t)
        enough = not motion or max(self.outside, self.seen - self.outside) >= rule["least_samples"]
        if t >= self.first + rule["first_seconds"] and enough:
            self._decide(rule, contract["sensors"][self.sensor]["range"])
            return not self.refused
        self.seen += 1
        self.outside += not in_range
        if motion and in_range:
            self.magnitudes.append(magnitude(*values))
        return True

    def _decide(self, rule, limits):
        self.decided = True
        unit, hint = GUARDED[self.sensor]
        if 2 * self.outside > self.seen:
            self.finding = (
                f"{self.sensor}: {self.outside} of the {self.seen} samples of its first minute lie outside "
                f"{limits[0]:g} to {limits[1]:g} {unit}; {hint}"
            )
        if len(self.magnitudes) < rule["least_samples"]:
            return
        median, (low, high), gravity = float(np.median(self.magnitudes)), rule["gravity_g"], rule["standard_gravity"]
        self.magnitudes, self.refused = [], not low <= median <= high
        if self.refused:
            hint = "it is in another unit"
            if low <= median / gravity <= high:
                hint = f"it seems to be in m/s²: divide by {gravity}"
            elif median < low:
                hint = "gravity seems to have been removed: feed acceleration with gravity"
            self.finding = (
                f"motion: median magnitude of acceleration {median:.3g}, expected about 1 g; {hint}; "
                "its samples are not used"
            )


class CoverageTracker:
    """Computes the coverage of each window, and whether there are too few data to predict a stage."""

    def __init__(self, sensors: Iterable[str]):
        """sensors: The model's sensors."""
        self.recent: dict[str, list[bool]] = {sensor: [] for sensor in sensors}  # whether recent strides have a value
        self.since = dict.fromkeys(self.recent, math.inf)  # s, from the newest value to the end of the window
        self.still = math.inf  # s since the last stride with movement
        self.elapsed = 0.0  # s of the night

    def update(
        self, window: dict[str, np.ndarray], channels_of: dict[str, list[dict]], stride: int, rule: dict
    ) -> tuple[dict[str, SensorCoverage], bool]:
        """({sensor: SensorCoverage}, whether the stage is unknown) of the next window {channel: values}."""
        moved, most = False, max(1, rule["coverage_seconds"] // stride)
        self.elapsed += stride
        for sensor, recent in self.recent.items():
            ages = []
            for channel in channels_of[sensor]:
                newest = window[channel["name"]][-(stride // channel["seconds_per_value"]) :]
                ages += (channel["seconds_per_value"] * np.flatnonzero(newest[::-1] != channel["missing"])).tolist()
                moved |= channel["value"] == "sum" and bool((newest > 0).any())
            recent.append(bool(ages))
            del recent[:-most]
            self.since[sensor] = float(min(ages, default=self.since[sensor] + stride))
        if "activity" not in self.recent and "motion" in self.recent:
            moved |= self.recent["motion"][-1]
        self.still = 0.0 if moved else self.still + stride
        return {
            sensor: SensorCoverage(sum(recent) / len(recent), None if since == math.inf else since)
            for (sensor, recent), since in zip(self.recent.items(), self.since.values())
        }, self._unknown(rule)

    def _unknown(self, rule):
        never = math.inf
        heart = self.since.get("heart_rate", never)
        if heart < rule["absent_seconds"]:
            return False
        movement = min(self.since.get("motion", never), self.since.get("activity", never))
        still = self.elapsed if heart < never and self.still == never else self.still
        off_wrist = rule["off_wrist_seconds" if heart < never else "off_wrist_blind_seconds"]
        return movement >= rule["absent_seconds"] or still >= off_wrist


class SleepStager:
    """Takes the samples of one night and returns its stages.

    Times are in seconds of any one clock: Unix time, or since the start of the recording. Silent or absent sensors, and
    samples that are late or out of range, give missing values; the night continues.

    Attributes:
        contract: contract.json of the bundle.
        contract_sha256: Digest of contract.json, to pin it.
        simulated: Whether the model was trained on simulated nights; its stages then say nothing about people.
        dropped: {sensor: {reason of REASONS: number of samples dropped}}.
    """

    def __init__(
        self,
        folder: Path | str,
        precision: str = "int8",
        start: float = 0.0,
        operating_point: str | None = None,
        num_threads: int = 1,
        contract_sha256: str | None = None,
    ):
        """Load a model.

        Args:
            folder: Folder of the bundle.
            precision: One of the contract's precisions.
            start: Start of the first window, s.
            operating_point: One of the contract's operating points, to weight the probabilities; None for none.
            num_threads: Threads of the runtime.
            contract_sha256: SHA-256 of the only contract.json to accept; None for any.

        Raises:
            StagerError: The bundle is incomplete or altered, its format is not supported, or the runtime may not run
                it.
        """
        self.contract, self.contract_sha256 = read_contract(Path(folder), contract_sha256)
        self.simulated: bool = self.contract["training_data"]["simulated"]
        if self.simulated:
            warnings.warn(SIMULATED, SimulatedWarning, stacklevel=2)
        self.stride: int = self.contract["seconds"]["stride"]
        self.plan = one_of("unknown_precision", "precision", precision, self.contract["precisions"])
        self.motion_plan = self.contract["preprocessing"].get("activity")
        self.weights = None
        if operating_point is not None:
            points = self.contract.get("operating_points", {})
            point = one_of("unknown_operating_point", "operating point", operating_point, points)
            self.weights = np.float32(point["weights"])
        self.channels_of = {  # the model's channels that a sensor fills
            sensor: [channel for channel in self.contract["channels"] if channel["name"] in entry["channels"]]
            for sensor, entry in self.contract["sensors"].items()
        }
        self.plans = {"step": self.plan} | ({"activity": self.motion_plan} if self.motion_plan else {})
        self.calls = [call for plan in self.plans.values() for call in plan["calls"]]
        runtime, interpreter_class = load_runtime()
        self.runners = {}
        for call in self.calls:
            content = checked_file(Path(folder), call, runtime)
            self.runners[call["file"]] = signature_runner(content, call, interpreter_class, num_threads)
        self.start = 0.0
        self.reset(start)

    def reset(self, start: float | None = None) -> None:
        """Begin a new night at start (s); by default, at the same time as the last."""
        self.start = self.start if start is None else finite("start", start)
        self.closed = 0  # number of windows closed so far
        channels, sensors = self.contract["channels"], self.contract["sensors"]
        self.rows: dict[str, dict[int, list]] = {c["name"]: {} for c in channels}  # row -> [sum, number] of samples
        self.recent = {  # channel -> values of the newest window
            c["name"]: np.full(c["values_per_window"], c["missing"], np.float32) for c in channels
        }
        self.taken: dict[str, set[float]] = {sensor: set() for sensor in sensors}  # times in open windows
        self.dropped = {sensor: dict.fromkeys(REASONS, 0) for sensor in sensors}
        self.guards = {sensor: InputGuard(sensor) for sensor in GUARDED}
        self.tracker = CoverageTracker(sensor for sensor, channels in self.channels_of.items() if channels)
        self.samples: list[list[float]] = []  # motion not yet counted, [s since the start, x, y, z]
        self.counting = bool(self.motion_plan)  # whether activity is computed from motion, until counts are fed
        self.pending: list[list] = []  # closed strides, not taken yet: [time, {channel: newest values}, motion or None]
        self.states = {
            name: {
                state: np.broadcast_to(np.float32(entry["initial"]), entry["shape"])
                for state, entry in plan["states"].items()
            }
            for name, plan in self.plans.items()
        }

    def feed(self, sensor: str, t: float, value: float | Sequence[float]) -> None:
        """Take one sample. It closes the windows that end before it; later samples for a closed window are dropped.

        Args:
            sensor: "heart_rate" (bpm), "motion" ([x, y, z] in g), "steps" or "activity" (counts).
            t: Time in s; for steps and activity, the end of their bin.
            value: A number; for motion, three numbers.

        Raises:
            StagerError: The sensor is unknown, t is not a time or more than a night after the start, or value has
                another number of values.
        """
        entry = one_of("unknown_sensor", "sensor", sensor, self.contract["sensors"])
        expected = 3 if sensor == "motion" else 1
        try:
            t = float(t)
        except (TypeError, ValueError):
            raise StagerError("not_a_time", f"t={t!r}: expected a time in seconds") from None
        try:
            values = [float(x) for x in np.ravel(value)]
        except (TypeError, ValueError):
            raise StagerError("wrong_value_count", f"{sensor}: {value!r:.80}, expected {expected} numbers") from None
        if len(values) != expected:
            raise StagerError("wrong_value_count", f"{sensor}: {len(values)} values, expected {expected}")
        if math.isfinite(t):
            self._check_time(t)
        reason = self._accept(sensor, entry, t, values)
        if reason:
            self.dropped[sensor][reason] += 1
        if math.isfinite(t):
            self._close(self._slot(t - self.start, self.stride, "sum"))

    def _accept(self, sensor, entry, t, values):
        """Take a sample, or return the reason why it is dropped."""
        if not all(map(math.isfinite, [t, *values])):
            return "not_a_number"
        channels, (low, high), since_start = self.channels_of[sensor], entry["range"], t - self.start
        counting = sensor == "motion" and self.counting
        if not channels and not counting:
            return None  # the model does not use the sensor
        in_range = all(low <= x <= high for x in values)
        if sensor in self.guards and not self.guards[sensor].accept(self.contract, t, values, in_range):
            return "wrong_unit"
        if not in_range:
            return "out_of_range"
        if self._slot(since_start, self.stride, entry["value"]) < self.closed:
            return "late"
        if t in self.taken[sensor]:
            return "repeated"
        self.taken[sensor].add(t)
        if sensor == "activity":
            self.counting, self.samples = False, []
        elif sensor == "motion":
            if counting and (not self.samples or since_start >= self.samples[-1][0]):
                self.samples.append([since_start, *values])
            values = [*values, magnitude(*values)]
        for channel in channels:
            row = self._slot(since_start, channel["seconds_per_value"], channel["value"])
            sum_and_number = self.rows[channel["name"]].setdefault(row, [0.0, 0])
            sum_and_number[0] += values[entry["channels"].index(channel["name"])]
            sum_and_number[1] += 1
        return None

    @property
    def findings(self) -> list[str]:
        """Descriptions of what seems wrong with the sensors' units."""
        return [guard.finding for guard in self.guards.values() if guard.finding]

    def _slot(self, t, seconds, value):
        """Index k of the slot of length `seconds` that t (s since the start) lies in: a sample ("mean") in [k, k + 1)
        slots, the end of a bin ("sum"), less the grace, in (k, k + 1]. Corrected for rounding of the division.
        """
        if value == "sum":
            t -= self.contract["grace_seconds"]
            slot = math.ceil(t / seconds) - 1
            slot -= slot * seconds >= t
            return slot + ((slot + 1) * seconds < t)
        slot = math.floor(t / seconds)
        slot -= slot * seconds > t
        return slot + ((slot + 1) * seconds <= t)

    def _close(self, last):
        """Close windows until `last` are closed."""
        if last <= self.closed:
            return
        open_from = last * self.stride
        self.taken = {sensor: {t for t in ts if t - self.start >= open_from} for sensor, ts in self.taken.items()}
        while self.closed < last:
            newest = {}
            for channel in self.contract["channels"]:
                n, name = self.stride // channel["seconds_per_value"], channel["name"]
                sums = [self.rows[name].pop(self.closed * n + i, (channel["missing"], 1)) for i in range(n)]
                newest[name] = [x if channel["value"] == "sum" else x / number for x, number in sums]
            motion = self._grid() if self.samples else None
            self.pending.append([self.start + self.closed * self.stride, newest, motion])
            self.closed += 1

    def _grid(self):
        """Acceleration [points, 3] of the closing stride, on the regular grid that the activity model takes."""
        plan = self.motion_plan
        n = plan["hz"] * self.stride
        index = np.arange(self.closed * n, (self.closed + 1) * n)
        point = index / plan["hz"]
        # padded before the first sample and after the last; the last value is held
        samples = np.array([[-1e12, 0, 0, 0], *self.samples, [np.inf, *self.samples[-1][1:]]])
        t, xyz = samples[:, 0], samples[:, 1:]
        after = t.searchsorted(point)  # the first sample at or after the point
        before = after - 1
        along = (point - t[before]) / (t[after] - t[before])
        motion = xyz[before] + (xyz[after] - xyz[before]) * along[:, None]
        bins = index // (plan["hz"] * plan["bin_seconds"]) + 1
        due = plan["grace_seconds"] + plan["bin_seconds"] * bins
        motion = np.where((t[after] > due)[:, None], xyz[before], motion)
        motion[np.minimum(t[after], due) - t[before] > plan["gap_seconds"]] = plan["missing"]
        # the next stride needs the last sample before it, and all later ones
        kept = t.searchsorted((self.closed + 1) * n / plan["hz"]) - 2
        del self.samples[: max(kept, 0)]
        return motion.astype(np.float32)

    def take(self, now: float | None = None) -> list[Epoch]:
        """Return the epochs of all closed windows that were not returned before.

        Args:
            now: Time in s up to which all sensors have delivered their samples: closes the windows that end by then.
                Without it, only samples close windows.

        Raises:
            StagerError: now is not a time, or more than a night after the start.
        """
        if now is not None:
            now = finite("now", now)
            self._check_time(now)
            self._close(math.floor((now - self.start) / self.stride))
        epochs = []
        while self.pending:
            time, newest, motion = self.pending[0]
            if motion is not None:
                newest["activity"] = self._count(motion)
            for name, values in newest.items():
                self.recent[name] = np.append(self.recent[name][len(values) :], np.float32(values))
            p = self.step(self.recent)
            del self.pending[0]
            if self.weights is not None:
                p = p * self.weights / np.sum(p * self.weights)
            coverage, unknown = self.tracker.update(
                self.recent, self.channels_of, self.stride, self.contract["unknown"]
            )
            epochs.append(Epoch(time, UNKNOWN if unknown else STAGES[int(p.argmax())], p, coverage))
        return epochs

    def _count(self, motion):
        """Activity counts of a stride's motion [points, 3], computed in one or several calls."""
        seconds = self.motion_plan.get("call_seconds", self.stride)
        pieces = np.split(motion, self.stride // seconds)
        return np.concatenate(
            [self._run("activity", {"sensor:motion": piece})["channel:activity"].ravel() for piece in pieces]
        )

    def step(self, window: Mapping[str, Any]) -> np.ndarray:
        """Run the model on one window, without alignment.

        Args:
            window: {channel: values}, lists or arrays, as in golden.json.

        Returns:
            The model's probabilities, [5] float32, without an operating point.

        Raises:
            StagerError: A channel has another number of values.
        """
        sources = {}
        for channel in self.contract["channels"]:
            name, expected = channel["name"], channel["values_per_window"]
            values = np.ravel(np.float32(window.get(name, [])))
            if len(values) != expected:
                raise StagerError("wrong_value_count", f"{name}: {len(values)} values, expected {expected}")
            sources[f"channel:{name}"] = values
        return self._run("step", sources)[f"output:{self.plan['probabilities']}"][0]

    def _run(self, name, sources):
        """Run the calls of a plan in order, and update its states.

        Args:
            name: Name of the plan.
            sources: {source: tensor} of the inputs.

        Returns:
            The sources, and the outputs of all calls.
        """
        tensors = {**sources, **{f"state:{state}": x for state, x in self.states[name].items()}}
        renewed = {}  # states, and the channel of preprocessing
        for call in self.plans[name]["calls"]:
            inputs = {tensor["name"]: tensors[tensor["from"]].reshape(tensor["shape"]) for tensor in call["inputs"]}
            outputs = self.runners[call["file"]](**inputs)
            for tensor in call["outputs"]:
                tensors[f"output:{tensor['name']}"] = outputs[tensor["name"]]
                if "to" in tensor:
                    renewed[tensor["to"]] = outputs[tensor["name"]]
        self.states[name] = {state: renewed.get(f"state:{state}", x) for state, x in self.states[name].items()}
        return {**tensors, **renewed}

    def _check_time(self, t):
        if t - self.start > self.contract["longest_seconds"]:
            raise StagerError(
                "time_beyond_night",
                f"t={t:.12g} s: more than a night after start={self.start:.12g} s; are these milliseconds? "
                "reset(start) begins a new night",
            )

    def save(self) -> bytes:
        """The stager's whole state as bytes, for `restore`."""
        saved: dict[str, Any] = {name: getattr(self, name) for name in ("start", "closed", "counting", "samples")}
        saved |= {"model": self._model(), "weights": self._weights()}
        saved |= {"dropped": self.dropped, "tracker": vars(self.tracker)}
        saved["rows"] = {name: list(sums.items()) for name, sums in self.rows.items()}
        saved["recent"] = {name: x.tolist() for name, x in self.recent.items()}
        saved["states"] = {plan: {k: x.tolist() for k, x in states.items()} for plan, states in self.states.items()}
        saved["taken"] = {sensor: sorted(times) for sensor, times in self.taken.items()}
        saved["guards"] = {sensor: vars(guard) for sensor, guard in self.guards.items()}
        saved["pending"] = [
            [time, {k: np.float32(x).tolist() for k, x in newest.items()}, None if motion is None else motion.tolist()]
            for time, newest, motion in self.pending
        ]
        content = json.dumps(saved).encode()
        return hashlib.sha256(content).hexdigest().encode() + content

    def restore(self, saved: bytes) -> None:
        """Resume from bytes returned by `save`.

        Raises:
            StagerError: The bytes are damaged, or of another model or operating point; the stager is not changed.
        """
        try:
            digest, content = bytes(memoryview(saved)[:64]), bytes(memoryview(saved)[64:])
            if hashlib.sha256(content).hexdigest().encode() != digest:
                raise ValueError("damaged")
            found = json.loads(content)
            if found["model"] != self._model():
                raise ValueError("of another model")
            if found.get("weights", self._weights()) != self._weights():  # earlier states do not have them
                raise ValueError("of another operating point")
            restored = self._restored(found)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise StagerError("wrong_state", f"not a state that this model saved ({error!r})") from None
        vars(self).update(restored)

    def _restored(self, found):
        """The attributes that `save` wrote."""
        guards, tracker = {sensor: InputGuard(sensor) for sensor in self.guards}, CoverageTracker(self.tracker.recent)
        for part, values in [(tracker, found["tracker"]), *((guards[s], found["guards"][s]) for s in guards)]:
            vars(part).update({name: type(value)(values[name]) for name, value in vars(part).items()})
        return {
            "start": float(found["start"]),
            "closed": int(found["closed"]),
            "counting": bool(found["counting"]),
            "samples": [[float(x) for x in sample] for sample in found["samples"]],
            "pending": [
                [
                    float(time),
                    {name: newest[name] for name in self.recent},
                    None if motion is None else np.float32(motion),
                ]
                for time, newest, motion in found["pending"]
            ],
            "rows": {name: {int(row): list(sums) for row, sums in found["rows"][name]} for name in self.rows},
            "taken": {sensor: set(found["taken"][sensor]) for sensor in self.taken},
            "dropped": {sensor: {r: int(found["dropped"][sensor][r]) for r in REASONS} for sensor in self.dropped},
            "guards": guards,
            "tracker": tracker,
            "recent": {name: np.float32(found["recent"][name]).reshape(x.shape) for name, x in self.recent.items()},
            "states": {
                plan: {name: np.float32(found["states"][plan][name]).reshape(x.shape) for name, x in states.items()}
                for plan, states in self.states.items()
            },
        }

    def _model(self):
        """Digests of the model's files, to recognise saved states of other models."""
        return [call["sha256"] for call in self.calls]

    def _weights(self):
        """Weights of the operating point, to recognise saved states of others; none without an operating point."""
        return [] if self.weights is None else self.weights.tolist()

    def segments(
        self, epochs: Iterable[Epoch], tz: tzinfo | str, platform: str = "healthkit", origin: float = 0.0
    ) -> list[Segment]:
        """Convert epochs to segments for a health store: merged, not overlapping, with gaps for unknown stages.

        Args:
            epochs: Epochs in any order.
            tz: Time zone of the segments: tzinfo, IANA name, or offset such as "+02:00".
            platform: "healthkit" or "health_connect".
            origin: Unix time of t=0, if times are since the start of the recording.

        Raises:
            StagerError: The zone or platform is unknown.
        """
        names = one_of("unknown_platform", "platform", platform, NAMES)
        values = {UNKNOWN: None, **dict(zip(STAGES, CODES[platform]))}
        zone = tz if isinstance(tz, tzinfo) else zone_of(tz)
        runs = equal_runs(((epoch.time, values[epoch.stage]) for epoch in epochs), self.stride, origin)
        return [Segment(iso_time(start, zone), iso_time(end, zone), names[value], value) for start, end, value in runs]


# runs of equal value, and time zones


def equal_runs(
    epochs: Iterable[tuple[float, int | None]], seconds: float, origin: float = 0.0
) -> list[tuple[int, int, int]]:
    """Merge epochs into runs of equal value that do not overlap; gaps between epochs are kept.

    Args:
        epochs: (start in s, value of the stage) of each epoch, in any order. The value None, for an unknown stage,
            leaves a gap.
        seconds: Length of an epoch, s.
        origin: Unix time of t=0.

    Returns:
        (start, end, value) of each run, in Unix time in ms. Where epochs overlap, the earlier one is used.
    """
    runs: list[tuple[int, int, int]] = []
    for time, value in sorted(epochs, key=lambda epoch: epoch[0]):
        if value is None:
            continue
        start, end = (math.floor((origin + t) * 1000 + 0.5) for t in (time, time + seconds))
        start = max(start, runs[-1][1]) if runs else start
        if start >= end:
            continue  # covered by earlier epochs
        if runs and runs[-1][1:] == (start, value):
            runs[-1] = (runs[-1][0], end, value)
        else:
            runs.append((start, end, value))
    return runs


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name, such as Europe/Berlin, or of an offset, such as +02:00.

    Raises:
        StagerError: The name is neither.
    """
    offset = re.fullmatch(r"([+-])(\d\d):?([0-5]\d)", name)
    try:
        if not offset:
            return ZoneInfo(name)
        sign, hours, minutes = offset.groups()
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-ahead if sign == "-" else ahead, f"GMT{sign}{hours}{minutes}")
    except (KeyError, ValueError, OSError):  # no such zone, or not a valid name
        message = f"zone {name!r} is neither an IANA name, such as Europe/Berlin, nor like +02:00"
        raise StagerError("unknown_zone", message) from None


def local_time(ms: int, zone: tzinfo | None) -> datetime:
    """A Unix time in ms as local time in the zone."""
    return datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)


def iso_time(ms: int, zone: tzinfo | None) -> str:
    """A Unix time in ms as ISO 8601 with the zone's offset at that time."""
    return local_time(ms, zone).isoformat(timespec="milliseconds").replace(".000", "")


# the contract: required fields by type; "*" stands for any name, and other fields are ignored

NUMBER = (int, float)
MOST = 1e9  # absolute value of a number
TENSOR = {"name": str, "shape": [int]}
PLAN = {
    "calls": [{"file": str, "sha256": str, "signature": str, "inputs": [{**TENSOR, "from": str}], "outputs": [TENSOR]}],
    "states": {"*": {"shape": [int], "initial": (int, float, list)}},
}
SENSOR = {"range": [NUMBER], "value": str, "channels": [str]}
CHANNEL = {"name": str, "values_per_window": int, "seconds_per_value": int, "missing": NUMBER, "value": str}
RULES = {
    "unknown": ("absent_seconds", "off_wrist_seconds", "off_wrist_blind_seconds", "coverage_seconds"),
    "input_guard": ("first_seconds", "least_samples", "standard_gravity"),
}
GRID = {"hz": int, "missing": NUMBER, "grace_seconds": NUMBER, "gap_seconds": NUMBER, "bin_seconds": int}
REQUIRED = {
    "training_data": {"simulated": bool},
    "stages": [{"name": str, "healthkit": int, "health_connect": int}],
    "seconds": {"row": int, "window": int, "stride": int},
    "grace_seconds": NUMBER,
    "longest_seconds": NUMBER,
    "channels": [CHANNEL],
    "sensors": dict.fromkeys(("heart_rate", "motion", "steps", "activity"), SENSOR),
    "unknown": dict.fromkeys(RULES["unknown"], NUMBER),
    "input_guard": {**dict.fromkeys(RULES["input_guard"], NUMBER), "gravity_g": [NUMBER]},
    "preprocessing": {"*": {**PLAN, **GRID}},
    "precisions": {"*": {**PLAN, "probabilities": str}},
}
DIGEST = re.compile(rb'"digest"\s*:\s*"([0-9a-f]{64})"\s*\}\s*$')  # as contract.json ends
DIGEST_NAME = re.compile(rb'"digest"\s*:', re.IGNORECASE)
LAST_TEXT = re.compile(rb'"\s*\}\s*$')
OPTIONAL = {"operating_points": {"*": {"weights": [NUMBER]}}}


def read_contract(folder: Path, expected_sha256: str | None = None) -> tuple[dict, str]:
    """Read and check contract.json of a bundle.

    Args:
        folder: Folder of the bundle.
        expected_sha256: The only digest to accept; None for any.

    Returns:
        (the contract, its SHA-256).

    Raises:
        StagerError: The file is missing, has another digest, or is not supported.
    """
    path = folder / "contract.json"
    if not path.is_file():
        raise StagerError("missing_file", f"{path}: missing; expected the folder of a bundle")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and digest != expected_sha256.lower():
        raise StagerError("altered_contract", f"{path}: its SHA-256 is {digest}, expected {expected_sha256}")
    if is_altered(content):
        raise StagerError("altered_contract", f"{path}: altered; its SHA-256 is not the one at its end")
    try:
        contract = json.loads(content.decode())
    except ValueError as error:
        raise StagerError("unsupported_contract", f"{path}: no JSON ({error})") from None
    wrong = check(contract, {"format": str}, "") or (contract["format"] != FORMAT and f"format: expected {FORMAT!r}")
    wrong = wrong or check(contract, REQUIRED, "") or check(contract, OPTIONAL, "", optional=True)
    if not wrong:  # unknown fields are ignored, also sensors
        contract["sensors"] = {sensor: contract["sensors"][sensor] for sensor in REQUIRED["sensors"]}
        wrong = wrong_meaning(contract)
    if wrong:
        raise StagerError("unsupported_contract", f"{path}: {wrong}")
    return contract, digest


def is_altered(content: bytes) -> bool:
    """Whether contract.json differs from its digest, the SHA-256 of the file with 64 zeros in its place. It is the last
    entry and the only one of this name; earlier contracts have no such name, nor text as their last value.
    """
    end, names = DIGEST.search(content), DIGEST_NAME.findall(content)
    if not end or len(names) > 1:
        return bool(names or LAST_TEXT.search(content))
    zeroed = content[: end.start(1)] + b"0" * 64 + content[end.end(1) :]
    return hashlib.sha256(zeroed).hexdigest().encode() != end[1]


def check(value: Any, form: Any, place: str, optional: bool = False) -> str:
    """The first part of a JSON value that does not have the required form, with its place; "" if all have it."""
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{place or 'contract'}: expected an object"
        parts = []
        for name, part in form.items():
            if name != "*" and name not in value:
                if optional:
                    continue
                return f"{place}{'.' if place else ''}{name}: missing"
            parts += [(key, part) for key in (value if name == "*" else [name])]
    elif isinstance(form, list):
        if not isinstance(value, list):
            return f"{place}: expected a list"
        parts = [(i, form[0]) for i in range(len(value))]
    else:
        kinds = form if isinstance(form, tuple) else (form,)
        if type(value) in kinds and (isinstance(value, (str, list)) or abs(value) <= MOST):  # not for nan either
            return ""
        return f"{place}: {value!r:.80}, expected {' or '.join(kind.__name__ for kind in kinds)}"
    wrong = (check(value[key], part, f"{place}{'.' if place else ''}{key}") for key, part in parts)
    return next(filter(None, wrong), "")


def wrong_meaning(contract: dict) -> str:
    """What this library does not support in a contract that has all fields; "" if it supports all."""
    stages = list(zip(STAGES, CODES["healthkit"], CODES["health_connect"]))
    if [(stage["name"], stage["healthkit"], stage["health_connect"]) for stage in contract["stages"]] != stages:
        return f"stages: expected {', '.join(STAGES)} with HealthKit and Health Connect codes, in this order"
    stride, preprocessing = contract["seconds"]["stride"], contract["preprocessing"]
    for name in ("row", "window"):
        if contract["seconds"][name] < 1:
            return f"seconds.{name}: {contract['seconds'][name]}, expected 1 or more"
    for place, seconds in [
        ("seconds.stride", stride),
        *((f"channels.{i}.seconds_per_value", c["seconds_per_value"]) for i, c in enumerate(contract["channels"])),
        *((f"preprocessing.{name}.call_seconds", p.get("call_seconds", stride)) for name, p in preprocessing.items()),
    ]:
        if type(seconds) is not int or seconds < 1 or stride % seconds:
            return f"{place}: {seconds!r}, expected a whole number of seconds that divides seconds.stride"
    wrong = differs(contract, CONSTANTS) or wrong_channels(contract)
    for name, point in contract.get("operating_points", {}).items():
        weights = point["weights"]
        possible = len(weights) == len(STAGES) and min(weights) > 0 and max(weights) < 1  # and so none beyond a float
        if not possible or abs(sum(weights) - 1) > WEIGHTS_ROUNDING:
            wrong = wrong or f"operating_points.{name}.weights: expected {len(STAGES)} above 0 that sum to 1"
    channels = {f"channel:{c['name']}": c["values_per_window"] for c in contract["channels"]}
    seconds_of = {c["name"]: c["seconds_per_value"] for c in contract["channels"]}
    for name, plan in preprocessing.items():
        place, seconds = f"preprocessing.{name}", plan.get("call_seconds", stride)
        wrong = wrong or ("" if name == "activity" else f"{place}: expected activity only")
        wrong = wrong or differs(plan, GRID_CONSTANTS, place)
        motion, counts = {"sensor:motion": 3 * plan["hz"] * seconds}, seconds // seconds_of.get("activity", seconds + 1)
        wrong = wrong or wrong_plan(place, plan, motion, "channel:activity", counts)
    for name, plan in contract["precisions"].items():
        output = f"output:{plan['probabilities']}"
        wrong = wrong or wrong_plan(f"precisions.{name}", plan, channels, output, len(STAGES))
    return wrong


def differs(value: Any, expected: Any, place: str = "") -> str:
    """Where a JSON value differs from the expected one; "" if nowhere. place: of the value, for the message."""
    if isinstance(expected, dict):
        parts = (differs(value[name], part, f"{place}.{name}".lstrip(".")) for name, part in expected.items())
        return next(filter(None, parts), "")
    return "" if value == expected else f"{place}: {value!r}, expected {expected!r}"


def wrong_channels(contract: dict) -> str:
    """What is inconsistent between a contract's channels and its seconds and sensors; "" if nothing is."""
    seconds, names = contract["seconds"], [channel["name"] for channel in contract["channels"]]
    kinds = {name: entry["value"] for entry in contract["sensors"].values() for name in entry["channels"]}
    for i, (name, channel) in enumerate(zip(names, contract["channels"])):
        if name not in kinds or names.index(name) < i:
            return f"channels.{i}.name: {name!r}, expected another of {', '.join(kinds)}"
        covered = max(15, seconds["row"]) if name == "activity" else seconds["row"]
        constants = {"seconds_per_value": covered, "values_per_window": seconds["window"] / covered}
        constants |= {"missing": MISSING.get(name, -100), "value": kinds[name]}
        wrong = differs(channel, constants, f"channels.{i}")
        if wrong:
            return wrong
    return ""


def wrong_plan(place: str, plan: dict, sizes: dict[str, int], answer: str, size: int) -> str:
    """What is inconsistent in a plan's calls; "" if nothing is.

    Args:
        place: Place of the plan in the contract, for the message.
        plan: The plan, with its calls and states.
        sizes: {source: number of values} of the sources before the first call.
        answer: The source that must exist after the last call.
        size: Its number of values.
    """
    states = {f"state:{name}": math.prod(state["shape"]) for name, state in plan["states"].items()}
    sizes, renewed = {**sizes, **states}, {}
    for name, state in plan["states"].items():
        first = GRID_CONSTANTS["missing"] if answer == "channel:activity" and name == "newest" else 0
        if state["initial"] != first:
            return f"{place}.states.{name}.initial: {state['initial']!r}, expected {first}"
    for i, call in enumerate(plan["calls"]):
        inner = f"{place}.calls.{i}"
        if PurePath(call["file"]).name != call["file"] or "\\" in call["file"]:
            return f"{inner}.file: {call['file']!r}, expected a name in the bundle"
        for tensor in (*call["inputs"], *call["outputs"]):
            if not isinstance(tensor.get("to", ""), str):
                return f"{inner}: {tensor['name']} to {tensor['to']!r}, expected a state or channel"
            if tensor.get("dtype", "float32") != "float32":
                return f"{inner}: {tensor['name']} is {tensor['dtype']}, expected float32"
        for tensor in call["inputs"]:
            if sizes.get(tensor["from"]) != math.prod(tensor["shape"]):
                found = sizes.get(tensor["from"], "no")
                return f"{inner}: {tensor['name']} takes {tensor['shape']} from {tensor['from']!r}, of {found} values"
        for tensor in call["outputs"]:
            sizes[f"output:{tensor['name']}"] = renewed[tensor.get("to")] = math.prod(tensor["shape"])
    for source, values in states.items():
        if renewed.get(source) != values:
            return f"{place}.states: no output of {values} values becomes {source}"
    if {**sizes, **renewed}.get(answer) != size:
        return f"{place}: no {answer!r} of {size} values"
    return ""


def checked_file(folder: Path, call: dict, runtime: str) -> bytes:
    """Read a call's file. Raises StagerError if it is missing or altered, or the runtime may not run it."""
    runtimes = call.get("runtimes", {})
    if not isinstance(runtimes, dict):
        raise StagerError("unsupported_contract", f"{call['file']}: runtimes {runtimes!r}: expected their names")
    status = str(runtimes.get(runtime, ""))
    if status.startswith("refused"):
        raise StagerError("refused_runtime", f"{call['file']}: not for {runtime}: {status}")
    path = folder / call["file"]
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError:  # a name that is too long, or no permission
        content = None
    if content is None:
        raise StagerError("missing_file", f"{path}: missing, though contract.json names it")
    if hashlib.sha256(content).hexdigest() != call["sha256"]:
        raise StagerError("altered_file", f"{path}: not the file that contract.json describes, by its SHA-256")
    return content


def signature_runner(content: bytes, call: dict, interpreter_class: Any, num_threads: int) -> Any:
    """What runs a call of a file, once it takes and gives what the contract says."""
    try:
        interpreter = interpreter_class(model_content=content, num_threads=num_threads)
        runner = interpreter.get_signature_runner(call["signature"])
    except (ValueError, RuntimeError) as error:
        message = f"{call['file']}: no TFLite file with a signature {call['signature']!r} ({error})"
        raise StagerError("unsupported_contract", message) from None
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        found = {
            name: ([int(n) for n in entry["shape"]], np.dtype(entry["dtype"]).name) for name, entry in details.items()
        }
        promised = {tensor["name"]: (tensor["shape"], "float32") for tensor in call[side]}
        if found != promised:
            message = f"{call['file']}: its {side} are {found}, contract.json promises {promised}"
            raise StagerError("unsupported_contract", message)
    return runner


def load_runtime() -> tuple[str, Any]:
    """(name of the installed runtime, as used in contracts; its Interpreter class)."""
    for name in RUNTIMES:
        try:
            interpreter = importlib.import_module(f"{name}.interpreter").Interpreter
        except ImportError:
            continue
        if name == "ai_edge_litert":
            return "ai-edge-litert", interpreter
        version = getattr(importlib.import_module(name), "__version__", "")
        return "-".join(["tflite-runtime", *filter(None, [".".join(version.split(".")[:2])])]), interpreter
    raise ImportError("no TFLite runtime is installed: pip install ai-edge-litert")


def finite(what: str, t: float) -> float:
    """A time in s as float. Raises StagerError if it is not finite."""
    try:
        if math.isfinite(t):
            return float(t)
    except TypeError:
        pass
    raise StagerError("not_a_time", f"{what}={t!r}: expected a time in seconds")


def magnitude(x: float, y: float, z: float) -> float:
    """Length of a vector."""
    return math.sqrt(x * x + y * y + z * z)


def one_of(code: str, what: str, key: str, entries: Mapping[str, Any]) -> Any:
    """entries[key]. Raises StagerError with this code if there is no such key."""
    if key not in entries:
        raise StagerError(code, f"{what} {key!r}: expected one of {', '.join(entries)}")
    return entries[key]
