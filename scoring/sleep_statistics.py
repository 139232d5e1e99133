"""Sleep statistics of hypnograms, and their agreement with polysomnography, computed by yasa.

After Menghini et al. 2021, SLEEP 44(2) zsaa170, "A standardized framework for testing the performance of sleep-tracking
technology". Only scored epochs count in both hypnograms, which begin and end with them. An unknown predicted stage is
unscored in the predicted hypnogram: neither sleep nor wake.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import yasa
from numpy.typing import ArrayLike

from pipeline.constants import EPOCH_S, STAGES
from scoring.predictions import PredictedNight

UNITS = {"TST": "min", "SE": "%", "SOL": "min", "WASO": "min", **dict.fromkeys(STAGES, "min"), "REM latency": "min"}
LIMIT = 1.96  # SD, limits of agreement
UNSCORED = "UNS"  # yasa's name
YASA_STAGES = np.array(["WAKE", "N1", "N2", "N3", "REM", UNSCORED])  # index -1 is unscored
logging.getLogger("yasa").setLevel(logging.ERROR)  # it warns about every night without REM


def hypnogram(stages: ArrayLike, seconds: float = EPOCH_S, scorer: str | None = None) -> yasa.Hypnogram:
    """Create a yasa hypnogram.

    Args:
        stages: [windows] index into STAGES, -1 if unscored.
        seconds: Time from one window to the next, s.
        scorer: Name of the scorer, by which yasa's comparisons name hypnograms.
    """
    return yasa.Hypnogram(YASA_STAGES[np.asarray(stages)], n_stages=5, freq=f"{seconds:g}s", scorer=scorer)


def whole_epochs(night: PredictedNight) -> PredictedNight:
    """The night with one window per epoch: the one that ends with it."""
    first = night.times[night.stages >= 0][0]  # with a stride below 30 s there are windows in between
    at_epoch = (night.times - first) % EPOCH_S == 0
    arrays = {name: value[at_epoch] for name, value in vars(night).items() if isinstance(value, np.ndarray)}
    return replace(night, **arrays)


def hypnograms(
    nights: Iterable[PredictedNight], seconds: float
) -> tuple[dict[str, yasa.Hypnogram], dict[str, yasa.Hypnogram]]:
    """Scored and predicted hypnograms of nights, from the first scored epoch to the last.

    Args:
        nights: Nights with at least one scored epoch.
        seconds: Length of a stride, s.

    Returns:
        ({subject: scored}, {subject: predicted}). An unscored epoch is unscored in both; one with an unknown predicted
        stage is unscored in the predicted hypnogram.
    """
    scored, predicted = {}, {}
    for night in nights:
        epochs = whole_epochs(night)
        first, last = np.flatnonzero(epochs.stages >= 0)[[0, -1]]
        span = slice(first, last + 1)
        freq = max(seconds, EPOCH_S)
        predicted_stages = np.where(epochs.stages < 0, -1, epochs.predicted_stages)
        scored[night.subject] = hypnogram(epochs.stages[span], freq, "scored")
        predicted[night.subject] = hypnogram(predicted_stages[span], freq, "predicted")
    return scored, predicted


def sleep_statistics(hypnograms: Mapping[str, yasa.Hypnogram]) -> pd.DataFrame:
    """All of yasa's sleep statistics: AASM definitions, in minutes and %.

    REM latency is counted from sleep onset, as in the AASM manual, and replaces yasa's Lat_REM, which is counted from
    the recording's start.

    Args:
        hypnograms: {subject: hypnogram}.

    Returns:
        DataFrame [subjects, statistics] with yasa's names, but "REM latency" instead of "Lat_REM". If a stage does not
        occur, its latency is NaN and its minutes are 0.
    """
    table = pd.DataFrame({subject: hypnogram.sleep_statistics() for subject, hypnogram in hypnograms.items()}).T
    return table.assign(Lat_REM=table.Lat_REM - table.SOL).rename(columns={"Lat_REM": "REM latency"})


def sleep_table(hypnograms: Mapping[str, yasa.Hypnogram]) -> pd.DataFrame:
    """The statistics in UNITS of hypnograms {subject: hypnogram}: DataFrame [subjects, UNITS]."""
    return sleep_statistics(hypnograms).rename(columns={"WAKE": "Wake"})[[*UNITS]]


def sleep_agreement(scored: pd.DataFrame, predicted: pd.DataFrame) -> yasa.SleepStatsAgreement | None:
    """Agreement, from yasa, of two `sleep_table`s, for statistics that differ on any night; None if none does."""
    names = [name for name in UNITS if (predicted - scored)[name].any()]
    with warnings.catch_warnings(action="ignore"):  # its tests of assumptions warn about few or equal values
        scorers = {"ref_scorer": "scored", "obs_scorer": "predicted"}
        return yasa.SleepStatsAgreement(scored[names], predicted[names], **scorers) if names else None


def bland_altman(scored: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Bland-Altman agreement of sleep statistics, predicted - scored (Bland & Altman 1986, Lancet 327).

    Nights without the statistic are left out; with too few nights, values are NaN.

    Args:
        scored: From `sleep_table`.
        predicted: From `sleep_table`, for the same subjects.

    Returns:
        {statistic: {"bias", "bias_interval", "sd", "lower", "upper", "slope", "nights"}} in UNITS. lower, upper: limits
        of agreement, bias -+ 1.96 SD. bias_interval: 95 % t interval. slope: of the difference against the scored
        value; 0 if the bias does not depend on it.
    """
    agreement = sleep_agreement(scored, predicted)
    difference = predicted - scored
    summary = agreement.summary("param") if agreement else pd.DataFrame()
    return {name: _limits(difference[name], summary.T.get(name)) for name in UNITS}


