"""What is repaired in a file's rows, what makes a night unusable, and how both are reported."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.files import write_whole
from pipeline.options import CHANNELS, EPOCH_S, LONGEST_NIGHT_S, STAGE_OF_CODE

ROW_DROPPED = "row dropped"
SKIPPED = "night skipped"


@dataclass(frozen=True)
class Finding:
    """One thing that was wrong with the data: in which file, where, what, and what was done about it."""

    file: str
    where: str
    what: str
    done: str

    def __str__(self):
        return f"{self.file}: {self.where}: {self.what}; {self.done}"


class UnusableNight(Exception):
    """A night that cannot be used. Its arguments are the findings of the night, the decisive one last."""

    @property
    def findings(self):
        return list(self.args)

    def __str__(self):
        return str(self.args[-1])


def lines_text(lines):
    """'line 17' or '12 lines, first 17, 18, 19'."""
    lines = sorted(lines)
    return f"line {lines[0]}" if len(lines) == 1 else f"{len(lines)} lines, first {', '.join(map(str, lines[:3]))}"


LEAN = {"n_failure_cases": 1}  # pandera takes 20 s to list every failure in a night's motion; the mask says it all
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
        "stage": _column(pa.Check.isin(CODES, error=f"unknown stage code, known are {CODES}", **LEAN)),
    }
)


def failures(schema, frame):
    """[(what is wrong, line numbers)] of a frame that is indexed by line number, one entry per kind."""
    failing = {}
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            wrong = ~error.check_output.reindex(frame.index, fill_value=True)  # it leaves out what is not a number
            failing[error.check.error] = failing.get(error.check.error, False) | wrong
    first = {what: " ".join(f"{k}={v:.12g}" for k, v in frame[rows].iloc[0].items()) for what, rows in failing.items()}
    return [(f"{what} (first: {first[what]})", frame.index[rows]) for what, rows in failing.items()]


def repaired(file, frame):
    """The usable rows in order of time, each time once, and the findings.

    Input: columns t (s) and one per value, float64, indexed by line number. Rows with anything but numbers in their
    valid range are dropped, then rows are sorted and equal repeats dropped. Different values at one time are averaged;
    different stages cannot be, so that epoch becomes unscored.
    """
    findings, values = [], [*frame.columns[1:]]

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
    ties = frame[tied].sort_values(["t", *values])  # by value too: an average must not hang on the order
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


def write_findings(path, findings):
    """Writes one line per finding, sorted by file, under a header; the file appears whole or not at all."""
    lines = [str(finding) for finding in sorted(findings, key=lambda finding: finding.file)]
    write_whole(path, "\n".join(["file: where: what was found; what was done", *(lines or ["no findings"]), ""]))
