"""Drives a SleepStager of any language by a script, so that the same tests hold for all.

A script is a list of lines, and each has an answer:

    create <precision> <start> <operating point or ->        feed <sensor> <t> <values...>
    take <now or ->            -> time stage probabilities sensor=share,seconds_since ... | ...      of each epoch
    dropped                    -> sensor.reason=samples ...     but for what is 0
    findings                   -> text | ...
    step <channel>=<v>,<v> ... -> probabilities
    save / cut / restore       what save gave is kept; cut halves it, restore hands it over
    reset <start>
    segments <zone> <platform> <origin>  -> start end stage value | ...     of all epochs so far

"ok" where there is nothing to say, "error ..." where it raised.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.app_code import write_apps
from export.contract import Contract

HERE = Path(__file__).parent
LANGUAGES = ["python", *(pytest.param(name, marks=pytest.mark.runtimes) for name in ("javascript", "kotlin"))]


def app_bundle(run, scratch):
    """A copy, in the folder scratch, of the GRU of a run with its app code."""
    folder = Path(shutil.copytree(run / "bundles" / "gru", scratch / "gru"))
    write_apps(folder, Contract.read(folder))
    return folder


def module(path):
    """The Python module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def coverage_words(coverage):
    """Words of {sensor: (share, seconds since)}."""
    return [f"{sensor}={share},{since}".replace("None", "null") for sensor, (share, since) in coverage.items()]


def dropped_words(dropped):
    """Words of {sensor: {reason: samples}}, but for what is 0."""
    return [f"{sensor}.{reason}={n}" for sensor, reasons in dropped.items() for reason, n in reasons.items() if n]


class Python:
    """Runs scripts on the sleep_stager.py of a bundle folder, in this process."""

    def __call__(self, folder, script):
        app = module(folder / "sleep_stager.py")
        interpreters = module(HERE / "interpreters.py")
        app.Interpreter, interpreters.Recorder.folder = interpreters.interpreter, folder
        self.epochs = []
        return [self.answer(app, folder, *line.split(" ")) for line in script]

    def answer(self, app, folder, word, *rest):
        try:
            if word == "create":
                self.stager = app.SleepStager(folder, rest[0], float(rest[1]), None if rest[2] == "-" else rest[2])
            elif word == "feed":
                self.stager.feed(rest[0], float(rest[1]), [float(x) for x in rest[2:]])
            elif word == "take":
                taken = self.stager.take(*(float(x) for x in rest if x != "-"))
                self.epochs += taken
                return "|".join(
                    " ".join(map(str, [e.time, e.stage, *e.probabilities.tolist(), *coverage_words(e.coverage)]))
                    for e in taken
                )
            elif word == "dropped":
                return " ".join(dropped_words(self.stager.dropped))
            elif word == "findings":
                return "|".join(self.stager.findings)
            elif word == "step":
                pairs = (text.split("=") for text in rest)
                probabilities = self.stager.step(
                    {name: [float(x) for x in values.split(",")] for name, values in pairs}
                )
                return " ".join(map(str, probabilities.tolist()))
            elif word == "save":
                self.saved = self.stager.save()
            elif word == "cut":
                self.saved = self.saved[: len(self.saved) // 2]
            elif word == "restore":
                self.stager.restore(self.saved)
            elif word == "reset":
                self.stager.reset(float(rest[0]))
            elif word == "segments":
                found = app.segments(self.epochs, rest[0], rest[1], float(rest[2]))
                return "|".join(" ".join(map(str, segment)) for segment in found)
        except ValueError as error:
            return f"error {error}"
        return "ok"


class Process:
    """Runs scripts on app code in a process of its own: command(folder) gives its words."""

    def __init__(self, command):
        self.command = command

    def __call__(self, folder, script):
        done = subprocess.run(
            self.command(folder),
            input="".join(f"{line}\n" for line in script),
            capture_output=True,
            text=True,
            env=os.environ | {"INTERPRETERS": f"{sys.executable}\n{HERE / 'interpreters.py'}\n{folder}"},
        )
        answers = done.stdout.splitlines()
        assert done.returncode == 0 and len(answers) == len(script), done.stderr or answers[-1:]
        return answers


def found(program):
    """Path of a program; skips the test where it is not installed."""
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def driver(language, scratch):
    """What drives the app code of a language. scratch: a folder for what is compiled."""
    if language == "python":
        return Python()
    if language == "javascript":
        return Process(lambda folder: [found("node"), HERE / "driver.mjs", folder])
    compiled = {}

    def command(folder):
        source = (folder / "SleepStager.kt").read_text()
        if source not in compiled:
            jar = scratch / f"{len(compiled)}.jar"
            sources = [folder / "SleepStager.kt", *HERE.glob("*.kt")]
            done = subprocess.run(
                [found("kotlinc"), *sources, "-include-runtime", "-d", jar], capture_output=True, text=True
            )
            assert jar.exists(), done.stderr
            warnings = [line for line in done.stderr.splitlines() if line.startswith(str(folder))]
            assert not warnings, warnings
            compiled[source] = jar
        return [found("java"), "-cp", compiled[source], "DriverKt", folder]

    return Process(command)


def text(*words):
    """A line of a script: floats as the shortest text that gives them back."""
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return " ".join(names.get(word, word) for word in (str(x) if isinstance(x, str) else repr(float(x)) for x in words))


def feeding(events):
    """Lines that feed events (sensor, t, value or values)."""
    return [text("feed", sensor, t, *np.ravel(value)) for sensor, t, value in events]


def rows(answers):
    """The words of every epoch in the answers to take."""
    return [epoch.split(" ") for answer in answers for epoch in answer.split("|") if epoch]


def epochs(answers):
    """(times, stages, probabilities float32 [n, 5]) of the answers to take."""
    words = rows(answers)
    return (
        [float(row[0]) for row in words],
        [row[1] for row in words],
        np.array([row[2:7] for row in words], np.float64).astype(np.float32),
    )


def coverages(answers):
    """[{sensor: (share, seconds since or None)}] of the answers to take."""
    found = []
    for row in rows(answers):
        pairs = [word.replace("=", ",").split(",") for word in row[7:]]
        found.append({name: (float(share), None if s == "null" else float(s)) for name, share, s in pairs})
    return found
