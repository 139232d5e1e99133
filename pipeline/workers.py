"""Work that runs in parallel: on the cores of this machine, or on the workers of a Dask scheduler."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from joblib import Parallel, delayed, parallel_config

ALL_CORES = -1


@contextmanager
def workers(jobs: int = ALL_CORES) -> Iterator[None]:
    """Within it, `in_parallel` runs `jobs` pieces of work at a time.

    Args:
        jobs: How many; ALL_CORES for as many as the machine has cores.
    """
    with parallel_config(backend="loky", n_jobs=jobs):
        yield


def in_parallel(function: Callable, arguments: Iterable[tuple], ordered: bool = True) -> Iterator[Any]:
    """What a function returns for each of several arguments, computed by the `workers` in whose context this is called.

    Args:
        function: Of a module, so that another process can import it.
        arguments: A tuple of arguments for each call.
        ordered: Whether results come in the order of the arguments, or as they are ready.

    Returns:
        The results, as they come.
    """
    how = "generator" if ordered else "generator_unordered"
    return Parallel(return_as=how, batch_size=1)(delayed(function)(*each) for each in arguments)
