"""The app code of a bundle: the templates of export/apps/ with the constants of one contract written in.

Text that may be broken over lines is a str or (begin, items, end), items being such texts again: see `laid_out`.
"""

import json
import re
from pathlib import Path

import numpy as np

from pipeline.activity import GAP_S, HZ
from pipeline.align import SENSORS
from pipeline.files import write_whole
from pipeline.options import CHANNELS, COUNT_S, GRACE_S, LEAD_S, LONGEST_NIGHT_S

TEMPLATES = Path(__file__).parent / "apps"
MARKS = "constants of the contract: begin", "constants of the contract: end"
CODE = "sleep_stager.py", "sleep-stager.js", "SleepStager.kt", "SleepStager.swift"
COUNTED = """
  Activity counts come from it by themselves. If you have counts of your own (te Lindert & Van Someren 2013, one per
  15 s), feed those instead: from the first one on, motion is no longer counted."""
POINTS = """
**Operating points** trade stages against each other: their weights multiply the probabilities, which are then divided
by their sum. Name one when you create the stager; without one nothing is weighed.

| operating point | weights |
|---|---|"""
WIDTH = 120  # characters of a line


def constants(contract):
    """What app code needs of a contract, as plain dicts and lists with the names of contract.json.

    A state's initial values are a flat list, of one number if all are alike. Raises ValueError where a tensor is not
    float32.
    """
    numbers = {"hz": HZ, "missing": CHANNELS["motion_z"].missing, "grace_seconds": GRACE_S, "gap_seconds": GAP_S}
    counted = numbers | {"calls": [], "states": {}} | contract.get("preprocessing", {}).get("activity", {})
    sensors = {
        sensor: {"range": [CHANNELS[names[0]].low, CHANNELS[names[0]].high], "channels": list(names)}
        for sensor, names in SENSORS.items()
    }
    return {
        "architecture": contract["architecture"],
        "stages": contract["stages"],
        "seconds": contract["seconds"],
        "grace_seconds": GRACE_S,
        "longest_seconds": LONGEST_NIGHT_S + LEAD_S,
        "sensors": sensors,
        "channels": contract["channels"],
        "operating_points": contract.get("operating_points", {}),
        "activity": {name: counted[name] for name in numbers} | {"bin_seconds": COUNT_S} | calls_and_states(counted),
        "precisions": {
            name: calls_and_states(plan) | {"probabilities": plan["probabilities"]}
            for name, plan in contract["precisions"].items()
        },
    }


def calls_and_states(plan):
    """The calls and states of a plan, for `constants`."""
    calls = []
    for call in plan["calls"]:
        kept = {name: call[name] for name in ("file", "sha256", "signature")}
        for side in ("inputs", "outputs"):
            kept[side] = [{key: x for key, x in tensor.items() if key != "dtype"} for tensor in call[side]]
            if any(tensor["dtype"] != "float32" for tensor in call[side]):
                raise ValueError(f"{call['file']}: {side} are not all float32, which app code is written for")
        calls.append(kept)
    states = {
        name: {"shape": state["shape"], "initial": np.ravel(state["initial"]).tolist()}
        for name, state in plan["states"].items()
    }
    return {"calls": calls, "states": states}


def after(before, text):
    """Text with something before it."""
    return before + text if isinstance(text, str) else (before + text[0], *text[1:])


def laid_out(text, step, depth=0, behind=1):
    """A text in lines of at most WIDTH where that can be. step: spaces of a level; behind: characters that follow."""

    def in_one(text):
        return text if isinstance(text, str) else text[0] + ", ".join(map(in_one, text[1])) + text[2]

    line = in_one(text)
    if isinstance(text, str) or step * depth + len(line) + behind <= WIDTH:
        return line
    begin, items, end = text
    pad = "\n" + " " * step * depth
    inner = pad + " " * step
    return begin + inner + f",{inner}".join(laid_out(item, step, depth + 1) for item in items) + pad + end


