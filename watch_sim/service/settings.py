"""Settings of a service: what it serves, to whom, and how much of it."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limits import parse

from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from watch_sim.service.tokens import LEAST_KEY

KEY_VARIABLE = "WRISTSLEEP_TOKEN_KEY"
LEAST_BEARER = 16  # characters
RATE = "200/second"


@dataclass(frozen=True)
class Settings:
    """What a worker of the service is started with.

    Attributes:
        run: Folder of a run, or of a bundle.
        dataset_dir: Recordings to play; None: those of the run.
        hosts: Names that it answers to, so that no other site can pose as it; "*" for any.
        key: Of the live tokens' signatures.
        bearers: SHA-256 of the tokens that let in; none: everybody may.
        origins: Other sites whose pages may ask, as "https://example.org".
        rate: Requests of one address, as "200/second".
        predictions: (threads, calls that run or wait, seconds of a call) of nights, statistics and exports.
        steps: The same, of live steps.
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
    """SHA-256 of the tokens in a file: one a line; empty lines and those that begin with # do not count.

    Raises:
        UserMistake: The file cannot be read, holds no token, or one that is too short.
    """
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
    except OSError as error:
        raise UserMistake(f"--token_file {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserMistake(f"--token_file {path}: tokens are of ASCII characters") from None
    bearers = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not bearers:
        raise UserMistake(f"--token_file {path}: holds no token; one a line, of {LEAST_BEARER} characters or more")
    for n, bearer in bearers:
        if len(bearer) < LEAST_BEARER or len(bearer.split()) > 1:
            raise UserMistake(
                f"--token_file {path}, line {n}: a token has {LEAST_BEARER} characters or more, no blanks"
            )
    return tuple(hashlib.sha256(bearer.encode()).digest() for _, bearer in bearers)


def key_from(environment: Mapping[str, str]) -> bytes | None:
    """The key of live tokens in the environment, or None where there is none.

    Raises:
        UserMistake: It is too short.
    """
    key = environment.get(KEY_VARIABLE, "")
    if key and len(key) < LEAST_KEY:
        raise UserMistake(f"{KEY_VARIABLE}: {len(key)} characters; a key has {LEAST_KEY} or more")
    return key.encode() or None


def check_rate(rate: str) -> str:
    """The rate, if it is one; UserMistake if not."""
    try:
        parse(rate)
    except ValueError:
        raise UserMistake(f"--rate {rate!r}: expected a number and a time, as 200/second or 1000/minute") from None
    return rate


def check_origin(origin: str) -> str:
    """The origin of another site, if it is one; UserMistake if not."""
    scheme, _, name = origin.partition("://")
    if scheme not in ("http", "https") or not name or "/" in name or "*" in name:
        raise UserMistake(f"--allow_origin {origin!r}: expected a site such as https://example.org")
    return origin
