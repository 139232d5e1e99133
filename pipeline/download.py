"""Fetches sleep-accel 1.0.0 (Walch 2019, doi:10.13026/hmhs-py35, ODC-By 1.0) from PhysioNet, about 2.4 GB."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

from pipeline.command_line import progress_bar
from pipeline.errors import UserMistake
from pipeline.origin import SLEEP_ACCEL, read_origin, write_origin

BASE_URL = "https://physionet.org/files/sleep-accel/1.0.0/"
SUMS = "SHA256SUMS.txt"
LISTED = re.compile(r"([0-9a-f]{64})\s+\*?((?![/\s])(?!.*\.\.)[^\\]+)")  # names do not lead out of the folder
RECORDINGS = re.compile(r"(heart_rate|motion|steps|labels)/[\w.-]+\.txt|LICENSE(\.txt)?")


def download(folder: Path, base_url: str = BASE_URL) -> None:
    """Fetch heart_rate/, motion/, steps/, labels/ and the licence, every file checked against its SHA-256.

    Files that are there and right are not fetched again, wrong ones are replaced; none is ever half under its name.
    The complete data set is marked with its origin.

    Args:
        folder: To fetch into.
        base_url: Where the data set and its list of digests are.

    Raises:
        UserMistake: The network, a digest or the list of digests fails, the folder cannot be written, or it holds
            simulated nights. What was fetched stays.
    """
    folder, base_url = Path(folder), base_url.rstrip("/") + "/"
    if read_origin(folder).simulated:
        raise UserMistake(f"{folder}: holds simulated nights; choose another folder")
    pooch.get_logger().setLevel("ERROR")
    fresh = folder / f".{SUMS}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)  # pooch would keep a file for which it has no digest
        _fetch(base_url + SUMS, pooch.retrieve, base_url + SUMS, None, fresh.name, folder, None, _http)
        digests = _digests(fresh.read_text(errors="replace"), base_url + SUMS)
        fresh.replace(folder / SUMS)
        files = pooch.create(folder, base_url, registry=digests, retry_if_failed=2)
        with progress_bar() as bar:
            task = bar.add_task("", total=len(digests))
            for name in sorted(digests):
                bar.update(task, description=name)
                _fetch(base_url + name, files.fetch, name, None, _http)
                bar.advance(task)
        write_origin(folder, SLEEP_ACCEL)
    except OSError as error:
        raise UserMistake(f"{folder}: cannot be written ({error.strerror or error})") from None


def _digests(text: str, url: str) -> dict[str, str]:
    """{name: SHA-256} of the recordings; UserMistake for no such list, or one that leads out of the folder."""
    digests = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = LISTED.fullmatch(line)
        if not match:
            raise UserMistake(f"{url}: line {number} is no SHA-256 and name in the folder")
        if RECORDINGS.fullmatch(match[2]):
            digests[match[2]] = match[1]
    if not digests:
        raise UserMistake(f"{url}: lists no recordings")
    return digests


def _http(url: str, path: str, files: pooch.Pooch) -> None:
    """A pooch downloader that lets everyone read what it fetches; pooch's temporary files are readable to one user."""
    pooch.HTTPDownloader()(url, path, files)
    os.chmod(path, 0o644)


def _fetch(url: str, fetch: Callable, *args: object) -> None:
    """Call fetch(*args), with its failures as UserMistake."""
    try:
        fetch(*args)
    except requests.RequestException as error:
        reason = getattr(error.response, "reason", None) or type(error).__name__
        raise UserMistake(f"{url}: cannot be fetched ({reason}); what was fetched stays: try again") from None
    except ValueError:
        raise UserMistake(f"{url}: not as {SUMS} says (wrong SHA-256); what was fetched before stays") from None