def as_json(value):
    """A plain value as text that is JSON, JavaScript and Python alike."""
    if isinstance(value, dict):
        return "{", [after(f"{json.dumps(key)}: ", as_json(x)) for key, x in value.items()], "}"
    return ("[", [as_json(x) for x in value], "]") if isinstance(value, list) else json.dumps(value)


def typed(known, swift):
    """The constants as lines of Kotlin or Swift: numbers first, then what is made of the templates' classes."""

    def made(kind, /, **fields):
        return f"{kind}(", [after(f"{field}: ", x) if swift else x for field, x in fields.items()], ")"

    def listed(items):
        return ("[", list(items), "]") if swift else ("listOf(", list(items), ")")

    def mapped(items):
        begin, between, end = ("[", ": ", "]") if swift else ("mapOf(", " to ", ")")
        return begin, [after(as_json(key) + between, x) for key, x in items.items()] or [":"] * swift, end

    def floats(values):
        return ("[", list(map(number, values)), "]") if swift else ("floatArrayOf(", list(map(number, values)), ")")

    def number(x):
        return f"{float(x)}" if swift else f"{float(x)}f"

    def shape(sizes):
        return str(sizes) if swift else ", ".join(map(str, sizes))

    def tensors(each, link):
        return listed(
            made("Tensor", name=as_json(x["name"]), link=as_json(x.get(link, "")), shape=shape(x["shape"]))
            for x in each
        )

    def call(x):
        texts = {name: as_json(x[name]) for name in ("file", "sha256", "signature")}
        return made("Call", **texts, inputs=tensors(x["inputs"], "from"), outputs=tensors(x["outputs"], "to"))

    def plan(x):
        states = (
            made("State", name=as_json(name), initial=floats(state["initial"]), shape=shape(state["shape"]))
            for name, state in x["states"].items()
        )
        answer = as_json(x.get("probabilities", ""))
        return made("Plan", calls=listed(map(call, x["calls"])), states=listed(states), probabilities=answer)

    def channel(x):
        fields = {name: as_json(x[name]) for name in ("name", "unit")}
        fields |= {"values": str(x["values_per_window"]), "seconds": str(x["seconds_per_value"])}
        return made("Channel", **fields, missing=number(x["missing"]), isSum=as_json(x["value"] == "sum"))

    def stage(x):
        codes = {"healthKit": str(x["healthkit"]), "healthConnect": str(x["health_connect"])}
        return made("Stage", name=as_json(x["name"]), **codes)

    def sensor(x):
        low, high = map(float, x["range"])
        return made("Sensor", low=str(low), high=str(high), channels=listed(map(as_json, x["channels"])))

    def constant(name):
        return re.sub(r"_(.)", lambda found: found[1].upper(), name.lower()) if swift else name

    def of(kind):
        return f"[{kind}]" if swift else f"List<{kind}>"

    def by_name(kind):
        return f"[String: {kind}]" if swift else f"Map<String, {kind}>"

    seconds, activity, points = known["seconds"], known["activity"], known["operating_points"]
    values = [
        ("ARCHITECTURE", "String", as_json(known["architecture"])),
        *((name.upper(), "Int", str(seconds[name])) for name in ("row", "window", "stride")),
        *((name, "Double", str(float(known[f"{name.lower()}_seconds"]))) for name in ("GRACE", "LONGEST")),
        *((name, "Int", str(activity[key])) for name, key in (("HZ", "hz"), ("BIN", "bin_seconds"))),
        ("MOTION_MISSING", "Float", number(activity["missing"])),
        *((f"MOTION_{x}", "Double", str(float(activity[f"{x.lower()}_seconds"]))) for x in ("GRACE", "GAP")),
    ]
    tables = [
        ("STAGES", of("Stage"), listed(map(stage, known["stages"]))),
        ("SENSORS", by_name("Sensor"), mapped({name: sensor(x) for name, x in known["sensors"].items()})),
        ("CHANNELS", of("Channel"), listed(map(channel, known["channels"]))),
        (
            "OPERATING_POINTS",
            by_name("[Float]" if swift else "FloatArray"),
            mapped({name: floats(x["weights"]) for name, x in points.items()}),
        ),
        ("ACTIVITY", "Plan", plan(activity)),
        *((f"IN_{name.upper()}", "Plan", plan(x)) for name, x in known["precisions"].items()),
        ("PRECISIONS", by_name("Plan"), mapped({name: constant(f"IN_{name.upper()}") for name in known["precisions"]})),
    ]
    lines = []
    for word, some in (("const val", values), ("val", tables)):
        for name, kind, text in some:
            begin = f"{'static let' if swift else word} {constant(name)}"
            lines.append("    " + laid_out(after(f"{begin}: {kind} = ", text), 4, 1, 0))
    return "\n".join([f"{'enum' if swift else 'object'} Contract {{", *lines, "}"])


