"""Settings of a service: what it serves, who may use it, and its limits."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limits import parse_many

from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from pipeline.files import read_small
from watch_sim.service.tokens import LEAST_KEY

KEY_VARIABLE = "WRISTSLEEP_TOKEN_KEY"
LEAST_BEARER = 16  # characters
MOST_BEARER = 1000  # a header has room for it
MOST_BEARERS = 2**20  # bytes of a file
RATE = "200/second"
ORIGIN = re.compile(
    r"(?!http:.*:80$|https:.*:443$)https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?", re.ASCII
)


@dataclass(frozen=True)
class Settings:
    """Settings of a worker.

    Attributes:
        run: Folder of a run or of a bundle.
        dataset_dir: Recordings to play; None: those of the run.
        hosts: Accepted Host names, against DNS rebinding; "*" for any.
        key: Key that signs live tokens.
        bearers: SHA-256 of the accepted bearer tokens; if empty, everyone has access.
        origins: Other sites whose pages may send requests, such as "https://example.org".
        rate: Limit of requests per address, such as "200/second".
        predictions: (threads, limit of running and waiting calls, seconds per call) for nights, statistics and exports.
        steps: The same for live steps.
    """

    run: Path
    dataset_dir: Data | None = None
    hosts: tuple[str, ...] = ("*",)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(LEAST_KEY), repr=False)
    bearers: tuple[bytes, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    rate: str = RATE
    predictions: tuple[int, int, float] = (2, 16, 60.0)
    steps: tuple[int, int, float] = (2, 256, 10.0)


def read_bearers(path: Path) -> tuple[bytes, ...]:
    """SHA-256 of the tokens in a file: one per line; empty lines and lines that begin with # are skipped.

    Raises:
        UserMistake: The file cannot be read, has no token, or one that cannot be one.
    """
    try:
        lines = [line.strip() for line in read_small(path, MOST_BEARERS).decode("ascii").splitlines()]
    except OSError as error:
        raise UserMistake(f"--token_file {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserMistake(f"--token_file {path}: tokens must be ASCII") from None
    bearers = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not bearers:
        raise UserMistake(f"--token_file {path}: no token; expected one per line, at least {LEAST_BEARER} characters")
    for n, bearer in bearers:
        if not LEAST_BEARER <= len(bearer) <= MOST_BEARER or " " in bearer or not bearer.isprintable():
            raise UserMistake(
                f"--token_file {path}, line {n}: a token has {LEAST_BEARER} to {MOST_BEARER} characters, no blanks"
            )
    return tuple(hashlib.sha256(bearer.encode()).digest() for _, bearer in bearers)


def key_from(environment: Mapping[str, str]) -> bytes | None:
    """The key of live tokens from the environment, or None if it is not set.

    Raises:
        UserMistake: The key is too short.
    """
    key = environment.get(KEY_VARIABLE, "")
    if key and len(key) < LEAST_KEY:
        raise UserMistake(f"{KEY_VARIABLE}: {len(key)} characters; expected at least {LEAST_KEY}")
    return key.encode(errors="surrogateescape") or None


def check_rate(rate: str) -> str:
    """The rate, if it is valid; otherwise raises UserMistake."""
    try:
        amounts = [limit.amount for limit in parse_many(rate)]
    except ValueError:
        amounts = []
    if len(amounts) != 1 or amounts[0] <= 0:
        raise UserMistake(f"--rate {rate!r}: expected a number per time, such as 200/second or 1000/minute")
    return rate


def check_origin(origin: str) -> str:
    """The origin of another site, if browsers may send it; otherwise raises UserMistake."""
    if not ORIGIN.fullmatch(origin):
        raise UserMistake(
            f"--allow_origin {origin!r}: expected a site as browsers name it, such as https://example.org: lower case, "
            "with a port only if it is not the usual one, and nothing after it"
        )
    return origin
