"""Where a data set comes from: a mark that whoever makes the data set leaves in it, and that runs carry on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.data_sets import Data, DataSets
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json

MARK = "origin.json"


@dataclass(frozen=True)
class Origin:
    """Where nights come from and under which terms. Texts are empty where that is not stated.

    Attributes:
        name: Of the data set, such as "sleep-accel"; "unknown" where the data set carries no mark.
        version: Of the data set.
        licence: Name of the licence of the data.
        attribution: What the licence asks to be quoted.
        simulated: Whether a program made up some or all of what was sensed.
        zone: Time zone of the nights, by which their local times were found; empty where no clock is known.
        converter: What brought the nights into this layout, and its version; empty where nothing did.
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
        """Whether the data set carries no mark."""
        return self.name == "unknown"

    def as_dict(self) -> dict:
        """For JSON; `Origin(**...)` gives it back. Of what came last, an empty text is left out, as in older marks."""
        later = ("zone", "converter")
        return {name: value for name, value in asdict(self).items() if value or name not in later}


# the origins that this project can tell
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
OLDER_MARKS = {"SYNTHETIC.txt": SYNTHETIC, "motion/SURROGATE.txt": SURROGATE}  # where there is no origin.json


def write_origin(folder: Path, origin: Origin) -> None:
    """Write the mark into a data set's folder."""
    write_json(Path(folder) / MARK, origin.as_dict())


def read_origins(data: Data) -> dict[str, Origin]:
    """{name: origin} of several sets, {} of a single folder; UserMistake as for `read_origin`."""
    return {name: read_origin(path) for name, path in data.folders.items()} if isinstance(data, DataSets) else {}


def combined(origins: Sequence[Origin]) -> Origin:
    """What several data sets are together: simulated if any of them is; of each its licence and what to quote."""

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
    """The origin of a data set.

    Args:
        folder: Of the data set, or several sets.

    Returns:
        What its mark says; UNKNOWN where it has none. Of several sets what `combined` makes of theirs.

    Raises:
        UserMistake: The mark cannot be read.
    """
    if isinstance(folder, DataSets):
        return combined([*read_origins(folder).values()])
    path = Path(folder) / MARK
    if path.exists():
        return parse_origin(read_json(path), path)
    return next((origin for name, origin in OLDER_MARKS.items() if (Path(folder) / name).exists()), UNKNOWN)


def parse_origin(value: object, path: Path) -> Origin:
    """The origin that a JSON value describes.

    Args:
        value: Read from JSON.
        path: The file that it was read from, for the message.

    Raises:
        UserMistake: It is no object, or has a field of the wrong type or name.
    """
    fields = asdict(UNKNOWN)
    if not isinstance(value, dict):
        raise UserMistake(f"{path}: expected an object with the fields {', '.join(fields)}")
    for name, default in fields.items():
        if name in value and type(value[name]) is not type(default):
            raise UserMistake(f"{path}: {name}: expected a {type(default).__name__}, not {value[name]!r}")
    if stray := sorted(set(value) - set(fields)):
        raise UserMistake(f"{path}: {stray[0]}: no field of an origin")
    return Origin(**value)
