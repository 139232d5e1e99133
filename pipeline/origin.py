"""Where a data set comes from: read from a file in its folder, and passed on to runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.data_sets import Data, DataSets
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json

MARK = "origin.json"


@dataclass(frozen=True)
class Origin:
    """Where nights come from and under which terms. Unknown texts are empty.

    Attributes:
        name: Name of the data set, such as "sleep-accel"; "unknown" if it has no origin.json.
        version: Version of the data set.
        licence: Name of the data's licence.
        attribution: Attribution that the licence requires.
        simulated: Whether some or all sensor data are simulated.
        zone: Time zone by which the nights' local times were found; empty if none was used.
        converter: Program, with its version, that converted the nights into this layout; empty if none did.
    """

    name: str = "unknown"
    version: str = ""
    licence: str = ""
    attribution: str = ""
    simulated: bool = False
    zone: str = ""
    converter: str = ""

    @property
    def unknown(self) -> bool:
        """Whether the origin of the data set is unknown."""
        return self.name == "unknown"

    def as_dict(self) -> dict:
        """The fields as a dict for JSON, for `Origin(**...)`. Empty fields that older files lack are left out."""
        newer_fields = ("zone", "converter")
        return {name: value for name, value in asdict(self).items() if value or name not in newer_fields}


# the origins that this project recognizes
UNKNOWN = Origin()
SYNTHETIC = Origin("synthetic", attribution="Made up by pipeline/synthetic.py of Wristsleep.", simulated=True)
SLEEP_ACCEL = Origin(
    "sleep-accel",
    "1.0.0",
    "Open Data Commons Attribution License v1.0 (ODC-By 1.0)",
    "Walch O. Motion and heart rate from a wrist-worn wearable and labeled sleep from polysomnography (version 1.0.0). "
    "PhysioNet, 2019. doi:10.13026/hmhs-py35. See also Walch O, Huang Y, Forger D, Goldstein C. SLEEP 2019;42(12):"
    "zsz180.",
)
SURROGATE = Origin(
    "surrogate",
    attribution="Motion and steps were simulated to fit recorded activity counts; heart rate and stages were recorded.",
    simulated=True,
)
OLDER_MARKS = {"SYNTHETIC.txt": SYNTHETIC, "motion/SURROGATE.txt": SURROGATE}  # used if there is no origin.json


def write_origin(folder: Path, origin: Origin) -> None:
    """Write origin.json into a data set's folder."""
    write_json(Path(folder) / MARK, origin.as_dict())


def read_origins(data: Data) -> dict[str, Origin]:
    """{name: origin} of several sets, {} for a single folder. Raises UserMistake as `read_origin`."""
    return {name: read_origin(path) for name, path in data.folders.items()} if isinstance(data, DataSets) else {}


def combined(origins: Sequence[Origin]) -> Origin:
    """The origin of several data sets together: all licences and attributions; simulated if any of them is."""

    def joined(texts, separator):
        return separator.join(dict.fromkeys(text for text in texts if text))

    named = [origin for origin in origins if not origin.unknown]
    names = [f"{origin.name} {origin.version}".strip() for origin in named]
    if names and len(named) < len(origins):
        names.append("nights of unknown origin")
    return Origin(
        joined(names, " and ") or UNKNOWN.name,
        licence=joined((f"{o.name}: {o.licence}" for o in named if o.licence), "; "),
        attribution=joined((origin.attribution for origin in named), " "),
        simulated=any(origin.simulated for origin in origins),
        zone=joined((origin.zone for origin in origins), "; "),
        converter=joined((origin.converter for origin in origins), "; "),
    )


def read_origin(folder: Data) -> Origin:
    """Read the origin of a data set.

    Args:
        folder: Folder of the data set, or several sets.

    Returns:
        The origin in its origin.json; UNKNOWN if there is none. For several sets, their `combined` origins.

    Raises:
        UserMistake: origin.json cannot be read.
    """
    if isinstance(folder, DataSets):
        return combined([*read_origins(folder).values()])
    path = Path(folder) / MARK
    if path.exists():
        return parse_origin(read_json(path), path)
    return next((origin for name, origin in OLDER_MARKS.items() if (Path(folder) / name).exists()), UNKNOWN)


def parse_origin(value: object, path: Path) -> Origin:
    """Turn a JSON value into an origin.

    Args:
        value: The value read from JSON.
        path: The file it was read from, for error messages.

    Raises:
        UserMistake: It is not an object, or has a field of the wrong type or name.
    """
    fields = asdict(UNKNOWN)
    if not isinstance(value, dict):
        raise UserMistake(f"{path}: expected an object with the fields {', '.join(fields)}")
    for name, default in fields.items():
        if name in value and type(value[name]) is not type(default):
            raise UserMistake(f"{path}: {name}: expected a {type(default).__name__}, not {value[name]!r}")
    if stray := sorted(set(value) - set(fields)):
        raise UserMistake(f"{path}: {stray[0]}: not a field of an origin")
    return Origin(**value)
