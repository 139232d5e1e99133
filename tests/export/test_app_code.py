"""App code: the stages of watch_sim.Watch and the windows of pipeline.align, in each language that can be run here.

Windows and motion grids are seen through models that write down what they are given (apps/interpreters.py). Swift is
only read: see test_app_code_text.py.
"""

import hashlib
import json
import re
import shutil
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from export.app_code import write_apps
from export.contract import Contract
from pipeline.activity import HZ, ActivityCounter
from pipeline.align import CHANNELS_OF_SENSOR, Aligner, align
from pipeline.constants import CHANNELS, STAGES, UNKNOWN
from pipeline.coverage import CoverageTracker
from pipeline.options import Options
from pipeline.recordings import read_recording, subjects
from watch_sim import Watch
from watch_sim.stream import events

sys.path.insert(0, str(Path(__file__).parent / "apps"))
from driving import LANGUAGES, app_bundle, coverages, driver, dropped_words, epochs, feeding, text
from writing import trouble, writing_down, written

OPTIONS = Options()
GRIDS = ((1, 30, 30), (1, 60, 15), (15, 120, 60), (30, 90, 30))  # data_alignment, window_size, stride
UNIX = 1.7e9 + 0.25


@pytest.fixture(scope="module", params=LANGUAGES)
def drive(request, tmp_path_factory):
    return driver(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def bundle(quick_run, tmp_path_factory):
    """The GRU of the quick run with its app code."""
    return app_bundle(quick_run.folder, tmp_path_factory.mktemp("apps"))


def contract_of(folder):
    return json.loads((folder / "contract.json").read_text())


def aligned(options, channels, start, fed, end, counted=False):
    """What pipeline.align makes of events that come one by one: ({channel: [n, values]}, its Aligner)."""
    aligner = Aligner(options, channels, start, count_motion=counted)
    closed = []
    for sensor, t, value in fed:
        aligner.feed(sensor, t, value)
        closed.append(aligner.before(t)[1])
    closed.append(aligner.advance(end)[1])
    return {name: np.concatenate([windows[name] for windows in closed]) for name in channels}, aligner


@pytest.mark.parametrize("start", [0.0, -600.0, UNIX])
@pytest.mark.parametrize("grid", GRIDS)
def test_windows_are_those_of_the_pipeline(drive, grid, start, tmp_path):
    options = Options(data_alignment=grid[0], window_size=grid[1], stride=grid[2])
    folder, rng = writing_down(tmp_path, options, CHANNELS), np.random.default_rng([*grid, abs(int(start))])
    fed = trouble(rng, start, CHANNELS_OF_SENSOR)
    script = feeding(fed)
    for i in sorted(rng.choice(len(fed), 8), reverse=True):
        script.insert(i, "take -")
    script = [text("create", "int8", start, "-"), *script, text("take", start + 420), "dropped", "findings"]
    *answers, dropped, findings = drive(folder, script)
    assert {x for x in answers if " " not in x} <= {"ok", ""}
    actual, (expected, aligner) = written(folder, "step"), aligned(options, tuple(CHANNELS), start, fed, start + 420)
    assert sorted(dropped.split(" ")) == sorted(dropped_words(aligner.dropped))
    assert {"motion.repeated", "motion.late", "motion.out_of_range"} <= {word.split("=")[0] for word in dropped.split()}
    assert findings == ""
    assert len(expected["steps"]) == 420 // options.stride
    for name, windows in expected.items():
        np.testing.assert_array_equal(actual[name], windows, err_msg=name)
    taken = [x for x in answers if x != "ok"]
    times, stages, p = epochs(taken)
    assert times == [start + options.stride * k for k in range(len(expected["steps"]))]
    tracker = CoverageTracker(options, tuple(CHANNELS))
    coverage = [tracker.update({name: x[i] for name, x in expected.items()}) for i in range(len(times))]
    assert stages == [UNKNOWN if window.unknown else STAGES[4] for window in coverage]
    assert coverages(taken) == [
        {sensor: (c.share, c.seconds_since) for sensor, c in window.sensors.items()} for window in coverage
    ]
    remembered = [[0.5, 0.25, 0], *(p[:-1, :3].tolist())]  # output i of call n is n + i/10
    np.testing.assert_array_equal(actual["memory"], np.float32(remembered))


def pipeline_grid(monkeypatch, options, start, fed, end, axis):
    """Values [points] of one axis on the 50 Hz grid, as the pipeline's activity counter has them; NaN is missing."""
    values, own = np.full(int(HZ * (end - start)) + HZ, np.nan), ActivityCounter._filter

    def noting(counter, x):
        values[counter.next : counter.next + len(x)] = x
        return own(counter, x)

    with monkeypatch.context() as patched:
        patched.setattr(ActivityCounter, "_filter", noting)
        turned = [(sensor, t, np.roll(x, 2 - axis) if sensor == "motion" else x) for sensor, t, x in fed]
        aligned(options, ("activity",), start, turned, end, counted=True)
    return values[: int(HZ * (end - start))]


@pytest.mark.parametrize(("seed", "start"), [(1, 0.0), (2, -600.0), (3, UNIX)])
def test_motion_is_laid_on_the_grid_of_the_pipeline(drive, seed, start, tmp_path, monkeypatch):
    options = Options(window_size=60)
    folder, rng = writing_down(tmp_path, options, ("heart_rate", "activity"), counted=True), np.random.default_rng(seed)
    fed, end = trouble(rng, start, ("heart_rate", "motion")), start + 420
    drive(folder, [text("create", "int8", start, "-"), *feeding(fed), text("take", end)])
    motion = written(folder, "activity")["motion"].reshape(-1, HZ * 30, 3)
    for axis in range(3):
        values = pipeline_grid(monkeypatch, options, start, fed, end, axis)
        assert 0.05 < np.isnan(values).mean() < 0.6
        expected = np.where(np.isnan(values), -100, values).astype(np.float32).reshape(-1, HZ * 30)
        np.testing.assert_array_equal(motion[:, :, axis], expected)
    counts = written(folder, "step")["activity"]  # of call n: n and n + 0.1
    numbers = np.arange(len(counts))
    expected = np.stack([numbers, numbers + 0.1, numbers + 1, numbers + 1.1], 1).astype(np.float32)
    expected[0, :2] = -1
    np.testing.assert_array_equal(counts, expected)


def test_no_motion_is_counted_before_there_is_any_or_once_counts_are_fed(drive, tmp_path):
    folder = writing_down(tmp_path, OPTIONS, ("activity",), counted=True)
    before, after = ([("motion", t, [0, 0, 1]) for t in np.arange(*x, 0.02)] for x in ((60, 150), (150.2, 170)))
    restart = ["save", "create int8 0 -", "restore"]
    script = ["create int8 0 -", "take 60", *feeding([*before, ("activity", 150.05, 7)]), *restart, *feeding(after)]
    drive(folder, [*script, "take 180"])
    assert len(written(folder, "activity")["motion"]) == 2  # 60 to 90, 90 to 120; the next was open at 150.05
    expected = [[-1, -1], [-1, -1], [1, 1.1], [2, 2.1], [-1, 7], [-1, -1]]
    np.testing.assert_array_equal(written(folder, "step")["activity"], np.float32(expected))


def steps(windows, channels):
    """Lines that step through golden windows."""
    return ["step " + " ".join(f"{c}={','.join(map(str, w[c]))}" for c in channels) for w in windows]


def test_the_golden_night_replays(drive, bundle):
    contract, windows = contract_of(bundle), json.loads((bundle / "golden.json").read_text())["windows"]
    script = steps(windows, [channel["name"] for channel in contract["channels"]])
    expected = np.array([window["stage_probabilities"] for window in windows])
    for precision, plan in contract["precisions"].items():
        _, *answers = drive(bundle, [f"create {precision} 0 -", *script])
        apart = np.abs(np.array([answer.split(" ") for answer in answers], float) - expected)
        assert np.percentile(apart, 99) <= plan["tolerance"]["p99_abs_dp"], precision


@pytest.fixture(scope="module")
def night(real):
    """A real night with counts as (events, its end)."""
    recording = read_recording(real, subjects(real)[0])
    end = align(recording, OPTIONS).ends[-1]
    each = [(s, t, x) for s, (ts, xs) in recording.samples.items() for t, x in zip(ts, xs, strict=True)]
    return sorted((event for event in each if event[1] < end + 0.1), key=lambda event: event[1]), end


@pytest.fixture(scope="module")
def watched(bundle, night):
    """What the Watch says of that night at the balanced point: (times, stages, probabilities)."""
    watch, (fed, end) = Watch(bundle, "float32", counts=True, operating_point="balanced"), night
    watch_epochs = [epoch for event in fed for epoch in watch.feed(*event)] + watch.advance(end)
    return (
        [e.time for e in watch_epochs],
        [e.stage for e in watch_epochs],
        np.stack([e.probabilities for e in watch_epochs]),
    )


def assert_same(actual, expected):
    assert actual[:2] == expected[:2]
    np.testing.assert_array_equal(actual[2], expected[2])


def test_a_night_has_the_stages_of_the_watch(drive, bundle, night, watched):
    fed, end = night
    script = ["create float32 0 balanced", *feeding(fed), text("take", end)]
    assert_same(epochs(x for x in drive(bundle, script) if x != "ok"), watched)


def test_saved_and_restored_is_as_never_stopped(drive, bundle, night, watched):
    (fed, end), rng = night, np.random.default_rng(0)
    script = feeding(fed)
    for i in sorted(rng.choice(len(fed), 12), reverse=True):  # windows closed and not taken survive too
        script[i:i] = ["save", "create float32 -77 balanced", "restore"] + ["take -"] * int(rng.integers(2))
    actual = drive(bundle, ["create float32 0 balanced", *script, text("take", end)])
    assert_same(epochs(x for x in actual if x != "ok"), watched)


def test_motion_under_way_survives_too(drive, tmp_path):
    rng, logs = np.random.default_rng(4), []
    fed = feeding(trouble(rng, 0.0, ("heart_rate", "motion")))
    stops = sorted(rng.choice(len(fed), 12), reverse=True)
    for name, restarts in (("never", []), ("often", stops)):
        (tmp_path / name).mkdir()
        folder = writing_down(tmp_path / name, Options(window_size=60), ("heart_rate", "activity"), counted=True)
        script = fed.copy()
        for i in restarts:
            script[i:i] = ["save", "create int8 0 -", "restore"]
        drive(folder, ["create int8 0 -", *script, "take 420"])
        logs.append((written(folder, "activity")["motion"], written(folder, "step")["heart_rate"]))
    for expected, actual in zip(*logs, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_raw_motion_gives_the_stages_that_the_watch_counts_from_it(drive, bundle, synthetic):
    recording = read_recording(synthetic, "1004")
    fed, end = list(events(recording, OPTIONS)), align(recording, OPTIONS).ends[-1]
    watch = Watch(bundle, "float32")
    expected = [epoch for event in fed for epoch in watch.feed(*event)] + watch.advance(end)
    each = [
        (s, t, x)
        for s, ts, xs in fed
        for t, x in zip(np.atleast_1d(ts), np.reshape(xs, (np.size(ts), -1)), strict=True)
    ]
    each.sort(key=lambda event: event[1])
    script = feeding(each)
    for i in (20_000, 9_000):  # in the middle of a stride
        script[i:i] = ["save", "create float32 0 -", "restore"]
    _, stages, p = epochs(x for x in drive(bundle, ["create float32 0 -", *script, text("take", end)]) if x != "ok")
    assert np.mean([a == b.stage for a, b in zip(stages, expected, strict=True)]) >= 0.995
    assert np.percentile(np.abs(p - np.stack([e.probabilities for e in expected])), 99) < 1e-3


def test_what_is_refused_changes_nothing(drive, bundle, night, watched):
    fed, end = night
    odd = {
        "create int4 0 -": "error precision.*int4",
        "create float32 0 brisk": "error operating point.*brisk.*balanced",
        "feed spo2 400 97": "error sensor.*spo2.*heart_rate",
        "feed motion 400 0": "error motion: 1 values",
        "feed heart_rate 1.7e9 60": "error t=.*night",
        "take 1.7e9": "error t=.*night",
        "feed heart_rate NaN 60": "ok",
        "feed heart_rate -1.0e18 60": "ok",
        "cut": "ok",
        "restore": "error not a state that this model saved",
        "take -1.0e18": "",
    }
    middle = len(fed) // 2
    script = ["create float32 0 balanced", *feeding(fed[:middle]), "save", *odd, *feeding(fed[middle:])]
    answers = drive(bundle, [*script, text("take", end)])
    for answer, (line, expected) in zip(answers[middle + 2 :], odd.items(), strict=False):
        assert re.match(expected, answer) if expected else answer != "ok", (line, answer)
    assert_same(epochs(x for x in answers if x != "ok" and not x.startswith("error")), watched)


def test_the_state_of_another_precision_and_an_altered_file_are_refused(drive, bundle, tmp_path):
    folder = Path(shutil.copytree(bundle, tmp_path / "gru"))
    contract = contract_of(folder)
    contract["precisions"]["int8"] = json.loads(json.dumps(contract["precisions"]["float32"]))
    call = contract["precisions"]["int8"]["calls"][1]
    shutil.copy(folder / call["file"], folder / "other.tflite")
    with (folder / "other.tflite").open("ab") as file:
        file.write(b"    ")
    call |= {"file": "other.tflite", "sha256": hashlib.sha256((folder / "other.tflite").read_bytes()).hexdigest()}
    write_apps(folder, Contract.model_validate(contract))
    answers = drive(folder, ["create float32 0 -", "save", "create int8 0 -", "restore"])
    assert answers[:3] == ["ok"] * 3
    assert answers[3].startswith("error not a state that this model saved")
    (folder / "other.tflite").write_bytes(b"x" + (folder / "other.tflite").read_bytes()[1:])
    (answer,) = drive(folder, ["create int8 0 -"])
    assert answer == "error other.tflite: not the file that the contract describes"


def segments(answer):
    """[(start, end, name, value)] of an answer."""
    each = [words.split(" ") for words in answer.split("|")]
    return [(datetime.fromisoformat(a), datetime.fromisoformat(b), name, int(value)) for a, b, name, value in each]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "+05:30", "America/St_Johns"])
