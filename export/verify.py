"""Verifies a received bundle: complete, unaltered, and true to its golden night. Without TensorFlow."""

import re
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
from export.sums import FILE as SUMS
from export.sums import check_sums
from export.tflite import embedded_contract, sha256
from pipeline.constants import MINUTE_S, STAGES
from pipeline.errors import UserMistake, one_of
from pipeline.files import reading

HEADER = "contract.h"  # in place of contract.json on microcontrollers
PRECISION = re.compile(r'kPrecision\[\] = "(\w+)"')
SHAKING_HZ = 5
SHAKING_COUNT = 100  # least activity counts in 15 s of shaking


def verify_bundle(folder: Path, precisions: Sequence[str] | None = None) -> dict[str, dict]:
    """Check a bundle: digests, contract, embedded contracts, README.md, stride, activity call, and golden night.

    Args:
        folder: The bundle.
        precisions: Precisions to replay the golden night in; by default all.

    Returns:
        {precision: figures of `export.gates.compare`} for the golden night; {} for a bundle without report and golden
        night, and for what an app ships on a platform, as written by `export.handover`.

    Raises:
        UserMistake: The first problem found. A failed gate is not raised but shown in the figures.
    """
    folder = Path(folder)
    if (folder / SUMS).is_file():
        verify_platform(folder, precisions)
        return {}
    contract = read_bundle(folder)
    check_precisions(folder, contract, precisions)
    check_other_files(folder, contract)
    for call in contract.calls():
        if not refusal(call.runtimes, OURS):
            open_call(folder, call)
        if embedded_contract(folder / call.file) is None:
            raise UserMistake(f"{folder / call.file}: no contract is embedded in it")
    check_contract(folder, contract)
    check_stride(folder, contract)
    check_text(folder, contract)
    with reading(folder / LABELS):
        if (folder / LABELS).read_text().split() != list(STAGES):
            raise UserMistake(f"{folder / LABELS}: expected {', '.join(STAGES)}, one per line")
    check_readme(folder, contract)
    if "activity" in contract.preprocessing:
        check_activity(folder, contract)
    return {} if is_lean(folder) else replay_golden(folder, precisions)


def check_precisions(folder: Path, contract: Contract, precisions: Sequence[str] | None) -> None:
    """Check that a bundle has the precisions that were asked for. Raises UserMistake."""
    if precisions:
        one_of(f"{folder}: precision", precisions, contract.precisions)


def verify_platform(folder: Path, precisions: Sequence[str] | None = None) -> None:
    """Check what an app ships on a platform, as written by `export.handover`: all digests, contract and tensors.

    Args:
        folder: The platform's folder.
        precisions: Precisions that it must have.

    Raises:
        UserMistake: The first problem found.
    """
    check_sums(folder)
    for place in sorted(path.parent for path in folder.rglob(FILE)):  # none on microcontrollers
        contract = read_bundle(place)
        check_precisions(place, contract, precisions)
        for call in contract.calls():
            if not refusal(call.runtimes, OURS):
                open_call(place, call)
        check_text(place, contract)
    header = folder / HEADER
    if precisions and header.is_file():
        with reading(header):
            found = PRECISION.findall(header.read_text())
        one_of(f"{folder}: precision", precisions, found)


def check_text(folder: Path, contract: Contract) -> None:
    """Check contract.json byte for byte. Raises UserMistake if it differs from what this program writes."""
    if (folder / FILE).read_bytes() != contract.text().encode():
        raise UserMistake(
            f"{folder / FILE}: not as Wristsleep writes it: other white space, a duplicate field or another digest"
        )


def is_lean(folder: Path) -> bool:
    """Whether a bundle has neither report nor golden night."""
    return not (folder / GOLDEN).exists() and not (folder / REPORT).exists()


def check_other_files(folder: Path, contract: Contract) -> None:
    """Check that every file of a bundle has its digest in the contract.

    Raises:
        UserMistake: A file is missing, altered, or not in the contract.
    """
    digests = contract.other_files
    if not digests:
        raise UserMistake(
            f"{folder / FILE}: other_files: missing; of an app's folder (verify that), or another version"
        )
    for name in sorted({*digests, *other_files(folder, contract)}):
        file = folder / name
        if not file.is_file():
            raise UserMistake(f"{file}: missing, though contract.json names it")
        if name not in digests:
            raise UserMistake(f"{file}: not listed in contract.json; remove it, or get the bundle again")
        if sha256(file) != digests[name]:
            raise UserMistake(f"{file}: altered; its SHA-256 is not the one in contract.json")


def check_contract(folder: Path, contract: Contract) -> None:
    """Check that the contract is the one that this program would write for the bundle's .tflite files.

    Architecture, training data, times, channels and weights are taken from the contract, as no file holds them.

    Raises:
        UserMistake: A field differs; names it.
    """
    for name, plan in contract.precisions.items():
        if plan.calls[-1].file != stager_path(Path(), contract.architecture, name).name:
            raise UserMistake(
                f"{folder / FILE}: architecture: {contract.architecture!r}, but its files have other names"
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
    """The first field of a JSON value that is missing, unknown, or differs from what is expected; "" if none does.

    place: path of the value in the document.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for name, value in expected.items():
            inner = f"{place}.{name}".lstrip(".")
            if name not in found:
                return f"{inner}: missing, but the bundle's files have it"
            if wrong := difference(found[name], value, inner):
                return wrong
        unknown = next((name for name in found if name not in expected), None)
        return f"{f'{place}.{unknown}'.lstrip('.')}: unknown field" if unknown is not None else ""
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        places = (difference(*pair, f"{place}.{i}") for i, pair in enumerate(zip(found, expected, strict=True)))
        return next(filter(None, places), "")
    short, wanted = (repr(value)[:80] for value in (found, expected))
    return "" if found == expected else f"{place}: {short}, but the bundle's files give {wanted}"


def check_stride(folder: Path, contract: Contract) -> None:
    """Check that the stride is the one sensing was built for: its context counts minutes, even without samples.

    Raises:
        UserMistake: It is not.
    """
    runner = Runner(folder, next(iter(contract.precisions)))
    runner.step({c.name: np.full(c.values_per_window, c.missing, np.float32) for c in contract.channels})
    stride = float(runner.states["context"].max()) * MINUTE_S if "context" in runner.states else 0
    if not np.isclose(stride, contract.seconds.stride):
        raise UserMistake(
            f"{folder / FILE}: seconds.stride: {contract.seconds.stride}, but {SENSING} was built for {stride:g}"
        )


def check_readme(folder: Path, contract: Contract) -> None:
    """Check that README.md, whose instructions people follow, and the schema are what this program would write.

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
    """Check what the activity call counts: 0 at rest, more when shaken, and -1 without samples.

    Args:
        folder: The bundle.
        contract: Its contract, which has the preprocessing "activity".

    Raises:
        UserMistake: The call counts something else, takes no motion, or returns no counts.
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
        ("no samples", nothing, lambda count: count == -1),
        ("a wrist at rest", rest, lambda count: count == 0),
        ("a shaken wrist", shaken, lambda count: count > SHAKING_COUNT),
    ):
        runner.reset()
        count = runner.stride(motion)[counts[0]].ravel()
        if len(count) != values or not expected(count).all():
            raise UserMistake(f"{Path(folder) / ACTIVITY}: wrong activity counts {count.tolist()} for {name}")
