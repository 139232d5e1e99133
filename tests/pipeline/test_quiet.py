"""What native code writes to standard error inside the block is dropped, and nothing else."""

import os
import sys

import pytest

from pipeline.quiet import native_stderr_silenced


def test_native_stderr_is_dropped_inside_the_block_only(capfd):
    os.write(2, b"before\n")
    with native_stderr_silenced():
        os.write(2, b"inside\n")
        os.write(1, b"standard output\n")
        with native_stderr_silenced():  # the same thread may nest it
            os.write(2, b"nested\n")
        os.write(2, b"inside again\n")
    os.write(2, b"after\n")
    print("python", file=sys.stderr, flush=True)
    captured = capfd.readouterr()
    assert captured.err == "before\nafter\npython\n"
    assert captured.out == "standard output\n"


def test_an_error_inside_restores_stderr_and_leaves_no_open_file(capfd):
    open_files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError), native_stderr_silenced():
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    assert len(os.listdir("/proc/self/fd")) == open_files
