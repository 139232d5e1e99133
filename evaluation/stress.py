"""Stress test: a model's agreement when sensors are worse than those it was trained on.

Only the sensor data of held-out nights are degraded, before alignment (pipeline.degrade). Every stress is compared with
the same nights as recorded. Windows of unknown stage count by their probabilities.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.align import CHANNELS_OF_SENSOR, Aligner, Night, align, channels_of, extent
from pipeline.checks import UnusableNight
from pipeline.constants import STAGES
from pipeline.data_sets import Data, data_as_json
from pipeline.degrade import AS_RECORDED, CADENCE, CADENCE_OF_COUNTS, OF_RAW_MOTION, STRESSES, degraded
from pipeline.errors import UserMistake, one_of
from pipeline.options import Options
from pipeline.origin import read_origin
from pipeline.recordings import Recording, paths, read_recording, subjects
from pipeline.run_folder import DEFAULT_ARCHITECTURE, RunFolder, fold_folders
from pipeline.workers import in_parallel
from scoring.metrics import DRAWS, TAIL, VIEWS, agreement, confusion, plain
from scoring.predictions import PredictedNight

Model = tuple[str, str]  # architecture, precision


@dataclass(frozen=True)
class NightCounts:
    """Counts of scored epochs by predicted stage, of one night or of several as [seeds, subjects].

    Attributes:
        confusions: {view: [..., classes, classes]}.
        unknown: Number of epochs whose predicted stage is unknown, [...].
    """

    confusions: Mapping[str, np.ndarray]
    unknown: np.ndarray

    @classmethod
    def of(cls, night: PredictedNight) -> "NightCounts":
        """Counts of one night."""
        confusions = {view: confusion(night.stages, night.probabilities, view) for view in VIEWS}
        return cls(confusions, np.sum((night.stages >= 0) & ~night.sensed))


def run_folders(folder: Path) -> list[RunFolder]:
    """The folds of an evaluation folder, or the one run of a run folder.

    Raises:
        UserMistake: The folder is neither.
    """
    return [RunFolder(path) for path in fold_folders(folder) or [folder]]


def chosen_architectures(run: RunFolder, requested: Sequence[str] | None) -> tuple[str, ...]:
    """The requested architectures, or by default one of the run: DEFAULT_ARCHITECTURE if it has that."""
    available = run.options.architectures
    default = DEFAULT_ARCHITECTURE if DEFAULT_ARCHITECTURE in available else available[0]
    return run.chosen_architectures(requested or (default,))


def held_out_subjects(run: RunFolder, dataset_dir: Data | None) -> list[str]:
    """Subjects to test a run on: its held-out ones, or those of another folder that it was not trained on.

    Raises:
        UserMistake: There are none.
    """
    if dataset_dir is None:
        present = {*subjects(run.dataset_dir)}
        members = [subject for subject in run.splits["validation"] if subject in present]
    else:
        members = run.unseen_subjects(dataset_dir)
    if not members:
        raise UserMistake(f"{run.path}: none of its held-out nights is in {run.dataset_dir}")
    return members


def stressed_nights(
    recording: Recording, options: Options, stresses: Sequence[str], seed: int
) -> Iterator[tuple[str, Night]]:
    """A night under every stress.

    Args:
        recording: A recording with scored stages.
        options: Options of the run.
        stresses: Names of STRESSES.
        seed: Seed of the random degradations.

    Yields:
        (stress, night); all nights have the same windows as the recorded one, whatever sensors are missing.
    """
    clean = align(recording, options)
    for stress in stresses:
        yield stress, _realigned(recording, degraded(recording, stress, seed), clean, options)


def _realigned(recording: Recording, changed: Recording, clean: Night, options: Options) -> Night:
    """Align a changed recording to the windows of the clean night; unchanged sensors are not aligned again, to save
    time.
    """
    same = {sensor for sensor, series in recording.samples.items() if changed.samples.get(sensor) is series}
    movement = {"motion", "activity"}  # either fills the channel `activity`
    if not movement & recording.samples.keys() <= same:
        same -= movement
    rest = replace(changed, samples={sensor: x for sensor, x in changed.samples.items() if sensor not in same})
    start, end = extent(recording, options)
    aligner = Aligner(options, channels_of(rest, options), start, count_motion="activity" not in rest.samples)
    for sensor, (t, values) in rest.samples.items():
        aligner.feed(sensor, t, values)
    _, channels = aligner.advance(end)
    names = {name for sensor in same for name in CHANNELS_OF_SENSOR[sensor]} | (
        {"activity"} if same & movement else set()
    )
    return replace(clean, channels={name: x for name, x in clean.channels.items() if name in names} | channels)


def count_night(
    folder: Path, dataset_dir: Data, subject: str, models: Sequence[Model], stresses: Sequence[str], seed: int
) -> dict[tuple[Model, str], NightCounts]:
    """Counts of one held-out night under every stress.

    Args:
        folder: A run folder.
        dataset_dir: Folder of the recording.
        subject: A subject that the run was not trained on.
        models: Models of the run. float32 is the Keras model, any other precision the exported file.
        stresses: Names of STRESSES.
        seed: Seed of the random degradations.

    Returns:
        {(model, stress): counts}; {} if the night cannot be used or has no scored epoch.
    """
    from evaluation.crossvalidation import predicted_night
    from export.runner import Runner
    from models.trained_run import TrainedRun

    run = TrainedRun(folder)
    try:
        recording = read_recording(dataset_dir, subject, run.options.negative_times)
    except UnusableNight:
        return {}
    nights = [night for _, night in stressed_nights(recording, run.options, stresses, seed)]
    if not (nights[0].stages >= 0).any():
        return {}
    counts = {}
    keras = any(precision == "float32" for _, precision in models)
    features = run.sensing().sense_nights(nights) if keras else []
    for architecture, precision in models:
        if precision == "float32":
            probabilities = run.probabilities(architecture, features)
        else:
            runner = Runner(run.bundle(architecture), precision)
            probabilities = [runner.night(night, run.options) for night in nights]
        for stress, night, p in zip(stresses, nights, probabilities, strict=True):
            counts[(architecture, precision), stress] = NightCounts.of(predicted_night(run, night, p))
    return counts


def stress_test(
    folder: Path,
    dataset_dir: Data | None = None,
    architectures: Sequence[str] | None = None,
    precisions: Sequence[str] = ("float32",),
    stresses: Sequence[str] = tuple(STRESSES),
    seed: int = 0,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Score a run, or all folds of an evaluation, under every stress, `in_parallel`.

    Args:
        folder: A run folder, or the folder of an evaluation: its folds are pooled, its seeds averaged.
        dataset_dir: Scored recordings; by default those of the run.
        architectures: Architectures to test; by default one, chosen by `chosen_architectures`.
        precisions: Precisions to test.
        stresses: Names of STRESSES. AS_RECORDED is added; OF_RAW_MOTION are left out if no night has raw motion.
        seed: Seed of the random degradations.
        progress: Called with the number of finished nights and of all nights.

    Returns:
        Content of stress.json: {"folder", "dataset_dir", "trainings": their seeds, "nights": subjects, "left_out":
        subjects whose night cannot be used, "raw_motion": whether any night has it, "epochs": number of scored ones,
        "results": [{"architecture", "precision", "stresses": [row of `figures`], "cadence": [{"heart_rate", "movement",
        "kappa", "kappa_change"}]}]}.

    Raises:
        UserMistake: The folder is neither a run nor an evaluation, it lacks a model, or no night can be used.
    """
    stresses = list(dict.fromkeys([AS_RECORDED, *one_of("--stresses", stresses, STRESSES)]))
    runs = run_folders(folder)
    models = [(a, p) for a in chosen_architectures(runs[0], architectures) for p in precisions]
    for run in runs:  # so that a missing model is found before anything is predicted
        for architecture, precision in models:
            run.existing(run.model_path(architecture).name)
            if precision != "float32":
                run.bundle(architecture)
    raw_motion = has_raw_motion(runs, dataset_dir)
    if not raw_motion:
        stresses = [stress for stress in stresses if stress not in OF_RAW_MOTION]
    counted = _count_nights(runs, dataset_dir, models, stresses, seed, progress)
    scored = {key: [counts for counts in repeats if counts] for key, repeats in counted.items()}
    tested = list(dict.fromkeys(subject for (_, subject), repeats in scored.items() if repeats))
    if not tested:
        raise UserMistake(f"{folder}: none of its {len(counted)} held-out night(s) has a scored epoch")
    trainings = sorted({seed for seed, _ in counted})

    def pooled(model: Model, stress: str) -> NightCounts:
        cells = [[[c[model, stress] for c in scored.get((s, subject), [])] for subject in tested] for s in trainings]
        return _stack(cells)

    cells = CADENCE if raw_motion else CADENCE_OF_COUNTS
    results = [model_results(model, {stress: pooled(model, stress) for stress in stresses}, cells) for model in models]
    epochs = pooled(models[0], AS_RECORDED).confusions["5"][0].sum()
    document = {
        "folder": str(folder),
        "dataset_dir": data_as_json(dataset_dir or runs[0].dataset_dir),
        "simulated": bool(dataset_dir and read_origin(dataset_dir).simulated) or any(r.origin.simulated for r in runs),
        "trainings": trainings,
        "nights": tested,
        "left_out": sorted({subject for _, subject in counted} - {*tested}),
        "raw_motion": raw_motion,
        "epochs": epochs,
        "results": results,
    }
    return plain(document)


