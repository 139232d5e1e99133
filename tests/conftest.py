"""What several tests share."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "sleep-accel"


@pytest.fixture(scope="session")
def real():
    """The folder of the 25 real nights; it is never written to."""
    if not REAL.is_dir():
        pytest.skip(f"the real nights are not at {REAL}")
    return REAL


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """A folder of six short synthetic nights: 1001 to 1006, 1.2 h of raw motion at 10 Hz, flaws in four of them."""
    from pipeline.synthetic import synthesize

    folder = tmp_path_factory.mktemp("data") / "synthetic"
    synthesize(folder, subjects=6, hours=1.2, motion_hz=10)
    return folder


@pytest.fixture(scope="session")
def run_python():
    """Runs python with these arguments in the project's folder, as a user does; gives the CompletedProcess."""

    def run(*arguments, cwd=ROOT):
        return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)

    return run


class QuickRun(NamedTuple):
    folder: Path
    done: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def quick_run(synthetic, tmp_path_factory, run_python):
    """A run of train.py with all four networks on the synthetic nights, hardly trained; not to be written to.

    Probabilities of such networks lie close together, so quantized files may well be rejected; float32 may not.
    """
    out = tmp_path_factory.mktemp("runs") / "quick"
    done = run_python("train.py", "--dataset_dir", synthetic, "--epochs", 2, "--variants", 1, "--out", out)
    assert (out / "parity.json").exists(), done.stderr
    return QuickRun(out, done)


@pytest.fixture(scope="session")
def mistake():
    """Asserts that a command (of CliRunner, or a CompletedProcess) ended with exit code 2 and one clear line, no
    traceback; gives that line.
    """

    def line(done):
        exit_code = done.exit_code if hasattr(done, "exit_code") else done.returncode
        said = done.stderr.splitlines()
        assert exit_code == 2, f"{exit_code} {getattr(done, 'exception', None)!r} {done.stdout} {done.stderr}"
        assert [text for text in said if text.startswith("Error: ")] == said[-1:], done.stderr
        assert "Traceback" not in done.stderr
        return said[-1]

    return line
