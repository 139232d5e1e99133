"""The C++ stager of one model, compiled for this machine or for a microcontroller, and driven by a script."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.micro import write_micro

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[2] / "apps" / "micro"
STANDIN = HERE / "standin"
PYTHONS = sys.executable, HERE.parents[2] / ".venv-micro" / "bin" / "python"
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-fno-threadsafe-statics"]


def tool(name):
    """Path of a program; skips the test where it is not installed."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def compiled(*words):
    """Run a compiler; whatever it says is a failure."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def includes(model):
    return [f"-I{folder}" for folder in (LIBRARY, model, STANDIN)]


def built(contract, bundle, folder, precision=None, defines=()):
    """The driver of a bundle's model, compiled into a folder."""
    compiler = tool("g++")
    write_micro(folder, contract, precision, bundle)
    sources = HERE / "driver.cc", STANDIN / "interpreter.cc", folder / "model_data.cc"
    compiled(compiler, *STRICT, "-O1", *defines, *includes(folder), *sources, "-o", folder / "driver")
    return folder / "driver"


def python_of(runtime):
    """Path of a Python that has a runtime; skips the test where none does."""
    module = {"ai-edge-litert": "ai_edge_litert", "tflite-micro": "tflite_micro"}[runtime]
    for path in PYTHONS:
        if Path(path).exists() and not subprocess.run([path, "-c", f"import {module}"], capture_output=True).returncode:
            return path
    pytest.skip(f"{runtime} is not installed")


def drive(driver, script, log=None, python=sys.executable, runtime="ai-edge-litert"):
    """Answers to the lines of a script.

    Args:
        driver: Of `built`.
        script: Its lines.
        log: A folder where the models' inputs are written down.
        python: That has the runtime.
        runtime: That makes the calls.
    """
    command = [python, HERE / "interpreters.py", runtime, *([log] if log else [])]
    done = subprocess.run(
        [driver],
        input="".join(f"{line}\n" for line in script),
        capture_output=True,
        text=True,
        env=os.environ | {"INTERPRETERS": "\n".join(map(str, command))},
    )
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(script), done.stderr or answers[-1:]
    return answers


def text(*words):
    """A line of a script: floats as the shortest text that gives them back."""
    return " ".join(x if isinstance(x, str) else repr(float(x)) for x in words)


def epochs(answer):
    """The epochs of an answer to take, as a vector has them."""
    found = []
    for words in (epoch.split(" ") for epoch in answer.split("|") if epoch):
        pairs = (word.replace("=", ",").split(",") for word in words[7:])
        coverage = {
            name: {"share": float(share), "seconds_since": None if since == "null" else float(since)}
            for name, share, since in pairs
        }
        probabilities = [float(p) for p in words[2:7]]
        found.append({"time": float(words[0]), "stage": words[1], "probabilities": probabilities, "coverage": coverage})
    return found
