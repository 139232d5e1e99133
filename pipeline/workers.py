"""Parallel work: on the cores of this machine, or on the workers of a Dask scheduler."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from multiprocessing import resource_tracker
from typing import Any

import psutil
from joblib import Parallel, cpu_count, delayed, effective_n_jobs, parallel_config

ALL_CORES = -1
MOST_JOBS = 1024
JOB_BYTES = 1_000_000_000  # memory that one process may need: TensorFlow with the nights of a fold
PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when its parent ends
WATCH_S = 0.2  # s between checks that the parent is alive
TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


_cluster: ContextVar[Any] = ContextVar("cluster", default=None)  # the client of pipeline.cluster in use


@contextmanager
def workers(jobs: int = ALL_CORES, scheduler: str | None = None) -> Iterator[None]:
    """Let `in_parallel` run several calls at a time inside the block.

    Args:
        jobs: Number of processes; ALL_CORES for as many as there are cores, or as fit into the free memory. With 1, no
            process is started.
        scheduler: Address of a Dask scheduler, whose workers do the work instead.

    Raises:
        UserMistake: As `pipeline.cluster.connected`.
    """
    with ExitStack() as stack:
        client = None
        if scheduler:
            from pipeline.cluster import connected  # takes a second to import

            client = stack.enter_context(connected(scheduler))
        elif jobs == ALL_CORES:
            jobs = max(1, min(cpu_count(), psutil.virtual_memory().available // JOB_BYTES))
        # as soon as a child has started: it may yet have to import TensorFlow before its first call
        start = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
        stack.enter_context(parallel_config(backend="loky", n_jobs=1 if client else jobs, **start))
        stack.callback(_cluster.reset, _cluster.set(client))
        yield


def in_parallel(
    function: Callable, arguments: Iterable[tuple], ordered: bool = True, worth_a_child: bool = True
) -> Iterator[Any]:
    """Call a function with each of several arguments, on the `workers` of the enclosing block.

    Args:
        function: A function at the top level of a module, so that other processes can import it.
        arguments: A tuple of arguments for each call.
        ordered: Whether to return results in the order of the arguments, or as they are ready.
        worth_a_child: Whether the work is worth the seconds it takes to start a process. If not, or for a single call
            without a cluster, this process does it.

    Returns:
        An iterator over the results.
    """
    arguments = list(arguments)
    if worth_a_child and (client := _cluster.get()):
        from pipeline.cluster import on_cluster

        return on_cluster(client, function, arguments, ordered)
    how = "generator" if ordered else "generator_unordered"
    calls = (delayed(_call)(os.getpid(), function, values) for values in arguments)
    if not worth_a_child or len(arguments) < 2:
        return Parallel(1, return_as=how, batch_size=1)(calls)
    jobs = min(effective_n_jobs(None), len(arguments))  # joblib would start all processes, whatever there is to do
    with _children_without_interrupts():
        return Parallel(jobs, return_as=how, batch_size=1)(calls)


@contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Children that are started in the block take no Ctrl-C, which comes to all processes of a terminal: this one ends
    them, and shows no traceback of what they were importing. Here, Ctrl-C waits until the block ends.
    """
    resource_tracker.ensure_running()  # its start, with the first child, would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def end_with_parent(parent: int, by_kernel: bool = False) -> None:
    """End this child process when its parent ends: children of a killed command must not go on writing.

    Args:
        parent: The parent's process id; it may have ended already.
        by_kernel: Whether the kernel ends it, too, on Linux: for native code that keeps Python's threads from running.
            Only for children whose starting thread waits for their end, as they end with that thread.
    """
    if by_kernel:
        with suppress(AttributeError):  # other systems lack it
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(parent: int, function: Callable, values: tuple) -> Any:
    """Call a function; in a child process, with one TensorFlow thread, because calls already run in parallel."""
    if os.getpid() != parent:
        os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))
    return function(*values)
