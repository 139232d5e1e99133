"""Evaluations: every fold is a run folder of its own, trained in a process of its own, with its predictions."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from evaluation.protocols import Fold, by_window
from models.trained_run import TrainedRun
from pipeline.align import Night
from pipeline.coverage import unknown_windows
from pipeline.data_sets import Data
from pipeline.errors import UserMistake
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.recordings import read_recording
from pipeline.run_folder import (
    DEFAULT_ARCHITECTURE,
    PREDICTIONS,
    RunFolder,
    fold_folder,
    held_out_predictions,
    predictions_of,
)
from pipeline.scratch import remove_unfinished
from pipeline.splits import nights_by_part
from pipeline.workers import TENSORFLOW_THREADS, in_parallel
from scoring.predictions import (
    PROBABILITY_COLUMNS,
    PredictedNight,
    Result,
    read_predictions,
    walch_valid,
    weigh_night,
    write_predictions,
)
from watch_sim.predict import predict_night

DEFAULT = "default"  # operating point: probabilities as they are
ENSEMBLE = "ensemble"


def model_probabilities(
    run: TrainedRun, architecture: str, precision: str, nights: Sequence[Night], dataset_dir: Data
) -> list[np.ndarray]:
    """Probabilities of a model of a run.

    Args:
        run: The run.
        architecture: One of the run's.
        precision: float32 is the full Keras model; any other is the exported file, run on the watch that each night's
            recording is streamed through.
        nights: Of pipeline.align.
        dataset_dir: Folder of their recordings, or several sets.

    Returns:
        [windows, 5] of each night.
    """
    if precision == "float32":
        return run.probabilities(architecture, run.sensing().sense_nights(nights))
    bundle, options = run.bundle(architecture), run.options
    recordings = (read_recording(dataset_dir, night.subject, options.negative_times) for night in nights)
    tables = (predict_night(bundle, precision, recording, options) for recording in recordings)
    return [table[[*PROBABILITY_COLUMNS]].to_numpy() for table in tables]


def predicted_night(run: RunFolder, night: Night, probabilities: np.ndarray) -> PredictedNight:
    """The PredictedNight of a run's probabilities [windows, 5]; unknown where the watch would give no stage."""
    unknown = unknown_windows(night, run.options, run.channels)
    return PredictedNight(night.subject, night.ends - run.options.stride, night.stages, probabilities, unknown=unknown)


def predict_result(
    run: TrainedRun, architecture: str, precision: str, repeat: int, nights: Sequence[Night], dataset_dir: Data
) -> Result:
    """The Result of a model of a run at the default operating point; arguments as `model_probabilities` has them."""
    probabilities = model_probabilities(run, architecture, precision, nights, dataset_dir)
    predicted = [predicted_night(run, night, p) for night, p in zip(nights, probabilities, strict=True)]
    return Result(architecture, precision, run.options.seed, repeat, DEFAULT, predicted)


