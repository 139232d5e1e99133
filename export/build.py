"""From a run folder to its bundles: each architecture is converted in a child process of its own."""

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
from pipeline.run_folder import PARITY, rejected_files
from pipeline.scratch import scratch_folder, sweep

SCRATCH = ".export."  # how the names of folders of bundles under way begin


def convert_in_child(
    run: TrainedRun, architecture: str, out: Path, precisions: Sequence[str], progress: Callable[[str], object]
) -> None:
    """Convert one architecture in a child process.

    Args:
        run: The trained run.
        architecture: One of the run's.
        out: Folder of the .tflite files.
        precisions: To be converted to.
        progress: Called after each file with what is being done.

    Raises:
        UserMistake: The child's, such as a damaged model.
        RuntimeError: The child failed otherwise; has its output and stderr.
    """
    command = [sys.executable, "-m", "export.convert", str(run.path.resolve()), architecture, str(out), *precisions]
    with tempfile.TemporaryFile("w+") as stderr:
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)
        assert child.stdout  # it is a pipe
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.strip() in PRECISIONS:  # written; anything else comes from the converter
                progress(f"{architecture}: exporting")
        status = child.wait()
        stderr.seek(0)
        if status == UserMistake.exit_code:
            raise UserMistake(stderr.read().strip().splitlines()[-1])
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
    """Write bundles <out>/<architecture> of a run; two are converted at a time.

    What an interrupted call left is put right first.

    Args:
        run: The trained run.
        architectures: To be exported.
        out: Where the bundles go.
        progress: Called after each file with what is being done.
        precisions: To be exported.
        judge: judge(folder, architecture) may take files out of a bundle, or all, before it is put in its place.
    """
    sweep(run.path, SCRATCH)
    for architecture in architectures:
        recover_bundle(Path(out) / architecture)
    nights = run.golden_nights()
    features = run.sensing().sense_nights(nights)

    def build(architecture):
        with scratch_folder(run.path, SCRATCH) as scratch:
            folder = scratch / architecture
            folder.mkdir()
            convert_in_child(run, architecture, folder, precisions, progress)
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
        list(pool.map(build, architectures))


def rebuild_bundles(
    run: TrainedRun,
    architectures: Sequence[str] | None,
    precisions: Sequence[str],
    out: Path | None,
    progress: Callable[[str], object],
) -> list[Path]:
    """Bundles of a run anew, from its folder alone.

    Args:
        run: The trained run.
        architectures: To be exported; by default all of the run.
        precisions: To be exported.
        out: Where the bundles go; by default to the run's own.
        progress: Called now and then with what is being done.

    Returns:
        Paths of the files that went to `rejected`, in the run's folder or in `out`: those that the training's parity
        check rejected, and those that their golden night now rejects.

    Raises:
        UserMistake: An architecture that the run lacks, or some precisions only without an `out`.
    """
    architectures = run.chosen_architectures(architectures)
    if out is None and set(precisions) != set(PRECISIONS):
        raise UserMistake(f"--precisions {','.join(precisions)}: name an --out too; the run's own bundles have all")
    rejected_in = partial(rejected_files, out) if out else run.rejected
    with reading(run.parity_report):  # what the reports need is looked at before anything is replaced
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
            with reading(run.path):  # its JSON files may be of any form
                write_report(folder, run)

    build_bundles(run, architectures, Path(out or run.bundles), progress, precisions, judge)
    return rejected
