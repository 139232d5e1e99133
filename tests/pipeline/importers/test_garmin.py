"""Garmin on FIT files that this test encodes by the FIT protocol; no real export of a person was at hand."""

import struct
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest

EPOCH = 631065600
START = int(datetime(2026, 1, 31, 22, tzinfo=UTC).timestamp()) - EPOCH  # 23:00 in Berlin
FORMATS = {0x00: "B", 0x02: "B", 0x84: "H", 0x86: "I"}
MONITORING, INFO, SLEEP_LEVEL, RECORD = 55, 103, 275, 20
TIME, SHORT_TIME, HEART_RATE = (253, 0x86), (26, 0x84), (27, 0x02)


def crc(data):
    table = [0, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401, 0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01,
             0x8801, 0x4400]  # fmt: skip
    value = 0
    for byte in data:
        for nibble in (byte & 15, byte >> 4):
            value = (value >> 4) ^ table[value & 15] ^ table[nibble]
    return value


def fit(*messages):
    """A FIT file of (message number, {(field number, base type): value}), each with its own definition."""
    body = b""
    for number, fields in [(0, {(0, 0x00): 32}), *messages]:
        body += struct.pack("<BBBHB", 0x40, 0, 0, number, len(fields))
        body += b"".join(struct.pack("BBB", f, struct.calcsize(FORMATS[kind]), kind) for f, kind in fields)
        body += b"\x00" + b"".join(struct.pack("<" + FORMATS[kind], v) for (_, kind), v in fields.items())
    header = struct.pack("<BBHI4s", 14, 0x20, 2178, len(body), b".FIT")
    header += struct.pack("<H", crc(header))
    return header + body + struct.pack("<H", crc(header + body))


def short(t):
    return t & 0xFFFF


def heart_rates(start=START, hours=8, every=60):
    """As a watch writes them: a full time now and then, the low 16 bits of the time in between."""
    for i, t in enumerate(range(start, start + int(hours * 3600), every)):
        if i % 200 == 0:
            yield MONITORING, {TIME: t}
        yield MONITORING, {SHORT_TIME: short(t), HEART_RATE: 60 + i % 3}


def info(t=START, offset=3600):
    return INFO, {TIME: t, (0, 0x86): t + offset}


def test_short_times_are_joined_to_the_last_full_one(tmp_path, imported):
    (tmp_path / "day.fit").write_bytes(fit(info(), *heart_rates()))
    done = imported("garmin", tmp_path / "day.fit")
    assert done.nights == ["2026-01-31"]
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert np.array_equal(rows[:, 0], np.arange(0, 8 * 3600, 60))
    assert rows[:3, 1].tolist() == [60, 61, 62]
    assert done.origin["zone"] == "offsets as written: UTC+01:00"


def test_short_times_that_wrap(tmp_path, imported):
    """16 bits of seconds are 18 hours: within a night they may pass zero."""
    start = (START >> 16 << 16) + 0x10000 - 3600  # an hour before they wrap
    (tmp_path / "day.fit").write_bytes(fit(*heart_rates(start, 3)))
    done = imported("garmin", tmp_path / "day.fit", "--zone", zone_of_evening(start))
    assert np.array_equal(done.read(f"heart_rate/{done.nights[0]}_heartrate.txt")[:, 0], np.arange(0, 3 * 3600, 60))


def zone_of_evening(start):
    """A zone in which it is about 22:00."""
    hours = (22 - (start + EPOCH) // 3600) % 24
    hours = hours - 24 if hours > 12 else hours
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"


def test_heart_rates_before_any_full_time_and_of_a_watch_not_worn(tmp_path, imported):
    early = (MONITORING, {SHORT_TIME: 5, HEART_RATE: 99})
    off = (MONITORING, {TIME: START + 30, HEART_RATE: 0})
    (tmp_path / "day.fit").write_bytes(fit(early, info(), off, *heart_rates()))
    done = imported("garmin", tmp_path / "day.fit")
    assert len(done.read("heart_rate/2026-01-31_heartrate.txt")) == 480
    assert "heart rates before the first full time of their file (1): day.fit: 1" in done.output


def test_sleep_levels_tell_the_night_and_lie_beside(tmp_path, imported):
    levels = [(SLEEP_LEVEL, {TIME: START + 60 * m, (0, 0x00): level}) for m, level in ((30, 1), (45, 2), (90, 3))]
    levels.append((SLEEP_LEVEL, {TIME: START + 60 * 240, (0, 0x00): 4}))
    (tmp_path / "monitoring.fit").write_bytes(fit(info(), *heart_rates()))
    (tmp_path / "sleep.fit").write_bytes(2 * fit(*levels))  # chained files are one
    done = imported("garmin", tmp_path)
    lines = (done.out / "device_stages" / "2026-01-31.csv").read_text().splitlines()[1:]
    assert lines == ["0,900,Wake,awake", "900,3600,Light,light", "3600,12600,Deep,deep", "12600,12660,REM,rem"]
    assert done.read("heart_rate/2026-01-31_heartrate.txt")[0, 0] == -1800


def test_steps_count_up_by_activity(tmp_path, imported):
    walked = [
        (MONITORING, {TIME: START + s, (5, 0x00): 6, (3, 0x86): steps})
        for s, steps in ((0, 1000), (60, 1020), (120, 1020))
    ]
    (tmp_path / "day.fit").write_bytes(fit(info(), *walked, *heart_rates()))
    done = imported("garmin", tmp_path / "day.fit")
    assert [0, 20] in done.read("steps/2026-01-31_steps.txt").tolist()


def test_a_zip_in_a_zip_and_a_damaged_file_among_others(tmp_path, imported):
    whole = fit(info(), *heart_rates())
    inner = tmp_path / "UploadedFiles_0-_Part1.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.fit", whole)
        archive.writestr("cut.fit", whole[:500])
        archive.writestr("altered.fit", whole[:300] + b"\xff" + whole[301:])
        archive.writestr("empty.fit", b"")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(inner, "DI_CONNECT/DI-Connect-Uploaded-Files/UploadedFiles_0-_Part1.zip")
    done = imported("garmin", tmp_path / "all.zip")
    assert done.nights == ["2026-01-31"]
    assert len(done.read("heart_rate/2026-01-31_heartrate.txt")) == 480
    assert "damaged files (3): cut.fit" in done.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no usable night in it: x.fit: empty"),
        (b"not FIT at all", "damaged files"),
        (fit(*heart_rates()), "no file has the wearer's local time; add --zone"),
        (fit(info()), "no usable night in it"),
    ],
)
def test_mistakes_get_one_line(tmp_path, imported, mistake, content, message):
    (tmp_path / "x.fit").write_bytes(content)
    assert message in mistake(imported("garmin", tmp_path / "x.fit", ends_well=False).result)


def test_a_folder_without_fit_files(tmp_path, imported, mistake):
    (tmp_path / "a").mkdir()
    assert "no FIT file in it" in mistake(imported("garmin", tmp_path / "a", ends_well=False).result)


def test_an_offset_of_days_is_none(tmp_path, imported, mistake):
    (tmp_path / "day.fit").write_bytes(fit(info(offset=200000), *heart_rates()))
    assert "add --zone" in mistake(imported("garmin", tmp_path / "day.fit", ends_well=False).result)


def test_a_damaged_zip_in_a_zip_is_named(tmp_path, imported):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.fit", fit(info(), *heart_rates()))
        archive.writestr("b.zip", b"PK?")
    assert "files that cannot be read (1): b.zip: damaged" in imported("garmin", tmp_path / "all.zip").output
