"""Children of a killed command end, also those that have not begun to work."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ENVIRONMENT, ROOT

pytestmark = pytest.mark.faults
LEAST_S, MOST_S = 0.1, 30
COMMAND = """
from pipeline.workers import in_parallel, workers
from slow import function
with workers(2):
    list(in_parallel(function, [(1,), (2,), (3,)]))
"""
SLOW = """
import os, sys, time
from pathlib import Path
if "-c" not in sys.orig_argv[1:2]:  # a child, for which TensorFlow would take seconds
    Path(__file__).with_name(f"child_{os.getpid()}").touch()
    time.sleep(600)
def function(i): pass
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_children_that_still_import_end_with_their_parent(tmp_path, ending):
    (tmp_path / "slow.py").write_text(SLOW)
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen([sys.executable, "-c", COMMAND], cwd=ROOT, env=environment) as command:
        until = time.monotonic() + MOST_S
        while not (children := [*tmp_path.glob("child_*")]) and time.monotonic() < until:
            time.sleep(LEAST_S)
        command.send_signal(ending)
        assert command.wait() == -ending
    importing = [int(path.name.removeprefix("child_")) for path in children]
    assert importing
    while any(map(psutil.pid_exists, importing)) and time.monotonic() < until:
        time.sleep(LEAST_S)
    assert not any(map(psutil.pid_exists, importing))
