"""Fetches sleep-accel 1.0.0 (Walch 2019, doi:10.13026/hmhs-py35, ODC-By 1.0) from PhysioNet, about 2.4 GB."""

import os
import re
from pathlib import Path

import pooch
import requests

from pipeline.cli import progress_bar
from pipeline.options import UserMistake
from pipeline.synthetic import MARK

BASE_URL = "https://physionet.org/files/sleep-accel/1.0.0/"
SUMS = "SHA256SUMS.txt"
LISTED = re.compile(r"([0-9a-f]{64})\s+\*?((?![/\s])(?!.*\.\.)[^\\]+)")  # names do not lead out of the folder
WANTED = re.compile(r"(heart_rate|motion|steps|labels)/[\w.-]+\.txt|LICENSE(\.txt)?")


def download(folder, base_url=BASE_URL):
    """Fetches heart_rate/, motion/, steps/, labels/ and the licence into the folder, each file against its SHA-256.

    Files that are there and right are not fetched again, wrong ones are replaced; none is ever half under its name.
    Raises UserMistake, leaving what was fetched, where the network, a digest or the list of digests fails, where the
    folder cannot be written, and where it holds simulated nights.
    """
    folder, base_url = Path(folder), base_url.rstrip("/") + "/"
    if (folder / MARK).exists():
        raise UserMistake(f"{folder}: holds simulated nights; choose another folder")
    pooch.get_logger().setLevel("ERROR")
    fresh = folder / f".{SUMS}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)  # pooch keeps a file without a known digest
        _fetched(base_url + SUMS, pooch.retrieve, base_url + SUMS, None, fresh.name, folder, None, _http)
        digests = _digests(fresh.read_text(errors="replace"), base_url + SUMS)
        fresh.replace(folder / SUMS)
        files = pooch.create(folder, base_url, registry=digests, retry_if_failed=2)
        with progress_bar() as bar:
            task = bar.add_task("", total=len(digests))
            for name in sorted(digests):
                bar.update(task, description=name)
                _fetched(base_url + name, files.fetch, name, None, _http)
                bar.advance(task)
    except OSError as error:
        raise UserMistake(f"{folder}: cannot be written ({error.strerror or error})") from None


def _digests(text, url):
    """{name: SHA-256} of the wanted files. Raises UserMistake for no such list, or one that leads out of the folder."""
    listed = [LISTED.fullmatch(line) for line in text.splitlines()]
    if not all(listed):
        raise UserMistake(f"{url}: line {listed.index(None) + 1} is no SHA-256 and name in the folder")
    wanted = {match[2]: match[1] for match in listed if WANTED.fullmatch(match[2])}
    if not wanted:
        raise UserMistake(f"{url}: lists no recordings")
    return wanted


def _http(url, path, files):
    """A pooch downloader. What it fetches is for all to read; pooch's temporary files are their owner's only."""
    pooch.HTTPDownloader()(url, path, files)
    os.chmod(path, 0o644)


def _fetched(url, fetch, *args):
    """fetch(*args), with its failures as UserMistake."""
    try:
        fetch(*args)
    except requests.RequestException as error:
        reason = getattr(error.response, "reason", None) or type(error).__name__
        raise UserMistake(f"{url}: cannot be fetched ({reason}); what was fetched stays: try again") from None
    except ValueError:
        raise UserMistake(f"{url}: not as {SUMS} says (wrong SHA-256); what was fetched before stays") from None
