"""Generated requests over the whole API, as its description has it: schemathesis, stateful, with all its checks.

CASES=10000 make test-service ARGS="-k api_cases" generates as many, SEED=2 others; by default a bounded number.
"""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service

CASES = int(os.environ.get("CASES", "600"))
PER_EXAMPLE = 12  # cases, at least, of all operations and phases
# no JSON Schema says that lists are of equal length or in order, that a zone exists, or that a token is ours
ACCEPTED = '["2xx", 401, 404, 409, 410, 413, 415, 422]'


def test_no_request_breaks_what_is_described(start, synthetic, tmp_path):
    server = start("--dataset_dir", synthetic)
    (tmp_path / "schemathesis.toml").write_text(f"[checks.positive_data_acceptance]\nexpected-statuses = {ACCEPTED}\n")
    command = ["-m", "schemathesis.cli", "run", f"{server.address}/openapi.json", "--checks", "all", "--no-color"]
    bounds = [
        "--max-examples",
        str(max(1, CASES // PER_EXAMPLE)),
        "--seed",
        os.environ.get("SEED", "1"),
        "--workers",
        "2",
        "--request-timeout",
        "60",  # s; the first statistics import what they need
        "--continue-on-failure",
    ]
    done = subprocess.run([sys.executable, *command, *bounds], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    generated = int(re.search(r"(\d+) generated", done.stdout).group(1))
    assert generated >= CASES, done.stdout
    assert server.process.poll() is None
