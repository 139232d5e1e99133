"""A bundle's golden night: chosen among held-out nights, written, read, and replayed against the gates."""

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
    """float32 values, flattened, as the shortest decimal numbers that round-trip."""
    numbers = [float(str(x)) for x in np.asarray(values, np.float32).ravel()]
    return [int(x) if x.is_integer() else x for x in numbers]


def golden_document(night: Night, channels: Sequence[str], options: Options, probabilities: np.ndarray) -> dict:
    """Contents of golden.json: one whole night of inputs, the full model's probabilities, and the gates.

    Args:
        night: Scored or not.
        channels: Names of the model's channels.
        options: Options of the run.
        probabilities: [windows, 5] from the Keras model.

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
    """Write golden.json: one line per window, integers without a decimal point."""
    head = json.dumps({name: value for name, value in document.items() if name != "windows"}, separators=(",", ":"))
    windows = ",\n".join(json.dumps(window, separators=(",", ":")) for window in document["windows"])
    write_whole(Path(folder) / FILE, f'{head[:-1]},"windows":[\n{windows}\n]}}\n')


def choose_golden(folder: Path, documents: Sequence[dict]) -> None:
    """Write the first night on which every file passes its gate, or else the night on which most files do.

    Gates apply to several nights pooled; on a single night a file may miss a stage or two more. A golden night shows
    that a runtime works, so a night on which the files themselves fail is not suitable.
    """
    failing = []
    for document in documents:
        write_golden(folder, document)
        failing.append(sum(not row["passed"] for row in replay_golden(folder).values()))
        if not failing[-1]:
            return
    write_golden(folder, documents[failing.index(min(failing))])


def read_golden(folder: Path, contract: Contract) -> tuple[Night, np.ndarray]:
    """The golden night of a bundle, and the full model's probabilities [windows, 5] for it.

    Raises:
        UserMistake: golden.json lacks something that the contract promises; names window and field.
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
            raise UserMistake(f"{path}: window {i}, stage: {window['stage']!r}; expected {', '.join(STAGES)} or null")
    stages = np.array([index[window.get("stage")] for window in windows], np.int8)
    ends = contract.seconds.stride * np.arange(1.0, len(windows) + 1)
    probabilities = columns.pop(PROBABILITIES)
    return Night(str(golden.get("night")), ends, columns, stages), probabilities


def _are_numbers(values, size):
    """Whether `values` is a list of `size` finite numbers."""
    return (
        isinstance(values, list)
        and len(values) == size
        and all(type(x) in (int, float) and np.isfinite(x) for x in values)
    )


def replay_golden(folder: Path, precisions: Sequence[str] | None = None) -> dict[str, dict]:
    """Replay the golden night in each precision of a bundle and compare it with its gate.

    Returns:
        {precision: figures of `export.gates.compare`}.

    Raises:
        UserMistake: The bundle is incomplete or altered.
    """
    contract = read_bundle(folder, precisions)
    night, reference = read_golden(folder, contract)
    rows = {}
    for precision in precisions or contract.precisions:
        probabilities = Runner(folder, precision).night(night, contract.options())
        rows[precision] = compare([reference], [probabilities], [night], precision)
    return rows
