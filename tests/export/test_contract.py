"""The contract: built, read, written back as it was, and each of its checks with the place in the message."""

import json

import pytest

from export.bundle import read_bundle
from export.contract import FILE, Contract, stager_path
from export.contract_parts import TrainingData
from export.tflite import embedded_contract
from pipeline.constants import ARCHITECTURES, STAGES
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.origin import SLEEP_ACCEL, Origin


@pytest.fixture(scope="module")
def bundles(quick_run):
    return quick_run.folder / "bundles"


@pytest.fixture
def document(bundles):
    """contract.json of the LSTM, whose two states are of the same shape."""
    return json.loads((bundles / "lstm" / FILE).read_text())


def without_digests(document):
    """The document as the files hold it."""
    for plan in (*document["preprocessing"].values(), *document["precisions"].values()):
        for call in plan["calls"]:
            del call["sha256"]
    document.pop("other_files", None)
    return document


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_read_is_written_back_as_it_was(bundles, architecture, tmp_path):
    contract = Contract.read(bundles / architecture)
    contract.write(tmp_path)
    assert (tmp_path / FILE).read_bytes() == (bundles / architecture / FILE).read_bytes()
    for file in contract.files():
        inside = embedded_contract(bundles / architecture / file)
        assert json.dumps(inside) == json.dumps(contract.document(digests=False))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_built_from_the_files_is_what_was_written(bundles, architecture):
    read = Contract.read(bundles / architecture)
    points = {name: {"weights": point.weights} for name, point in read.operating_points.items()}
    channels = [channel.name for channel in read.channels]
    folder, data = bundles / architecture, read.training_data
    built = Contract.of_files(folder, architecture, Options(), channels, read.precisions, points, data)
    assert json.dumps(built.document()) == json.dumps(read.document(digests=False))
    read.other_files = {}
    assert json.dumps(built.with_digests(bundles / architecture).document()) == json.dumps(read.document())
    assert built.calls()[0].sha256 is None  # the copy has the digests


def test_without_digests_only_these_are_missing(document):
    contract = Contract.model_validate(document)
    assert contract.document(digests=False) == without_digests(document)
    assert "sha256" in json.dumps(contract.document())


def test_where_people_live_is_no_part_of_a_contract():
    origin = Origin("apple-health", licence="mine", zone="Europe/Berlin", converter="Wristsleep import 1")
    data = TrainingData.of(origin, {"train": ["a"]})
    assert data.model_dump() == {**SLEEP_ACCEL.as_dict(), "name": "apple-health", "version": "", "licence": "mine",
                                 "attribution": "", "nights": 1}  # fmt: skip


def test_training_data_is_the_run_s(quick_run, document):
    splits = json.loads((quick_run.folder / "splits.json").read_text())
    data = document["training_data"]
    assert data["name"] == "synthetic" and data["simulated"] is True
    assert data["nights"] == len(splits["train"]) + len(splits["inner_validation"])
    sleep_accel = TrainingData.of(SLEEP_ACCEL, {"train": ["a", "b"], "inner_validation": ["c"], "validation": ["d"]})
    assert sleep_accel.nights == 3 and not sleep_accel.simulated
    assert sleep_accel.licence == SLEEP_ACCEL.licence and sleep_accel.attribution == SLEEP_ACCEL.attribution


def test_further_fields_survive(document):
    document["made_by"] = {"sha256": "of something else", "nothing": None}
    document["stages"][1]["colour"] = "blue"
    document["precisions"]["float32"]["calls"][0]["threads"] = 1
    contract = Contract.model_validate(document)
    assert contract.document() == document
    assert contract.document(digests=False) == without_digests(document)


def test_optional_parts_may_be_absent(document):
    del document["input_guard"]["standard_gravity"]
    for call in plan(document)["calls"]:
        del call["operations"], call["runtimes"]
    optional = ("operating_points", "how", "training_data", "sensors", "grace_seconds", "longest_seconds")
    for name in ("preprocessing", *optional):
        del document[name]
    contract = Contract.model_validate(document)
    assert contract.document() == document
    assert [call.file for call in contract.calls(["float32"])] == ["sensing.tflite", "lstm.float32.tflite"]


