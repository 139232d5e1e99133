"""Runs a bundle window by window, with its states, by its contract alone."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export.bundle import read_bundle
from export.calls import Call, Calls
from export.contract import Preprocessing
from export.runtimes import OURS, refusal
from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.quiet import native_stderr_silenced


def open_call(bundle: Path, call: Call) -> Callable[..., dict[str, np.ndarray]]:
    """Load a call's file as a function.

    Args:
        bundle: Folder of the bundle.
        call: One of its contract's calls.

    Returns:
        A function that takes name=array for each input and returns {output: array}.

    Raises:
        UserMistake: The file does not have the signature, inputs and outputs that the contract promises, or the
            contract rules out this runtime.
    """
    path = Path(bundle) / call.file
    if status := refusal(call.runtimes, OURS):
        raise UserMistake(f"{path}: cannot run in {OURS}: {status}")
    try:
        with native_stderr_silenced():
            interpreter = Interpreter(model_path=os.fsencode(path), num_threads=1)  # one thread, as on a watch
            interpreter.allocate_tensors()
            signature = interpreter.get_signature_runner(call.signature)
    except (ValueError, RuntimeError) as error:
        raise UserMistake(f"{path}: not a TFLite file with a signature {call.signature!r} ({error})") from None
    for side, details in (("inputs", signature.get_input_details()), ("outputs", signature.get_output_details())):
        actual = {name: ([*map(int, d["shape"])], np.dtype(d["dtype"]).name) for name, d in details.items()}
        promised = {tensor.name: (tensor.shape, tensor.dtype) for tensor in getattr(call, side)}
        if actual != promised:
            raise UserMistake(f"{path}: its {side} are {actual}, but contract.json promises {promised}")
    return signature


class PlanRunner:
    """Runs the calls of one of the contract's plans in order, with their states.

    Attributes:
        plan: The contract's entry.
        states: {name: array}, carried from run to run.
    """

    def __init__(self, bundle: Path, plan: Calls):
        """Load the files of a plan. Raises UserMistake as `open_call` does."""
        self.plan = plan
        self.calls = [(call, open_call(bundle, call)) for call in plan.calls]
        self.reset()

    def reset(self) -> None:
        """Return to the start of a night."""
        self.states = {name: state.initial_array() for name, state in self.plan.states.items()}

    def run(self, sources: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the calls once.

        Args:
            sources: {source: array} for channels or sensors.

        Returns:
            {output: array} for all calls.
        """
        tensors = sources | {f"state:{name}": x for name, x in self.states.items()}
        given: dict[str, np.ndarray] = {}
        for call, run in self.calls:
            outputs = run(**{tensor.name: tensors[tensor.source] for tensor in call.inputs if tensor.source})
            given |= outputs
            tensors |= {f"output:{name}": x for name, x in outputs.items()}
            for tensor in call.outputs:
                if tensor.to and tensor.to.startswith("state:"):
                    self.states[tensor.to.removeprefix("state:")] = outputs[tensor.name]
        return given


class MotionRunner(PlanRunner):
    """Computes a channel from raw motion with a bundle's preprocessing.

    Attributes:
        points: Grid points per call.
    """

    def __init__(self, bundle: Path, plan: Preprocessing, stride: int):
        """Load the files of a preprocessing.

        Args:
            bundle: Folder of the bundle.
            plan: The contract's preprocessing of the channel.
            stride: The contract's stride in seconds.
        """
        super().__init__(bundle, plan)
        self.points = int(plan.hz * (plan.call_seconds or stride))

    def stride(self, motion: np.ndarray) -> dict[str, np.ndarray]:
        """Make the calls of one stride.

        Args:
            motion: [points of a stride, 3] in g on the contract's grid, with its missing value in gaps.

        Returns:
            {output: [calls, ...]} in the order of time.
        """
        parts = motion.astype(np.float32).reshape(-1, 1, self.points, 3)
        outputs = [{name: x.copy() for name, x in self.run({"sensor:motion": part}).items()} for part in parts]
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}


class Runner(PlanRunner):
    """Runs one precision of a bundle.

    Attributes:
        contract: The bundle's contract.
        probabilities: Name of the output that holds the probabilities.
    """

    def __init__(self, bundle: Path, precision: str):
        """Load the files of a precision.

        Args:
            bundle: Folder of the bundle.
            precision: One of its contract's.

        Raises:
            UserMistake: The bundle is incomplete or altered, or lacks the precision.
        """
        self.contract = read_bundle(bundle, [precision])
        self.probabilities = self.contract.precisions[precision].probabilities
        super().__init__(bundle, self.contract.precisions[precision])

    def step(self, window: dict[str, np.ndarray]) -> np.ndarray:
        """Predict one window.

        Args:
            window: {channel: [values_per_window] float32}.

        Returns:
            Probabilities [5] float32.
        """
        return self.run({f"channel:{name}": x[None] for name, x in window.items()})[self.probabilities][0]

    def night(self, night: Night, options: Options) -> np.ndarray:
        """Predict a whole night from its start.

        Args:
            night: Has the contract's channels.
            options: The run's, or `contract.options()`.

        Returns:
            Probabilities [windows, 5] float32.
        """
        self.reset()
        inputs = {channel.name: night.values(channel.name, options) for channel in self.contract.channels}
        return np.stack([self.step({name: x[i] for name, x in inputs.items()}) for i in range(len(night))])
