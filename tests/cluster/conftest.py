"""A scheduler and workers as people start them: processes of their own, in the checkout."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from distributed import Client

ROOT = Path(__file__).resolve().parents[2]
DASK = Path(sys.executable).with_name("dask")


@contextmanager
def running(log, *command, cwd=ROOT, **environment):
    """A process that is ended with the block."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [DASK, *map(str, command)], cwd=cwd, env=os.environ | environment, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        process.kill()  # asked to end, a worker with TensorFlow takes many seconds; its child ends with it
        process.wait()


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory):
    """Address of a scheduler."""
    folder = tmp_path_factory.mktemp("scheduler")
    file = folder / "scheduler.json"
    options = "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file
    with running(folder / "log", "scheduler", *options) as process:
        while not file.exists() or not file.read_text():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]


@contextmanager
def workers_of(scheduler, folder, *kinds):
    """Workers that have come to the scheduler, each started by (options, settings)."""
    with Client(scheduler, set_as_default=False) as client, ExitStack() as stack:
        before = {*client.nthreads()}
        logs = [folder / f"log_{i}" for i in range(len(kinds))]
        processes = [
            stack.enter_context(running(log, "worker", scheduler, "--no-dashboard", *options, **settings))
            for log, (options, settings) in zip(logs, kinds, strict=True)
        ]
        while len({*client.nthreads()} - before) < len(kinds):
            assert all(process.poll() is None for process in processes), [log.read_text() for log in logs]
            time.sleep(0.1)
        yield
        stack.close()
        while {*client.nthreads()} - before:
            time.sleep(0.1)


@pytest.fixture(scope="session")
def two_workers(scheduler, tmp_path_factory):
    """Address of a scheduler with two workers of one thread."""
    one = ("--nthreads", 1), {}
    with workers_of(scheduler, tmp_path_factory.mktemp("workers"), one, one):
        yield scheduler


@pytest.fixture
def further_workers(scheduler, tmp_path):
    """Starts further workers for a block."""
    return lambda *kinds: workers_of(scheduler, tmp_path, *kinds)


@pytest.fixture
def pids(two_workers):
    """Process ids of the workers as they are now."""

    def now():
        with Client(two_workers, set_as_default=False) as client:
            return [*client.run(os.getpid).values()]

    return now
