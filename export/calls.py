"""The calls of a contract: which signature of which file, the source of each input, and what each output becomes."""

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from export.cost import operations
from export.runtimes import STATUS, statuses
from export.tflite import read_signature

LONGEST_NAME = 200  # characters of a file name
Size = Annotated[int, Field(ge=1)]
Number = int | float
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256
DType = Literal["float32", "int8", "int16", "int32"]


class Part(BaseModel):
    """Types as in JSON, without conversion; additional fields are allowed."""

    model_config = ConfigDict(strict=True, extra="allow", populate_by_name=True, allow_inf_nan=False)


class Tensor(Part):
    """An input or output of a call: where it comes from, or what it becomes."""

    name: str
    shape: list[Size]
    dtype: DType
    source: str | None = Field(None, alias="from", pattern=r"^(sensor|channel|state|output):.+$")
    to: str | None = Field(None, pattern=r"^(channel|state):.+$")


class Call(Part):
    """One signature of one file of the bundle."""

    file: str
    sha256: Digest | None = None  # None in the copy that is embedded in the files
    signature: str
    operations: list[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]] = []  # TFLite built-ins, for a resolver
    runtimes: dict[str, Annotated[str, Field(pattern=STATUS)]] = {}
    inputs: list[Tensor]
    outputs: list[Tensor]

    @field_validator("file")
    @classmethod
    def _stays_in_the_bundle(cls, file: str) -> str:
        if PurePath(file).name != file or file in ("", "..") or "\\" in file or len(file) > LONGEST_NAME:
            raise ValueError(f"{file[:80]!r}: expected a name in the bundle, not a path")
        return file

    @classmethod
    def of_file(cls, path: Path, channels: Iterable[str], precision: str | None = None) -> "Call":
        """The call of a .tflite, read from the file itself. An input is a channel, a state, or an earlier output.

        Args:
            path: The .tflite file.
            channels: Names of the channels.
            precision: Precision of a network; None for files that stay float32 in every precision.
        """
        entry = {"operations": operations(path.read_bytes()), "runtimes": statuses(precision)}
        call = cls.model_validate(read_signature(path) | entry)
        states = {tensor.name.removesuffix("_out") for tensor in call.outputs if tensor.name.endswith("_out")}
        for tensor in call.inputs:
            kind = "channel" if tensor.name in channels else "state" if tensor.name in states else "output"
            tensor.source = f"{kind}:{tensor.name}"
        for tensor in call.outputs:
            if tensor.name.endswith("_out"):
                tensor.to = f"state:{tensor.name.removesuffix('_out')}"
        return call


class State(Part):
    """A state, carried from window to window. initial: one number for all its values, or a nested list."""

    shape: list[Size]
    dtype: DType
    initial: Number | list

    @field_validator("initial")
    @classmethod
    def _initial_fits(cls, initial: Number | list, fields: ValidationInfo) -> Number | list:
        if {"shape", "dtype"} <= fields.data.keys():  # else one of these is invalid itself
            shape, dtype = fields.data["shape"], fields.data["dtype"]
            try:
                np.broadcast_to(np.asarray(initial, dtype), shape)
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"expected {dtype} numbers of shape {shape}") from None
        return initial

    def initial_array(self) -> np.ndarray:
        """The state at the start of a night: an array of its shape and dtype."""
        return np.broadcast_to(np.asarray(self.initial, self.dtype), self.shape).copy()


class Calls(Part):
    """Calls in the order in which they are made, and their states."""

    calls: list[Call] = Field(min_length=1)
    states: dict[str, State]

    def check_flow(self, shapes: dict[str, list[int]]) -> dict[str, list[int]]:
        """Check that every input has a source of its shape by the time of its call, and that every state is updated.

        Args:
            shapes: {source: shape} of the sources available before the first call.

        Returns:
            {source: shape} of the sources available after the last call.

        Raises:
            ValueError: A check failed; names the place in the contract.
        """
        states = {f"state:{name}": state for name, state in self.states.items()}
        shapes, renewed = shapes | {source: state.shape for source, state in states.items()}, set()
        for i, call in enumerate(self.calls):
            for tensor in call.inputs:
                place = f"calls.{i}.inputs.{tensor.name}"
                if tensor.source not in shapes:
                    raise ValueError(f"{place}: from {tensor.source!r}: no such source before this call")
                if tensor.shape != shapes[tensor.source]:
                    raise ValueError(
                        f"{place}: shape {tensor.shape}, but {tensor.source!r} has {shapes[tensor.source]}"
                    )
                if tensor.source in states and states[tensor.source].dtype != tensor.dtype:
                    raise ValueError(f"{place}: {tensor.dtype}, but {tensor.source!r} is {states[tensor.source].dtype}")
            for tensor in call.outputs:
                shapes[f"output:{tensor.name}"] = tensor.shape
                if tensor.to in states:
                    if tensor.shape != states[tensor.to].shape or tensor.dtype != states[tensor.to].dtype:
                        raise ValueError(f"calls.{i}.outputs.{tensor.name}: does not fit {tensor.to!r}")
                    renewed.add(tensor.to)
                elif tensor.to and tensor.to.startswith("state:"):
                    raise ValueError(f"calls.{i}.outputs.{tensor.name}: to {tensor.to!r}: no such state")
        if stale := sorted(set(states) - renewed):
            raise ValueError(f"states: no output becomes {', '.join(stale)}")
        return shapes


def states_of(calls: list[Call]) -> dict[str, State]:
    """The states of these calls, each starting at 0."""
    sources = [(tensor.source or "", tensor) for call in calls for tensor in call.inputs]
    return {
        source.removeprefix("state:"): State(shape=tensor.shape, dtype=tensor.dtype, initial=0)
        for source, tensor in sources
        if source.startswith("state:")
    }
