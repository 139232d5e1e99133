"""The commands that README.md and docs/ show: fenced blocks of sh, and why some are not run."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n+)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


class Command(NamedTuple):
    """One command line of a page."""

    page: str  # its path below the project's folder
    words: tuple[str, ...]
    why: str | None  # it is not run; None where it is

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def blocks(page: Path, language: str) -> list[tuple[str, str | None]]:
    """(text, why it is not run or None) of each fenced block of a language."""
    return [(m["text"], m["why"]) for m in BLOCK.finditer(page.read_text()) if m["language"] == language]


def commands() -> list[Command]:
    """All commands, in the order of the pages."""
    found = []
    for page in PAGES:
        for text, why in blocks(page, "sh"):
            lines = text.replace("\\\n", " ").splitlines()
            split = (shlex.split(line, comments=True) for line in lines)
            found += [Command(str(page.relative_to(ROOT)), tuple(words), why) for words in split if words]
    return found
