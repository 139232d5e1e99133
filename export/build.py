"""From a run folder to its bundles: each architecture is converted in a child process of its own."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from export.bundle import golden, write_bundle
from pipeline.options import PRECISIONS

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
        if child.wait():
            said.seek(0)
            raise RuntimeError(
                f"export of {architecture} ended with status {child.returncode}\n{''.join(lines)}{said.read()}"
            )


def build_bundles(run, architectures, out, progress=lambda what: None, precisions=PRECISIONS):
    """Write bundles <out>/<architecture> of a run; two are converted at a time. progress: called after each file."""
    night = run.golden()
    (features,) = run.sensing().nights([night])

    def build(architecture):
        with tempfile.TemporaryDirectory(dir=run.folder, prefix=".export.") as made:
            converted(run, architecture, Path(made).resolve(), precisions, progress)
            (said,) = run.probabilities(architecture, [features])
            story = golden(night, run.channels, run.options, said)
            write_bundle(Path(out) / architecture, made, run, architecture, precisions, story)

    Path(out).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, architectures))
