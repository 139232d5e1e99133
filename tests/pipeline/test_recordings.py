"""Reading of whole nights: small ones made here, damaged in every way, and the real ones as published.

Expected numbers of the real nights are counted from their files with numpy alone, apart from the reader.
"""

import os
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import recordings
from pipeline.checks import UnusableNight
from pipeline.errors import UserMistake
from pipeline.recordings import LABELS, LAYOUTS, read_recording, subjects

FILES = {**LAYOUTS, "labels": LABELS}
NIGHT = {  # an hour; lines of each file
    "heart_rate": [f"{t - 99.5},{60 + t % 7}" for t in range(0, 3700, 5)],
    "motion": [f"{t}.25 0.0{t % 9} -0.5 0.75" for t in range(-60, 3600)],
    "steps": [f"{t},{abs(t) // 100}" for t in range(-1500, 3600, 600)],
    "activity": [f"{0.01 + 15.0155 * k:.4f},{k % 4}" for k in range(240)],
    "labels": [f"{t} {(-1, 0, 1, 2, 3, 4, 5)[t // 30 % 7]}" for t in range(0, 3600, 30)],
}


def write(folder, **changed):
    """A night of subject 7 below the folder. changed: a file's lines, bytes as they are, or None for no file."""
    for name, content in {**NIGHT, **changed}.items():
        path = folder / FILES[name].name("7")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else "".join(f"{x}\n" for x in content).encode())
    return folder


def same(a, b):
    return a.samples.keys() == b.samples.keys() and all(
        np.array_equal(x, y) for s in a.samples for x, y in zip(a.samples[s], b.samples[s], strict=True)
    )


def changed(name, line, text):
    """The file's lines with the text (or several) in place of the 1-based line."""
    return [*NIGHT[name][: line - 1], *([text] if isinstance(text, str) else text), *NIGHT[name][line:]]


def test_a_clean_night(tmp_path):
    night = read_recording(write(tmp_path), "7")
    assert night.findings == []
    t, bpm = night.samples["heart_rate"]
    assert (t[0], t[-1], len(t), bpm[0]) == (0.5, 3595.5, 720, 60 + 100 % 7)
    t, xyz = night.samples["motion"]
    assert (t[0], xyz.shape, xyz[1].tolist()) == (0.25, (3600, 3), [0.01, -0.5, 0.75])
    t, codes = night.labels
    assert t.tolist() == list(range(0, 3600, 30))
    assert codes[:7].tolist() == [-1, 0, 1, 2, 3, 3, 4]
    assert all(t.dtype == np.float64 for t, _ in night.samples.values())


@pytest.mark.parametrize("number", ["6_1", "٦١", "６１"])
def test_only_digits_of_this_script_are_numbers(tmp_path, number):
    for line in (f"2.5,{number}", f"{number},60"):
        night = read_recording(write(tmp_path, heart_rate=changed("heart_rate", 22, line)), "7")
        assert len(night.samples["heart_rate"][0]) == 719
        assert str(night.findings[0]).startswith("heart_rate/7_heartrate.txt: line 22: not a number")


def test_files_with_next_to_nothing_in_them_are_said(tmp_path):
    labels = [f"{t} 2" for t in range(0, 24 * 3600, 30)]
    night = read_recording(write(tmp_path, heart_rate=["12.5,61"], labels=labels), "7")
    assert [str(finding) for finding in night.findings] == [
        "heart_rate/7_heartrate.txt: whole file: 1 sample(s) in a night; used all the same",
        "labels/7_labeled_sleep.txt: whole file: 2749 of 2880 scored epochs lie before or after all that was sensed; "
        "used all the same",
    ]


def test_bins_are_known_at_their_end(tmp_path):
    steps = ["-900,1", "-300,2", "0,3", "600,4", "1500,5"]
    night = read_recording(write(tmp_path, steps=steps), "7")
    t, number = night.samples["steps"]
    assert t.tolist() == [0, 600, 1200, 2100]
    assert number.tolist() == [2, 3, 4, 5]
    t, _ = night.samples["activity"]
    assert t == pytest.approx(0.01 + 15 * np.arange(1, 241))  # not 15.0155


