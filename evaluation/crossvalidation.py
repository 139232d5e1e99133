"""Evaluations: every fold is a run folder of its own, trained in a process of its own, with its predictions."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from evaluation.protocols import by_window
from evaluation.results import PROBABILITY_COLUMNS, Result, SaidNight, read_predictions, walch_valid, write_predictions
from models.run import Run
from pipeline.begin import begin
from pipeline.nights import load_nights
from pipeline.options import UserMistake
from pipeline.recordings import read_recording
from watch_sim.predict import predict_night

DEFAULT = "default"  # operating point: probabilities as they are
ENSEMBLE = "ensemble"


def said_by_watch(bundle, precision, nights, folder, options):
    """[windows, 5] of each night: its recording streamed through the watch that runs the exported file."""
    recordings = (read_recording(folder, night.subject, options.negative_times) for night in nights)
    return [predict_night(bundle, precision, each, options)[[*PROBABILITY_COLUMNS]].to_numpy() for each in recordings]


def said_of(run, architecture, precision, nights, folder):
    """[windows, 5] of each night: float32 is the full Keras model, others the exported file on the watch."""
    if precision == "float32":
        return run.probabilities(architecture, run.sensing().nights(nights))
    return said_by_watch(run.path(f"bundles/{architecture}"), precision, nights, folder, run.options)


def result(run, architecture, precision, repeat, nights, said):
    """Result at the default operating point. nights: of pipeline.align; said: [windows, 5] of each."""
    each = [
        SaidNight(night.subject, night.ends - run.options.stride, night.stages, p)
        for night, p in zip(nights, said, strict=True)
    ]
    return Result(architecture, precision, run.options.seed, repeat, DEFAULT, each)


def run_fold(folder, dataset_dir, fold, options, precisions, windows=None):
    """Train one fold in the run folder `folder`, or finish one that was stopped, and write its predictions.

    windows: None, or into how many parts the windows are split instead of the subjects (a leak).
    """
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"  # folds, not operations, run in parallel
    from export.build import build_bundles
    from models.fitting import fit, parts

    wanted = [(a, p) for a in options.architectures for p in precisions if not predictions(folder, a, p).exists()]
    if not wanted:
        shutil.rmtree(folder / "partial", ignore_errors=True)  # where it was stopped while doing so
        return
    nights, _ = load_nights(dataset_dir, options)
    part = by_window(nights, fold, windows, options) if windows else parts(nights, fold.splits)
    splits = {name: [night.subject for night in own] for name, own in part.items()}  # as it is, by window too
    if not (folder / "calibration.npz").exists():  # the last that is written
        begin(folder, nights, splits, replace(options, seed=fold.seed), dataset_dir)
        fit(Run(folder), part)
    run = Run(folder)
    exported = [p for p in precisions if p != "float32"]
    missing = [a for a in options.architectures if exported and not (folder / "bundles" / a).exists()]
    if missing:
        build_bundles(run, missing, folder / "bundles", precisions=exported)
    for architecture, precision in wanted:
        said = said_of(run, architecture, precision, part["validation"], dataset_dir)
        if not all(np.isfinite(p).all() for p in said):
            raise UserMistake(f"{folder}: {architecture} has diverged and says nothing; try a lower --lr")
        path = predictions(folder, architecture, precision)
        write_predictions(path, result(run, architecture, precision, fold.repeat, part["validation"], said))
    shutil.rmtree(folder / "partial", ignore_errors=True)


def predictions(folder, architecture, precision):
    """Where a fold keeps what a model said of its held-out nights."""
    return Path(folder) / "held_out" / f"{architecture}.{precision}.csv"


def run_folds(out, dataset_dir, folds, options, precisions, windows=None, jobs=2, progress=lambda: None):
    """Run all folds, `jobs` at a time, in the folders <out>/folds/<name>; those that are complete are not run again."""
    work = (
        delayed(run_fold)(out / "folds" / fold.name, dataset_dir, fold, options, precisions, windows) for fold in folds
    )
    for _ in Parallel(jobs, batch_size=1, return_as="generator_unordered")(work):
        progress()


def collect(out, dataset_dir, folds, options, precisions, ensemble=False):
    """Results of all models and operating points: folds pooled, repeats and seeds apart.

    ensemble: add the mean of all architectures' probabilities (of each seed, at the default operating point).
    """
    nights, _ = load_nights(dataset_dir, options)
    valid = walch_valid(dataset_dir, nights)
    found = []
    for precision in precisions:
        for seed, repeat in dict.fromkeys((fold.seed, fold.repeat) for fold in folds):
            own = [out / "folds" / fold.name for fold in folds if (fold.seed, fold.repeat) == (seed, repeat)]
            each = {}
            for architecture in options.architectures:
                said = [(f, read_predictions(predictions(f, architecture, precision))) for f in own]
                each[architecture] = known = by_subject([night for _, nights in said for night in nights], valid)
                found.append(Result(architecture, precision, seed, repeat, DEFAULT, known))
                points = {f: Run(f).operating_points(architecture) for f in own}
                for point in points[own[0]]:
                    moved = [weighted(night, **points[f][point]) for f, nights in said for night in nights]
                    found.append(Result(architecture, precision, seed, repeat, point, by_subject(moved, valid)))
            if ensemble:
                means = [
                    replace(same[0], probabilities=np.mean([night.probabilities for night in same], 0))
                    for same in zip(*each.values(), strict=True)
                ]
                found.append(Result(ENSEMBLE, precision, seed, repeat, DEFAULT, means))
    return sorted(found, key=lambda r: (r.operating_point != DEFAULT, precisions.index(r.precision)))


def write_tables(out, results):
    """predictions.csv of the main result, and predictions/<model>.csv of each, at the default operating point."""
    write_predictions(out / "predictions.csv", results[0])
    for each in results:
        if each.operating_point == DEFAULT:
            name = f"{each.architecture}.{each.precision}.seed_{each.seed}.repeat_{each.repeat}"
            write_predictions(out / "predictions" / f"{name}.csv", each)


def by_subject(nights, valid):
    """Nights with their masks; of one that several folds scored in parts (split by window) each part from its own."""
    whole = {}
    for night in nights:
        if before := whole.get(night.subject):
            mine = night.stages >= 0
            p = np.where(mine[:, None], night.probabilities, before.probabilities)
            night = replace(night, stages=np.where(mine, night.stages, before.stages), probabilities=p)
        mask = valid.get(night.subject)
        if mask is not None and len(mask) != len(night.stages):
            raise UserMistake(f"night {night.subject} is not as it was when the models were scored on it; start anew")
        whole[night.subject] = replace(night, valid=mask)
    return list(whole.values())


def weighted(night, weights):
    """A night at an operating point: probabilities times weights, renormalised."""
    p = night.probabilities * np.asarray(weights)
    return replace(night, probabilities=p / p.sum(1, keepdims=True))


def score(run, dataset_dir, nights, architectures, precision):
    """Results of a trained run on nights of a folder, at all its operating points."""
    valid = walch_valid(dataset_dir, nights)
    found = []
    for architecture in architectures:
        known = result(
            run, architecture, precision, 0, nights, said_of(run, architecture, precision, nights, dataset_dir)
        )
        found.append(replace(known, nights=by_subject(known.nights, valid)))
        for name, point in run.operating_points(architecture).items():
            moved = [weighted(night, **point) for night in known.nights]
            found.append(replace(known, operating_point=name, nights=by_subject(moved, valid)))
    return sorted(found, key=lambda r: r.operating_point != DEFAULT)
