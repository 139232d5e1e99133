"""A bundle's signature: contract.sig, Ed25519 over the bytes of contract.json, which holds the digests of all files."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from export.bundle import SIGNATURE, read_bundle
from export.contract import FILE
from pipeline.errors import UserMistake
from pipeline.files import read_small, write_whole

MOST_KEY = 1 << 16  # bytes


class WrongSignature(UserMistake):
    """A bundle is not signed by the expected key: shown as one line, exit code 1."""

    exit_code = 1


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key to sign with.

    Args:
        path: A PEM file, not protected by a password.

    Raises:
        UserMistake: The file holds no such key.
    """
    content = _pem(path)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise UserMistake(f"{path}: protected by a password; use a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UserMistake(f"{path}: not a private key in PEM format") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserMistake(f"{path}: not an Ed25519 key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The key to check signatures with.

    Args:
        path: A PEM file.

    Raises:
        UserMistake: The file holds no such key.
    """
    content = _pem(path)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        hint = "; this is a private key, keep it to yourself" if b"PRIVATE KEY" in content else ""
        raise UserMistake(f"{path}: not a public key in PEM format{hint}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UserMistake(f"{path}: not an Ed25519 key")
    return key


def _pem(path):
    try:
        return read_small(Path(path), MOST_KEY)
    except OSError as error:
        raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None


def sign_bundle(folder: Path, key: Ed25519PrivateKey) -> Path:
    """Write contract.sig (64 bytes) into a bundle, replacing an earlier one.

    Args:
        folder: The bundle, or a folder with contract.json and the files that it names.
        key: The key to sign with.

    Returns:
        Path of contract.sig.

    Raises:
        UserMistake: The bundle is incomplete or altered, or the folder cannot be written to.
    """
    read_bundle(folder)
    path = Path(folder) / SIGNATURE
    try:
        write_whole(path, key.sign((Path(folder) / FILE).read_bytes()))
    except OSError as error:
        raise UserMistake(f"{path}: cannot be written ({error.strerror})") from None
    return path


def check_signature(folder: Path, key: Ed25519PublicKey) -> None:
    """Check that contract.json was signed with the private key that belongs to a public key.

    Args:
        folder: The bundle.
        key: The publisher's key, obtained from outside the bundle.

    Raises:
        WrongSignature: The contract is not signed, was signed with another key, or was altered since.
        UserMistake: There is no contract.json.
    """
    contract, path = Path(folder) / FILE, Path(folder) / SIGNATURE
    if not contract.is_file():
        raise UserMistake(f"{contract}: missing; not a bundle")
    if not path.is_file():
        raise WrongSignature(f"{path}: missing; the bundle is not signed")
    try:
        key.verify(path.read_bytes(), contract.read_bytes())
    except InvalidSignature:
        message = "does not match contract.json and this key: signed with another key, or altered since"
        raise WrongSignature(f"{path}: {message}") from None
