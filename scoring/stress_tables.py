"""Tables of a stress test, for its report and for model cards, from the rows of stress.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from scoring.tables import markdown_table, number


def cadence_table(cadence: Sequence[Mapping[str, Any]]) -> str:
    """κ of five stages by cadence of heart rate (rows) and kind of movement data (columns); "" without rows."""
    kappas = {(cell["heart_rate"], cell["movement"]): cell["kappa"] for cell in cadence}
    heart_rates = dict.fromkeys(heart_rate for heart_rate, _ in kappas)
    movements = dict.fromkeys(movement for _, movement in kappas)
    rows = [[heart, *(number(kappas.get((heart, movement)), 2) for movement in movements)] for heart in heart_rates]
    return markdown_table(["heart rate", *(f"movement: {movement}" for movement in movements)], rows)


def change_text(row: Mapping[str, Any]) -> str:
    """The change of κ from the nights as recorded, with its 95 % interval if there is one."""
    interval = row["kappa_change_interval"]
    limits = f" [{', '.join(f'{limit:+.2f}' for limit in interval)}]" if interval else ""
    return f"{row['kappa_change']:+.2f}{limits}"


def percentage(share: float | None) -> str:
    """A share as text in %, without decimals; "-" for None."""
    return "-" if share is None else f"{share:.0%}"
