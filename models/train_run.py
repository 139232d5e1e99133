"""From nights to trained models in a run folder: what train.py and every fold of an evaluation have in common."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from models.inner_folds import predict_out_of_fold
from models.operating_points import operating_points
from models.sensing import Sensing
from models.trained_run import TrainedRun
from models.training import train_network
from pipeline.align import Night
from pipeline.augment import night_variants
from pipeline.coverage import unknown_windows
from pipeline.data_sets import sets_of
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json
from pipeline.modality_dropout import channel_choices, only_channels
from scoring.metrics import scores
from scoring.predictions import PredictedNight, Result, write_predictions

AS_RECORDED = 1 / 3  # how likely a training epoch takes a night as it is, not one of its variants

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
    data = features_of_parts(run, parts)
    candidates = parts["validation"] or parts["train"]
    fullest = sorted(candidates, key=lambda night: (-len(night.channels) * len(night), -len(night)))
    run.write_golden_nights(fullest)
    done(f"{len(run.scaler['mean'])} features")
    rows, points, left_out = [], {}, {}
    for architecture in run.options.architectures:
        epochs, stages, probabilities = choose_by_folds(run, architecture, parts, data, doing, done)
        rows.append(train_architecture(run, architecture, data, doing, done, epochs))
        if probabilities is None:
            features, stages = zip(*data["inner_validation"], strict=True)
            probabilities = run.probabilities(architecture, features)
        points[architecture], left_out[architecture] = operating_points(stages, probabilities)
        for name, reason in left_out[architecture].items():
            done(f"{architecture}: no operating point {name!r}: {reason}")
    run.write_accuracies(pd.concat(rows))
    run.write_operating_points(points, left_out)
    run.draw_calibration([variants[0][0] for variants in data["train"]])


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


def features_of_parts(run: TrainedRun, parts: Mapping[str, Sequence[Night]]) -> dict[str, list]:
    """Features and stages of all nights, with the scaler fitted on the training nights and written to the run.

    Args:
        run: The run.
        parts: {"train", "inner_validation", "validation"} -> nights.

    Returns:
        {"train" and, for inner folds, "inner_variants": per night a list of (features [windows, F], stages [windows]),
        itself as often as AS_RECORDED asks and then its variants, all of them also without the channels that another
        data set lacks (pipeline.modality_dropout); "inner_validation" and "validation": per night one such pair}.
    """
    sensing = Sensing(run.options, run.channels)
    options = run.options
    varied = [*parts["train"], *(parts["inner_validation"] if options.inner_folds else ())]
    variants = [night_variants(night, options, [options.seed, i], options.variants) for i, night in enumerate(varied)]
    sets = sets_of(run.dataset_dir, [night.subject for night in varied])
    choices = channel_choices(varied, sets, run.channels, [night.subject for night in parts["train"]])
    variants = [  # the last choice, with fewest of the channels, first
        [only_channels(variant, shown[-1 - k % len(shown)]) for k, variant in enumerate(group)]
        for group, shown in zip(variants, choices, strict=True)
    ]
    lacking = [[only_channels(n, names) for names in shown[1:]] for n, shown in zip(varied, choices, strict=True)]
    nights = [*parts["train"], *parts["inner_validation"], *parts["validation"]]
    every = [*nights, *(night for groups in (variants, lacking) for group in groups for night in group)]
    values, available = sensing.measure_nights(every)  # in one go: nothing passes from night to night
    n_train = len(parts["train"])
    sensing.fit(values[:n_train], available[:n_train])
    run.write_scaler(sensing.feature_names, sensing.scaler)
    pairs = list(zip(sensing.scale_nights(values, available), [night.stages for night in every], strict=True))
    originals, rest = pairs[: len(nights)], iter(pairs[len(nights) :])
    groups = [[next(rest) for _ in group] for group in variants]
    recorded = [[originals[i], *(next(rest) for _ in group)] for i, group in enumerate(lacking)]
    copies = max(1, round(options.variants * AS_RECORDED / (1 - AS_RECORDED)))
    # as recorded, each choice of channels as often as the next
    groups = [one * -(-copies // len(one)) + group for one, group in zip(recorded, groups, strict=True)]
    n_inner = n_train + len(parts["inner_validation"])
    return {
        "train": groups[:n_train],
        "inner_variants": groups[n_train:],
        "inner_validation": originals[n_train:n_inner],
        "validation": originals[n_inner:],
    }


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
    rows = read_json(log) if log.exists() else []
    if not model.exists():

        def log_epoch(row):
            write_json(log, rows)
            doing(f"{architecture}: epoch {row['epoch']} of {run.options.epochs}", 1)

        partial = run.partial(architecture)
        train_network(architecture, data, run.options, rows, partial, log_epoch, stop_after=epochs).replace(model)
        row = rows[-1]
        how = f"inner validation κ {row['inner_validation_kappa']:.2f}" if epochs is None else "chosen by inner folds"
        done(f"{architecture}: {row['epoch']} epochs, {how}")
    return pd.DataFrame(rows).assign(architecture=architecture, best=[row is rows[-1] for row in rows])
