"""The app code of a bundle and its page for developers: the templates with the constants of one contract written in."""

from pathlib import Path

from export.app_constants import app_constants
from export.app_literals import KOTLIN, SWIFT, contract_object, json_text, lay_out
from export.contract import SENSING, Contract
from export.health_segments import app_source
from export.rendering import render
from pipeline.files import write_json, write_whole
from scoring.tables import markdown_rows

SCHEMA_FILE = "contract.schema.json"
PAGE = "README.md"
CODE = "sleep_stager.py", "sleep-stager.js", "SleepStager.kt", "SleepStager.swift"
SENSOR_VALUES = {
    "heart_rate": "bpm",
    "motion": "x, y, z in g",
    "steps": "steps of a bin, at its end",
    "activity": "activity count of a bin, at its end",
}


def write_apps(folder: Path | str, contract: Contract) -> None:
    """Write the app code, README.md and the contract's JSON Schema into a bundle folder.

    Args:
        folder: The bundle.
        contract: With digests.

    Raises:
        ValueError: A tensor is not float32.
    """
    constants = app_constants(contract)
    camel_case = {"operatingPoints" if name == "operating_points" else name: x for name, x in constants.items()}
    literals = (
        lay_out(json_text(constants), 4),
        lay_out(json_text(camel_case), 2),
        contract_object(constants, KOTLIN),
        contract_object(constants, SWIFT),
    )
    for name, literal in zip(CODE, literals, strict=True):
        text = render(f"apps/{name}", contract=literal, health_segments=app_source())
        write_whole(Path(folder) / name, text)
    write_whole(Path(folder) / PAGE, render(f"apps/{PAGE}", **page_values(contract, constants)))
    write_json(Path(folder) / SCHEMA_FILE, contract.model_json_schema(by_alias=True))


def page_values(contract: Contract, constants: dict) -> dict:
    """What README.md of a bundle says of its contract, by the names in the template."""
    counted = bool(constants["activity"]["calls"])
    plans, unknown = contract.precisions, contract.unknown
    return {
        "architecture": contract.architecture,
        "stride": contract.seconds.stride,
        "precision": "int8" if "int8" in plans else next(iter(plans)),
        "files": markdown_rows((f"`{name}`".replace(", ", "`, `"), text) for name, text in files(contract).items()),
        "sensors": markdown_rows(sensor_rows(contract, constants)),
        "counted": counted,
        "unknown": unknown.stage,
        "absent": unknown.absent_seconds,
        "off_wrist": unknown.off_wrist_seconds,
        "off_wrist_blind": unknown.off_wrist_blind_seconds,
        "coverage": unknown.coverage_seconds,
        "reasons": constants["reasons"],
        "stages": markdown_rows((stage.name, stage.healthkit, stage.health_connect) for stage in contract.stages),
        "operating_points": markdown_rows(
            (f"`{name}`", ", ".join(map(str, point.weights))) for name, point in contract.operating_points.items()
        ),
        "tolerances": markdown_rows(
            (name, plan.tolerance.p99_abs_dp, f"{plan.tolerance.same_stage:.1%}") for name, plan in plans.items()
        ),
    }


def files(contract: Contract) -> dict[str, str]:
    """{file of the bundle: what it is}."""
    purposes = dict.fromkeys(CODE, "app code")
    purposes["contract.json"] = "what each file promises"
    purposes[SCHEMA_FILE] = "the form of contract.json, as JSON Schema"
    purposes["golden.json"] = "a night to replay, with the answers"
    purposes["labels.txt"] = "the stages in the order of the probabilities"
    for preprocessing in contract.preprocessing.values():
        purposes |= {call.file: "activity counts from raw motion" for call in preprocessing.calls}
    purposes[SENSING] = "features of a window and of the night so far"
    for name, plan in contract.precisions.items():
        purposes |= {call.file: f"the network in {name}" for call in plan.calls if call.file not in purposes}
    return purposes | {"report.md, report.json, MODEL_CARD.md": "size, speed, accuracy; what it is for, what it is not"}


def sensor_rows(contract: Contract, constants: dict) -> list[tuple]:
    """(sensor, its values, their range, the channels made of it) of each sensor that app code takes."""
    channels = {channel.name for channel in contract.channels}
    rows = []
    for sensor, entry in constants["sensors"].items():
        used = [name for name in entry["channels"] if name in channels]
        if sensor == "motion" and constants["activity"]["calls"]:
            used.append("activity")
        rows.append((f"`{sensor}`", SENSOR_VALUES[sensor], "{} to {}".format(*entry["range"]), ", ".join(used) or "no"))
    return rows
