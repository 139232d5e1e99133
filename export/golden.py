"""The golden night of a bundle: chosen among held-out nights, written, read, and replayed against the gates."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.bundle import read_bundle
from export.contract import Contract
from export.gates import GATES, compare
from export.runner import Runner
from pipeline.align import Night
from pipeline.constants import PROBABILITIES, STAGES
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_whole
from pipeline.options import Options

FILE = "golden.json"


def shortest_decimals(values: np.ndarray) -> list[float | int]:
    """float32 values, flat, as the shortest numbers that give them back."""
    numbers = [float(str(x)) for x in np.asarray(values, np.float32).ravel()]
    return [int(x) if x.is_integer() else x for x in numbers]


def golden_document(night: Night, channels: Sequence[str], options: Options, probabilities: np.ndarray) -> dict:
    """golden.json: one whole night of inputs, what the full model says of it, and the gates.

    Args:
        night: Labelled or not.
        channels: Names of the model's channels.
        options: Of the run.
        probabilities: [windows, 5], of the Keras model.

    Returns:
        {"night": subject, "tolerance", "windows": [{channel: values, "stage_probabilities", "stage": name or None}]}.
    """
    inputs = {name: night.values(name, options) for name in channels}
    windows = []
    for i, (p, stage) in enumerate(zip(probabilities, night.stages, strict=True)):
        window: dict[str, list[float | int] | str | None] = {
            name: shortest_decimals(x[i]) for name, x in inputs.items()
        }
        windows.append(window | {PROBABILITIES: shortest_decimals(p), "stage": STAGES[stage] if stage >= 0 else None})
    return {"night": night.subject, "tolerance": GATES, "windows": windows}


def write_golden(folder: Path, document: dict) -> None:
    """Write golden.json: a line per window, whole numbers without a point."""
    head = json.dumps({name: value for name, value in document.items() if name != "windows"}, separators=(",", ":"))
    windows = ",\n".join(json.dumps(window, separators=(",", ":")) for window in document["windows"])
    write_whole(Path(folder) / FILE, f'{head[:-1]},"windows":[\n{windows}\n]}}\n')


def choose_golden(folder: Path, documents: Sequence[dict]) -> None:
    """Write golden.json: the first night on which every file keeps its gate, or else as many as on any.

    Gates are of several nights together; on one night alone a file may miss a stage or two more. A golden night is
    there to show that a runtime works, so none is taken that the files themselves stumble over.
    """
    failing = []
    for document in documents:
        write_golden(folder, document)
        failing.append(sum(not row["passed"] for row in replay_golden(folder).values()))
        if not failing[-1]:
            return
    write_golden(folder, documents[failing.index(min(failing))])


def read_golden(folder: Path, contract: Contract) -> tuple[Night, np.ndarray]:
    """The golden night of a bundle, and the probabilities [windows, 5] that the full model gives it.

    Raises:
        UserMistake: Names window and field, where golden.json lacks something that the contract promises.
    """
    path = Path(folder) / FILE
    golden = read_json(path)
    windows = golden.get("windows") if isinstance(golden, dict) else None
    if not isinstance(windows, list) or not windows:
        raise UserMistake(f"{path}: no windows")
    sizes = {channel.name: channel.values_per_window for channel in contract.channels}
    columns = {}
    for name, size in (sizes | {PROBABILITIES: len(STAGES)}).items():
        for i, window in enumerate(windows):
            values = window.get(name) if isinstance(window, dict) else None
            if not _are_numbers(values, size):
                raise UserMistake(f"{path}: window {i}, {name}: expected {size} numbers")
        columns[name] = np.array([window[name] for window in windows], np.float32)
    index = {stage: i for i, stage in enumerate(STAGES)} | {None: -1}
    for i, window in enumerate(windows):
        if window.get("stage") not in index:
            raise UserMistake(
                f"{path}: window {i}, stage: {window['stage']!r} is none of {', '.join(STAGES)}, nor null"
            )
    stages = np.array([index[window.get("stage")] for window in windows], np.int8)
    ends = contract.seconds.stride * np.arange(1.0, len(windows) + 1)
    probabilities = columns.pop(PROBABILITIES)
    return Night(str(golden.get("night")), ends, columns, stages), probabilities


def _are_numbers(values, size):
    """Whether this is a list of so many finite numbers."""
    return (
        isinstance(values, list)
        and len(values) == size
        and all(type(x) in (int, float) and np.isfinite(x) for x in values)
    )


def replay_golden(folder: Path, precisions: Sequence[str] | None = None) -> dict[str, dict]:
    """How each precision of a bundle keeps to its gate over the golden night.

    Returns:
        {precision: figures of `export.gates.compare`}.

    Raises:
        UserMistake: The bundle is not whole.
    """
    contract = read_bundle(folder, precisions)
    night, reference = read_golden(folder, contract)
    rows = {}
    for precision in precisions or contract.precisions:
        probabilities = Runner(folder, precision).night(night, contract.options())
        rows[precision] = compare([reference], [probabilities], [night], precision)
    return rows
