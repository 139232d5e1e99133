"""Versions of the packages and of the project that a run was made with."""

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "ai-edge-litert", "ai-edge-quantizer")
CODE = ("apps/python", "pipeline", "scoring", "models", "export", "watch_sim", "evaluation")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect a run's results, {package: version}."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": sys.version.split()[0]}


@cache
def versions_and_code() -> dict[str, str]:
    """Package versions, Dask's included, and a digest of the project's code: equal wherever a command's work is done.

    The digest is cached at the first call: a running process has imported that code, not later edits.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    of_dask = {name: importlib.metadata.version(name) for name in ("distributed", "cloudpickle")}
    return package_versions() | of_dask | {"code": digest.hexdigest()}


def commit() -> str | None:
    """The project's commit, with a + if files differ from it; None outside a checkout or without git."""
    if shutil.which("git") is None:
        return None
    describe = ["git", "describe", "--always", "--abbrev=40", "--dirty=+"]
    result = subprocess.run(describe, cwd=Path(__file__).parent, capture_output=True, text=True)
    return result.stdout.strip() or None
