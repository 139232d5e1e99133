"""Parity: checks, window by window and on four rungs, that the watch predicts what the full model predicts.

1. Online alignment = offline alignment, with the stage unknown in the same windows. 2. Step form = sequence form, in
Keras. 3. The .tflite on the pipeline's windows = Keras. 4. Sensor events through the watch = files through the pipeline
and the full model. Probabilities are compared in every window, unknown or not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from export.bundle import read_bundle
from export.contract import stager_path
from export.gates import compare, divergence
from export.golden import replay_golden
from export.runner import Runner
from models.forms import padded, roll_network
from models.trained_run import TrainedRun
from pipeline.align import Aligner, Night, extent
from pipeline.constants import UNKNOWN
from pipeline.coverage import unknown_windows
from pipeline.data_sets import Data
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.recordings import read_recording
from watch_sim.stream import stream
from watch_sim.watch import Epoch, Watch

STEP_GATE = 1e-5  # rung 2: largest allowed difference of a probability

Model = tuple[str, str]  # architecture, precision
Nights = list[np.ndarray]  # probabilities [windows, 5] per night


class ParityCheck(NamedTuple):
    """Result of a parity check.

    Attributes:
        report: Contents of parity.json.
        nights: The nights compared.
        reference: {architecture: probabilities of the full model}.
        live: {(architecture, precision): probabilities of the watch}.
    """

    report: dict
    nights: list[Night]
    reference: dict[str, Nights]
    live: dict[Model, Nights]


class Online:
    """An aligner fed like a watch, to inspect its windows."""

    def __init__(self, *args, **settings):
        self.aligner = Aligner(*args, **settings)

    def feed(self, sensor, t, values):
        """Take samples; returns the windows that they close."""
        self.aligner.feed(sensor, t, values)
        return self.aligner.before(np.max(t))

    def advance(self, t):
        """Close every window that ends by t (s); returns them."""
        return self.aligner.advance(t)


def check_alignment(closed: list[tuple[np.ndarray, dict]], night: Night, options: Options) -> dict | None:
    """Rung 1 on one night: the windows.

    Args:
        closed: (ends, {channel: [n, values_per_window]}) as returned by each call of an Online aligner.
        night: The night as the pipeline aligned it.
        options: Options of the run.

    Returns:
        {"night", "window", "channel"} of the first difference, or None.
    """
    for name in closed[0][1]:
        online, offline = np.concatenate([windows[name] for _, windows in closed]), night.values(name, options)
        if len(online) != len(offline):
            return {"night": night.subject, "window": min(len(online), len(offline)), "channel": name}
        different = np.flatnonzero((online != offline).any(1))
        if len(different):
            return {"night": night.subject, "window": int(different[0]), "channel": name}
    return None


def check_unknown(epochs: Sequence[Epoch], night: Night, options: Options, channels: Sequence[str]) -> dict | None:
    """Rung 1 on one night: is the stage unknown in the same windows?

    Args:
        epochs: The watch's epochs.
        night: The night as the pipeline aligned it.
        options: Options of the run.
        channels: Channels of the run.

    Returns:
        {"night", "window", "unknown": {"watch", "pipeline"}} of the first difference, or None.
    """
    live = np.array([epoch.stage == UNKNOWN for epoch in epochs], bool)
    offline = unknown_windows(night, options, channels)
    different = np.flatnonzero(live[: len(offline)] != offline[: len(live)])  # `check_alignment` compares the lengths
    if not len(different):
        return None
    window = int(different[0])
    flags = {"watch": bool(live[window]), "pipeline": bool(offline[window])}
    return {"night": night.subject, "window": window, "unknown": flags}


def check_step(network, features: Nights, reference: Nights, nights: Sequence[Night]) -> dict:
    """Rung 2 for one architecture.

    Args:
        network: The trained network.
        features: [windows, F] per night.
        reference: Probabilities of the sequence form.
        nights: The nights, to locate the first difference.

    Returns:
        {"passed", "max_abs_dp", "first_divergence"}.
    """
    worst, first = 0.0, None
    stepped = roll_network(network, padded(features))[0]
    for p, q, night in zip(reference, stepped, nights, strict=True):
        apart = np.abs(q[: len(p)] - p).max(1)
        worst = max(worst, float(apart.max()))
        different = np.flatnonzero(~(apart <= STEP_GATE))  # so that NaN counts as different
        if first is None and len(different):
            first = divergence(night, different[0], apart)
    return {"passed": first is None, "max_abs_dp": worst, "first_divergence": first}


def check(
    run: TrainedRun,
    dataset_dir: Data | None = None,
    subjects: Sequence[str] | None = None,
    architectures: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> ParityCheck:
    """Check all four rungs of a run.

    Args:
        run: The run, with its bundles.
        dataset_dir: Recordings to compare on; by default those of the run.
        subjects: Subjects to compare on; by default all that the run was not trained on.
        architectures: By default all of the run.
        precisions: By default all in the bundles.
        progress: Called with a status message for each architecture, then for each file and night.

    Returns:
        The report and the data for its plots.

    Raises:
        UserMistake: A model, a night or a file of the run is missing or damaged.
    """
    dataset_dir = dataset_dir or run.dataset_dir
    architectures = run.chosen_architectures(architectures)
    bundles = {name: run.bundle(name) for name in architectures}
    models = [(name, p) for name, bundle in bundles.items() for p in precisions or read_bundle(bundle).precisions]
    chosen = subjects or run.parity_subjects(dataset_dir)
    nights, _ = load_nights(dataset_dir, run.options, chosen, require_labels=False)
    features = run.sensing().sense_nights(nights)
    reference, step = {}, {}
    for name in architectures:
        progress(f"{name}: step form")
        reference[name] = run.probabilities(name, features)
        step[name] = check_step(run.network(name), features, reference[name], nights)
    direct, live, difference = run_files(run, dataset_dir, nights, models, progress)
    unknown = sum(int(unknown_windows(night, run.options, run.channels).sum()) for night in nights)
    alignment = {"passed": difference is None, "windows": sum(map(len, nights)), "unknown_windows": unknown}
    alignment["first_divergence"] = difference
    golden = {name: replay_golden(bundles[name], [p for a, p in models if a == name]) for name in architectures}
    rows = []
    for model in models:
        name, precision = model
        rung_3 = compare(reference[name], direct[model], nights, precision)
        rung_4 = compare(reference[name], live[model], nights, precision)
        rows.append(model_row(bundles[name], model, rung_3, rung_4, golden[name][precision]))
    passed = all(rung["passed"] for rung in (alignment, *step.values(), *rows))
    named = [night.subject for night in nights]
    report = {"passed": passed, "nights": named, "simulated": run.origin.simulated, "models": rows}
    report |= {"alignment": alignment, "step": step}
    return ParityCheck(report, nights, reference, live)


def run_files(
    run: TrainedRun, dataset_dir: Data, nights: Sequence[Night], models: Sequence[Model], progress: Callable
) -> tuple[dict[Model, Nights], dict[Model, Nights], dict | None]:
    """Run the exported files both on the pipeline's windows (rung 3) and on sensor events (rung 4).

    Returns:
        (probabilities of rung 3, of rung 4, first difference between windows or unknown stages of the two (rung 1) or
        None).
    """
    direct, live = {model: [] for model in models}, {model: [] for model in models}
    difference = None
    for night in nights:  # a recording's raw samples are in memory one night at a time
        recording = read_recording(dataset_dir, night.subject, run.options.negative_times)
        start = extent(recording, run.options)[0]
        counts = "activity" in recording.samples
        # the events are aligned once for all watches, as their own aligners would give the same windows
        online = Online(run.options, run.channels, start, count_motion=not counts)
        closed = list(stream(recording, run.options, online))
        difference = difference or check_alignment(closed, night, run.options)
        for model in models:
            architecture, precision = model
            progress(f"{architecture} {precision}: night {night.subject}")
            direct[model].append(Runner(run.bundle(architecture), precision).night(night, run.options))
            watch = Watch(run.bundle(architecture), precision, start, counts)
            epochs = [epoch for windows in closed for epoch in watch.stage_windows(*windows)]
            difference = difference or check_unknown(epochs, night, run.options, run.channels)
            live[model].append(np.stack([epoch.probabilities for epoch in epochs]))
    return direct, live, difference


def model_row(bundle: Path, model: Model, rung_3: dict, rung_4: dict, golden: dict) -> dict:
    """The report's entry for one file: figures of rung 4, with those of rung 3 and of the golden night."""
    architecture, precision = model
    size = stager_path(bundle, architecture, precision).stat().st_size
    row = {"architecture": architecture, "precision": precision, "bytes": size, **rung_4}
    row |= {"rungs": {"3": rung_3, "4": rung_4}, "golden": golden}
    return row | {"passed": all(figures["passed"] for figures in (rung_3, rung_4, golden))}
