"""From a run folder to its bundles: each architecture is converted in a child process of its own."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export.bundle import finish, golden, put, reject
from export.report import write_report
from export.verify import golden_rows
from pipeline.files import reading, write_json
from pipeline.options import PRECISIONS, UserMistake, one_of

ROOT = Path(__file__).resolve().parent.parent


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


def build_bundles(run, architectures, out, progress=lambda what: None, precisions=PRECISIONS):
    """Write bundles <out>/<architecture> of a run; two are converted at a time. progress: called after each file."""
    nights = run.golden()
    features = run.sensing().nights(nights)

    def build(architecture):
        with tempfile.TemporaryDirectory(dir=run.folder, prefix=".export.") as made:
            converted(run, architecture, Path(made).resolve(), precisions, progress)
            finish(made, run, architecture, precisions)
            said = run.probabilities(architecture, features)
            stories = [golden(n, run.channels, run.options, p) for n, p in zip(nights, said, strict=True)]
            choose_golden(made, stories)
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
    """Bundles of a run anew, from its folder alone: what its parity check rejected, or the golden night now rejects,
    goes to `rejected` beside them. Returns the paths of those files.
    """
    architectures = one_of("--architectures", architectures or run.options.architectures, run.options.architectures)
    out = Path(out or run.folder / "bundles")
    with reading(run.folder / "parity.json"):  # what the reports need is looked at before anything is replaced
        known = {(m["architecture"], m["precision"]): m["passed"] for m in run.results("parity.json", "models")}
    run.results("evaluation.json", "results")
    build_bundles(run, architectures, out, progress, precisions)
    rejected = []
    for architecture in architectures:
        progress(f"{architecture}: golden night")
        rows = golden_rows(out / architecture)
        failed = [p for p, row in rows.items() if not (row["passed"] and known.get((architecture, p), True))]
        if failed:
            reject(out / architecture, failed, out.parent / "rejected" / architecture)
            rejected += [out.parent / "rejected" / architecture / f"{architecture}.{p}.tflite" for p in failed]
        progress(f"{architecture}: report")
        write_report(out / architecture, run.folder)
    return rejected
