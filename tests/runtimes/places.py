"""Where the tests of foreign runtimes find them, and what happens where one is absent."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENVS = {"tflite-runtime 2.14": ROOT / ".venv-older", "TFLite Micro": ROOT / ".venv-micro"}
LITERT = ROOT / "watch_sim" / "page" / "litert"
LIBRARY = ROOT / "apps" / "javascript"


def absent(what):
    """Skip, saying what is missing; where all should be there, fail."""
    (pytest.fail if "CI" in os.environ else pytest.skip)(f"{what}: see test-runtimes in the Makefile")
