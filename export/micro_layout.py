"""Where each value of a model stands in the one array of floats of the C++ stager."""

from dataclasses import dataclass, field
from math import prod

from export.calls import Calls, Tensor
from export.contract import Contract, Preprocessing


@dataclass(frozen=True)
class Place:
    """A tensor of a call.

    Attributes:
        name: In the signature.
        at: Index in the array of its first value.
        size: Values.
    """

    name: str
    at: int
    size: int


@dataclass
class PlacedCall:
    """A call of which every tensor has its place; outputs that nobody wants are left out."""

    file: str
    inputs: list[Place] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)


@dataclass
class PlacedPlan:
    """Calls in order, and what becomes of their outputs after the last: (from, to, size) of a move."""

    calls: list[PlacedCall] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)


class MicroLayout:
    """Places for the channels, states and motion of a model, which are saved, then for what its calls give.

    Attributes:
        channels: {channel: where its window begins}.
        states: {state: where it begins}.
        motion: Where the motion of an activity call begins; its size in `motion_size`, 0 without such a call.
        saved: Values up to here are part of a saved state.
        size: Of the array.
        activity, plan: The calls.
        probabilities: Where the answer begins.
        counts: Where the activity counts of a call begin; how many in `counts_size`.
    """

    def __init__(self, contract: Contract, precision: str):
        """Place everything.

        Args:
            contract: Of the bundle.
            precision: One of its.
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
        """A place for `size` values."""
        self.size += size
        return self.size - size

    def _placed(self, calls: Calls, sources: dict[str, int]):
        """The placed plan, and {source: Place} of what its calls give."""
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
        asked = name == f"output:{getattr(calls, 'probabilities', '')}"
        return asked or bool(tensor.to) or any(t.source == name for call in calls.calls for t in call.inputs)

    def _place_of_output(self, tensor, calls, i, plan):
        """An output that becomes a state goes there at once, unless a later call still takes the old state."""
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
    """Values of motion that an activity call takes."""
    sizes = {
        prod(tensor.shape) for call in preprocessing.calls for tensor in call.inputs if tensor.source == "sensor:motion"
    }
    (size,) = sizes
    return size