def test_calls_and_files(bundles):
    contract = Contract.read(bundles / "lstm")
    files = [call.file for call in contract.calls(["float32"])]
    assert files == ["activity.tflite", "sensing.tflite", "lstm.float32.tflite"]
    assert [*contract.files()][:3] == files
    places = [place for place, _ in contract.calls_by_place()]
    assert places[:3] == [f"{plan}.calls.{i}" for plan, i in (
        ("preprocessing.activity", 0), ("precisions.float32", 0), ("precisions.float32", 1),
    )]  # fmt: skip
    assert stager_path(bundles / "lstm", "lstm", "float32").is_file()


def test_options_are_those_of_a_window(bundles):
    options = Contract.read(bundles / "lstm").options()
    assert (options.data_alignment, options.window_size, options.stride) == (1, 30, 30)
    assert options.channels == ("heart_rate", "activity")


def plan(document):
    return document["precisions"]["float32"]


def sensing(document):
    return plan(document)["calls"][0]


def network(document):
    return plan(document)["calls"][1]


def activity(document):
    return document["preprocessing"]["activity"]


def named(tensors, name):
    (tensor,) = (tensor for tensor in tensors if tensor["name"] == name)
    return tensor


def set_to(part, **fields):
    return lambda document: part(document).update({name.rstrip("_"): value for name, value in fields.items()})


def of_input(part, name, **fields):
    return set_to(lambda document: named(part(document)["inputs"], name), **fields)


def of_output(part, name, **fields):
    return set_to(lambda document: named(part(document)["outputs"], name), **fields)


def whole(document):
    return document