@pytest.mark.parametrize("missing", [(5, 6), (100, 160), (1, 2)])
def test_counts_after_a_gap_keep_their_place(tmp_path, missing):
    a, b = missing
    night = read_recording(write(tmp_path, activity=[*NIGHT["activity"][:a], *NIGHT["activity"][b:]]), "7")
    left = np.r_[0:a, b:240]
    assert night.samples["activity"][0] == pytest.approx(0.01 + 15 * (left + 1))
    assert night.samples["activity"][1].tolist() == (left % 4).tolist()


def test_negative_times(tmp_path):
    days = [f"{t},60" for t in (-90000, -7200.5, -7200, -30)]
    night = read_recording(write(tmp_path, heart_rate=[*days, *NIGHT["heart_rate"][20:]]), "7", negative_times=True)
    assert night.samples["heart_rate"][0][:3].tolist() == [-7200, -30, 0.5]
    assert night.samples["motion"][0][0] == -60.25
    assert night.samples["steps"][0][0] == -900
    assert night.findings == []
    assert read_recording(tmp_path, "7").samples["heart_rate"][0][0] == 0.5


@pytest.mark.parametrize("absent", [*LAYOUTS, "labels"])
def test_a_missing_file_is_no_finding(tmp_path, absent):
    night = read_recording(write(tmp_path, **{absent: None}), "7")
    assert set(night.samples) == set(LAYOUTS) - {absent}
    assert (night.labels is None) == (absent == "labels")
    assert night.findings == []


def test_a_sensor_with_nothing_in_the_night_is_absent(tmp_path):
    night = read_recording(write(tmp_path, steps=["-9000,10", "-8400,0"]), "7")
    assert "steps" not in night.samples
    assert night.findings == []


def test_labels_are_not_read_when_not_wanted(tmp_path):
    assert read_recording(write(tmp_path, labels=b""), "7", want_labels=False).labels is None


LAST = len(NIGHT["heart_rate"])


@pytest.mark.parametrize(
    ("name", "lines", "finding"),
    [
        ("heart_rate", changed("heart_rate", 30, "45.5,300"), "line 30: outside 20 to 250 bpm (first: t=45.5 "),
        ("heart_rate", changed("heart_rate", 30, "45.5,-"), "line 30: not a number"),
        ("heart_rate", changed("heart_rate", 30, "45.5,nan"), "line 30: not a number"),
        ("heart_rate", changed("heart_rate", 30, "45.5,"), "line 30: not a number"),
        ("heart_rate", changed("heart_rate", 30, "45.5,inf"), "line 30: outside"),
        ("heart_rate", changed("heart_rate", 30, '45.5,"60'), "line 30: not a number"),
        ("heart_rate", changed("heart_rate", 30, "45.5,6\0"), "line 30: not a number"),
        ("heart_rate", changed("heart_rate", 30, ["", " ", "x,60"]), "line 32: not a number"),
        (
            "heart_rate",
            changed("heart_rate", 30, "45.5,60,1"),
            "line 30: wrong number of fields; expected 't,heart_rate'",
        ),
        ("heart_rate", changed("heart_rate", 30, "45.5"), "line 30: wrong number of fields"),
        ("heart_rate", ["t,bpm", *NIGHT["heart_rate"]], "line 1: not a number"),
        ("heart_rate", changed("heart_rate", 30, "99999,60"), "line 30: time beyond 86400 s"),
        ("heart_rate", changed("heart_rate", LAST, "3595.5,"), f"line {LAST}: truncated last line; row dropped"),
        ("heart_rate", changed("heart_rate", LAST, "359"), f"line {LAST}: truncated last line; row dropped"),
        ("motion", changed("motion", 3660, "3599.25 0.1 0.2"), "line 3660: truncated last line; row dropped"),
        ("motion", changed("motion", 70, "9.25 0 -17 0"), "line 70: outside -16 to 16 g"),
        ("steps", changed("steps", 5, "900,-1"), "line 5: outside 0 to 10000 steps"),
        ("activity", changed("activity", 5, "60.0720,-1"), "line 5: outside 0 to 100000 activity count"),
        ("labels", changed("labels", 5, "120 x"), "line 5: not a number"),
        ("labels", changed("labels", 5, "120"), "line 5: wrong number of fields"),
        ("labels", changed("labels", 120, "357"), "line 120: truncated last line"),
        ("labels", changed("labels", 5, ["120 1", "120 2"]), "2 lines, first 5, 6: different values at one time"),
        ("labels", NIGHT["labels"][::-1], "119 lines, first 2, 3, 4: earlier than the line before; sorted"),
    ],
)
def test_repaired_and_reported(tmp_path, name, lines, finding):
    night = read_recording(write(tmp_path, **{name: lines}), "7")
    assert len(night.findings) == 1
    assert str(night.findings[0]).startswith(f"{FILES[name].name('7')}: {finding}")
    whole = read_recording(write(tmp_path), "7")
    for sensor, (t, values) in whole.samples.items():  # what was not damaged is as it was
        left = np.isin(t, night.samples[sensor][0])
        assert left.sum() >= len(t) - (1 if sensor == name else 0)
        assert np.array_equal(values[left], night.samples[sensor][1])


