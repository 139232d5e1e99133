"""apps/javascript in Chromium, by LiteRT.js: the test vectors, and its example page, served as anybody may serve it."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from places import LIBRARY, LITERT

from tests.apps.answers import check
from tests.apps.vectors import FOLDER, VECTORS, bundle_of, read_vector

pytestmark = pytest.mark.runtimes


@pytest.mark.parametrize("name", VECTORS)
def test_vector(vector_page, name, tmp_path):
    page, given = vector_page
    vector = read_vector(name)
    shutil.copytree(bundle_of(vector, tmp_path), given / name)
    check(vector, page.evaluate("(a) => answersTo(...a)", [vector, f"/given/{name}/"]))


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a static server has it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def lay_out(folder, bundle):
    """A bundle with the library and LiteRT.js, as `npm install` puts it."""
    shutil.copytree(FOLDER / "bundles" / bundle, folder, dirs_exist_ok=True)
    for name in json.loads((LIBRARY / "package.json").read_text())["files"]:
        shutil.copy(LIBRARY / name, folder)
    package = folder / "node_modules" / "@litertjs" / "core"
    for name, target in (("litert.js", "dist/index.js"), ("litert_wasm_compat_internal.*", "wasm")):
        for path in LITERT.glob(name):
            (package / target).parent.mkdir(parents=True, exist_ok=True)
            if target == "wasm":
                (package / target).mkdir(exist_ok=True)
            shutil.copy(path, package / target)


@pytest.mark.parametrize(("bundle", "said"), [("counts", ""), ("all", "Trained on simulated nights")])
def test_the_example(browser, served, bundle, said):
    folder, address = served
    lay_out(folder, bundle)
    page = browser.new_page()
    wrong, warned = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: {"error": wrong, "warning": warned}.get(m.type, []).append(m.text))
    page.goto(f"{address}example.html")
    page.locator("#status", has_text="60 windows of 30 s").wait_for(timeout=60_000)
    assert page.locator("tbody tr").count() == 60
    assert page.inner_text("#problem").startswith(said) and bool(page.inner_text("#problem")) == bool(said)
    assert wrong == []
    simulated = [text for text in warned if "say nothing about people" in text]
    assert len(simulated) == bool(said)
    page.close()


def test_the_example_says_what_is_wrong(browser, served):
    folder, address = served
    lay_out(folder, "counts")
    page = browser.new_page()
    page.goto(f"{address}example.html?precision=int4")
    page.locator("#problem", has_text="unknown_precision: precision int4: expected one of int8, float32").wait_for()
    with (folder / "gru.int8.tflite").open("ab") as file:
        file.write(b"\0")
    page.goto(f"{address}example.html")
    page.locator("#problem", has_text="altered_file: gru.int8.tflite").wait_for()
    shutil.rmtree(folder / "node_modules")
    shutil.copy(FOLDER / "bundles" / "counts" / "gru.int8.tflite", folder)
    page.close()
    page = browser.new_page()  # which has nothing in its cache
    page.goto(f"{address}example.html")
    page.locator("#problem", has_text="missing_file: @litertjs/core: ").wait_for()
    page.close()
