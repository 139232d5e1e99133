"""What the user asked for in an import, and what is to be said of it afterwards."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import UserMistake

SHOWN = 3  # examples of what was left out


def _nobody(share: float) -> None:
    """Takes progress that nobody looks at; a function of the module, so that another process can have it."""


@dataclass
class Asked:
    """One import.

    Attributes:
        path: What to import.
        since: Evening of the first night that is wanted; None for all.
        zone: Time zone of the wearer, if the user named it.
        progress: Told the share that is done, 0 to 1.
        notes: Sentences to be said, in order, each once.
        left_out: {reason: the first examples} of what was not imported.
        counts: {reason: how many}.
        zone_said: What the origin says of the time zone.
    """

    path: Path
    since: date | None = None
    zone: ZoneInfo | None = None
    progress: Callable[[float], object] = _nobody
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    zone_said: str = ""

    def note(self, text: str) -> None:
        """Say this afterwards, once."""
        if text not in self.notes:
            self.notes.append(text)

    def leave_out(self, reason: str, what: str) -> None:
        """Say afterwards that `what` (a night, a file, a line of a file) was left out for this reason."""
        self.counts[reason] += 1
        if self.counts[reason] <= SHOWN:  # a file may have millions
            self.left_out.setdefault(reason, []).append(what)

    def add(self, other: "Asked") -> None:
        """Say afterwards also what another import of a part, such as one night, has to say."""
        for text in other.notes:
            self.note(text)
        for reason, examples in other.left_out.items():
            before = self.left_out.setdefault(reason, [])
            before += examples[: SHOWN - len(before)]
        self.counts.update(other.counts)

    def wants(self, night: str) -> bool:
        """Whether a night, named by the date of its evening, is not too early."""
        return self.since is None or night >= self.since.isoformat()

    def summary(self) -> list[str]:
        """What is to be said, a line each: the notes, then what was left out."""
        lines = list(self.notes)
        for reason, what in self.left_out.items():
            shown = "; ".join(what) + ("; …" if self.counts[reason] > SHOWN else "")
            lines.append(f"left out, {reason} ({self.counts[reason]}): {shown}")
        return lines

    def first_reason(self) -> str:
        """Why the first thing was left out; empty where nothing was."""
        return next((f": {what[0]}: {reason}" for reason, what in self.left_out.items()), "")


def zone_named(name: str | None) -> ZoneInfo | None:
    """The time zone of this name.

    Args:
        name: Such as Europe/Berlin; None for none.

    Raises:
        UserMistake: There is none of this name.
    """
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserMistake(f"--zone {name}: no such time zone; expected one such as Europe/Berlin or UTC") from None
