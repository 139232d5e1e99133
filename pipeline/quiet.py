"""Silences the standard error of native libraries."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_silencing = threading.RLock()


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Discard the standard error of native code inside the block.

    One thread at a time, because the process has only one standard error.
    """
    with _silencing:
        sys.stderr.flush()
        stderr = os.dup(2)
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(devnull)
