"""What the user wants to import, and what to report afterwards."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import UserMistake

SHOWN = 3  # number of examples of what was left out


def _no_progress(share: float) -> None:
    """Ignores progress; at the top level of the module, so that it can be pickled."""


@dataclass
class ImportRequest:
    """One import.

    Attributes:
        path: File or folder to import.
        since: Evening of the first night to import; None for all.
        zone: Time zone of the wearer, if the user gave it.
        progress: Called with the finished share, 0 to 1.
        notes: Messages for the user, in order, without duplicates.
        left_out: {reason: first examples} of what was not imported.
        counts: {reason: number of items left out}.
        zone_text: Time zone as recorded in the origin.
    """

    path: Path
    since: date | None = None
    zone: ZoneInfo | None = None
    progress: Callable[[float], object] = _no_progress
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    zone_text: str = ""

    def note(self, text: str) -> None:
        """Add a message for the user, unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)

    def leave_out(self, reason: str, what: str) -> None:
        """Record that `what` (a night, a file, a line of a file) was left out for this reason."""
        self.counts[reason] += 1
        if self.counts[reason] <= SHOWN:  # a file may have millions
            self.left_out.setdefault(reason, []).append(what)

    def add(self, other: "ImportRequest") -> None:
        """Add the messages of another import, such as that of one night."""
        for text in other.notes:
            self.note(text)
        for reason, examples in other.left_out.items():
            before = self.left_out.setdefault(reason, [])
            before += examples[: SHOWN - len(before)]
        self.counts.update(other.counts)

    def wants(self, night: str) -> bool:
        """Whether to import a night, by the date of its evening (YYYY-MM-DD)."""
        return self.since is None or night >= self.since.isoformat()

    def summary(self) -> list[str]:
        """Lines for the user: the notes, then what was left out."""
        lines = list(self.notes)
        for reason, what in self.left_out.items():
            shown = "; ".join(what) + ("; …" if self.counts[reason] > SHOWN else "")
            lines.append(f"left out: {reason} ({self.counts[reason]}): {shown}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The `summary` for JSON."""
        left_out = {reason: {"count": self.counts[reason], "first": what} for reason, what in self.left_out.items()}
        return {"notes": self.notes, "left_out": left_out}

    def first_reason(self) -> str:
        """The first thing left out, and why; "" if nothing was left out."""
        return next((f": {what[0]}: {reason}" for reason, what in self.left_out.items()), "")


def zone_named(name: str | None) -> ZoneInfo | None:
    """Look up a time zone.

    Args:
        name: Name such as Europe/Berlin, or None.

    Returns:
        The time zone; None without a name.

    Raises:
        UserMistake: There is no such time zone.
    """
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserMistake(f"--zone {name}: no such time zone; expected one such as Europe/Berlin or UTC") from None
