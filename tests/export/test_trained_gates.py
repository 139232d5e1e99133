"""Every exported file of a *trained* run keeps its gate, on recorded nights as they are and on degraded ones.

Hardly trained networks say little about quantization. So one small run on real nights is trained and kept under
artifacts/cache, named by a digest of the code that makes it; a change to that code trains it anew (about two minutes).
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.gates import compare
from export.runner import Runner
from pipeline.align import align
from pipeline.constants import ARCHITECTURES, ARTIFACTS, PRECISIONS
from pipeline.degrade import degraded
from pipeline.nights import load_nights
from pipeline.recordings import read_recording

pytestmark = pytest.mark.trained
ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = (
    "781756", "844359", "1066528", "1449548", "1455390", "1818471", "2598705", "2638030", "3997827", "4314139",
)  # fmt: skip
OPTIONS = ("--epochs", "30", "--variants", "4", "--inner_folds", "0", "--train_split", "0.8")
STRESSES = ("noise 3 bpm", "every 300 s", "30% in holes", "no movement")


def code_digest():
    """Digest of all code that a trained run depends on, and of what it is made with."""
    digest = hashlib.sha256(repr((SUBJECTS, OPTIONS)).encode())
    for folder in ("pipeline", "scoring", "models", "export"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((ROOT / "requirements.txt").read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def trained(real, tmp_path_factory):
    """A trained run of all four networks on ten real nights, two of them held out."""
    from models.trained_run import TrainedRun

    folder = ARTIFACTS / "cache" / f"trained-{code_digest()}"
    if not folder.exists():
        for old in (ARTIFACTS / "cache").glob("trained-*"):
            shutil.rmtree(old)
        data = tmp_path_factory.mktemp("ten") / "nights"
        for subject in SUBJECTS:
            for path in real.glob(f"*/{subject}_*"):
                link = data / path.parent.name / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        out = tmp_path_factory.mktemp("trained") / "run"
        command = [sys.executable, "train.py", "--dataset_dir", data, *OPTIONS, "--out", out]
        done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr  # whether gates hold is for the tests to say
        assert (out / "parity.json").exists(), done.stderr
        shutil.copytree(out, folder.with_name(f".{folder.name}"), dirs_exist_ok=True)
        folder.with_name(f".{folder.name}").rename(folder)
    return TrainedRun(folder)


@pytest.fixture(scope="module")
def nights(trained, real):
    """{stress: held-out nights}."""
    subjects = trained.splits["validation"]
    assert len(subjects) == 2
    out = {"as recorded": load_nights(real, trained.options, subjects)[0]}
    for stress in STRESSES:
        recordings = [read_recording(real, subject) for subject in subjects]
        out[stress] = [align(degraded(recording, stress), trained.options) for recording in recordings]
    return out


@pytest.fixture(scope="module")
def reference(trained, nights):
    """{(architecture, stress): Keras probabilities of the nights}."""
    features = {stress: trained.sensing().sense_nights(group) for stress, group in nights.items()}
    return {(name, stress): trained.probabilities(name, x) for name in ARCHITECTURES for stress, x in features.items()}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trained_file_keeps_its_gate(trained, nights, reference, architecture, precision):
    bundle = trained.bundle(architecture)
    runner = Runner(bundle, precision)
    of_each = {}
    for stress, group in nights.items():
        actual = [runner.night(night, trained.options) for night in group]
        of_each[stress] = [*zip(reference[architecture, stress], actual, group, strict=True)]
    as_recorded, *degraded_ones = of_each.values()
    parts = {"as recorded": as_recorded, "degraded": [night for group in degraded_ones for night in group]}
    for name, compared in parts.items():
        row = compare(*zip(*compared, strict=True), precision)
        assert row["passed"], (name, row)
        assert sum(len(night) for *_, night in compared) > (1800 if compared is as_recorded else 7200)
