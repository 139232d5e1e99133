"""The memory that TensorFlow Lite Micro needs for a file, as its own allocator records it.

Measured in a child process of `.venv-micro` (see the Makefile), if installed, which runs this file: python arenas.py
FILE... So only the standard library may be imported here.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv-micro"
ROOM = 1_000_000  # bytes of the arena used for measuring
RECORD = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
STRUCTURES = re.compile(r"'(TfLiteEvalTensor data|NodeAndRegistration struct)' used (\d+) bytes")  # all pointers


def measured_arenas(paths: Iterable[Path]) -> dict[str, dict]:
    """What TensorFlow Lite Micro's allocator records for each file after one call.

    Args:
        paths: The .tflite files.

    Returns:
        {file: {"bytes": total, "tensors": share that tensors reuse, "kept": share held permanently, "bytes_32_bit":
        estimate for 32-bit machines}}; {file: {"error"}} for a file that does not run there; {} if TensorFlow Lite
        Micro is not installed. The package is 64-bit; the estimate halves its structures of pointers.

    Raises:
        RuntimeError: The child process failed; carries its stderr.
    """
    if not (ENVIRONMENT / "ready").exists():
        return {}
    command = [str(ENVIRONMENT / "bin" / "python"), __file__, *(str(Path(path).resolve()) for path in paths)]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"the measurement of arenas ended with status {child.returncode}\n{child.stderr}")
    return json.loads(child.stdout)


def figures(record: str) -> dict[str, int]:
    """Figures for one file, as in `measured_arenas`, parsed from the allocator's record."""
    total, head, tail = (int(dict(RECORD.findall(record))[name]) for name in ("total", "head", "tail"))
    pointers = sum(int(size) for _, size in STRUCTURES.findall(record))
    return {"bytes": total, "tensors": head, "kept": tail, "bytes_32_bit": total - pointers // 2}


def measure(path: str) -> dict:
    """Run one file once; the interpreter writes its record to the process's stderr."""
    from tflite_micro.python.tflite_micro import runtime

    with tempfile.TemporaryFile("w+") as record:
        stderr = os.dup(2)
        os.dup2(record.fileno(), 2)
        try:
            interpreter = runtime.Interpreter.from_file(path, arena_size=ROOM)
            interpreter.invoke()
            interpreter.print_allocations()
        except RuntimeError as error:
            return {"error": str(error)}
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        record.seek(0)
        return figures(record.read())


if __name__ == "__main__":
    print(json.dumps({Path(path).name: measure(path) for path in sys.argv[1:]}))
