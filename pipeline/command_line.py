"""What the command lines share."""

import errno
import functools
import signal
import tempfile
from collections.abc import Callable
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.constants import ARTIFACTS
from pipeline.data_sets import DataSets, data_of
from pipeline.errors import UserMistake
from pipeline.files import writes_through
from pipeline.options import Options
from pipeline.scratch import holds_anything
from pipeline.workers import ALL_CORES, workers

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

HELP = {
    "negative_times": "Keep up to two hours before t=0, unscored.",
    "data_alignment": "Seconds per row; 30 is clinical alignment.",
    "motion_magnitude": "Add the magnitude of acceleration as a channel.",
    "window_size": "Seconds that a window sees.",
    "stride": "Seconds from one window to the next.",
    "channels": "Input channels, by comma; by default heart_rate and activity.",
    "architectures": "By comma.",
    "batch_size": "Nights per training step.",
    "variants": "Varied copies of each training night (another wearer, another watch, a sensor off); 0 for none.",
    "hidden_dim": "Units of each network.",
    "lr": "Highest learning rate.",
    "epochs": "Training epochs.",
    "train_split": "Share of the subjects to train on; 1 holds none out.",
    "inner_folds": "Folds within the training subjects that choose operating points; 0 for none.",
    "seed": "Same seed, same split and weights.",
    "unscaled": "Keep batch size, learning rate, epochs, variants beyond 31 nights, where they scale (docs/scale.md).",
}
SINGULAR = {"architectures": "--architecture", "precisions": "--precision"}  # does as well


class OneLine(click.Command):
    """A command that ends with one line, exit code 2, where a file cannot be read or written, and quietly on Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """As of any command.

        Raises:
            UserMistake: An operation on a file failed.
        """
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as it is until all modules are imported
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on: click's affair
                raise
            named = f"{error.filename}: " if error.filename else ""
            raise UserMistake(f"{named}{error.strerror or error}") from None
        except KeyboardInterrupt:
            console.print("stopped")
            ctx.exit(130)


class Commands(OneLine, click.Group):
    """A group of such commands."""


class CommaList(click.ParamType):
    """Values separated by commas, each once and at least one, as a tuple."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The values of a text; a default, which is a tuple already, as it is. UserMistake where there is no value."""
        if isinstance(value, tuple):
            return value
        values = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not values:
            raise UserMistake(f"{_spelt(param)} {value!r}: an empty list; to have the default, leave the option out")
        return values


class NamedPath(click.Path):
    """A path that the user names; an empty text names none."""

    def __init__(self) -> None:
        """Give paths as pathlib has them."""
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; UserMistake where the text is empty, or leads round in links."""
        if value == "":
            raise UserMistake(f"{_spelt(param)}: empty; name a file or folder")
        path = Path(value)
        try:
            path.resolve()
        except RuntimeError:  # in later Pythons an OSError
            raise UserMistake(f"{_spelt(param)} {path}: cannot be followed: its links lead in a circle") from None
        return super().convert(value, param, ctx)


class OutputFile(NamedPath):
    """The path of a file that a command writes: found wrong before the work starts, not after it."""

    def __init__(self, devices: bool = False) -> None:
        """Devices: whether it may be one, or a pipe: where nothing else is written beside it or read back."""
        super().__init__()
        self.devices = devices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; UserMistake where no file can be written there."""
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
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=there):  # whoever may do all is refused only here
            pass
    except OSError as error:
        raise UserMistake(f"{spelt} {path}: cannot be written there ({error.strerror})") from None


def _spelt(param: click.Parameter | None) -> str:
    """An option as the user spells it, or an argument as the usage does."""
    return "path" if param is None else param.metavar or param.opts[0]


class Folders(NamedPath):
    """A folder of recordings, or several data sets by comma."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder, or the DataSets, that a text names; UserMistake as for `DataSets.of`."""
        if isinstance(value, DataSets):
            return value
        path = super().convert(value, param, ctx)
        return data_of(value) if isinstance(value, str) else path


def option(name: str, into: str | None = None, **settings: Any) -> Callable:
    """A click option that is also spelt with dashes; a list of models in the singular, too.

    Args:
        name: Of the option, with underscores.
        into: The parameter that it fills, if of another name.
        settings: Of click.option.
    """
    if settings.get("type") is Path:
        settings["type"] = NamedPath()
    spellings = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}", SINGULAR.get(name, f"--{name}")])
    return click.option(*spellings, into or name, **settings)


def models_option(name: str, shown: str, default: tuple[str, ...] | None = None, about: str = "") -> Callable:
    """The option --architectures or --precisions of what works with the models of a run: a list by comma.

    Args:
        name: "architectures" or "precisions".
        shown: What holds by default, for people.
        default: The same, as the command takes it.
        about: Further help.
    """
    return option(name, type=CommaList(), default=default, help=f"By comma{about}. [{shown}]")


def parallel(command: Callable, cluster: bool = True) -> Callable:
    """Decorate a command with the options that say who does its work `in_parallel`.

    Args:
        command: A click command to be.
        cluster: Whether it has --scheduler, beside --jobs.
    """

    @option("jobs", type=click.IntRange(1), default=None, help="Processes at a time, of up to 1 GB each. [all cores]")
    @functools.wraps(command)
    def with_workers(*args: Any, jobs: int | None, scheduler: str | None = None, **values: Any) -> Any:
        if jobs and scheduler:
            raise UserMistake(f"--jobs {jobs}: the workers of --scheduler do the work, as many as there are")
        with workers(jobs or ALL_CORES, scheduler):
            return command(*args, **values)

    about = "Of a Dask cluster, as tcp://host:port, to do the work instead."
    return option("scheduler", default=None, help=about)(with_workers) if cluster else with_workers


parallel_here = functools.partial(parallel, cluster=False)


def progress_bar() -> Progress:
    """A bar on standard error that tells what is happening and how long it will take."""
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
        if isinstance(value, bool):
            settings = {"is_flag": True}
        elif isinstance(value, tuple):
            settings = {"type": CommaList()}
        default_text = ",".join(value) if isinstance(value, tuple) else value
        command = option(field.name, default=value, help=f"{HELP[field.name]}  [{default_text}]", **settings)(command)
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
    """The folder of --out, created if need be.

    Raises:
        UserMistake: It cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f"--out {out}: no folder can be made there ({error.strerror})") from None
    return out


def must_be_new(out: Path) -> None:
    """Check the folder of --out.

    Raises:
        UserMistake: There is something in it already, or it is a file.
    """
    if out.exists() and (not out.is_dir() or holds_anything(out)):
        raise UserMistake(f"--out {out}: exists and is not empty; name another, or add --resume to go on with it")
