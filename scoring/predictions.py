"""What models said of nights they were not trained on: kept as a table, with the authors' mask of valid epochs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.files import write_whole
from pipeline.options import EPOCH_S, STAGES, UserMistake

PROBABILITY_COLUMNS = tuple(f"p_{stage.lower()}" for stage in STAGES)
COLUMNS = ("subject", "t", "stage", *PROBABILITY_COLUMNS)


@dataclass(frozen=True)
class SaidNight:
    """What a model said of one night.

    times: [windows] s, when each window's stride begins. stages: [windows] int, index into STAGES, -1 unscored.
    probabilities: [windows, 5]. valid: [windows] bool, True where both sensors were on, or None where nobody tells.
    """

    subject: str
    times: np.ndarray
    stages: np.ndarray
    probabilities: np.ndarray
    valid: np.ndarray | None = None

    def scored(self, which):
        """Stages to count: all that are scored, or of `walch_valid` those of valid epochs; -1 for the others."""
        return self.stages if which == "all" else np.where(self.valid, self.stages, -1)


@dataclass(frozen=True)
class Result:
    """What one trained model said of all nights of a protocol, or the models of its folds together."""

    architecture: str
    precision: str
    seed: int
    repeat: int
    operating_point: str
    nights: list[SaidNight]


def write_predictions(path, result):
    """Write a row per window: subject, t (s, when its stride begins), stage (empty: unscored), p_wake .. p_rem.

    With a stride of 30 s, t is when the scored epoch begins.
    """
    names = np.array([*STAGES, ""])  # index -1 is unscored
    tables = [
        pd.DataFrame(night.probabilities, columns=PROBABILITY_COLUMNS).assign(
            subject=night.subject, t=night.times, stage=names[night.stages]
        )
        for night in result.nights
    ]
    # nine digits give a float32 back as it was
    write_whole(path, pd.concat(tables)[[*COLUMNS]].to_csv(index=False, float_format="%.9g"))


def read_predictions(path):
    """The nights (list of SaidNight, no mask) that `write_predictions` wrote, in the file's order.

    Raises UserMistake, naming file, line and field, where the file is missing or damaged.
    """
    table = _read(path, COLUMNS)
    stages = table.stage.map({stage: i for i, stage in enumerate(STAGES)} | {"": -1})
    _refuse(path, table, "stage", stages.isna(), f"is none of {', '.join(STAGES)}, nor empty")
    _refuse(path, table, "subject", table.subject.isna() | (table.subject == ""), "names no subject")
    t = _numbers(path, table, "t", -np.inf, np.inf, "is no time in seconds")
    p = [_numbers(path, table, name, 0, 1, "is no probability") for name in PROBABILITY_COLUMNS]
    p, t, stages = np.column_stack(p), t.to_numpy(), stages.to_numpy(int)
    rows = table.groupby("subject", sort=False).indices
    return [SaidNight(subject, t[own], stages[own], p[own]) for subject, own in rows.items()]


def walch_valid(folder, nights):
    """The authors' mask of epochs with both signals: {subject: [windows] bool}, of the nights that it covers.

    folder: of recordings, whose epochs.csv holds it; {} where there is none. nights: of pipeline.align. A window has
    the mask of the epoch that ends with it. Raises UserMistake where the file cannot be read or lacks a column.
    """
    path = Path(folder) / "epochs.csv"
    if not path.exists():
        return {}
    table = _read(path, ("subject", "t", "walch_valid"))
    t = _numbers(path, table, "t", -np.inf, np.inf, "is no time in seconds")
    _refuse(path, table, "walch_valid", ~table.walch_valid.isin(["0", "1"]), "is neither 0 nor 1")
    valid = {subject: set(own) for subject, own in t[table.walch_valid == "1"].groupby(table.subject)}
    covered = [night for night in nights if (table.subject == night.subject).any()]
    return {n.subject: np.isin(n.ends - EPOCH_S, list(valid.get(n.subject, ()))) for n in covered}


def _read(path, columns):
    """A CSV file as DataFrame of text, with these columns at least."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except OSError as error:
        raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # of pandas, or of text that is none
        raise UserMistake(f"{path}: not readable as CSV ({str(error).strip()})") from None
    absent = [name for name in columns if name not in table]
    if absent:
        raise UserMistake(f"{path}: line 1 lacks {', '.join(absent)}")
    return table


def _numbers(path, table, name, low, high, fault):
    numbers = pd.to_numeric(table[name], errors="coerce")
    _refuse(path, table, name, ~(numbers.between(low, high) & np.isfinite(numbers)), fault)
    return numbers


def _refuse(path, table, name, bad, fault):
    """UserMistake for the first row that is bad, if any."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserMistake(f"{path}: line {row + 2}, {name}: '{table[name].iloc[row]}' {fault}")
