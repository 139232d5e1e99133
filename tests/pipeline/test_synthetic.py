"""Simulated nights: read, checked and aligned as recorded ones are, plausible, the same bytes for the same seed.

Ranges are those of the 25 nights of sleep-accel, widened: they keep the simulation near what sensors and sleepers do.
"""

import time

import numpy as np
import pytest

from pipeline import synthetic
from pipeline.activity import ActivityCounter
from pipeline.align import align
from pipeline.constants import STAGES
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.origin import MARK as ORIGIN_MARK
from pipeline.origin import SYNTHETIC, read_origin
from pipeline.recordings import paths, read_recording, subjects
from pipeline.synthetic import MARK, acceleration, heart_rate, hypnogram, movements, synthesize, write_acceleration


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "nights"
    synthesize(folder, subjects=8, hours=1, motion_hz=10)
    return folder


@pytest.fixture(scope="module")
def bodies():
    """20 nights of 8 h: (stage, effort, heart rate) per second from t=0."""
    nights = []
    for subject in range(20):
        rng = np.random.default_rng(subject)
        stage = np.concatenate([np.zeros(synthetic.BEFORE_S, int), np.repeat(hypnogram(rng, 960), 30)])
        effort = movements(rng, stage)
        rows = heart_rate(rng, stage, effort, "")
        rows = rows[rows[:, 0] >= 0]
        bpm = np.interp(np.arange(960 * 30), rows[:, 0], rows[:, 1])
        nights.append((stage[synthetic.BEFORE_S :], effort[synthetic.BEFORE_S :], bpm))
    return nights


def test_every_night_is_usable_and_its_flaws_are_found(folder):
    findings, options = [], Options(channels=("heart_rate", "motion_x", "steps", "activity"))
    assert subjects(folder) == [str(1001 + i) for i in range(8)]
    for subject in subjects(folder):
        recording = read_recording(folder, subject)
        night = align(recording, options)
        assert len(night) == 120 and (night.stages >= 0).sum() > 115
        assert set(night.channels) == set(options.channels)
        findings += recording.findings
    what = " ".join(map(str, findings))
    for flaw in (
        "repeats another line",
        "earlier than the line before",
        "outside 20 to 250 bpm",
        "truncated last line",
    ):
        assert flaw in what
    assert len({finding.file for finding in findings}) < 0.2 * 4 * 8  # a minority of the files


def test_layout_and_number_formats_are_the_published_ones(folder):
    assert {path.name for path in folder.iterdir()} == {"heart_rate", "labels", "motion", "steps", MARK, ORIGIN_MARK}
    files = paths(folder, "1001")
    assert files["labels"].read_text().splitlines()[-1].split()[0] == "3570"
    t, bpm = files["heart_rate"].read_text().splitlines()[0].split(",")
    assert float(t) < -7200 and bpm.isdecimal()
    assert len(files["motion"].read_text().splitlines()[0].split(" ")) == 4
    t, count = files["steps"].read_text().splitlines()[0].split(",")
    assert float(t) < -86400 and count.isdecimal()
    assert "SIMULATED" in (folder / MARK).read_text()
    assert read_origin(folder) == SYNTHETIC


def test_part_of_the_motion_is_lacking_in_one_night(folder):
    last = [read_recording(folder, subject).samples["motion"][0][-1] for subject in ("1004", "1001")]
    assert last[0] < 3300 < 3600 < last[1]


def test_a_subject_has_the_same_bytes_whoever_else_is_made(folder, tmp_path, monkeypatch):
    synthesize(tmp_path / "two", subjects=2, hours=1, motion_hz=10)
    many, two = content(folder), content(tmp_path / "two")
    assert two.pop(MARK) != many[MARK] and all(many[name] == two[name] for name in two)
    monkeypatch.setattr(synthetic, "WORTH_A_CHILD", 0)
    synthesize(tmp_path / "two", subjects=2, hours=1, motion_hz=10)
    assert {name: body for name, body in content(tmp_path / "two").items() if name != MARK} == two
    synthesize(tmp_path / "other", subjects=1, hours=1, motion_hz=10, seed=1)
    assert content(tmp_path / "other")["labels/1001_labeled_sleep.txt"] != two["labels/1001_labeled_sleep.txt"]


def test_short_nights_without_motion_are_usable(tmp_path):
    reported = []
    synthesize(tmp_path / "a" / "b", subjects=9, hours=0.6, motion_hz=0, progress=reported.append)
    assert reported == subjects(tmp_path / "a" / "b") and not (tmp_path / "a" / "b" / "motion").exists()
    assert all(len(align(read_recording(tmp_path / "a" / "b", subject), Options())) == 72 for subject in reported)
    synthesize(tmp_path / "short", subjects=8, hours=0.6, motion_hz=10)
    assert all(
        read_recording(tmp_path / "short", subject).samples["motion"] for subject in subjects(tmp_path / "short")
    )


def test_without_motion_there_are_activity_counts_that_rise_when_awake(tmp_path):
    synthesize(tmp_path, subjects=2, hours=4, motion_hz=0)
    for subject in subjects(tmp_path):
        night = align(read_recording(tmp_path, subject), Options())
        counts = night.channels["activity"].mean(1)
        assert set(night.channels) == {"heart_rate", "activity"}
        assert (night.channels["activity"] >= 0).all()
        assert counts[night.stages == 0].mean() > 2 * counts[night.stages > 0].mean()


