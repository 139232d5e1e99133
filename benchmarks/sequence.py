"""The alternative to a step: the same network over the whole last hour in every epoch, as a .tflite.

Runs in a child process, as the converter can crash:
python -m benchmarks.sequence RUN ARCHITECTURE loop|unrolled PRECISION OUT
"""

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from export.convert import stager_model
from models.trained_run import TrainedRun
from pipeline.constants import HOUR_S
from pipeline.files import write_whole


def sequence_model(run: TrainedRun, architecture: str, form: str, precision: str) -> bytes:
    """The .tflite: features [1, windows of an hour, F] -> stage probabilities of each window, signature "step".

    Args:
        run: The trained run.
        architecture: One of the run's.
        form: How a recurrent layer is exported, "loop" or "unrolled". With a loop, the converter crashes for 8- or
            16-bit activations.
        precision: One of PRECISIONS.
    """
    network = run.network(architecture)
    if form == "unrolled":
        network.memory.unroll = True
    x = keras.Input((HOUR_S // run.options.stride, network.features), name="features")
    model = keras.Model(x, network.sequence(x))
    shape = (1, *x.shape[1:])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("step", lambda x: model(x, training=False), [tf.TensorSpec(shape, tf.float32, "features")])
    features = run.calibration(architecture)["features"]
    features = features[: len(features) // shape[1] * shape[1]].reshape(-1, *shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return stager_model(folder, precision, {"features": np.float32(features)})


if __name__ == "__main__":
    folder, architecture, form, precision, out = sys.argv[1:]
    write_whole(Path(out), sequence_model(TrainedRun(folder), architecture, form, precision))
