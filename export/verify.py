"""Is a bundle that somebody received whole, and do its files give what its golden night promises? No TensorFlow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.bundle import LABELS, read_bundle
from export.contract import ACTIVITY, Contract, Preprocessing
from export.golden import replay_golden
from export.readme import write_readme
from export.runner import open_call
from export.tflite import embedded_contract
from pipeline.constants import STAGES
from pipeline.errors import UserMistake
from pipeline.files import reading

SHAKING_HZ = 5
SHAKING_COUNT = 100  # activity counts of 15 s, at least


def verify_bundle(folder: Path, precisions: Sequence[str] | None = None) -> dict[str, dict]:
    """Check a bundle: digests, contract, what is embedded, README.md, the activity call, and the golden night.

    Args:
        folder: The bundle.
        precisions: To replay the golden night in; by default all.

    Returns:
        {precision: figures of `export.gates.compare`} over the golden night.

    Raises:
        UserMistake: The first thing that is wrong, but for figures past their gate.
    """
    folder = Path(folder)
    contract = read_bundle(folder)
    for call in contract.calls():
        open_call(folder, call)
        with reading(folder / call.file):
            inside = embedded_contract(folder / call.file)
        if inside != contract.document(digests=False):
            raise UserMistake(f"{folder / call.file}: the contract embedded in it is not contract.json")
    with reading(folder / LABELS):
        if (folder / LABELS).read_text().split() != list(STAGES):
            raise UserMistake(f"{folder / LABELS}: expected {', '.join(STAGES)}, one a line")
    check_readme(folder, contract)
    if "activity" in contract.preprocessing:
        check_activity(folder, contract.preprocessing["activity"])
    return replay_golden(folder, precisions)


def check_readme(folder: Path, contract: Contract) -> None:
    """README.md and the schema must be what this program writes from the contract: what README.md says will be done.

    Raises:
        UserMistake: One of them is missing or differs.
    """
    with tempfile.TemporaryDirectory() as scratch:
        write_readme(scratch, contract)
        for path in sorted(Path(scratch).iterdir()):
            file = folder / path.name
            if not file.is_file():
                raise UserMistake(f"{file}: missing")
            if file.read_bytes() != path.read_bytes():
                raise UserMistake(f"{file}: altered, or written by another version of Wristsleep")


def check_activity(folder: Path, plan: Preprocessing) -> None:
    """What the activity call must count: nothing at rest, something when shaken, and -1 where there is no sample.

    Args:
        folder: The bundle.
        plan: The contract's preprocessing of that name.

    Raises:
        UserMistake: It counts otherwise, or takes no motion or gives no counts.
    """
    call = plan.calls[0]
    run = open_call(folder, call)
    shapes = [tensor.shape for tensor in call.inputs if tensor.source == "sensor:motion"]
    counts = [tensor.name for tensor in call.outputs if tensor.to == "channel:activity"]
    if not (shapes and counts):
        raise UserMistake(f"{Path(folder) / ACTIVITY}: has no input 'sensor:motion' or no output 'channel:activity'")
    points = shapes[0][1]
    nothing = np.full(shapes[0], plan.missing, np.float32)
    rest = np.zeros(shapes[0], np.float32)
    rest[0, :, 2] = 1.0  # g
    shaken = np.zeros(shapes[0], np.float32)
    shaken[0, :, 2] = np.sin(2 * np.pi * SHAKING_HZ * np.arange(points) / plan.hz)
    for name, motion, expected in (
        ("no sample", nothing, lambda count: count == -1),
        ("a wrist at rest", rest, lambda count: count == 0),
        ("a wrist shaken", shaken, lambda count: count > SHAKING_COUNT),
    ):
        inputs = {f"state:{state}": np.zeros(entry.shape, np.float32) for state, entry in plan.states.items()}
        inputs["sensor:motion"] = motion
        count = run(**{tensor.name: inputs[tensor.source] for tensor in call.inputs if tensor.source})[counts[0]]
        if not expected(count).all():
            raise UserMistake(f"{Path(folder) / ACTIVITY}: counts {count[0].tolist()} of {name}")
