"""Nights that are there twice: cut, shifted, or in part; and nights that only look alike."""

import numpy as np
import pytest

from pipeline.recordings import Recording
from pipeline.repeats import Repeats, fingerprint


def recording(seed, hours=4):
    rng, n = np.random.default_rng(seed), int(hours * 720)
    heart_rate = 60 + np.round(rng.normal(0, 1, n).cumsum() * 0.2 + rng.normal(0, 1, n))
    counts = np.where(rng.random(hours * 240) < 0.2, np.round(rng.exponential(40, hours * 240)), 0.0)
    motion = rng.normal((0, 0, 1), 0.01, (hours * 7200, 3))
    return Recording(
        "1",
        {
            "heart_rate": (np.arange(n) * 5.0, heart_rate),
            "activity": (np.arange(len(counts)) * 15.0, counts),
            "motion": (np.arange(len(motion)) * 0.5, motion),
        },
    )


def part(whole, begin=0.0, end=1.0, shift=0.0, sensors=("heart_rate", "activity", "motion")):
    """A stretch of a recording, at other times, with some of its sensors."""
    samples = {}
    for sensor in sensors:
        t, values = whole.samples[sensor]
        kept = slice(int(begin * len(t)), int(end * len(t)))
        samples[sensor] = t[kept] + shift, values[kept]
    return Recording("2", samples)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"begin": 0.05, "end": 0.9},
        {"shift": 1234.5},
        {"end": 0.3},
        {"sensors": ["heart_rate"]},
        {"sensors": ["activity"]},
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_night_under_two_ids_is_found(how, first):
    whole, again, repeats = fingerprint(recording(1)), fingerprint(part(recording(1), **how)), Repeats()
    assert repeats.finding("0", fingerprint(recording(2))) is None
    assert repeats.finding("1", whole if first else again) is None
    finding = repeats.finding("2", again if first else whole)
    assert finding.file == "night 2" and "night 1" in finding.what and finding.done == "night skipped"


def test_other_nights_are_others():
    repeats = Repeats()
    assert not any(repeats.finding(str(seed), fingerprint(recording(seed, 2))) for seed in range(20))


def test_nights_in_which_nothing_happens_are_not_taken_for_one():
    repeats, t = Repeats(), np.arange(0, 7200, 5.0)
    still = Recording("1", {"heart_rate": (t, np.full(len(t), 60.0)), "activity": (t, np.zeros(len(t)))})
    assert len(fingerprint(still)) == 0
    assert not any(repeats.finding(name, fingerprint(still)) for name in "12")


def test_a_recording_of_a_few_samples_has_no_stretch():
    few = Recording("1", {"heart_rate": (np.arange(5.0), np.arange(5.0)), "steps": (np.arange(99.0), np.arange(99.0))})
    assert len(fingerprint(few)) == 0
