"""Runs work on the workers of a Dask scheduler, which must be running already.

Workers must see the folders of this process under the same paths. Work of a lost worker is done again by another, so it
must resume from, or replace, what the first one left.
"""

import asyncio
import io
import logging
import os
import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import cloudpickle
from distributed import CancelledError, Client, Future, as_completed, get_worker
from distributed.core import rpc
from distributed.scheduler import KilledWorker

from pipeline.errors import UserMistake
from pipeline.versions import versions_and_code
from pipeline.workers import TENSORFLOW_THREADS

TIMEOUT_S = 5  # s for a scheduler to answer
SHOWN = 3  # number of differing workers that a message lists
DASK = ("dask", "distributed", "tornado")  # packages that run alongside the work on a worker

# pickled by value: the scheduler, and workers whose path does not include the checkout yet, cannot import this module
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to the scheduler at an address such as tcp://host:8786, and check its workers.

    Yields:
        The client.

    Raises:
        UserMistake: No scheduler answers, or a worker has other package versions, other code or several threads.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the errors raised below say it all
    asyncio.run(_must_answer(scheduler))
    with Client(scheduler, set_as_default=False) as client:
        expected = versions_and_code() | {"threads": 1}
        found = client.run(describe, on_error="return")
        different = [f"{address}: {text}" for address, facts in found.items() if (text := differences(expected, facts))]
        if different:
            rest = f"; and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
            raise UserMistake(f"--scheduler {scheduler}: workers differ: {'; '.join(different[:SHOWN])}{rest}")
        yield client


async def _must_answer(scheduler: str) -> None:
    """Raise UserMistake if no scheduler answers; a client would take minutes to find out."""
    try:
        async with asyncio.timeout(TIMEOUT_S), rpc(scheduler) as remote:
            kind = (await remote.identity())["type"]
    except TimeoutError:
        kind = f"no answer for {TIMEOUT_S} s"
    except (OSError, ValueError, ImportError) as error:
        kind = (str(error) or type(error).__name__).splitlines()[0]
    if kind != "Scheduler":
        raise UserMistake(f"--scheduler {scheduler}: no Dask scheduler answers there ({kind})")


def describe(dask_worker: Any) -> dict[str, Any]:
    """On a worker: its versions, code and threads, which must equal the client's; only "code" outside a checkout."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        from pipeline.versions import versions_and_code
    except ImportError:
        return {"code": f"none in its folder {os.getcwd()}"}
    return versions_and_code() | {"threads": dask_worker.state.nthreads}


def differences(expected: dict[str, Any], found: dict[str, Any] | BaseException) -> str:
    """How a worker differs from this process, as text for the user; "" if it does not."""
    if isinstance(found, BaseException):
        return f"{type(found).__name__}: {found}"
    if len(found) == 1:
        return f"code {found['code']}; start it in a checkout"
    return ", ".join(
        f"{name} {found.get(name)} (here {value})" for name, value in expected.items() if found.get(name) != value
    )


def on_cluster(client: Client, function: Callable, arguments: Iterable[tuple], ordered: bool = True) -> Iterator[Any]:
    """Call a function with each of several arguments on the client's workers.

    Args:
        client: From `connected`.
        function: A function at the top level of one of the project's modules.
        arguments: A tuple of arguments for each call.
        ordered: Whether to yield results in the order of the arguments, or as they are ready.

    Yields:
        The results. If the caller stops, calls that have not started are cancelled.

    Raises:
        UserMistake: Raised by the function; or a worker that joined later differs or does not see a folder; or the
            scheduler is gone.
    """
    pieces = [cloudpickle.dumps(_Piece(function, values)) for values in arguments]
    if not client.ncores():
        click.echo("the scheduler has no workers yet: waiting for one", err=True)
    futures = deque(client.map(pickle.loads, pieces, pure=False, key=function.__name__, batch_size=1000))
    try:
        yield from _results(client, futures, ordered)
    except KilledWorker as error:
        last = error.last_worker.address if error.last_worker else "the last one"
        raise UserMistake(f"several workers died at the same work: see the log of {last}") from None
    except ImportError as error:
        raise UserMistake(str(error)) from None
    except CancelledError:
        raise UserMistake("the scheduler is gone; finished work is kept") from None
    finally:
        client.cancel(list(futures))


def _results(client: Client, futures: deque[Future], ordered: bool) -> Iterator[Any]:
    """Yield the results of futures, which are removed from the queue so that workers can free them."""
    if ordered:
        while futures:
            yield futures[0].result()
            futures.popleft()
    else:
        for future, result in as_completed(list(futures), loop=client.loop, with_results=True):
            futures.remove(future)
            yield result


class _Piece:
    """A call that runs when it is unpickled, so that the scheduler sees only `pickle.loads` and bytes."""

    def __init__(self, function: Callable, values: tuple):
        """Pickle a call for a worker."""
        file = io.BytesIO()
        pickler = _AbsolutePaths(file)
        pickler.dump((function, values))
        self.call = file.getvalue(), sorted(pickler.existing), versions_and_code() | {"threads": 1}

    def __reduce__(self) -> tuple:
        """The call."""
        return _call, self.call


class _AbsolutePaths(pickle.Pickler):
    """Makes paths absolute, as workers have another working folder.

    Attributes:
        existing: The pickled paths; for a path that does not exist, its nearest existing parent.
    """

    def __init__(self, file: io.BytesIO):
        """A pickler into a file."""
        super().__init__(file)
        self.existing: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """Pickle paths as absolute ones, and other values as usual."""
        if not isinstance(value, Path):
            return NotImplemented
        path = value.absolute()
        self.existing.add(str(next(place for place in (path, *path.parents) if place.exists())))
        return Path, (str(path),)


def _separate_random() -> None:
    """Give Dask, which draws random numbers in another thread, a separate generator.

    Keras draws a network's seeds from Python's generator; sharing it would give other networks than on one machine.
    """
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in DASK and vars(module).get("random") is random:
            vars(module)["random"] = random.Random()


def _call(call: bytes, folders: list[str], expected: dict[str, Any]) -> Any:
    """Run a call on a worker, which may have joined after the others were checked."""
    worker = get_worker()
    text = differences(expected, describe(worker))
    unseen = [folder for folder in folders if not os.path.exists(folder)]
    if unseen:
        text = f"it does not see {', '.join(unseen)}; folders must be shared, under the same paths"
    if text:
        raise ImportError(f"worker {worker.address}: {text}")  # the worker may be unable to import UserMistake
    _separate_random()
    os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))  # calls already run in parallel
    function, values = pickle.loads(call)
    return function(*values)
