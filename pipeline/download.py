"""Downloads sleep-accel 1.0.0 (Walch 2019, doi:10.13026/hmhs-py35, ODC-By 1.0) from PhysioNet, about 2.4 GB."""

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
LISTED = re.compile(r"([0-9a-f]{64})\s+\*?((?![/\s])(?!.*\.\.)[^\\]+)")  # no names outside the folder
RECORDINGS = re.compile(r"(heart_rate|motion|steps|labels)/[\w.-]+\.txt|LICENSE(\.txt)?")


def download(folder: Path, base_url: str = BASE_URL) -> None:
    """Download heart_rate/, motion/, steps/, labels/ and the licence, and check every file against its SHA-256.

    Existing files with the right digest are kept, others are replaced, atomically. The complete data set gets an
    origin.json.

    Args:
        folder: Folder to download into.
        base_url: URL of the data set and of its list of digests.

    Raises:
        UserMistake: The download fails, a digest is wrong, the list of digests is invalid, the folder cannot be
            written, or it holds simulated nights. Files downloaded before are kept.
    """
    folder, base_url = Path(folder), base_url.rstrip("/") + "/"
    if read_origin(folder).simulated:
        raise UserMistake(f"{folder}: holds simulated nights; choose another folder")
    pooch.get_logger().setLevel("ERROR")
    fresh = folder / f".{SUMS}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)  # pooch would keep a file that it has no digest for
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
    """{name: SHA-256} of the recordings; UserMistake if the list is invalid or has names outside the folder."""
    digests = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = LISTED.fullmatch(line)
        if not match:
            raise UserMistake(f"{url}: line {number}: expected a SHA-256 and a file name")
        if RECORDINGS.fullmatch(match[2]):
            digests[match[2]] = match[1]
    if not digests:
        raise UserMistake(f"{url}: lists no recordings")
    return digests


def _http(url: str, path: str, files: pooch.Pooch) -> None:
    """A pooch downloader whose files everyone can read; pooch's temporary files are readable by one user only."""
    pooch.HTTPDownloader()(url, path, files)
    os.chmod(path, 0o644)


def _fetch(url: str, fetch: Callable, *args: object) -> None:
    """Call fetch(*args), and raise its failures as UserMistake."""
    try:
        fetch(*args)
    except requests.RequestException as error:
        reason = getattr(error.response, "reason", None) or type(error).__name__
        raise UserMistake(f"{url}: download failed ({reason}); finished files are kept: try again") from None
    except ValueError:
        raise UserMistake(f"{url}: SHA-256 differs from {SUMS}; finished files are kept: try again") from None
