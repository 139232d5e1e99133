"""What a run was made with: versions of packages and of this project."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "ai-edge-litert", "ai-edge-quantizer")


def package_versions() -> dict[str, str]:
    """{package: version} of those that decide a run's figures, and of Python."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}


def commit() -> str | None:
    """The project's commit, with a + where files differ from it; None outside a checkout or without git."""
    if shutil.which("git") is None:
        return None
    describe = ["git", "describe", "--always", "--abbrev=40", "--dirty=+"]
    result = subprocess.run(describe, cwd=Path(__file__).parent, capture_output=True, text=True)
    return result.stdout.strip() or None
