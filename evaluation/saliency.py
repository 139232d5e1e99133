"""Saliency: which inputs drive each stage that a network predicts, and from how many minutes back.

Inputs are the channels and the clock. Their contributions are measured by evaluation/attribution.py.
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

WINDOWS = 8  # explained per stage and night, evenly spaced
CLOCK = "clock"  # the input that is not a channel
ACTIVITY_PREFIXES = ("moving_", "moved_", "since_moved")  # features of activity without its name
CLOCK_PREFIXES = ("hours", "decay_")
LEAST_TOTAL = 1e-12  # so that shares of a total of 0 are 0


def input_of(feature: str) -> str:
    """The input that a feature is computed from: a channel, or CLOCK. Raises ValueError if there is none."""
    if feature.startswith(ACTIVITY_PREFIXES):
        return "activity"
    if feature.startswith(CLOCK_PREFIXES):
        return CLOCK
    for channel in CHANNELS:
        if f"{feature}_".startswith(f"{channel}_"):
            return channel
    raise ValueError(f"{feature}: not a feature of any input")


def newest_first(contribution: np.ndarray, span: int) -> np.ndarray:
    """|contribution| [span, inputs] from contributions [windows, inputs], newest window first; 0 before the night."""
    return np.abs(np.pad(contribution[::-1], [(0, span - len(contribution)), (0, 0)]))


def mean_over_nights(curves: np.ndarray, nights: np.ndarray) -> np.ndarray:
    """Mean of curves [n, ...] within each night [n], then over nights."""
    return np.mean([curves[nights == night].mean(0) for night in np.unique(nights)], 0)


def summary(curves: np.ndarray, names: Sequence[str], minutes: float) -> dict[str, dict[str, float | None]]:
    """Summarise curves.

    Args:
        curves: [steps back, inputs].
        names: Names of the inputs.
        minutes: Length of a step in minutes.

    Returns:
        {"share": {name}, "half_minutes": {name}}: each input's share of the total, and the minutes back within which
        half of it lies.
    """
    return {
        "share": dict(zip(names, (curves.sum(0) / max(curves.sum(), LEAST_TOTAL)).tolist(), strict=True)),
        "half_minutes": {name: half_minutes(curve, minutes) for name, curve in zip(names, curves.T, strict=True)},
    }


def half_minutes(curve: np.ndarray, minutes: float) -> float | None:
    """Minutes back within which half of a curve [steps back] lies; None if it is all 0. minutes: length of a step."""
    total = np.cumsum([0, *curve])
    return float(np.interp(total[-1] / 2, total, minutes * np.arange(len(total)))) if total[-1] > 0 else None


def sample_windows(nights: Sequence[Night]) -> list[tuple[int, int, int]]:
    """Choose windows to explain: [(night, window, stage)], up to WINDOWS per stage and night, evenly spaced."""
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
    """Measure the saliency of a run's networks on scored nights.

    Args:
        run: The run.
        architectures: Architectures of the run.
        nights: The nights.
        progress: Called with a description of the current step.

    Returns:
        {architecture: {"stages": {stage: {"features": [windows back, inputs], "sensors": [blocks back, channels]}},
        "inputs", "shown"}}. stages: means over nights, in log-odds of the scored stage; features: |contribution| of an
        input's features; sensors: |change| by replacing a block of a channel. shown: {"pair": from `pair_to_show`,
        "probabilities": of each night, [windows, 5], "contributions": of each transition of the pair to the stage after
        it, [windows, inputs], signed}; None if there is no transition to show.
    """
    sensing = run.sensing()
    stride = run.options.stride
    targets = sample_windows(nights)
    span, _ = span_and_block(stride)
    night_of, windows, stages = np.int32(targets).T
    models = {name: run.model(name) for name in architectures}
    sensor_changes: dict[str, list[np.ndarray]] = {name: [] for name in architectures}
    last = np.minimum(windows, span - 1)  # index of the target in its span
    done = 0
    for features in exchange_blocks(sensing, nights, [(night, window) for night, window, _ in targets]):
        part = slice(done, done + len(features))
        done = part.stop
        progress(f"replacing minutes: {done} of {len(targets)} windows")
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
        by_feature = contributions(model, crops, [stage for *_, stage in explained])
        by_input = [contribution @ features_of_input for contribution in by_feature]
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

    saliency_<architecture>.png shows a transition that the network follows next to one that it misses,
    saliency_<architecture>_inputs.png the contribution of each input to each stage.

    Args:
        run_folder: The run folder.
        dataset_dir: Folder of scored recordings; by default the run's.
        architectures: Architectures of the run; by default all.
        out: Output folder; by default the run folder.
        progress: Called with a description of the current step.

    Returns:
        The content of saliency.json: for each architecture and stage, the `summary` by features and by sensors.

    Raises:
        UserMistake: The run lacks an architecture, or was trained on all nights.
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