def has_raw_motion(runs: Sequence[RunFolder], dataset_dir: Data | None) -> bool:
    """Whether any tested night has raw motion."""
    tested = (
        (dataset_dir or run.dataset_dir, subject) for run in runs for subject in held_out_subjects(run, dataset_dir)
    )
    return any(paths(folder, subject)["motion"].exists() for folder, subject in tested)


def _count_nights(
    runs: Sequence[RunFolder],
    dataset_dir: Data | None,
    models: Sequence[Model],
    stresses: Sequence[str],
    seed: int,
    progress: Callable[[int, int], object],
) -> dict[tuple[int, str], list[dict]]:
    """{(seed of the training, subject): results of `count_night`, one per repeat} of all held-out nights."""
    work = [(run, subject) for run in runs for subject in held_out_subjects(run, dataset_dir)]
    calls = ((run.path, dataset_dir or run.dataset_dir, subject, models, stresses, seed) for run, subject in work)
    counted: dict[tuple[int, str], list[dict]] = {}
    progress(0, len(work))
    for done, ((run, subject), counts) in enumerate(zip(work, in_parallel(count_night, calls), strict=True), 1):
        counted.setdefault((run.options.seed, subject), []).append(counts)
        progress(done, len(work))
    return counted


def _stack(cells: Sequence[Sequence[Sequence[NightCounts]]]) -> NightCounts:
    """Combine counts of each seed, subject and repeat into counts [seeds, subjects]; repeats are summed."""

    def stack(values, shape):
        return np.array([[sum(map(values, repeats), np.zeros(shape, int)) for repeats in row] for row in cells])

    confusions = {
        view: stack(lambda counts, view=view: counts.confusions[view], (len(names), len(names)))
        for view, (names, _) in VIEWS.items()
    }
    return NightCounts(confusions, stack(lambda counts: counts.unknown, ()))


