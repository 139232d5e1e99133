"""Options, parameter types and progress bars shared by all commands."""

import errno
import functools
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.constants import ARTIFACTS, DEFAULT_CHANNELS
from pipeline.data_sets import DataSets, data_of
from pipeline.errors import UserMistake, plain_digits, printable
from pipeline.files import writes_through
from pipeline.options import Options
from pipeline.outputs import must_be_free, must_be_outside_bundles
from pipeline.scratch import holds_anything
from pipeline.workers import ALL_CORES, MOST_JOBS, workers

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

HELP = {
    "negative_times": "Keep up to two hours before t=0; they are not scored.",
    "data_alignment": "Seconds per row; 30 is the clinical alignment.",
    "motion_magnitude": "Add the magnitude of acceleration as a channel.",
    "window_size": "Length of a window in seconds.",
    "stride": "Seconds from one window to the next.",
    "channels": "Input channels, comma-separated; by default those of the two that nights have.",
    "architectures": "Networks to train, comma-separated.",
    "batch_size": "Nights per training step.",
    "variants": "Augmented copies of each training night (another wearer, another watch, a sensor off); 0 for none.",
    "hidden_dim": "Size of each network's hidden layer.",
    "lr": "Highest learning rate.",
    "epochs": "Training epochs.",
    "train_split": "Share of the subjects to train on; 1 holds none out.",
    "inner_folds": "Folds within the training subjects that choose operating points; 0 for none.",
    "seed": "The same seed gives the same split and weights.",
    "unscaled": "Do not scale batch size, learning rate, epochs and variants beyond 31 nights (docs/scale.md).",
}
SINGULAR = {"architectures": "--architecture", "precisions": "--precision"}  # accepted, too


@contextmanager
def _errors_on_one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(printable(error.format_message()), error.ctx) from None


class OneLine(click.Command):
    """A command that reports file errors in one line, with exit code 2, and ends without a traceback on Ctrl-C."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """As of any command; a message about arguments that break lines stays on one line; any path can be printed."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")  # a path may be no text
        with _errors_on_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            UserMistake: An operation on a file failed.
        """
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set while modules are imported
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with _errors_on_one_line():  # of a group: its commands are parsed here
                return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader is gone: handled by click
                raise
            named = f"{error.filename}: " if error.filename else ""
            raise UserMistake(f"{named}{error.strerror or error}") from None
        except KeyboardInterrupt:
            console.print("stopped")
            ctx.exit(130)


class Commands(OneLine, click.Group):
    """A group of OneLine commands."""


class CommaList(click.ParamType):
    """Comma-separated values as a tuple, without duplicates and not empty."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The values of a text; a default, already a tuple, unchanged. Raises UserMistake if there is no value."""
        if isinstance(value, tuple):
            return value
        values = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not values:
            raise UserMistake(f"{_spelt(param)} {value!r}: empty list; for the default, leave the option out")
        return values


class NamedPath(click.Path):
    """A path given by the user, which must not be empty, and can be read if it exists."""

    def __init__(self, readable: bool = True) -> None:
        """Return pathlib paths; readable: whether to check that they can be read."""
        super().__init__(path_type=Path, readable=False)
        self.checked = readable

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; UserMistake if the text is empty, its links form a circle, or it cannot be read."""
        if value == "":
            raise UserMistake(f"{_spelt(param)}: empty; name a file or folder")
        path = Path(value)
        try:
            path.resolve()
        except RuntimeError:  # in later Pythons an OSError
            raise UserMistake(f"{_spelt(param)} {path}: cannot be followed: its links lead in a circle") from None
        if self.checked and os.access(path, os.F_OK) and not os.access(path, os.R_OK):
            raise UserMistake(f"{_spelt(param)} {path}: cannot be read ({os.strerror(errno.EACCES)})")
        return super().convert(value, param, ctx)


class OutputFile(NamedPath):
    """The path of a file to write, checked before the work starts."""

    def __init__(self, devices: bool = False) -> None:
        """Accept file paths.

        Args:
            devices: Whether to accept devices and pipes, too: only if no file is written next to it or read back.
        """
        super().__init__(readable=False)
        self.devices = devices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; UserMistake if no file can be written there, or as `must_be_free`."""
        path = super().convert(value, param, ctx)
        try:
            if path.is_dir():
                raise UserMistake(f"{_spelt(param)} {path}: is a folder; name a file")
            if writes_through(path):
                if self.devices:
                    return path
                raise UserMistake(f"{_spelt(param)} {path}: is a device or pipe; name a file")
        except OSError as error:
            raise UserMistake(f"{_spelt(param)} {path}: cannot be written there ({error.strerror})") from None
        must_be_writable(_spelt(param), path)
        must_be_free(_spelt(param), path)
        return path


def must_be_writable(spelt: str, path: Path) -> None:
    """Check the path of a file, or folder, that is to be written.

    Args:
        spelt: The option, as the user spells it.
        path: Its folders need not exist.

    Raises:
        UserMistake: Nothing can be written there.
    """
    try:
        path.exists()  # a name may be too long
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=there):  # whoever may do all is refused only here
            pass
    except OSError as error:
        raise UserMistake(f"{spelt} {path}: cannot be written there ({error.strerror})") from None


