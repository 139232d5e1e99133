"""The watch: online alignment, and the exported files run window by window with their state."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export.bundle import read_contract
from pipeline.align import Aligner
from pipeline.cli import hushed
from pipeline.files import write_whole
from pipeline.options import STAGES, Options, UserMistake, one_of


class Epoch(NamedTuple):
    """What the watch says of one window. time: seconds, when the stride that the stage stands for begins."""

    time: float
    stage: str
    probabilities: np.ndarray  # [5], in the order of STAGES


def opened(bundle, call):
    """What runs a call of a contract: name=array for each input in, {output: array} out.

    Raises UserMistake where the file does not have the signature, inputs and outputs that the contract says.
    """
    path = Path(bundle) / call["file"]
    try:
        with hushed():
            interpreter = Interpreter(model_path=str(path), num_threads=1)  # one thread, as on a watch
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner(call["signature"])
    except (ValueError, RuntimeError) as error:
        raise UserMistake(f"{path}: not a TFLite file with a signature {call['signature']!r} ({error})") from None
    for side, details in (("inputs", runner.get_input_details()), ("outputs", runner.get_output_details())):
        there = {name: ([*map(int, d["shape"])], np.dtype(d["dtype"]).name) for name, d in details.items()}
        said = {tensor["name"]: (tensor["shape"], tensor["dtype"]) for tensor in call[side]}
        if there != said:
            raise UserMistake(f"{path}: its {side} are {there}, contract.json says {said}")
    return runner


class Runner:
    """Runs one precision of a bundle, by its contract alone."""

    def __init__(self, bundle, precision):
        """bundle: folder. Raises UserMistake where the bundle is not whole or lacks the precision."""
        self.contract = read_contract(bundle, [precision])
        self.plan = self.contract["precisions"][precision]
        self.runners = [(call, opened(bundle, call)) for call in self.plan["calls"]]
        self.reset()

    def reset(self):
        """Before the night."""
        self.states = {
            name: np.broadcast_to(np.asarray(state["initial"], state["dtype"]), state["shape"]).copy()
            for name, state in self.plan["states"].items()
        }

    def step(self, window):
        """window: {channel: [values_per_window] float32} -> probabilities [5]."""
        known = {f"channel:{name}": x[None] for name, x in window.items()}
        known |= {f"state:{name}": x for name, x in self.states.items()}
        for call, run in self.runners:
            out = run(**{tensor["name"]: known[tensor["from"]] for tensor in call["inputs"]})
            known |= {f"output:{name}": x for name, x in out.items()}
            for tensor in call["outputs"]:
                if "to" in tensor:
                    self.states[tensor["to"].removeprefix("state:")] = out[tensor["name"]]
        return known[f"output:{self.plan['probabilities']}"][0]

    def night(self, night, options):
        """[windows, 5] probabilities of a whole pipeline.align.Night, from the start."""
        self.reset()
        channels = [channel["name"] for channel in self.contract["channels"]]
        inputs = {name: night.window(name, options) for name in channels}
        return np.stack([self.step({name: x[i] for name, x in inputs.items()}) for i in range(len(night))])


class Watch:
    """Sensor events in time order in, stages out.

    bundle: folder of one model. precision: one of the bundle's. start: seconds, when the first window begins.
    counts: True where activity counts are fed rather than worked out of motion. operating_point: one of the contract's,
    to weigh the probabilities; None leaves them as they are. Raises UserMistake for a bundle that is not whole, and for
    a precision or an operating point that it lacks.
    """

    def __init__(self, bundle, precision="int8", start=0.0, counts=False, operating_point=None):
        self.runner = Runner(bundle, precision)
        self.weights = np.ones(len(STAGES), np.float32)
        if operating_point is not None:
            points = self.runner.contract.get("operating_points", {})
            one_of(f"{bundle}: operating point", [operating_point], points)
            self.weights = np.float32(points[operating_point]["weights"])
        seconds = self.runner.contract["seconds"]
        channels = tuple(channel["name"] for channel in self.runner.contract["channels"])
        self.options = Options(
            data_alignment=seconds["row"], window_size=seconds["window"], stride=seconds["stride"], channels=channels
        )
        self.aligner = Aligner(self.options, channels, start, count_motion=not counts)

    def feed(self, sensor, t, value):
        """Take one sample, or several of one sensor: heart_rate (bpm), motion ([x, y, z] in g), and, with the time at
        which their bin ends, steps or activity. t: seconds. Returns the Epochs that it closes, usually none or one.
        """
        self.aligner.feed(sensor, t, value)
        return self.say(*self.aligner.before(np.max(t)))

    def advance(self, t):
        """The clock says t (s): close every window that ends by then. Returns the Epochs, without sensors too."""
        return self.say(*self.aligner.advance(t))

    def say(self, ends, windows):
        """Epochs of the windows that an aligner closed: ends [n], {channel: [n, values_per_window]}."""
        epochs = []
        for i, end in enumerate(ends):
            p = self.runner.step({name: x[i] for name, x in windows.items()})
            if (self.weights != 1).any():
                p = p * self.weights / np.sum(p * self.weights)
            epochs.append(Epoch(float(end) - self.options.stride, STAGES[int(p.argmax())], p))
        return epochs

    def save(self, path):
        """Write all that is under way to a file, whole or not at all, for `restore`."""
        arrays = {f"aligner.{name}": x for name, x in self.aligner.state().items()}
        arrays |= {f"state.{name}": x for name, x in self.runner.states.items()} | {"model": self._model()}
        write_whole(path, lambda file: np.savez(file, **arrays))

    def _model(self):
        """The files that a saved state belongs to, by their digests."""
        return np.array([call["sha256"] for call in self.runner.plan["calls"]])

    def restore(self, path):
        """Go on as if the watch that wrote the file had never stopped. Raises UserMistake, leaving all as it is, for a
        file that is damaged or of another model.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                arrays = dict(saved)
            if not np.array_equal(arrays["model"], self._model()):
                raise ValueError("of another model")
            states = {name: arrays[f"state.{name}"] for name in self.runner.states}
            aligner = Aligner(self.options, self.aligner.channels, count_motion=self.aligner.counter is not None)
            mark = "aligner."
            aligner.restore({k.removeprefix(mark): x for k, x in arrays.items() if k.startswith(mark)})
        except Exception as error:  # a file can be broken in many ways
            raise UserMistake(f"{path}: not a saved state of this model ({error})") from None
        self.aligner, self.runner.states = aligner, states