@pytest.mark.parametrize(("platform", "field"), [("healthkit", "healthkit"), ("health_connect", "health_connect")])
def test_segments_are_merged_runs_in_the_zone(drive, bundle, night, watched, zone, platform, field):
    (fed, end), origin = night, datetime.fromisoformat("2026-10-24T23:50:00.250+02:00").timestamp()  # clocks go back
    script = ["create float32 0 balanced", *feeding(fed), text("take", end), f"segments {zone} {platform} {origin!r}"]
    found = segments(drive(bundle, script)[-1])
    codes = {stage["name"]: stage[field] for stage in contract_of(bundle)["stages"]}
    names = {2: "awake", 3: "asleepCore", 4: "asleepDeep", 5: "asleepREM"}
    names = names if platform == "healthkit" else {1: "AWAKE", 4: "LIGHT", 5: "DEEP", 6: "REM"}
    told = [value for start, end, _, value in found for _ in range(round((end - start).total_seconds() / 30))]
    assert told == [codes[stage] for stage in watched[1]]
    assert [name for *_, name, _ in found] == [names[value] for *_, value in found]
    assert all(a[1] == b[0] and a[3] != b[3] for a, b in pairwise(found))
    assert found[0][0].timestamp() == origin
    tz = None if zone.startswith("+") else ZoneInfo(zone)
    for moment in [x for run in found for x in run[:2]]:
        assert moment.utcoffset() == (moment.astimezone(tz).utcoffset() if tz else found[0][0].utcoffset())
    assert (zone == "Europe/Berlin") == (found[0][0].utcoffset() != found[-1][1].utcoffset())


