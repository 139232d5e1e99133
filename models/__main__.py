"""python -m models prepare DATASET_DIR --out RUN"""

import signal

if __name__ == "__main__":  # Ctrl-C while modules are imported ends without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from pathlib import Path
from typing import Any

import click

from models.train_run import features_of_parts
from models.trained_run import TrainedRun
from pipeline.command_line import (
    Commands,
    Folders,
    console,
    make_folder,
    must_be_new,
    option,
    options_of_run,
    parallel,
    progress_bar,
)
from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.run_folder import RunFolder, begun, clear_unbegun
from pipeline.scratch import sole_use
from pipeline.splits import nights_by_part


@click.group(cls=Commands)
def main() -> None:
    """Prepare the features of many nights before training."""


@main.command(epilog="Example: python -m models prepare NIGHTS --out RUN")
@click.argument("dataset_dir", metavar="DATASET_DIR", type=Folders())
@options_of_run
@option("out", type=Path, required=True, help="The run folder, new or begun by this command.")
@parallel
def prepare(dataset_dir: Data, out: Path, **fields: Any) -> None:
    """Begin a run and write the features of its nights; `train.py --resume --out RUN` then trains on them.

    If it was stopped, running it again resumes it: finished shards are kept.
    """
    options = Options(**fields)
    with sole_use(make_folder(out)), progress_bar() as bar:
        clear_unbegun(out)
        if not begun(out):
            must_be_new(out)
        elif RunFolder(out).requested_options != options:
            raise UserMistake(f"--out {out}: was begun with other options; name another folder")
        task = bar.add_task("reading nights", total=None)

        def report(step: str, cost: float = 0) -> None:
            bar.update(task, description=step, advance=cost)

        nights, findings = load_nights(
            dataset_dir, options, progress=lambda subject: report(f"reading night {subject}")
        )
        run = TrainedRun.begin(out.resolve(), nights, findings, options, dataset_dir.resolve())
        features_of_parts(run, nights_by_part(nights, run.splits), report)
    console.print(f"{len(nights)} nights prepared. To train on them: python train.py --resume --out {out}")


if __name__ == "__main__":
    main(prog_name="python -m models")
