"""Damaged recordings, bundles and saved states, and odd command lines: read or refused in words; no traceback, hang or
flood of memory.

Some cases by default; with FUZZ_SECONDS=3600, as `make fuzz` has it, for so long in all, by other seeds each time.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from tests.conftest import ENVIRONMENT, ROOT
from tests.fuzz.child import MEMORY

TARGETS = {"recordings": 25, "bundles": 25, "states": 60, "commands": 100}  # cases by default
TENSORFLOW = 1 << 29  # bytes that it takes, about
SECONDS = float(os.environ.get("FUZZ_SECONDS", 0))


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused(tmp_path, target, request):
    seed = int(time.time()) if SECONDS else 1
    cases, seconds = (10**9, SECONDS / len(TARGETS)) if SECONDS else (TARGETS[target], 60)
    run = [request.getfixturevalue("quick_run").folder] if target == "commands" else []
    call = [sys.executable, "-m", "tests.fuzz.child", target, tmp_path, seed, seconds, cases, *run]
    done = subprocess.run([*map(str, call)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print({k: v for k, v in told.items() if k != "found"})
    assert told["n"] == 0, "\n".join(told["found"])
    assert told["refused"] > told["cases"] // 10
    assert told["cases"] > 0 and told["peak"] < MEMORY + TENSORFLOW * (target == "commands")
