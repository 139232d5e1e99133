"""The constants of app code as source text: JSON (Python and JavaScript read it too), Kotlin and Swift.

Text that may be broken over lines is a str, or (begin, items, end) with items being such texts again: see `lay_out`.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Text = str | tuple[str, list, str]
WIDTH = 120  # characters of a line
UNKNOWN_AFTER = "absent", "off_wrist", "off_wrist_blind", "coverage"  # seconds of the rule for unknown stages


def prefix(before: str, text: Text) -> Text:
    """A text with something before it."""
    return before + text if isinstance(text, str) else (before + text[0], *text[1:])


def lay_out(text: Text, indent: int, depth: int = 0, trailing: int = 1) -> str:
    """A text in lines of at most WIDTH characters, where that is possible.

    Args:
        text: To be laid out.
        indent: Spaces of a level.
        depth: Level at which it stands.
        trailing: Characters that follow on its last line.

    Returns:
        The lines, the first of them not indented.
    """
    line = _in_one_line(text)
    if isinstance(text, str) or indent * depth + len(line) + trailing <= WIDTH:
        return line
    begin, items, end = text
    outer = "\n" + " " * indent * depth
    inner = outer + " " * indent
    return begin + inner + f",{inner}".join(lay_out(item, indent, depth + 1) for item in items) + outer + end


def _in_one_line(text: Text) -> str:
    return text if isinstance(text, str) else text[0] + ", ".join(map(_in_one_line, text[1])) + text[2]


def json_text(value: object) -> Text:
    """A plain value as text that is JSON, JavaScript and Python alike (but for true, false and null)."""
    if isinstance(value, dict):
        return "{", [prefix(f"{json.dumps(key)}: ", json_text(item)) for key, item in value.items()], "}"
    return ("[", [json_text(item) for item in value], "]") if isinstance(value, list) else json.dumps(value)


@dataclass(frozen=True)
class Language:
    """How a language writes what the constants consist of."""

    head: str  # of the object that holds the constants
    number: str  # keyword of a constant that is a number or a string
    table: str  # keyword of any other
    list_type: str
    map_type: str
    float_array: str  # type
    float_suffix: str
    list_brackets: tuple[str, str]
    float_brackets: tuple[str, str]
    map_brackets: tuple[str, str]
    arrow: str  # between key and value of a map
    empty_map: list[str]  # what stands between its brackets
    swift: bool  # arguments are labelled, names are in camel case, and a shape is a list

    def name(self, name: str) -> str:
        """A constant's name, of its name in capitals."""
        return re.sub(r"_(.)", lambda match: match[1].upper(), name.lower()) if self.swift else name

    def float32(self, value: float) -> str:
        """A float32."""
        return f"{float(value)}{self.float_suffix}"

    def floats(self, values: Iterable[float]) -> Text:
        """An array of float32."""
        begin, end = self.float_brackets
        return begin, [self.float32(value) for value in values], end

    def shape(self, sizes: Sequence[int]) -> str:
        """A tensor's shape, the last argument of its class."""
        return str([*sizes]) if self.swift else ", ".join(map(str, sizes))

    def list_of(self, items: Iterable[Text]) -> Text:
        """A list."""
        begin, end = self.list_brackets
        return begin, list(items), end

    def map_of(self, items: dict[str, Text]) -> Text:
        """A map from names."""
        begin, end = self.map_brackets
        pairs = [prefix(json.dumps(key) + self.arrow, item) for key, item in items.items()]
        return begin, pairs or self.empty_map, end

    def instance(self, kind: str, **fields: Text) -> Text:
        """An object of a class of the template."""
        labelled = [prefix(f"{name}: ", field) for name, field in fields.items()] if self.swift else [*fields.values()]
        return f"{kind}(", labelled, ")"


KOTLIN = Language(
    head="object Contract {",
    number="const val",
    table="val",
    list_type="List<{}>",
    map_type="Map<String, {}>",
    float_array="FloatArray",
    float_suffix="f",
    list_brackets=("listOf(", ")"),
    float_brackets=("floatArrayOf(", ")"),
    map_brackets=("mapOf(", ")"),
    arrow=" to ",
    empty_map=[],
    swift=False,
)
SWIFT = Language(
    head="enum Contract {",
    number="static let",
    table="static let",
    list_type="[{}]",
    map_type="[String: {}]",
    float_array="[Float]",
    float_suffix="",
    list_brackets=("[", "]"),
    float_brackets=("[", "]"),
    map_brackets=("[", "]"),
    arrow=": ",
    empty_map=[":"],
    swift=True,
)


def contract_object(constants: dict, language: Language) -> str:
    """The constants as the object `Contract`: numbers and strings, then what is made of the template's classes.

    Args:
        constants: Of `export.app_constants.app_constants`.
        language: KOTLIN or SWIFT.

    Returns:
        Source text.
    """
    entries = [(language.number, *entry) for entry in _numbers(constants, language)]
    entries += [(language.table, *entry) for entry in _tables(constants, language)]
    lines = [
        "    " + lay_out(prefix(f"{keyword} {language.name(name)}: {kind} = ", text), 4, depth=1, trailing=0)
        for keyword, name, kind, text in entries
    ]
    return "\n".join([language.head, *lines, "}"])


