"""Runs a command that is killed (-9) at a certain write: python killed.py N FOLDER train.py ... or ... -m export ...

N counts what happens to files below FOLDER: opened for writing, renamed, removed, folders that are made. With N = 0 the
command ends by itself, and the last line on standard error is how often something happened.
"""

import os
import runpy
import signal
import sys

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}

moment, folder, *command = sys.argv[1:]
happened = 0


def count(event, arguments):
    """Counts, and kills this process where it is due."""
    global happened
    changes = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)
    if changes and str(arguments[0]).startswith(folder):
        happened += 1
        if happened == int(moment):
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(count)
sys.path[0] = os.getcwd()
code = 0
try:
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
except SystemExit as end:
    code = end.code or 0
print(happened, file=sys.stderr)
sys.exit(code)
