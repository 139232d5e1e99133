"""python -m tests.vectors.make [--vectors]: writes bundles and vectors anew; with --vectors the vectors only.

watch_sim.Watch is the oracle of everything but errors and segments.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from apps.python.sleep_stager import CODES, NAMES, STAGES, UNKNOWN, equal_runs, iso_time, zone_of
from pipeline.files import write_whole
from tests.vectors import nights
from tests.vectors.nights import HOUR, MINUTE
from watch_sim import Watch

HERE = Path(__file__).parent
TOLERANCE = 1e-4  # of a probability
MARGIN = 5e-4  # between the two likeliest stages, so that none is a matter of rounding
START = 1700000000.25
AUTUMN = 1792888500.0  # 2026-10-25T00:35:00Z: 25 minutes before Central European clocks go back
FORGED = (  # name, what is another, its place, its value: of the right form, but not what the format has
    ("range", "a sensor's range", "sensors.motion.range", [-160, 160]),
    ("sum", "a mean is a sum", "sensors.heart_rate.value", "sum"),
    ("order", "a sensor's channels in another order", "sensors.motion.channels.0", "motion_y"),
    ("grace", "the grace of bins", "grace_seconds", 0.5),
    ("longest", "the longest night", "longest_seconds", 1e9),
    ("absent", "when a stage is unknown", "unknown.absent_seconds", 3000),
    ("off_wrist", "when the watch is off the wrist", "unknown.off_wrist_seconds", 900),
    ("gravity", "how large gravity may be", "input_guard.gravity_g", [0.5, 20]),
    ("first", "how long units are looked at", "input_guard.first_seconds", 6),
    ("missing", "what stands for missing", "channels.0.missing", 60),
    ("window", "a longer window", "seconds.window", 60),
    ("calls", "counting without a call", "preprocessing.activity.calls", []),
    ("nothing", "null where motion is counted", "preprocessing.activity", None),
    ("doubled", "an input twice, another not at all", "precisions.int8.calls.1.inputs.1.name", "hidden"),
    ("to", "a list where a state is named", "precisions.int8.calls.0.outputs.0.to", ["state:hidden"]),
    ("values", "values in a window", "channels.0.values_per_window", 29),
    ("channel", "a channel is there twice", "channels.1.name", "heart_rate"),
    ("weights", "weights that do not sum to 1", "operating_points.rem.weights", [0.3] * 5),
    ("weight", "a weight below 0", "operating_points.rem.weights", [-0.1, 0.1, 0.3, 0.3, 0.4]),
    ("initial", "how a state begins", "precisions.int8.states.hidden.initial", -1),
    ("newest", "how the motion before begins", "preprocessing.activity.states.newest.initial", 0),
    ("shape", "the shape of a state", "precisions.int8.states.hidden.shape", [1, 5]),
    ("source", "an input from elsewhere", "precisions.int8.calls.1.inputs.0.from", "state:nothing"),
    ("renewed", "an output becomes another state", "precisions.int8.calls.1.outputs.0.to", "state:context"),
    ("answer", "probabilities of another output", "precisions.int8.probabilities", "hidden_out"),
    ("name", "a tensor that its file lacks", "preprocessing.activity.calls.0.inputs.0.name", "other"),
    ("transposed", "a tensor of another shape than its file's", "precisions.int8.calls.0.inputs.0.shape", [4, 1]),
    ("signature", "a signature that its file lacks", "precisions.int8.calls.1.signature", "other"),
    ("gap", "when motion is missing", "preprocessing.activity.gap_seconds", 60),
    ("hz", "the grid of motion", "preprocessing.activity.hz", 25),
)
DIGESTS = (  # name, what is wrong, the entries at the end of a contract; # is the digest of what it is then
    ("null", "null for the digest", '"digest": null'),
    ("empty", "an empty digest", '"digest": ""'),
    ("number", "a number for the digest", '"digest": 0'),
    ("list", "a list for the digest", '"digest": []'),
    ("object", "an object for the digest", '"digest": {}'),
    ("upper", "a digest in capitals", f'"digest": "{"AB" * 32}"'),
    ("capital", "the digest under a name in capitals", '"Digest": "#"'),
    ("renamed", "the digest under another name", '"digests": "#"'),
    ("twice", "two digests", f'"digest": "{"0" * 64}",\n "digest": "#"'),
    ("early", "something after the digest", '"digest": "#",\n "note": {}'),
)
OTHER = "0" * 64  # a digest that no file has
RUNTIMES = ("ai-edge-litert", "tflite-runtime-2.14", "litert", "litert.js", "litert-android", "tensorflow-lite-swift")


def number(x):
    """A number as JSON has it."""
    return x if isinstance(x, str) or np.isfinite(x) else str(float(x))


def sample(sensor, t, value):
    return [sensor, number(t), [number(x) for x in value] if isinstance(value, list) else number(value)]


def feeds(events, start, every=200):
    """Steps that feed events, some at a time."""
    shifted = [(sensor, start + t, value) for sensor, t, value in events]
    return [{"feed": [sample(*e) for e in shifted[i : i + every]]} for i in range(0, len(shifted), every)]


def restarts(steps, rng, n=6):
    """Steps with `n` restarts, each feed cut where one falls; some take what is closed after it."""
    cut = []
    for step in steps:
        samples = step["feed"]
        borders = [0, *sorted(rng.integers(1, len(samples), n // len(steps) + 1).tolist()), len(samples)]
        for a, b in zip(borders, borders[1:]):  # noqa: B905, RUF007
            cut += [{"feed": samples[a:b]}] if b > a else []
            cut += [{"save": True}, {"restore": True}] + [{"take": None}] * int(rng.integers(2))
    return cut


def night(about, bundle, events, end, start=START, seed=0, restarted=False, **settings):
    """A vector of a night: its events, and the clock at its end. end: s from the start."""
    rng = np.random.default_rng([seed, *about.encode()])
    steps = feeds(events(rng), start)
    steps = restarts(steps, rng) if restarted else steps
    steps += [{"take": start + end}, {"dropped": None}, {"findings": None}]
    vector = {"about": about, "bundle": bundle, "precision": "int8", "start": start, "operating_point": None}
    return vector | settings | {"steps": steps}


def opening(about, code, bundle="counts", **how):
    return {"about": about, "bundle": bundle, "open": how, "error": code}


def ending(text):
    """An alteration: other entries at the end of the tiny contract. In them, # is the digest that is then right."""
    whole = (HERE / "bundles" / "counts" / "contract.json").read_text().removesuffix("\n}\n") + text
    digest = hashlib.sha256(whole.replace("#", "0" * 64).encode()).hexdigest()
    return {"file": "contract.json", "end": text.replace("#", digest)}


