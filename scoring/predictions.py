"""Predictions of models on nights: prediction files, operating points, and the sleep-accel mask of valid epochs."""

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
from pipeline.recordings import VALID_EPOCHS

PROBABILITY_COLUMNS = tuple(f"p_{stage.lower()}" for stage in STAGES)
COLUMNS = ("subject", "t", "scored_stage", "predicted_stage", *PROBABILITY_COLUMNS)


@dataclass(frozen=True)
class PredictedNight:
    """A model's predictions for one night.

    Attributes:
        subject: Id of the subject.
        times: Starts of the windows' strides, s from the recording's start, [windows].
        stages: Scored stages as index into STAGES, -1 if unscored, [windows] int.
        probabilities: Stage probabilities, [windows, 5].
        valid: Whether both sensors were on, [windows] bool; None if no mask covers the night.
        unknown: Whether there were too few data to predict a stage (pipeline.coverage), [windows] bool; None if that
            was not computed.
    """

    subject: str
    times: np.ndarray
    stages: np.ndarray
    probabilities: np.ndarray
    valid: np.ndarray | None = None
    unknown: np.ndarray | None = None

    @property
    def sensed(self) -> np.ndarray:
        """Whether a stage was predicted, [windows] bool."""
        return np.full(len(self.stages), True) if self.unknown is None else ~self.unknown

    @property
    def predicted_stages(self) -> np.ndarray:
        """The most likely stage as index into STAGES, [windows]; -1 if it is unknown."""
        return np.where(self.sensed, self.probabilities.argmax(1), -1)

    def counted_stages(self, epochs: str) -> np.ndarray:
        """Scored stages, [windows]; -1 for windows that are not counted.

        Args:
            epochs: Which scored windows count: "all"; "walch_valid", those in the mask, which must not be None; or
                "sensed", those whose predicted stage is not unknown.
        """
        if epochs == "all":
            return self.stages
        return np.where(self.sensed if epochs == "sensed" else np.asarray(self.valid), self.stages, -1)


@dataclass(frozen=True)
class Result:
    """Predictions of one trained model, or of the models of all folds, for all held-out nights of a protocol.

    Attributes:
        architecture: One of ARCHITECTURES, or "ensemble".
        precision: One of PRECISIONS.
        seed: Seed of the training.
        repeat: Repeat of the protocol, from 0.
        operating_point: Operating point applied to the probabilities; "default" for none.
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

    t (s) is the start of the window's stride: with a stride of 30 s, the start of the scored epoch. scored_stage is
    empty if the window is unscored. predicted_stage is UNKNOWN if there are too few data; probabilities are kept.
    """
    tables = [predictions_table(night) for night in result.nights]
    # nine digits preserve a float32 exactly
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
    """Read the nights that `write_predictions` wrote, without their mask, in the file's order.

    Raises:
        UserMistake: The file is missing or damaged; the message names file, line and field.
    """
    table = _read_csv(path, COLUMNS)
    stages = table.scored_stage.map({stage: i for i, stage in enumerate(STAGES)} | {"": -1})
    _refuse(path, table, "scored_stage", stages.isna(), f"expected one of {', '.join(STAGES)}, or empty")
    unnamed = ~table.predicted_stage.isin([*STAGES, UNKNOWN])
    _refuse(path, table, "predicted_stage", unnamed, f"expected one of {', '.join(STAGES)}, {UNKNOWN}")
    _refuse(path, table, "subject", table.subject.isna() | (table.subject == ""), "expected a subject")
    times = _numbers(path, table, "t", -np.inf, np.inf, "expected a time in seconds").to_numpy()
    columns = [_numbers(path, table, name, 0, 1, "expected a probability, 0 to 1") for name in PROBABILITY_COLUMNS]
    probabilities = np.column_stack(columns)
    indices = stages.to_numpy(int)
    unknown = (table.predicted_stage == UNKNOWN).to_numpy()
    rows_of = table.groupby("subject", sort=False).indices
    return [
        PredictedNight(subject, times[rows], indices[rows], probabilities[rows], unknown=unknown[rows])
        for subject, rows in rows_of.items()
    ]


def weigh(probabilities: np.ndarray, weights: ArrayLike) -> np.ndarray:
    """Apply an operating point to probabilities.

    Args:
        probabilities: [..., 5].
        weights: Weights of the operating point, [5].

    Returns:
        The probabilities times the weights, normalised, [..., 5], with the same dtype.
    """
    weighed = probabilities * np.asarray(weights, probabilities.dtype)
    return weighed / weighed.sum(-1, keepdims=True)


def weigh_night(night: PredictedNight, weights: ArrayLike) -> PredictedNight:
    """The night with an operating point's weights [5] applied."""
    return replace(night, probabilities=weigh(night.probabilities, weights))


def walch_valid(folder: Data, nights: Iterable[Night]) -> dict[str, np.ndarray]:
    """Read the mask of epochs in which both sensors were on, by the authors of sleep-accel.

    Args:
        folder: Folder of recordings, whose epochs.csv has the mask; or several sets.
        nights: The nights to find in the mask.

    Returns:
        {subject: [windows] bool} for the nights that the mask covers; {} if there is no mask. A window has the value of
        the epoch that ends with it.

    Raises:
        UserMistake: The file cannot be read or lacks a column.
    """
    if isinstance(folder, DataSets):
        nights = [*nights]
        covered: dict[str, np.ndarray] = {}
        for name, place in folder.folders.items():
            members = [night for night in nights if folder.set_of(night.subject) == name]
            renamed = [replace(night, subject=located(folder, night.subject)[1]) for night in members]
            covered |= {f"{name}.{subject}": mask for subject, mask in walch_valid(place, renamed).items()}
        return covered
    path = Path(folder) / VALID_EPOCHS
    if not path.exists():
        return {}
    table = _read_csv(path, ("subject", "t", "walch_valid"))
    t = _numbers(path, table, "t", -np.inf, np.inf, "expected a time in seconds")
    _refuse(path, table, "walch_valid", ~table.walch_valid.isin(["0", "1"]), "expected 0 or 1")
    valid_times = {subject: set(times) for subject, times in t[table.walch_valid == "1"].groupby(table.subject)}
    masked = [night for night in nights if (table.subject == night.subject).any()]
    return {n.subject: np.isin(n.ends - EPOCH_S, list(valid_times.get(n.subject, ()))) for n in masked}


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file with at least these columns as a DataFrame of text."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except OSError as error:
        raise UserMistake(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # from pandas, or for undecodable bytes
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
    """Raise UserMistake for the first bad row, if any."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserMistake(f"{path}: line {row + 2}, {name}: '{table[name].iloc[row]}', {fault}")
