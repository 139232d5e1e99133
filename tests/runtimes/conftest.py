"""What the tests of foreign runtimes share. `make test-runtimes` runs them, and first gets Chromium,
`.venv-older` and `.venv-micro`.

RUN=<run folder> tests its bundles in place of those of a run made here; MATRIX=<file> writes the table there.
"""

import json
import mimetypes
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from matrix import FOUND, REFUSED, table
from on_page import ready
from places import LIBRARY, LITERT, ROOT, VENVS, absent

from pipeline.constants import ARCHITECTURES
from pipeline.options import Options

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="session")
def nights(tmp_path_factory):
    """A folder of ten synthetic nights of six hours, with raw motion."""
    from pipeline.synthetic import synthesize

    folder = tmp_path_factory.mktemp("nights") / "synthetic"
    synthesize(folder, subjects=10, hours=6, motion_hz=10)
    return folder


@pytest.fixture(scope="session")
def bundles(nights, tmp_path_factory):
    """A folder of bundles, {architecture}/, of all four networks in all five precisions. Not to be written to.

    No parity gate has sorted them out, so that each file is there to be tried.
    """
    if "RUN" in os.environ:
        return Path(os.environ["RUN"]).resolve() / "bundles"
    from export.build import build_bundles
    from models.train_run import train_run
    from models.trained_run import TrainedRun
    from pipeline.nights import load_nights
    from pipeline.splits import nights_by_part, split_subjects

    folder = tmp_path_factory.mktemp("run")
    options = Options(
        epochs=60, variants=2, inner_folds=0
    )  # hardly trained networks have their probabilities too close together
    loaded, _ = load_nights(nights, options)
    splits = split_subjects([night.subject for night in loaded], options)
    run = TrainedRun.create(folder, loaded, splits, options, nights)
    train_run(run, nights_by_part(loaded, run.splits))
    build_bundles(run, ARCHITECTURES, folder / "bundles")
    return folder / "bundles"


@pytest.fixture(scope="session")
def python_of():
    """A function that gives the Python of the environment with a runtime."""

    def python(runtime):
        if runtime not in VENVS:
            return sys.executable
        if not (VENVS[runtime] / "ready").exists():
            absent(f"no {VENVS[runtime]}")
        return VENVS[runtime] / "bin" / "python"

    return python


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, driven by Playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        absent("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(bundles):
    """Where the command serves the run."""
    command = [sys.executable, "-u", "-m", "watch_sim", "serve", bundles.parent, "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://[\d.:]+/", server.stdout.readline()).group()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def data(bundles):
    """Folder of the run's nights."""
    return json.loads((bundles.parent / "hparams.json").read_text())["dataset_dir"]


@pytest.fixture(scope="module")
def held_out(bundles):
    """A night that the run was not trained on."""
    return json.loads((bundles.parent / "splits.json").read_text())["validation"][0]


@pytest.fixture
def open_call(browser, address):
    """Opens the page in a window of its own; gives it when it shows a night. Fails the test on an error on the page's
    console, and on a request that does not go to the page's own server.
    """
    contexts, wrong = [], []

    def open_page(query="", **settings):
        context = browser.new_context(timezone_id="America/New_York", **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else wrong.append(r.url))
        page.goto(address + query)
        return ready(page)

    open_page.expected = ""
    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in wrong if not open_page.expected or open_page.expected not in each] == []


@pytest.fixture
def page(open_call):
    """The page, when it shows a night."""
    return open_call()


@contextmanager
def answered_page(browser, name, folders, may_miss=()):
    """page/{name}.html, when it says that it is ready, with files from folders, {first part of the path: folder}.

    No server and no network: the requests are answered here, others fail, and an error on the console fails the test.
    Files of the folders in may_miss may be missing.
    """
    folders = {"litert": LITERT, "sleep-stager": LIBRARY, "page": Path(__file__).parent / "page"} | folders
    errors = []

    def answer(route):
        address = urlsplit(route.request.url)
        first, _, rest = address.path.removeprefix("/").partition("/")
        file = folders.get(first, ROOT) / rest
        if address.netloc == "localhost" and first in folders and file.is_file():
            return route.fulfill(path=file, content_type=mimetypes.guess_type(file)[0] or "application/octet-stream")
        if first in may_miss:
            return route.fulfill(status=404)
        errors.append(f"asked for {route.request.url}")
        return route.abort()

    def note(message):
        missed = any(f"http://localhost/{first}/" in message.location["url"] for first in may_miss)
        if message.type == "error" and not missed:
            errors.append(message.text)

    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/*", answer)
    page.goto(f"http://localhost/page/{name}.html")
    page.wait_for_function("globalThis.ready")
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="module")
def replay_page(browser, bundles, tmp_path_factory):
    """(page/replay.html with LiteRT.js loaded, a folder whose files it finds at /given/)."""
    given = tmp_path_factory.mktemp("given")
    with answered_page(browser, "replay", {"bundles": bundles, "given": given}) as page:
        yield page, given


@pytest.fixture(scope="module")
def vector_page(browser, tmp_path_factory):
    """(page/vectors.html with LiteRT.js loaded, a folder whose files it finds at /given/)."""
    given = tmp_path_factory.mktemp("given")
    folders = {"given": given, "tests": ROOT / "tests", "apps": ROOT / "apps"}
    with answered_page(browser, "vectors", folders, may_miss=["given"]) as page:
        yield page, given


def pytest_terminal_summary(terminalreporter):
    if FOUND:
        tried = [found[1] for found in FOUND.values() if found != REFUSED]
        refused = len(FOUND) - len(tried)
        terminalreporter.section(f"golden nights: {sum(tried)} of {len(tried)} within tolerance, {refused} refused")
        terminalreporter.write(table())
        if "MATRIX" in os.environ:
            Path(os.environ["MATRIX"]).write_text(table())
