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
        process.terminate()
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
def worker_of(scheduler, log, *options, **settings):
    """A worker that has come to the scheduler."""
    with Client(scheduler, set_as_default=False) as client:
        before = {*client.nthreads()}
        with running(log, "worker", scheduler, "--no-dashboard", *options, **settings) as process:
            while not {*client.nthreads()} - before:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield process
        while {*client.nthreads()} - before:
            time.sleep(0.1)


@pytest.fixture(scope="session")
def two_workers(scheduler, tmp_path_factory):
    """Address of a scheduler with two workers of one thread."""
    folder = tmp_path_factory.mktemp("workers")
    with ExitStack() as stack:
        for i in range(2):
            stack.enter_context(worker_of(scheduler, folder / f"log_{i}", "--nthreads", 1))
        yield scheduler


@pytest.fixture
def another_worker(scheduler, tmp_path):
    """Starts a further worker for a block."""
    return lambda *options, **settings: worker_of(scheduler, tmp_path / "log", *options, **settings)


@pytest.fixture
def pids(two_workers):
    """Process ids of the workers as they are now."""

    def now():
        with Client(two_workers, set_as_default=False) as client:
            return [*client.run(os.getpid).values()]

    return now
