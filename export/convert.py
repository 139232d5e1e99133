"""Converts step forms to .tflite. Runs in a child process, as the converter can crash: python -m export.convert.

The network's step form goes through an ExportArchive, whose signature keeps the names of inputs and outputs; it has no
loop, so it converts in every precision. Sensing stays float32: in 8 bits its slow averages would never move.
In int8, matrix products are 8-bit in weights and activations; the little arithmetic on the state stays float, because
a value that changes by less than a quantum per window would otherwise never change.
"""

import sys

from pipeline.workers import end_with_parent

if __name__ == "__main__":  # before TensorFlow is imported, which takes seconds
    end_with_parent(int(sys.argv[1]), by_kernel=True)

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_quantizer import quantizer, recipe_manager
from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

from export import activity
from export.contract import ACTIVITY, SENSING, stager_path
from export.schedule import scheduled
from export.tflite import rewrite
from models.forms import step_form
from models.network import Network
from models.sensing import Sensing
from models.trained_run import TrainedRun
from models.writing import tensorflow_writing
from pipeline.errors import UserMistake
from pipeline.files import write_whole

FLOAT_OPS = ["MUL", "ADD", "SUB", "LOGISTIC", "TANH", "SOFTMAX", "RELU", "BATCH_MATMUL"]
FLOAT_OPS += ["SPLIT", "CONCATENATION", "STRIDED_SLICE", "SLICE", "RESHAPE", "TRANSPOSE"]


def function_model(name: str, function: Callable, specs: Sequence[tf.TensorSpec]) -> bytes:
    """The float32 .tflite of a function from tensors to a dict of tensors, with the signature `name`."""
    with tempfile.TemporaryDirectory() as folder:
        traced = tf.function(function, input_signature=specs, autograph=False)
        with tensorflow_writing(folder):
            tf.saved_model.save(tf.Module(), folder, signatures={name: traced})
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name]).convert()


def sensing_model(sensing: Sensing) -> bytes:
    """The .tflite of sensing: signature "sense"."""
    names = sensing.channels
    shapes = {name: (1, sensing.options.values_per_window(name)) for name in names} | {
        "context": (1, sensing.context_size)
    }

    def sense(*tensors):
        features, context = sensing.step(dict(zip(names, tensors[:-1], strict=True)), tensors[-1])
        return {"features": features, "context_out": context}

    return function_model("sense", sense, [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()])


def save_step(network: Network, folder: str) -> None:
    """Write the SavedModel of a network's step form: signature "step"."""
    model = step_form(network)
    shapes = {"features": (1, network.features), **{name: (1, *shape) for name, shape in network.states.items()}}
    specs = [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("step", lambda *x: model(dict(zip(shapes, x, strict=True)), training=False), specs)
    with tensorflow_writing(folder):
        archive.write_out(folder, verbose=False)


def stager_model(folder: str, precision: str, calibration: dict[str, np.ndarray]) -> bytes:
    """The .tflite of a SavedModel in one precision.

    Args:
        folder: Folder of the SavedModel.
        precision: One of PRECISIONS.
        calibration: {input: [windows, ...]} from training nights.

    Returns:
        The converter's output.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["step"])
    if precision == "float32":
        return converter.convert()
    if precision == "dynamic":  # the converter's own needs a newer FULLY_CONNECTED than older runtimes have,
        recipe = recipe_manager.RecipeManager()  # and 2.14 uses only the first scale in 8-bit products: hence float
        recipe.add_weight_only_config(".*", TFLOperationName.ALL_SUPPORTED, 8, QuantGranularity.CHANNELWISE)
        weight_only = quantizer.Quantizer(converter.convert(), recipe.get_quantization_recipe())
        return bytes(weight_only.quantize().quantized_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()
    examples = [
        ("step", {name: x[i : i + 1].astype(np.float32) for name, x in calibration.items()})
        for i in range(len(calibration["features"]))
    ]
    converter.representative_dataset = lambda: examples
    if precision == "int16x8":
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
        return converter.convert()
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=FLOAT_OPS)
    mixed = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_options=options)
    return bytes(mixed.get_nondebug_quantized_model())


def lean(content: bytes) -> bytes:
    """A converted .tflite, reduced in size and scheduled to use less memory."""
    return scheduled(rewrite(content))


def convert(folder: str, architecture: str, out: str, *precisions: str) -> None:
    """Write sensing.tflite, activity.tflite if there is an activity channel, and <architecture>.<precision>.tflite.

    Args:
        folder: The run folder.
        architecture: One of the run's.
        out: Output folder.
        *precisions: To convert to; each is printed once its file is written.
    """
    run = TrainedRun(Path(folder))
    network, calibration = run.network(architecture), run.calibration(architecture)
    write_whole(Path(out) / SENSING, lean(sensing_model(run.sensing())))
    if "activity" in run.channels:
        write_whole(Path(out) / ACTIVITY, lean(function_model("activity", *activity.signature(run.options))))
    with tempfile.TemporaryDirectory() as saved:
        save_step(network, saved)
        for precision in precisions:
            content = stager_model(saved, precision, calibration)
            write_whole(stager_path(Path(out), architecture, precision), lean(content))
            print(precision, flush=True)  # read by the parent for its progress bar


if __name__ == "__main__":
    try:
        convert(*sys.argv[2:])
    except (UserMistake, OSError) as mistake:
        message = mistake.message if isinstance(mistake, UserMistake) else f"{mistake.filename}: {mistake.strerror}"
        print(message, flush=True)  # read by the parent; to a pipe, which is never full as a disk may be
        sys.exit(UserMistake.exit_code)