def run_fold(
    folder: Path,
    dataset_dir: Data,
    fold: Fold,
    options: Options,
    precisions: Sequence[str],
    windows: int | None = None,
) -> None:
    """Train one fold in the run folder `folder`, or finish one that was stopped, and write its predictions.

    Args:
        folder: Of the fold.
        dataset_dir: Folder of the recordings, or several sets.
        fold: Which subjects are trained on and held out.
        options: Options of the run; the fold has a seed of its own.
        precisions: Of PRECISIONS, to be predicted with.
        windows: None, or into how many parts the windows are split instead of the subjects (a leak).

    Raises:
        UserMistake: The training has diverged, or the folder was begun with other nights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(folder), poll_interval=1):  # a worker that was given up for lost may still be at it
        remove_unfinished(folder)
        _run_fold(folder, dataset_dir, fold, options, precisions, windows)


def _lock(folder: Path) -> Path:
    """The file that is locked while a fold is at work."""
    return folder.with_name(f".{folder.name}.lock")


def _run_fold(folder, dataset_dir, fold, options, precisions, windows):
    """As `run_fold`, which has made sure that no other process is at it."""
    os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))  # with one job, too: the same bytes with any number
    missing = [
        (architecture, precision)
        for architecture in options.architectures
        for precision in precisions
        if not held_out_predictions(folder, architecture, precision).exists()
    ]
    if not missing:
        if folder.exists():  # where it was stopped while doing so
            RunFolder(folder).finish()
        return
    nights, _ = load_nights(dataset_dir, options)
    part = by_window(nights, fold, windows, options) if windows else nights_by_part(nights, fold.splits)
    splits = {name: [night.subject for night in members] for name, members in part.items()}  # as it is, by window too
    RunFolder.create(folder, nights, splits, replace(options, seed=fold.seed), dataset_dir)
    run = TrainedRun(folder)
    _train_and_export(run, part, [precision for precision in precisions if precision != "float32"])
    for architecture, precision in missing:
        result = predict_result(run, architecture, precision, fold.repeat, part["validation"], dataset_dir)
        if not all(np.isfinite(night.probabilities).all() for night in result.nights):
            raise UserMistake(f"{folder}: {architecture} has diverged and predicts nothing; try a lower --lr")
        write_predictions(held_out_predictions(folder, architecture, precision), result)
    run.finish()


def _train_and_export(run: TrainedRun, part: dict[str, list[Night]], exported: Sequence[str]) -> None:
    """Train what is not trained, and make the bundles that are missing for these precisions."""
    from export.build import build_bundles
    from models.train_run import train_run

    if not run.trained:
        train_run(run, part)
    unbuilt = [name for name in run.options.architectures if exported and not (run.bundles / name).exists()]
    if unbuilt:
        build_bundles(run, unbuilt, run.bundles, precisions=exported)


def run_folds(
    out: Path,
    dataset_dir: Data,
    folds: Sequence[Fold],
    options: Options,
    precisions: Sequence[str],
    windows: int | None = None,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Run all folds in the folders <out>/folds/<name>, by the `workers` of the context; complete ones not again.

    Other arguments are those of `run_fold`; progress is called after each fold.
    """
    work = ((fold_folder(out, fold.name), dataset_dir, fold, options, precisions, windows) for fold in folds)
    for _ in in_parallel(run_fold, work, ordered=False):
        progress()
    for fold in folds:
        _lock(fold_folder(out, fold.name)).unlink(missing_ok=True)


def collect_results(
    out: Path,
    dataset_dir: Data,
    folds: Sequence[Fold],
    options: Options,
    precisions: Sequence[str],
    ensemble: bool = False,
) -> list[Result]:
    """Results of all models and operating points: folds pooled, repeats and seeds apart.

    Args:
        out: Folder of the evaluation.
        dataset_dir: Folder of the recordings, or several sets.
        folds: All of the protocol.
        options: Options of the runs.
        precisions: Of PRECISIONS.
        ensemble: Add the mean of all architectures' probabilities (of each seed, at the default operating point).

    Returns:
        The default operating point first, in the order of the precisions.
    """
    nights, _ = load_nights(dataset_dir, options)
    valid = walch_valid(dataset_dir, nights)
    results = []
    for precision in precisions:
        for seed, repeat in dict.fromkeys((fold.seed, fold.repeat) for fold in folds):
            folders = [fold_folder(out, fold.name) for fold in folds if (fold.seed, fold.repeat) == (seed, repeat)]
            pooled = {}
            for architecture in options.architectures:
                by_point = _pooled_by_point(folders, architecture, precision, valid)
                pooled[architecture] = by_point[DEFAULT]
                results += [
                    Result(architecture, precision, seed, repeat, point, nights) for point, nights in by_point.items()
                ]
            if ensemble:
                means = [
                    replace(same[0], probabilities=np.mean([night.probabilities for night in same], 0))
                    for same in zip(*pooled.values(), strict=True)
                ]
                results.append(Result(ENSEMBLE, precision, seed, repeat, DEFAULT, means))
    return _sorted(results, precisions)


