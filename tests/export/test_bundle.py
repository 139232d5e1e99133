"""The bundle: file list, contract, and how it is put in place; digests that do not fit are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.bundle import install_bundle, read_bundle, recover_bundle, reject_precisions
from export.golden import golden_document, write_golden
from export.tflite import embedded_contract, sha256
from pipeline.align import Night
from pipeline.constants import ARCHITECTURES, CHANNELS, PRECISIONS, STAGES
from pipeline.errors import UserMistake
from pipeline.options import Options
from tests.export.steps import run_steps

CODES = {  # stage -> HKCategoryValueSleepAnalysis, SleepSessionRecord.STAGE_TYPE_*
    "Wake": (2, 1), "N1": (3, 4), "N2": (3, 4), "N3": (4, 5), "REM": (5, 6),
}  # fmt: skip
every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture
def gru(quick_run, tmp_path):
    """A copy of the GRU bundle."""
    return Path(shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "gru"))


def contract_of(bundle):
    return json.loads((bundle / "contract.json").read_text())


def without_digests(contract):
    """The contract as each file holds it."""
    for plan in (*contract["preprocessing"].values(), *contract["precisions"].values()):
        for call in plan["calls"]:
            del call["sha256"]
    for name in ("other_files", "digest"):
        contract.pop(name, None)
    return contract


@every
def test_a_bundle_holds_these_files_and_no_others(bundle, architecture):
    kept = [f"{architecture}.{precision}.tflite" for precision in contract_of(bundle)["precisions"]]
    expected = {
        "contract.json",
        "contract.schema.json",
        "golden.json",
        "labels.txt",
        "sensing.tflite",
        "activity.tflite",
        *kept,
    }
    expected |= {
        "README.md",
        "report.json",
        "report.md",
        "MODEL_CARD.md",
        "cadence.json",
        "confusion.png",
        "reliability.png",
        "parity.png",
    }
    assert {path.name for path in bundle.iterdir()} == expected
    assert (bundle / "labels.txt").read_text() == "Wake\nN1\nN2\nN3\nREM\n"


def test_a_golden_night_of_nine_hours_is_small(tmp_path):
    rng, n = np.random.default_rng(0), 9 * 120
    heart_rate = rng.uniform(40, 100, (n, 30)).astype(np.float32)  # no value missing, all of them different
    channels = {"heart_rate": heart_rate, "activity": rng.integers(0, 200, (n, 2)).astype(np.float32)}
    night = Night("1", 30.0 * np.arange(1, n + 1), channels, rng.integers(-1, 5, n).astype(np.int8))
    p = rng.dirichlet(np.ones(5), n).astype(np.float32)
    write_golden(tmp_path, golden_document(night, channels, Options(), p))
    content = (tmp_path / "golden.json").read_text()
    assert len(content) < 450_000  # of a watch, which has whole numbers and fewer of them, half of that
    windows = json.loads(content)["windows"]
    for name, values in channels.items():
        np.testing.assert_array_equal(np.float32([window[name] for window in windows]), values)
    np.testing.assert_array_equal(np.float32([window["stage_probabilities"] for window in windows]), p)
    assert content.count("\n") == n + 2


@every
def test_the_golden_night_is_small(bundle):
    assert (bundle / "golden.json").stat().st_size < 400_000


@every
def test_others_may_read_a_bundle(bundle):
    assert bundle.stat().st_mode & 0o055 == 0o055
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in bundle.iterdir())


@every
def test_what_is_rejected_is_not_in_the_contract(quick_run, bundle, architecture):
    rejected = {path.name for path in (quick_run.folder / "rejected" / architecture).glob("*")}
    kept = {f"{architecture}.{precision}.tflite" for precision in contract_of(bundle)["precisions"]}
    assert not kept & rejected
    assert kept | rejected == {f"{architecture}.{precision}.tflite" for precision in PRECISIONS}
    assert f"{architecture}.float32.tflite" in kept


@every
def test_the_contract_is_as_documented(bundle, architecture):
    contract = contract_of(bundle)
    assert contract["format"] == "wristsleep-contract/1"
    assert contract["architecture"] == architecture
    assert [(s["name"], s["healthkit"], s["health_connect"]) for s in contract["stages"]] == [
        (stage, *CODES[stage]) for stage in STAGES
    ]
    assert contract["seconds"] == {"row": 1, "window": 30, "stride": 30}
    assert contract["delay_windows"] == 0
    names = [channel["name"] for channel in contract["channels"]]
    assert names == ["heart_rate", "activity"]
    for channel in contract["channels"]:
        known = CHANNELS[channel["name"]]
        assert channel["values_per_window"] == (2 if channel["name"] == "activity" else 30)
        assert (channel["unit"], channel["range"]) == (known.unit, [known.low, known.high])
        assert channel["missing"] == known.missing
        assert not channel["range"][0] <= channel["missing"] <= channel["range"][1]
    assert set(contract["precisions"]) <= set(PRECISIONS)


@every
def test_operating_points_are_in_the_contract(quick_run, bundle, architecture):
    points = contract_of(bundle)["operating_points"]
    assert points == json.loads((quick_run.folder / "operating_points.json").read_text())[architecture]
    assert [*points] == ["balanced", "rem"]
    for point in points.values():
        assert len(point["weights"]) == len(STAGES)
        assert min(point["weights"]) > 0


@every
def test_calls_and_states_fit_together(bundle, architecture):
    contract = contract_of(bundle)
    sizes = {f"channel:{c['name']}": [1, c["values_per_window"]] for c in contract["channels"]}
    for precision, plan in contract["precisions"].items():
        sensing, stager = plan["calls"]
        assert (sensing["file"], sensing["signature"]) == ("sensing.tflite", "sense")
        assert (stager["file"], stager["signature"]) == (f"{architecture}.{precision}.tflite", "step")
        known = sizes | {f"state:{name}": state["shape"] for name, state in plan["states"].items()}
        fed, kept = set(), set()
        for call in plan["calls"]:
            assert call["sha256"] == sha256(bundle / call["file"])
            for tensor in call["inputs"]:
                assert tensor["shape"] == known[tensor["from"]]
                fed.add(tensor["from"])
            for tensor in call["outputs"]:
                known[f"output:{tensor['name']}"] = tensor["shape"]
                if "to" in tensor:
                    assert tensor["shape"] == known[tensor["to"]]
                    kept.add(tensor["to"])
            assert {tensor["dtype"] for tensor in call["inputs"] + call["outputs"]} == {"float32"}
        assert {*sizes, *kept, "output:features"} == fed
        assert kept == {f"state:{name}" for name in plan["states"]}
        assert all(state["dtype"] == "float32" and state["initial"] == 0 for state in plan["states"].values())
        assert plan["probabilities"] == "stage_probabilities"
        assert known["output:stage_probabilities"] == [1, 5]


def test_tolerances(quick_run):
    plans = contract_of(quick_run.folder / "bundles" / "gru")["precisions"]
    expected = {
        "float32": {"p99_abs_dp": 5e-6, "max_abs_dp": 1e-5, "same_stage": 1, "tie": 2e-5},
        "float16": {"p99_abs_dp": 2e-3, "same_stage": 0.999},
        "dynamic": {"p99_abs_dp": 0.08, "same_stage": 0.995},
        "int8": {"p99_abs_dp": 0.1, "same_stage": 0.985},
        "int16x8": {"p99_abs_dp": 0.08, "same_stage": 0.995},
    }
    assert {name: plan["tolerance"] for name, plan in plans.items()} == {name: expected[name] for name in plans}


@every
def test_each_file_of_a_bundle_holds_the_contract(bundle):
    expected = without_digests(contract_of(bundle))
    for path in bundle.glob("*.tflite"):
        assert embedded_contract(path) == expected, path.name


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["sensing.tflite", "gru.float32.tflite"])
@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (flip_a_byte, "SHA-256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "SHA-256"),
        (Path.unlink, "missing"),
    ],
)
def test_an_altered_file_is_refused(gru, name, tamper, message):
    read_bundle(gru)
    tamper(gru / name)
    with pytest.raises(UserMistake, match=message) as caught:
        read_bundle(gru)
    assert name in caught.value.message
    if name != "sensing.tflite":
        read_bundle(gru, ["float16"])  # which does not need that file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "missing"),
        ("{", "JSON"),
        ("{}", "format"),
        ('{"format": "wristsleep-contract/2"}', "format"),
        ("[]", "dictionary"),
        ('{"format": "wristsleep-contract/1"}', "contract.json"),
    ],
)
def test_a_broken_contract_is_refused(gru, text, message):
    (gru / "contract.json").unlink()
    if text:
        (gru / "contract.json").write_text(text)
    with pytest.raises(UserMistake, match=message):
        read_bundle(gru)


def test_reject_moves_files_and_seals_the_rest(gru, tmp_path):
    before = contract_of(gru)
    reject_precisions(gru, ["float16"], tmp_path / "rejected" / "gru")
    assert [path.name for path in (tmp_path / "rejected" / "gru").iterdir()] == ["gru.float16.tflite"]
    assert not (gru / "gru.float16.tflite").exists()
    contract = read_bundle(gru)  # digests fit
    assert [*contract.precisions] == [name for name in before["precisions"] if name != "float16"]
    for path in gru.glob("*.tflite"):
        assert embedded_contract(path) == without_digests(contract_of(gru))
        run_steps(path.read_bytes())
    with pytest.raises(UserMistake, match="float16"):
        read_bundle(gru, ["float16"])


INSTALL = """
import os, signal, sys
from pathlib import Path

