"""Sleep statistics of hypnograms, and how far they agree with polysomnography: from yasa.

After Menghini et al. 2021, SLEEP 44(2) zsaa170, "A standardized framework for testing the performance of sleep-tracking
technology". Only scored epochs count, in both hypnograms; both begin and end with them.
"""

import logging
import warnings

import numpy as np
import pandas as pd
import yasa

from pipeline.options import EPOCH_S, STAGES

UNITS = {"TST": "min", "SE": "%", "SOL": "min", "WASO": "min", **dict.fromkeys(STAGES, "min"), "REM latency": "min"}
LIMIT = 1.96  # SD: limits of agreement
YASA = np.array(["WAKE", "N1", "N2", "N3", "REM", "UNS"])  # index -1 is unscored
logging.getLogger("yasa").setLevel(logging.ERROR)  # it warns of every night without REM


def hypnogram(stages, seconds=EPOCH_S, scorer=None):
    """yasa.Hypnogram of stages [windows], index into STAGES, -1 unscored; one window every `seconds`."""
    return yasa.Hypnogram(YASA[np.asarray(stages)], n_stages=5, freq=f"{seconds:g}s", scorer=scorer)


def statistics(stages, seconds):
    """Sleep statistics of a hypnogram (yasa: AASM definitions; minutes and %), as a pandas Series."""
    return pd.Series(hypnogram(stages, seconds).sleep_statistics()).round(2)


def epochs(night):
    """(scored [epochs], probabilities [epochs, 5]) of a SaidNight: of each epoch the window that ends with it."""
    first = night.times[night.stages >= 0][0]  # with a stride under 30 s there are windows in between
    counted = (night.times - first) % EPOCH_S == 0
    return night.stages[counted], night.probabilities[counted]


def hypnograms(nights, seconds):
    """({subject: scored}, {subject: said}), as yasa.Hypnogram, from the first scored epoch to the last.

    nights: of SaidNight, each with a scored epoch. seconds: of a stride. What is not scored is in neither.
    """
    both = {"scored": {}, "said": {}}
    for night in nights:
        scored, p = epochs(night)
        first, last = np.flatnonzero(scored >= 0)[[0, -1]]
        for name, stages in (("scored", scored), ("said", np.where(scored < 0, -1, p.argmax(1)))):
            both[name][night.subject] = hypnogram(stages[first : last + 1], max(seconds, EPOCH_S), name)
    return both["scored"], both["said"]


def sleep_table(hypnograms):
    """DataFrame [subjects, UNITS] of {subject: hypnogram}: minutes, and % for SE. Minutes of a stage not there are 0.

    Latencies are NaN where there is none; REM latency is counted from sleep onset, as AASM has it.
    """
    table = pd.DataFrame({subject: each.sleep_statistics() for subject, each in hypnograms.items()}).T
    table = table.rename(columns={"WAKE": "Wake"}).assign(**{"REM latency": table.Lat_REM - table.SOL})
    return table[[*UNITS]]


def sleep_agreement(scored, said):
    """yasa.SleepStatsAgreement of two `sleep_table`s, of the statistics that differ on any night; None if none does."""
    names = [name for name in UNITS if (said - scored)[name].any()]
    with warnings.catch_warnings(action="ignore"):  # its tests of assumptions complain of few or equal values
        known = {"ref_scorer": "scored", "obs_scorer": "said"}
        return yasa.SleepStatsAgreement(scored[names], said[names], **known) if names else None


def bland_altman(scored, said):
    """Agreement of sleep statistics, said - scored (Bland & Altman 1986, Lancet 327). Both: of `sleep_table`.

    Returns {statistic: {"bias", "bias_interval", "sd", "lower", "upper", "slope", "nights"}}. lower, upper: limits of
    agreement, bias -+ 1.96 SD; bias_interval: 95 %, of t; slope: of the difference against what is scored, 0 where the
    bias is the same whatever the size. Nights that lack the statistic are left out; NaN is what too few cannot tell.
    """
    agreement, difference = sleep_agreement(scored, said), said - scored
    summary = agreement.summary("param") if agreement else pd.DataFrame()
    return {name: _limits(difference[name], summary.T.get(name)) for name in UNITS}


def _limits(difference, row):
    nights = int(difference.count())
    if row is None:  # the same on all nights, or on none of them
        same = 0.0 if nights else np.nan
        row = dict.fromkeys([("bias_mean", which) for which in ("center", "lower", "upper")], same)
        row |= dict.fromkeys([(name, "center") for name in ("loa_lower", "loa_upper", "bias_slope")], same)
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


def error_matrix(scored, said):
    """How a scored stage's epochs were said, as shares of them: mean and SD over subjects. Both: {subject: hypnogram}.

    Returns {scored stage: {said stage: {"mean", "sd"}}}, over the subjects that have the scored stage, {} for a stage
    that nobody has. None for a single subject.
    """
    if len(scored) < 2:
        return None
    matrix = yasa.EpochByEpochAgreement(scored, said).get_confusion_matrix_proportional(ci_method=None) / 100
    names = dict(zip(YASA, STAGES, strict=False))
    out = {stage: {} for stage in STAGES}
    for (true, stage), row in matrix.iterrows():
        out[names[true]][names[stage]] = {"mean": row["mean"], "sd": row["std"]}
    return out