def test_conflicting_stages_are_unscored(tmp_path):
    night = read_recording(write(tmp_path, labels=changed("labels", 5, ["120 1", "120 2"])), "7")
    assert night.labels[1][:6].tolist() == [-1, 0, 1, 2, -1, 3]
    assert len(night.labels[0]) == 120


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda text: b"", "empty; expected lines of '{line}'"),
        (lambda text: b"\n \n", "empty; expected lines of '{line}'"),
        (lambda text: text.replace(b",", b" ").replace(b" ", b";"), "wrong separator or columns in "),
        (lambda text: text.replace(b",", b"|") if b"," in text else text.replace(b" ", b","), "wrong separator"),
        (lambda text: text.replace(b",", b", ").replace(b" ", b", "), "wrong separator"),
        (lambda text: text.replace(b"\n", b" 1,1\n"), "wrong separator"),
        (lambda text: text.decode().encode("utf-16"), "wrong separator"),
        (lambda text: b"-\0\x9d\x01" * 100, "wrong separator"),
    ],
)
def test_unreadable_files_skip_the_night(tmp_path, name, content, what):
    write(tmp_path)
    path = tmp_path / FILES[name].name("7")
    write(tmp_path, **{name: content(path.read_bytes())})
    with pytest.raises(UnusableNight) as unusable:
        read_recording(tmp_path, "7")
    (finding,) = unusable.value.findings
    assert finding.file == FILES[name].name("7")
    assert finding.what.startswith(what.format(line=FILES[name].line))
    assert FILES[name].line in finding.what
    assert ("delete the file" in finding.done) == (name != "labels")
    if name != "labels":
        path.unlink()
        assert name not in read_recording(tmp_path, "7").samples


def unusable(folder, **changed):
    with pytest.raises(UnusableNight) as unusable:
        read_recording(write(folder, **changed), "7")
    return unusable.value.findings


