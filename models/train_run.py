"""Trains all models of a run folder, for train.py and for every fold of an evaluation."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pandas as pd

from models.inner_folds import predict_out_of_fold
from models.operating_points import operating_points
from models.sensing import Sensing
from models.shards import AS_RECORDED, Row, Stored, write_shards
from models.trained_run import CALIBRATION_NIGHTS, TrainedRun
from models.training import train_network, whole_model
from pipeline.align import Night
from pipeline.batches import windows_of
from pipeline.budget import budget
from pipeline.coverage import unknown_windows
from pipeline.data_sets import sets_of
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json
from pipeline.modality_dropout import channel_choices
from scoring.metrics import scores
from scoring.predictions import PredictedNight, Result, write_predictions

AS_RECORDED_SHARE = 1 / 3  # probability that a training epoch uses a night as recorded rather than a variant

Progress = Callable[..., None]
Report = Callable[[str], None]


def train_run(
    run: TrainedRun,
    parts: Mapping[str, Sequence[Night]],
    progress: Progress = lambda what, cost=0: None,
    report: Report = lambda what: None,
) -> None:
    """Fit sensing and train every network of a run, or resume that. Writes all that export, parity and evaluation read.

    Args:
        run: The run.
        parts: {"train", "inner_validation", "validation"} -> nights; the last two are empty if every subject is
            trained on.
        progress: Called as progress(step, cost) with the current step, and its cost (roughly in s) when it is done.
        report: Called as report(text) when a stage of the work is done.

    Raises:
        UserMistake: A part has no scored window, or a training diverged.
    """
    for name, nights in parts.items():
        if nights and not any((night.stages >= 0).any() for night in nights):
            part = name.replace("_", " ")
            raise UserMistake(f"no scored window in the {part} nights; use a --stride that divides 30")
    data = features_of_parts(run, parts, progress)
    candidates = parts["validation"] or parts["train"]
    fullest = sorted(candidates, key=lambda night: (-len(night.channels) * len(night), -len(night)))
    run.write_golden_nights(fullest)
    report(f"{len(run.scaler['mean'])} features")
    rows, points, left_out = [], {}, {}
    for architecture in run.options.architectures:
        epochs, stages, probabilities = choose_by_folds(run, architecture, parts, data, progress, report)
        rows.append(train_architecture(run, architecture, data, progress, report, epochs))
        if probabilities is None:
            stages = [stages for _, stages in data["inner_validation"]]
            probabilities = run.probabilities(architecture, (features for features, _ in data["inner_validation"]))
        points[architecture], left_out[architecture] = operating_points(stages, probabilities)
        for name, reason in left_out[architecture].items():
            report(f"{architecture}: no operating point {name!r}: {reason}")
    run.write_accuracies(pd.concat(rows))
    run.write_operating_points(points, left_out)
    longest = sorted(data["train"], key=lambda variants: windows_of(variants)[0])[-CALIBRATION_NIGHTS:]
    run.draw_calibration([variants[0][0] for variants in longest])


def choose_by_folds(run: TrainedRun, architecture: str, parts, data, progress: Progress, report: Report):
    """Run inner cross-validation of an architecture, and write its predictions to the run.

    Returns:
        The number of epochs to train if no subject is held out, else None; stages [windows] and probabilities
        [windows, 5] of every training and inner validation night, None without inner folds.
    """
    if not run.options.inner_folds:
        return None, None, None
    nights = [*parts["train"], *parts["inner_validation"]]
    pool = [*data["train"], *data["inner_variants"]]
    progress(f"{architecture}: inner folds")
    epochs, probabilities = predict_out_of_fold(
        architecture,
        pool,
        run.options,
        run.partial(architecture),
        choose_epoch=not parts["validation"],
        progress=lambda: progress(f"{architecture}: inner folds", run.options.epochs),
        people=[run.people.get(night.subject, night.subject) for night in nights],
    )
    predicted = [
        PredictedNight(
            night.subject,
            night.ends - run.options.stride,
            night.stages,
            p,
            unknown=unknown_windows(night, run.options, run.channels),
        )
        for night, p in zip(nights, probabilities, strict=True)
    ]
    result = Result(architecture, "float32", run.options.seed, 0, "default", predicted)
    write_predictions(run.out_of_fold(architecture), result)
    figures = scores(np.concatenate([n.stages for n in nights]), np.concatenate(probabilities))["5"]
    report(f"{architecture}: {run.options.inner_folds} inner folds, κ {figures['kappa']:.2f}")
    return (None if parts["validation"] else epochs), [night.stages for night in nights], probabilities


def features_of_parts(
    run: TrainedRun, parts: Mapping[str, Sequence[Night]], progress: Progress = lambda what, cost=0: None
) -> dict[str, Sequence]:
    """Compute features and stages of all nights, and fit the scaler on the training nights and write it to the run.

    Features are stored in shards in the run folder, and read on access.

    Args:
        run: The run.
        parts: {"train", "inner_validation", "validation"} -> nights.
        progress: As for `train_run`.

    Returns:
        {"train" and, for inner folds, "inner_variants": for each night, a list of (features [windows, F], stages
        [windows]) of itself, repeated according to AS_RECORDED_SHARE, and of its variants, all of them also without the
        channels that another data set lacks (pipeline.modality_dropout); "inner_validation" and "validation": one such
        pair for each night}.
    """
    options = run.options
    nights = [*parts["train"], *parts["inner_validation"], *parts["validation"]]
    n_train = len(parts["train"])
    n_inner = n_train + len(parts["inner_validation"])
    varied = nights[: n_inner if options.inner_folds else n_train]
    variants = budget(options, len(varied)).variants
    sets = sets_of(run.dataset_dir, [night.subject for night in varied])
    choices = channel_choices(varied, sets, run.channels, [night.subject for night in parts["train"]])
    recorded = [Row(i) for i in range(len(nights))]
    changed = [  # starting with the last choice, which has the fewest channels
        [Row(i, v, shown_as(shown, -1 - v % len(shown))) for v in range(variants)] for i, shown in enumerate(choices)
    ]
    lacking = [
        [Row(i, AS_RECORDED, shown_as(shown, k)) for k in range(1, len(shown))] for i, shown in enumerate(choices)
    ]
    places, moments = write_shards(
        run.features, nights, [*recorded, *chain(*changed, *lacking)], variants, options, progress
    )
    sensing = Sensing(options, run.channels)
    sensing.fit_moments(islice(moments, n_train))
    run.write_scaler(sensing.feature_names, sensing.scaler)
    copies = max(1, round(variants * AS_RECORDED_SHARE / (1 - AS_RECORDED_SHARE)))

    def stored(rows):
        return Stored([places[row] for row in rows], sensing.scaler)

    groups = []
    for row, fewer_channels, of_variants in zip(recorded[: len(varied)], lacking, changed, strict=True):
        as_recorded = [row, *fewer_channels]  # every choice of channels equally often
        groups.append(stored(as_recorded * -(-copies // len(as_recorded)) + of_variants))
    return {
        "train": groups[:n_train],
        "inner_variants": groups[n_train:],
        "inner_validation": stored(recorded[n_train:n_inner]),
        "validation": stored(recorded[n_inner:]),
    }


def shown_as(choices: Sequence[Collection[str]], k: int) -> tuple[str, ...] | None:
    """Channels of choice k (modulo their number) of pipeline.modality_dropout, for a Row; None for all channels."""
    return None if k % len(choices) == 0 else tuple(sorted(choices[k]))


def train_architecture(
    run: TrainedRun,
    architecture: str,
    data: Mapping[str, Sequence],
    progress: Progress,
    report: Report,
    epochs: int | None = None,
) -> pd.DataFrame:
    """Train one architecture, or resume its training.

    Args:
        run: The run, to which the model and its training log are written.
        architecture: One of the run's architectures.
        data: From `features_of_parts`.
        progress: As for `train_run`.
        report: As for `train_run`.
        epochs: Number of epochs to train if no subject is held out; else None.

    Returns:
        A row per training epoch: the row of models.training, "architecture", and "best", true for the epoch kept.
    """
    run.partial(architecture).mkdir(parents=True, exist_ok=True)
    log = run.accuracy_log(architecture)
    model = run.model_path(architecture)
    rows = rows_so_far(log)
    if not (rows and whole_model(model)):

        def log_epoch(row):
            write_json(log, rows)
            progress(f"{architecture}: epoch {row['epoch']} of {run.options.epochs}", 1)

        partial = run.partial(architecture)
        train_network(architecture, data, run.options, rows, partial, log_epoch, stop_after=epochs).replace(model)
        row = rows[-1]
        how = f"inner validation κ {row['inner_validation_kappa']:.2f}" if epochs is None else "chosen by inner folds"
        report(f"{architecture}: {row['epoch']} epochs, {how}")
    return pd.DataFrame(rows).assign(architecture=architecture, best=[row is rows[-1] for row in rows])


def rows_so_far(log: Path) -> list[dict]:
    """Rows of the epochs trained before, from their log; [] if that is missing or damaged."""
    try:
        rows = read_json(log)
    except UserMistake:
        return []
    epochs = [row.get("epoch") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None
    return rows if epochs and epochs == [*range(1, len(rows) + 1)] else []
