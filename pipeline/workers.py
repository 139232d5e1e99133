"""Work that runs in parallel, on the cores of this machine."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from joblib import Parallel, cpu_count, delayed, parallel_config

ALL_CORES = -1
JOB_BYTES = 1_000_000_000  # memory that one process may come to need: TensorFlow with the nights of a fold
TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@contextmanager
def workers(jobs: int = ALL_CORES) -> Iterator[None]:
    """Within it, `in_parallel` runs `jobs` pieces of work at a time; outside of it, one.

    Args:
        jobs: How many; ALL_CORES for as many as there are cores, or fewer where the free memory holds fewer. With one,
            no other process is started.
    """
    if jobs == ALL_CORES:
        jobs = max(1, min(cpu_count(), psutil.virtual_memory().available // JOB_BYTES))
    with parallel_config(backend="loky", n_jobs=jobs):
        yield


def in_parallel(
    function: Callable, arguments: Iterable[tuple], ordered: bool = True, worth_a_child: bool = True
) -> Iterator[Any]:
    """What a function returns for each of several arguments, computed by the `workers` in whose context this is called.

    Args:
        function: Of a module, so that another process can import it.
        arguments: A tuple of arguments for each call.
        ordered: Whether results come in the order of the arguments, or as they are ready.
        worth_a_child: Whether the work is worth the seconds that another process takes to start; else it is done here.

    Returns:
        The results, as they come.
    """
    how = "generator" if ordered else "generator_unordered"
    calls = (delayed(_call)(os.getpid(), function, values) for values in arguments)
    return Parallel(None if worth_a_child else 1, return_as=how, batch_size=1)(calls)


def _call(parent: int, function: Callable, values: tuple) -> Any:
    """Call a function, in a child with one thread for TensorFlow: pieces of work, not operations, run in parallel."""
    if os.getpid() != parent:
        os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))
    return function(*values)