@pytest.mark.parametrize(
    ("name", "lines", "where", "what"),
    [
        ("labels", changed("labels", 5, "121 1"), "line 5", "time off the 30-s grid (first: t=121 stage=1)"),
        ("labels", [f"{t + 15} 1" for t in range(0, 3600, 30)], "120 lines, first 1, 2, 3", "time off the 30-s grid"),
        (
            "labels",
            changed("labels", 5, "120 6"),
            "line 5",
            "unknown stage code, expected one of [-1, 0, 1, 2, 3",
        ),
        ("labels", changed("labels", 5, "120 2.5"), "line 5", "unknown stage code"),
        ("activity", [f"{60 * k},0" for k in range(60)], "whole file", "counts every 60 s, expected every 15 s"),
    ],
)
def test_files_that_cannot_be_meant_skip_the_night(tmp_path, name, lines, where, what):
    (finding,) = unusable(tmp_path, **{name: lines})
    assert (finding.file, finding.where) == (FILES[name].name("7"), where)
    assert finding.what.startswith(what)
    assert finding.done.startswith("night skipped")


def test_a_file_without_a_usable_line(tmp_path):
    findings = unusable(tmp_path, heart_rate=["0,0", "5,0"], steps=changed("steps", 5, "900,x"))
    assert [str(finding) for finding in findings] == [
        "heart_rate/7_heartrate.txt: 2 lines, first 1, 2: outside 20 to 250 bpm (first: t=0 heart_rate=0); row dropped",
        "heart_rate/7_heartrate.txt: whole file: no usable line; expected lines of 't,heart_rate'; "
        "night skipped (delete the file to use the night without it)",
    ]


def test_earlier_findings_come_with_the_decisive_one(tmp_path):
    findings = unusable(tmp_path, heart_rate=changed("heart_rate", 5, "x,60"), labels=b"")
    assert [finding.file for finding in findings] == ["heart_rate/7_heartrate.txt", "labels/7_labeled_sleep.txt"]


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "motion" / "7_acceleration.txt").mkdir(parents=True)
    (finding,) = unusable(tmp_path, motion=None)
    assert finding.what == "cannot be read: Is a directory"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, name, make):
    write(tmp_path, **{name: None})
    path = tmp_path / FILES[name].name("7")
    make(path)
    with pytest.raises(UnusableNight) as damaged:
        read_recording(tmp_path, "7")
    (finding,) = damaged.value.findings
    assert finding.file == FILES[name].name("7")
    assert finding.what == f"not a regular file; expected lines of '{FILES[name].line}'"
    assert ("delete the file" in finding.done) == (name != "labels")


@pytest.mark.parametrize("name", FILES)
def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path, name):
    write(tmp_path, **{name: None})
    (tmp_path / FILES[name].name("7")).symlink_to(tmp_path / "gone")
    with pytest.raises(UnusableNight, match="a link that leads nowhere; night skipped"):
        read_recording(tmp_path, "7")


@pytest.mark.parametrize("late", [700, 1500])
def test_motion_that_changes_its_unit_in_the_night(tmp_path, late):
    lines = [f"{t} 0 0 {9.80665 if t >= late else 1}" for t in range(3600)]
    (finding,) = unusable(tmp_path, motion=lines)
    assert "it seems to be in m/s²" in finding.what


def test_motion_that_loses_its_gravity_in_the_night_is_said(tmp_path):
    night = read_recording(write(tmp_path, motion=[f"{t} 0 {t % 2 / 100} {float(t < 2000)}" for t in range(3600)]), "7")
    (finding,) = night.findings
    assert "3 stretches of 10 min, first from t=1800" in finding.what
    assert finding.done == "used all the same"


@pytest.mark.parametrize("name", ["motion", "labels"])
@pytest.mark.parametrize("begin", [b"", b"0 1\n" * 9])
def test_a_line_of_megabytes_is_not_parsed(tmp_path, name, begin):
    """A gigabyte of NULs, as a file system leaves it after a crash; none of it lies on the disk."""
    write(tmp_path, **{name: begin})
    os.truncate(tmp_path / FILES[name].name("7"), 10**9)
    with pytest.raises(UnusableNight) as damaged:
        read_recording(tmp_path, "7")
    (finding,) = damaged.value.findings
    assert finding.what == f"a line of more than 1048576 bytes; expected lines of '{FILES[name].line}'"


FEW = {"motion": None, "activity": None}