from export.bundle import install_bundle

renames, rename = [], Path.rename


def stopped(path, target):
    if len(renames) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    renames.append(path)
    return rename(path, target)


Path.rename = stopped
install_bundle(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def folder_of(path, text):
    path.mkdir(parents=True)
    (path / "contract.json").write_text(text)
    return path


@pytest.fixture
def installed(tmp_path):
    """(a new bundle elsewhere, where it goes: an old one stands there)"""
    return folder_of(tmp_path / "scratch" / "gru", "new"), folder_of(tmp_path / "bundles" / "gru", "old")


def left_in(bundle):
    return {path.name: (path / "contract.json").read_text() for path in bundle.parent.iterdir()}


@pytest.mark.parametrize(
    ("renames", "left"), [(0, {"gru": "old", ".gru.new": "new"}), (1, {".gru.old": "old", ".gru.new": "new"})]
)
def test_a_kill_never_loses_the_old_bundle(installed, run_python, renames, left):
    """Before the first rename, or between the two."""
    new, bundle = installed
    done = run_python("-c", INSTALL, new, bundle, renames)
    assert done.returncode == -9, done.stderr
    assert left_in(bundle) == left
    recover_bundle(bundle)
    assert left_in(bundle) == {"gru": "old"}
    install_bundle(new, bundle)
    assert left_in(bundle) == {"gru": "new"}
    assert (new / "contract.json").read_text() == "new"


def test_installing_recovers_by_itself(installed, run_python):
    new, bundle = installed
    run_python("-c", INSTALL, new, bundle, 1)
    install_bundle(new, bundle)
    assert left_in(bundle) == {"gru": "new"}


def test_a_kill_after_the_renames_leaves_the_new_bundle(installed):
    _, bundle = installed
    folder_of(bundle.with_name(".gru.old"), "older")
    recover_bundle(bundle)
    assert left_in(bundle) == {"gru": "old"}


def test_the_first_bundle_of_a_place(installed, tmp_path):
    new, _ = installed
    (tmp_path / "empty").mkdir()
    recover_bundle(tmp_path / "empty" / "gru")
    install_bundle(new, tmp_path / "empty" / "gru")
    assert left_in(tmp_path / "empty" / "gru") == {"gru": "new"}


def test_a_full_disk_keeps_the_old_bundle(installed, full_disk):
    new, bundle = installed
    (new / "long").write_bytes(bytes(2000))
    with full_disk(), pytest.raises(UserMistake, match=r"long: cannot be copied to .*\(File too large\)"):
        install_bundle(new, bundle)
    assert left_in(bundle) == {"gru": "old"}
