"""Several data sets: whose night is whose, by set and by person; mistakes name the folder at fault."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.data_sets import (
    DataSets,
    data_as_json,
    data_from_json,
    data_of,
    identities,
    located,
    people,
    sets_of,
)
from pipeline.errors import UserMistake
from pipeline.nights import load_night, load_nights
from pipeline.options import Options
from pipeline.recordings import paths, read_recording, subjects
from scoring.predictions import walch_valid

HOUR = 3600


def write_night(folder, subject, bpm=60, sensors=("heart_rate", "counts"), labels=True):
    """An hour of heart rate and counts, all of it scored."""
    lines = {
        "heart_rate": (f"heart_rate/{subject}_heartrate.txt", [f"{t},{bpm}" for t in range(0, HOUR, 5)]),
        "counts": (f"counts/{subject}_counts.txt", [f"{t},{t % 7}" for t in range(0, HOUR, 15)]),
        "labels": (f"labels/{subject}_labeled_sleep.txt", [f"{t} {t // 30 % 2}" for t in range(0, HOUR, 30)]),
    }
    for name in (*sensors, *(["labels"] if labels else [])):
        path = folder / lines[name][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines[name][1]) + "\n")


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Sets A (1, 2, 10) and b.2 (1, x_1), below folders of other names."""
    monkeypatch.setattr("pipeline.nights.CACHE", tmp_path / "cache")
    for i, subject in enumerate(("1", "2", "10")):
        write_night(tmp_path / "one" / "A", subject, bpm=60 + i)
    for i, subject in enumerate(("1", "x_1")):
        write_night(tmp_path / "two" / "b.2", subject, bpm=80 + i, sensors=("counts",))
    return data_of(f"{tmp_path / 'two' / 'b.2'}, {tmp_path / 'one' / 'A'}")


def test_nights_are_told_apart_by_set_and_found_again(sets, tmp_path):
    assert subjects(sets) == ["A.1", "A.2", "A.10", "b.2.1", "b.2.x_1"]
    assert located(sets, "b.2.x_1") == (tmp_path / "two" / "b.2", "x_1")
    assert paths(sets, "A.1") == paths(tmp_path / "one" / "A", "1")
    assert sets_of(sets, ["A.1", "b.2.1"]) == {"A.1": "A", "b.2.1": "b.2"}
    assert read_recording(sets, "b.2.1").subject == "b.2.1"
    with pytest.raises(UserMistake, match=r"no recording of c\.1; its name must begin with A or b\.2"):
        located(sets, "c.1")


def test_the_order_in_which_sets_are_named_makes_no_difference(sets, tmp_path):
    other = data_of(f"{tmp_path / 'one' / 'A'},{tmp_path / 'two' / 'b.2'}")
    assert (other, str(other), other.name) == (sets, str(sets), "A+b.2")
    assert subjects(other) == subjects(sets)
    assert pickle.loads(pickle.dumps(sets)) == sets
    assert data_from_json(json.loads(json.dumps(data_as_json(sets)))) == sets


def test_nights_of_sets_are_those_of_their_folders(sets, tmp_path):
    nights, _ = load_nights(sets, Options())
    assert [night.subject for night in nights] == subjects(sets)
    alone, _ = load_nights(tmp_path / "two" / "b.2", Options())
    assert [night.subject for night in alone] == ["1", "x_1"]
    for one, other in zip(nights[3:], alone, strict=True):
        assert np.array_equal(one.channels["activity"], other.channels["activity"])
        assert np.array_equal(one.stages, other.stages)
    assert len([*(tmp_path / "cache").iterdir()]) == 5  # shared
    assert load_night(sets, "A.10", Options())[0].subject == "A.10"
    some, _ = load_nights(sets, Options(), ["b.2.1"])
    assert [night.subject for night in some] == ["b.2.1"]


