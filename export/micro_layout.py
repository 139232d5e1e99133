"""The layout of a model's values in the single float array of the C++ stager."""

from dataclasses import dataclass, field
from math import prod

from export.calls import Calls, Tensor
from export.contract import Contract, Preprocessing


@dataclass(frozen=True)
class Place:
    """The place of a call's tensor.

    Attributes:
        name: Its name in the signature.
        at: Index of its first value in the array.
        size: Number of values.
    """

    name: str
    at: int
    size: int


@dataclass
class PlacedCall:
    """A call whose tensors all have a place; unused outputs are left out."""

    file: str
    inputs: list[Place] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)


@dataclass
class PlacedPlan:
    """Calls in order, and the moves (from, to, size) to make after the last one."""

    calls: list[PlacedCall] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)


class MicroLayout:
    """Places for a model's channels, states and motion, which are saved, followed by the outputs of its calls.

    Attributes:
        channels: {channel: index of its window}.
        states: {state: index}.
        motion: Index of the motion for an activity call.
        motion_size: Number of its values; 0 without such a call.
        saved: Values before this index are part of a saved state.
        size: Size of the array.
        activity, plan: The calls.
        probabilities: Index of the probabilities.
        counts: Index of the activity counts of a call.
        counts_size: Number of these counts.
    """

    def __init__(self, contract: Contract, precision: str):
        """Assign all places.

        Args:
            contract: The bundle's contract.
            precision: One of the contract's.
        """
        plan, preprocessing = contract.precisions[precision], contract.preprocessing.get("activity")
        self.size = 0
        self.channels = {channel.name: self._take(channel.values_per_window) for channel in contract.channels}
        states = {**(preprocessing.states if preprocessing else {}), **plan.states}
        self.states = {name: self._take(prod(state.shape)) for name, state in states.items()}
        self.motion_size = _motion_size(preprocessing) if preprocessing else 0
        self.motion = self._take(self.motion_size)
        self.saved = self.size
        self.counts = self.counts_size = 0
        self.activity = PlacedPlan()
        if preprocessing:
            self.activity, places = self._placed(preprocessing, {"sensor:motion": self.motion})
            self.counts, self.counts_size = places["channel:activity"].at, places["channel:activity"].size
        sources = {f"channel:{name}": at for name, at in self.channels.items()}
        self.plan, places = self._placed(plan, sources)
        self.probabilities = places[f"output:{plan.probabilities}"].at

    def _take(self, size):
        """Index of a new place for `size` values."""
        self.size += size
        return self.size - size

    def _placed(self, calls: Calls, sources: dict[str, int]):
        """The placed plan, and {source: Place} of its calls' outputs."""
        at = sources | {f"state:{name}": place for name, place in self.states.items()}
        plan, given = PlacedPlan(), {}
        for i, call in enumerate(calls.calls):
            placed = PlacedCall(call.file)
            for tensor in call.inputs:
                if tensor.source:
                    placed.inputs.append(Place(tensor.name, at[tensor.source], prod(tensor.shape)))
            for tensor in call.outputs:
                if not self._wanted(tensor, calls):
                    continue
                place = Place(tensor.name, self._place_of_output(tensor, calls, i, plan), prod(tensor.shape))
                placed.outputs.append(place)
                given[f"output:{tensor.name}"] = place
                at[f"output:{tensor.name}"] = place.at
                if tensor.to and not tensor.to.startswith("state:"):
                    given[tensor.to] = place
            plan.calls.append(placed)
        return plan, given

    def _wanted(self, tensor: Tensor, calls: Calls):
        name = f"output:{tensor.name}"
        is_answer = name == f"output:{getattr(calls, 'probabilities', '')}"
        return is_answer or bool(tensor.to) or any(t.source == name for call in calls.calls for t in call.inputs)

    def _place_of_output(self, tensor, calls, i, plan):
        """Index of an output: its state's own place, unless a later call still reads the old state."""
        size = prod(tensor.shape)
        if not (tensor.to and tensor.to.startswith("state:")):
            return self._take(size)
        state = self.states[tensor.to.removeprefix("state:")]
        if any(t.source == tensor.to for call in calls.calls[i + 1 :] for t in call.inputs):
            place = self._take(size)
            plan.moves.append((place, state, size))
            return place
        return state


def _motion_size(preprocessing: Preprocessing) -> int:
    """Number of motion values that an activity call takes."""
    sizes = {
        prod(tensor.shape) for call in preprocessing.calls for tensor in call.inputs if tensor.source == "sensor:motion"
    }
    (size,) = sizes
    return size
