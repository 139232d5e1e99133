"""Work for the workers of the tests; a worker finds it, as it is started in the checkout."""

import os
import random
import signal
import time
from pathlib import Path


def seconds_undisturbed(seconds):
    """How long Python's generator, from which Keras draws its seeds, stays as it is seeded."""
    random.seed(0)
    state, began = random.getstate(), time.monotonic()
    while time.monotonic() - began < seconds:
        if random.getstate() != state:
            return time.monotonic() - began
        time.sleep(0.01)
    return seconds


def killed_once(mark: Path, i):
    """Kills the worker that it is done on, if none was killed before."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return i
    os.kill(os.getpid(), signal.SIGKILL)


def seen(path: Path):
    """Whether a worker that was asked sees a path."""
    return path.exists()


def shard_killed_once(path: Path, *arguments):
    """A shard, in the midst of whose writing its worker is killed, if none was before."""
    from models.shards import tf, write_shard

    class KillingWriter(tf.io.TFRecordWriter):
        def write(self, record):
            super().write(record)
            self.flush()
            killed_once(path.parents[3] / "shard_killed", 0)

    usual, tf.io.TFRecordWriter = tf.io.TFRecordWriter, KillingWriter
    try:
        return write_shard(path, *arguments)
    finally:
        tf.io.TFRecordWriter = usual


def always_killed(i):
    os.kill(os.getpid(), signal.SIGKILL)


def night_killed_once(mark: Path, folder, subject, options, require_labels, cached):
    """A night, in the midst of whose writing its worker is killed, if none was before."""
    import pipeline.nights as nights

    save = nights.np.savez_compressed

    def killing(file, **arrays):
        file.write(b"half")
        killed_once(mark, 0)
        file.seek(0)
        file.truncate()
        save(file, **arrays)

    nights.np.savez_compressed = killing
    try:
        return nights.stored_night(folder, subject, options, require_labels, cached)
    finally:
        nights.np.savez_compressed = save