def contract_field(place, value):
    return {"file": "contract.json", "json": {place: value}}


def with_errors():
    """A night in whose middle everything is tried that is refused, and changes nothing."""
    vector = night("what is refused changes nothing", "all", lambda rng: nights.wrist(rng, 0, 6 * MINUTE), 6 * MINUTE)
    zones = {"zone": "Europe/Berlin", "platform": "healthkit", "origin": 0}
    refused = [
        {"feed": [sample("pulse", START + 300, 61)], "error": "unknown_sensor"},
        {"feed": [sample("motion", START + 300, 1)], "error": "wrong_value_count"},
        {"feed": [sample("motion", START + 300, [0, 1])], "error": "wrong_value_count"},
        {"feed": [sample("heart_rate", START + 300, [60, 61])], "error": "wrong_value_count"},
        {"feed": [sample("heart_rate", 1000 * START, 60)], "error": "time_beyond_night"},
        {"feed": [sample("heart_rate", START + 93600.5, 60)], "error": "time_beyond_night"},
        {"take": START + 93600.5, "error": "time_beyond_night"},
        {"take": "nan", "error": "not_a_time"},
        {"take": "inf", "error": "not_a_time"},
        {"reset": "nan", "error": "not_a_time"},
        {"segments": zones | {"zone": "Mars/Olympus"}, "error": "unknown_zone"},
        {"segments": zones | {"zone": "+25:00"}, "error": "unknown_zone"},
        {"segments": zones | {"platform": "fitbit"}, "error": "unknown_platform"},
        {"save": True},
        {"restore": "damaged", "error": "wrong_state"},
        {"restore": "other_precision", "error": "wrong_state"},
        {"restore": "other_operating_point", "error": "wrong_state"},
        {"take": START - 1e9},
    ]
    first = vector["steps"][0]["feed"]
    half = len(first) // 2
    vector["steps"][:1] = [{"feed": first[:half]}, *refused, {"feed": first[half:]}]
    return vector


