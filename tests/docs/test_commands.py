"""Every command of README.md and docs/ is run, on synthetic nights and a small run; those marked "not run" are not.

Placeholders stand for folders: RUN, NIGHTS, OTHER_NIGHTS, OUT. Trainings are made short by further options.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, commands

pytestmark = pytest.mark.docs

SHORT = ["--epochs", "2", "--variants", "1", "--inner_folds", "0"]
SHORTENED = {("train.py",): SHORT, ("-m", "evaluation", "run"): [*SHORT, "--folds", "2"]}
RUN_COMMANDS = [command for command in commands() if not command.why]


def in_folder(folder, *words):
    """Run a command in the folder; returns its output.

    A gate may fail of a network that has hardly been trained: where a command ends with a verdict, 1 is as good as 0.
    """
    words = [*map(str, words)]
    verdict = "train.py" in words or "parity" in words or words[1:4] == ["-m", "export", "RUN"]
    done = subprocess.run(words, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert done.returncode in ((0, 1) if verdict else (0,)), done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory, synthetic):
    """A folder like a checkout, with an artifacts folder of its own, nights, a small run and what else pages name."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(synthetic, folder / "NIGHTS")
    further = ["--subjects", "3", "--hours", "1.2", "--motion_hz", "10", "--seed", "9"]
    in_folder(folder, sys.executable, "-m", "pipeline", "synthesize", "OTHER_NIGHTS", *further)
    for path in sorted((folder / "OTHER_NIGHTS").rglob("*.txt")):  # other ids: nights of known ones are left out
        path.rename(path.with_name(f"9{path.name}"))
    in_folder(
        folder, sys.executable, "train.py", "--dataset_dir", "NIGHTS", "--architectures", "gru", "--out", "RUN", *SHORT
    )
    shutil.copytree(folder / "bundles" / "gru-int8", folder / "BUNDLE")
    times = "".join(f"{t},{55 + t % 7},{'' if t % 15 else t % 4}\n" for t in range(0, 5400, 5))
    (folder / "night.csv").write_text(f"time,heart_rate,activity\n{times}")
    return folder


@pytest.mark.parametrize("command", RUN_COMMANDS, ids=str)
def test_commands_run(command, checkout):
    words = [*command.words]
    if words[0] == ".venv/bin/python":
        for start, further in SHORTENED.items():
            if tuple(words[1 : 1 + len(start)]) == start:
                words += further
    in_folder(checkout, *words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_run(page, checkout):
    for text, why in blocks(page, "python"):
        if not why:
            (checkout / "bundle").exists() or shutil.copytree(checkout / "bundles" / "gru-int8", checkout / "bundle")
            folder = checkout / "bundle" if 'SleepStager(".",' in text else checkout  # an exported app's own folder
            path = os.pathsep.join([str(checkout), str(checkout / "apps" / "python")])
            done = subprocess.run(
                [sys.executable, "-"],
                input=text,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr[-3000:]


def test_the_site_builds_and_asks_nothing_of_the_network(checkout, tmp_path):
    in_folder(checkout, ".venv/bin/mkdocs", "build", "--strict", "--site-dir", tmp_path / "site")
    pages = [*(tmp_path / "site").rglob("*.html")]
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert 'src="http' not in text and "fonts.g" not in text, page
        assert '<link rel="stylesheet" href="http' not in text, page


def test_the_tour_runs(checkout):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(checkout / "docs" / "tour.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(checkout / "docs")}}).execute()
    drawn = [cell for cell in notebook.cells if any("image/png" in o.get("data", {}) for o in cell.get("outputs", []))]
    assert len(drawn) >= 4
