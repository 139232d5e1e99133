"""The form of contract.json: what must be in it, and how its parts must fit together."""

from pathlib import PurePath
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from pipeline.options import ARCHITECTURES, PRECISIONS, STAGES, UserMistake

LONGEST_NAME = 200
Size = Annotated[int, Field(ge=1)]
Number = int | float


class Part(BaseModel):
    """Types as in JSON, no conversion; further fields are welcome."""

    model_config = {"strict": True, "extra": "allow"}


class Tensor(Part):
    name: str
    shape: list[Size]
    dtype: Literal["float32", "int8", "int16", "int32"]
    source: str | None = Field(None, alias="from", pattern=r"^(sensor|channel|state|output):.+$")
    to: str | None = Field(None, pattern=r"^(channel|state):.+$")


class Call(Part):
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class State(Part):
    shape: list[Size]
    dtype: Literal["float32", "int8", "int16", "int32"]
    initial: Number | list


class Preprocessing(Part):
    calls: list[Call]
    states: dict[str, State]
    hz: Number
    missing: Number
    grace_seconds: Number
    gap_seconds: Number


class Tolerance(Part):
    p99_abs_dp: float = Field(ge=0)
    same_stage: float = Field(ge=0, le=1)


class Plan(Part):
    calls: list[Call] = Field(min_length=1)
    states: dict[str, State]
    probabilities: str
    tolerance: Tolerance


class Stage(Part):
    name: Literal[STAGES]
    healthkit: int
    health_connect: int


class Seconds(Part):
    row: Size
    window: Size
    stride: Size


class Channel(Part):
    name: str
    unit: str
    values_per_window: Size
    range: tuple[Number, Number] | list[Number] = Field(min_length=2, max_length=2)
    missing: Number


class OperatingPoint(Part):
    weights: list[Annotated[float, Field(gt=0)]] = Field(min_length=len(STAGES), max_length=len(STAGES))


class Contract(Part):
    format: Literal["wristsleep-contract/1"]
    architecture: Literal[ARCHITECTURES]
    stages: list[Stage] = Field(min_length=len(STAGES), max_length=len(STAGES))
    seconds: Seconds
    delay_windows: int = Field(ge=0)
    channels: list[Channel] = Field(min_length=1)
    preprocessing: dict[str, Preprocessing] = {}
    operating_points: dict[str, OperatingPoint] = {}
    precisions: dict[Literal[PRECISIONS], Plan] = Field(min_length=1)


def check_form(contract, path):
    """Raises UserMistake, naming the field, where this is no contract or its calls do not fit together."""
    try:
        parsed = Contract.model_validate(contract)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UserMistake(f"{path}: {field or 'its content'}: {first['msg']}") from None
    channels = {channel.name: [1, channel.values_per_window] for channel in parsed.channels}
    for name, plan in parsed.preprocessing.items():
        _check_calls(f"{path}: preprocessing.{name}", plan, {}, sensors={"sensor:motion"})
    for name, plan in parsed.precisions.items():
        place = f"{path}: precisions.{name}"
        last = _check_calls(place, plan, {f"channel:{channel}": shape for channel, shape in channels.items()})
        if last.get(f"output:{plan.probabilities}") != [1, len(STAGES)]:
            raise UserMistake(f"{place}.probabilities: no output {plan.probabilities!r} of shape [1, {len(STAGES)}]")


def _check_calls(place, plan, known, sensors=frozenset()):
    """Every input must come from something of its shape, every state be set anew. Gives {source: shape}."""
    for name, state in plan.states.items():
        try:
            np.broadcast_to(np.asarray(state.initial, state.dtype), state.shape)
        except (ValueError, OverflowError):
            raise UserMistake(
                f"{place}.states.{name}.initial: no {state.dtype} numbers of shape {state.shape}"
            ) from None
        if any(t.dtype != state.dtype for call in plan.calls for t in call.inputs if t.source == f"state:{name}"):
            raise UserMistake(f"{place}.states.{name}.dtype: {state.dtype} is not that of the input which takes it")
    known = known | {f"state:{name}": state.shape for name, state in plan.states.items()}
    renewed = set()
    for call in plan.calls:
        if PurePath(call.file).name != call.file or len(call.file) > LONGEST_NAME:
            raise UserMistake(f"{place}: file {call.file[:80]!r}: expected a name in the bundle, not a path")
        for tensor in call.inputs:
            if tensor.source not in sensors and known.get(tensor.source) != tensor.shape:
                raise UserMistake(
                    f"{place}: {call.file} input {tensor.name}: shape {tensor.shape} from {tensor.source!r}, "
                    f"which has {known.get(tensor.source, 'no such source')}"
                )
        for tensor in call.outputs:
            known[f"output:{tensor.name}"] = tensor.shape
            if tensor.to and tensor.to.startswith("state:"):
                if known.get(tensor.to) != tensor.shape:
                    raise UserMistake(f"{place}: {call.file} output {tensor.name}: does not fit {tensor.to!r}")
                renewed.add(tensor.to)
    stale = sorted({f"state:{name}" for name in plan.states} - renewed)
    if stale:
        raise UserMistake(f"{place}: no output becomes {', '.join(stale)}")
    return known
