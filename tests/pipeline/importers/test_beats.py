"""Heart rate from beats: as often as a watch tells it, without what cannot be."""

import numpy as np

from pipeline.importers.beats import heart_rate_of


def test_a_mean_every_5_s_at_its_end():
    t, bpm = heart_rate_of(np.arange(0, 60, 0.8))
    assert np.array_equal(t, np.arange(5, 65, 5))
    assert np.allclose(bpm, 75)


def test_missed_beats_and_artefacts_are_no_intervals():
    beats = np.delete(np.arange(0, 60, 0.8), slice(20, 30))  # 8 s without a beat
    beats = np.sort(np.append(beats, 40.05))  # and one too many
    t, bpm = heart_rate_of(beats)
    assert (bpm < 250).all()
    assert 25 not in t


def test_too_few_beats_give_nothing():
    assert len(heart_rate_of(np.array([1.0, 2.0]))[0]) == 0
    assert len(heart_rate_of(np.array([]))[0]) == 0
