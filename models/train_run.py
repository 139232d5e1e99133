"""From nights to trained models in a run folder: what train.py and every fold of an evaluation have in common."""

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

AS_RECORDED_SHARE = 1 / 3  # how likely a training epoch takes a night as it is, not one of its variants

Doing = Callable[..., None]
Done = Callable[[str], None]


def train_run(
    run: TrainedRun,
    parts: Mapping[str, Sequence[Night]],
    doing: Doing = lambda what, cost=0: None,
    done: Done = lambda what: None,
) -> None:
    """Fit sensing and train every network of a run. Writes all that export, parity and evaluation start from.

    What a stopped run left in the folder is gone on from.

    Args:
        run: The run.
        parts: {"train", "inner_validation", "validation"} -> nights; the last two are empty where every subject is
            trained on.
        doing: Called as doing(what, cost) with the work that is under way, and its cost (s, roughly) once it is done.
        done: Called as done(what) when a stage of the work is done.

    Raises:
        UserMistake: A part has no scored window.
    """
    for name, nights in parts.items():
        if nights and not any((night.stages >= 0).any() for night in nights):
            raise UserMistake(f"no scored window in the {name.replace('_', ' ')} nights; with this --stride perhaps")
    data = features_of_parts(run, parts, doing)
    candidates = parts["validation"] or parts["train"]
    fullest = sorted(candidates, key=lambda night: (-len(night.channels) * len(night), -len(night)))
    run.write_golden_nights(fullest)
    done(f"{len(run.scaler['mean'])} features")
    rows, points, left_out = [], {}, {}
    for architecture in run.options.architectures:
        epochs, stages, probabilities = choose_by_folds(run, architecture, parts, data, doing, done)
        rows.append(train_architecture(run, architecture, data, doing, done, epochs))
        if probabilities is None:
            stages = [stages for _, stages in data["inner_validation"]]
            probabilities = run.probabilities(architecture, (features for features, _ in data["inner_validation"]))
        points[architecture], left_out[architecture] = operating_points(stages, probabilities)
        for name, reason in left_out[architecture].items():
            done(f"{architecture}: no operating point {name!r}: {reason}")
    run.write_accuracies(pd.concat(rows))
    run.write_operating_points(points, left_out)
    longest = sorted(data["train"], key=lambda variants: windows_of(variants)[0])[-CALIBRATION_NIGHTS:]
    run.draw_calibration([variants[0][0] for variants in longest])


def choose_by_folds(run: TrainedRun, architecture: str, parts, data, doing: Doing, done: Done):
    """What inner cross-validation says of an architecture; its predictions are kept in the run.

    Returns:
        How many epochs to train where no subject is held out, else None; stages [windows] and probabilities
        [windows, 5] of every training and inner validation night, None without inner folds.
    """
    if not run.options.inner_folds:
        return None, None, None
    nights = [*parts["train"], *parts["inner_validation"]]
    pool = [*data["train"], *data["inner_variants"]]
    doing(f"{architecture}: inner folds")
    epochs, probabilities = predict_out_of_fold(
        architecture,
        pool,
        run.options,
        run.partial(architecture),
        choose_epoch=not parts["validation"],
        progress=lambda: doing(f"{architecture}: inner folds", run.options.epochs),
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
    done(f"{architecture}: {run.options.inner_folds} inner folds, κ {figures['kappa']:.2f}")
    return (None if parts["validation"] else epochs), [night.stages for night in nights], probabilities


def features_of_parts(
    run: TrainedRun, parts: Mapping[str, Sequence[Night]], doing: Doing = lambda what, cost=0: None
) -> dict[str, Sequence]:
    """Features and stages of all nights, with the scaler fitted on the training nights and written to the run.

    Features are in shards in the run folder, and are read when they are asked for.

    Args:
        run: The run.
        parts: {"train", "inner_validation", "validation"} -> nights.
        doing: As `train_run` takes it.

    Returns:
        {"train" and, for inner folds, "inner_variants": per night a list of (features [windows, F], stages [windows]),
        itself as often as AS_RECORDED_SHARE asks and then its variants, all of them also without the channels that
        another data set lacks (pipeline.modality_dropout); "inner_validation" and "validation": per night one such
        pair}.
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
    changed = [  # the last choice, with fewest of the channels, first
        [Row(i, v, shown_as(shown, -1 - v % len(shown))) for v in range(variants)] for i, shown in enumerate(choices)
    ]
    lacking = [
        [Row(i, AS_RECORDED, shown_as(shown, k)) for k in range(1, len(shown))] for i, shown in enumerate(choices)
    ]
    places, moments = write_shards(
        run.features, nights, [*recorded, *chain(*changed, *lacking)], variants, options, doing
    )
    sensing = Sensing(options, run.channels)
    sensing.fit_moments(islice(moments, n_train))
    run.write_scaler(sensing.feature_names, sensing.scaler)
    copies = max(1, round(variants * AS_RECORDED_SHARE / (1 - AS_RECORDED_SHARE)))

    def stored(rows):
        return Stored([places[row] for row in rows], sensing.scaler)

    groups = []
    for one, *rest in zip(recorded[: len(varied)], lacking, changed, strict=True):
        whole = [one, *rest[0]]  # as recorded, each choice of channels as often as the next
        groups.append(stored(whole * -(-copies // len(whole)) + rest[1]))
    return {
        "train": groups[:n_train],
        "inner_variants": groups[n_train:],
        "inner_validation": stored(recorded[n_train:n_inner]),
        "validation": stored(recorded[n_inner:]),
    }


def shown_as(choices: Sequence[Collection[str]], k: int) -> tuple[str, ...] | None:
    """The channels of a choice of pipeline.modality_dropout, for a Row; None for all that the night has."""
    return None if k % len(choices) == 0 else tuple(sorted(choices[k]))


def train_architecture(
    run: TrainedRun,
    architecture: str,
    data: Mapping[str, Sequence],
    doing: Doing,
    done: Done,
    epochs: int | None = None,
) -> pd.DataFrame:
    """Train one architecture, or take what a stopped run left of it.

    Args:
        run: The run, which the model and the log of its epochs are written to.
        architecture: One of the run's.
        data: As `features_of_parts` returns it.
        doing: As `train_run` takes it.
        done: As `train_run` takes it.
        epochs: How many of the schedule to train where there are no inner validation nights to choose by; else None.

    Returns:
        A row per training epoch: as models.training logs it, "architecture", and whether it is the one kept ("best").
    """
    run.partial(architecture).mkdir(parents=True, exist_ok=True)
    log = run.accuracy_log(architecture)
    model = run.model_path(architecture)
    rows = rows_so_far(log)
    if not (rows and whole_model(model)):

        def log_epoch(row):
            write_json(log, rows)
            doing(f"{architecture}: epoch {row['epoch']} of {run.options.epochs}", 1)

        partial = run.partial(architecture)
        train_network(architecture, data, run.options, rows, partial, log_epoch, stop_after=epochs).replace(model)
        row = rows[-1]
        how = f"inner validation κ {row['inner_validation_kappa']:.2f}" if epochs is None else "chosen by inner folds"
        done(f"{architecture}: {row['epoch']} epochs, {how}")
    return pd.DataFrame(rows).assign(architecture=architecture, best=[row is rows[-1] for row in rows])


def rows_so_far(log: Path) -> list[dict]:
    """The rows of the epochs that were trained before, from their log; [] where that is missing or damaged."""
    try:
        rows = read_json(log)
    except UserMistake:
        return []
    epochs = [row.get("epoch") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None
    return rows if epochs and epochs == [*range(1, len(rows) + 1)] else []
