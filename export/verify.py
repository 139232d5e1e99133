"""Is a bundle that somebody received whole, and do its files give what its golden night promises? No TensorFlow."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import LABELS, other_files, read_bundle
from export.contract import ACTIVITY, FILE, SENSING, Contract, stager_path
from export.golden import FILE as GOLDEN
from export.golden import replay_golden
from export.handover import REPORT
from export.readme import write_readme
from export.runner import MotionRunner, Runner, open_call
from export.runtimes import OURS, refusal
from export.tflite import embedded_contract, sha256
from pipeline.constants import MINUTE_S, STAGES
from pipeline.errors import UserMistake
from pipeline.files import as_json, reading

SHAKING_HZ = 5
SHAKING_COUNT = 100  # activity counts of 15 s, at least


def verify_bundle(folder: Path, precisions: Sequence[str] | None = None) -> dict[str, dict]:
    """Check a bundle: digests, contract, what is embedded, README.md, stride, activity call, and the golden night.

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
    check_other_files(folder, contract)
    for call in contract.calls():
        if not refusal(call.runtimes, OURS):
            open_call(folder, call)
        if embedded_contract(folder / call.file) is None:
            raise UserMistake(f"{folder / call.file}: no contract is embedded in it")
    check_contract(folder, contract)
    check_stride(folder, contract)
    if (folder / FILE).read_bytes() != as_json(contract.document()).encode():
        raise UserMistake(f"{folder / FILE}: not as Wristsleep writes it: white space, or a field that is there twice")
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


def check_other_files(folder: Path, contract: Contract) -> None:
    """Every file of a bundle must be the one that the contract has the digest of.

    Raises:
        UserMistake: One is missing, altered, or not in the contract.
    """
    digests = contract.other_files
    if not digests:
        raise UserMistake(f"{folder / FILE}: other_files: missing; written by another version of Wristsleep")
    for name in sorted({*digests, *other_files(folder, contract)}):
        file = folder / name
        if not file.is_file():
            raise UserMistake(f"{file}: missing, though contract.json names it")
        if name not in digests:
            raise UserMistake(f"{file}: contract.json does not name it")
        if sha256(file) != digests[name]:
            raise UserMistake(f"{file}: altered: its SHA-256 is not the one in contract.json")


def check_contract(folder: Path, contract: Contract) -> None:
    """The contract must be the one that this program makes of the bundle's .tflite files.

    What is taken from the contract itself, as no file tells it: architecture, training data, times, channels, weights.

    Raises:
        UserMistake: A field differs; names it.
    """
    for name, plan in contract.precisions.items():
        if plan.calls[-1].file != stager_path(Path(), contract.architecture, name).name:
            raise UserMistake(
                f"{folder / FILE}: architecture: {contract.architecture!r}, but its files are not named so"
            )
    points = {name: point.model_dump() for name, point in contract.operating_points.items()}
    channels = [channel.name for channel in contract.channels]
    with reading(folder):
        expected = Contract.of_files(
            folder,
            contract.architecture,
            contract.options(),
            channels,
            contract.precisions,
            points,
            contract.training_data,
        )
    wrong = difference(contract.document(digests=False), expected.document(digests=False))
    if wrong:
        raise UserMistake(f"{folder / FILE}: {wrong}")


def difference(found: Any, expected: Any, place: str = "") -> str:
    """Where a JSON value first lacks something of another, or has it otherwise; "" where nowhere. place: its own."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name, value in expected.items():
            inner = f"{place}.{name}".lstrip(".")
            if name not in found:
                return f"{inner}: missing; the bundle's files have it"
            if wrong := difference(found[name], value, inner):
                return wrong
        return ""
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        places = (difference(*pair, f"{place}.{i}") for i, pair in enumerate(zip(found, expected, strict=True)))
        return next(filter(None, places), "")
    short, wanted = (repr(value)[:80] for value in (found, expected))
    return "" if found == expected else f"{place}: {short}, but by the bundle's files it is {wanted}"


def check_stride(folder: Path, contract: Contract) -> None:
    """The stride must be the one that sensing was made for: its context counts minutes, also where nothing is sensed.

    Raises:
        UserMistake: It is another.
    """
    runner = Runner(folder, next(iter(contract.precisions)))
    runner.step({c.name: np.full(c.values_per_window, c.missing, np.float32) for c in contract.channels})
    stride = float(runner.states["context"].max()) * MINUTE_S if "context" in runner.states else 0
    if not np.isclose(stride, contract.seconds.stride):
        raise UserMistake(
            f"{folder / FILE}: seconds.stride: {contract.seconds.stride}, but {SENSING} was made for {stride:g}"
        )


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
