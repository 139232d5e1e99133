"""The bundle: file list, contract, what is inside each .tflite, golden night; digests that do not fit are refused.

The bundles are those of the quick run, whose quantized files may have been rejected by parity: what holds for a file
holds for those in rejected/ too.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from export.bundle import install_bundle, read_bundle, recover_bundle, reject_precisions
from export.golden import golden_document, write_golden
from export.tflite import embedded_contract, rewrite, sha256
from pipeline.align import Night
from pipeline.constants import ARCHITECTURES, CHANNELS, PRECISIONS, STAGES
from pipeline.errors import UserMistake
from pipeline.options import Options

CODES = {  # stage -> HKCategoryValueSleepAnalysis, SleepSessionRecord.STAGE_TYPE_*
    "Wake": (2, 1), "N1": (3, 4), "N2": (3, 4), "N3": (4, 5), "REM": (5, 6),
}  # fmt: skip
OPERATORS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
TYPES = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
every = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture
def bundle(quick_run, architecture):
    return quick_run.folder / "bundles" / architecture


@pytest.fixture
def gru(quick_run, tmp_path):
    """A copy of the GRU bundle."""
    return Path(shutil.copytree(quick_run.folder / "bundles" / "gru", tmp_path / "gru"))


@pytest.fixture
def files(quick_run):
    """(architecture, precision) -> .tflite of a stager, in the bundle or rejected."""

    def find(architecture, precision):
        name = f"{architecture}.{precision}.tflite"
        (path,) = quick_run.folder.glob(f"*/**/{architecture}/{name}")
        return path

    return find


def contract_of(bundle):
    return json.loads((bundle / "contract.json").read_text())


def without_digests(contract):
    """The contract as each file holds it."""
    for plan in (*contract["preprocessing"].values(), *contract["precisions"].values()):
        for call in plan["calls"]:
            del call["sha256"]
    return contract


def operations(path):
    """[(operator, types of its inputs, of its outputs)] of a .tflite."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = [OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    (graph,) = model.subgraphs

    def types(tensors):
        return [TYPES[graph.tensors[i].type] for i in tensors if i >= 0]

    return [(codes[op.opcodeIndex], types(op.inputs), types(op.outputs)) for op in graph.operators]


