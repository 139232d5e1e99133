"""From a run folder to its bundles: each architecture is converted in a child process of its own."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export.bundle import finish, golden, put, read_contract, reject
from export.contract import stager_path
from export.latency import ROOT
from export.report import MEASURED, digests, write_report
from export.verify import golden_rows
from pipeline.files import reading, write_json
from pipeline.options import PRECISIONS, UserMistake, one_of


def converted(run, architecture, out, precisions, progress):
    """Convert one architecture into the folder `out`. Raises RuntimeError with the child's words where it fails."""
    command = [sys.executable, "-m", "export.convert", str(run.folder.resolve()), architecture, str(out), *precisions]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True)
        lines = []
        for line in child.stdout:
            lines.append(line)
            if line.strip() in PRECISIONS:  # written; anything else is the converter's own talk
                progress(f"{architecture}: exporting")
        status = child.wait()
        said.seek(0)
        if status == UserMistake.exit_code:
            raise UserMistake(said.read().strip().splitlines()[-1])
        if status:
            raise RuntimeError(f"export of {architecture} ended with status {status}\n{''.join(lines)}{said.read()}")


def build_bundles(run, architectures, out, progress=lambda what: None, precisions=PRECISIONS, judge=None):
    """Write bundles <out>/<architecture> of a run; two are converted at a time. progress: called after each file.

    judge(folder, architecture): may take files out of a bundle, or all, before it is put in its place.
    """
    nights = run.golden()
    features = run.sensing().nights(nights)

    def build(architecture):
        with tempfile.TemporaryDirectory(dir=run.folder, prefix=".export.") as scratch:
            made = Path(scratch).resolve() / architecture
            made.mkdir()
            converted(run, architecture, made, precisions, progress)
            finish(made, run, architecture, precisions)
            said = run.probabilities(architecture, features)
            stories = [golden(n, run.channels, run.options, p) for n, p in zip(nights, said, strict=True)]
            choose_golden(made, stories)
            if judge:
                judge(made, architecture)
            if made.exists():
                put(made, Path(out) / architecture)

    Path(out).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, architectures))


def choose_golden(folder, stories):
    """Write golden.json: the first night on which every file keeps its gate, or else as many as on any.

    Gates are of several nights together; on one night alone a file may miss a stage or two more. A golden night is
    there to show that a runtime works, so none is taken that the files themselves stumble over.
    """
    failing = []
    for story in stories:
        write_json(Path(folder) / "golden.json", story)
        failing.append(sum(not row["passed"] for row in golden_rows(folder).values()))
        if not failing[-1]:
            return
    write_json(Path(folder) / "golden.json", stories[failing.index(min(failing))])


def rebuild(run, architectures, precisions, out, progress):
    """Bundles of a run anew, from its folder alone. Returns the paths of files that went to `rejected`, in the run's
    folder or in `out`: those that the training's parity check rejected, and those that their golden night now rejects.
    """
    architectures = one_of("--architectures", architectures or run.options.architectures, run.options.architectures)
    if out is None and set(precisions) != set(PRECISIONS):
        raise UserMistake(f"--precisions {','.join(precisions)}: name an --out too; the run's own bundles have all")
    aside = Path(out or run.folder) / "rejected"
    out = Path(out or run.folder / "bundles")
    with reading(run.folder / MEASURED):  # what the reports need is looked at before anything is replaced
        failed_then = [m for m in run.results(MEASURED, "models") if not m["passed"]]
        failed_then = [(m["architecture"], m["precision"], m["measured"]["files"]) for m in failed_then]
    run.results("evaluation.json", "results")
    rejected = []

    def judge(made, architecture):
        progress(f"{architecture}: golden night")
        plans = read_contract(made)["precisions"]
        failed = [
            precision
            for precision, row in golden_rows(made).items()
            if not row["passed"] or (architecture, precision, digests(made, plans[precision])) in failed_then
        ]
        if failed:
            reject(made, failed, aside / architecture)
            rejected.extend(stager_path(aside / architecture, architecture, precision) for precision in failed)
        if made.exists():
            progress(f"{architecture}: report")
            with reading(run.folder):  # its JSON files may be of any form
                write_report(made, run.folder)

    build_bundles(run, architectures, out, progress, precisions, judge)
    return rejected
