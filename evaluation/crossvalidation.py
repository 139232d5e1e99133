"""Cross-validation: every fold is trained in its own process and run folder, which keeps its predictions."""

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

DEFAULT = "default"  # operating point with unweighted probabilities
ENSEMBLE = "ensemble"


def model_probabilities(
    run: TrainedRun, architecture: str, precision: str, nights: Sequence[Night], dataset_dir: Data
) -> list[np.ndarray]:
    """Probabilities predicted by a model of a run.

    Args:
        run: The run.
        architecture: One of the run's architectures.
        precision: float32 for the Keras model; any other for the exported file, run on a simulated watch that each
            night's recording is streamed through.
        nights: The nights.
        dataset_dir: Folder of their recordings, or several sets.

    Returns:
        Probabilities of each night, [windows, 5].
    """
    if precision == "float32":
        return run.probabilities(architecture, run.sensing().sense_nights(nights))
    bundle, options = run.bundle(architecture), run.options
    recordings = (read_recording(dataset_dir, night.subject, options.negative_times) for night in nights)
    tables = (predict_night(bundle, precision, recording, options) for recording in recordings)
    return [table[[*PROBABILITY_COLUMNS]].to_numpy() for table in tables]


def predicted_night(run: RunFolder, night: Night, probabilities: np.ndarray) -> PredictedNight:
    """The PredictedNight of a run's probabilities [windows, 5]; unknown if the watch would predict no stage."""
    unknown = unknown_windows(night, run.options, run.channels)
    return PredictedNight(night.subject, night.ends - run.options.stride, night.stages, probabilities, unknown=unknown)


def predict_result(
    run: TrainedRun, architecture: str, precision: str, repeat: int, nights: Sequence[Night], dataset_dir: Data
) -> Result:
    """The Result of a run's model at the default operating point. Args: as `model_probabilities`."""
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
    """Train one fold, or resume one that was stopped, and write its predictions.

    Args:
        folder: Run folder of the fold.
        dataset_dir: Folder of the recordings, or several sets.
        fold: The fold, with the subjects to train on and to hold out.
        options: Options of the run; their seed is replaced by the fold's.
        precisions: Precisions to predict with.
        windows: Number of parts to split the windows into, instead of the subjects (a leak); None for subjects.

    Raises:
        UserMistake: The training diverged, or the folder was begun with other nights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(folder), poll_interval=1):  # a worker that was thought lost may still be working on it
        remove_unfinished(folder)
        _run_fold(folder, dataset_dir, fold, options, precisions, windows)


def _lock(folder: Path) -> Path:
    """Path of a fold's lock file."""
    return folder.with_name(f".{folder.name}.lock")


def _run_fold(folder, dataset_dir, fold, options, precisions, windows):
    """`run_fold`, with the lock held."""
    os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))  # with one job, too, to give the same bytes
    missing = [
        (architecture, precision)
        for architecture in options.architectures
        for precision in precisions
        if not held_out_predictions(folder, architecture, precision).exists()
    ]
    if not missing:
        if folder.exists():  # it may have been stopped while finishing
            RunFolder(folder).finish()
        return
    nights, _ = load_nights(dataset_dir, options)
    part = by_window(nights, fold, windows, options) if windows else nights_by_part(nights, fold.splits)
    splits = {name: [night.subject for night in members] for name, members in part.items()}  # the actual one
    RunFolder.create(folder, nights, splits, replace(options, seed=fold.seed), dataset_dir)
    run = TrainedRun(folder)
    _train_and_export(run, part, [precision for precision in precisions if precision != "float32"])
    for architecture, precision in missing:
        result = predict_result(run, architecture, precision, fold.repeat, part["validation"], dataset_dir)
        if not all(np.isfinite(night.probabilities).all() for night in result.nights):
            raise UserMistake(f"{folder}: {architecture} diverged and predicts nothing; try a lower --lr")
        write_predictions(held_out_predictions(folder, architecture, precision), result)
    run.finish()


def _train_and_export(run: TrainedRun, part: dict[str, list[Night]], exported: Sequence[str]) -> None:
    """Train the run unless it is trained, and build the bundles that are missing for these precisions."""
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
    """Run all folds in the folders <out>/folds/<name>, `in_parallel`; complete ones are not run again.

    Args: as `run_fold`.
        out: Folder of the evaluation.
        folds: All folds.
        progress: Called after each fold.
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
    """Collect the results of all models and operating points: folds are pooled, repeats and seeds are not.

    Args:
        out: Folder of the evaluation.
        dataset_dir: Folder of the recordings, or several sets.
        folds: All folds of the protocol.
        options: Options of the runs.
        precisions: Precisions to collect.
        ensemble: Whether to add the mean of all architectures' probabilities (for each seed, at the default operating
            point).

    Returns:
        The results, with the default operating point first, in the order of the precisions.
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
    """{operating point: nights of all folds}; each fold has its own weights."""
    predicted = [(f, read_predictions(held_out_predictions(f, architecture, precision))) for f in folders]
    points = {folder: RunFolder(folder).operating_points(architecture) for folder in folders}
    by_point = {DEFAULT: merge_by_subject([night for _, nights in predicted for night in nights], valid)}
    for point in dict.fromkeys(name for of_fold in points.values() for name in of_fold):
        weighed = [  # a fold lacks a point if its subjects needed no weights
            weigh_night(night, **points[folder][point]) if point in points[folder] else night
            for folder, nights in predicted
            for night in nights
        ]
        by_point[point] = merge_by_subject(weighed, valid)
    return by_point


def _sorted(results: list[Result], precisions: Sequence[str]) -> list[Result]:
    """Sort the default operating point first, by precision, and DEFAULT_ARCHITECTURE before the others."""
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
    """Merge nights to one per subject, with its mask of valid epochs.

    Args:
        nights: Predicted nights. Split by window, a night comes once per fold, and each window is taken from the fold
            that scored it.
        valid: {subject: [windows] bool} from `walch_valid`.

    Raises:
        UserMistake: A mask does not fit its night: the recording has changed since the models were scored on it.
    """
    merged: dict[str, PredictedNight] = {}
    for night in nights:
        if before := merged.get(night.subject):
            scored = night.stages >= 0
            p = np.where(scored[:, None], night.probabilities, before.probabilities)
            night = replace(night, stages=np.where(scored, night.stages, before.stages), probabilities=p)
        mask = valid.get(night.subject)
        if mask is not None and len(mask) != len(night.stages):
            raise UserMistake(f"night {night.subject}: changed since it was scored; start a new evaluation")
        merged[night.subject] = replace(night, valid=mask)
    return list(merged.values())


def score(
    run: TrainedRun,
    dataset_dir: Data,
    nights: Sequence[Night],
    architectures: Sequence[str],
    precisions: Sequence[str],
) -> list[Result]:
    """Score a trained run on nights, at all its operating points.

    Args:
        run: The run.
        dataset_dir: Folder of the recordings, or several sets.
        nights: Nights that the run was not trained on.
        architectures: Architectures of the run.
        precisions: Precisions to score.

    Returns:
        The results, with the default operating point first, in the order of the precisions.
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
    """Results on the training nights, each predicted by an inner-fold network that was not trained on it."""
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