def run_steps(content, steps=4):
    """Outputs of a .tflite's bytes over some steps of random inputs, each state fed back from its start at 0."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    (signature,) = interpreter.get_signature_list()
    runner, rng = interpreter.get_signature_runner(signature), np.random.default_rng(0)
    out = {name: np.zeros(x["shape"], x["dtype"]) for name, x in runner.get_output_details().items()}
    for _ in range(steps):
        inputs = {
            name: out.get(f"{name}_out", rng.normal(size=x["shape"]).astype(x["dtype"]))
            for name, x in sorted(runner.get_input_details().items())
        }
        out = {name: x.copy() for name, x in runner(**inputs).items()}
    return out


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


@every
def test_every_file_runs_with_built_in_operators_alone(bundle, files, architecture):
    for path in [bundle / "sensing.tflite", *(files(architecture, precision) for precision in PRECISIONS)]:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        assert all(code.customCode is None for code in model.operatorCodes), path.name
        names = {name for name, _, _ in operations(path)}
        assert not names & {"CUSTOM", "WHILE", "CALL_ONCE", "VAR_HANDLE"}
        out = run_steps(path.read_bytes())
        assert all(np.isfinite(x).all() for x in out.values())
        if "stage_probabilities" in out:
            np.testing.assert_allclose(out["stage_probabilities"].sum(), 1, atol=0.02)


@every
def test_number_formats(bundle, files, architecture):
    def products(precision):
        rows = operations(files(architecture, precision))
        return {(tuple(i[:2]), o[0]) for name, i, o in rows if name == "FULLY_CONNECTED"}

    assert products("float32") == {(("FLOAT32", "FLOAT32"), "FLOAT32")}
    assert products("dynamic") == {(("FLOAT32", "FLOAT32"), "FLOAT32")}
    small = [name for name, inputs, _ in operations(files(architecture, "dynamic")) if inputs == ["INT8"]]
    assert len(small) >= 4
    assert set(small) == {"DEQUANTIZE"}
    assert products("int8") == {(("INT8", "INT8"), "INT8")}
    assert products("int16x8") == {(("INT16", "INT8"), "INT16")}
    halves = [name for name, inputs, _ in operations(files(architecture, "float16")) if inputs == ["FLOAT16"]]
    assert len(halves) >= 4
    assert set(halves) == {"DEQUANTIZE"}
    whole, half = (files(architecture, name).stat().st_size for name in ("float32", "float16"))
    assert half < 0.7 * whole
    assert files(architecture, "dynamic").stat().st_size < half
    small = {"INT8", "INT16", "FLOAT16"}
    assert not small & {t for _, i, o in operations(bundle / "sensing.tflite") for t in i + o}


@pytest.fixture(scope="module")
def golden(quick_run):
    """(run, golden night, its features)"""
    from models.trained_run import TrainedRun

    run = TrainedRun(quick_run.folder)
    (night,) = run.golden_nights()  # the only one held out
    return run, night, run.sensing().sense_nights([night])


@every
def test_the_golden_night_is_a_whole_night_in_exact_float32(golden, bundle, architecture):
    (run, night, features), document = golden, json.loads((bundle / "golden.json").read_text())
    assert document["night"] == night.subject in run.splits["validation"]
    assert len(document["windows"]) == len(night) > 100
    for name in run.channels:
        values = np.array([window[name] for window in document["windows"]], np.float32)
        np.testing.assert_array_equal(values, night.values(name, run.options), strict=True)
    assert [window["stage"] for window in document["windows"]] == [STAGES[s] if s >= 0 else None for s in night.stages]
    (expected,) = run.probabilities(architecture, features)
    values = np.array([window["stage_probabilities"] for window in document["windows"]])
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def test_the_golden_night_is_the_same_in_every_bundle(quick_run):
    stories = [json.loads((quick_run.folder / "bundles" / a / "golden.json").read_text()) for a in ARCHITECTURES]
    for story in stories:
        for window in story["windows"]:
            del window["stage_probabilities"]
    assert all(story == stories[0] for story in stories)


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


@pytest.mark.parametrize("name", ["sensing", "gru.float32", "gru.float16", "gru.dynamic", "gru.int8", "gru.int16x8"])
def test_rewriting_changes_no_output_and_twice_is_once(quick_run, files, name):
    path = quick_run.folder / "bundles/gru/sensing.tflite" if name == "sensing" else files(*name.split("."))
    content, other = path.read_bytes(), {"format": "another", "what": "contract"}
    again = rewrite(content, other)
    assert rewrite(again, other) == again
    assert (
        rewrite(rewrite(content, embedded_contract(path)), embedded_contract(path))
        == rewrite(content, embedded_contract(path))
        == content
    )
    before, after = run_steps(content), run_steps(again)
    assert before.keys() == after.keys()
    for key, expected in before.items():
        np.testing.assert_array_equal(after[key], expected, err_msg=key)


def test_rewriting_what_the_converter_gives_makes_it_lean(tmp_path):
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(0).normal(size=(8, 4)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.float32, "x")], autograph=False)
    def step(x):
        return {"y": tf.nn.softmax(tf.matmul(x, weights)), "x_out": tf.tanh(x)}

    tf.saved_model.save(tf.Module(), tmp_path, signatures={"step": step})
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["step"]).convert()
    lean = rewrite(content)
    assert len(lean) < len(content)
    assert rewrite(lean) == lean
    for key, expected in run_steps(content).items():
        np.testing.assert_array_equal(run_steps(lean)[key], expected)


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
