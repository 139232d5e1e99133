"""Saliency: which inputs, and from how many minutes back, drive each stage that a network predicts.

Inputs are channels and the clock. How they are weighed: evaluation/attribution.py, by features and by sensors.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.attribution import changes, contributions, exchange_blocks, span_and_block
from evaluation.saliency_plot import plot_inputs, timed_curves
from evaluation.transition_plot import plot_transitions
from evaluation.transitions import pair_to_show
from models.trained_run import TrainedRun
from pipeline.align import Night
from pipeline.constants import CHANNELS, STAGES
from pipeline.data_sets import Data
from pipeline.files import write_json
from pipeline.nights import load_nights
from pipeline.run_folder import SALIENCY, saliency_inputs_plot, saliency_plot

WINDOWS = 8  # explained of each stage and night, evenly spaced
CLOCK = "clock"  # the input that is no channel
ACTIVITY_PREFIXES = ("moving_", "moved_", "since_moved")  # of features of activity that do not carry its name
CLOCK_PREFIXES = ("hours", "decay_")
LEAST_TOTAL = 1e-12  # so that shares of nothing are 0


def input_of(feature: str) -> str:
    """The input that a feature is computed from: a channel, or CLOCK. Raises ValueError for a name of none."""
    if feature.startswith(ACTIVITY_PREFIXES):
        return "activity"
    if feature.startswith(CLOCK_PREFIXES):
        return CLOCK
    for channel in CHANNELS:
        if f"{feature}_".startswith(f"{channel}_"):
            return channel
    raise ValueError(f"{feature}: a feature of none of the inputs")


def newest_first(contribution: np.ndarray, span: int) -> np.ndarray:
    """|contribution| [span, inputs] of [windows, inputs], the newest window first; 0 before the night."""
    return np.abs(np.pad(contribution[::-1], [(0, span - len(contribution)), (0, 0)]))


def mean_over_nights(curves: np.ndarray, nights: np.ndarray) -> np.ndarray:
    """Mean of curves [n, ...] within each night [n], then over nights."""
    return np.mean([curves[nights == night].mean(0) for night in np.unique(nights)], 0)


def summary(curves: np.ndarray, names: Sequence[str], minutes: float) -> dict[str, dict[str, float | None]]:
    """Figures of curves.

    Args:
        curves: [steps back, names].
        names: Of the inputs.
        minutes: Of a step.

    Returns:
        {"share": {name}, "half_minutes": {name}}: each input's part of the whole, and how many minutes back half of it
        lies within.
    """
    return {
        "share": dict(zip(names, (curves.sum(0) / max(curves.sum(), LEAST_TOTAL)).tolist(), strict=True)),
        "half_minutes": {name: half_minutes(curve, minutes) for name, curve in zip(names, curves.T, strict=True)},
    }


def half_minutes(curve: np.ndarray, minutes: float) -> float | None:
    """Minutes back within which half of a curve [steps back] lies; a step is `minutes`. None for a curve of 0."""
    total = np.cumsum([0, *curve])
    return float(np.interp(total[-1] / 2, total, minutes * np.arange(len(total)))) if total[-1] > 0 else None


def sample_windows(nights: Sequence[Night]) -> list[tuple[int, int, int]]:
    """Windows to explain: [(night, window, stage)], up to WINDOWS of each stage and night, evenly spaced."""
    targets = []
    for i, night in enumerate(nights):
        for stage in range(len(STAGES)):
            windows = np.flatnonzero(night.stages == stage)
            even = np.linspace(0, len(windows) - 1, min(WINDOWS, len(windows))).astype(int)
            targets += [(i, int(window), stage) for window in windows[even]]
    return targets


def saliency(
    run: TrainedRun,
    architectures: Sequence[str],
    nights: Sequence[Night],
    progress: Callable[[str], object] = lambda message: None,
) -> dict[str, dict[str, Any]]:
    """Saliency of trained networks of a run on scored nights.

    Args:
        run: The run.
        architectures: Of the run.
        nights: Of pipeline.align.
        progress: Called with what is being worked on.

    Returns:
        {architecture: {"stages": {stage: {"features": [windows back, inputs], "sensors": [blocks back, channels]}},
        "inputs", "shown"}}. stages: means over nights, in log-odds of the stage at windows scored so; features: what an
        input's features contribute, absolute; sensors: |change| by exchanging a block of a channel. shown: None where
        no transition can be shown, else {"pair": of `pair_to_show`, "probabilities": of each night [windows, 5],
        "contributions": of each transition of the pair [windows, inputs], to the stage that it leads to, signed}.
    """
    sensing = run.sensing()
    stride = run.options.stride
    targets = sample_windows(nights)
    span, _ = span_and_block(stride)
    night_of, windows, stages = np.int32(targets).T
    models = {name: run.model(name) for name in architectures}
    sensor_changes: dict[str, list[np.ndarray]] = {name: [] for name in architectures}
    last = np.minimum(windows, span - 1)  # the target's place in its span
    done = 0
    for features in exchange_blocks(sensing, nights, [(night, window) for night, window, _ in targets]):
        part = slice(done, done + len(features))
        done = part.stop
        progress(f"exchanging minutes: {done} of {len(targets)} windows")
        for name, model in models.items():
            sensor_changes[name].append(changes(model, features, stages[part], last[part], len(run.channels)))

    inputs = [*run.channels, CLOCK]
    features_of_input = np.equal(np.array([input_of(f) for f in sensing.feature_names])[:, None], inputs)  # [F, inputs]
    sensed = sensing.sense_nights(nights)
    results = {}
    for name, model in models.items():
        progress(f"{name}: saliency")
        probabilities = [model.predict_on_batch(features[None])[0] for features in sensed]
        pair = pair_to_show(nights, stride, probabilities)
        transitions = pair.shown if pair else []
        explained = [*targets, *((t.night, t.explained, t.after) for t in transitions)]
        crops = [sensed[night][max(0, window + 1 - span) : window + 1] for night, window, _ in explained]
        of_features = contributions(model, crops, [stage for *_, stage in explained])
        by_input = [contribution @ features_of_input for contribution in of_features]
        of_shown, by_input = by_input[len(targets) :], by_input[: len(targets)]
        curves = {
            "features": np.stack([newest_first(contribution, span) for contribution in by_input]),
            "sensors": np.concatenate(sensor_changes[name]),
        }
        by_stage = {
            STAGES[s]: {kind: mean_over_nights(x[stages == s], night_of[stages == s]) for kind, x in curves.items()}
            for s in np.unique(stages)
        }
        shown = {"pair": pair, "probabilities": probabilities, "contributions": of_shown} if pair else None
        results[name] = {"stages": by_stage, "inputs": inputs, "shown": shown}
    return results


def saliency_of_run(
    run_folder: Path,
    dataset_dir: Data | None = None,
    architectures: Sequence[str] | None = None,
    out: Path | None = None,
    progress: Callable[[str], object] = lambda message: None,
) -> dict[str, Any]:
    """Write saliency.json and two plots of each of a run's networks, on nights that it was not trained on.

    saliency_<architecture>.png shows a transition that the network follows beside one that it misses,
    saliency_<architecture>_inputs.png how much each input counts for each stage.

    Args:
        run_folder: Of the run.
        dataset_dir: Folder of scored recordings; by default the run's own.
        architectures: Of the run; by default all.
        out: Where to write; by default the run folder.
        progress: Called with what is being worked on.

    Returns:
        The content of saliency.json: per architecture and stage the `summary` by features and by sensors.

    Raises:
        UserMistake: The run lacks an architecture, or no night is left.
    """
    run = TrainedRun(run_folder)
    folder = dataset_dir or run.dataset_dir
    out = Path(out or run.path)
    architectures = run.chosen_architectures(architectures)
    nights, _ = load_nights(folder, run.options, run.unseen_subjects(folder))
    report: dict[str, Any] = {"nights": [night.subject for night in nights], "architectures": {}}
    for name, result in saliency(run, architectures, nights, progress).items():
        plot_inputs(name, result, len(nights), run.options.stride, saliency_inputs_plot(out, name))
        if result["shown"]:
            plot_transitions(name, result, nights, run.options, saliency_plot(out, name))
        report["architectures"][name] = {
            stage: {
                kind: summary(curve, result["inputs"][: curve.shape[1]], minutes)
                for kind, (curve, minutes) in timed_curves(curves, run.options.stride).items()
            }
            for stage, curves in result["stages"].items()
        }
    write_json(out / SALIENCY, report)
    return report
