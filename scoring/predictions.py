"""Predictions of models on nights: their table on disk, operating points, and the authors' mask of valid epochs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.align import Night
from pipeline.constants import EPOCH_S, STAGES, UNKNOWN
from pipeline.data_sets import Data, DataSets, located
from pipeline.errors import UserMistake
from pipeline.files import write_whole

PROBABILITY_COLUMNS = tuple(f"p_{stage.lower()}" for stage in STAGES)
COLUMNS = ("subject", "t", "scored_stage", "predicted_stage", *PROBABILITY_COLUMNS)


@dataclass(frozen=True)
class PredictedNight:
    """What a model predicted of one night.

    Attributes:
        subject: Whose night it is.
        times: [windows] s from the recording's start, when each window's stride begins.
        stages: [windows] int, the scored stage as index into STAGES, -1 unscored.
        probabilities: [windows, 5] of the stages.
        valid: [windows] bool, True where both sensors were on; None where no mask covers the night.
        unknown: [windows] bool, True where too little was sensed to give a stage (pipeline.coverage); None where that
            was not worked out.
    """

    subject: str
    times: np.ndarray
    stages: np.ndarray
    probabilities: np.ndarray
    valid: np.ndarray | None = None
    unknown: np.ndarray | None = None

    @property
    def sensed(self) -> np.ndarray:
        """[windows] bool: where a stage was given."""
        return np.full(len(self.stages), True) if self.unknown is None else ~self.unknown

    @property
    def predicted_stages(self) -> np.ndarray:
        """The likeliest stage as index into STAGES [windows], -1 where it is unknown."""
        return np.where(self.sensed, self.probabilities.argmax(1), -1)

    def counted_stages(self, epochs: str) -> np.ndarray:
        """Scored stages [windows], -1 where a window is not to be counted.

        Args:
            epochs: "all" that are scored; or of these "walch_valid", the ones in the mask, which must not be None; or
                "sensed", the ones whose predicted stage is not unknown.
        """
        if epochs == "all":
            return self.stages
        return np.where(self.sensed if epochs == "sensed" else np.asarray(self.valid), self.stages, -1)


@dataclass(frozen=True)
class Result:
    """What one trained model predicted of all nights of a protocol, or the models of its folds together.

    Attributes:
        architecture: One of ARCHITECTURES, or "ensemble".
        precision: One of PRECISIONS.
        seed: Of the training.
        repeat: Of the protocol, from 0.
        operating_point: Whose weights the probabilities carry; "default" for none.
        nights: A PredictedNight per held-out subject.
    """

    architecture: str
    precision: str
    seed: int
    repeat: int
    operating_point: str
    nights: list[PredictedNight]


def write_predictions(path: Path, result: Result) -> None:
    """Write the nights of a result as CSV with COLUMNS, a row per window.

    t (s) is when the window's stride begins: with a stride of 30 s, when the scored epoch begins. scored_stage is empty
    where the window is unscored, predicted_stage is UNKNOWN where too little was sensed; the probabilities stay.
    """
    tables = [predictions_table(night) for night in result.nights]
    # nine digits give a float32 back as it was
    write_whole(path, pd.concat(tables).to_csv(index=False, float_format="%.9g"))


def predictions_table(night: PredictedNight) -> pd.DataFrame:
    """DataFrame of a night with COLUMNS, a row per window."""
    names, predicted_names = np.array([*STAGES, ""]), np.array([*STAGES, UNKNOWN])  # index -1: unscored, unknown
    table = pd.DataFrame(night.probabilities, columns=PROBABILITY_COLUMNS).assign(
        subject=night.subject,
        t=night.times,
        scored_stage=names[night.stages],
        predicted_stage=predicted_names[night.predicted_stages],
    )
    return table[[*COLUMNS]]


def read_predictions(path: Path) -> list[PredictedNight]:
    """Read what `write_predictions` wrote: the nights without their mask, in the file's order.

    Raises:
        UserMistake: The file is missing or damaged; names file, line and field.
    """
    table = _read_csv(path, COLUMNS)
    stages = table.scored_stage.map({stage: i for i, stage in enumerate(STAGES)} | {"": -1})
    _refuse(path, table, "scored_stage", stages.isna(), f"is none of {', '.join(STAGES)}, nor empty")
    unnamed = ~table.predicted_stage.isin([*STAGES, UNKNOWN])
    _refuse(path, table, "predicted_stage", unnamed, f"is none of {', '.join(STAGES)}, nor {UNKNOWN}")
    _refuse(path, table, "subject", table.subject.isna() | (table.subject == ""), "names no subject")
    times = _numbers(path, table, "t", -np.inf, np.inf, "is no time in seconds").to_numpy()
    columns = [_numbers(path, table, name, 0, 1, "is no probability") for name in PROBABILITY_COLUMNS]
    probabilities = np.column_stack(columns)
    indices = stages.to_numpy(int)
    unknown = (table.predicted_stage == UNKNOWN).to_numpy()
    rows_of = table.groupby("subject", sort=False).indices
    return [
        PredictedNight(subject, times[rows], indices[rows], probabilities[rows], unknown=unknown[rows])
        for subject, rows in rows_of.items()
    ]


def weigh(probabilities: np.ndarray, weights: ArrayLike) -> np.ndarray:
    """Move probabilities to an operating point.

    Args:
        probabilities: [..., 5].
        weights: [5] of the operating point.

    Returns:
        [..., 5], the probabilities times the weights, divided by their sum. The dtype stays.
    """
    weighed = probabilities * np.asarray(weights, probabilities.dtype)
    return weighed / weighed.sum(-1, keepdims=True)


def weigh_night(night: PredictedNight, weights: ArrayLike) -> PredictedNight:
    """The night at an operating point of these weights [5]."""
    return replace(night, probabilities=weigh(night.probabilities, weights))


def walch_valid(folder: Data, nights: Iterable[Night]) -> dict[str, np.ndarray]:
    """Read the authors' mask of epochs with both signals.

    Args:
        folder: Of recordings, whose epochs.csv has the mask; or several sets.
        nights: Of pipeline.align.

    Returns:
        {subject: [windows] bool} of the nights that the mask covers, {} where there is no mask. A window has the mask
        of the epoch that ends with it.

    Raises:
        UserMistake: The file cannot be read or lacks a column.
    """
    if isinstance(folder, DataSets):
        nights = [*nights]
        covered: dict[str, np.ndarray] = {}
        for name, place in folder.folders.items():
            members = [night for night in nights if folder.set_of(night.subject) == name]
            there = walch_valid(place, [replace(night, subject=located(folder, night.subject)[1]) for night in members])
            covered |= {f"{name}.{subject}": mask for subject, mask in there.items()}
        return covered
    path = Path(folder) / "epochs.csv"
    if not path.exists():
        return {}
    table = _read_csv(path, ("subject", "t", "walch_valid"))
    t = _numbers(path, table, "t", -np.inf, np.inf, "is no time in seconds")
    _refuse(path, table, "walch_valid", ~table.walch_valid.isin(["0", "1"]), "is neither 0 nor 1")
    valid_times = {subject: set(times) for subject, times in t[table.walch_valid == "1"].groupby(table.subject)}
    masked = [night for night in nights if (table.subject == night.subject).any()]
    return {n.subject: np.isin(n.ends - EPOCH_S, list(valid_times.get(n.subject, ()))) for n in masked}


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file as DataFrame of text, with these columns at least."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except OSError as error:
        raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # of pandas, or of bytes that are no text
        raise UserMistake(f"{path}: not readable as CSV ({str(error).strip()})") from None
    absent = [name for name in columns if name not in table]
    if absent:
        raise UserMistake(f"{path}: line 1 lacks {', '.join(absent)}")
    return table


def _numbers(path: Path, table: pd.DataFrame, name: str, low: float, high: float, fault: str) -> pd.Series:
    numbers = pd.to_numeric(table[name], errors="coerce")
    _refuse(path, table, name, ~(numbers.between(low, high) & np.isfinite(numbers)), fault)
    return numbers


def _refuse(path: Path, table: pd.DataFrame, name: str, bad: pd.Series, fault: str) -> None:
    """UserMistake for the first row that is bad, if any."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserMistake(f"{path}: line {row + 2}, {name}: '{table[name].iloc[row]}' {fault}")
