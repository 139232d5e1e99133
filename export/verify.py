"""Is a bundle that somebody received whole, and do its files give what its golden night promises? No TensorFlow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.bundle import LABELS, read_bundle
from export.contract import ACTIVITY, Contract
from export.golden import FILE as GOLDEN
from export.golden import replay_golden
from export.handover import REPORT
from export.readme import write_readme
from export.runner import MotionRunner, open_call
from export.runtimes import OURS, refusal
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
        {precision: figures of `export.gates.compare`} over the golden night; {} of a bundle without report and golden
        night, as `export.handover` writes them.

    Raises:
        UserMistake: The first thing that is wrong, but for figures past their gate.
    """
    folder = Path(folder)
    contract = read_bundle(folder)
    for call in contract.calls():
        if not refusal(call.runtimes, OURS):
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
        check_activity(folder, contract)
    return {} if is_lean(folder) else replay_golden(folder, precisions)


def is_lean(folder: Path) -> bool:
    """Whether a bundle was written without report and golden night."""
    return not (folder / GOLDEN).exists() and not (folder / REPORT).exists()


def check_readme(folder: Path, contract: Contract) -> None:
    """README.md and the schema must be what this program writes from the contract: what README.md says will be done.

    Raises:
        UserMistake: One of them is missing or differs.
    """
    with tempfile.TemporaryDirectory() as scratch:
        write_readme(scratch, contract, is_lean(folder))
        for path in sorted(Path(scratch).iterdir()):
            file = folder / path.name
            if not file.is_file():
                raise UserMistake(f"{file}: missing")
            if file.read_bytes() != path.read_bytes():
                raise UserMistake(f"{file}: altered, or written by another version of Wristsleep")


def check_activity(folder: Path, contract: Contract) -> None:
    """What the activity call must count: nothing at rest, something when shaken, and -1 where there is no sample.

    Args:
        folder: The bundle.
        contract: Its contract, with preprocessing of that name.

    Raises:
        UserMistake: It counts otherwise, or takes no motion or gives no counts.
    """
    plan, stride = contract.preprocessing["activity"], contract.seconds.stride
    runner = MotionRunner(folder, plan, stride)
    sources = [tensor.source for call in plan.calls for tensor in call.inputs]
    counts = [tensor.name for call in plan.calls for tensor in call.outputs if tensor.to == "channel:activity"]
    if not ("sensor:motion" in sources and counts):
        raise UserMistake(f"{Path(folder) / ACTIVITY}: has no input 'sensor:motion' or no output 'channel:activity'")
    points = int(plan.hz * stride)
    nothing = np.full((points, 3), plan.missing, np.float32)
    rest = np.array([[0, 0, 1]], np.float32).repeat(points, 0)  # g
    shaken = np.zeros((points, 3), np.float32)
    shaken[:, 2] = np.sin(2 * np.pi * SHAKING_HZ * np.arange(points) / plan.hz)
    values = contract.options().values_per_stride("activity")
    for name, motion, expected in (
        ("no sample", nothing, lambda count: count == -1),
        ("a wrist at rest", rest, lambda count: count == 0),
        ("a wrist shaken", shaken, lambda count: count > SHAKING_COUNT),
    ):
        runner.reset()
        count = runner.stride(motion)[counts[0]].ravel()
        if len(count) != values or not expected(count).all():
            raise UserMistake(f"{Path(folder) / ACTIVITY}: counts {count.tolist()} of {name}")
