"""What several tests share."""

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "sleep-accel"


@pytest.fixture(scope="session")
def real():
    """The folder of the 25 real nights; it is never written to."""
    if not REAL.is_dir():
        pytest.skip(f"the real nights are not at {REAL}")
    return REAL
