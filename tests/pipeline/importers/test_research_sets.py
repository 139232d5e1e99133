"""Wearanize+, MESA, DREAMT and slpdb on files made in the documented forms; the sets themselves were not at hand."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.recordings import read_recording

wfdb = pytest.importorskip("wfdb")
MINUTES = 60
BEATS = np.arange(0, MINUTES * 60, 0.75)  # 80 bpm


def e4(folder, start=1706738400, minutes=MINUTES, **changes):
    folder.mkdir(parents=True)
    acc = [f"{start}.0, {start}.0, {start}.0", "32.0, 32.0, 32.0", *["0,38,51"] * (32 * minutes * 60)]
    hr = [f"{start + 10}.0", "1.0", *["62.5"] * (minutes * 60)]
    ibi = [f"{start}.0, IBI", *[f"{t:.3f},0.75" for t in BEATS]]
    for name, lines in ({"ACC.csv": acc, "HR.csv": hr, "IBI.csv": ibi} | changes).items():
        if lines is not None:
            (folder / name).write_text("\n".join(lines) + "\n")


def test_wearanize(tmp_path, imported):
    e4(tmp_path / "set" / "sub-001" / "E4")
    e4(tmp_path / "set" / "sub-002" / "E4", **{"HR.csv": None})
    e4(tmp_path / "set" / "sub-003" / "E4", **{"ACC.csv": ["x"]})
    done = imported("wearanize", tmp_path / "set")
    assert done.nights == ["sub-001-E4", "sub-002-E4"]
    assert done.read("heart_rate/sub-001-E4_heartrate.txt")[0].tolist() == [10, 62.5]  # E4s begin to tell it later
    assert np.allclose(done.read("heart_rate/sub-002-E4_heartrate.txt")[:, 1], 80)
    assert np.allclose(done.read("motion/sub-001-E4_acceleration.txt")[1], [1 / 32, 0, 38 / 64, 51 / 64], atol=1e-5)
    assert "nights that cannot be read (1)" in done.output
    assert "CC BY 4.0" in done.origin["licence"]


NSRR = """<?xml version="1.0" encoding="UTF-8" standalone="no"?><PSGAnnotation><ScoredEvents>
<ScoredEvent><EventType/><EventConcept>Recording Start Time</EventConcept><Start>0</Start><Duration>3600</Duration></ScoredEvent>
<ScoredEvent><EventType>Stages|Stages</EventType><EventConcept>Wake|0</EventConcept><Start>0.0</Start><Duration>900.0</Duration></ScoredEvent>
<ScoredEvent><EventType>Stages|Stages</EventType><EventConcept>Stage 4 sleep|4</EventConcept><Start>900.0</Start><Duration>1800.0</Duration></ScoredEvent>
<ScoredEvent><EventType>Stages|Stages</EventType><EventConcept>Unscored|9</EventConcept><Start>2700.0</Start><Duration>900.0</Duration></ScoredEvent>
</ScoredEvents></PSGAnnotation>"""  # noqa: E501
PROFUSION = "<CMPStudyConfig><SleepStages>{}</SleepStages></CMPStudyConfig>"
CODES = [0] * 30 + [4] * 60 + [-1] * 30


def mesa(root, subject, xml=NSRR, kind="nsrr"):
    files = {
        f"polysomnography/annotations-rpoints/mesa-sleep-{subject}-rpoint.csv": "RPoint,Start,seconds,epoch,stage\n"
        + "".join(f"{256 * t:.0f},0,{t},{int(t // 30) + 1},0\n" for t in BEATS),
        f"polysomnography/annotations-events-{kind}/mesa-sleep-{subject}-{kind}.xml": xml,
        f"actigraphy/mesa-sleep-{subject}.csv": "mesaid,line,linetime,offwrist,activity,marker\n"
        + "".join(f"{int(subject)},{i},20:00:00,{int(i == 103)},{i},0\n" for i in range(1, 300)),
        "overlap/mesa-actigraphy-psg-overlap.csv": "mesaid,line,timeactigraphy,timepsg\n1,100,20:00:00,20:00:00\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_mesa(tmp_path, imported):
    mesa(tmp_path / "set", "0001")
    stages = "".join(f"<SleepStage>{max(c, 9 * (c < 0))}</SleepStage>" for c in CODES)
    mesa(tmp_path / "set", "0002", PROFUSION.format(stages), "profusion")
    mesa(tmp_path / "set", "0003", '<!DOCTYPE x [<!ENTITY a "b">]>' + NSRR.split("?>")[1])
    done = imported("mesa", tmp_path / "set")
    assert done.nights == ["0001", "0002"]
    rows = done.read("heart_rate/0001_heartrate.txt")
    assert np.allclose(rows[:, 1], 80)
    assert (np.diff(rows[:, 0]) == 5).all()
    for subject in done.nights:
        assert done.read(f"labels/{subject}_labeled_sleep.txt")[:, 1].tolist() == CODES
    assert not (done.out / "counts").exists()
    lines = (done.out / "actiwatch" / "0001.csv").read_text().splitlines()
    assert lines[:5] == ["start,count", "0,100", "30,101", "60,102", "120,104"]  # from the aligned line, worn only
    assert "wrist counts that no overlap file aligns (1): 0002" in done.output
    assert "has a document type" in done.output


def dreamt(root, name="S002", stages=("P",) * 2 + ("W",) * 60 + ("N2",) * 30 + ("R",) * 29 + ("Missing",)):
    hz, lines = 64, ["TIMESTAMP,BVP,ACC_X,ACC_Y,ACC_Z,TEMP,EDA,HR,IBI,Sleep_Stage,Obstructive_Apnea"]
    for i in range(len(stages) * 30 * hz):
        stage = stages[i // (30 * hz)]
        heart = "" if stage == "P" else "64.0"
        lines.append(f"{i / hz + 10:.6f},0.1,0.0,38.0,51.0,33.1,0.2,{heart},,{stage},0")
    (root / "data_64Hz").mkdir(parents=True, exist_ok=True)
    (root / "data_64Hz" / f"{name}_whole_df.csv").write_text("\n".join(lines) + "\n")


def test_dreamt(tmp_path, imported):
    dreamt(tmp_path / "set")
    (tmp_path / "set" / "data_64Hz" / "S003_whole_df.csv").write_text("TIMESTAMP,BVP\n1,2\n")
    done = imported("dreamt", tmp_path / "set")
    assert done.nights == ["S002"]
    labels = done.read("labels/S002_labeled_sleep.txt")
    assert labels[:, 1].tolist() == [0] * 60 + [2] * 30 + [5] * 29 + [-1]  # the night begins after the preparation
    heart = done.read("heart_rate/S002_heartrate.txt")
    assert (np.diff(heart[:, 0]) == 1).all()
    motion = done.read("motion/S002_acceleration.txt")
    assert np.allclose(np.diff(motion[:, 0]), 1 / 32, atol=1e-5)
    assert np.isclose(motion[0, 0], -60)
    assert np.allclose(motion[0, 1:], [0, 38 / 64, 51 / 64], atol=1e-5)
    assert "nights that cannot be read (1): " in done.output
    assert "forbid redistribution" in done.output


def slpdb(root, name, texts):
    root.mkdir(exist_ok=True)
    first = 1000  # samples before the first epoch
    samples = first + np.arange(len(texts)) * 7500
    wfdb.wrann(name, "st", samples, ['"'] * len(texts), aux_note=list(texts), fs=250, write_dir=str(root))
    beats = (BEATS * 250).astype(int) + 10
    symbols = ["N"] * len(beats)
    symbols[5] = "+"  # a change of rhythm is no beat
    wfdb.wrann(name, "ecg", beats, symbols, fs=250, write_dir=str(root))


def test_slpdb(tmp_path, imported):
    texts = ["W"] * 20 + ["1 HA"] * 20 + ["4 X"] * 20 + ["R"] * 20 + ["M"] * 2 + ["2 OA"] * 36
    for name in ("slp01a", "slp01b", "slp32"):
        slpdb(tmp_path / "set", name, texts)
    (tmp_path / "set" / "slp41.st").write_bytes(b"\x01")
    done = imported("slpdb", tmp_path / "set")
    assert done.nights == ["slp01a", "slp01b", "slp32"]
    codes = [0] * 20 + [1] * 20 + [4] * 20 + [5] * 20 + [-1] * 2 + [2] * 36
    assert done.read("labels/slp01a_labeled_sleep.txt")[:, 1].tolist() == codes
    assert np.isclose(np.median(done.read("heart_rate/slp01a_heartrate.txt")[:, 1]), 80, atol=0.5)
    assert (done.out / "wearers.json").read_text().count('"slp01"') == 2
    assert "nights that cannot be read (1): " in done.output
    recording = read_recording(done.out, "slp01a")
    assert set(recording.labels[1]) == {0, 1, 3, 4, -1, 2}


def slpdb_with_traps(root):
    """More nights than one process reads: two of one id, one damaged, one too short."""
    root.mkdir()
    for name in ("slp01a", "slp01b", "slp32", "slp37", "more/slp32"):
        slpdb(root / Path(name).parent, Path(name).name, ["W"] * 60 + ["2"] * 60)
    (root / "slp35.st").write_bytes(b"\x01")
    slpdb(root, "slp36", ["W"])
    wfdb.wrann("slp36", "ecg", np.arange(1, 9) * 200, ["N"] * 8, fs=250, write_dir=str(root))
    return root


def test_two_processes_read_what_one_does(tmp_path, imported):
    root = slpdb_with_traps(tmp_path / "set")
    one, two = (imported("slpdb", root, "--jobs", n) for n in "12")
    assert one.nights == ["slp01a", "slp01b", "slp32", "slp37"]
    assert one.output.replace(str(one.out), "OUT") == two.output.replace(str(two.out), "OUT")
    for text in (
        "the id of another night (1): slp32",
        "cannot be read (1)",
        "30 min of heart rate or movement (1): slp36",
    ):
        assert text in one.output
    files = {path.relative_to(one.out) for path in one.out.rglob("*")}
    assert files == {path.relative_to(two.out) for path in two.out.rglob("*")}
    assert all((one.out / name).read_bytes() == (two.out / name).read_bytes() for name in files if name.suffix)
    assert sorted(path.name for path in two.out.parent.iterdir()) == [one.out.name, two.out.name]  # nothing beside


def test_lines_of_dreamt_out_of_order_and_missing(tmp_path, imported):
    dreamt(tmp_path / "set", "S002", ("W",) * 60 + ("N2",) * 20 + ("R",) * 10)
    path = tmp_path / "set" / "data_64Hz" / "S002_whole_df.csv"
    head, *lines = path.read_text().splitlines()
    epoch = 64 * 30
    path.write_text("\n".join([head, *lines[50 * epoch :], *lines[: 40 * epoch]]) + "\n")
    done = imported("dreamt", tmp_path / "set")
    labels = done.read("labels/S002_labeled_sleep.txt")[:, 1].tolist()
    assert labels == [0] * 40 + [-1] * 10 + [0] * 10 + [2] * 20 + [5] * 10
    assert "S002: lines were not in the order of time; sorted" in done.output


def test_pipes_links_to_nothing_and_stages_before_the_night(tmp_path, imported):
    root = tmp_path / "set"
    for subject in ("0001", "0002", "0003"):
        mesa(root, subject, NSRR.replace("<Start>900.0<", "<Start>-2700.0<"))
    points, events = (root / "polysomnography" / f"annotations-{x}" for x in ("rpoints", "events-nsrr"))
    (points / "mesa-sleep-0002-rpoint.csv").unlink()
    os.mkfifo(points / "mesa-sleep-0002-rpoint.csv")
    (events / "mesa-sleep-0003-nsrr.xml").unlink()
    (events / "mesa-sleep-0003-nsrr.xml").symlink_to(tmp_path / "gone")
    done = imported("mesa", root)
    assert done.nights == ["0001"]
    assert done.read("labels/0001_labeled_sleep.txt")[:, 1].tolist() == [0] * 30 + [-1] * 90
    assert "0002-rpoint.csv: not a regular file" in done.output
    assert "0003-nsrr.xml: a link that leads nowhere" in done.output


@pytest.mark.parametrize("source", ["wearanize", "mesa", "dreamt", "slpdb"])
def test_a_folder_without_the_set_gets_one_line(tmp_path, imported, mistake, source):
    (tmp_path / "x").mkdir()
    assert "expected a folder with" in mistake(imported(source, tmp_path / "x", ends_well=False).result)


def test_annotations_that_are_none_of_slpdb(tmp_path, imported):
    root = tmp_path / "set"
    for name in ("slp01a", "slp02a", "slp03", "slp04", "slp14"):
        slpdb(root, name, ["W"] * 40 + ["1 HA"] * 40 + ["10", "1e3", "Wrong"] + ["4"] * 30)
    stages = (root / "slp02a.st").read_bytes()
    (root / "slp02a.st").write_bytes(stages.replace(b"## time", b"## tame"))  # with which wfdb goes round in circles
    (root / "slp03.st").write_bytes(stages.replace(b"resolution: 250", b"resolution: 125"))
    (root / "slp04.ecg").write_bytes(bytes(2**20 + 2))
    (root / "slp14.st").unlink()
    slpdb(root, "slp16", ["x"] * 80)
    done = imported("slpdb", root, "--jobs", "1")
    assert done.nights == ["slp01a"]
    codes = [0] * 40 + [1] * 40 + [-1] * 3 + [4] * 30
    assert done.read("labels/slp01a_labeled_sleep.txt")[:, 1].tolist() == codes
    assert "nights that cannot be read (5)" in done.output  # of which three are told
    for reason in ("slp02a.st: notes with ##", "slp03.st: stages every 60 s", "slp04.ecg: over 1 MB"):
        assert reason in done.output


def test_an_e4_without_acceleration_is_named(tmp_path, imported):
    e4(tmp_path / "set" / "sub-001" / "E4", minutes=40)
    e4(tmp_path / "set" / "sub-002" / "E4", minutes=1, **{"ACC.csv": None})
    done = imported("wearanize", tmp_path / "set", "--json", str(tmp_path / "results.json"))
    assert done.nights == ["sub-001-E4"]
    assert "ACC.csv: missing" in done.output
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["nights"], results["folder"]) == (done.nights, str(done.out))
    assert results["left_out"]["nights that cannot be read"]["count"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ACC.csv", lambda b: re.sub(rb",[^,\n]*\n", b"\n", b), "ACC.csv: 2 columns; expected 3"),
        ("ACC.csv", lambda b: b.replace(b"0,38,51\n", b"0,3_8,51\n", 1), "ACC.csv: line 3: expected numbers"),
        ("ACC.csv", lambda b: b.replace(b"32.0", b"1000.0"), "ACC.csv: line 1: expected the start in Unix s, then"),
        ("ACC.csv", lambda b: b.replace(b".0, ", b"000.0, "), "ACC.csv: line 1: expected the start in Unix s, then"),
        ("HR.csv", lambda b: b + "٣".encode(), "HR.csv: line 2403: expected numbers"),
        ("HR.csv", lambda b: b + b"9" * 20_000, "HR.csv: line 2403: over 10000 characters; expected a row"),
        ("IBI.csv", lambda b: b.replace(b",0.75\n", b",0.7_5\n", 1), "IBI.csv: damaged, or not what its name says"),
        ("HR.csv", lambda b: b.replace(b"\n1.0", b""), "HR.csv: line 1: expected the start in Unix s, then"),
        (
            "IBI.csv",
            lambda b: b.replace(b",0.75\n", b"\n"),
            "IBI.csv: line 2: expected s since the start and an interval",
        ),
        ("IBI.csv", lambda b: b[3:], "IBI.csv: line 1: expected the start in Unix s"),
    ],
)
def test_damaged_files_of_an_e4_are_named(tmp_path, imported, mistake, name, content, message):
    e4(tmp_path / "set", minutes=40, **({"HR.csv": None} if name == "IBI.csv" else {}))
    path = tmp_path / "set" / name
    path.write_bytes(content(path.read_bytes()))
    assert message in mistake(imported("wearanize", tmp_path / "set", "--jobs", "1", ends_well=False).result)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("nsrr.xml", "|4<", "|6<", "stages of a code that is none: unscored (1): mesa-sleep-0001-nsrr.xml: 6"),
        ("nsrr.xml", "|4<", "|٣<", "stages of a code that is none: unscored (1): mesa-sleep-0001-nsrr.xml: ٣"),
        (
            "nsrr.xml",
            ">900.0</Start",
            ">60.0</Start",
            "in which they overlap or leave gaps: in part unscored (1): mesa",
        ),
        ("nsrr.xml", ">900.0</Start", ">9_0.0</Start", "nsrr.xml: stages without a start or an end, or beyond 24 h"),
        ("nsrr.xml", ">1800.0</D", ">1800000.0</D", "nsrr.xml: stages without a start or an end, or beyond 24 h"),
        ("nsrr.xml", "Stages|", "stages|", "labels of nights without annotations (1): 0001"),
        ("rpoint.csv", ",1.5,", ",x,", "beats without a time (1): mesa-sleep-0001-rpoint.csv: line 4"),
        (
            "0001.csv",
            "1,150,",
            "1,x,",
            "wrist counts without a number of their line (1): mesa-sleep-0001.csv: line 151",
        ),
        ("0001.csv", "activity,", "activity_,", "mesa-sleep-0001.csv: damaged, or not what its name says"),
    ],
)
def test_damaged_files_of_mesa_are_named(tmp_path, imported, name, old, new, message):
    for subject in ("0001", "0002"):
        mesa(tmp_path / "set", subject)
    (path,) = (tmp_path / "set").rglob("mesa-sleep-0001.csv" if name == "0001.csv" else f"*0001*{name}")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert message in imported("mesa", tmp_path / "set", "--jobs", "1").output