def _pooled_by_point(
    folders: Sequence[Path], architecture: str, precision: str, valid: dict[str, np.ndarray]
) -> dict[str, list[PredictedNight]]:
    """{operating point: nights of all folds}; each fold has chosen the weights of its own points."""
    predicted = [(f, read_predictions(held_out_predictions(f, architecture, precision))) for f in folders]
    points = {folder: RunFolder(folder).operating_points(architecture) for folder in folders}
    by_point = {DEFAULT: merge_by_subject([night for _, nights in predicted for night in nights], valid)}
    for point in dict.fromkeys(name for of_fold in points.values() for name in of_fold):
        weighed = [  # where a fold's subjects needed no weights, it has none
            weigh_night(night, **points[folder][point]) if point in points[folder] else night
            for folder, nights in predicted
            for night in nights
        ]
        by_point[point] = merge_by_subject(weighed, valid)
    return by_point


def _sorted(results: list[Result], precisions: Sequence[str]) -> list[Result]:
    """The default operating point first, in the order of the precisions, DEFAULT_ARCHITECTURE before the others."""
    return sorted(
        results,
        key=lambda r: (
            r.operating_point != DEFAULT,
            precisions.index(r.precision),
            r.architecture != DEFAULT_ARCHITECTURE,
        ),
    )


def write_tables(out: Path, results: Sequence[Result]) -> None:
    """Write predictions.csv of the first result, and predictions/<model>.csv of each at the default operating point."""
    write_predictions(out / PREDICTIONS, results[0])
    for result in results:
        if result.operating_point == DEFAULT:
            training = f"seed_{result.seed}", f"repeat_{result.repeat}"
            write_predictions(predictions_of(out, result.architecture, result.precision, *training), result)


def merge_by_subject(nights: Sequence[PredictedNight], valid: dict[str, np.ndarray]) -> list[PredictedNight]:
    """One night per subject, with its mask of valid epochs.

    Args:
        nights: A night that several folds scored in parts (split by window) comes once per fold; of these each window
            is taken from the fold that scored it.
        valid: {subject: [windows] bool} of `walch_valid`.

    Raises:
        UserMistake: A mask does not fit its night: the recording has changed since the models were scored on it.
    """
    merged: dict[str, PredictedNight] = {}
    for night in nights:
        if before := merged.get(night.subject):
            here = night.stages >= 0
            p = np.where(here[:, None], night.probabilities, before.probabilities)
            night = replace(night, stages=np.where(here, night.stages, before.stages), probabilities=p)
        mask = valid.get(night.subject)
        if mask is not None and len(mask) != len(night.stages):
            raise UserMistake(f"night {night.subject} is not as it was when the models were scored on it; start anew")
        merged[night.subject] = replace(night, valid=mask)
    return list(merged.values())


def score(
    run: TrainedRun,
    dataset_dir: Data,
    nights: Sequence[Night],
    architectures: Sequence[str],
    precisions: Sequence[str],
) -> list[Result]:
    """Score a trained run on nights of a folder, at all its operating points.

    Args:
        run: The run.
        dataset_dir: Folder of the recordings, or several sets.
        nights: Of pipeline.align, that the run was not trained on.
        architectures: Of the run.
        precisions: Of PRECISIONS.

    Returns:
        The default operating point first, in the order of the precisions.
    """
    valid = walch_valid(dataset_dir, nights)
    results = []
    for precision in precisions:
        for architecture in architectures:
            default = predict_result(run, architecture, precision, 0, nights, dataset_dir)
            results.append(replace(default, nights=merge_by_subject(default.nights, valid)))
            for name, point in run.operating_points(architecture).items():
                weighed = [weigh_night(night, **point) for night in default.nights]
                results.append(replace(default, operating_point=name, nights=merge_by_subject(weighed, valid)))
    return _sorted(results, precisions)


def out_of_fold_results(run: TrainedRun) -> list[Result]:
    """Results on the training nights, each predicted by a network of the inner folds that was not trained on it."""
    nights, _ = load_nights(run.dataset_dir, run.options)
    valid = walch_valid(run.dataset_dir, nights)
    results = []
    for architecture in run.options.architectures:
        predicted = read_predictions(run.out_of_fold(architecture))
        points = {DEFAULT: predicted} | {
            name: [weigh_night(night, **point) for night in predicted]
            for name, point in run.operating_points(architecture).items()
        }
        results += [
            Result(architecture, "float32", run.options.seed, 0, name, merge_by_subject(nights, valid))
            for name, nights in points.items()
        ]
    return _sorted(results, ["float32"])
