"""What the command lines share."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def hushed():
    """Keep what native code writes to standard error from the user."""
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
    """Values separated by commas, as a tuple."""

    name = "list"

    def convert(self, value, param, ctx):
        return value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(",") if part.strip())


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
