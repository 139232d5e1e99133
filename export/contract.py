"""The contract: what a bundle promises, and all that somebody needs to run it in another language."""

import hashlib
import json
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from pipeline.activity import GAP_S, HZ
from pipeline.cli import hushed
from pipeline.options import CHANNELS, GRACE_S, PROBABILITIES, STAGES

HEALTHKIT = {"Wake": 2, "N1": 3, "N2": 3, "N3": 4, "REM": 5}  # HKCategoryValueSleepAnalysis
HEALTH_CONNECT = {"Wake": 1, "N1": 4, "N2": 4, "N3": 5, "REM": 6}  # SleepSessionRecord.STAGE_TYPE_*
GATES = {  # rung 3 and 4 of parity: at most, at least, at most
    "float32": {"p99_abs_dp": 5e-6, "max_abs_dp": 1e-5, "same_stage": 1.0, "abs_dkappa": 0.0, "tie": 2e-5},
    "float16": {"p99_abs_dp": 2e-3, "same_stage": 0.999, "abs_dkappa": 0.002},
    "dynamic": {"p99_abs_dp": 0.08, "same_stage": 0.995, "abs_dkappa": 0.005},
    "int8": {"p99_abs_dp": 0.10, "same_stage": 0.985, "abs_dkappa": 0.01},
    "int16x8": {"p99_abs_dp": 0.08, "same_stage": 0.995, "abs_dkappa": 0.005},
}
SENSING, ACTIVITY = "sensing.tflite", "activity.tflite"
METADATA = "wristsleep_contract"  # name of the buffer inside a .tflite
HOW = {
    "windows": "Time 0 is the start of the recording. Window k (from 0) ends at t = (k + 1) * seconds.stride and holds "
    "the values of the last seconds.window, oldest first; those before time 0 are missing. Values of a channel cover "
    "seconds_per_value each. A channel whose sensor is absent is all missing.",
    "mean": "Mean of the samples sensed in [t, t + seconds_per_value); missing if there is none.",
    "sum": "Sum of the bins that end in (t, t + seconds_per_value], a bin's end being taken "
    f"{GRACE_S} s early; missing if there is none.",
    "activity": "One bin per 15 s: activity count of te Lindert & Van Someren (Sleep 2013) of the z axis.",
    "preprocessing": "Makes the channel of its name out of raw motion, for phones without activity counts: once per "
    "stride, before the calls of the window. Point i of the stride that begins at s stands for s + i / hz. Its value "
    "lies on the line between the sample before it and the one at or after it. If that one comes later than "
    "grace_seconds past the end of the point's 15 s (from time 0), or has not come when the window closes, the sample "
    "before is held. Where more than gap_seconds lie between the sample before and the earlier of those two times, or "
    "there is none before, x, y and z are missing. The output 'to' the channel is its newest values.",
    "operating_points": "To favour a stage: multiply the probabilities by the weights of an operating point, divide by "
    "their sum, then take the likeliest, or sum into coarser views.",
    "calls": "For every window, make the calls in order. An input comes 'from' a channel of this window, an 'output' "
    "of an earlier call in this window, or a 'state'. After the last call each output with a 'to' becomes that state. "
    "States start the night at their 'initial' value (0 means all zeros).",
}


def channel_entry(name, options):
    """How to fill one channel."""
    channel = CHANNELS[name]
    return {
        "name": name,
        "unit": channel.unit,
        "values_per_window": options.values(name),
        "seconds_per_value": options.seconds(name),
        "range": [channel.low, channel.high],
        "missing": channel.missing,
        "value": "sum" if channel.bins else "mean",
    }


def call_entry(path, channels):
    """One call of a .tflite file, read off the file itself: its signature, inputs and outputs."""
    with hushed():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        (signature,) = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(signature)
    sides = {"inputs": runner.get_input_details(), "outputs": runner.get_output_details()}
    entry = {"file": path.name, "signature": signature}
    for side, details in sides.items():
        entry[side] = [
            {"name": name, "shape": [int(n) for n in details[name]["shape"]], "dtype": details[name]["dtype"].__name__}
            for name in sorted(details, key=lambda name: details[name]["index"])
        ]
    states = {tensor["name"].removesuffix("_out") for tensor in entry["outputs"] if tensor["name"].endswith("_out")}
    for tensor in entry["inputs"]:
        kind = "channel" if tensor["name"] in channels else "state" if tensor["name"] in states else "output"
        tensor["from"] = f"{kind}:{tensor['name']}"
    for tensor in entry["outputs"]:
        if tensor["name"].endswith("_out"):
            tensor["to"] = f"state:{tensor['name'].removesuffix('_out')}"
    return entry