def _numbers(constants: dict, language: Language) -> list[tuple[str, str, Text]]:
    """(name, type, text) of what is a number or a string."""
    seconds, activity = constants["seconds"], constants["activity"]
    unknown, guard = constants["unknown"], constants["input_guard"]
    low, high = guard["gravity_g"]
    return [
        ("ARCHITECTURE", "String", json.dumps(constants["architecture"])),
        *((name.upper(), "Int", str(seconds[name])) for name in ("row", "window", "stride")),
        ("GRACE", "Double", str(float(constants["grace_seconds"]))),
        ("LONGEST", "Double", str(float(constants["longest_seconds"]))),
        ("HZ", "Int", str(activity["hz"])),
        ("BIN", "Int", str(activity["bin_seconds"])),
        ("MOTION_MISSING", "Float", language.float32(activity["missing"])),
        ("MOTION_GRACE", "Double", str(float(activity["grace_seconds"]))),
        ("MOTION_GAP", "Double", str(float(activity["gap_seconds"]))),
        ("UNKNOWN", "String", json.dumps(unknown["stage"])),
        *((name.upper(), "Int", str(unknown[f"{name}_seconds"])) for name in UNKNOWN_AFTER),
        ("FIRST", "Int", str(guard["first_seconds"])),
        ("LEAST_SAMPLES", "Int", str(guard["least_samples"])),
        ("LOW_GRAVITY", "Double", str(float(low))),
        ("HIGH_GRAVITY", "Double", str(float(high))),
        ("STANDARD_GRAVITY", "Double", str(guard["standard_gravity"])),
    ]


def _tables(constants: dict, language: Language) -> list[tuple[str, str, Text]]:
    """(name, type, text) of the rest."""
    stages = language.list_of(_stage(stage, language) for stage in constants["stages"])
    sensors = {name: _sensor(sensor, language) for name, sensor in constants["sensors"].items()}
    channels = language.list_of(_channel(channel, language) for channel in constants["channels"])
    points = {name: language.floats(point["weights"]) for name, point in constants["operating_points"].items()}
    plans = {name: f"IN_{name.upper()}" for name in constants["precisions"]}
    return [
        ("STAGES", language.list_type.format("Stage"), stages),
        ("SENSORS", language.map_type.format("Sensor"), language.map_of(sensors)),
        ("REASONS", language.list_type.format("String"), language.list_of(map(json.dumps, constants["reasons"]))),
        ("CHANNELS", language.list_type.format("Channel"), channels),
        ("OPERATING_POINTS", language.map_type.format(language.float_array), language.map_of(points)),
        ("ACTIVITY", "Plan", _plan(constants["activity"], language)),
        *((plans[name], "Plan", _plan(plan, language)) for name, plan in constants["precisions"].items()),
        (
            "PRECISIONS",
            language.map_type.format("Plan"),
            language.map_of({name: language.name(plan) for name, plan in plans.items()}),
        ),
    ]


def _stage(stage: dict, language: Language) -> Text:
    codes = {"healthKit": str(stage["healthkit"]), "healthConnect": str(stage["health_connect"])}
    return language.instance("Stage", name=json.dumps(stage["name"]), **codes)


def _sensor(sensor: dict, language: Language) -> Text:
    low, high = map(float, sensor["range"])
    channels = language.list_of(map(json.dumps, sensor["channels"]))
    is_sum = json.dumps(sensor["value"] == "sum")
    return language.instance("Sensor", low=str(low), high=str(high), isSum=is_sum, channels=channels)


def _channel(channel: dict, language: Language) -> Text:
    return language.instance(
        "Channel",
        name=json.dumps(channel["name"]),
        unit=json.dumps(channel["unit"]),
        values=str(channel["values_per_window"]),
        seconds=str(channel["seconds_per_value"]),
        missing=language.float32(channel["missing"]),
        isSum=json.dumps(channel["value"] == "sum"),
    )


def _plan(plan: dict, language: Language) -> Text:
    states = (
        language.instance(
            "State",
            name=json.dumps(name),
            initial=language.floats(state["initial"]),
            shape=language.shape(state["shape"]),
        )
        for name, state in plan["states"].items()
    )
    return language.instance(
        "Plan",
        calls=language.list_of(_call(call, language) for call in plan["calls"]),
        states=language.list_of(states),
        probabilities=json.dumps(plan.get("probabilities", "")),
    )


def _call(call: dict, language: Language) -> Text:
    names = {name: json.dumps(call[name]) for name in ("file", "sha256", "signature")}
    inputs, outputs = _tensors(call["inputs"], "from", language), _tensors(call["outputs"], "to", language)
    return language.instance("Call", **names, inputs=inputs, outputs=outputs)


def _tensors(tensors: list[dict], link: str, language: Language) -> Text:
    return language.list_of(
        language.instance(
            "Tensor",
            name=json.dumps(tensor["name"]),
            link=json.dumps(tensor.get(link, "")),
            shape=language.shape(tensor["shape"]),
        )
        for tensor in tensors
    )
