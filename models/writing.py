"""Failures of what TensorFlow writes itself, as mistakes in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from pipeline.errors import UserMistake


@contextmanager
def tensorflow_writing(path: Path | str) -> Iterator[None]:
    """Report an error of TensorFlow in the block, which writes a file or folder, as `write_whole` does.

    Raises:
        UserMistake: No space, or no permission.
    """
    try:
        yield
    except tf.errors.OpError as error:  # its message ends with the reason
        raise UserMistake(f"{path}: cannot be written ({error.message.rpartition('; ')[2]})") from None
