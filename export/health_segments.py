"""Stages as segments of a health store (HealthKit, Health Connect): runs of equal value, with the clock of a zone.

What follows the marker is copied into each bundle's sleep_stager.py: the standard library only, Python 3.9 or later.
"""

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

MARKER = "# copied into app code from here on\n"


def app_source() -> str:
    """The part of this file that goes into app code."""
    return Path(__file__).read_text().rpartition(MARKER)[2].strip("\n")


# copied into app code from here on


def equal_runs(
    epochs: "Iterable[tuple[float, int | None]]", seconds: float, origin: float = 0.0
) -> list[tuple[int, int, int]]:
    """Runs of equal value, merged, none overlapping; a gap between epochs stays a gap.

    Args:
        epochs: (time at which it begins in s, value of its stage) of each, in any order. None, where the stage is
            unknown, has no run and leaves a gap.
        seconds: Length of an epoch.
        origin: Unix time of t=0.

    Returns:
        (start, end, value) of each run, in Unix time in ms. Of epochs that overlap the earlier one holds.
    """
    runs: list[tuple[int, int, int]] = []
    for time, value in sorted(epochs, key=lambda epoch: epoch[0]):
        if value is None:
            continue
        start, end = (math.floor((origin + t) * 1000 + 0.5) for t in (time, time + seconds))
        start = max(start, runs[-1][1]) if runs else start
        if start >= end:
            continue  # covered by earlier epochs
        if runs and runs[-1][1:] == (start, value):
            runs[-1] = (runs[-1][0], end, value)
        else:
            runs.append((start, end, value))
    return runs


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name, such as Europe/Berlin, or of an offset such as +02:00.

    Raises:
        ValueError: It is neither.
    """
    offset = re.fullmatch(r"([+-])(\d\d):?([0-5]\d)", name)
    try:
        if not offset:
            return ZoneInfo(name)
        sign, hours, minutes = offset.groups()
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-ahead if sign == "-" else ahead, f"GMT{sign}{hours}{minutes}")
    except (KeyError, ValueError, OSError):  # no such zone, or nothing that could name one
        raise ValueError(f"zone {name!r} is neither an IANA name, such as Europe/Berlin, nor like +02:00") from None


def local_time(ms: int, zone: tzinfo) -> datetime:
    """An instant, in Unix time in ms, by the clock that the zone has then."""
    return datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)


def iso_time(ms: int, zone: tzinfo) -> str:
    """An instant, in Unix time in ms, as ISO 8601 with the offset that the zone has then."""
    return local_time(ms, zone).isoformat(timespec="milliseconds").replace(".000", "")
