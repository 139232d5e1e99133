"""Warnings of heart rate that comes too seldom: from a model's own figures, or without any."""

import numpy as np
import pytest

from export.cadence import Cadence, Cell, Lost
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.recordings import Recording
from watch_sim.cadence import cadence_notes, heart_rate_cadence, movement_notes

KAPPAS = {"counts only": (0.5, 0.49, 0.4, 0.3), "none": (0.45, 0.4, 0.35, 0.2)}
FIGURES = Cadence(
    cells=[
        Cell(seconds=seconds, movement=movement, kappa=KAPPAS[movement][i])
        for i, seconds in enumerate((5, 15, 60, 300))
        for movement in KAPPAS
    ],
    lost=[Lost(share=0.1, kappa=0.46), Lost(share=0.3, kappa=0.41)],
)
OPTIONS = Options(channels=("heart_rate", "activity"))


def night(t, counts=True):
    t = np.asarray(t, float)
    samples = {"heart_rate": (t, np.full(len(t), 60.0))}
    if counts:
        samples["activity"] = np.arange(15.0, 28801, 15), np.zeros(1920)
    return Recording("1", samples)


def every(seconds):
    return np.arange(0, 28801, seconds)


def notes(recording, cadence=FIGURES):
    return cadence_notes(recording, OPTIONS, cadence)


@pytest.mark.parametrize(
    ("seconds", "counts", "kappa"),
    [(5, True, None), (15, True, None), (20, True, 0.4), (60, True, 0.4), (70, True, 0.4), (90, True, 0.3),
     (5, False, 0.45), (300, False, 0.2)],
)  # fmt: skip
def test_the_figure_is_of_the_next_rarer_cadence_and_of_the_nights_movement(seconds, counts, kappa):
    lines = notes(night(every(seconds), counts))
    assert len(lines) == (kappa is not None)
    if kappa:
        assert lines[0].startswith(
            f"warning: heart rate every {seconds} s (median){'' if counts else ', movement: none'}: in stress tests, "
        )
        assert "from 0.50 (heart rate every 5 s, movement: counts only)" in lines[0]
        assert f"to {kappa:.2f} (heart rate" in lines[0]


def test_rarer_than_ever_tested_is_that_or_less():
    assert "to 0.30 or less (heart rate every 300 s" in notes(night(every(590)))[0]


def test_a_burst_counts_for_as_long_as_it_lasts():
    t = np.concatenate([np.arange(0, 3600), np.arange(3600, 28801, 300)])
    assert heart_rate_cadence(night(t), OPTIONS) == (300, 1)


def test_gaps_are_lost_time_rather_than_a_cadence():
    t = every(5)
    with_gap = night(t[(t < 7200) | (t > 14400)])
    seconds, share = heart_rate_cadence(with_gap, OPTIONS)
    assert seconds == 5 and share == pytest.approx(0.75, abs=0.01)
    (line,) = notes(with_gap)
    fall = "in stress tests, five-stage κ fell to 0.41 with 30% missing"
    assert line == f"warning: no heart rate for 25% of the night: {fall}"
    assert notes(with_gap, Cadence()) == ["warning: no heart rate for 25% of the night"]
    late = night(t[t > 14400])
    assert heart_rate_cadence(late, OPTIONS)[1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("seconds", "lines"), [(5, 0), (30, 0), (60, 1)])
def test_without_figures_there_are_none(seconds, lines):
    found = notes(night(every(seconds)), Cadence())
    assert len(found) == lines and all("was not measured for this bundle" in line for line in found)


def test_a_single_value_and_none_are_no_fault():
    assert heart_rate_cadence(night([100]), OPTIONS)[0] == 28800
    assert notes(Recording("1", {"activity": (np.array([15.0]), np.zeros(1))})) == []


def test_figures_go_through_the_bundle(tmp_path):
    FIGURES.write(tmp_path)
    assert Cadence.read(tmp_path) == FIGURES
    Cadence().write(tmp_path)
    assert not [*tmp_path.iterdir()] and Cadence.read(tmp_path) == Cadence()
    (tmp_path / "cadence.json").write_text('{"cells": [{"seconds": "5"}]}')
    with pytest.raises(UserMistake, match=r"cadence\.json: cells\.0\.seconds: Input should be a valid integer"):
        Cadence.read(tmp_path)


def test_they_are_those_of_the_stress_test():
    row = {"stress": "30% in holes", "kind": "heart rate lost", "strength": 30, "views": {"5": {"kappa": 0.41}}}
    cells = [{"heart_rate": "every 5 min", "movement": "none", "kappa": 0.2, "kappa_change": -0.3}]
    cells += [{"heart_rate": "every 60 s", "movement": "none", "kappa": None, "kappa_change": None}]
    found = Cadence.of({"cadence": cells, "stresses": [row, row | {"kind": "white noise"}]})
    assert found == Cadence(cells=[Cell(seconds=300, movement="none", kappa=0.2)], lost=[Lost(share=0.3, kappa=0.41)])


def test_times_in_minutes_are_doubted():
    first, *_ = notes(night(np.arange(0, 480, 5 / 60)))
    assert first == "warning: heart rate every 0.083 s (median): are the times in seconds?"


def movement(**samples):
    recording = night(every(5), counts=False)
    recording.samples |= samples
    return movement_notes(recording, OPTIONS)


def test_movement_that_stops_is_told():
    counts = np.arange(15.0, 14401, 15)
    assert movement(activity=(counts, counts % 7)) == ["warning: no movement data for 50% of the night"]
    assert movement(activity=(2 * counts, counts % 7)) == movement() == []


def test_motion_that_is_too_seldom_for_counts_is_told():
    def at(hz):
        t = np.arange(0, 28801, 1 / hz)
        return movement(motion=(t, np.ones((len(t), 3))))

    assert at(10) == []
    assert at(5) == ["warning: motion every 0.2 s (median): activity counts need 10 to 100 samples a second"]
