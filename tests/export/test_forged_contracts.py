"""Contracts of which one field is another, with every digest and every embedded copy made anew: what still passes?

Of each kind of field some edits, drawn by a seed, are tried on the reference bundle. Who makes digests anew can also
put other networks into a bundle: against that stands the signature (test_signature.py).
"""

import json
import random
import shutil

import pytest

from apps.python.sleep_stager import StagerError, read_contract
from export.bundle import read_bundle
from export.contract import DIGEST, FILE
from export.runtimes import RUNTIMES
from export.verify import verify_bundle
from pipeline.errors import UserMistake
from pipeline.files import as_json
from tests.apps.vectors import VECTORS, bundle_of, read_vector
from tests.conftest import ROOT
from tests.export.forger import Forger, edited, edits, refused_as_read
from watch_sim import Watch

BUNDLE = ROOT / "bundles" / "gru-int8"
OF_A_KIND = 1  # edits
FREE = {  # what no file of a bundle tells: only the signature holds it
    "training_data": "where the nights come from, in words, how many there were, and whether they were simulated",
    "operating_points": "which there are, and their weights, as long as these sum to 1",
    "channels": "their order: inputs are found by name",
}


@pytest.fixture(scope="module")
def document():
    """The contract without its own digest, which makes it one of an earlier version."""
    document = json.loads((BUNDLE / FILE).read_text())
    del document[DIGEST]
    return document


@pytest.fixture(scope="module")
def forger():
    return Forger(BUNDLE)


def kind_of(place, value):
    """Fields that the same check is for: entries of a list, the sentences of `how`."""
    if place[0] in ("how", "unknown", "input_guard"):
        place = place[:1]
    return tuple("*" if isinstance(name, int) else name for name in place if name not in RUNTIMES), value is ...


def drawn(document):
    """Some edits of each kind."""
    kinds = {}
    for place, value in edits(document):
        kinds.setdefault(kind_of(place, value), []).append((place, value))
    rng = random.Random(12)
    return [edit for alike in kinds.values() for edit in rng.sample(alike, min(OF_A_KIND, len(alike)))]


def test_one_field_is_another(document, forger, tmp_path):
    passed, tried, forged = [], 0, 0
    for tried, (place, value) in enumerate(drawn(document), 1):
        contract = edited(document, place, value)
        message = refused_as_read(contract, tmp_path)
        if message is None:
            forged += 1
            folder = forger.write(contract, tmp_path / str(tried))
            try:
                verify_bundle(folder)
                passed.append(place)
            except UserMistake as mistake:
                message = mistake.message
            shutil.rmtree(folder)
        assert message is None or ("\n" not in message and str(tmp_path) in message), (place, value)
    assert tried > 150 and forged > 30  # else the forger has forgotten how
    assert {place[0] for place in passed} <= {*FREE}
    assert all(place == ("channels",) for place in passed if place[0] == "channels")


def test_the_bundle_itself_passes_through_the_forger(document, forger, tmp_path):
    assert verify_bundle(forger.write(document, tmp_path / "same")) == {}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("seconds", "stride"), 15, "seconds.stride: 15, but sensing.tflite was built for 30"),
        (("how", "unknown"), "Never.", "how.unknown: 'Never.', but the bundle's files give"),
        (("precisions", "int8", "tolerance", "same_stage"), 0.5, "tolerance.same_stage: 0.5, but the"),
        (("architecture",), "lstm", "architecture: 'lstm', but its files have other names"),
        (("channels", 0, "limit"), 9, "channels.0.limit: unknown field"),
        (("note",), "", "contract.json: note: unknown field"),
    ],
)
def test_what_only_the_files_contradict(document, forger, tmp_path, place, value, message):
    with pytest.raises(UserMistake) as caught:
        verify_bundle(forger.write(edited(document, place, value), tmp_path / "forged"))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("precisions", "int8", "states", "hidden", "initial"), -1, "states.hidden.initial: -1, expected 0"),
        (("unknown", "absent_seconds"), 900, "unknown.absent_seconds: 900, expected 300"),
        (("input_guard", "gravity_g", 1), 20.0, "input_guard.gravity_g: [0.5, 20.0], expected [0.5, 2.0]"),
        (("sensors", "motion", "range", 0), -160, "sensors.motion.range: [-160, 16], expected [-16, 16]"),
        (("stages", 1, "healthkit"), 4, "stages: expected Wake"),
        (("channels", 0, "unit"), "Hz", "channels.0.unit: 'Hz', but heart_rate has 'bpm'"),
    ],
)
def test_constants_of_the_format_are_refused_by_whatever_reads_a_contract(document, tmp_path, place, value, message):
    shutil.copytree(BUNDLE, tmp_path / "b")
    (tmp_path / "b" / FILE).write_text(json.dumps(edited(document, place, value)))
    with pytest.raises(UserMistake) as caught:
        Watch(tmp_path / "b")
    assert message in caught.value.message


