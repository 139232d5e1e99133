"""Repairs of a file's rows, the reasons why a night is unusable, and how both are reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.constants import CHANNELS, EPOCH_S, LONGEST_NIGHT_S, STAGE_OF_CODE
from pipeline.files import write_whole

ROW_DROPPED = "row dropped"
SKIPPED = "night skipped"
USED = "used all the same"


@dataclass(frozen=True)
class Finding:
    """One problem in the data.

    Attributes:
        file: The file.
        where: The lines.
        what: What was wrong.
        done: What was done about it.
    """

    file: str
    where: str
    what: str
    done: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.what}; {self.done}"


class UnusableNight(Exception):
    """A night that cannot be used. Its arguments are the night's findings; the last one is the reason."""

    @property
    def findings(self) -> list[Finding]:
        """All findings of the night; the last one is the reason why it is unusable."""
        return list(self.args)

    def __str__(self) -> str:
        return str(self.args[-1])


def lines_text(lines: Iterable[int]) -> str:
    """Line numbers as a text such as 'line 17' or '12 lines, first 17, 18, 19'."""
    numbers = sorted(lines)
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"{len(numbers)} lines, first {', '.join(map(str, numbers[:3]))}"


LEAN: dict[str, Any] = {"n_failure_cases": 1}  # the mask is enough; listing a night's motion takes pandera 20 s
NUMBER = pa.Check(pd.Series.notna, error="not a number", ignore_na=False, **LEAN)


def _column(*checks):
    return pa.Column(float, [NUMBER, *checks], nullable=True, required=False)


def _range(low, high, error, **options):
    return _column(pa.Check.in_range(low, high, error=error, **options, **LEAN))


ROWS = pa.DataFrameSchema(  # a row that fails is dropped
    {
        "t": _range(-np.inf, LONGEST_NIGHT_S, f"time beyond {LONGEST_NIGHT_S} s or infinite", include_min=False),
        "stage": _column(),
        **{name: _range(c.low, c.high, f"outside {c.low:g} to {c.high:g} {c.unit}") for name, c in CHANNELS.items()},
    }
)
CODES = [*STAGE_OF_CODE]
SCORING = pa.DataFrameSchema(  # labels that fail make the night unusable
    {
        "t": _column(pa.Check(lambda t: t % EPOCH_S == 0, error=f"time off the {EPOCH_S}-s grid", **LEAN)),
        "stage": _column(pa.Check.isin(CODES, error=f"unknown stage code, expected one of {CODES}", **LEAN)),
    }
)


def clean(columns: Sequence[str], rows: np.ndarray, after: float) -> bool:
    """Whether rows need no repair: `failures` and `repair` would find nothing.

    Args:
        columns: Names of the columns, t first.
        rows: [columns, n].
        after: Time in s that all rows must be later than.
    """
    t = rows[0]
    ascending = after < t[0] and t[-1] <= LONGEST_NIGHT_S and bool((t[1:] > t[:-1]).all())  # rules out NaN, too
    limits = [(CHANNELS[name].low, CHANNELS[name].high) if name in CHANNELS else (-np.inf, np.inf) for name in columns]
    return ascending and all(
        low <= values.min() and values.max() <= high for (low, high), values in zip(limits[1:], rows[1:], strict=True)
    )


def failures(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> list[tuple[str, pd.Index]]:
    """What is wrong with rows.

    Args:
        schema: Schema of the rows.
        frame: The rows, indexed by line number.

    Returns:
        [(what is wrong, line numbers)], one entry per kind.
    """
    failing: dict[str, pd.Series] = {}
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            wrong = ~error.check_output.reindex(frame.index, fill_value=True)  # pandera leaves out NaN
            failing[error.check.error] = failing.get(error.check.error, False) | wrong
    first = {what: " ".join(f"{k}={v:.12g}" for k, v in frame[rows].iloc[0].items()) for what, rows in failing.items()}
    return [(f"{what} (first: {first[what]})", frame.index[rows]) for what, rows in failing.items()]


def repair(file: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Repair a file's rows: sorted by time, every time once.

    Rows with a value that is not a number in its valid range are dropped, and so are repeated rows. Different values
    at one time are averaged; with different stages, the epoch becomes unscored.

    Args:
        file: Name of the file, for the findings.
        frame: Columns t (s) and one per value, float64, indexed by line number.

    Returns:
        (the rows, what was repaired).
    """
    findings: list[Finding] = []
    values = [*frame.columns[1:]]

    def report(lines, what, done):
        if len(lines):
            findings.append(Finding(file, lines_text(lines), what, done))

    bad = failures(ROWS, frame)
    for what, lines in bad:
        report(lines, what, ROW_DROPPED)
    if bad:
        frame = frame.drop(np.unique(np.concatenate([lines for _, lines in bad])))
    back = frame.index[1:][np.diff(frame.t) < 0]
    if len(back):
        report(back, "earlier than the line before", "sorted")
        frame = frame.sort_values("t", kind="stable")
    tied = frame.t.duplicated(keep=False)
    if not tied.any():
        return frame, findings
    ties = frame[tied].sort_values(["t", *values])  # by value too: an average must not depend on the order
    again = ties.duplicated()
    report(ties.index[again], "repeats another line", ROW_DROPPED)
    ties = ties[~again]
    clash = ties.t.duplicated(keep=False)
    if clash.any():
        stages = "stage" in values
        what = f"different values at one time (first: t={ties.t[clash].iloc[0]:.12g})"
        report(ties.index[clash], what, "epoch unscored" if stages else "averaged")
        ties.loc[clash, values] = -1.0 if stages else ties[clash].groupby("t")[values].transform("mean")
        ties = ties.drop_duplicates("t")
    return pd.concat([frame[~tied], ties]).sort_values("t"), findings


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write a header and a line per finding, sorted by file, atomically."""
    lines = [str(finding) for finding in sorted(findings, key=lambda finding: finding.file)]
    write_whole(path, "\n".join(["file: where: what was found; what was done", *(lines or ["no findings"]), ""]))
