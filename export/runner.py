"""Runs a bundle's files by its contract alone, window by window, with their states."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export.bundle import read_bundle
from export.calls import Call
from export.runtimes import OURS, refusal
from pipeline.align import Night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.quiet import native_stderr_silenced


def open_call(bundle: Path, call: Call) -> Callable[..., dict[str, np.ndarray]]:
    """What runs a call of a contract.

    Args:
        bundle: Folder of the bundle.
        call: Of its contract.

    Returns:
        A function that takes name=array for each input and gives {output: array}.

    Raises:
        UserMistake: The file does not have the signature, inputs and outputs that the contract promises, or the
            contract refuses it to this runtime.
    """
    path = Path(bundle) / call.file
    if status := refusal(call.runtimes, OURS):
        raise UserMistake(f"{path}: not for {OURS}: {status}")
    try:
        with native_stderr_silenced():
            interpreter = Interpreter(model_path=str(path), num_threads=1)  # one thread, as on a watch
            interpreter.allocate_tensors()
            signature = interpreter.get_signature_runner(call.signature)
    except (ValueError, RuntimeError) as error:
        raise UserMistake(f"{path}: not a TFLite file with a signature {call.signature!r} ({error})") from None
    for side, details in (("inputs", signature.get_input_details()), ("outputs", signature.get_output_details())):
        actual = {name: ([*map(int, d["shape"])], np.dtype(d["dtype"]).name) for name, d in details.items()}
        promised = {tensor.name: (tensor.shape, tensor.dtype) for tensor in getattr(call, side)}
        if actual != promised:
            raise UserMistake(f"{path}: its {side} are {actual}, contract.json promises {promised}")
    return signature


class Runner:
    """Runs one precision of a bundle.

    Attributes:
        contract: The bundle's.
        plan: The contract's entry of the precision.
        states: {name: array}, what is carried from window to window.
    """

    def __init__(self, bundle: Path, precision: str):
        """Load the files of a precision.

        Args:
            bundle: Folder of the bundle.
            precision: One of its contract.

        Raises:
            UserMistake: The bundle is not whole, or lacks the precision.
        """
        self.contract = read_bundle(bundle, [precision])
        self.plan = self.contract.precisions[precision]
        self.calls = [(call, open_call(bundle, call)) for call in self.plan.calls]
        self.reset()

    def reset(self) -> None:
        """Before the night."""
        self.states = {name: state.initial_array() for name, state in self.plan.states.items()}

    def step(self, window: dict[str, np.ndarray]) -> np.ndarray:
        """One window.

        Args:
            window: {channel: [values_per_window] float32}.

        Returns:
            Probabilities [5] float32.
        """
        tensors = {f"channel:{name}": x[None] for name, x in window.items()}
        tensors |= {f"state:{name}": x for name, x in self.states.items()}
        for call, run in self.calls:
            outputs = run(**{tensor.name: tensors[tensor.source] for tensor in call.inputs if tensor.source})
            tensors |= {f"output:{name}": x for name, x in outputs.items()}
            for tensor in call.outputs:
                if tensor.to:
                    self.states[tensor.to.removeprefix("state:")] = outputs[tensor.name]
        return tensors[f"output:{self.plan.probabilities}"][0]

    def night(self, night: Night, options: Options) -> np.ndarray:
        """A whole night, from its start.

        Args:
            night: With the contract's channels.
            options: Of the run, or `contract.options()`.

        Returns:
            Probabilities [windows, 5] float32.
        """
        self.reset()
        inputs = {channel.name: night.values(channel.name, options) for channel in self.contract.channels}
        return np.stack([self.step({name: x[i] for name, x in inputs.items()}) for i in range(len(night))])
