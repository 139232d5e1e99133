"""What tests of bundles share: those of the quick run.

Its quantized files may have been rejected by parity: what holds for a file holds for those in rejected/ too.
"""

import pytest


@pytest.fixture
def bundle(quick_run, architecture):
    return quick_run.folder / "bundles" / architecture


@pytest.fixture
def files(quick_run):
    """(architecture, precision) -> .tflite of a stager, in the bundle or rejected."""

    def find(architecture, precision):
        name = f"{architecture}.{precision}.tflite"
        (path,) = quick_run.folder.glob(f"*/**/{architecture}/{name}")
        return path

    return find
