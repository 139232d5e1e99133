"""Small bundles for the C++ stager, whose probabilities are an arithmetic function of the window and of a state.

The activity call may take less than a stride of motion. The answer is given by a second file, which still takes the
state that the first one renews, and the order of its tensors in the graph is not that of their names.
"""

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.calls import Call, State
from export.contract import FORMAT, GRID, Contract, Preprocessing
from export.contract_parts import STAGE_CODES, ChannelEntry
from export.convert import function_model
from pipeline.activity import HZ


def convert(path: Path, function, **shapes):
    """Write a function of float32 tensors {name: shape} as a .tflite."""
    specs = [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()]
    path.write_bytes(function_model("run", function, specs))


def weights(n):
    """n numbers that no permutation leaves as they are."""
    return (np.sin(np.arange(1, n + 1)) / n).astype(np.float32)


def tiny_bundle(folder: Path, options, channels, motion_seconds=None) -> Contract:
    """A bundle of float32 files in a folder, without contract.json.

    Args:
        folder: Empty.
        options: That shape a window.
        channels: Their names.
        motion_seconds: That one activity call takes; None for no such call.
    """
    entries = [ChannelEntry.of(name, options) for name in channels]
    sizes = {entry.name: [1, entry.values_per_window] for entry in entries}

    def look(memory, *window):
        mixed = sum(tf.reduce_sum(x * weights(x.shape[1]), 1, keepdims=True) for x in window)
        return {"memory_out": 0.5 * memory + mixed * [[0.01, 0.02, 0.03]], "mixed": mixed}

    def decide(mixed, memory):
        logits = tf.concat([0.02 * mixed, memory, 0.01 * mixed], 1)
        return {"p": tf.nn.softmax(logits), "unwanted": memory * 2}

    convert(folder / "look.tflite", look, memory=[1, 3], **sizes)
    convert(folder / "decide.tflite", decide, mixed=[1, 1], memory=[1, 3])
    calls = [Call.of_file(folder / "look.tflite", channels), Call.of_file(folder / "decide.tflite", channels)]
    for tensor in calls[1].inputs:
        tensor.source = "state:memory" if tensor.name == "memory" else "output:mixed"
    states = {"memory": State(shape=[1, 3], dtype="float32", initial=0)}
    plan = {"calls": calls, "states": states, "probabilities": "p", "tolerance": {"p99_abs_dp": 0.1, "same_stage": 0.9}}
    document = {
        "format": FORMAT,
        "architecture": "gru",
        "stages": [{"name": name, "healthkit": a, "health_connect": b} for name, a, b in STAGE_CODES],
        "seconds": {"row": options.data_alignment, "window": options.window_size, "stride": options.stride},
        "delay_windows": 0,
        "channels": entries,
        "operating_points": {"light": {"weights": [0.1, 0.3, 0.3, 0.2, 0.1]}},
        "precisions": {"float32": plan},
    }
    if motion_seconds:
        document["preprocessing"] = {"activity": activity(folder, options, motion_seconds)}
    contract = Contract.model_validate(document)
    contract.precisions["float32"].states["memory"].initial = [[0.5, 0.25, 0.0]]  # no contract has it: for the header
    for call in contract.calls():
        call.sha256 = hashlib.sha256((folder / call.file).read_bytes()).hexdigest()
    return contract


def activity(folder, options, seconds):
    """The preprocessing of motion, `seconds` of it a call: a count is a sum of what the call sees, and their number."""
    values = options.values_per_stride("activity") * seconds // options.stride

    def count(seen, motion):
        each = tf.reshape(motion * tf.reshape(weights(HZ * seconds * 3), [1, -1, 3]), [1, values, -1])
        return {"activity": tf.abs(tf.reduce_sum(each, 2)) + seen, "seen_out": seen + 1}

    convert(folder / "activity.tflite", count, seen=[1, 1], motion=[1, HZ * seconds, 3])
    call = Call.of_file(folder / "activity.tflite", ())
    for tensor in (*call.inputs, *call.outputs):
        if tensor.name == "motion":
            tensor.source = "sensor:motion"
        elif tensor.name == "activity":
            tensor.to = "channel:activity"
    states = {"seen": State(shape=[1, 1], dtype="float32", initial=0)}
    return Preprocessing.model_validate({"calls": [call], "states": states, "call_seconds": seconds} | GRID)