def test_an_earlier_synthesis_is_replaced_and_nothing_else(tmp_path):
    target = tmp_path / "nights"
    target.mkdir()
    synthesize(target, subjects=2, hours=0.6, motion_hz=0)
    synthesize(target, subjects=1, hours=0.6, motion_hz=0)
    assert subjects(target) == ["1001"] and [path.name for path in tmp_path.iterdir()] == ["nights"]
    (target / "labels" / "46343_labeled_sleep.txt").write_text("0 0\n")
    before = content(target)
    with pytest.raises(UserMistake, match=r"holds 46343_labeled_sleep.txt, which is not simulated"):
        synthesize(target, subjects=1, hours=0.6, motion_hz=0)
    assert content(target) == before
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    (recorded / "46343_steps.txt").write_text("0,0\n")
    for folder in (recorded, recorded / "46343_steps.txt"):
        with pytest.raises(UserMistake, match="not simulated"):
            synthesize(folder, subjects=1, hours=0.6, motion_hz=0)


def test_an_interrupted_synthesis_leaves_what_was(tmp_path):
    def stop(subject):
        raise KeyboardInterrupt

    target = tmp_path / "nights"
    with pytest.raises(KeyboardInterrupt):
        synthesize(target, subjects=2, hours=0.6, motion_hz=0, progress=stop)
    assert list(tmp_path.iterdir()) == []
    synthesize(target, subjects=1, hours=0.6, motion_hz=0)
    before = content(target)
    with pytest.raises(KeyboardInterrupt):
        synthesize(target, subjects=2, hours=0.6, motion_hz=0, progress=stop)
    assert content(target) == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"subjects": 0},
        {"hours": 0.5},
        {"hours": 17},
        {"hours": np.nan},
        {"motion_hz": 5},
        {"motion_hz": 200},
        {"seed": -1},
    ],
)
def test_values_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(UserMistake, match=f"--{next(iter(wrong))}"):
        synthesize(tmp_path / "nights", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserMistake, match="file/nights: cannot be written"):
        synthesize(tmp_path / "file" / "nights", subjects=1, hours=0.6, motion_hz=0)


def test_sleep_is_built_as_sleep_is(bodies):
    stages = np.stack([stage[::30] for stage, _, _ in bodies])
    share = np.bincount(stages.ravel(), minlength=len(STAGES)) / stages.size
    for stage, least, most in zip(range(5), (0.05, 0.02, 0.35, 0.08, 0.12), (0.2, 0.12, 0.6, 0.25, 0.32), strict=True):
        assert least < share[stage] < most, STAGES[stage]
    first, last = stages[:, :320], stages[:, -320:]
    assert (first == 3).mean() > 3 * (last == 3).mean() and (last == 4).mean() > 2 * (first == 4).mean()
    latency = np.argmax(stages > 0, axis=1) / 2
    assert 5 < np.median(latency) < 35  # minutes
    asleep = np.stack([row[np.argmax(row > 0) :][:600] for row in stages])
    assert 40 < np.median(np.argmax(asleep == 4, axis=1)) / 2 < 130  # minutes from sleep onset to REM


def test_heart_and_wrist_tell_the_stage_but_not_without_doubt(bodies):
    stage, bpm = np.concatenate([b[0] for b in bodies]), np.concatenate([b[2] - np.median(b[2]) for b in bodies])
    by_stage = [bpm[stage == i] for i in range(5)]
    assert by_stage[0].mean() > by_stage[4].mean() > by_stage[2].mean()  # awake, REM, N2
    assert all(2 < values.std() < 12 for values in by_stage)  # differences are no larger than this spread
    lively = [np.abs(np.diff(bpm)).mean(where=stage[1:] == i) for i in range(5)]
    assert lively[3] < lively[2] < lively[4] < lively[0]
    assert np.std([np.median(b[2]) for b in bodies]) > 4  # bpm, between subjects
    moving = [(np.concatenate([b[1] for b in bodies])[stage == i] > 1).mean() for i in range(5)]
    assert moving[0] > 5 * moving[1] / 2 and moving[1] > moving[4] > moving[3]


def test_acceleration_is_of_a_wrist_at_rest_that_moves_now_and_then():
    rng = np.random.default_rng(3)
    stage = np.concatenate([np.zeros(synthetic.BEFORE_S, int), np.repeat(hypnogram(rng, 480), 30)])
    effort = movements(rng, stage)
    t, xyz = acceleration(rng, effort, 50)
    step = np.diff(t)
    assert (step > 0).all() and 0.0195 < np.median(step) < 0.0205 and step.std() > 1e-4
    assert abs(np.median(np.linalg.norm(xyz, axis=0)) - 1) < 0.01 and np.abs(xyz).max() < 16
    counter = ActivityCounter(0.0)
    at, counts = counter.feed(t[t >= 0], xyz[2, t >= 0])
    assert 0.8 < (counts == 0).mean() < 0.99
    awake = stage[synthetic.BEFORE_S + at.astype(int) - 8] == 0
    assert (counts[awake] > 0).mean() > 5 * (counts[~awake] > 0).mean()


def test_written_acceleration_reads_back(tmp_path):
    t, xyz = np.array([-90000.5, -1e-6, 0, 57599.999999]), np.random.default_rng(0).normal(0, 2, (3, 4))
    xyz[0] = -0.25, -1e-7, 0.9999996, -12.000001
    write_acceleration(tmp_path / "a.txt", t, xyz, chunk=3)
    assert np.abs(np.loadtxt(tmp_path / "a.txt") - np.stack([t, *xyz], 1)).max() < 5.1e-7
    assert (tmp_path / "a.txt").read_text().startswith("-90000.500000 -0.250000 ")


def test_a_full_size_night_is_quick(tmp_path):
    start = time.process_time()
    synthesize(tmp_path / "nights", subjects=1)
    assert time.process_time() - start < 10  # about 1.3 s on an idle machine
    assert (tmp_path / "nights" / "motion" / "1001_acceleration.txt").stat().st_size > 40e6
