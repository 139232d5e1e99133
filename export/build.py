"""Builds a run's bundles; each architecture is converted in its own child process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from export.bundle import complete_bundle, install_bundle, read_bundle, record_files, recover_bundle, reject_precisions
from export.contract import stager_path
from export.golden import choose_golden, golden_document, replay_golden
from export.latency import ROOT
from export.report import digests, write_report
from models.trained_run import TrainedRun
from pipeline.constants import PRECISIONS
from pipeline.errors import UserMistake
from pipeline.files import reading
from pipeline.outputs import holds_bundle
from pipeline.run_folder import PARITY, rejected_files
from pipeline.scratch import is_occupied, scratch_folder, sweep

SCRATCH = ".export."  # prefix of the folders of unfinished bundles


def convert_in_child(
    run: TrainedRun,
    architecture: str,
    out: Path,
    precisions: Sequence[str],
    progress: Callable[[str], object],
    started: Callable[[subprocess.Popen], object] = lambda child: None,
) -> None:
    """Convert one architecture in a child process.

    Args:
        run: The trained run.
        architecture: One of the run's.
        out: Folder for the .tflite files. Temporary files go beside it, to be swept if the child is killed.
        precisions: To convert to.
        progress: Called after each file with a status message.
        started: Called with the child.

    Raises:
        UserMistake: Raised by the child, for example for a damaged model.
        RuntimeError: The child failed for another reason; carries its output and stderr.
    """
    command = [sys.executable, "-m", "export.convert", str(os.getpid())]
    command += [str(run.path.resolve()), architecture, str(out), *precisions]
    environment = os.environ | {"TMPDIR": str(out.parent)}
    with tempfile.TemporaryFile("w+") as stderr:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
        started(child)
        assert child.stdout  # it is a pipe
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.strip() in PRECISIONS:  # written; anything else comes from the converter
                progress(f"{architecture}: exporting")
        status = child.wait()
        stderr.seek(0)
        if status == UserMistake.exit_code:
            raise UserMistake(lines[-1].strip())
        if status:
            raise RuntimeError(f"export of {architecture} ended with status {status}\n{''.join(lines)}{stderr.read()}")


def build_bundles(
    run: TrainedRun,
    architectures: Sequence[str],
    out: Path,
    progress: Callable[[str], object] = lambda message: None,
    precisions: Sequence[str] = PRECISIONS,
    judge: Callable[[Path, str], None] | None = None,
) -> None:
    """Write a run's bundles to <out>/<architecture>, two at a time.

    Remnants of an interrupted call are cleaned up first.

    Args:
        run: The trained run.
        architectures: To export.
        out: Output folder.
        progress: Called after each file with a status message.
        precisions: To export.
        judge: judge(folder, architecture) may remove some or all files of a bundle before it is installed.
    """
    sweep(run.path, SCRATCH)
    for architecture in architectures:
        recover_bundle(Path(out) / architecture)
    nights = run.golden_nights()
    features = run.sensing().sense_nights(nights)
    children: list[subprocess.Popen] = []

    def build(architecture):
        with scratch_folder(run.path, SCRATCH) as scratch:
            folder = scratch / architecture
            folder.mkdir()
            convert_in_child(run, architecture, folder, precisions, progress, children.append)
            complete_bundle(folder, run, architecture, precisions)
            probabilities = run.probabilities(architecture, features)
            pairs = zip(nights, probabilities, strict=True)
            choose_golden(folder, [golden_document(night, run.channels, run.options, p) for night, p in pairs])
            if judge:
                judge(folder, architecture)
            if folder.exists():
                record_files(folder)
                install_bundle(folder, Path(out) / architecture)

    Path(out).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        try:
            list(pool.map(build, architectures))
        except KeyboardInterrupt:
            for child in children:
                child.kill()
                child.wait()
            raise


def rebuild_bundles(
    run: TrainedRun,
    architectures: Sequence[str] | None,
    precisions: Sequence[str],
    out: Path | None,
    progress: Callable[[str], object],
) -> list[Path]:
    """Rebuild a run's bundles from its folder alone.

    Args:
        run: The trained run.
        architectures: To export; by default all of the run.
        precisions: To export.
        out: Output folder; by default the run's own bundles.
        progress: Called from time to time with a status message.

    Returns:
        Paths of the files moved to `rejected`, in the run's folder or in `out`: those that failed the parity check
        after training, and those that fail their gate on the golden night now.

    Raises:
        UserMistake: The run lacks an architecture, `precisions` are not all five and there is no `out`, or `out` holds
            a folder of that name that is no bundle.
    """
    architectures = run.chosen_architectures(architectures)
    if out and out.resolve() == run.bundles.resolve():
        out = None
    for folder in (out / architecture for architecture in architectures) if out else ():
        if is_occupied(folder) and not holds_bundle(folder):
            raise UserMistake(f"--out {folder}: exists and is not empty; name another")
    if out is None and set(precisions) != set(PRECISIONS):
        raise UserMistake(
            f"--precisions {','.join(precisions)}: needs --out, because the run's own bundles must have all precisions"
        )
    rejected_in = partial(rejected_files, out) if out else run.rejected
    with reading(run.parity_report):  # read before anything is replaced, so that a damaged file costs nothing
        failed = [row for row in run.list_in(PARITY, "models") if not row["passed"]]
        failed = [(row["architecture"], row["precision"], row["measured"]["files"]) for row in failed]
    run.evaluation_results()
    rejected: list[Path] = []

    def judge(folder, architecture):
        progress(f"{architecture}: golden night")
        plans = read_bundle(folder).precisions
        rows = replay_golden(folder)
        failing = [
            precision
            for precision, row in rows.items()
            if not row["passed"] or (architecture, precision, digests(folder, plans[precision])) in failed
        ]
        if failing:
            aside = rejected_in(architecture)
            reject_precisions(folder, failing, aside)
            rejected.extend(stager_path(aside, architecture, precision) for precision in failing)
        if folder.exists():
            progress(f"{architecture}: report")
            with reading(run.path):  # its JSON files may be malformed
                write_report(folder, run)

    build_bundles(run, architectures, Path(out or run.bundles), progress, precisions, judge)
    return rejected
