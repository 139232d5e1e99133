"""BIDSleep on folders made in the documented form; the set itself was not at hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.importers.bidsleep import one_stream
from pipeline.recordings import read_recording

START = datetime(2024, 1, 20, 23, 0, 0, tzinfo=ZoneInfo("America/New_York")).timestamp()
EPOCHS = 240
STAGES = np.repeat([0, 1, 2, 3, 4, 5], EPOCHS // 6).astype(np.uint8)


def night(root, wearer="00", number=1, labels=None, motion=None, heart=None, **changes):
    folder = root / f"Bidslab{wearer}" / str(number)
    folder.mkdir(parents=True)
    t = START + np.arange(0, EPOCHS * 30, 5)
    np.savetxt(folder / "hr.csv", np.stack([t, np.full(len(t), 55)], 1) if heart is None else heart, "%.3f", ",")
    t = START + np.arange(0, EPOCHS * 30, 0.5)
    xyz = np.tile([0.0, 0.6, 0.8], (len(t), 1)) if motion is None else motion
    np.savetxt(folder / "motion.csv", np.column_stack([t, xyz]), "%.4f", ",", header="Timestamp,x,y,z", comments="")
    expert = STAGES if labels is None else labels
    mat = {"recStart": "20-Jan-2024 23:00:00", "dreem_label": STAGES, "expert_label": expert}
    savemat(folder / "labels.mat", {k: v for k, v in (mat | changes).items() if v is not None})
    return folder


def test_the_experts_labels_are_taken_90_s_earlier_and_dreems_are_the_devices(tmp_path, imported):
    night(tmp_path / "set")
    done = imported("bidsleep", tmp_path / "set")
    assert done.nights == ["00_1"]
    labels = done.read("labels/00_1_labeled_sleep.txt")
    assert len(labels) == EPOCHS - 3
    codes = np.repeat([0, 1, 2, 3, 5, -1], EPOCHS // 6)
    assert np.array_equal(labels, np.stack([np.arange(EPOCHS - 3) * 30, codes[3:]], 1))
    lines = (done.out / "device_stages" / "00_1.csv").read_text().splitlines()
    assert lines[1:3] == ["0,1200,Wake,W", "1200,2400,Light,N1"]
    assert "3 epochs earlier, as" in done.output
    assert read_recording(done.out, "00_1").labels is not None
    assert done.origin["zone"] == "America/New_York"
    assert "ODC-By" in done.origin["licence"]


@pytest.mark.parametrize(("wearer", "number", "shift"), [("42", 1, 62), ("42", 1, -62), ("68", 2, 118)])
def test_misplaced_labels_are_moved_as_movement_says(tmp_path, imported, wearer, number, shift):
    rng = np.random.default_rng(0)
    wake = rng.random(EPOCHS) < 0.3
    t = np.arange(0, EPOCHS * 30, 0.5)
    size = np.where(wake[(t // 30).astype(int)], 0.2, 0.001)
    motion = np.array([0.0, 0.6, 0.8]) + size[:, None] * rng.standard_normal((len(t), 3))
    labels = np.where(np.roll(wake, -shift), 0, 2).astype(np.uint8)  # label i tells of epoch i + shift
    night(tmp_path / "set", wearer, number, labels, motion)
    done = imported("bidsleep", tmp_path / "set")
    assert f"moved by {shift:+d} epochs to match movement" in done.output
    moved = done.read(f"labels/{wearer}_{number}_labeled_sleep.txt")
    inside = moved[(moved[:, 0] >= 30 * max(shift, 0)) & (moved[:, 0] < 30 * (EPOCHS + min(shift, 0)))]
    assert np.array_equal(inside[:, 1] == 0, wake[(inside[:, 0] // 30).astype(int)])


def test_impossible_heart_rate_is_left_out_and_said(tmp_path, imported):
    t = START + np.arange(0, EPOCHS * 30, 5)
    night(
        tmp_path / "set",
        "43",
        3,
        heart=np.stack([t, np.where(np.arange(len(t)) < 876, 300, np.where(t == t[-1], np.nan, 55))], 1),
    )
    done = imported("bidsleep", tmp_path / "set")
    assert set(done.read("heart_rate/43_3_heartrate.txt")[:, 1]) == {55}
    assert "values outside 20 to 250 bpm (1): 43_3: 876 of 1439 of heart rate" in done.output
    assert "lines without a number (1): 43_3: 1 of 1440 of hr.csv" in done.output


def test_of_two_interleaved_streams_the_larger_is_taken(tmp_path, imported):
    first, second = np.arange(0, 7200, 5.0), np.arange(-1000, 6000, 5.0)
    both = np.sort(np.concatenate([np.arange(len(first)), np.arange(len(second)) + 0.5]))
    t = np.array([second[int(i)] if i % 1 else first[int(i)] for i in both])
    kept = one_stream(t)
    assert abs(kept.sum() - len(first)) < 5
    assert (np.diff(t[kept]) > 0).all()
    assert one_stream(first).all()
    heart = np.stack([START + t, np.full(len(t), 55)], 1)
    night(tmp_path / "set", "06", 2, heart=heart)
    assert "samples of a second, interleaved stream (1): 06_2" in imported("bidsleep", tmp_path / "set").output


def test_hypnograms_of_different_length_and_nights_without_an_expert(tmp_path, imported):
    night(tmp_path / "set", "01", 4, labels=STAGES[:200])
    night(tmp_path / "set", "01", 5, expert_label=None)
    done = imported("bidsleep", tmp_path / "set")
    assert "01_4: 200 epochs by the expert, 240 by Dreem" in done.output
    assert "labels of nights that no expert scored (1): 01_5" in done.output
    assert [path.name for path in (done.out / "labels").iterdir()] == ["01_4_labeled_sleep.txt"]
    assert '"01_4": "01"' in (done.out / "wearers.json").read_text()


def test_damaged_nights_are_named_and_the_others_go_on(tmp_path, imported, mistake):
    night(tmp_path / "set")
    (night(tmp_path / "set", "02") / "labels.mat").write_bytes(b"MATLAB?")
    (night(tmp_path / "set", "03") / "hr.csv").write_text("a,b,c\n1,2\n")
    night(tmp_path / "set", "04", recStart="some day")
    (night(tmp_path / "set", "01") / "labels.mat").unlink()
    done = imported("bidsleep", tmp_path / "set", "--jobs", "1")
    assert done.nights == ["00_1"]
    assert "nights that cannot be read (4)" in done.output
    assert "labels.mat: missing" in done.output
    (tmp_path / "empty").mkdir()
    line = mistake(imported("bidsleep", tmp_path / "empty", ends_well=False).result)
    assert "expected a folder with BidslabXX/<night>/labels.mat" in line