def states_of(calls):
    """How each state of these calls begins."""
    return {
        tensor["from"].removeprefix("state:"): {"shape": tensor["shape"], "dtype": tensor["dtype"], "initial": 0}
        for call in calls
        for tensor in call["inputs"]
        if tensor["from"].startswith("state:")
    }


def preprocessing(path):
    """What makes the channel "activity" out of raw motion: the contract's entry for the file of the activity call."""
    call = call_entry(path, ())
    for tensor in (*call["inputs"], *call["outputs"]):
        if tensor["name"] == "motion":
            tensor["from"] = "sensor:motion"
        elif tensor["name"] == "activity":
            tensor["to"] = "channel:activity"
    missing = CHANNELS["motion_z"].missing
    grid = {"hz": HZ, "missing": missing, "grace_seconds": GRACE_S, "gap_seconds": GAP_S}
    return {"calls": [call], "states": states_of([call]), **grid}


def make_contract(architecture, options, channels, folder, precisions, points):
    """The contract, without digests, of the files in a folder. points: {operating point: {"weights": [5]}}."""
    plans = {}
    for precision in precisions:
        files = (Path(folder) / SENSING, stager_path(folder, architecture, precision))
        calls = [call_entry(path, channels) for path in files]
        tolerance = {name: value for name, value in GATES[precision].items() if name != "abs_dkappa"}
        answer = {"states": states_of(calls), "probabilities": PROBABILITIES, "tolerance": tolerance}
        plans[precision] = {"calls": calls, **answer}
    motion = Path(folder) / ACTIVITY
    return {
        "format": "wristsleep-contract/1",
        "architecture": architecture,
        "stages": [{"name": s, "healthkit": HEALTHKIT[s], "health_connect": HEALTH_CONNECT[s]} for s in STAGES],
        "seconds": {"row": options.data_alignment, "window": options.window_size, "stride": options.stride},
        "delay_windows": 0,
        "how": HOW,
        "channels": [channel_entry(name, options) for name in channels],
        "preprocessing": {"activity": preprocessing(motion)} if motion.exists() else {},
        "operating_points": points,
        "precisions": plans,
    }


def stager_path(folder, architecture, precision, **_):
    """Where a bundle has the network in one precision."""
    return Path(folder) / f"{architecture}.{precision}.tflite"


def every_call(contract, precisions=None):
    """All calls of a contract, those of preprocessing too, or only of some precisions."""
    plans = [contract["precisions"][name] for name in precisions or contract["precisions"]]
    return [call for plan in (*contract.get("preprocessing", {}).values(), *plans) for call in plan["calls"]]


def sha256(path):
    """Digest of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def with_digests(contract, folder):
    """A copy of the contract with each call's sha256, of the files in `folder`."""
    contract = json.loads(json.dumps(contract))
    for plan in (*contract.get("preprocessing", {}).values(), *contract["precisions"].values()):
        plan["calls"] = [{"file": c["file"], "sha256": sha256(Path(folder) / c["file"]), **c} for c in plan["calls"]]
    return contract


def rewrite(content, contract=None):
    """A .tflite's bytes made lean and, if given, with the contract as a metadata buffer in place of an earlier one.

    The converter's tensor names (paths), its empty buffer per tensor and its empty quantization tables are most of a
    small file: names become short, empty or equal buffers one.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    places, kept = {b"": 0}, [model.buffers[0]]

    def place(data):
        data = b"" if data is None else bytes(data)
        if data not in places:
            places[data] = len(kept)
            kept.append(schema.BufferT())
            kept[-1].data = list(data)
        return places[data]

    for graph in model.subgraphs:
        for i, tensor in enumerate(graph.tensors):
            tensor.name, tensor.buffer = f"t{i}", place(model.buffers[tensor.buffer].data)
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    entries = [entry for entry in model.metadata or [] if not contract or _name(entry) != METADATA]
    for entry in entries:
        entry.buffer = place(model.buffers[entry.buffer].data)
    if contract:
        entries.append(schema.MetadataT())
        entries[-1].name, entries[-1].buffer = METADATA, place(json.dumps(contract, separators=(",", ":")).encode())
    model.buffers, model.metadata = kept, entries
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _name(entry):
    return entry.name.decode() if isinstance(entry.name, bytes) else entry.name


def embedded(path):
    """The contract inside a .tflite, or None."""
    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    for entry in model.metadata or []:
        if _name(entry) == METADATA:
            return json.loads(bytes(model.buffers[entry.buffer].data))
    return None
