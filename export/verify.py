"""Is a bundle that somebody received whole, and does it say what its golden night says? No TensorFlow needed."""

import tempfile
from pathlib import Path

import numpy as np

from export.apps import write_apps
from export.bundle import read_contract
from export.contract import ACTIVITY, embedded, every_call
from pipeline.align import Night
from pipeline.files import read_json, reading
from pipeline.options import PROBABILITIES, STAGES, UserMistake
from watch_sim.compare import compare
from watch_sim.watch import Runner, opened


def read_golden(folder, contract):
    """(golden night, {channel: [windows, values]}, probabilities [windows, 5]) of a bundle's golden.json.

    Raises UserMistake, naming window and field, where it lacks something that the contract promises.
    """
    path = Path(folder) / "golden.json"
    golden = read_json(path)
    windows = golden.get("windows") if isinstance(golden, dict) else None
    if not isinstance(windows, list) or not windows:
        raise UserMistake(f"{path}: no windows")
    sizes = {channel["name"]: channel["values_per_window"] for channel in contract["channels"]}
    columns = {}
    for name, size in (sizes | {PROBABILITIES: len(STAGES)}).items():
        for i, window in enumerate(windows):
            values = window.get(name) if isinstance(window, dict) else None
            numbers = isinstance(values, list) and all(type(x) in (int, float) and np.isfinite(x) for x in values)
            if not numbers or len(values) != size:
                raise UserMistake(f"{path}: window {i}, {name}: expected {size} numbers")
        columns[name] = np.array([window[name] for window in windows], np.float32)
    index = {stage: i for i, stage in enumerate(STAGES)} | {None: -1}
    for i, window in enumerate(windows):
        if window.get("stage") not in index:
            raise UserMistake(
                f"{path}: window {i}, stage: {window['stage']!r} is none of {', '.join(STAGES)}, nor null"
            )
    stages = np.array([index[window.get("stage")] for window in windows], np.int8)
    ends = contract["seconds"]["stride"] * np.arange(1.0, len(windows) + 1)
    wanted = columns.pop(PROBABILITIES)
    return Night(str(golden.get("night")), ends, columns, stages), wanted


def golden_rows(folder, precisions=None):
    """How each precision of a bundle keeps to its gate over the golden night: {precision: watch_sim.compare figures}.

    Raises UserMistake for a bundle that is not whole.
    """
    contract = read_contract(folder, precisions)
    night, wanted = read_golden(folder, contract)
    rows = {}
    for precision in precisions or contract["precisions"]:
        runner = Runner(folder, precision)
        said = np.stack([runner.step({n: x[i] for n, x in night.channels.items()}) for i in range(len(night))])
        rows[precision] = compare([wanted], [said], [night], precision)
    return rows


def verify(folder, precisions=None):
    """`golden_rows`, once all else about the bundle is checked: digests, form, what is embedded, the activity call.

    Raises UserMistake for the first that is wrong.
    """
    folder = Path(folder)
    contract = read_contract(folder)
    calls = every_call(contract)
    for call in calls:
        opened(folder, call)
        with reading(folder / call["file"]):
            inside = embedded(folder / call["file"])
        if inside != without_digests(contract):
            raise UserMistake(f"{folder / call['file']}: the contract embedded in it is not contract.json")
    check_apps(folder, contract)
    if "activity" in contract.get("preprocessing", {}):
        check_activity(folder, contract["preprocessing"]["activity"])
    return golden_rows(folder, precisions)


def check_apps(folder, contract):
    """The app code must be what is written from the contract: it will be run."""
    with tempfile.TemporaryDirectory() as scratch:
        write_apps(scratch, contract)
        for path in sorted(Path(scratch).iterdir()):
            file = folder / path.name
            if not file.is_file():
                raise UserMistake(f"{file}: missing")
            if file.read_bytes() != path.read_bytes():
                raise UserMistake(f"{file}: altered, or written by another version of Wristsleep")


def without_digests(contract):
    """The contract as it is embedded."""
    if isinstance(contract, dict):
        return {name: without_digests(value) for name, value in contract.items() if name != "sha256"}
    return [without_digests(value) for value in contract] if isinstance(contract, list) else contract


def check_activity(folder, plan):
    """Stillness must count nothing, shaking at 5 Hz something, and no sample -1: or UserMistake."""
    call = plan["calls"][0]
    run = opened(folder, call)
    shape = next(tensor["shape"] for tensor in call["inputs"] if tensor["from"] == "sensor:motion")
    history = np.zeros(plan["states"]["history"]["shape"], np.float32)
    shaken = np.sin(2 * np.pi * 5 * np.arange(shape[1]) / plan["hz"])
    for what, z, right in (
        ("no sample", plan["missing"], lambda count: count == -1),
        ("a wrist at rest", 1.0, lambda count: count == 0),
        ("a wrist shaken", shaken, lambda count: count > 100),
    ):
        motion = np.full(shape, plan["missing"] if what == "no sample" else 0, np.float32)
        motion[0, :, 2] = z
        count = run(motion=motion, history=history)["activity"]
        if not right(count).all():
            raise UserMistake(f"{Path(folder) / ACTIVITY}: counts {count[0].tolist()} of {what}")