@pytest.mark.parametrize(
    ("seconds", "labels", "message"),
    [
        (1800, [f"{t} 1" for t in range(0, 3600, 30)], None),
        (1770, [f"{t} 1" for t in range(0, 3600, 30)], "29.5 min of scored epochs with heart rate, motion or activity"),
        (3600, [f"{t} {1 if t < 1770 else -1}" for t in range(0, 3600, 30)], "29.5 min of scored epochs"),
        (3600, [f"{t} -1" for t in range(0, 3600, 30)], "0 min of scored epochs"),
        (3600, [f"{t} 1" for t in range(3600, 7200, 30)], "0 min of scored epochs"),
        (1800, None, None),
        (1770, None, "29.5 min of heart rate, motion or activity; at least 30 min are needed"),
    ],
)
def test_half_an_hour_of_overlap_is_needed(tmp_path, seconds, labels, message):
    heart_rate = [f"{t},60" for t in range(0, seconds, 5)]
    if message is None:
        read_recording(write(tmp_path, heart_rate=heart_rate, labels=labels, **FEW), "7")
    else:
        (finding,) = unusable(tmp_path, heart_rate=heart_rate, labels=labels, **FEW)
        assert finding.file == "night 7"
        assert finding.what.startswith(message)


def test_any_one_sensor_but_steps_is_enough(tmp_path):
    for name in ("heart_rate", "motion", "activity"):
        others = {sensor: None for sensor in LAYOUTS if sensor != name}
        assert [*read_recording(write(tmp_path / name, **others), "7").samples] == [name]
    unusable(tmp_path / "steps", heart_rate=None, **FEW)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.rstrip(b"\n"),
        lambda text: b"\n" + text.replace(b"\n", b"\n\n") + b"\n\n",
        lambda text: b"\xef\xbb\xbf\r\n" + text.replace(b"\n", b"\r\n"),
        lambda text: b"".join(
            b" " + line.replace(b",", b" , ").replace(b" ", b"  ") + b" \n" for line in text.splitlines()
        ),
        lambda text: text.replace(b" ", b"\t"),
    ],
)
def test_ways_of_writing_that_mean_the_same(tmp_path, written):
    whole = read_recording(write(tmp_path / "a"), "7")
    write(tmp_path / "b")
    for path in (tmp_path / "b").glob("*/*"):
        path.write_bytes(written(path.read_bytes()))
    night = read_recording(tmp_path / "b", "7")
    assert same(night, whole)
    assert night.findings == []


def test_bytes_that_are_no_text_cost_one_line(tmp_path):
    text = "\n".join(changed("heart_rate", 30, "45.5,6\xe9")).encode("latin-1")
    night = read_recording(write(tmp_path, heart_rate=text), "7")
    assert [(finding.where, finding.done) for finding in night.findings] == [("line 30", "row dropped")]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), times=st.integers(1, 3), last_line=st.booleans())
def test_shuffled_and_repeated_lines_give_the_same_samples(tmp_path_factory, seed, times, last_line):
    chance = random.Random(seed)
    mixed = {name: chance.sample(lines * times, len(lines) * times) for name, lines in NIGHT.items()}
    if last_line:  # and so does the slow way of reading
        mixed = {name: [*lines, lines[0][:1]] for name, lines in mixed.items()}
    folder = tmp_path_factory.mktemp("nights")
    whole, night = read_recording(write(folder / "a"), "7"), read_recording(write(folder / "b", **mixed), "7")
    assert same(night, whole)
    assert np.array_equal(night.labels, whole.labels)
    done = {finding.done for finding in night.findings}
    assert done <= {"sorted", "row dropped"}
    assert ("row dropped" in done) == (times > 1 or last_line)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from([*FILES]), seed=st.integers(0, 2**31), size=st.integers(0, 300))
