"""What the command lines share."""

import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.options import ARTIFACTS, Options, UserMistake

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

HELP = {
    "negative_times": "Keep up to two hours before t=0, unscored.",
    "data_alignment": "Seconds per row; 30 is clinical alignment.",
    "motion_magnitude": "Add the magnitude of acceleration as a channel.",
    "window_size": "Seconds that a window sees.",
    "stride": "Seconds from one window to the next.",
    "channels": "Input channels, by comma; by default all that any training night has.",
    "architectures": "By comma.",
    "batch_size": "Nights per training step.",
    "variants": "Varied copies of each training night (dropouts, tempo, heart rate); 0 for none.",
    "hidden_dim": "Units of each network.",
    "lr": "Highest learning rate.",
    "epochs": "Training epochs.",
    "train_split": "Share of the subjects to train on.",
    "seed": "Same seed, same split and weights.",
}


_hushing = threading.RLock()


@contextmanager
def hushed():
    """Keep what native code writes to standard error from the user. One thread at a time: standard error is all's."""
    with _hushing:
        sys.stderr.flush()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


class CommaList(click.ParamType):
    """Values separated by commas, each once, as a tuple."""

    name = "list"

    def convert(self, value, param, ctx):
        parts = () if isinstance(value, tuple) else (part.strip() for part in value.split(","))
        return value if isinstance(value, tuple) else tuple(dict.fromkeys(part for part in parts if part))


def option(name, into=None, **settings):
    """A click option that is also spelt with dashes. into: the parameter it fills, if of another name."""
    if settings.get("type") is Path:
        settings["type"] = click.Path(path_type=Path)
    spelt = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"])
    return click.option(*spelt, into or name, **settings)


def progress_bar():
    """What is happening, and how long it will take; on standard error."""
    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(SpinnerColumn(), *columns, console=console, transient=True)


def options_of_run(command):
    """The fields of Options as command-line options."""
    for field in reversed(fields(Options)):
        kind = {"type": CommaList()} if isinstance(field.default, tuple) else {"type": type(field.default)}
        kind = {"is_flag": True} if isinstance(field.default, bool) else kind
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        command = option(field.name, default=field.default, help=f"{HELP[field.name]}  [{shown}]", **kind)(command)
    return command


def new_folder(name):
    """artifacts/<YYYY-MM-DD>/<name>_<n>, made here so that two commands started together do not share it."""
    day = ARTIFACTS / date.today().isoformat()
    day.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        try:
            (day / f"{name}_{n}").mkdir()
            return day / f"{name}_{n}"
        except FileExistsError:
            n += 1


def made(out):
    """The folder `out`, made if need be. Raises UserMistake where none can be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f"--out {out}: no folder can be made there ({error.strerror})") from None
    return out


def must_be_new(out):
    """Raises UserMistake where there is something in the folder `out` already, or it is a file."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserMistake(f"--out {out}: exists and is not empty; name another, or add --resume to go on with it")