WRONG = [  # alteration, message
    # types and missing fields
    (lambda d: d.clear(), "format: Field required"),
    (lambda d: d.pop("stages"), "stages: Field required"),
    (set_to(whole, format="wristsleep-contract/2"), "format: Input should be 'wristsleep-contract/1'"),
    (set_to(whole, architecture="cnn"), "architecture: Input should be"),
    (set_to(whole, delay_windows=-1), "delay_windows: Input should be greater than or equal to 0"),
    (lambda d: d.pop("delay_windows"), "delay_windows: Field required"),
    (set_to(whole, channels=[]), "channels: List should have at least 1 item"),
    (set_to(whole, precisions={}), "precisions: Dictionary should have at least 1 item"),
    (lambda d: d["precisions"].update(int4=plan(d)), "precisions.int4"),
    (set_to(plan, calls=[]), "precisions.float32.calls: List should have at least 1 item"),
    (lambda d: plan(d).pop("tolerance"), "precisions.float32.tolerance: Field required"),
    (lambda d: plan(d)["tolerance"].update(same_stage=1.1), "precisions.float32.tolerance.same_stage: Input should be"),
    (lambda d: plan(d)["tolerance"].update(p99_abs_dp=float("nan")), "precisions.float32.tolerance.p99_abs_dp"),
    (of_input(network, "features", dtype="float64"), "precisions.float32.calls.1.inputs."),
    (of_input(network, "features", shape=[1, 0]), ".shape.1: Input should be greater than or equal to 1"),
    (of_input(network, "features", from_="elsewhere:x"), ".from: String should match pattern"),
    (of_output(network, "hidden_out", to="output:x"), ".to: String should match pattern"),
    # times
    (lambda d: d["seconds"].update(row="1"), "seconds.row: Input should be a valid integer"),
    (lambda d: d["seconds"].update(row=True), "seconds.row: Input should be a valid integer"),
    (lambda d: d["seconds"].update(stride=0), "seconds.stride: Input should be greater than or equal to 1"),
    (lambda d: d["seconds"].update(row=7), "seconds: "),
    (lambda d: d["seconds"].update(stride=31), "seconds: "),
    (lambda d: d["seconds"].update(stride=60), "seconds: "),
    (set_to(whole, grace_seconds=0.2), "grace_seconds: 0.2, expected 0.1"),
    (set_to(whole, longest_seconds=86400), "longest_seconds: 86400, expected 93600"),
    (lambda d: d["seconds"].update(window=60), "channels.0.values_per_window: 30, but heart_rate has 60"),
    # channels' constants
    (lambda d: d["channels"][0].update(name="spo2"), "channels.0.name: Input should be"),
    (lambda d: d["channels"][0].update(range=[0, 250]), "channels.0.range: [0, 250], but heart_rate has"),
    (lambda d: d["channels"][0].update(range=[20]), "channels.0.range: List should have at least 2 items"),
    (lambda d: d["channels"][1].update(missing=0), "channels.1.missing: 0, but activity has -1"),
    (lambda d: d["channels"][0].update(unit="Hz"), "channels.0.unit: 'Hz', but heart_rate has 'bpm'"),
    (lambda d: d["channels"][0].update(values_per_window=29),
     "channels.0.values_per_window: 29, but heart_rate has 30"),
    (lambda d: d["channels"][1].update(seconds_per_value=1), "channels.1.seconds_per_value: 1, but activity has 15"),
    (lambda d: d["channels"][1].update(value="mean"), "channels.1.value: 'mean', but activity has 'sum'"),
    (lambda d: d["channels"].append(d["channels"][0]), "channels: duplicate name"),
    # sensors' constants, and where the nights come from
    (lambda d: d["sensors"].pop("steps"), "sensors: ['heart_rate', 'motion', 'activity'], expected ['heart_rate',"),
    (lambda d: d["sensors"]["motion"].update(range=[-8, 8]), "sensors.motion.range: [-8, 8], expected [-16, 16]"),
    (lambda d: d["sensors"]["steps"].update(value="mean"), "sensors.steps.value: 'mean', expected 'sum'"),
    (lambda d: d["sensors"]["motion"]["channels"].pop(), "sensors.motion.channels: ['motion_x', 'motion_y',"),
    (lambda d: d["sensors"]["motion"].pop("value"), "sensors.motion.value: Field required"),
    (lambda d: d["input_guard"].update(standard_gravity=9.8), "input_guard.standard_gravity: 9.8, expected 9.80665"),
    (lambda d: d["training_data"].update(simulated="no"), "training_data.simulated: Input should be a valid boolean"),
    (lambda d: d["training_data"].update(nights=-1), "training_data.nights: Input should be greater than or equal to"),
    # stages and weights
    (lambda d: d["stages"].reverse(), "stages: expected Wake, N1, N2, N3, REM with their codes, in this order"),
    (lambda d: d["stages"].pop(), "stages: expected Wake"),
    (lambda d: d["stages"][0].update(healthkit=3), "stages: expected Wake"),
    (lambda d: d["stages"][4].update(health_connect=5), "stages: expected Wake"),
    (lambda d: d["stages"][0].update(name="W"), "stages.0.name: Input should be 'Wake'"),
    (lambda d: d["operating_points"]["rem"].update(weights=[0.3] * 5),
     "operating_points.rem.weights: their sum is 1.5"),
    (lambda d: d["operating_points"]["rem"]["weights"].pop(), "operating_points.rem.weights: List should have"),
    (lambda d: d["operating_points"]["rem"].update(weights=[1, 0, 0, 0, 0]), "operating_points.rem.weights.1: Input"),
    # what calls use must be there by then, and fit
    (lambda d: plan(d)["calls"].reverse(),
     "precisions.float32.calls.0.inputs.features: from 'output:features': no such"),
    (of_input(network, "hidden", from_="state:nothing"), "calls.1.inputs.hidden: from 'state:nothing': no such source"),
    (of_input(network, "features", from_="sensor:motion"), "calls.1.inputs.features: from 'sensor:motion': no such"),
    (lambda d: named(network(d)["inputs"], "hidden").pop("from"), "calls.1.inputs.hidden: from None: no such source"),
    (of_input(sensing, "heart_rate", from_="channel:activity"), "shape [1, 30], but 'channel:activity' has [1, 2]"),
    (of_input(sensing, "heart_rate", from_="channel:motion_magnitude"), "from 'channel:motion_magnitude': no such"),
    (set_to(lambda d: plan(d)["states"]["hidden"], dtype="int8"), "float32, but 'state:hidden' is int8"),
    (set_to(plan, probabilities="features"), "precisions.float32.probabilities: no output 'features' of shape [1, 5]"),
    (set_to(plan, probabilities="absent"), "precisions.float32.probabilities: no output 'absent' of shape [1, 5]"),
    # states are fed back
    (lambda d: named(network(d)["outputs"], "cell_out").pop("to"),
     "precisions.float32.states: no output becomes state:cell"),
    (of_output(network, "cell_out", to="state:hidden"), "precisions.float32.states: no output becomes state:cell"),
    (of_output(network, "cell_out", to="state:other"), "calls.1.outputs.cell_out: to 'state:other': no such state"),
    (of_output(sensing, "features", to="state:hidden"), "calls.0.outputs.features: does not fit 'state:hidden'"),
    (lambda d: plan(d)["states"].pop("cell"), "calls.1.inputs.cell: from 'state:cell': no such source"),
    (lambda d: plan(d)["states"]["cell"].update(initial=[1, 2, 3]), "cell.initial: expected float32 numbers of shape"),
    (lambda d: activity(d)["states"].pop("history"),
     "preprocessing.activity.calls.0.inputs.history: from 'state:history'"),
    # preprocessing
    (lambda d: activity(d).update(hz=25), "preprocessing.activity.hz: 25, expected 50"),
    (lambda d: activity(d).update(hz=1e308), "preprocessing.activity.hz: 1e+308, expected 50"),
    (lambda d: named(activity(d)["calls"][0]["outputs"], "activity").pop("to"),
     "preprocessing.activity.calls: no output to 'channel:activity'"),
    (lambda d: d.pop("preprocessing"), "preprocessing: missing"),
    (lambda d: activity(d).update(call_seconds=30), "preprocessing.activity.calls.0.inputs.motion: shape [1, 750, 3]"),
    (lambda d: activity(d).update(call_seconds=20), "preprocessing.activity.call_seconds: 20, expected a divisor of"),
    (lambda d: activity(d).update(call_seconds=0), "preprocessing.activity.call_seconds: Input should be greater"),
    # runtimes and operations
    (lambda d: network(d)["runtimes"].update({"tflite-micro": "refused"}),
     "precisions.float32.calls.1.runtimes.tflite-micro: String should match pattern"),
    (lambda d: network(d)["runtimes"].update(litert="works"), "precisions.float32.calls.1.runtimes.litert: String"),
    (set_to(network, runtimes=["ai-edge-litert"]), "precisions.float32.calls.1.runtimes: Input should be a valid dict"),
    (set_to(network, operations=["mul"]), "precisions.float32.calls.1.operations.0: String should match pattern"),
    (set_to(network, operations="MUL"), "precisions.float32.calls.1.operations: Input should be a valid list"),
    (lambda d: activity(d).update(gap_seconds=0), "preprocessing.activity.gap_seconds: Input should be greater than 0"),
    (lambda d: activity(d).update(bin_seconds=30), "preprocessing.activity.bin_seconds: 30, expected 15"),
    (lambda d: activity(d).update(gap_seconds=2), "preprocessing.activity.gap_seconds: 2, expected 1"),
    (lambda d: activity(d).pop("missing"), "preprocessing.activity.missing: Field required"),
    # digests and files
    (lambda d: network(d).pop("sha256"), "precisions.float32.calls.1.sha256: missing"),
    (lambda d: activity(d)["calls"][0].pop("sha256"), "preprocessing.activity.calls.0.sha256: missing"),
    (set_to(network, sha256="0" * 63), "precisions.float32.calls.1.sha256: String should match pattern"),
    (set_to(network, file="../lstm/sensing.tflite"),
     "precisions.float32.calls.1.file: '../lstm/sensing.tflite': expected"),
    (set_to(network, file="/etc/passwd"),
     "precisions.float32.calls.1.file: '/etc/passwd': expected a name in the bundle"),
    (set_to(network, file="..\\x.tflite"), "precisions.float32.calls.1.file"),
    (set_to(network, file=".."), "precisions.float32.calls.1.file: '..': expected a name in the bundle"),
    (set_to(network, file=""), "precisions.float32.calls.1.file: '': expected a name in the bundle"),
    (set_to(network, file="a" * 201), "precisions.float32.calls.1.file"),
]  # fmt: skip


@pytest.mark.parametrize(("alter", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_wrong_is_named(document, alter, message, tmp_path):
    Contract.model_validate(document)
    alter(document)
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(UserMistake) as caught:
        Contract.read(tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / FILE}: ")
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "message"), [(None, "not a bundle"), ("{", "JSON"), ("[]", "valid dictionary")])
def test_what_is_no_contract_at_all(tmp_path, text, message):
    if text:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(UserMistake, match=message):
        Contract.read(tmp_path)


def test_weights_are_rounded(document):
    document["operating_points"]["rem"]["weights"] = [0.2828, 0.4134, 0.07092, 0.1375, 0.09561]
    assert sum(document["operating_points"]["rem"]["weights"]) != 1
    assert len(Contract.model_validate(document).operating_points["rem"].weights) == len(STAGES)


def test_the_files_of_a_contract_are_those_of_the_bundle(bundles):
    for folder in bundles.iterdir():
        assert {path.name for path in folder.glob("*.tflite")} == set(read_bundle(folder).files())
