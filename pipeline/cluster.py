"""Work on the workers of a Dask scheduler. Both run already: nothing is started here.

Workers see the folders of this process under the same paths. Work whose worker is lost is done again by another one, so
it must go on from what it left, or replace it.
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

TIMEOUT_S = 5  # for a scheduler to answer
SHOWN = 3  # workers that differ, in a message
DASK = ("dask", "distributed", "tornado")  # packages that run beside the work on a worker

# sent whole: neither the scheduler nor a worker that has not been told of its checkout can import this module
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of the scheduler at an address such as tcp://host:8786, whose workers are like this process.

    Raises:
        UserMistake: No scheduler answers there, or a worker has other versions, other code or several threads.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say is in the errors below
    asyncio.run(_must_answer(scheduler))
    with Client(scheduler, set_as_default=False) as client:
        here = versions_and_code() | {"threads": 1}
        there = client.run(describe, on_error="return")
        different = [f"{address}: {text}" for address, facts in there.items() if (text := differences(here, facts))]
        if different:
            rest = f"; and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
            raise UserMistake(f"--scheduler {scheduler}: workers differ: {'; '.join(different[:SHOWN])}{rest}")
        yield client


async def _must_answer(scheduler: str) -> None:
    """Raise UserMistake where no scheduler answers; a client would take minutes to find out."""
    try:
        async with asyncio.timeout(TIMEOUT_S), rpc(scheduler) as there:
            kind = (await there.identity())["type"]
    except TimeoutError:
        kind = f"no answer for {TIMEOUT_S} s"
    except (OSError, ValueError, ImportError) as error:
        kind = (str(error) or type(error).__name__).splitlines()[0]
    if kind != "Scheduler":
        raise UserMistake(f"--scheduler {scheduler}: no Dask scheduler answers there ({kind})")


def describe(dask_worker: Any) -> dict[str, Any]:
    """What must be alike on all workers and here; of a worker that was not started in a checkout, that."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        from pipeline.versions import versions_and_code
    except ImportError:
        return {"code": f"none in its folder {os.getcwd()}"}
    return versions_and_code() | {"threads": dask_worker.state.nthreads}


def differences(here: dict[str, Any], there: dict[str, Any] | BaseException) -> str:
    """In what a worker differs from this process, for people; empty if in nothing."""
    if isinstance(there, BaseException):
        return f"{type(there).__name__}: {there}"
    if len(there) == 1:
        return f"code {there['code']}; start it in a checkout"
    return ", ".join(
        f"{name} {there.get(name)} (here {value})" for name, value in here.items() if there.get(name) != value
    )


def on_cluster(client: Client, function: Callable, arguments: Iterable[tuple], ordered: bool = True) -> Iterator[Any]:
    """What a function returns for each of several arguments, computed by the client's workers.

    Args:
        client: Of `connected`.
        function: Of a module of the project.
        arguments: A tuple of arguments for each call.
        ordered: Whether results come in the order of the arguments, or as they are ready.

    Returns:
        The results, as they come. What is not under way is not begun where the caller stops.

    Raises:
        UserMistake: Of the function; a worker that came later differs or does not see a folder; the scheduler is gone.
    """
    pieces = [cloudpickle.dumps(_Piece(function, values)) for values in arguments]
    if not client.ncores():
        click.echo("no worker yet at the scheduler: waiting for one", err=True)
    futures = deque(client.map(pickle.loads, pieces, pure=False, key=function.__name__, batch_size=1000))
    try:
        yield from _results(client, futures, ordered)
    except KilledWorker as error:
        last = error.last_worker.address if error.last_worker else "the last of them"
        raise UserMistake(f"workers died, one after another, at the same work: see the log of {last}") from None
    except ImportError as error:
        raise UserMistake(str(error)) from None
    except CancelledError:
        raise UserMistake("the scheduler is gone; what its workers have finished is kept") from None
    finally:
        client.cancel(list(futures))


def _results(client: Client, futures: deque[Future], ordered: bool) -> Iterator[Any]:
    """Results of futures, which leave the queue, so that workers need not keep them."""
    if ordered:
        while futures:
            yield futures[0].result()
            futures.popleft()
    else:
        for future, result in as_completed(list(futures), loop=client.loop, with_results=True):
            futures.remove(future)
            yield result


class _Piece:
    """A call that is done when it is unpickled, so that a scheduler sees nothing but `pickle.loads` and bytes."""

    def __init__(self, function: Callable, values: tuple):
        """A call that a worker can do."""
        file = io.BytesIO()
        pickler = _AbsolutePaths(file)
        pickler.dump((function, values))
        self.call = file.getvalue(), sorted(pickler.existing), versions_and_code() | {"threads": 1}

    def __reduce__(self) -> tuple:
        """The call."""
        return _call, self.call


class _AbsolutePaths(pickle.Pickler):
    """Makes paths absolute: workers have another working folder. `existing`: the paths, or what exists above them."""

    def __init__(self, file: io.BytesIO):
        """A pickler into a file."""
        super().__init__(file)
        self.existing: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """How a path is pickled; other values as ever."""
        if not isinstance(value, Path):
            return NotImplemented
        path = value.absolute()
        self.existing.add(str(next(place for place in (path, *path.parents) if place.exists())))
        return Path, (str(path),)


def _draw_apart() -> None:
    """Give Dask, which draws numbers in another thread, a generator of its own.

    Keras draws the seeds of a network from Python's, so that networks would not be those that one machine trains.
    """
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in DASK and vars(module).get("random") is random:
            vars(module)["random"] = random.Random()


def _call(call: bytes, folders: list[str], here: dict[str, Any]) -> Any:
    """Do a piece of work on a worker, which may have come after the others were looked at."""
    worker = get_worker()
    text = differences(here, describe(worker))
    unseen = [folder for folder in folders if not os.path.exists(folder)]
    if unseen:
        text = f"it does not see {', '.join(unseen)}; folders must be shared, under the same paths"
    if text:
        raise ImportError(f"worker {worker.address}: {text}")  # UserMistake may be what it cannot import
    _draw_apart()
    os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))  # pieces, not operations, are parallel
    function, values = pickle.loads(call)
    return function(*values)
