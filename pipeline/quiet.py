"""Silences what native libraries write to standard error."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_silencing = threading.RLock()


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send the standard error of native code nowhere inside the block.

    One thread at a time, as the whole process has one standard error.
    """
    with _silencing:
        sys.stderr.flush()
        stderr = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nowhere)
