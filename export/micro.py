"""A bundle for microcontrollers: its models as C arrays, and its contract as constants for the C++ stager.

A microcontroller cannot read contract.json, so its constants go into a header. TensorFlow Lite Micro addresses inputs
and outputs by position only, so the header says what each position holds.
"""

import hashlib
from pathlib import Path

import numpy as np

from export.contract import Contract
from export.cost import Graph, arena, operations
from export.micro_layout import MicroLayout, PlacedPlan
from export.micro_operations import methods
from export.rendering import render
from export.runtimes import REFUSALS, refusal
from export.tflite import read_signature, strip_contract, tensor_positions
from pipeline.errors import UserMistake, one_of
from pipeline.files import reading, write_whole

FILES = "model_data.h", "model_data.cc", "contract.h", "op_resolver.h"
RUNTIME = "tflite-micro"
BYTES_PER_LINE = 16
TENSOR_BYTES, OPERATION_BYTES, MODEL_BYTES = 12, 88, 3072  # approximate bookkeeping per item on 32-bit machines


def write_micro(
    folder: Path,
    contract: Contract,
    precision: str | None = None,
    bundle: Path | None = None,
    arena_bytes: int | None = None,
) -> None:
    """Write the FILES of one model for microcontrollers.

    Args:
        folder: Output folder.
        contract: The bundle's contract, with digests.
        precision: One of the contract's; by default int8, or without int8 the first that runs on TFLite Micro.
        bundle: Folder of the .tflite files; by default `folder`.
        arena_bytes: Size of the arena that the calls share; by default estimated.

    Raises:
        UserMistake: TFLite Micro does not run the precision or an operation, or a file is missing or altered.
    """
    folder, bundle = Path(folder), Path(bundle or folder)
    precision = _precision(contract, precision)
    contents = {call.file: _content(bundle, call) for call in contract.calls([precision])}
    layout = MicroLayout(contract, precision)
    arrays = {name: name.replace(".", "_").replace("-", "_") for name in contents}
    models = [(arrays[name], len(content), _rows(content)) for name, content in contents.items()]
    resolver = sorted({method for name, content in contents.items() for method in _methods(content, bundle / name)})
    values = _constants(contract, precision, layout) | {
        "arena_bytes": arena_bytes or arena_estimate(list(contents.values())),
        "activity_calls": _calls(layout.activity, contents, arrays),
        "plan_calls": _calls(layout.plan, contents, arrays),
        "activity_moves": layout.activity.moves,
        "plan_moves": layout.plan.moves,
    }
    write_whole(folder / "model_data.h", render("micro/model_data.h", models=models))
    write_whole(folder / "model_data.cc", render("micro/model_data.cc", models=models))
    write_whole(folder / "op_resolver.h", render("micro/op_resolver.h", methods=resolver))
    write_whole(folder / "contract.h", render("micro/contract.h", **values))


def arena_estimate(contents: list[bytes]) -> int:
    """Size of an arena, with a margin, for models that take turns in it on a 32-bit machine.

    Args:
        contents: Bytes of each .tflite file.

    Returns:
        The largest need of a single model, tensors and the runtime's bookkeeping, in bytes; a multiple of 16.
    """
    most = 0
    for graph in map(Graph, contents):
        kept = MODEL_BYTES + TENSOR_BYTES * len(graph.shapes) + OPERATION_BYTES * len(graph.steps)
        most = max(most, arena(graph.lifetimes()) + kept)
    return -(-most // 16) * 16


def _precision(contract, precision):
    """The precision to write, which must run on TFLite Micro."""
    refusals = {name: _refusal(contract, name) for name in contract.precisions}
    allowed = [name for name, reason in refusals.items() if not reason]
    if precision is None:
        precision = "int8" if "int8" in allowed or not allowed else allowed[0]
    one_of("precision", [precision], contract.precisions)
    if refusals[precision]:
        raise UserMistake(
            f"precision {precision}: {RUNTIME}: {refusals[precision]}; choose from {', '.join(allowed) or 'none'}"
        )
    return precision


def _refusal(contract, precision):
    """Why TensorFlow Lite Micro is refused a precision, or None."""
    found = (refusal(call.runtimes, RUNTIME) for call in contract.calls([precision]))
    return next(filter(None, found), REFUSALS[RUNTIME].get(precision))


def _content(bundle, call):
    """A call's file without its embedded contract, after checking its digest and its tensors."""
    path = bundle / call.file
    if not path.is_file():
        raise UserMistake(f"{path}: missing, though contract.json names it")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != call.sha256:
        raise UserMistake(f"{path}: its SHA-256 is not the one in contract.json; the file was altered or is incomplete")
    with reading(path):
        found, content = read_signature(path), strip_contract(content)
    promised = call.model_dump(include={"signature", "inputs", "outputs"})
    for side in ("inputs", "outputs"):
        texts = (
            sorted(f"{t['name']} {t['dtype']} {t['shape']}" for t in tensors[side]) for tensors in (found, promised)
        )
        _compare(path, f"{side} are", *texts)
    _compare(path, "signature is", found["signature"], promised["signature"])
    return content


def _compare(path, what, found, promised):
    if found != promised:
        raise UserMistake(f"{path}: its {what} {found}, but contract.json promises {promised}")


def _methods(content, path):
    try:
        return methods(operations(content), str(path))
    except ValueError as error:
        raise UserMistake(str(error)) from None


def _rows(content):
    """Lines of an initializer."""
    lines = (content[i : i + BYTES_PER_LINE] for i in range(0, len(content), BYTES_PER_LINE))
    return [",".join(str(byte) for byte in line) for line in lines]


def _calls(plan: PlacedPlan, contents, arrays):
    """Calls for the template: the file's array and size, and (position, at, size) of its tensors."""
    calls = []
    for call in plan.calls:
        positions = tensor_positions(contents[call.file])
        sides = {
            side: [(positions[side][place.name], place.at, place.size, place.name) for place in getattr(call, side)]
            for side in ("inputs", "outputs")
        }
        numbers = {f"{side[:-1]}_count": len(positions[side]) for side in sides}
        calls.append({"file": call.file, "array": arrays[call.file], **sides, **numbers})
    return calls


def _constants(contract: Contract, precision, layout: MicroLayout):
    """Values of contract.h except its calls."""
    plan, preprocessing = contract.precisions[precision], contract.preprocessing.get("activity")
    columns = {name: (i, j) for i, s in enumerate(contract.sensors.values()) for j, name in enumerate(s.channels)}
    channels = [
        channel.model_dump() | {"place": columns[channel.name], "at": layout.channels[channel.name]}
        for channel in contract.channels
    ]
    seconds = {channel["place"][0]: channel["seconds_per_value"] for channel in channels}
    sensors = [
        (name, *sensor.range, sensor.value == "sum", seconds.get(i, contract.seconds.stride), i in seconds)
        for i, (name, sensor) in enumerate(contract.sensors.items())
    ]
    states = {**(preprocessing.states if preprocessing else {}), **plan.states}
    initial = {name: np.ravel(state.initial_array()).tolist() for name, state in states.items()}
    digests = " ".join(str(call.sha256) for call in contract.calls([precision]))
    return {
        "contract": contract.model_dump(),
        "precision": precision,
        "digest": list(hashlib.sha256(digests.encode()).digest()),
        "sensors": sensors,
        "channels": channels,
        "preprocessing": preprocessing,
        "states": [(name, layout.states[name], len(x), _repeated(x)) for name, x in initial.items()],
        "layout": layout,
    }


def _repeated(values):
    """A single value if all are equal, else all values."""
    return values[:1] if len(set(values)) == 1 else values
