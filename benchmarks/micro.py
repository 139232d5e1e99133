"""Memory of a model on a microcontroller: python -m benchmarks.micro RUN [--json FILE]. Exit code 1 if over budget.

Arena sizes are those recorded by TensorFlow Lite Micro's own allocator. They are the same on every machine; no time is
measured. Either the calls take turns, with a new interpreter for each call in one arena, or the interpreters stay: then
they share the memory of tensors, and each keeps the rest permanently.
"""

import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import click

from export.arenas import measured_arenas
from export.contract import Contract
from export.cost import cost_of
from export.report import PUBLISHED
from pipeline.command_line import OutputFile, option
from pipeline.errors import UserMistake
from pipeline.files import write_json
from scoring.tables import kilobytes

FLOAT_BYTES = 4
BUDGETS = {  # bytes, for GRU int8
    "sensing.tflite": 33_000,  # arenas
    "activity.tflite": 24_000,
    "gru.int8.tflite": 11_000,
    "ram": 56_000,
    "flash": 110_000,
}


def memory(bundle: Path, precision: str) -> dict:
    """Memory of a model.

    Args:
        bundle: Folder of the bundle.
        precision: One of its contract's that runs in TensorFlow Lite Micro.

    Returns:
        "files" {file: {"flash" without the embedded contract, and the figures of `measured_arenas`}}; "values", bytes
        of channels, states and the motion of an activity call; "ram" if calls take turns, "ram_kept" if interpreters
        stay, and both for 32-bit machines; "flash".

    Raises:
        UserMistake: TensorFlow Lite Micro is not installed, or does not run one of the files.
    """
    contract = Contract.read(bundle)
    calls = contract.calls([precision])
    arenas = measured_arenas(bundle / call.file for call in calls)
    if not arenas:
        raise UserMistake("tflite-micro is not installed; run make .venv-micro/ready")
    for name, arena in arenas.items():
        if "error" in arena:
            raise UserMistake(f"{bundle / name}: does not run in TensorFlow Lite Micro: {arena['error']}")
    files = {
        call.file: {"flash": cost_of((bundle / call.file).read_bytes())["lean_bytes"]} | arenas[call.file]
        for call in calls
    }
    plans = [*contract.preprocessing.values(), contract.precisions[precision]]
    shapes = [state.shape for plan in plans for state in plan.states.values()]
    shapes += [[channel.values_per_window] for channel in contract.channels]
    shapes += [t.shape for call in calls for t in call.inputs if t.source == "sensor:motion"]
    values = FLOAT_BYTES * sum(map(prod, shapes))
    pointers = {name: file["bytes"] - file["bytes_32_bit"] for name, file in files.items()}
    kept, tensors = sum(f["kept"] for f in files.values()), max(f["tensors"] for f in files.values())
    return {
        "model": f"{contract.architecture} {precision}",
        "files": files,
        "values": values,
        "ram": values + max(file["bytes"] for file in files.values()),
        "ram_32_bit": values + max(file["bytes_32_bit"] for file in files.values()),
        "ram_kept": values + kept + tensors,
        "ram_kept_32_bit": values + kept + tensors - sum(pointers.values()),
        "flash": sum(file["flash"] for file in files.values()),
    }


def met(figures: dict) -> dict[str, bool]:
    """{budget: whether it is met}; {} for models other than GRU int8."""
    if figures["model"] != "gru int8":
        return {}
    taken = {name: file["bytes"] for name, file in figures["files"].items()}
    taken |= {name: figures[name] for name in ("ram", "flash")}
    return {name: size <= BUDGETS[name] for name, size in taken.items()}


def lines(figures: dict) -> Iterator[str]:
    """The figures as lines of text."""

    def budget(name):
        kept = met(figures).get(name)
        return "" if kept is None else f"   budget {kilobytes(BUDGETS[name])}: {'met' if kept else 'MISSED'}"

    yield f"{figures['model']} in TensorFlow Lite Micro, kB of 1000 bytes"
    yield f"{'arena of':24} {'64 bits':>8} {'32 bits':>8} {'tensors':>8} {'kept':>8} {'flash':>8}"
    for name, file in figures["files"].items():
        sizes = (file[key] for key in ("bytes", "bytes_32_bit", "tensors", "kept", "flash"))
        yield f"{name:24} " + " ".join(f"{kilobytes(size):>8}" for size in sizes) + budget(name)
    yield f"{'states, channels, motion':24} {kilobytes(figures['values']):>8}"
    for name, title in (("ram", "RAM, calls taking turns"), ("ram_kept", "RAM, interpreters kept")):
        yield f"{title:24} {kilobytes(figures[name]):>8} {kilobytes(figures[name + '_32_bit']):>8}{budget(name)}"
    yield f"{'flash, the three files':24} {kilobytes(figures['flash']):>8}{budget('flash')}"
    theirs = kilobytes(PUBLISHED["arena_bytes"])
    yield f"{PUBLISHED['name']}: {theirs} of arena for the network alone, as published ({PUBLISHED['source']})"


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, exists=True))
@option("architecture", default="gru", show_default=True)
@option("precision", default="int8", show_default=True)
@option("json", "to", type=OutputFile(), default=None, help="Write the figures here.")
def main(run, architecture, precision, to):
    """RAM and flash of a run's model on a microcontroller."""
    figures = memory(run / "bundles" / architecture, precision)
    click.echo("\n".join(lines(figures)))
    if to:
        write_json(to, figures)
    sys.exit(0 if all(met(figures).values()) else 1)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.micro")