def _spelt(param: click.Parameter | None) -> str:
    """An option as the user spells it, or an argument as in the usage line."""
    return "path" if param is None else param.metavar or param.opts[0]


class Folders(NamedPath):
    """A folder of recordings, or several comma-separated data sets."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder, or the DataSets, that a text names. Raises UserMistake as `DataSets.of`."""
        if isinstance(value, DataSets):
            return value
        path = super().convert(value, param, ctx)
        return data_of(value) if isinstance(value, str) else path


class PlainOption(click.Option):
    """An option whose numbers have the digits 0 to 9 alone, and whose text is not empty."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value in the option's type; UserMistake for an empty text, and for `1_0` or the digits of other scripts,
        which Python reads as numbers, too.
        """
        if value == "" and isinstance(self.type, click.types.StringParamType):
            raise UserMistake(f"{_spelt(self)}: empty; for the default, leave the option out")
        number = isinstance(self.type, click.types.IntParamType | click.types.FloatParamType)
        if number and isinstance(value, str) and not plain_digits(value):
            raise UserMistake(f"{_spelt(self)} {value}: expected a number in the digits 0 to 9")
        return super().type_cast_value(ctx, value)


def option(name: str, into: str | None = None, **settings: Any) -> Callable:
    """A click option that may also be spelt with dashes and, for lists of models, in the singular.

    Args:
        name: Name of the option, with underscores.
        into: Parameter that it fills, if the name differs.
        settings: Settings of click.option.
    """
    if settings.get("type") is Path:
        settings["type"] = NamedPath()
    spellings = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}", SINGULAR.get(name, f"--{name}")])
    return click.option(*spellings, into or name, cls=PlainOption, **settings)


json_option = option(
    "json", "copy", type=OutputFile(devices=True), default=None, help="Also write the results here, as JSON."
)


def models_option(name: str, shown: str, default: tuple[str, ...] | None = None, about: str = "") -> Callable:
    """The option --architectures or --precisions of commands that use the models of a run: a comma-separated list.

    Args:
        name: "architectures" or "precisions".
        shown: The default, as shown in the help.
        default: The default value.
        about: Further help.
    """
    return option(name, type=CommaList(), default=default, help=f"Comma-separated{about}. [{shown}]")


def parallel(command: Callable, cluster: bool = True) -> Callable:
    """Decorate a command with the options for its work `in_parallel`.

    Args:
        command: Function of a click command.
        cluster: Whether it has --scheduler in addition to --jobs.
    """
    limits = click.IntRange(1, MOST_JOBS)

    @option("jobs", type=limits, default=None, help="Processes at a time, of up to 1 GB each. [all cores]")
    @functools.wraps(command)
    def with_workers(*args: Any, jobs: int | None, scheduler: str | None = None, **values: Any) -> Any:
        if jobs and scheduler:
            raise UserMistake(f"--jobs {jobs}: not with --scheduler, whose workers do the work; leave one of them out")
        with workers(jobs or ALL_CORES, scheduler):
            return command(*args, **values)

    about = "Let a Dask cluster do the work: address of its scheduler, such as tcp://host:port."
    return option("scheduler", default=None, help=about)(with_workers) if cluster else with_workers


parallel_here = functools.partial(parallel, cluster=False)


def progress_bar() -> Progress:
    """A progress bar on standard error with a description and the time left."""
    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(SpinnerColumn(), *columns, console=console, transient=True)


def options_of_run(command: Callable) -> Callable:
    """Decorate a command with the fields of Options as command-line options."""
    for field in reversed(fields(Options)):
        value = field.default
        settings: dict[str, Any] = {"type": type(value)}
        shown = str(value)
        if isinstance(value, bool):
            settings, shown = {"is_flag": True}, "on" if value else "off"
        elif isinstance(value, tuple):
            settings, shown = {"type": CommaList()}, ",".join(value or DEFAULT_CHANNELS)
        command = option(field.name, default=value, help=f"{HELP[field.name]}  [{shown}]", **settings)(command)
    return command


def new_folder(name: str) -> Path:
    """artifacts/<YYYY-MM-DD>/<name>_<n>, created here so that two commands started together do not share it."""
    day = ARTIFACTS / date.today().isoformat()
    day.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        try:
            (day / f"{name}_{n}").mkdir()
            return day / f"{name}_{n}"
        except FileExistsError:
            n += 1


def make_folder(out: Path) -> Path:
    """Create the folder of --out if it does not exist.

    Returns:
        The folder.

    Raises:
        UserMistake: It cannot be created, or is inside a bundle.
    """
    must_be_outside_bundles("--out", out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f"--out {out}: cannot create a folder there ({error.strerror})") from None
    return out


def must_be_new(out: Path) -> None:
    """Check that the folder of --out is new or empty.

    Raises:
        UserMistake: It is a file, or not empty.
    """
    if out.exists() and (not out.is_dir() or holds_anything(out)):
        raise UserMistake(f"--out {out}: exists and is not empty; name another, or add --resume to continue it")