@pytest.mark.parametrize("text", ["A", "A,", " A , A B ", "A,B"])
def test_a_single_folder_is_a_path(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    for name in ("A", "A B", "A,B"):  # a comma in a folder's name does no harm
        Path(name).mkdir()
    assert data_of(text) == (data_of("A,A B") if "A B" in text else Path(text.rstrip(",")))
    assert data_from_json(data_as_json(Path("A"))) == Path("A")
    assert sets_of(Path("A"), ["1"]) == {}
    assert located(Path("A"), "B.1") == (Path("A"), "B.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,x/../A", "x/../A: given twice"),
        ("A,linked", "linked: given twice"),
        ("A,other/A", "are both named A; data sets need different folder names"),
        ("A,A.b", r"nights of both could be named A\.b\.<id>"),
    ],
)
def test_folders_that_cannot_be_told_apart_are_a_mistake(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    for name in ("A", "x", "other/A", "A.b"):
        Path(name).mkdir(parents=True)
    Path("linked").symlink_to("A")
    with pytest.raises(UserMistake, match=message):
        data_of(text)


def test_the_folder_at_fault_is_named(sets, tmp_path):
    a = sets.folders["A"]
    with pytest.raises(UserMistake, match=r"/gone: no such folder"):
        subjects(data_of(f"{a},{tmp_path}/gone"))
    write_night(tmp_path / "C", "1", labels=False)
    with pytest.raises(UserMistake, match=r"/C: no usable night among 1: C/labels/1: whole file: no stages"):
        load_nights(data_of(f"{a},{tmp_path}/C"), Options())
    (a / "heart_rate" / "2_heartrate.txt").write_text("1,60\nsixty\n" + "2,61\n" * 3)
    findings = load_nights(sets, Options())[1]
    assert findings
    assert all(finding.file == "A/heart_rate/2_heartrate.txt" for finding in findings)


def test_masks_are_those_of_each_set(sets):
    (sets.folders["A"] / "epochs.csv").write_text("subject,t,walch_valid\n2,30,1\n")
    nights, _ = load_nights(sets, Options())
    masks = walch_valid(sets, nights)
    assert masks.keys() == {"A.2"}
    assert np.flatnonzero(masks["A.2"]).tolist() == [1]


def write_wearers(folder, wearers):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wearers.json").write_text(json.dumps(wearers))


def test_a_person_is_in_two_sets_only_where_the_file_says_so(sets, tmp_path):
    write_wearers(sets.folders["A"], {"1": "ann", "2": "ann"})
    write_wearers(sets.folders["b.2"], {"1": "ann", "x_1": "A.ann"})
    assert people(sets, subjects(sets)) == {
        "A.1": "A.ann", "A.2": "A.ann", "A.10": "A.10", "b.2.1": "b.2.ann", "b.2.x_1": "A.ann",
    }  # fmt: skip
    assert people(sets.folders["A"], ["1", "2", "10"]) == {"1": "ann", "2": "ann", "10": "10"}
    assert people(tmp_path, ["1"]) == {"1": "1"}


@pytest.mark.parametrize("content", ['["1"]', '{"1": 2}', '{"1": ""}', "{"])
def test_a_file_of_wearers_of_another_form_is_named(tmp_path, content):
    (tmp_path / "wearers.json").write_text(content)
    with pytest.raises(UserMistake, match=r"wearers\.json: "):
        people(tmp_path, ["1"])


def same(data, subject, other, theirs):
    """Whether two nights may be of one person."""
    a = identities(data, people(data, subjects(data)), other)[subject]
    b = identities(other, people(other, subjects(other)), data)[theirs]
    assert bool(a & b) == bool(b & a)
    return bool(a & b)


def test_nights_are_compared_across_data(sets, tmp_path):
    a, b = sets.folders["A"], sets.folders["b.2"]
    assert same(sets, "A.1", a, "1")
    assert not same(sets, "A.1", a, "2")
    assert same(a, "1", sets, "A.1")
    assert not same(a, "1", sets, "b.2.1")
    assert same(a, "1", b, "1")  # one may be a copy of the other
    (tmp_path / "link").symlink_to(a)
    linked = DataSets.of([tmp_path / "link", b])
    assert same(linked, "link.1", sets, "A.1")  # by another name
    assert not same(linked, "link.1", sets, "b.2.1")
    write_wearers(b, {"x_1": "A.10"})
    assert same(a, "10", b, "x_1")
    assert same(sets, "A.10", b, "x_1")
    assert not same(sets, "A.2", b, "x_1")