def rendered(template, text):
    """A template with what stands between its marks replaced by the text."""
    content = (TEMPLATES / template).read_text()
    begin, end = (re.search(rf"^.*{mark}.*$", content, re.MULTILINE) for mark in MARKS)
    return f"{content[: begin.end()]}\n{text}\n{content[end.start() :]}"


def table(rows):
    """Rows of a Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def facts(contract, known):
    """What the page for developers says of one contract: {name between {{ and }}: text}."""
    files = dict.fromkeys(CODE, "app code")
    files |= {"contract.json": "what each file promises", "golden.json": "a night to replay, with the answers"}
    files |= {"labels.txt": "the stages in the order of the probabilities"}
    files |= {"activity.tflite": "activity counts from raw motion"} if known["activity"]["calls"] else {}
    files |= {"sensing.tflite": "features of a window and of the night so far"}
    for name, plan in known["precisions"].items():
        files |= {call["file"]: f"the network in {name}" for call in plan["calls"] if call["file"] not in files}
    files |= {"report.md, report.json, MODEL_CARD.md": "size, speed, accuracy; what it is for, what it is not"}

    channels = {channel["name"]: channel for channel in contract["channels"]}
    counted = bool(known["activity"]["calls"])
    values = {"heart_rate": "bpm", "motion": "x, y, z in g", "steps": "steps of a bin, at its end"}
    values["activity"] = "activity count of a bin, at its end"
    sensors = []
    for sensor, x in known["sensors"].items():
        used = [name for name in x["channels"] if name in channels]
        used += ["activity"] * (sensor == "motion" and counted)
        sensors.append((f"`{sensor}`", values[sensor], "{} to {}".format(*x["range"]), ", ".join(used) or "no"))
    points = "".join(
        f"\n| `{name}` | {', '.join(map(str, point['weights']))} |" for name, point in known["operating_points"].items()
    )
    plans = contract["precisions"]
    return {
        "architecture": contract["architecture"],
        "stride": contract["seconds"]["stride"],
        "precision": "int8" if "int8" in plans else next(iter(plans)),
        "files": table((f"`{name}`".replace(", ", "`, `"), words) for name, words in files.items()),
        "sensors": table(sensors),
        "activity": COUNTED if counted else "",
        "stages": table((s["name"], s["healthkit"], s["health_connect"]) for s in contract["stages"]),
        "operating_points": POINTS + points if points else "",
        "tolerances": table(
            (name, plan["tolerance"]["p99_abs_dp"], f"{plan['tolerance']['same_stage']:.1%}")
            for name, plan in plans.items()
        ),
    }


def write_apps(folder, contract):
    """Write the app code and README.md into a bundle folder. contract: its contract.json, with digests."""
    known = constants(contract)
    camel = {"operatingPoints" if name == "operating_points" else name: x for name, x in known.items()}
    texts = (
        laid_out(after("CONTRACT = ", as_json(known)), 4),
        laid_out(after("const CONTRACT = ", as_json(camel)), 2) + ";",
        typed(known, swift=False),
        typed(known, swift=True),
    )
    for name, text in zip(CODE, texts, strict=True):
        write_whole(Path(folder) / name, rendered(name, text))
    page = (TEMPLATES / "README.md").read_text()
    for name, text in facts(contract, known).items():
        page = page.replace(f"{{{{{name}}}}}", str(text))
    write_whole(Path(folder) / "README.md", page)
