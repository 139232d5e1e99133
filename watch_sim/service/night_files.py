"""A night's stages taken home: HealthKit and Health Connect samples, EDF+ annotations, a table."""

import re
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from edfio import Recording as Header

from evaluation.results import PROBABILITY_COLUMNS
from pipeline.options import STAGES

ANNOTATIONS = {stage: f"Sleep stage {text}" for stage, text in zip(STAGES, ("W", "N1", "N2", "N3", "R"), strict=True)}


def zone_of(name):
    """tzinfo of an IANA name, such as Europe/Berlin, or of an offset such as +02:00. Raises ValueError."""
    offset = re.fullmatch(r"([+-])(\d\d):([0-5]\d)", name)
    try:
        if not offset:
            return ZoneInfo(name)
        sign, hours, minutes = offset.groups()
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-ahead if sign == "-" else ahead, f"GMT{sign}{hours}{minutes}")
    except (KeyError, ValueError, OSError):  # no such zone, or nothing that could name one
        raise ValueError(f"zone {name!r} is neither an IANA name, such as Europe/Berlin, nor like +02:00") from None


def clock_start(text, zone):
    """The instant at which a night starts, in its zone. text: ISO 8601 local time, such as 2026-01-31T23:10:00.

    Raises ValueError for anything else, and for a time that the zone's clocks skip.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    if local is None or local.tzinfo or not 1985 <= local.year <= 2084:  # the years that EDF can tell
        raise ValueError(f"start {text!r} is no local time like 2026-01-31T23:10:00 of the years 1985 to 2084")
    start = local.replace(tzinfo=zone)
    if start.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError(f"start {text!r} does not exist in {zone}: its clocks skip that time")
    return start


def later(start, seconds):
    """The instant `seconds` after start, as start's zone has it then (clocks may change in the night)."""
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo)


def segments(stages, seconds, start, codes):
    """Runs of equal code: [(start, end, code)], each ending where the next begins.

    stages: names, one per `seconds`. start: aware datetime. codes: {stage: code}, equal codes merge (N1 and N2).
    """
    found, first = [], 0
    for code, run in groupby(codes[stage] for stage in stages):
        last = first + len(list(run))
        found.append((later(start, first * seconds), later(start, last * seconds), code))
        first = last
    return found


def healthkit(stages, seconds, start, contract):
    """HKCategorySamples of sleep analysis, for JSON; times in ISO 8601 with the zone's offset."""
    codes = {stage["name"]: stage["healthkit"] for stage in contract["stages"]}
    return {
        "type": "HKCategoryTypeIdentifierSleepAnalysis",
        "metadata": {"HKTimeZone": str(start.tzinfo)},
        "samples": [
            {"start": begin.isoformat(), "end": end.isoformat(), "value": code}
            for begin, end, code in segments(stages, seconds, start, codes)
        ],
    }


def health_connect(stages, seconds, start, contract):
    """A SleepSessionRecord, for JSON; times in ISO 8601 with the zone's offset."""
    codes = {stage["name"]: stage["health_connect"] for stage in contract["stages"]}
    runs = segments(stages, seconds, start, codes)
    begin, end = runs[0][0].isoformat(), runs[-1][1].isoformat()
    return {
        "recordType": "SleepSessionRecord",
        "startTime": begin,
        "startZoneOffset": begin[-6:],
        "endTime": end,
        "endZoneOffset": end[-6:],
        "stages": [
            {"startTime": begin.isoformat(), "endTime": end.isoformat(), "stage": code} for begin, end, code in runs
        ],
    }


def edf(stages, probabilities, seconds, start, subject, model):
    """EDF+ as bytes: an annotation per window ("Sleep stage N2"), and the probabilities as signals of one value each.

    probabilities: [windows, 5]. Written with edfio, mne's own writer: mne cannot export less than one value a second.
    """
    signals = [
        EdfSignal(p, 1 / seconds, label=f"P({stage})", physical_range=(0, 1))
        for stage, p in zip(STAGES, np.float64(probabilities).T, strict=True)
    ]
    notes = [EdfAnnotation(i * seconds, seconds, ANNOTATIONS[stage]) for i, stage in enumerate(stages)]
    header = Header(startdate=start.date(), equipment_code=plain(model))
    whole = Edf(
        signals, patient=Patient(code=plain(subject)), recording=header, starttime=start.time(), annotations=notes
    )
    return whole.to_bytes()


def plain(text):
    """What a field of EDF's header may hold: ASCII without white space; X for nothing."""
    return re.sub(r"[^\w.+-]", "_", text, flags=re.ASCII)[:20] or "X"


def table(stages, probabilities, seconds, start):
    """CSV, a line per window: time (s), clock (ISO 8601 with offset), stage, p_wake .. p_rem."""
    frame = pd.DataFrame(probabilities, columns=PROBABILITY_COLUMNS)
    frame.insert(0, "time", seconds * np.arange(len(frame)))
    frame.insert(1, "clock", [later(start, t).isoformat() for t in frame.time.tolist()])
    frame.insert(2, "stage", stages)
    return frame.to_csv(index=False, float_format="%.9g")
