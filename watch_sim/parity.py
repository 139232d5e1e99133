"""Parity, four rungs: does what runs on the watch say what the full model says, window by window?

1. online alignment = offline alignment; 2. step form = sequence form in Keras; 3. the .tflite on the pipeline's windows
= Keras; 4. sensor events through the watch = files through the pipeline and the full model.
"""

from pathlib import Path

import numpy as np

from export.bundle import read_contract
from export.contract import stager_path
from export.verify import golden_rows
from models.assemble import padded, roll_network
from pipeline.align import Aligner, extent
from pipeline.nights import load_nights
from pipeline.options import one_of
from pipeline.recordings import read_recording
from watch_sim.compare import compare, place
from watch_sim.stream import stream
from watch_sim.watch import Runner, Watch

STEP_GATE = 1e-5  # rung 2


class Online:
    """An aligner that is fed like a watch, to see its windows."""

    def __init__(self, *args):
        self.aligner = Aligner(*args)

    def feed(self, sensor, t, values):
        self.aligner.feed(sensor, t, values)
        return self.aligner.before(np.max(t))

    def advance(self, t):
        return self.aligner.advance(t)


def check_alignment(online, night, options):
    """Rung 1 on one night: None, or where the windows that closed online first differ from the night's."""
    for name in online[0][1]:
        windows, wanted = np.concatenate([closed[name] for _, closed in online]), night.window(name, options)
        if len(windows) != len(wanted):
            return {"night": night.subject, "window": min(len(windows), len(wanted)), "channel": name}
        wrong = np.flatnonzero((windows != wanted).any(1))
        if len(wrong):
            return {"night": night.subject, "window": int(wrong[0]), "channel": name}
    return None


def check_step(network, features, reference, nights):
    """Rung 2 of one architecture: {"passed", "max_abs_dp", "first_divergence"}."""
    worst, first = 0.0, None
    rolled = roll_network(network, padded(features))[0]
    for p, q, night in zip(reference, rolled, nights, strict=True):
        away = np.abs(q[: len(p)] - p).max(1)
        worst = max(worst, float(away.max()))
        wrong = np.flatnonzero(~(away <= STEP_GATE))
        first = first or (place(night, wrong[0], away) if len(wrong) else None)
    return {"passed": first is None, "max_abs_dp": worst, "first_divergence": first}


def check(run, folder=None, wanted=None, architectures=None, precisions=None, progress=lambda what: None):
    """The parity report (parity.json) of a run, and what is needed to draw it.

    folder, wanted: nights to compare, by default those of the run's data set that it was not trained on. progress:
    called with a word for each piece of work. Returns (report, nights, {architecture: (Keras probabilities per night,
    {precision: those of the watch})}).
    """
    folder = Path(folder or run.hparams["dataset_dir"])
    architectures = one_of("--architectures", architectures or run.options.architectures, run.options.architectures)
    bundles = {name: run.path(f"bundles/{name}") for name in architectures}
    asked = {name: list(precisions or read_contract(path)["precisions"]) for name, path in bundles.items()}
    nights, _ = load_nights(
        folder, run.options, wanted or run.held_out(folder, "; name some with --nights"), labelled=None
    )
    features = run.sensing().nights(nights)
    reference, step = {}, {}
    for name in architectures:
        progress(f"{name}: step form")
        reference[name] = run.probabilities(name, features)
        step[name] = check_step(run.network(name), features, reference[name], nights)

    models = [(name, precision) for name in architectures for precision in asked[name]]
    direct, live = {model: [] for model in models}, {model: [] for model in models}
    astray = None
    for night in nights:  # a recording's raw samples are in memory one night at a time
        recording = read_recording(folder, night.subject, run.options.negative_times)
        start, counts = extent(recording, run.options)[0], "activity" in recording.samples
        # the events are aligned once for all watches: each would do just the same
        online = list(stream(recording, run.options, Online(run.options, run.channels, start, not counts)))
        astray = astray or check_alignment(online, night, run.options)
        for name, precision in models:
            progress(f"{name} {precision}: night {night.subject}")
            direct[name, precision].append(Runner(bundles[name], precision).night(night, run.options))
            watch = Watch(bundles[name], precision, start, counts)
            epochs = [epoch for closed in online for epoch in watch.say(*closed)]
            live[name, precision].append(np.stack([epoch.probabilities for epoch in epochs]))

    golden, rows = {name: golden_rows(bundles[name], asked[name]) for name in architectures}, []
    for name, precision in models:
        third = compare(reference[name], direct[name, precision], nights, precision)
        fourth = compare(reference[name], live[name, precision], nights, precision)
        size = stager_path(bundles[name], name, precision).stat().st_size
        row = {
            "architecture": name,
            "precision": precision,
            "bytes": size,
            **fourth,
            "rungs": {"3": third, "4": fourth},
        }
        row["golden"] = golden[name][precision]
        rows.append(row | {"passed": all(each["passed"] for each in (third, fourth, row["golden"]))})
    alignment = {"passed": astray is None, "windows": sum(map(len, nights)), "first_divergence": astray}
    passed = alignment["passed"] and all(each["passed"] for each in [*step.values(), *rows])
    named = [night.subject for night in nights]
    report = {"passed": passed, "nights": named, "models": rows, "alignment": alignment, "step": step}
    said = {name: (reference[name], {p: live[name, p] for p in asked[name]}) for name in architectures}
    return report, nights, said
