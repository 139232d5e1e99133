"""The page of a service with --token_file: the browser asks for the token, and sends it with all that it fetches."""

import re
import subprocess
import sys

import pytest
from on_page import ready
from places import ROOT

from pipeline.constants import STAGES

pytestmark = pytest.mark.runtimes

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Address of a service of the bundle that comes with the code."""
    file = tmp_path_factory.mktemp("tokens") / "bearers.txt"
    file.write_text(TOKEN + "\n")
    command = [sys.executable, "-u", "-m", "watch_sim", "serve", ROOT / "bundles" / "gru-int8", "--port", "0"]
    server = subprocess.Popen([*command, "--token_file", file], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://[\d.:]+/", server.stdout.readline()).group()
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("name", ["", "anybody"])
def test_the_token_is_the_password(browser, guarded, name):
    with browser.new_context(http_credentials={"username": name, "password": TOKEN}) as context:
        page, refused = context.new_page(), []
        page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        page.goto(guarded)
        assert ready(page).inner_text("#stage") in STAGES
        assert not page.is_visible("#problem")
        page.goto(f"{guarded}docs")
        page.locator(".opblock").first.wait_for()
        assert refused == []


def test_without_it_there_is_no_page(browser, guarded):
    with browser.new_context(http_credentials={"username": "", "password": TOKEN[:-1]}) as context:
        assert context.new_page().goto(guarded).status == 401
