"""Files of a night's stages: HealthKit and Health Connect samples, EDF+ annotations, a table.

Epochs whose stage is unknown have no probabilities; any given for them are ignored.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import pandas as pd
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from edfio import Recording as Header

from apps.python.sleep_stager import equal_runs, iso_time
from export.contract import Contract
from pipeline.constants import STAGES, UNKNOWN
from scoring.predictions import PROBABILITY_COLUMNS

EDF_YEARS = (1985, 2084)  # first and last year that its header can store
EDF_FIELD = 20  # most characters in a header field
STAGE_TEXTS = dict(zip((*STAGES, UNKNOWN), ("W", "N1", "N2", "N3", "R", "?"), strict=True))  # of EDF+ annotations

Probabilities = Sequence[Sequence[float] | None]  # [windows] of [5]


def clock_start(text: str, zone: tzinfo) -> datetime:
    """The start of a night as an instant in its time zone.

    Args:
        text: ISO 8601 local time, such as 2026-01-31T23:10:00.
        zone: The time zone.

    Returns:
        An aware datetime.

    Raises:
        ValueError: The text is not such a time, or the zone's clocks skip it.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        local = None
    first, last = EDF_YEARS
    if local is None or local.tzinfo or not first <= local.year <= last:
        raise ValueError(f"start {text!r}: expected a local time like 2026-01-31T23:10:00, years {first} to {last}")
    start = local.replace(tzinfo=zone)
    if start.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError(f"start {text!r} does not exist in {zone}: its clocks skip that time")
    return start


def segments(
    stages: Sequence[str], seconds: float, start: datetime, codes: dict[str, int]
) -> list[tuple[str, str, int]]:
    """Runs of equal codes, as health stores expect; unknown epochs leave a gap.

    Args:
        stages: Names, one per `seconds`.
        seconds: Length of an epoch.
        start: Aware; times keep its zone.
        codes: {stage: code}; stages with equal codes merge (N1 and N2).

    Returns:
        (start, end, code) of each run, in ISO 8601 with the zone's offset at that time.
    """
    epochs = ((i * seconds, codes[stage]) for i, stage in enumerate(stages) if stage != UNKNOWN)
    runs = equal_runs(epochs, seconds, start.timestamp())
    return [(iso_time(begin, start.tzinfo), iso_time(end, start.tzinfo), code) for begin, end, code in runs]


def healthkit(stages: Sequence[str], seconds: float, start: datetime, contract: Contract) -> dict:
    """HKCategorySamples of sleep analysis, for JSON. Arguments as in `segments`; codes come from the contract."""
    runs = segments(stages, seconds, start, {stage.name: stage.healthkit for stage in contract.stages})
    return {
        "type": "HKCategoryTypeIdentifierSleepAnalysis",
        "metadata": {"HKTimeZone": str(start.tzinfo)},
        "samples": [{"start": begin, "end": end, "value": code} for begin, end, code in runs],
    }


def health_connect(stages: Sequence[str], seconds: float, start: datetime, contract: Contract) -> dict:
    """A SleepSessionRecord, for JSON, from the first to the last stage; at least one must not be unknown. Arguments as
    in `segments`; codes come from the contract.
    """
    runs = segments(stages, seconds, start, {stage.name: stage.health_connect for stage in contract.stages})
    begin, end = runs[0][0], runs[-1][1]
    return {
        "recordType": "SleepSessionRecord",
        "startTime": begin,
        "startZoneOffset": begin[-len("+00:00") :],
        "endTime": end,
        "endZoneOffset": end[-len("+00:00") :],
        "stages": [{"startTime": begin, "endTime": end, "stage": code} for begin, end, code in runs],
    }


def edf(
    stages: Sequence[str], probabilities: Probabilities, seconds: float, start: datetime, subject: str, model: str
) -> bytes:
    """EDF+: an annotation per window ("Sleep stage N2"), and the probabilities as signals with one value per window.

    If the stage is unknown the annotation is "Sleep stage ?" and all signals are 0, as EDF has no missing values.
    Written with edfio, which mne uses too, because mne cannot export less than one value per second.

    Args:
        stages: Names, one per `seconds`.
        probabilities: [windows] of [5].
        seconds: Length of a stride.
        start: Its local time goes into the header, which has no time zone; rounded to whole seconds.
        subject: Patient code.
        model: Equipment code.

    Returns:
        The content of the file.

    Raises:
        ValueError: edfio takes the lengths of signals and annotations as unequal: it divides in floats.
    """
    start = (start + timedelta(seconds=0.5)).replace(microsecond=0)
    signals = [
        EdfSignal(p, 1 / seconds, label=f"P({stage})", physical_range=(0, 1))
        for stage, p in zip(STAGES, np.nan_to_num(shown_probabilities(stages, probabilities)).T, strict=True)
    ]
    annotations = [
        EdfAnnotation(i * seconds, seconds, f"Sleep stage {STAGE_TEXTS[stage]}") for i, stage in enumerate(stages)
    ]
    header = Header(startdate=start.date(), equipment_code=edf_text(model))
    patient = Patient(code=edf_text(subject))
    return Edf(signals, patient=patient, recording=header, starttime=start.time(), annotations=annotations).to_bytes()


def edf_text(text: str) -> str:
    """Text as a field of EDF's header: ASCII without white space; X if empty."""
    return re.sub(r"[^\w.+-]", "_", text, flags=re.ASCII)[:EDF_FIELD] or "X"


def shown_probabilities(stages: Sequence[str], probabilities: Probabilities) -> np.ndarray:
    """[windows, 5] probabilities, NaN for unknown stages."""
    nothing = [np.nan] * len(STAGES)
    rows = [nothing if stage == UNKNOWN or p is None else p for stage, p in zip(stages, probabilities, strict=True)]
    return np.array(rows, np.float64)


def table(stages: Sequence[str], probabilities: Probabilities, seconds: float, start: datetime) -> str:
    """CSV with a line per window: time (s), clock (ISO 8601 with offset), stage, p_wake .. p_rem (empty if unknown)."""
    frame = pd.DataFrame(shown_probabilities(stages, probabilities), columns=PROBABILITY_COLUMNS)
    times = [seconds * i for i in range(len(frame))]
    frame.insert(0, "time", times)
    frame.insert(1, "clock", [later(start, t).isoformat() for t in times])
    frame.insert(2, "stage", stages)
    return frame.to_csv(index=False, float_format="%.9g")


def later(start: datetime, seconds: float) -> datetime:
    """The instant `seconds` after start in start's zone, with the offset at that time (clocks may change at night)."""
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo)
