"""contract.sig: made by sign and --sign, checked by verify --public-key."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.python.sleep_stager import SleepStager
from export.__main__ import main
from export.archive import write_zip
from export.bundle import SIGNATURE, record_files
from tests.conftest import ROOT


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(ROOT / "bundles" / "gru-int8", tmp_path / "gru"))


def private_pem(key, password=None):
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture
def keys(tmp_path):
    """(path of the private key, path of the public key)."""
    key, paths = Ed25519PrivateKey.generate(), (tmp_path / "key.pem", tmp_path / "pub.pem")
    paths[0].write_bytes(private_pem(key))
    paths[1].write_bytes(public_pem(key))
    return paths


def command(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def signed(bundle, keys):
    done = command("sign", bundle, "--key", keys[0])
    assert (done.exit_code, done.stdout) == (0, f"{bundle / SIGNATURE}\n"), done.output
    return bundle


def refused(done):
    """The one line of a verification that failed by the signature."""
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    (line,) = done.stderr.splitlines()
    return line


def test_a_signed_bundle_as_folder_and_zip(signed, keys):
    expected = f"signed by {keys[1]}\ncomplete and unaltered; it has no golden night to replay\n"
    for path in (signed, write_zip(signed)):
        done = command("verify", path, "--public-key", keys[1])
        assert (done.exit_code, done.stdout) == (0, expected), done.output
    assert command("verify", signed).exit_code == 0  # who has no key may still look
    assert SleepStager(signed).stride == 30


def test_openssl_takes_the_signature(signed, keys):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    check = "openssl pkeyutl -verify -pubin -inkey pub.pem -rawin -in gru/contract.json -sigfile gru/contract.sig"
    done = subprocess.run(check.split(), cwd=signed.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "Verified Successfully" in done.stdout, done.stderr


def test_no_signature_another_key_another_contract(signed, keys, tmp_path):
    (tmp_path / "other.pem").write_bytes(public_pem(Ed25519PrivateKey.generate()))
    assert "contract.sig: does not match contract.json" in refused(
        command("verify", signed, "--public-key", tmp_path / "other.pem")
    )
    whole = (signed / "contract.json").read_text()
    for altered in (whole + " ", whole.replace('"nights": 25', '"nights": 26')):
        (signed / "contract.json").write_text(altered)
        assert "contract.sig: does not match contract.json" in refused(
            command("verify", signed, "--public-key", keys[1])
        )
    (signed / "contract.json").write_text(whole)
    (signed / SIGNATURE).write_bytes(b"short")
    assert "contract.sig: does not match contract.json" in refused(command("verify", signed, "--public-key", keys[1]))
    (signed / SIGNATURE).unlink()
    assert "contract.sig: missing; the bundle is not signed" in refused(
        command("verify", signed, "--public-key", keys[1])
    )


def test_a_signature_does_not_outlive_its_contract(signed):
    record_files(signed)
    assert not (signed / SIGNATURE).exists()


def test_what_is_no_key(bundle, keys, tmp_path, mistake):
    key, path = Ed25519PrivateKey.generate(), tmp_path / "x.pem"
    elliptic = ec.generate_private_key(ec.SECP256R1())
    for content, message in (
        (b"", "x.pem: not a private key"),
        (public_pem(key), "x.pem: not a private key"),
        (private_pem(key, b"secret"), "x.pem: protected by a password"),
        (private_pem(elliptic), "x.pem: not an Ed25519 key"),
    ):
        path.write_bytes(content)
        assert message in mistake(command("sign", bundle, "--key", path))
        assert message in mistake(command(tmp_path / "no run", "--sign", path))  # before anything else
    for content, message in (
        (b"\xff", "x.pem: not a public key"),
        (private_pem(key), "x.pem: not a public key in PEM format; this is a private key"),
        (public_pem(elliptic), "x.pem: not an Ed25519 key"),
    ):
        path.write_bytes(content)
        assert message in mistake(command("verify", bundle, "--public-key", path))
    for absent in (tmp_path / "absent.pem", tmp_path, Path("/dev/full")):
        assert f"{absent}: cannot be read" in mistake(command("sign", bundle, "--key", absent))
        assert f"{absent}: cannot be read" in mistake(command("verify", bundle, "--public-key", absent))
    assert not (bundle / SIGNATURE).exists()
    assert "not a bundle" in mistake(command("verify", tmp_path, "--public-key", keys[1]))
    assert "not a bundle" in mistake(command("sign", tmp_path, "--key", keys[0]))


def test_only_a_whole_bundle_is_signed(bundle, keys, mistake):
    (bundle / "sensing.tflite").write_bytes(b"")
    assert "sensing.tflite: its SHA-256" in mistake(command("sign", bundle, "--key", keys[0]))


def test_what_an_app_ships_is_signed(bundle, keys, tmp_path, mistake):
    for platform, place in (("any", "any"), ("android", "android/src/main/assets/bundle")):
        done = command(bundle, "--for", platform, "--out", tmp_path / platform, "--sign", keys[0])
        assert done.exit_code == 0, done.output
        assert (tmp_path / place / SIGNATURE).stat().st_size == 64
    assert command("verify", tmp_path / "any", "--public-key", keys[1]).exit_code == 0
    line = mistake(command(bundle, "--for", "micro", "--out", tmp_path / "micro", "--sign", keys[0]))
    assert "--sign: cannot be used with --for micro" in line and not (tmp_path / "micro").exists()