def test_segments_leave_gaps_and_do_not_overlap(drive, tmp_path):
    folder = writing_down(tmp_path, OPTIONS, ("heart_rate",))
    nights = [(0, 60), (120, 180), (150, 210)]  # a gap of a minute, then epochs told twice
    script = ["create int8 0 -"]
    for start, end in nights:
        script += [f"reset {start}", *(f"feed heart_rate {t} 60" for t in range(start, end, 30)), f"take {end}"]
    found = segments(drive(folder, [*script, "segments +00:00 health_connect 0"])[-1])
    assert [(a.timestamp(), b.timestamp()) for a, b, *_ in found] == [(0, 60), (120, 210)]


def test_segments_leave_unknown_stages_out(drive, tmp_path):
    folder = writing_down(tmp_path, OPTIONS, ("heart_rate",))
    script = ["create int8 0 -", *(f"feed heart_rate {t} 60" for t in (45, 635)), "take 660"]
    *_, taken, answer = drive(folder, [*script, "segments +00:00 health_connect 0"])
    stages = epochs([taken])[1]
    assert stages == [UNKNOWN] + [STAGES[4]] * 10 + [UNKNOWN] * 10 + [STAGES[4]]
    assert [(a.timestamp(), b.timestamp()) for a, b, *_ in segments(answer)] == [(30, 330), (630, 660)]
