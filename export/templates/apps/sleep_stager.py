"""Sleep stages from a wrist's heart rate and movement, live. One file; needs numpy and ai-edge-litert.

    from sleep_stager import SleepStager, segments

    stager = SleepStager("bundle", precision="int8", start=1767999600)
    stager.feed("heart_rate", 1767999603.2, 61)
    for time, stage, probabilities in stager.take(1767999630.1):
        print(time, stage, probabilities)

Written for one bundle: the constants are those of its contract.json. README.md of the bundle has the rest.
"""

import hashlib
import json
import math
from datetime import datetime, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:  # its name until 2024
    from tflite_runtime.interpreter import Interpreter

# constants of the contract: begin
CONTRACT = {}
# constants of the contract: end

STAGES = [stage["name"] for stage in CONTRACT["stages"]]
STRIDE = CONTRACT["seconds"]["stride"]
GRACE = CONTRACT["grace_seconds"]
ACTIVITY = CONTRACT["activity"]
NAMES = {  # value -> its name on the platform
    "healthkit": {2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"},  # HKCategoryValueSleepAnalysis
    "health_connect": {1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"},  # SleepSessionRecord.STAGE_TYPE_*
}


class Epoch(NamedTuple):
    """The stage of one stride. time: s, when it begins. probabilities: [5] float32, in the order of STAGES."""

    time: float
    stage: str
    probabilities: np.ndarray


class Segment(NamedTuple):
    """A run of one value of a health store. start, end: ISO 8601 with offset. stage: the platform's name of value."""

    start: str
    end: str
    stage: str
    value: int


class SleepStager:
    """Takes samples of one night in time order, gives its stages.

    Times are in seconds of any one clock: Unix time, or since the start of the recording. A sensor that is silent,
    absent, late or out of range is a missing value, and the night goes on.
    """

    def __init__(self, folder, precision="int8", start=0.0, operating_point=None, num_threads=1):
        """folder: the bundle. precision: one of CONTRACT["precisions"]. start: s, when the first window begins.
        operating_point: one of CONTRACT["operating_points"], to weigh the probabilities; None leaves them as they are.
        num_threads: for the runtime. Raises ValueError for a file that is not the one that the contract describes.
        """
        self.plan = one_of("precision", precision, CONTRACT["precisions"])
        self.weights = None
        if operating_point is not None:
            point = one_of("operating point", operating_point, CONTRACT["operating_points"])
            self.weights = np.float32(point["weights"])
        self.runners = {}
        for call in ACTIVITY["calls"] + self.plan["calls"]:
            content = (Path(folder) / call["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != call["sha256"]:
                raise ValueError(f"{call['file']}: not the file that the contract describes")
            interpreter = Interpreter(model_content=content, num_threads=num_threads)
            self.runners[call["file"]] = interpreter.get_signature_runner(call["signature"])
        self.reset(start)

    def reset(self, start=None):
        """Before a night that begins at start (s)."""
        self.start = self.start if start is None else float(start)
        self.closed = 0  # windows closed so far
        self.rows = {c["name"]: {} for c in CONTRACT["channels"]}  # row, from the start -> [sum, number] of samples
        self.recent = {  # channel -> values of the newest window
            c["name"]: np.full(c["values_per_window"], c["missing"], np.float32) for c in CONTRACT["channels"]
        }
        self.samples = []  # motion that the activity call has still to see, [t, x, y, z]
        self.counting = bool(ACTIVITY["calls"])  # activity comes from motion, until counts are fed
        self.pending = []  # strides closed and not yet taken: [time, {channel: newest values}, motion or None]
        self.states = {
            name: np.resize(np.float32(state["initial"]), state["shape"])
            for name, state in {**ACTIVITY["states"], **self.plan["states"]}.items()
        }

    def feed(self, sensor, t, value):
        """Take one sample: "heart_rate" (bpm), "motion" ([x, y, z] in g), and, with the time at which their bin ends,
        "steps" and "activity" (counts). t: s.

        Feed all sensors in the order of time: an event closes the windows that it lies past, and what comes for a
        closed window is too late. Raises ValueError for another sensor and for a t more than a night after the start.
        """
        known = one_of("sensor", sensor, CONTRACT["sensors"])
        t, values, (low, high) = float(t), np.ravel(value).tolist(), known["range"]
        if not math.isfinite(t):
            return
        self._check_time(t)
        if len(values) != (3 if sensor == "motion" else 1):
            raise ValueError(f"{sensor}: {len(values)} values")
        if all(low <= x <= high for x in values):
            if sensor == "motion":
                last = self.samples[-1][0] if self.samples else -math.inf
                if self.counting and t >= self.start + self.closed * STRIDE and t >= last:
                    self.samples.append([t, *values])
                x, y, z = values
                values.append(math.sqrt(x * x + y * y + z * z))
            elif sensor == "activity":
                self.counting, self.samples = False, []
            for channel in CONTRACT["channels"]:
                if channel["name"] in known["channels"]:
                    self._add(channel, t - self.start, values[known["channels"].index(channel["name"])])
        self._close(math.ceil((t - GRACE - self.start) / STRIDE) - 1)

    def _add(self, channel, t, value):
        """Add a value at t (s since the start) to its row."""
        seconds = channel["seconds_per_value"]
        row = math.ceil((t - GRACE) / seconds) - 1 if channel["value"] == "sum" else math.floor(t / seconds)
        if row >= self.closed * (STRIDE // seconds):  # else it is too late
            held = self.rows[channel["name"]].setdefault(row, [0.0, 0])
            held[0] += value
            held[1] += 1

    def _close(self, last):
        """Close windows until `last` of them are closed."""
        while self.closed < last:
            newest = {}
            for channel in CONTRACT["channels"]:
                n, name = STRIDE // channel["seconds_per_value"], channel["name"]
                found = [self.rows[name].pop(self.closed * n + i, (channel["missing"], 1)) for i in range(n)]
                newest[name] = [x if channel["value"] == "sum" else x / number for x, number in found]
            motion = self._grid() if self.samples else None
            self.pending.append([self.start + self.closed * STRIDE, newest, motion])
            self.closed += 1

    def _grid(self):
        """Acceleration [points, 3] of the stride that closes, on the even grid that the activity call wants."""
        n = ACTIVITY["hz"] * STRIDE
        index = np.arange(self.closed * n, (self.closed + 1) * n)
        point = self.start + index / ACTIVITY["hz"]
        # nothing is before the first sample, or after the last: the value before is held
        samples = np.array([[-1e12, 0, 0, 0], *self.samples, [np.inf, *self.samples[-1][1:]]])
        t, xyz = samples[:, 0], samples[:, 1:]
        after = t.searchsorted(point)  # the first sample at or after the point
        before = after - 1
        along = (point - t[before]) / (t[after] - t[before])
        motion = xyz[before] + (xyz[after] - xyz[before]) * along[:, None]
        due = self.start + ACTIVITY["grace_seconds"]
        due = due + ACTIVITY["bin_seconds"] * (index // (ACTIVITY["hz"] * ACTIVITY["bin_seconds"]) + 1)
        motion = np.where((t[after] > due)[:, None], xyz[before], motion)
        motion[np.minimum(t[after], due) - t[before] > ACTIVITY["gap_seconds"]] = ACTIVITY["missing"]
        # the next stride needs the last sample before it, and those after
        kept = t.searchsorted(self.start + (self.closed + 1) * n / ACTIVITY["hz"]) - 2
        del self.samples[: max(kept, 0)]
        return motion.astype(np.float32).tolist()

    def take(self, now=None):
        """Epochs of the windows that are full. now: s, a time up to which every sensor has told what it has; without
        it, of the windows that events have closed.
        """
        if now is not None:
            self._check_time(now)
            self._close(math.floor((now - self.start) / STRIDE))
        epochs = []
        while self.pending:
            time, newest, motion = self.pending[0]
            if motion:
                made = self._run(ACTIVITY, {"sensor:motion": np.float32(motion)})
                newest["activity"] = made["channel:activity"].ravel()
            for name, values in newest.items():
                self.recent[name] = np.append(self.recent[name][len(values) :], np.float32(values))
            p = self.step(self.recent)
            del self.pending[0]
            if self.weights is not None:
                p = p * self.weights / np.sum(p * self.weights)
            epochs.append(Epoch(time, STAGES[int(p.argmax())], p))
        return epochs

    def step(self, window):
        """One window by hand, {channel: values} as in golden.json -> probabilities [5] as the model says them."""
        known = {f"channel:{c['name']}": np.float32(window[c["name"]]) for c in CONTRACT["channels"]}
        return self._run(self.plan, known)[f"output:{self.plan['probabilities']}"][0]

    def _run(self, plan, known):
        """Make the calls of a plan in order, keep their states. known: tensors by where an input can come from; gives
        them with those that the calls made.
        """
        known = {**known, **{f"state:{name}": x for name, x in self.states.items()}}
        made = {}
        for call in plan["calls"]:
            inputs = {tensor["name"]: known[tensor["from"]].reshape(tensor["shape"]) for tensor in call["inputs"]}
            outputs = self.runners[call["file"]](**inputs)
            for tensor in call["outputs"]:
                known[f"output:{tensor['name']}"] = outputs[tensor["name"]]
                if "to" in tensor:
                    made[tensor["to"]] = outputs[tensor["name"]]
        self.states = {name: made.get(f"state:{name}", x) for name, x in self.states.items()}
        return {**known, **made}

    def _check_time(self, t):
        if not (math.isfinite(t) and t - self.start <= CONTRACT["longest_seconds"]):
            raise ValueError(f"t={t:.17g} s: more than a night after start={self.start:.17g} s; reset begins a new one")

    def save(self):
        """All that is under way, as bytes, for restore."""
        rows = {name: list(held.items()) for name, held in self.rows.items()}
        arrays = {"recent": self.recent, "states": self.states}
        saved = {name: {key: x.tolist() for key, x in each.items()} for name, each in arrays.items()}
        plain = {name: getattr(self, name) for name in ("start", "closed", "counting", "samples")}
        pending = [
            [time, {k: np.float32(x).tolist() for k, x in newest.items()}, x] for time, newest, x in self.pending
        ]
        return json.dumps({"model": self._model(), "rows": rows, "pending": pending, **saved, **plain}).encode()

    def restore(self, saved):
        """Go on as if the stager that saved these bytes had never stopped. Raises ValueError, and changes nothing,
        where another model saved them.
        """
        try:
            saved = json.loads(saved)
            if saved["model"] != self._model():
                raise ValueError("of another model")
            now = {
                "start": float(saved["start"]),
                "closed": int(saved["closed"]),
                "counting": bool(saved["counting"]),
                "samples": [[float(x) for x in sample] for sample in saved["samples"]],
                "pending": list(saved["pending"]),
                "rows": {name: {row: list(held) for row, held in saved["rows"][name]} for name in self.rows},
            }
            for name in ("recent", "states"):
                now[name] = {
                    key: np.float32(saved[name][key]).reshape(x.shape) for key, x in getattr(self, name).items()
                }
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"not a state that this model saved ({error!r})") from None
        vars(self).update(now)

    def _model(self):
        """What a saved state belongs to: the files, by their digests."""
        return [call["sha256"] for call in ACTIVITY["calls"] + self.plan["calls"]]


def segments(epochs, tz, platform="healthkit", origin=0.0):
    """Epochs -> Segments for a health store: runs of equal value merged, none overlapping.

    tz: tzinfo, IANA name or "+02:00"; times keep the offset that it has then. platform: "healthkit" or
    "health_connect". origin: Unix time of t=0, where times count from the start of the recording.
    """
    names = one_of("platform", platform, NAMES)
    values = {stage["name"]: stage[platform] for stage in CONTRACT["stages"]}
    runs = []  # [start, end, value], Unix time in ms
    for epoch in sorted(epochs, key=lambda epoch: epoch.time):
        start, end = (math.floor((origin + t) * 1000 + 0.5) for t in (epoch.time, epoch.time + STRIDE))
        start = max(start, runs[-1][1]) if runs else start
        if start >= end:
            continue  # told before
        if runs and runs[-1][1:] == [start, values[epoch.stage]]:
            runs[-1][1] = end
        else:
            runs.append([start, end, values[epoch.stage]])
    zone = tz if isinstance(tz, tzinfo) else zone_of(tz)
    return [Segment(iso_time(start, zone), iso_time(end, zone), names[value], value) for start, end, value in runs]


def zone_of(name):
    """tzinfo of an IANA name or of an offset such as +02:00. Raises ValueError for anything else."""
    try:
        return datetime.strptime(name, "%z").tzinfo if name[:1] in ("+", "-") else ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"zone {name!r} is neither an IANA name, such as Europe/Berlin, nor like +02:00") from None


def iso_time(ms, zone):
    """An instant, in Unix ms, as ISO 8601 with the offset of a zone."""
    instant = datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)
    return instant.isoformat(timespec="milliseconds").replace(".000", "")


def one_of(what, key, known):
    """known[key]. Raises ValueError with the keys there are."""
    if key not in known:
        raise ValueError(f"{what} {key!r}: one of {', '.join(known)} is wanted")
    return known[key]
