"""The folder of an import: whole or not at all, and nothing in it that the reader would refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserMistake
from pipeline.importers.request import ImportRequest
from pipeline.importers.writing import DeviceStage, ImportedNight, cleaned, new_data_set
from pipeline.origin import Origin
from pipeline.recordings import read_recording

T = np.arange(0, 3600, 5.0)


def night(name="2026-01-31", **changes):
    samples = {"heart_rate": (T, np.full(len(T), 60.0)), "motion": (T, np.tile([0.0, 0, 1], (len(T), 1)))}
    return ImportedNight(name, samples | changes.pop("samples", {}), **changes)


def test_every_part_of_a_night_is_read_back(tmp_path):
    request = ImportRequest(tmp_path, zone_text="UTC")
    labels = np.arange(120) * 30, np.full(120, 2)
    more = {
        "steps": (np.arange(0, 3600, 600.0), np.arange(6.0)),
        "activity": (np.arange(0, 3600, 15.0), np.arange(240) % 3.0),
    }
    with new_data_set(tmp_path / "out", request) as data:
        stages = [DeviceStage(0, 1800, "Light", "AsleepCore")]
        assert data.add(
            night(samples=more, labels=labels, device_stages=stages, wearer="7", extra_files={"a/b.csv": "x"})
        )
        assert not (tmp_path / "out").exists()
        data.finish(Origin("mine"))
    found = read_recording(tmp_path / "out", "2026-01-31")
    assert {*found.samples} == {"heart_rate", "motion", "steps", "activity"}
    assert not found.findings
    assert (found.labels[1] == 2).all()
    assert (tmp_path / "out" / "device_stages" / "2026-01-31.csv").read_text().splitlines()[
        1
    ] == "0,1800,Light,AsleepCore"
    assert (tmp_path / "out" / "a" / "b.csv").read_text() == "x"
    assert json.loads((tmp_path / "out" / "wearers.json").read_text()) == {"2026-01-31": "7"}
    assert not list(tmp_path.glob(".out*"))


def test_after_a_failure_there_is_nothing(tmp_path):
    with pytest.raises(KeyError), new_data_set(tmp_path / "out", ImportRequest(tmp_path)) as data:
        data.add(night())
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_impossible_and_unordered_values(tmp_path):
    bpm = np.full(len(T), 60.0)
    bpm[3], bpm[4] = 300, np.nan
    request = ImportRequest(tmp_path)
    with new_data_set(tmp_path / "out", request) as data:
        data.add(night(samples={"heart_rate": (T[::-1], bpm[::-1])}))
    rows = np.loadtxt(tmp_path / "out" / "heart_rate" / "2026-01-31_heartrate.txt", delimiter=",")
    assert len(rows) == len(T) - 2
    assert (np.diff(rows[:, 0]) > 0).all()
    assert request.summary() == ["left out: values outside 20 to 250 bpm (1): 2026-01-31: 2 of 720 of heart rate"]


def test_two_nights_of_one_id_and_too_little(tmp_path):
    request = ImportRequest(tmp_path)
    with new_data_set(tmp_path / "out", request) as data:
        assert data.add(night())
        assert not data.add(night())
        assert not data.add(ImportedNight("2026-02-01", {"steps": (T, T)}))
    assert "nights with the id of another night (1): 2026-01-31" in request.summary()[0]
    assert "less than 30 min of heart rate or movement (1): 2026-02-01: 0 min" in request.summary()[1]


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserMistake, match="exists and is not empty"), new_data_set(tmp_path, ImportRequest(tmp_path)):
        raise AssertionError


def test_sensors_without_values_are_absent():
    night = ImportedNight("1", {"heart_rate": (np.arange(9.0), np.full(9, 60)), "motion": (np.empty(0), np.empty(0))})
    assert [*cleaned(night, ImportRequest(Path()))] == ["heart_rate"]
