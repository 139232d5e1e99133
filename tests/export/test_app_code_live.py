"""App code against watch_sim.Watch on nights with everything that goes wrong on a wrist, stopped and restored at random
windows: stages, unknown ones among them, probabilities, coverage, dropped samples and findings.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.constants import UNKNOWN
from watch_sim import Watch

sys.path.insert(0, str(Path(__file__).parent / "apps"))
from driving import LANGUAGES, app_bundle, coverages, driver, dropped_words, epochs, feeding, text

START = 1.7e9 + 0.25
RESTARTS = 25
MINUTE, HOUR = 60, 3600  # s


@pytest.fixture(scope="module", params=LANGUAGES)
def drive(request, tmp_path_factory):
    return driver(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def bundle(quick_run, tmp_path_factory):
    """The GRU of the quick run with its app code."""
    return app_bundle(quick_run.folder, tmp_path_factory.mktemp("apps"))


def heart_rate(rng, begin, end):
    return [("heart_rate", float(t), rng.uniform(45, 75)) for t in np.arange(begin, end, 5) + rng.uniform(0, 4)]


def counts(rng, begin, end):
    return [("activity", float(t), rng.choice([0, 0, 12.5, 80])) for t in np.arange(begin + 15, end + 1, 15)]


def motion(rng, begin, end, g=1.0, restless=0.02, hz=4):
    """Motion of a wrist that moves now and then: `restless` of its minutes."""
    t = np.arange(begin, end, 1 / hz)
    moving = (rng.random(len(t) // (MINUTE * hz) + 1) < restless).repeat(MINUTE * hz)[: len(t), None]
    xyz = g * (np.array([0.1, -0.2, 0.97]) + moving * rng.normal(0, 0.2, (len(t), 3)))
    return [("motion", time, x) for time, x in zip(t.tolist(), xyz.tolist(), strict=True)]


def in_order(*streams):
    return sorted((event for stream in streams for event in stream), key=lambda event: event[1])


def wrist(rng, begin, end):
    return in_order(heart_rate(rng, begin, end), counts(rng, begin, end))


def gap(rng):
    return [*wrist(rng, 0, 20 * MINUTE), *wrist(rng, 10 * HOUR, 10 * HOUR + 10 * MINUTE)]


def duplicates(rng):
    fed = wrist(rng, 0, HOUR)
    for i in sorted(rng.choice(len(fed) - 5, len(fed) // 4), reverse=True):
        sensor, t, value = fed[i]
        fed.insert(i + int(rng.integers(1, 5)), (sensor, t, value + 1))
    return fed


def disorder(rng):
    """Some samples come before others, some a minute late, some from before the start; some are no good."""
    fed = wrist(rng, -MINUTE, HOUR)
    delays = rng.choice([0, 0, 0, 20, 70], len(fed))
    fed = [event for _, event in sorted(zip(delays, fed, strict=True), key=lambda pair: pair[0] + pair[1][1])]
    odd = [float("nan"), float("inf"), 0.0, -1.0, 1e6]
    return [(s, t, rng.choice(odd) if rng.random() < 0.1 else x) for s, t, x in fed] + [("steps", HOUR, 4.0)]


def batches(rng):
    """Each sensor delivers a minute at a time; motion is counted in order all the same."""
    streams = heart_rate(rng, 0, HOUR), motion(rng, 0, HOUR, restless=0.3)
    minutes = range(0, HOUR, MINUTE)
    return [event for m in minutes for stream in streams for event in stream if m <= event[1] < m + MINUTE]


def clock_jumps(rng):
    """Two hours ahead, half an hour back, then on."""
    first, last = wrist(rng, 0, 20 * MINUTE), wrist(rng, 2 * HOUR, 3 * HOUR)
    return [*first, *last, *wrist(rng, 2.5 * HOUR, 3.2 * HOUR)]


def metres_per_second_squared(rng):
    return in_order(heart_rate(rng, 0, 6 * MINUTE), motion(rng, 0, 20 * MINUTE, g=9.80665))


def counts_after_motion(rng):
    return in_order(motion(rng, 0, 20 * MINUTE, restless=0.4), counts(rng, 10 * MINUTE, 20 * MINUTE))


def beats_per_second(rng):
    fed = [(s, t, x / 60 if s == "heart_rate" else x) for s, t, x in wrist(rng, 0, 20 * MINUTE)]
    return [event for event in fed if event[0] == "heart_rate" or event[1] < 10 * MINUTE]


def nothing(_):
    return []


def table(rng):
    """Worn with heart rate, then taken off."""
    return in_order(heart_rate(rng, 0, 10 * MINUTE), motion(rng, 0, HOUR, restless=0, hz=2))


def table_without_heart_rate(_):
    return [("activity", float(t), 0.0) for t in range(15, 3 * HOUR, 15)]


# {night: (its events, its end in s from the start, words of its findings, whether motion is counted)}
NIGHTS = {
    "gap": (gap, 10 * HOUR + 10 * MINUTE, (), False),
    "duplicates": (duplicates, HOUR, (), False),
    "disorder": (disorder, HOUR, (), False),
    "batches": (batches, HOUR, (), True),
    "clock jumps": (clock_jumps, 3.2 * HOUR, (), False),
    "m/s²": (metres_per_second_squared, 20 * MINUTE, (r"motion: .* 9\.7\d*,.*divide by 9\.80665",), True),
    "counts after motion": (counts_after_motion, 20 * MINUTE, (), True),
    "beats per second": (beats_per_second, 20 * MINUTE, ("heart_rate: 12 of the 12.*beats per second",), False),
    "nothing": (nothing, 9 * HOUR, (), False),
    "table": (table, HOUR, (), True),
    "table without heart rate": (table_without_heart_rate, 3 * HOUR, (), False),
}
WITH_UNKNOWN = {*NIGHTS} - {"duplicates", "disorder", "batches"}
WITH_DROPPED = {
    "duplicates": {"heart_rate.repeated", "activity.repeated"},
    "disorder": {
        f"{sensor}.{reason}"
        for sensor in ("heart_rate", "activity")
        for reason in ("not_a_number", "out_of_range", "late")
    },
    "clock jumps": {"heart_rate.late", "activity.late"},
    "m/s²": {"motion.wrong_unit"},
    "beats per second": {"heart_rate.out_of_range"},
}


def watched(watch, fed, end):
    """Its epochs."""
    live = [epoch for sensor, t, value in fed for epoch in watch.feed(sensor, START + t, value)]
    return live + watch.advance(START + end)


@pytest.mark.parametrize("night", NIGHTS)
def test_a_night_is_as_the_watch_has_it(drive, bundle, night):
    make, end, words, counted = NIGHTS[night]
    rng = np.random.default_rng([*night.encode()])
    fed, watch = make(rng), Watch(bundle, "float32", START)
    expected = watched(watch, fed, end)
    script = feeding((sensor, START + t, value) for sensor, t, value in fed)
    for i in sorted(rng.integers(0, len(script) + 1, RESTARTS), reverse=True):
        script[i:i] = ["save", "create float32 -77 -", "restore"] + ["take -"] * int(rng.integers(2))
    script = [text("create", "float32", START, "-"), *script, text("take", START + end), "dropped", "findings"]
    *answers, dropped, findings = drive(bundle, script)
    taken = [answer for answer in answers if answer != "ok"]
    times, stages, p = epochs(taken)

    assert times == [epoch.time for epoch in expected]
    unknown = [epoch.stage == UNKNOWN for epoch in expected]
    assert [stage == UNKNOWN for stage in stages] == unknown
    assert any(unknown) == (night in WITH_UNKNOWN)
    assert coverages(taken) == [
        {sensor: (c.share, c.seconds_since) for sensor, c in epoch.coverage.sensors.items()} for epoch in expected
    ]
    assert sorted(dropped.split()) == sorted(dropped_words(watch.dropped))
    assert {word.split("=")[0] for word in dropped.split()} >= WITH_DROPPED.get(night, set())
    assert [finding.split(":")[0] for finding in watch.findings] == [word.split(":")[0] for word in words]
    assert len(findings.split("|")) == max(1, len(words))
    for word in words:
        assert re.search(word, findings)
    expected_p = np.stack([epoch.probabilities for epoch in expected])
    if counted:  # the activity call counts in float32, the watch in float64: a peak may fall into the next bin
        assert np.percentile(np.abs(p - expected_p), 99) < 1e-3
        assert np.mean([a == b.stage for a, b in zip(stages, expected, strict=True)]) >= 0.98
    else:
        np.testing.assert_array_equal(p, expected_p)
        assert stages == [epoch.stage for epoch in expected]


def test_a_time_in_milliseconds_is_hinted_at(drive, bundle):
    script = [text("create", "float32", START, "-"), text("feed", "heart_rate", 1000 * START, 60), "dropped"]
    _, answer, dropped = drive(bundle, script)
    assert answer.startswith("error t=") and "are these milliseconds?" in answer
    assert dropped == ""


def test_reset_forgets_what_was_dropped_and_found(drive, bundle):
    fed = feeding(beats_per_second(np.random.default_rng(0)))
    script = ["create float32 0 -", *fed, "findings", "dropped", "reset 0", "findings", "dropped"]
    *_, finding, dropped, _, finding_after, dropped_after = drive(bundle, script)
    assert "heart_rate" in finding and "heart_rate.out_of_range" in dropped
    assert (finding_after, dropped_after) == ("", "")
