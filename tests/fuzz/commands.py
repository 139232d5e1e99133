"""Odd command lines: every command, with one to three odd options or arguments, up to where its long work would begin.

Whatever is refused takes one line and exit code 2 and leaves nothing behind; nothing that was there before changes.
"""

import os
import shutil
import traceback
from pathlib import Path

import click
from click.testing import CliRunner

import evaluation.__main__ as evaluating
import evaluation.saliency
import export.__main__ as exporting
import models.__main__ as preparing
import pipeline.__main__ as recording
import train
import watch_sim.__main__ as watching
import watch_sim.parity
import watch_sim.service.server
from pipeline import synthetic

REFERENCE = Path(__file__).parents[2] / "bundles" / "gru-int8"
CSV = "time,heart_rate,activity\n" + "".join(f"{15 * i},{60 + i % 5},{i % 3}\n" for i in range(400))
ODD = ["", " ", "a b", "a\nb", "é💤", "x" * 300, "\udcff", "new/\x7f", "'; rm -rf x", "$(x)", "%s%n", "{0}", "[red]x"]
ODD += (Path(__file__).parent / "odd_values.txt").read_text().split()

READERS = []  # of the pipe: without one, whoever writes to a pipe waits, as is usual


class Reached(BaseException):
    """The command line was accepted, and the work would begin."""


def reached(*args, **kwargs):
    raise Reached


def stop_before_work():
    """Replace the long work of every command, and what waits or needs a network."""
    train.train_and_check = preparing.features_of_parts = evaluating.run_folds = watch_sim.service.server.listen = (
        reached
    )
    synthetic.scratch_folder = recording.downloading.download = evaluation.saliency.load_nights = reached
    watch_sim.parity.load_nights = evaluating.load_nights = reached


def commands():
    """{name: (command, arguments that are valid)}; those of a run come last."""
    nights, out = ["--dataset_dir", "nights"], ["--out", "new"]
    return {
        "check": (recording.main, ["check", "nights", "--jobs", "1"]),
        "import": (recording.main, ["import", "csv", "night.csv", "new", "--jobs", "1"]),
        "synthesize": (recording.main, ["synthesize", "new"]),
        "train": (train.main, [*nights, *out, "--jobs", "1"]),
        "prepare": (preparing.main, ["prepare", "nights", *out, "--jobs", "1"]),
        "evaluation": (evaluating.main, ["run", *nights, *out, "--jobs", "1"]),
        "verify": (exporting.main, ["verify", "bundle"]),
        "zip": (exporting.main, ["zip", "bundle", "--out", "new.zip"]),
        "sign": (exporting.main, ["sign", "bundle"]),
        "ship": (exporting.main, ["bundle", "--for", "any", *out]),
        "predict": (watching.main, ["predict", "bundle", "night.csv", "--out", "new.csv", "--jobs", "1"]),
        "serve": (watching.main, ["serve", "bundle", *nights, "--port", "0"]),
        "parity": (watching.main, ["parity", "run", *nights]),
        "score": (evaluating.main, ["score", "run", *nights]),
        "stress": (evaluating.main, ["stress", "run", *nights, "--stresses", "none"]),
        "saliency": (evaluating.main, ["saliency", "run", *nights]),
        "export": (exporting.main, ["run", "run", "--for", "any", "--architectures", "gru", *out]),
    }


def options_of(command, arguments):
    """Names of the options of the command that these arguments call, and whether each is a flag."""
    if isinstance(command, click.Group):
        command = command.commands.get(arguments[0], command.commands.get("run"))
    return [
        (name, option.is_flag) for option in command.params if isinstance(option, click.Option) for name in option.opts
    ]


def odd_line(draw, command, arguments):
    """The arguments with one to three of them replaced or added."""
    line, options = list(arguments), options_of(command, arguments)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if draw.random() < 0.3:
            line[draw.randrange(len(line))] = draw.choice(ODD)
        elif draw.random() < 0.1:
            line.append(draw.choice(ODD))
        else:
            name, is_flag = draw.choice(options)
            line += [name] if is_flag else [name, draw.choice(ODD)]
    return line


def contents(folder):
    """{path: its content, or where it leads} of everything in a folder, but for empty locks."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return {name: content for name, content in found.items() if Path(name).name != ".lock" or content}


def furnish(place, whole):
    """Make the place anew with what command lines name, and odd files and links."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    (place / "empty").mkdir()
    for name, target in (("circle", "circle"), ("broken", "nothing"), ("link", "empty")):
        (place / name).symlink_to(target)
    os.mkfifo(place / "pipe")
    while READERS:
        os.close(READERS.pop())
    READERS.append(os.open(place / "pipe", os.O_RDONLY | os.O_NONBLOCK))


def command_lines(folder, run=None):
    """Command lines: a case runs one and looks at what it said and left."""
    place, whole, group = folder / "place", folder / "whole", commands()
    synthetic.synthesize(whole / "nights", subjects=4, hours=0.6, motion_hz=0)
    shutil.copytree(REFERENCE, whole / "bundle")
    (whole / "night.csv").write_text(CSV)
    if run:
        shutil.copytree(run, whole / "run")
    names = [name for name, (_, line) in group.items() if run or "run" not in line[1:]]
    stop_before_work()
    furnish(place, whole)
    before = contents(place)

    def case(draw):
        command, arguments = group[draw.choice(names)]
        line = odd_line(draw, command, arguments)
        os.chdir(place)
        try:
            check(command, line, place, before)
        except Reached:
            return False
        finally:
            os.chdir(folder)
            if contents(place) != before:
                furnish(place, whole)
        return True

    return case


def check(command, line, place, before):
    """Run one command line, and assert what must hold of every one."""
    done = CliRunner().invoke(command, line)
    trouble = done.exception and "".join(traceback.format_exception(done.exception))
    assert done.exception is None or isinstance(done.exception, SystemExit), f"{line}\n{trouble}"
    assert done.exit_code in (0, 1, 2), line
    assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"
    after = contents(place)
    changed = sorted(name for name, content in before.items() if after.get(name, ...) != content)
    assert not [name for name in changed if name not in line], f"{line}: changed {changed}"
    if done.exit_code == 2:
        errors = [text for text in done.stderr.splitlines() if text.startswith("Error: ")]
        assert errors == done.stderr.splitlines()[-1:], f"{line}\n{done.stderr}"
        parents = {str(path) for argument in line for path in Path(argument).parents}  # of an output may stay
        new = sorted(after.keys() - before.keys() - parents)
        assert not new and not changed, f"{line}: refused, but new {new[:5]}, changed {changed[:5]}"
