"""What several tests share, and what the processes do that run them (pytest-xdist).

A run of train.py takes a minute. Those of BESIDE are trained one after another in the background of the first process,
while the tests that do without them come first; a test that needs one waits for it, or trains it if none did.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from hypothesis import settings

from pipeline.workers import TENSORFLOW_THREADS

settings.register_profile("no time is asserted", deadline=None)
settings.load_profile("no time is asserted")

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "sleep-accel"
if "PYTEST_XDIST_WORKER" in os.environ:  # the processes share the cores
    for name in (*TENSORFLOW_THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
ENVIRONMENT = {**os.environ}  # before any test changes it
STOPPABLE = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); del sys.argv[0]; "
STOPPABLE += "runpy.run_path(sys.argv[0], run_name='__main__')"  # a job in the background ignores SIGINT


@pytest.fixture(scope="session")
def real():
    """The folder of the 25 real nights; it is never written to."""
    if not REAL.is_dir():
        pytest.skip(f"the real nights are not at {REAL}")
    return REAL


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): a folder that make(folder) fills, by whichever process asks first; not to be written to."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared

    def folder_of(name, make):
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if not (folder / "whole").exists():
                folder.mkdir()
                make(folder)
                (folder / "whole").touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def synthetic(once):
    """A folder of six short synthetic nights: 1001 to 1006, 1.2 h of raw motion at 10 Hz, flaws in four of them."""
    from pipeline.synthetic import synthesize

    settings = {"subjects": 6, "hours": 1.2, "motion_hz": 10}
    return once("data", lambda folder: synthesize(folder / "synthetic", **settings)) / "synthetic"


def python(*arguments, cwd=ROOT):
    """Run python with these arguments in the project's folder, as a user does; returns the CompletedProcess."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="session")
def run_python():
    return python


def trained(data, out, *options):
    return {"done": python("train.py", "--dataset_dir", data, *options, "--out", out)}


def stopped_and_gone_on(data, out, architecture, *options):
    """A training that the user interrupts after its second epoch, and lets go on: how either process ended, how many
    epochs were trained between them, and the names in the folder then.
    """
    command = ["train.py", "--dataset_dir", data, "--architectures", architecture, *options, "--out", out]
    command = [sys.executable, "-c", STOPPABLE, *map(str, command)]
    log = out / "partial" / architecture / "accuracies.json"

    def epochs():
        return len(json.loads(log.read_text())) if log.exists() else 0

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, **pipes) as child:
        while child.poll() is None and epochs() < 2:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate()
    stopped = subprocess.CompletedProcess(command, child.returncode, stdout, stderr)
    then = {"stopped": stopped, "epochs": epochs(), "left": [path.name for path in out.glob("*")]}
    return then | {"done": python("train.py", "--resume", "--out", out)}


SIX_CHANNELS = "heart_rate,motion_x,motion_y,motion_z,steps,activity"
WITH_POINTS = """
import runpy, sys
import models.train_run
# hardly trained networks may need no weights at all, and tests need some of each
points = {"balanced": [0.1, 0.4, 0.1, 0.2, 0.2], "rem": [0.1, 0.1, 0.1, 0.1, 0.6]}
models.train_run.operating_points = lambda *_: ({name: {"weights": w} for name, w in points.items()}, {})
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ONE = ("--epochs", 1, "--variants", 0, "--inner_folds", 0)
BESIDE = {  # fixture: how it is trained into the folder `out`, in this order
    "quick_run": lambda data, out: {"done": python(
        "-c", WITH_POINTS, "train.py", "--dataset_dir", data, "--epochs", 2, "--variants", 1, "--inner_folds", 2,
        "--out", out,
    )},
    "stopped_run": lambda data, out: stopped_and_gone_on(
        data, out, "rnn", "--epochs", 40, "--inner_folds", 0, "--motion-magnitude", "--window_size", 60
    ),
    "clinical_run": lambda data, out: trained(
        data, out, "--architectures", "lstm", "--data-alignment", 30, "--train-split", 0.6,
        "--channels", SIX_CHANNELS, *ONE,
    ),
    "overlapping_run": lambda data, out: trained(
        data, out, "--architectures", "gru,transformer", "--stride", 15, "--negative_times",
        "--channels", "heart_rate, motion_x, activity", "--hidden_dim", 32, "--seed", 7, *ONE,
    ),
}  # fmt: skip


def pytest_collection_modifyitems(items):
    """Order tests as the runs that they wait for are trained; the tests that need none come first."""
    order = [*BESIDE]
    items.sort(key=lambda item: max((order.index(name) for name in item.fixturenames if name in BESIDE), default=-1))


@pytest.fixture(scope="session")
def train_once(once, synthetic):
    """A function: the run of that name in BESIDE, its folder and what is told of its processes."""

    def run(name):
        def make(folder):
            (folder / "processes.json").write_text(json.dumps(BESIDE[name](synthetic, folder / "run"), default=vars))

        folder = once(name, make)
        processes = json.loads((folder / "processes.json").read_text(), object_hook=lambda x: SimpleNamespace(**x))
        return SimpleNamespace(folder=folder / "run", **vars(processes))

    return run


@pytest.fixture(scope="session", autouse=True)
def beside(request):
    """The first process begins the trainings that the chosen tests need."""
    used = {name for item in request.session.items for name in item.fixturenames if name in BESIDE}
    if not used or os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        yield
        return
    with ThreadPoolExecutor(1) as pool:
        pool.map(request.getfixturevalue("train_once"), [name for name in BESIDE if name in used])
        yield
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def quick_run(train_once):
    """A run of train.py with all four networks on the synthetic nights, hardly trained; not to be written to.

    Probabilities of such networks lie close together, so quantized files may well be rejected; float32 may not.
    """
    run = train_once("quick_run")
    assert (run.folder / "parity.json").exists(), run.done.stderr
    return run


@pytest.fixture(scope="session")
def stopped_run(train_once):
    return train_once("stopped_run")


@pytest.fixture(scope="session")
def clinical_run(train_once):
    return train_once("clinical_run")


@pytest.fixture(scope="session")
def overlapping_run(train_once):
    return train_once("overlapping_run")


@pytest.fixture
def full_disk():
    """A context manager in which no file can be longer than 1000 bytes, as on a full disk."""

    @contextmanager
    def limited():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # Python ignores the signal
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(scope="session")
def mistake():
    """Assert that a command (of CliRunner, or a CompletedProcess) ended with exit code 2 and one clear line, no
    traceback; returns that line.
    """

    def line(result):
        exit_code = result.exit_code if hasattr(result, "exit_code") else result.returncode
        lines = result.stderr.splitlines()
        assert exit_code == 2, f"{exit_code} {getattr(result, 'exception', None)!r} {result.stdout} {result.stderr}"
        assert [text for text in lines if text.startswith("Error: ")] == lines[-1:], result.stderr
        assert "Traceback" not in result.stderr
        return lines[-1]

    return line