def test_no_damage_ends_in_a_traceback(tmp_path_factory, name, seed, size):
    chance = random.Random(seed)
    text = bytearray("\n".join(NIGHT[name]).encode())
    at = chance.randrange(len(text))
    text[at : at + chance.randrange(300)] = (
        chance.randbytes(size)
        if chance.random() < 0.5
        else b"".join(
            chance.choices([b",", b" ", b"\n", b"nan", b"-inf", b"1e400", b"-", b"7", b'"', b"\r", b"."], k=size)
        )
    )
    try:
        night = read_recording(write(tmp_path_factory.mktemp("n"), **{name: bytes(text)}), "7")
    except UnusableNight as damaged:
        assert damaged.findings[-1].done.startswith("night skipped")
    else:
        for t, values in [*night.samples.values(), night.labels]:
            assert (np.diff(t) > 0).all()
            assert np.isfinite(values).all()
            assert len(t) == len(values) > 0


NUMBER = st.one_of(
    st.floats(-20, 20).map(repr),
    st.integers(0, 300).map(str),
    st.sampled_from(
        ["", "-", "nan", "inf", "-inf", "1e400", "1e-5", ".5", "5.", "+1", "1_0", "0x1", "6\0", "1.2.3", '"1"']
    ),
    st.sampled_from(["\u0661", "1\u00a0", "\x0b1", "1\x1c2", "123456789.123456789123456789", "-0", "1\x85"]),
)
BLANK = st.sampled_from([" "] * 12 + ["  ", "\t", " \t", ""])
ODD_ENDS = st.sampled_from(["\r\n", "\r", " \n", "\n\n", " \t\n", "\n \n"])


@st.composite
def texts(draw):
    """(a kind of file, bytes): lines in order of time, some or most of which are not as they should be."""
    name = draw(st.sampled_from([*FILES]))
    columns = FILES[name].columns
    odd = draw(st.sampled_from([0, 0.02, 0.3]))
    chance = draw(st.randoms(use_true_random=False))
    lines = []
    for i in range(draw(st.integers(0, 40))):
        fields = [str(i if chance.random() > odd else draw(NUMBER)), *["30.25"] * (len(columns) - 1)]
        if chance.random() < odd:
            fields[draw(st.integers(0, len(columns) - 1))] = draw(NUMBER)
        if chance.random() < odd:
            fields = fields[: draw(st.integers(0, len(columns)))] * draw(st.integers(1, 2))
        between = FILES[name].separator or " "
        if chance.random() < odd:
            between = draw(BLANK) + (FILES[name].separator or "") + draw(BLANK)
        end = draw(ODD_ENDS) if chance.random() < odd else "\n"
        lines.append(between.join(x if x != "30.25" else f"{20 + chance.randrange(9)}.5" for x in fields) + end)
    scaled = "".join(lines).replace("2", "0") if name == "motion" else "".join(lines)
    text = (chance.choice(["", "\ufeff"]) + scaled).encode()
    return name, text.rstrip(b"\n") if chance.random() < 0.2 else text


def by_one_line_at_a_time(path, subject, layout, findings):
    """What `_parsed_by_line` gives, by the plainest way: each line split, each field to a float."""
    rows, wrong, last = {}, [], (0, [])
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for i, line in enumerate(file, 1):
            if not line.strip():
                continue
            fields = line.split(layout.separator)
            last = i, fields
            if len(fields) == len(layout.columns):
                rows[i] = [float(x) if is_number(x) else np.nan for x in fields]
            else:
                wrong.append(i)
    total = len(rows) + len(wrong)
    if not total:
        raise layout.unusable(subject, f"empty; expected lines of '{layout.line}'")
    off = len(wrong) + sum(np.isnan(row[0]) for row in rows.values())
    if off > total / 2:
        what = f"wrong separator or columns in {off} of {total} lines; expected lines of '{layout.line}'"
        raise layout.unusable(subject, what)
    if sum(bool(text.strip()) for text in last[1]) < len(layout.columns):
        findings.append(
            recordings.Finding(layout.name(subject), f"line {last[0]}", "truncated last line", "row dropped")
        )
        rows.pop(last[0], None)
        wrong = [i for i in wrong if i != last[0]]
    if wrong:
        where, what = recordings.lines_text(wrong), f"wrong number of fields; expected '{layout.line}'"
        findings.append(recordings.Finding(layout.name(subject), where, what, "row dropped"))
    return pd.DataFrame([*rows.values()], [*rows], layout.columns, float)