def model_results(
    model: Model, counts: Mapping[str, NightCounts], cells: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """One entry of "results" in stress.json.

    Args:
        model: The model.
        counts: {stress: counts [seeds, subjects]}, including AS_RECORDED.
        cells: CADENCE or CADENCE_OF_COUNTS.
    """
    rows = {stress: figures(stress, after, counts[AS_RECORDED]) for stress, after in counts.items()}
    cadence = [
        {
            "heart_rate": heart_rate,
            "movement": movement,
            "kappa": rows[name]["views"]["5"]["kappa"],
            "kappa_change": rows[name]["kappa_change"],
        }
        for (heart_rate, movement), name in cells.items()
        if name in rows
    ]
    architecture, precision = model
    return {"architecture": architecture, "precision": precision, "stresses": [*rows.values()], "cadence": cadence}


def figures(stress: str, counts: NightCounts, clean: NightCounts) -> dict[str, Any]:
    """One row of the report: scores pooled over subjects, then averaged over seeds.

    Args:
        stress: Name of the stress.
        counts: Counts under the stress, [seeds, subjects].
        clean: Counts of the same nights as recorded.

    Returns:
        {"stress", "kind", "strength", "unit", "views": {view: {"accuracy", "kappa", "macro_f1"}}, "recall" and
        "precision" of the five stages, "predicted_per_scored": predicted epochs of a stage per scored epoch of it,
        "unknown_share" of the epochs, "kappa_change" from the nights as recorded, "kappa_change_interval"}. Undefined
        ratios are NaN.
    """
    pooled = {view: confusions.sum(1) for view, confusions in counts.confusions.items()}  # [seeds, classes, classes]
    five = pooled["5"]
    right, scored, predicted = np.diagonal(five, axis1=1, axis2=2), five.sum(2), five.sum(1)  # [seeds, stages]
    change, interval = kappa_change(counts.confusions["5"], clean.confusions["5"])
    definition = STRESSES[stress]
    return {
        "stress": stress,
        "kind": definition.kind,
        "strength": definition.strength,
        "unit": definition.unit,
        "views": {view: {name: x.mean() for name, x in agreement(matrix).items()} for view, matrix in pooled.items()},
        "recall": _of_stages(right, scored),
        "precision": _of_stages(right, predicted),
        "predicted_per_scored": _of_stages(predicted, scored),
        "unknown_share": counts.unknown.sum() / five.sum(),
        "kappa_change": change,
        "kappa_change_interval": interval,
    }


def _of_stages(part: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """{stage: part / whole, mean over seeds} of counts [seeds, stages]; NaN for stages without any."""
    ratios = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0).mean(0)
    return dict(zip(STAGES, ratios.tolist(), strict=True))


def kappa_change(after: np.ndarray, before: np.ndarray) -> tuple[float, list[float] | None]:
    """Change of pooled five-stage κ by a stress, mean over seeds.

    Args:
        after: Confusion matrices under the stress, [seeds, subjects, 5, 5].
        before: Confusion matrices of the nights as recorded, [seeds, subjects, 5, 5].

    Returns:
        The change and its 95 % interval, by a percentile bootstrap over subjects (Efron & Tibshirani 1993) that draws
        the same subjects for both; the interval is None for a single subject.
    """
    change = float(np.mean(agreement(after.sum(1))["kappa"] - agreement(before.sum(1))["kappa"]))
    subjects = after.shape[1]
    if subjects < 2:
        return change, None
    times_drawn = np.random.default_rng(0).multinomial(subjects, np.full(subjects, 1 / subjects), DRAWS)
    kappa_after, kappa_before = (
        agreement(np.tensordot(times_drawn, confusions, (1, 1)))["kappa"].mean(1)  # of [draws, seeds, 5, 5]
        for confusions in (after, before)
    )
    return change, np.quantile(kappa_after - kappa_before, (TAIL, 1 - TAIL)).tolist()