def restarted_at_a_point():
    """A night at an operating point goes on at the same one, and at no other."""
    vector = night(
        "weighed for REM, restarted",
        "counts",
        lambda rng: nights.wrist(rng, 0, 6 * MINUTE),
        6 * MINUTE,
        operating_point="rem",
        restarted=True,
    )
    after = vector["steps"].index({"save": True}) + 1
    vector["steps"].insert(after, {"restore": "other_operating_point", "error": "wrong_state"})
    return vector


def two_nights():
    """A reset forgets what was dropped and found; the next night may begin before the first."""
    vector = night("reset begins another night", "counts", nights.beats_per_second, 12 * MINUTE)
    rng = np.random.default_rng(5)
    before = START - 40000
    vector["steps"] += [{"reset": before}, {"dropped": None}, {"findings": None}]
    vector["steps"] += feeds(nights.wrist(rng, 0, 5 * MINUTE), before)
    vector["steps"] += [{"take": before + 5 * MINUTE}, {"dropped": None}, {"findings": None}]
    return vector


def segments():
    """Unknown stages and a pause leave gaps; clocks go back in between."""
    vector = night("segments while clocks go back, with gaps", "counts", nights.table, 50 * MINUTE, start=AUTUMN)
    rng = np.random.default_rng(6)
    later = AUTUMN + 4000.5
    vector["steps"] += [{"reset": later}, *feeds(nights.wrist(rng, 0, 5 * MINUTE), later), {"take": later + 300}]
    vector["steps"] += [
        {"segments": {"zone": zone, "platform": platform, "origin": origin}}
        for zone, platform, origin in (
            ("Europe/Berlin", "healthkit", 0),
            ("Europe/Berlin", "health_connect", 0),
            ("America/St_Johns", "healthkit", 0.0625),
            ("+05:30", "health_connect", -86400),
        )
    ]
    return vector


def opened_in_vain():
    """Vectors of bundles that cannot be opened."""
    network = "gru.int8.tflite"
    refused = dict.fromkeys(RUNTIMES, "refused: for a test")
    return {
        "open_unknown_precision": opening("no such precision", "unknown_precision", precision="int4"),
        "open_unknown_operating_point": opening("no such point", "unknown_operating_point", operating_point="brisk"),
        "open_missing_network": opening("a file is missing", "missing_file", alter={"file": network, "delete": True}),
        "open_missing_contract": opening(
            "no contract", "missing_file", alter={"file": "contract.json", "delete": True}
        ),
        "open_altered_network": opening(
            "a byte of a file is altered", "altered_file", alter={"file": network, "flip_byte": 100}
        ),
        "open_altered_activity": opening(
            "a byte of a file is altered", "altered_file", "motion", alter={"file": "activity.tflite", "flip_byte": 100}
        ),
        "open_altered_contract": opening("another contract than the app's", "altered_contract", contract_sha256=OTHER),
        "open_altered_text": opening(
            "a byte of what the contract says of its origin is altered",
            "altered_contract",
            "gru-int8",
            alter={"file": "contract.json", "flip_byte": 100},
        ),
        "open_digest_right": opening(
            "a contract with its digest, opened at no such precision",
            "unknown_precision",
            precision="int4",
            alter=ending(',\n "digest": "#"\n}\n'),
        ),
        **{
            f"open_digest_{name}": opening(about, "altered_contract", alter=ending(f",\n {entries}\n}}\n"))
            for name, about, entries in DIGESTS
        },
        "open_refused_runtime": opening(
            "the contract refuses a runtime",
            "refused_runtime",
            alter=contract_field("precisions.int8.calls.1.runtimes", refused),
        ),
        **{
            f"open_unsupported_{name}": opening(about, "unsupported_contract", alter=alter)
            for name, about, alter in (
                ("format", "a later format", contract_field("format", "wristsleep-contract/2")),
                ("stage", "a stage of another name", contract_field("stages.3.name", "Deep")),
                ("healthkit", "a stage of another code", contract_field("stages.1.healthkit", 4)),
                ("health_connect", "a stage of another code", contract_field("stages.4.health_connect", 5)),
                ("stages", "a stage less", contract_field("stages", [])),
                ("type", "a text for a number", contract_field("seconds.stride", "30")),
                ("field", "a field is missing", {"file": "contract.json", "remove": "seconds.stride"}),
                ("sensor", "a sensor is missing", {"file": "contract.json", "remove": "sensors.steps"}),
                ("row", "rows of no length", contract_field("seconds.row", 0)),
                ("preprocessing", "nothing of motion", {"file": "contract.json", "remove": "preprocessing"}),
                ("rule", "a rule is missing", {"file": "contract.json", "remove": "input_guard.standard_gravity"}),
                ("file", "a path out of the bundle", contract_field("precisions.int8.calls.0.file", "../x.tflite")),
            )
        },
        **{
            f"open_forged_{name}": opening(about, "unsupported_contract", "all", alter=contract_field(place, value))
            for name, about, place, value in FORGED
        },
    }


