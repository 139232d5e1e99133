"""The cost of importing Apple Health: python -m benchmarks.apple_health [--megabytes 1000] [--json FILE].

Generates an export of that size in the Health app's format, packed as `export.zip`, and compares its import with plain
streaming (ElementTree.iterparse over the same ZIP member, clearing each element without processing it). They run
alternately, each in its own process. Time is processor time (including Python's start and imports), the minimum over
rounds; memory is the peak of the process. Exit code 1 if the import needs more than MEMORY_MB, or more than TIMES the
time of plain iterparse.
"""

import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import click

from export.latency import ROOT
from pipeline.command_line import OutputFile, console, option
from pipeline.files import write_json

MEMORY_MB = 300
TIMES = 1.0
ROUNDS = 2
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout|ActivitySummary)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
<!ELEMENT Record ((MetadataEntry|HeartRateVariabilityMetadataList)*)>
]>
<HealthData locale="en_GB">
 <ExportDate value="2026-02-10 10:00:00 +0100"/>
 <Me HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexNotSet"/>
"""
WATCH = (
    'sourceName="Apple Watch" sourceVersion="11.2" device="&lt;&lt;HKDevice: 0x301&gt;, name:Apple Watch, '
    'manufacturer:Apple Inc., model:Watch, hardware:Watch7,1, software:11.2&gt;"'
)
PHONE = 'sourceName="iPhone" sourceVersion="18.2"'
QUANTITY = "HKQuantityTypeIdentifier"
KINDS = (("BasalEnergyBurned", "kcal", 97), ("ActiveEnergyBurned", "kcal", 61), ("DistanceWalkingRunning", "km", 181))


def _line(kind, source, unit, start, seconds, value, inside=""):
    end = start + timedelta(seconds=seconds)
    text = f' <Record type="{kind}" {source} {unit}creationDate="{end:%F %T %z}" startDate="{start:%F %T %z}" '
    text += f'endDate="{end:%F %T %z}" value="{value}"'
    return text + (f">\n  {inside}\n </Record>\n" if inside else "/>\n")


def records_of_day(day: date) -> Iterator[str]:
    """A day's records as text: heart rate every 5 minutes by day and every minute by night, plus other typical data."""
    zone = timezone(timedelta(hours=2 if 4 <= day.month <= 10 else 1))
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    context = '<MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="1"/>'
    for second in range(0, 86400, 60):
        at, n = midnight + timedelta(seconds=second), second // 60 + day.toordinal()
        if second < 8 * 3600 or second > 22.5 * 3600 or n % 5 == 0:
            bpm = 52 + n * 7919 % 23
            yield _line(QUANTITY + "HeartRate", WATCH, 'unit="count/min" ', at, 0, bpm, context)
        if second > 8 * 3600 and n % 7 == 0:
            yield _line(QUANTITY + "StepCount", WATCH, 'unit="count" ', at, 240, n % 300)
            yield _line(QUANTITY + "StepCount", PHONE, 'unit="count" ', at, 300, n % 310)
        for kind, unit, every in KINDS:
            if second % every < 60:
                yield _line(QUANTITY + kind, WATCH, f'unit="{unit}" ', at, every, n % 100 / 10)
    for i, stage in enumerate(("AsleepCore", "AsleepDeep", "AsleepREM", "AsleepCore", "Awake", "AsleepCore")):
        at = midnight + timedelta(minutes=10 + 70 * i)
        value = f"HKCategoryValueSleepAnalysis{stage}"
        yield _line("HKCategoryTypeIdentifierSleepAnalysis", WATCH, "", at, 4200, value)


def write_export(path: Path, megabytes: float) -> int:
    """Write an export.zip of that unpacked size; returns its unpacked size in bytes."""
    written, day = 0, date(2017, 1, 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("apple_health_export/export_cda.xml", "<ClinicalDocument/>")
        with archive.open("apple_health_export/export.xml", "w", force_zip64=True) as file:
            written += file.write(HEAD.encode())
            while written < megabytes * 1e6:
                written += file.write("".join(records_of_day(day)).encode())
                day += timedelta(days=1)
            written += file.write(b"</HealthData>\n")
    return written


def plain(path: str) -> None:
    """Stream the export with plain iterparse."""
    with zipfile.ZipFile(path) as archive, archive.open("apple_health_export/export.xml") as file:
        root = None
        for event, element in ElementTree.iterparse(file, ("start", "end")):
            if root is None:
                root = element
            elif event == "end":
                root.clear()


def ours(path: str, out: str) -> None:
    """Import the export as the command does."""
    from pipeline.__main__ import main

    main(["import", "apple-health", path, out], standalone_mode=False)


def measured(*arguments: str) -> tuple[float, float]:
    """(seconds, peak MB) of `python -m benchmarks.apple_health` in its own process."""
    command = [sys.executable, "-m", "benchmarks.apple_health", *arguments]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, child.stdout.splitlines()[-1].split())
    return seconds, megabytes


@click.command()
@option("megabytes", type=float, default=1000, show_default=True, help="Size of the export, unpacked.")
@option("json", "json_file", type=OutputFile(), default=None, help="Also write the figures to this file.")
def main(megabytes: float, json_file: Path | None) -> None:
    """Time and peak memory of importing a generated export, compared with plain iterparse."""
    figures: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "export.zip")
        size = write_export(path, megabytes) / 1e6
        for i in range(ROUNDS):
            figures["plain"].append(measured("plain", str(path)))
            figures["ours"].append(measured("ours", str(path), str(Path(folder, f"nights{i}"))))
    result = {
        name: {"seconds": min(s for s, _ in rounds), "peak_mb": max(mb for _, mb in rounds)}
        for name, rounds in figures.items()
    }
    for name, title in (("plain", "plain iterparse, no processing"), ("ours", "import, nights written")):
        r = result[name]
        console.print(f"{title}: {r['seconds']:.1f} s, {size / r['seconds']:.0f} MB/s, peak {r['peak_mb']:.0f} MB")
    if json_file:
        write_json(json_file, {"megabytes": size, "date": datetime.now(UTC).date().isoformat(), **result})
    if result["ours"]["peak_mb"] > MEMORY_MB or result["ours"]["seconds"] > TIMES * result["plain"]["seconds"]:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] in (["plain"], ["ours"]):
        {"plain": plain, "ours": ours}[sys.argv[1]](*sys.argv[2:])
        print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
