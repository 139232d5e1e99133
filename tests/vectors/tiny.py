"""Bundles of a few KB whose probabilities are an arithmetic function of a window's values and of two states.

A window that differs in one value shows in the probabilities of this stride and of those that follow. The networks are
called int8 and float32 so that there are two; both calculate in float32. activity.tflite is the real one.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from export import activity
from export.contract import ACTIVITY, SENSING, Contract, stager_path
from export.contract_parts import TrainingData
from export.convert import function_model, lean
from export.tflite import rewrite
from pipeline.constants import CHANNELS, PROBABILITIES, STAGES
from pipeline.options import Options
from pipeline.origin import Origin

ARCHITECTURE = "gru"
FEATURES = 4
SCALE = {"heart_rate": 100.0, "steps": 10.0, "activity": 50.0}  # a value that is large; of motion 2 g
PHASES = {"int8": 0.0, "float32": 1.0}  # of the networks' weights
POINTS = {"rem": {"weights": [0.15, 0.15, 0.15, 0.15, 0.4]}}
BUNDLES = {  # name: options, whether motion is counted, whether it poses as one of simulated nights
    "counts": (Options(channels=("heart_rate", "activity")), False, False),
    "motion": (Options(channels=("motion_magnitude", "activity")), True, False),
    "all": (Options(channels=tuple(CHANNELS)), True, True),
    "coarse": (
        Options(data_alignment=30, window_size=120, stride=60, channels=("heart_rate", "steps", "activity")),
        True,
        False,
    ),
    "overlap": (Options(window_size=60, stride=15, channels=("heart_rate", "motion_z", "activity")), True, False),
}


def waves(rows: int, columns: int, phase: float = 0.0) -> np.ndarray:
    """Weights [rows, columns], all different, their rows about of length 1."""
    angles = (1.7 * np.arange(rows)[:, None] + 1) * (np.arange(columns) + 1) + phase
    return (np.cos(angles) / np.sqrt(columns / 2)).astype(np.float32)


def sensing_model(options: Options) -> bytes:
    """features = W tanh(values / scale) + context; context_out = .8 context + .2 tanh(features)."""
    sizes = {name: options.values_per_window(name) for name in options.channels}

    def sense(*tensors):
        squashed = [tf.tanh(x / SCALE.get(name, 2.0)) for name, x in zip(sizes, tensors[:-1], strict=True)]
        features = 2 * tf.matmul(tf.concat(squashed, 1), waves(FEATURES, sum(sizes.values())).T) + tensors[-1]
        return {"features": features, "context_out": 0.8 * tensors[-1] + 0.2 * tf.tanh(features)}

    shapes = {name: (1, size) for name, size in sizes.items()} | {"context": (1, FEATURES)}
    return function_model("sense", sense, [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()])


def step_model(phase: float) -> bytes:
    """hidden_out = .6 hidden + .4 tanh(features); softmax of weights of both, and of a bias: no tie where all is 0."""
    bias = waves(1, len(STAGES), phase)

    def step(features, hidden):
        renewed = 0.6 * hidden + 0.4 * tf.tanh(features)
        both = tf.concat([tf.tanh(features), renewed], 1)
        logits = 3 * tf.matmul(both, waves(len(STAGES), 2 * FEATURES, phase).T) + bias
        return {PROBABILITIES: tf.nn.softmax(logits), "hidden_out": renewed}

    return function_model("step", step, [tf.TensorSpec((1, FEATURES), tf.float32, n) for n in ("features", "hidden")])


def write_bundle(folder: Path, name: str) -> None:
    """Write one of BUNDLES: its .tflite files and contract.json."""
    options, counted, simulated = BUNDLES[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SENSING).write_bytes(rewrite(sensing_model(options)))
    if counted:
        (folder / ACTIVITY).write_bytes(lean(function_model("activity", *activity.signature(options))))
    for precision, phase in PHASES.items():
        stager_path(folder, ARCHITECTURE, precision).write_bytes(rewrite(step_model(phase)))
    origin = Origin("test vectors", attribution="Not trained at all.", simulated=simulated)
    data = TrainingData.of(origin, {"train": []})
    contract = Contract.of_files(folder, ARCHITECTURE, options, options.channels, PHASES, POINTS, data)
    contract.model_copy(update={"how": {}}).with_digests(folder).write(folder)
