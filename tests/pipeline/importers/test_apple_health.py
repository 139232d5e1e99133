"""Apple Health on exports made in the form that the Health app writes; no real export of a person was at hand."""

import zipfile
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.__main__ import main
from pipeline.recordings import read_recording

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!ELEMENT HealthData (ExportDate,Me,Record*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
]>
<HealthData locale="de_DE">
 <ExportDate value="2026-02-10 10:00:00 +0100"/>
"""
HEART_RATE, STEPS = "HKQuantityTypeIdentifierHeartRate", "HKQuantityTypeIdentifierStepCount"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
WATCH, PHONE = "Anna’s Apple Watch", "Annas iPhone"


def at(text, hours=1):
    return datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=hours)))


def record(kind, source, start, value, end=None, unit="count/min", inside=""):
    end = end or start
    device = 'device="&lt;&lt;HKDevice: 0x1&gt;, name:Apple Watch, model:Watch&gt;"' if source == WATCH else ""
    opening = (
        f' <Record type="{kind}" sourceName="{source}" {device} unit="{unit}" creationDate="{end:%F %T %z}" '
        f'startDate="{start:%F %T %z}" endDate="{end:%F %T %z}" value="{value}"'
    )
    return opening + (f">\n  {inside}\n </Record>\n" if inside else "/>\n")


def heart_rates(start, hours=8, every=60, source=WATCH, bpm=60):
    times = [start + timedelta(seconds=s) for s in range(0, int(hours * 3600), every)]
    return "".join(record(HEART_RATE, source, t, bpm, inside='<MetadataEntry key="k" value="1"/>') for t in times)


def export(path, *parts, head=HEAD, tail="</HealthData>\n"):
    path.write_text(head + "".join(parts) + tail, encoding="utf-8")
    return path


NIGHT = heart_rates(at("2026-01-31 23:00"))


def test_a_night_becomes_a_recording_of_the_layout(tmp_path, imported):
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT))
    assert done.nights == ["2026-01-31"]
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert np.array_equal(rows[:, 0], np.arange(0, 8 * 3600, 60))
    assert set(rows[:, 1]) == {60}
    assert len(read_recording(done.out, "2026-01-31").samples["heart_rate"][0]) == len(rows)
    assert done.origin["name"] == "apple-health"
    assert done.origin["converter"] == "Wristsleep import 2"
    assert done.origin["zone"] == "offsets as written: UTC+01:00"


def test_a_zip_in_another_language_is_found_by_what_is_in_it(tmp_path, imported):
    xml = export(tmp_path / "x.xml", NIGHT)
    path = tmp_path / "Exportieren.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(xml, "apple_health_export/Exportieren.xml")
        archive.writestr("apple_health_export/export_cda.xml", "<ClinicalDocument>" + " " * 9 + "</ClinicalDocument>")
    assert imported("apple-health", path).nights == ["2026-01-31"]


def test_the_watch_is_preferred_and_no_name_is_written(tmp_path, imported):
    phone = heart_rates(at("2026-01-31 23:00:30"), every=5, source=PHONE, bpm=99)
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT, phone))
    assert set(done.read("heart_rate/2026-01-31_heartrate.txt")[:, 1]) == {60}
    assert f"heart rate from '{WATCH}', not from '{PHONE}'" in done.output
    assert not [path for path in done.out.rglob("*") if path.is_file() and "Anna" in path.read_text() + path.name]


def test_records_told_twice_count_once(tmp_path, imported):
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT, NIGHT))
    assert len(done.read("heart_rate/2026-01-31_heartrate.txt")) == 480


def test_offsets_that_change_within_the_file(tmp_path, imported):
    """A night in New York after one in Berlin; and the end of summer time within a night."""
    parts = NIGHT, heart_rates(at("2026-02-03 22:30", -5)), heart_rates(at("2026-10-24 23:00", 2), hours=3)
    parts += (heart_rates(at("2026-10-25 02:00", 1), hours=4.5),)  # an hour later
    done = imported("apple-health", export(tmp_path / "export.xml", *parts))
    assert done.nights == ["2026-01-31", "2026-02-03", "2026-10-24"]
    rows = done.read("heart_rate/2026-10-24_heartrate.txt")
    assert rows[-1, 0] == (3 + 1 + 4.5) * 3600 - 60
    assert done.origin["zone"] == "offsets as written: UTC+01:00, UTC+02:00, UTC-05:00"


def test_the_zone_of_the_user_counts_for_the_evening(tmp_path, imported):
    path = export(tmp_path / "export.xml", heart_rates(at("2026-01-31 23:00", 0)))
    done = imported("apple-health", path, "--zone", "Asia/Tokyo")  # 08:00 to 16:00 there, so a night to 12:00
    assert len(done.read("heart_rate/2026-01-31_heartrate.txt")) == 4 * 60 + 1
    assert done.origin["zone"] == "Asia/Tokyo"


def test_the_devices_sleep_tells_the_night_and_its_stages_lie_beside(tmp_path, imported):
    stages = [("InBed", 0), ("AsleepCore", 10), ("AsleepDeep", 90), ("AsleepREM", 150), ("Awake", 240), ("Asleep", 250)]
    ends = [300, 90, 150, 240, 250, 300]
    start = at("2026-01-31 23:30")
    parts = [
        record(SLEEP, WATCH, start + timedelta(minutes=a), f"HKCategoryValueSleepAnalysis{name}",
               start + timedelta(minutes=b))
        for (name, a), b in zip(stages, ends, strict=True)
    ]  # fmt: skip
    done = imported("apple-health", export(tmp_path / "export.xml", heart_rates(at("2026-01-31 18:00"), 17), *parts))
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert rows[0, 0] == -2 * 3600  # what was sensed before is kept
    assert rows[-1, 0] == 300 * 60
    lines = (done.out / "device_stages" / "2026-01-31.csv").read_text().splitlines()
    assert lines[:3] == ["start,end,stage,said", "600,5400,Light,AsleepCore", "5400,9000,Deep,AsleepDeep"]
    assert lines[-1] == "15000,18000,Sleep,Asleep"
    assert not (done.out / "labels").exists()


def test_without_sleep_records_the_longest_stretch_without_a_gap_of_two_hours(tmp_path, imported):
    parts = heart_rates(at("2026-01-31 18:30"), 1), heart_rates(at("2026-01-31 23:00"), 5)
    done = imported("apple-health", export(tmp_path / "export.xml", *parts))
    rows = done.read("heart_rate/2026-01-31_heartrate.txt")
    assert (rows[0, 0], rows[-1, 0]) == (0, 5 * 3600 - 60)


def test_steps_are_spread_over_their_minutes(tmp_path, imported):
    walk = record(STEPS, WATCH, at("2026-01-31 23:10"), 90, at("2026-01-31 23:13"), "count")
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT, walk))
    assert done.read("steps/2026-01-31_steps.txt").tolist() == [[600, 30], [660, 30], [720, 30]]


def test_since_leaves_earlier_nights_alone(tmp_path, imported):
    path = export(tmp_path / "export.xml", NIGHT, heart_rates(at("2026-02-01 23:00")))
    assert imported("apple-health", path, "--since", "2026-02-01").nights == ["2026-02-01"]


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(tmp_path, imported):
    odd = record(HEART_RATE, WATCH, at("2026-01-31 23:00"), "fast")
    odd += record(HEART_RATE, WATCH, at("2026-01-31 23:00"), 61).replace("23:00:00 +0100", "11:00:00 PM +0100")
    odd += heart_rates(at("2026-02-05 23:00"), 0.2)
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT, odd))
    assert done.nights == ["2026-01-31"]
    assert "records of export.xml without a time 'YYYY-MM-DD HH:MM:SS +HHMM' or a number (1)" in done.output
    assert "records of export.xml with 12-hour times" in done.output
    assert "nights with less than 30 min of heart rate or movement (1): 2026-02-05: 6 min" in done.output


BOMB = '<!DOCTYPE HealthData [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>\n<HealthData>&b;'
EXTERNAL = '<!DOCTYPE HealthData SYSTEM "file:///etc/passwd">\n<HealthData>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "export.xml: empty; expected an export with <HealthData>"),
        ("no xml", "not an Apple Health export"),
        (HEAD + NIGHT[: len(NIGHT) // 2], "export.xml: line "),
        (HEAD + NIGHT, "ends too early"),
        (HEAD + NIGHT + "<b></c></HealthData>", "mismatched tag; expected a whole, well-formed export"),
        (BOMB + NIGHT + "</HealthData>", "declares XML entities"),
        ("<HealthData>&b;</HealthData>", "undefined entity"),
        (HEAD + "</HealthData>", "no usable night in it"),
        (HEAD + NIGHT + f'<Record a="{"x" * 3_000_000}"/></HealthData>', "export.xml: after line 1450: more than 1 MB"),
    ],
)
def test_damaged_and_hostile_files_get_one_line(tmp_path, imported, mistake, content, message):
    path = tmp_path / "export.xml"
    path.write_text(content)
    line = mistake(imported("apple-health", path, ends_well=False).result)
    if content:
        assert message in line


def test_an_external_document_type_is_not_fetched(tmp_path, imported):
    path = export(tmp_path / "export.xml", NIGHT, head=EXTERNAL)
    assert imported("apple-health", path).nights == ["2026-01-31"]


def test_a_malformed_document_type_and_control_characters_do_no_harm(tmp_path, imported):
    head = HEAD.replace("]>", "<!ATTLIST Record broken\n]>")
    path = export(tmp_path / "export.xml", NIGHT.replace('key="k"', 'key="k\x0b"'), head=head)
    assert imported("apple-health", path).nights == ["2026-01-31"]


@pytest.mark.parametrize("damage", [lambda data: data[:2000], lambda data: b""])
def test_a_damaged_zip_gets_one_line(tmp_path, imported, mistake, damage):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.xml", HEAD + NIGHT + "</HealthData>")
    path.write_bytes(damage(path.read_bytes()))
    assert "export.zip" in mistake(imported("apple-health", path, ends_well=False).result)


def test_nothing_is_written_over_and_zones_must_exist(tmp_path, imported, mistake):
    path = export(tmp_path / "export.xml", NIGHT)
    assert "no such time zone" in mistake(imported("apple-health", path, "--zone", "Berlin", ends_well=False).result)
    assert "no such file" in mistake(imported("apple-health", tmp_path / "no.xml", ends_well=False).result)
    there = imported("apple-health", path).out
    before = (there / "origin.json").read_bytes()
    result = CliRunner().invoke(main, ["import", "apple-health", str(path), str(there)])
    assert "exists and is not empty" in mistake(result)
    assert (there / "origin.json").read_bytes() == before


def test_times_of_no_day_are_left_out(tmp_path, imported):
    odd = record(HEART_RATE, WATCH, at("2026-01-31 23:30"), 99).replace(" 23:30:00", " 23:75:00")
    far = record(HEART_RATE, WATCH, at("9999-12-31 23:30"), 99)
    done = imported("apple-health", export(tmp_path / "export.xml", NIGHT, odd, far), "--zone", "Europe/Berlin")
    assert set(done.read("heart_rate/2026-01-31_heartrate.txt")[:, 1]) == {60}
    assert "23:75:00" in done.output
    assert "values at times before 1990 or after 2099 (1)" in done.output
