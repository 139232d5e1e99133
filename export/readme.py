"""README.md of a bundle, for developers, and the JSON Schema of its contract."""

from pathlib import Path

from export.contract import DIGEST, SENSING, Contract
from export.rendering import render
from pipeline.align import REASONS
from pipeline.files import write_json, write_whole
from scoring.tables import markdown_rows

FILE = "README.md"
SCHEMA_FILE = "contract.schema.json"
ABOUT_DIGEST = "SHA-256 of contract.json with 64 zeros in place of this digest; its last field"
RECOMMENDED = "int8"  # the precision to start with
SENSOR_VALUES = {
    "heart_rate": "bpm",
    "motion": "x, y, z in g",
    "steps": "steps of a bin, at its end",
    "activity": "activity count of a bin, at its end",
}


def write_readme(folder: Path | str, contract: Contract, lean: bool = False) -> None:
    """Write README.md and the contract's JSON Schema into a bundle folder.

    Args:
        folder: The bundle.
        contract: With digests.
        lean: Whether the bundle has no golden night and no report.
    """
    write_whole(Path(folder) / FILE, render(f"pages/{FILE}", **page_values(contract, lean)))
    schema = contract.model_json_schema(by_alias=True)
    schema["properties"][DIGEST] = {"description": ABOUT_DIGEST, "pattern": "^[0-9a-f]{64}$", "type": "string"}
    write_json(Path(folder) / SCHEMA_FILE, schema)


def page_values(contract: Contract, lean: bool = False) -> dict:
    """Values for the template of README.md. lean: as in `write_readme`."""
    plans, unknown, purposes = contract.precisions, contract.unknown, files(contract, lean)
    return {
        "architecture": contract.architecture,
        "lean": lean,
        "data": contract.training_data,
        "stride": contract.seconds.stride,
        "precision": RECOMMENDED if RECOMMENDED in plans else next(iter(plans)),
        "files": markdown_rows((f"`{name}`".replace(", ", "`, `"), text) for name, text in purposes.items()),
        "sensors": markdown_rows(sensor_rows(contract)),
        "counted": "activity" in contract.preprocessing,
        "unknown": unknown.stage,
        "absent": unknown.absent_seconds,
        "off_wrist": unknown.off_wrist_seconds,
        "off_wrist_blind": unknown.off_wrist_blind_seconds,
        "coverage": unknown.coverage_seconds,
        "reasons": REASONS,
        "stages": markdown_rows((stage.name, stage.healthkit, stage.health_connect) for stage in contract.stages),
        "operating_points": markdown_rows(
            (f"`{name}`", ", ".join(map(str, point.weights))) for name, point in contract.operating_points.items()
        ),
        "tolerances": markdown_rows(
            (name, plan.tolerance.p99_abs_dp, f"{plan.tolerance.same_stage:.1%}") for name, plan in plans.items()
        ),
    }


def files(contract: Contract, lean: bool = False) -> dict[str, str]:
    """{file of the bundle: its purpose}. lean: as in `write_readme`."""
    purposes = {"contract.json": "inputs, outputs and constants of every file: all that a library needs"}
    purposes[SCHEMA_FILE] = "JSON Schema of contract.json"
    if not lean:
        purposes["golden.json"] = "a night to replay, with the expected probabilities"
    purposes["labels.txt"] = "the stages in the order of the probabilities"
    for preprocessing in contract.preprocessing.values():
        purposes |= {call.file: "activity counts from raw motion" for call in preprocessing.calls}
    purposes[SENSING] = "features of a window, relative to the night so far"
    for name, plan in contract.precisions.items():
        purposes |= {call.file: f"the network in {name}" for call in plan.calls if call.file not in purposes}
    if not lean:
        purposes["report.md, report.json"] = "size, speed, accuracy and parity of each precision"
    purposes["cadence.json"] = "κ by cadence of heart rate; only if it was measured"
    return purposes | {"MODEL_CARD.md": "intended use, limits and accuracy of the model"}


def sensor_rows(contract: Contract) -> list[tuple]:
    """(sensor, its values, their range, the channels computed from it) for each sensor that libraries take."""
    channels = {channel.name for channel in contract.channels}
    rows = []
    for sensor, entry in contract.sensors.items():
        used = [name for name in entry.channels if name in channels]
        if sensor == "motion" and "activity" in contract.preprocessing:
            used.append("activity")
        rows.append((f"`{sensor}`", SENSOR_VALUES[sensor], "{} to {}".format(*entry.range), ", ".join(used) or "no"))
    return rows