def recipes():
    """{name: vector}, with None for what the oracle has still to say."""
    half_hour = night("a clean half hour", "counts", lambda rng: nights.wrist(rng, 0, 1800), 1800)
    contract = (HERE / "bundles" / "counts" / "contract.json").read_bytes()
    half_hour["contract_sha256"] = hashlib.sha256(contract).hexdigest()
    return {
        "half_hour": half_hour,
        "gap": night("a gap of hours", "counts", nights.gap, 3 * HOUR + 5 * MINUTE),
        "duplicates": night("samples come twice", "counts", nights.duplicates, 15 * MINUTE, restarted=True),
        "disorder": night("out of order, late, early, no good", "counts", nights.disorder, 20 * MINUTE, restarted=True),
        "edges": night("samples at the ends of windows and bins", "counts", nights.edges, 4 * MINUTE, start=0.0),
        "edges_of_strides": night("the same, in strides of 15 s", "overlap", nights.edges, 4 * MINUTE, start=-600.0),
        "batches": night("each sensor a minute at a time", "all", nights.batches, 5 * MINUTE),
        "clock_jumps": night("the clock is set ahead and back", "counts", nights.clock_jumps, 1.3 * HOUR),
        "metres_per_second_squared": night("motion in m/s²", "motion", nights.metres_per_second_squared, 9 * MINUTE),
        "milli_g": night("motion in milli-g, beats in ms", "all", nights.milli_g, 3 * MINUTE),
        "beats_per_second": night("heart rate in beats per second", "counts", nights.beats_per_second, 12 * MINUTE),
        "without_gravity": night("motion without gravity", "overlap", nights.without_gravity, 3 * MINUTE),
        "counts_after_motion": night("motion, then counts too", "motion", nights.counts_after_motion, 7 * MINUTE),
        "off_wrist": night("taken off after some minutes", "counts", nights.table, 50 * MINUTE, restarted=True),
        "table": night("never worn", "counts", nights.table_without_heart_rate, 2.2 * HOUR, start=0.0),
        "nothing": night("no sample at all", "all", lambda _: [], 10 * MINUTE),
        "everything": night("all sensors, with holes", "all", nights.everything, 7 * MINUTE),
        "everything_restarted": night(
            "all sensors, restarted at random", "all", nights.everything, 7 * MINUTE, restarted=True
        ),
        "overlap_restarted": night(
            "strides of 15 s, restarted at random", "overlap", nights.everything, 7 * MINUTE, restarted=True
        ),
        "coarse_restarted": night(
            "rows of 30 s, strides of a minute, restarted at random",
            "coarse",
            nights.everything,
            7 * MINUTE,
            restarted=True,
        ),
        "operating_point": night(
            "weighed for REM", "counts", lambda rng: nights.wrist(rng, 0, 900), 900, operating_point="rem"
        ),
        "operating_point_restarted": restarted_at_a_point(),
        "errors": with_errors(),
        "reset": two_nights(),
        "segments": segments(),
        **opened_in_vain(),
    }