def _limits(difference: pd.Series, row: Any) -> dict[str, Any]:
    """One statistic's agreement from a row of yasa's summary; None if it is equal on all nights, or never defined."""
    nights = int(difference.count())
    if row is None:
        equal = 0.0 if nights else np.nan
        row = dict.fromkeys([("bias_mean", which) for which in ("center", "lower", "upper")], equal)
        row |= dict.fromkeys([(name, "center") for name in ("loa_lower", "loa_upper", "bias_slope")], equal)
    lower, upper = row["loa_lower", "center"], row["loa_upper", "center"]
    return {
        "bias": row["bias_mean", "center"],
        "bias_interval": [row["bias_mean", "lower"], row["bias_mean", "upper"]],
        "sd": (upper - lower) / 2 / LIMIT,
        "lower": lower,
        "upper": upper,
        "slope": row["bias_slope", "center"],
        "nights": nights,
    }


def error_matrix(
    scored: dict[str, yasa.Hypnogram], predicted: dict[str, yasa.Hypnogram]
) -> dict[str, dict[str, dict[str, float]]] | None:
    """Shares of each scored stage's epochs by predicted stage: mean and SD over subjects.

    Args:
        scored: {subject: hypnogram} from `hypnograms`.
        predicted: The predicted hypnograms of the same subjects.

    Returns:
        {scored stage: {predicted stage: {"mean", "sd"}}} over the subjects with the scored stage; {} for a stage that
        no subject has. Epochs that are unscored in either hypnogram are left out. None for a single subject.
    """
    subjects = [subject for subject in scored if _both_scored(scored[subject], predicted[subject])]
    if len(subjects) < 2:
        return None
    agreement = yasa.EpochByEpochAgreement(
        *({s: hypnograms[s] for s in subjects} for hypnograms in (scored, predicted))
    )
    shares = agreement.get_confusion_matrix_proportional(ci_method=None) / 100
    names = dict(zip(YASA_STAGES, STAGES, strict=False))
    matrix: dict[str, dict[str, dict[str, float]]] = {stage: {} for stage in STAGES}
    for (scored_stage, stage), row in shares.iterrows():
        matrix[names[scored_stage]][names[stage]] = {"mean": row["mean"], "sd": row["std"]}
    return matrix


def _both_scored(scored: yasa.Hypnogram, predicted: yasa.Hypnogram) -> bool:
    """Whether any epoch is scored in both hypnograms."""
    return bool(((scored.hypno != UNSCORED) & (predicted.hypno != UNSCORED)).any())
