"""apps/javascript in Chromium, by LiteRT.js: a night fed live says what the watch simulator says."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipeline.activity import ActivityCounter
from pipeline.align import extent
from pipeline.constants import GRACE_S, STAGES, UNKNOWN
from pipeline.options import Options
from pipeline.recordings import Recording, read_recording, subjects
from watch_sim.stream import stream
from watch_sim.watch import Watch

pytestmark = pytest.mark.runtimes

BASE = "/bundles/gru/"
HOURS = 3
OPTIONS = Options()


@pytest.fixture(scope="module")
def recording(nights):
    """The first hours of a synthetic night, unlabelled."""
    whole = read_recording(nights, subjects(nights)[1], want_labels=False)
    samples = {name: (t[t < 3600 * HOURS], x[t < 3600 * HOURS]) for name, (t, x) in whole.samples.items()}
    return Recording(whole.subject, samples)


@pytest.fixture(scope="module")
def counted(recording):
    """The same, from a phone that has activity counts."""
    t, xyz = recording.samples["motion"]
    t, counts = ActivityCounter().feed(t[t >= 0], xyz[t >= 0, 2])
    return Recording(recording.subject, recording.samples | {"activity": (t, counts[:, None])})


def written(recording, path):
    """Every sample of a recording on its own, in time order, [[sensor, t, value], ...]; their number."""
    each = [
        (t, sensor, x.tolist() if sensor == "motion" else float(x.item()))
        for sensor, (ts, xs) in recording.samples.items()
        for t, x in zip(ts.tolist(), xs, strict=True)
    ]
    each.sort(key=lambda sample: sample[0])
    path.write_text(json.dumps([[sensor, t, x] for t, sensor, x in each]))
    return len(each)


def live(replay_page, recording, options, cut=None):
    """Epochs that sleep-stager.js gives."""
    page, given = replay_page
    number = written(recording, given / "events.json")
    arguments = [BASE, options, "/given/events.json", extent(recording, OPTIONS)[1], cut and round(cut * number)]
    done = page.evaluate("(a) => live(...a)", arguments)
    assert (done["saved"] > 1000) == (cut is not None)
    return done["epochs"]


def watched(bundles, recording, precision, operating_point=None):
    """Epochs that the watch simulator gives."""
    start, counts = extent(recording, OPTIONS)[0], "activity" in recording.samples
    watch = Watch(bundles / "gru", precision, start, counts, operating_point)
    return [epoch for epochs in stream(recording, OPTIONS, watch) for epoch in epochs]


def coverages(epochs):
    """[{sensor: (share, seconds since or None)}] of epochs of sleep-stager.js."""
    return [{name: (c["share"], c["secondsSince"]) for name, c in epoch["coverage"].items()} for epoch in epochs]


def compared(actual, expected):
    """(share of epochs with the same stage, [epochs, 5] differences of probabilities)"""
    assert [epoch["time"] for epoch in actual] == [epoch.time for epoch in expected]
    assert len(expected) == HOURS * 120
    assert coverages(actual) == [
        {sensor: (c.share, c.seconds_since) for sensor, c in epoch.coverage.sensors.items()} for epoch in expected
    ]
    assert [epoch["stage"] == UNKNOWN for epoch in actual] == [epoch.stage == UNKNOWN for epoch in expected]
    same = np.mean([a["stage"] == b.stage for a, b in zip(actual, expected, strict=True)])
    return same, np.array([a["probabilities"] for a in actual]) - np.stack([b.probabilities for b in expected])


def test_with_counts_it_says_what_the_watch_says(replay_page, bundles, counted):
    same, apart = compared(live(replay_page, counted, {"precision": "float32"}), watched(bundles, counted, "float32"))
    assert np.abs(apart).max() < 1e-5
    assert same == 1


def test_from_raw_motion_it_says_what_the_watch_says(replay_page, bundles, recording):
    """The activity call counts in float32 and the watch simulator in float64: a peak may fall into the next bin."""
    actual = live(replay_page, recording, {"precision": "float32"})
    same, apart = compared(actual, watched(bundles, recording, "float32"))
    assert same >= 0.995
    assert np.percentile(np.abs(apart), 99) < 0.01


def test_int8_and_an_operating_point(replay_page, bundles, counted):
    actual = live(replay_page, counted, {"precision": "int8", "operatingPoint": "balanced"})
    same, apart = compared(actual, watched(bundles, counted, "int8", "balanced"))
    plain, _ = compared(actual, watched(bundles, counted, "int8"))
    assert same >= 0.985
    assert plain < same
    assert np.percentile(np.abs(apart), 99) < 0.1


@pytest.mark.parametrize("cut", [0.4, 0.7777])
def test_a_night_goes_on_with_what_was_saved(replay_page, recording, cut):
    options = {"precision": "float32"}
    assert live(replay_page, recording, options, cut) == live(replay_page, recording, options)


def test_what_another_model_saved_is_refused(replay_page):
    page, _ = replay_page
    assert "another model" in page.evaluate("(base) => refused(base, 'int8', 'float32')", BASE)
    assert page.evaluate("(base) => refused(base, 'int8', 'int8')", BASE) is None


def test_what_is_late_or_impossible_is_missing(replay_page, bundles):
    """Samples in disorder and out of range, and bins that end about the grace after a window: as in the watch."""
    rng, (page, given) = np.random.default_rng(1), replay_page
    fed = []
    for t in np.sort(rng.uniform(0, 1800, 1500)):
        fed.append(("heart_rate", t + rng.choice([0, 0, 0, -1, -40]), rng.choice([50, 60, 19.9, 250.1, 1e300])))
        if rng.random() < 0.2:
            ends = 30 * np.floor(t / 30) + rng.choice([0, 0.05, 0.1, 0.1001, 15.1, 29.9])
            fed.append(("activity", ends, rng.choice([0, 30.7, -1])))
    (given / "events.json").write_text(json.dumps(fed))
    watch = Watch(bundles / "gru", "float32", 0, counts=True)
    expected = [epoch for event in fed for epoch in watch.feed(*event)] + list(watch.advance(1800))
    actual = page.evaluate("(b) => live(b, {precision: 'float32'}, '/given/events.json', 1800)", BASE)["epochs"]
    assert [epoch["time"] for epoch in actual] == [epoch.time for epoch in expected] == list(range(0, 1800, 30))
    np.testing.assert_allclose([e["probabilities"] for e in actual], [e.probabilities for e in expected], atol=1e-5)


def test_a_window_closes_by_its_grace(replay_page):
    """A bin that ends with the window may come late by the grace; what comes later than that closes the window."""
    page, given = replay_page
    for t, closed in ((30 + 0.9 * GRACE_S, 0), (30 + 1.1 * GRACE_S, 1)):
        (given / "events.json").write_text(json.dumps([["heart_rate", 1, 60], ["heart_rate", t, 60]]))
        done = page.evaluate("(base) => live(base, {precision: 'int8'}, '/given/events.json', 29)", BASE)
        assert [epoch["time"] for epoch in done["epochs"]] == [0] * closed


@pytest.mark.parametrize("platform", ["healthkit", "health_connect"])
def test_segments_over_the_end_of_summer_time(replay_page, bundles, platform):
    """Runs of equal code, one after the other, whose instants are right and whose offset is the zone's at the time."""
    page, _ = replay_page
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, 1, 0, tzinfo=zone).timestamp()  # two hours before the clock goes back
    stages = np.random.default_rng(0).choice(STAGES, 480).astype(object)
    stages[200:260] = "N1"
    stages[230:250] = "N2"  # N1 and N2 share a code
    stages[320:330] = UNKNOWN
    epochs = [{"time": start + 30 * i, "stage": str(stage)} for i, stage in enumerate(stages)]
    del epochs[300:310]  # ten epochs without a stage
    options = {"zone": "Europe/Berlin", "platform": platform}
    actual = page.evaluate("(a) => segments(...a)", [epochs, options])
    epochs = [epoch for epoch in epochs if epoch["stage"] != UNKNOWN]

    contract = json.loads((bundles / "gru" / "contract.json").read_text())
    codes = {stage["name"]: stage[platform] for stage in contract["stages"]}
    parsed = [(datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"]), s["value"]) for s in actual]
    spread = [
        (begin.timestamp() + 30 * i, value)
        for begin, end, value in parsed
        for i in range(round((end - begin) / timedelta(seconds=30)))
    ]
    assert spread == [(epoch["time"], codes[epoch["stage"]]) for epoch in epochs]
    for (_, end, value), (begin, _, other) in pairwise(parsed):
        assert end < begin or (end == begin and value != other)
    for instant in (instant for begin, end, _ in parsed for instant in (begin, end)):
        assert instant.utcoffset() == datetime.fromtimestamp(instant.timestamp(), zone).utcoffset()
    assert {begin.utcoffset() for begin, _, _ in parsed} == {timedelta(hours=1), timedelta(hours=2)}


def test_segments_with_an_offset(replay_page):
    page, _ = replay_page
    actual = page.evaluate("(a) => segments(...a)", [[{"time": 0, "stage": "REM"}], {"zone": "-03:30"}])
    assert [(s["start"], s["end"], s["value"]) for s in actual] == [
        ("1969-12-31T20:30:00-03:30", "1969-12-31T20:30:30-03:30", 5)
    ]