class Oracle:
    """Fills in what a vector's stager must answer."""

    def __init__(self, vector, scratch):
        self.vector, self.bundle, self.state = vector, HERE / "bundles" / vector["bundle"], Path(scratch) / "state.npz"
        self.open(vector["start"])
        self.closed, self.taken = [], []  # epochs that the watch gave, and those that were taken

    def open(self, start):
        self.watch = Watch(self.bundle, self.vector["precision"], start, False, self.vector["operating_point"])

    def fill(self, step):
        if "error" in step:
            return
        if "feed" in step:
            for sensor, t, value in step["feed"]:
                self.closed += self.watch.feed(sensor, float(t), np.float64(value))
        elif "take" in step:
            if step["take"] is not None:
                self.closed += self.watch.advance(step["take"])
            step["epochs"] = [epoch_entry(epoch) for epoch in self.closed]
            self.taken, self.closed = self.taken + self.closed, []
        elif "dropped" in step:
            counts = {s: {r: n for r, n in reasons.items() if n} for s, reasons in self.watch.dropped.items()}
            step["dropped"] = {sensor: reasons for sensor, reasons in counts.items() if reasons}
        elif "findings" in step:
            step["findings"] = self.watch.findings
        elif "save" in step:
            self.watch.save(self.state)
        elif "restore" in step:
            self.open(-77.0)
            self.watch.restore(self.state)
        elif "reset" in step:
            self.open(step["reset"])
            self.closed = []
        elif "segments" in step:
            step["values"] = self.segments(**step["segments"])

    def segments(self, zone, platform, origin):
        codes = dict(zip(STAGES, CODES[platform], strict=True)) | {UNKNOWN: None}
        epochs = ((epoch.time, codes[epoch.stage]) for epoch in self.taken)
        tz = zone_of(zone)
        return [
            {"start": iso_time(a, tz), "end": iso_time(b, tz), "stage": NAMES[platform][value], "value": value}
            for a, b, value in equal_runs(epochs, self.watch.options.stride, origin)
        ]


def epoch_entry(epoch):
    """An epoch of the watch as a vector has it."""
    best, second = np.sort(epoch.probabilities)[:-3:-1]
    assert epoch.stage == UNKNOWN or best - second > MARGIN, f"a tie at {epoch.time}: choose another seed"
    coverage = {name: asdict(entry) for name, entry in epoch.coverage.sensors.items()}
    probabilities = [round(x, 6) for x in epoch.probabilities.tolist()]
    return {"time": epoch.time, "stage": epoch.stage, "probabilities": probabilities, "coverage": coverage}


def vectors():
    """{name: vector}, complete."""
    found = recipes()
    for vector in found.values():
        if "open" in vector:
            continue
        vector["tolerance"] = TOLERANCE
        with tempfile.TemporaryDirectory() as scratch:
            oracle = Oracle(vector, scratch)
            for step in vector["steps"]:
                oracle.fill(step)
    return found


def as_text(vector):
    """A vector as its file has it: a line per step."""
    head = {name: value for name, value in vector.items() if name != "steps"}
    text = json.dumps(head, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    if "steps" not in vector:
        return text + "\n"
    steps = (json.dumps(step, ensure_ascii=False, allow_nan=False, separators=(",", ":")) for step in vector["steps"])
    return f'{text[:-1]}, "steps": [\n' + ",\n".join(steps) + "\n]}\n"


def main():
    if "--vectors" not in sys.argv[1:]:
        from tests.vectors.tiny import BUNDLES, write_bundle

        for name in BUNDLES:
            shutil.rmtree(HERE / "bundles" / name, ignore_errors=True)
            write_bundle(HERE / "bundles" / name, name)
    found = vectors()
    for old in HERE.glob("*.json"):
        old.unlink()
    for name, vector in found.items():
        write_whole(HERE / f"{name}.json", as_text(vector))


if __name__ == "__main__":
    main()
