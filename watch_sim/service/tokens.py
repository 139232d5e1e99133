"""Live tokens: the state of a night in progress, kept by the client, so that any replica can continue it.

A token is base64url of: format (1 byte), time of issue (8, seconds since 1970), the bundle's digest (16), a
signature (32, HMAC-SHA256 over all the rest), and the compressed state. It is signed, not encrypted, as it contains
only the client's own data. Nothing in it is parsed before the signature is verified.
"""

import base64
import binascii
import hmac
import json
import struct
import time
import zlib
from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from pipeline.constants import LEAD_S, LONGEST_NIGHT_S

FORMAT = 1  # increase when the result of Watch.state changes
HEAD = struct.Struct(">BQ16s")  # format, issued, digest
SIGNATURE = 32  # bytes
MAX_AGE_S = LONGEST_NIGHT_S + LEAD_S
AHEAD_S = 300  # how far another replica's clock may be ahead
MOST_CHARACTERS = 2**20  # in a token
MOST_BYTES = 2**23  # of a decompressed state
LEAST_KEY = 32  # characters in a key


class TokenRefused(Exception):
    """A token that cannot be continued from.

    Attributes:
        status: 422 altered or not a token; 410 too old; 409 from another model or version.
        message: For people.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


class NightUnderWay(NamedTuple):
    """The content of a token.

    Attributes:
        architecture: The model's.
        precision: The model's.
        operating_point: The model's, or None.
        arrays: {name: array} from Watch.state.
    """

    architecture: str
    precision: str
    operating_point: str | None
    arrays: Mapping[str, np.ndarray]


class Tokens:
    """Issues tokens and reads them back.

    Attributes:
        digests: {architecture: 16-byte digest of the bundle}.
    """

    def __init__(self, key: bytes, digests: Mapping[str, bytes]):
        """Create it.

        Args:
            key: Signing key, the same in every replica.
            digests: {architecture: 16-byte digest of the bundle}.
        """
        self._key = key
        self.digests = digests

    def issue(self, night: NightUnderWay) -> str:
        """The token of a night.

        Raises:
            TokenRefused: The state is too large: too many samples in an open window.
        """
        head = HEAD.pack(FORMAT, int(time.time()), self.digests[night.architecture])
        packed = pack(night)
        body = zlib.compress(packed, 1)
        token = base64.urlsafe_b64encode(head + self._signature(head + body) + body).decode()
        if len(token) > MOST_CHARACTERS or len(packed) > MOST_BYTES:  # which `read` would not take
            raise TokenRefused(422, "too many samples in a window that is still open")
        return token

    def read(self, token: str) -> NightUnderWay:
        """The content of a token.

        Raises:
            TokenRefused: The token was altered, is too old, or is from another model.
        """
        try:
            raw = base64.b64decode(token.encode("ascii"), b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise TokenRefused(422, "is not a token") from None
        head, signature, body = raw[: HEAD.size], raw[HEAD.size :][:SIGNATURE], raw[HEAD.size + SIGNATURE :]
        if len(raw) < HEAD.size + SIGNATURE or base64.urlsafe_b64encode(raw).decode() != token:
            raise TokenRefused(422, "is not a token")
        if not hmac.compare_digest(signature, self._signature(head + body)):
            raise TokenRefused(422, "was altered, or signed with another key")
        version, issued, digest = HEAD.unpack(head)
        if version != FORMAT:
            raise TokenRefused(409, "is from another version of this service")
        if not -AHEAD_S <= time.time() - issued <= MAX_AGE_S:
            raise TokenRefused(410, f"is too old: a token is valid for {MAX_AGE_S // 3600} hours")
        night = unpack(zlib.decompressobj().decompress(body, MOST_BYTES))
        if self.digests.get(night.architecture) != digest:
            raise TokenRefused(409, "is from another model")
        return night

    def _signature(self, content):
        return hmac.digest(self._key, content, "sha256")


def pack(night: NightUnderWay) -> bytes:
    """A night as bytes: a line of JSON with names, types and shapes, followed by the arrays' bytes."""
    arrays = [(name, np.ascontiguousarray(x)) for name, x in night.arrays.items()]
    entries = [(name, x.dtype.str, np.shape(night.arrays[name])) for name, x in arrays]
    line = json.dumps([night.architecture, night.precision, night.operating_point, entries]).encode()
    return b"".join([line, b"\n", *(x.tobytes() for _, x in arrays)])


def unpack(packed: bytes) -> NightUnderWay:
    """The inverse of `pack`, bit for bit."""
    line, _, content = packed.partition(b"\n")
    architecture, precision, operating_point, entries = json.loads(line)
    arrays, offset = {}, 0
    for name, dtype, shape in entries:
        arrays[name] = np.frombuffer(content, dtype, prod(shape), offset).reshape(shape)
        offset += arrays[name].nbytes
    return NightUnderWay(architecture, precision, operating_point, arrays)