def is_number(text):
    if "_" in text or not text.isascii():  # which Python takes
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(text=texts())
def test_the_fast_readers_give_what_the_slow_one_does(tmp_path_factory, text):
    """Same bits and same findings: in one pass, by runs of plain lines, and line by line."""
    name, content = text
    folder = tmp_path_factory.mktemp("n")
    path = folder / FILES[name].name("7")
    path.parent.mkdir()
    path.write_bytes(content)

    def read():
        findings = []
        try:
            frame = recordings._read(folder, "7", FILES[name], findings)
        except UnusableNight as damaged:
            return None, [*findings, *damaged.findings]
        return (frame.index.tolist(), [*frame.columns], frame.to_numpy().tobytes()), findings

    fast = read()
    with pytest.MonkeyPatch.context() as slowly:
        slowly.setattr(recordings, "_read_clean", lambda path, layout: None)
        assert read() == fast
        slowly.setattr(recordings, "_parsed_by_line", by_one_line_at_a_time)
        assert read() == fast


def test_a_clean_file_is_read_in_one_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "_read_unusual", None)
    assert read_recording(write(tmp_path), "7").findings == []


def test_subjects_in_numerical_order(tmp_path):
    for name in (
        "heart_rate/10_heartrate.txt",
        "counts/9_counts.txt",
        "steps/b_steps.txt",
        "motion/._9_acceleration.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("motion/SURROGATE.txt", "labels/8_labeled_sleep.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert subjects(tmp_path) == ["9", "10", "b"]


def test_names_that_are_no_text(tmp_path):
    folder = tmp_path / "heart_rate"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff_heartrate.txt")).touch()
    with pytest.raises(UserMistake, match=r"\\udcff_heartrate\.txt: the file's name is not UTF-8; rename it"):
        subjects(tmp_path)


def test_folders_without_recordings(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "heart_rate").mkdir()
    for folder, message in [
        ("gone", "no such folder"),
        ("file", "not a folder"),
        ("", "heart_rate/<id>_heartrate.txt"),
    ]:
        with pytest.raises(UserMistake, match=message):
            subjects(tmp_path / folder)


def test_all_real_nights(real):
    ids = subjects(real)
    assert len(ids) == 25
    assert {"46343", "759667", "7749105", "1455390"} <= set(ids)
    for subject in ids:
        night = read_recording(real, subject)
        written = np.loadtxt(real / "heart_rate" / f"{subject}_heartrate.txt", delimiter=",")
        t = np.unique(written[:, 0])
        assert np.array_equal(night.samples["heart_rate"][0], t[t >= 0])
        counts = np.loadtxt(real / "counts" / f"{subject}_counts.txt", delimiter=",")
        t, values = night.samples["activity"]
        assert t == pytest.approx(counts[0, 0] + 15 * np.arange(1, len(counts) + 1), abs=1e-6)
        assert np.array_equal(values, counts[:, 1])
        labels = np.loadtxt(real / "labels" / f"{subject}_labeled_sleep.txt")
        stage = labels[:, 1] - (labels[:, 1] > 3)  # codes 4 and 5 are N3 and REM
        assert np.array_equal(night.labels, [labels[:, 0], stage])


def test_a_real_file_written_three_times_over(real):
    night = read_recording(real, "1066528")
    t, _ = night.samples["heart_rate"]
    assert (len(t), (np.diff(t) > 0).all()) == (4968, True)
    assert [finding.what for finding in night.findings] == ["earlier than the line before", "repeats another line"]
    assert night.findings[1].where.startswith("11078 lines")