def test_a_contract_that_is_not_the_embedded_one_is_refused_by_the_watch(document, tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "b")
    (tmp_path / "b" / FILE).write_text(json.dumps(edited(document, ("seconds", "stride"), 15)))
    with pytest.raises(UserMistake, match=r"activity\.tflite: the contract embedded in it differs from contract\.json"):
        Watch(tmp_path / "b")


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLE.iterdir()))
def test_one_bit_of_any_file(name, tmp_path):
    """Bits that a seed draws, of every file: also those that no digest of a call covers."""
    shutil.copytree(BUNDLE, tmp_path / "b")
    whole, rng = (BUNDLE / name).read_bytes(), random.Random(name)
    for _ in range(12):
        content, i = bytearray(whole), rng.randrange(len(whole))
        content[i] ^= 1 << rng.randrange(8)
        (tmp_path / "b" / name).write_bytes(content)
        with pytest.raises(UserMistake):
            verify_bundle(tmp_path / "b")


def test_every_byte_of_a_contract_counts_for_whatever_reads_it(tmp_path):
    """Also those of text that only describes; `verify` needs no embedded contract for that, nor does a library."""
    whole, rng = (BUNDLE / FILE).read_bytes(), random.Random(1)
    for bit in rng.sample(range(8 * len(whole)), 100):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(StagerError) as caught:
            read_contract(tmp_path)
        assert caught.value.code in ("altered_contract", "unsupported_contract")
    shutil.copytree(BUNDLE, tmp_path / "b")
    (tmp_path / "b" / FILE).write_bytes(whole.replace(b'"labels.txt": "68', b'"labels.txt": "69'))
    with pytest.raises(UserMistake, match=r"contract\.json: altered; its SHA-256 is not the one at its end"):
        Watch(tmp_path / "b")


@pytest.mark.parametrize("name", [name for name in VECTORS if name.startswith("open_digest_")])
def test_a_digest_of_another_form(name, tmp_path):
    vector = read_vector(name)
    folder = bundle_of(vector, tmp_path)
    if vector["error"] != "altered_contract":
        assert read_bundle(folder)
        return
    for opened in (verify_bundle, Watch):
        with pytest.raises(UserMistake, match=r"contract\.json: altered; its SHA-256 is not the one at its end"):
            opened(folder)


def test_a_contract_with_other_white_space_and_a_file_too_many(document, tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "b")
    text, plain = (tmp_path / "b" / FILE).read_text(), as_json(document)
    for other in (plain, plain + "\n", plain.replace('"row": 1,', '"row": 2, "row": 1,')):
        (tmp_path / "b" / FILE).write_text(other)
        with pytest.raises(UserMistake, match=r"contract\.json: not as Wristsleep writes it"):
            verify_bundle(tmp_path / "b")
    (tmp_path / "b" / FILE).write_text(text)
    (tmp_path / "b" / "setup.sh").write_text("")
    with pytest.raises(UserMistake, match=r"setup\.sh: not listed in contract\.json"):
        verify_bundle(tmp_path / "b")


def test_sensors_of_a_later_version_are_ignored(document, tmp_path):
    document = edited(document, ("sensors", "x"), "0")
    (tmp_path / FILE).write_text(json.dumps(document))
    assert "x" not in read_contract(tmp_path)[0]["sensors"]
