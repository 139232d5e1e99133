"""Formats Markdown tables and numbers."""

from collections.abc import Iterable, Sequence


def markdown_rows(rows: Iterable[Sequence]) -> str:
    """Rows of a Markdown table, without its header."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def markdown_table(head: Sequence, rows: Iterable[Sequence]) -> str:
    """A Markdown table; "" if there are no rows."""
    rows = list(rows)
    return markdown_rows([head, ["---"] * len(head), *rows]) if rows else ""


def number(value: float | None, digits: int = 3) -> str:
    """A number as text with this many decimals; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def kilobytes(count: int) -> str:
    """A number of bytes as text in kB of 1000 bytes, one decimal."""
    return f"{count / 1000:.1f}"
