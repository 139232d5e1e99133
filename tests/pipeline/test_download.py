"""Fetching against a local server: whole, resumed, repaired, and every way it may fail. Nothing leaves the machine."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.download import SUMS, download
from pipeline.errors import UserMistake
from pipeline.origin import MARK as ORIGIN_MARK
from pipeline.origin import SLEEP_ACCEL, read_origin
from pipeline.synthetic import MARK

FILES = {
    "heart_rate/46343_heartrate.txt": b"-1.5,80\n3.5,81\n",
    "labels/46343_labeled_sleep.txt": b"0 0\n30 2\n",
    "motion/46343_acceleration.txt": b"0.02 0.1 -0.2 0.97\n" * 5000,
    "steps/46343_steps.txt": b"-600,12\n",
    "LICENSE.txt": b"ODC-By\n",
}


class Site:
    """A local PhysioNet: `files` are served, `requested` were requested, `cut` names what breaks off midway."""

    def __init__(self):
        self.files, self.requested, self.cut, self.error = dict(FILES), [], set(), {}
        self.list(FILES)
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.removeprefix("/files/")
                site.requested.append(name)
                body = site.files.get(name)
                if body is None or name in site.error:
                    return self.send_error(site.error.get(name, 404))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if name in site.cut else body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/files/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def list(self, files, separator="  "):
        lines = [f"{hashlib.sha256(body).hexdigest()}{separator}{name}\n" for name, body in files.items()]
        self.files[SUMS] = "".join(lines).encode()


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the tries
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


ORIGIN = (json.dumps(SLEEP_ACCEL.as_dict(), indent=1) + "\n").encode()


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("separator", ["  ", " ", " *"])
def test_fetches_all_that_is_wanted_and_no_more(site, tmp_path, separator, capfd):
    site.list({**FILES, "RECORDS": b"46343\n", "code/run.py": b"print()\n"}, separator)
    download(tmp_path / "data", site.url)
    assert content(tmp_path / "data") == {**FILES, ORIGIN_MARK: ORIGIN, SUMS: site.files[SUMS]}
    assert (tmp_path / "data" / "steps" / "46343_steps.txt").stat().st_mode & 0o777 == 0o644
    assert "SHA256" not in capfd.readouterr().err  # pooch is quiet
    assert read_origin(tmp_path / "data") == SLEEP_ACCEL


def test_resumes_with_what_is_missing_or_wrong(site, tmp_path):
    download(tmp_path, site.url.rstrip("/"))
    (tmp_path / "steps/46343_steps.txt").unlink()
    (tmp_path / "labels/46343_labeled_sleep.txt").write_bytes(b"0 0\n")
    (tmp_path / "notes.txt").write_text("mine")
    site.requested.clear()
    download(tmp_path, site.url)
    assert sorted(site.requested) == [SUMS, "labels/46343_labeled_sleep.txt", "steps/46343_steps.txt"]
    assert content(tmp_path) == {**FILES, ORIGIN_MARK: ORIGIN, SUMS: site.files[SUMS], "notes.txt": b"mine"}


def test_a_connection_cut_midway_leaves_no_half_file_and_the_next_call_completes(site, tmp_path):
    site.cut = {"motion/46343_acceleration.txt"}
    with pytest.raises(UserMistake, match=r"motion/46343_acceleration.txt: download failed"):
        download(tmp_path, site.url)
    assert set(content(tmp_path)) == {  # no origin.json: only the complete data set has the mark
        SUMS,
        "LICENSE.txt",
        "heart_rate/46343_heartrate.txt",
        "labels/46343_labeled_sleep.txt",
    }
    site.cut = set()
    download(tmp_path, site.url)
    assert content(tmp_path) == {**FILES, ORIGIN_MARK: ORIGIN, SUMS: site.files[SUMS]}


def test_a_wrong_digest_names_the_file_and_keeps_the_rest(site, tmp_path):
    site.files["motion/46343_acceleration.txt"] += b"tampered"
    with pytest.raises(UserMistake, match=r"motion/46343_acceleration.txt: SHA-256 differs from SHA256SUMS.txt"):
        download(tmp_path, site.url)
    assert "heart_rate/46343_heartrate.txt" in content(tmp_path)
    assert not any(name.startswith("motion/") for name in content(tmp_path))


@pytest.mark.parametrize("name", [SUMS, "steps/46343_steps.txt"])
def test_a_server_error_names_the_address(site, tmp_path, name):
    site.error = {name: 500}
    with pytest.raises(UserMistake, match=rf"{site.url}{name}: download failed \(Internal Server Error\)"):
        download(tmp_path, site.url)


def test_an_unreachable_server_and_a_cut_list_change_nothing(site, tmp_path):
    download(tmp_path, site.url)
    site.cut = {SUMS}
    with pytest.raises(UserMistake, match="download failed"):
        download(tmp_path, site.url)
    site.server.shutdown()
    site.server.server_close()
    with pytest.raises(UserMistake, match=rf"{site.url}{SUMS}: download failed \(ConnectionError\)"):
        download(tmp_path, site.url)
    assert content(tmp_path) == {**FILES, ORIGIN_MARK: ORIGIN, SUMS: site.files[SUMS]}


@pytest.mark.parametrize("name", ["../out.txt", "steps/../../out.txt", "/tmp/out.txt", "steps\\..\\out.txt"])
def test_names_outside_the_folder_are_refused(site, tmp_path, name):
    site.list({name: b"x", **FILES})
    with pytest.raises(UserMistake, match="line 1: expected a SHA-256 and a file name"):
        download(tmp_path / "data", site.url)
    assert site.requested == [SUMS]


@pytest.mark.parametrize("text", [b"", b"<html>Sign in</html>\n", b"\xff\xfe"])
def test_a_list_that_is_none_is_refused(site, tmp_path, text):
    site.files[SUMS] = text
    with pytest.raises(UserMistake, match=r"lists no recordings|expected a SHA-256"):
        download(tmp_path, site.url)
    assert SUMS not in content(tmp_path)


def test_simulated_nights_are_not_mixed_with_recorded_ones(site, tmp_path):
    (tmp_path / MARK).write_text("simulated")
    with pytest.raises(UserMistake, match="simulated"):
        download(tmp_path, site.url)
    assert site.requested == []


def test_a_folder_that_cannot_be_is_the_users_mistake(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserMistake, match="cannot be written"):
        download(tmp_path / "file" / "data", site.url)
