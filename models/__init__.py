"""The sensing front end and the four networks."""

import os
import signal
import sys

from pipeline.quiet import native_stderr_silenced

if sys.argv[:1] == ["-m"]:  # python -m models: Ctrl-C while this is imported, before __main__, ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # no GPU is needed

with native_stderr_silenced():  # its start-up messages mean nothing to a user, and no setting silences all of them
    import tensorflow as tf
tf.get_logger().setLevel("ERROR")
