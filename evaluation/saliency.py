"""Saliency: which inputs, and from how many minutes back, drive each stage that a network says. Told in two ways.

Features: integrated gradients (Sundararajan, Taly & Yan 2017, ICML) by tf-keras-vis, that is gradient x input, averaged
on the way from features that are all average to the night's own. Not |gradient|: a standardised feature is 0 where it
is average or unknown, so gradient x input asks what it said, not what it might have said; features of one input that
say opposite things cancel; and all add up to what the network says, even where it is sure and its gradient vanishes.

Sensors: features look back themselves (trailing means reach an hour), so a feature's minutes understate how long heart
rate and movement count. Gradients end in sensing, where the spread of a still window is the root of 0. So minutes of
one channel are exchanged for others of the same night (occlusion: Zeiler & Fergus 2014, ECCV), and sensing and network
run again.
"""

import models  # noqa: F401  first: it starts TensorFlow quietly

# isort: split
from itertools import permutations
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.saliency import Saliency

from evaluation.saliency_plot import lengths, plot_saliency, steps
from models.assemble import padded, roll
from models.run import Run
from pipeline.files import write_json
from pipeline.nights import load_nights
from pipeline.options import CHANNELS, EPOCH_S, STAGES, one_of

WINDOWS = 8  # of each stage and night, evenly spaced
STEPS = 16  # on the way from average features
BATCH = 32  # windows told of at a time
HOURS = 400  # with something exchanged, that run through sensing at a time: some 500 MB
ACTIVITY, CLOCK = ("moving_", "moved_", "since_moved"), ("hours", "decay_")  # features named after no channel
LASTS_S = 300  # the stage that a shown transition leads to lasts this long, and is explained at its end
SHOWN = ((2, 4), (3, 0), *permutations(range(len(STAGES)), 2))  # N2 to REM if there is one, N3 to Wake, or any


def input_of(feature):
    """The input that a feature tells of: a channel, or "clock". Raises ValueError for a name of none."""
    if feature.startswith(ACTIVITY):
        return "activity"
    if feature.startswith(CLOCK):
        return "clock"
    for channel in CHANNELS:
        if f"{feature}_".startswith(f"{channel}_"):
            return channel
    raise ValueError(f"{feature}: a feature of no known input")


def log_odds(p, stages, windows):
    """Log-odds [B] of a stage [B] at a window [B] in probabilities [B, T, 5]."""
    p = tf.gather_nd(p, tf.stack([tf.range(tf.shape(p)[0]), windows, stages], 1))
    p = tf.clip_by_value(p, 1e-6, 1 - 1e-6)
    return tf.math.log(p) - tf.math.log(1 - p)


def contributions(model, crops, stages):
    """What each feature says for a stage at the last window of a crop.

    model: Keras, features [B, T, F] -> probabilities [B, T, 5], causal. crops: n of [windows, F]; stages: [n].
    Returns n of [windows, F], log-odds: they sum to those of the stage, less what features of 0 throughout would give.
    """
    explain = Saliency(keras.Model(model.inputs, model.outputs))  # lists, as it calls it
    plain = {"keepdims": True, "normalize_map": False, "gradient_modifier": None}

    @tf.function(reduce_retracing=True)  # ten times as fast as layers one by one
    def gradient(x, stages, windows):
        return explain(lambda p: log_odds(p, stages, windows), x, **plain)

    x, last, stages = padded(crops), np.int32([len(crop) - 1 for crop in crops]), np.int32(stages)
    total = np.zeros_like(x)
    for start in range(0, len(x), BATCH):
        own = slice(start, start + BATCH)
        for k in range(STEPS):
            total[own] += gradient(x[own] * np.float32((k + 0.5) / STEPS), stages[own], last[own])
    return [each[: len(crop)] for each, crop in zip(x * total / STEPS, crops, strict=True)]


def exchanged(sensing, nights, targets):
    """Features of the hour before each target (night, window), with a block of a channel exchanged for another.

    Yields [n, 1 + channels * blocks, windows, F] for some targets at a time: as the night is, then with each block of
    the first channel exchanged, the newest first, and so on. Hours that the night begins in are filled up at the end.
    """
    options, rng = sensing.options, np.random.default_rng(0)
    span, size = lengths(options.stride)
    whole = {name: [night.window(name, options) for night in nights] for name in sensing.channels}

    def step(windows, states):
        values, known, context = sensing.measure(windows, states["context"])
        return {"features": sensing.scale(values, known)}, {"context": context}

    batch = {name: padded(x, CHANNELS[name].missing) for name, x in whole.items()}
    _, before = roll(step, batch, {"context": np.repeat(sensing.initial(), len(nights), 0)})

    def changed(night, window):  # {channel: [1 + channels * blocks, windows, values]}, context
        first = max(0, window + 1 - span)
        row = np.minimum(first + np.arange(span), window)
        back, length = (window - row) // size, len(nights[night])
        others = [(rng.integers(length) + np.arange(span)) % length for _ in range(span // size)]
        rows = [np.where(back == block, other, row) for block, other in enumerate(others)]
        out = {}
        for name in whole:
            order = [row, *(each for other in whole for each in (rows if other == name else [row] * len(rows)))]
            out[name] = whole[name][night][np.stack(order)]
        return out, np.repeat(before["context"][night, first][None], len(order), 0)

    many = max(1, HOURS // (1 + len(whole) * (span // size)))
    for start in range(0, len(targets), many):
        inputs, contexts = zip(*(changed(*target) for target in targets[start : start + many]), strict=True)
        inputs = {name: np.concatenate([each[name] for each in inputs]) for name in whole}
        out, _ = roll(step, inputs, {"context": np.concatenate(contexts)})
        yield out["features"].reshape(len(contexts), -1, *out["features"].shape[1:])


def changes(model, features, stages, windows, channels):
    """|change of a stage's log-odds| [n, blocks, channels] by each exchange. features: as `exchanged` yields them."""
    said = [log_odds(model.predict_on_batch(features[:, i]), stages, windows).numpy() for i in range(features.shape[1])]
    return np.abs(np.stack(said[1:], 1) - said[0][:, None]).reshape(len(stages), channels, -1).swapaxes(1, 2)


def newest_first(said, span):
    """|said| [span, inputs] of said [windows, inputs], the newest window first; 0 before the night."""
    return np.abs(np.pad(said[::-1], [(0, span - len(said)), (0, 0)]))


def over_nights(curves, nights):
    """Mean of curves [n, ...] within each night [n], then over nights."""
    return np.mean([curves[nights == night].mean(0) for night in np.unique(nights)], 0)


def summary(curves, names, minutes):
    """Curves [steps back, names] in figures: share of each name, and minutes back within which half of it lies."""
    return {
        "share": dict(zip(names, (curves.sum(0) / max(curves.sum(), 1e-12)).tolist(), strict=True)),
        "half_minutes": {name: half(curve, minutes) for name, curve in zip(names, curves.T, strict=True)},
    }


def half(curve, minutes):
    """Minutes back within which half of a curve [steps back] lies; a step is `minutes`. None where there is nothing."""
    total = np.cumsum([0, *curve])
    return float(np.interp(total[-1] / 2, total, minutes * np.arange(len(total)))) if total[-1] > 0 else None


def lasting_transition(nights, stride):
    """(night, window where a stage sets in, window at the end of its first minutes, stage before, stage) or None.

    The first of the first kind in SHOWN that any night has.
    """
    lasts = max(1, LASTS_S // max(EPOCH_S, stride))
    for before, after in SHOWN:
        for i, night in enumerate(nights):
            scored = np.flatnonzero(night.stages >= 0)
            stages = night.stages[scored]
            for at in np.flatnonzero((stages[:-1] == before) & (stages[1:] == after)) + 1:
                if (stages[at : at + lasts] == after).sum() == lasts:
                    return i, int(scored[at]), int(scored[at + lasts - 1]), before, after
    return None


def sampled(nights):
    """Windows to tell of: [(night, window, stage)], up to WINDOWS of each stage and night, evenly spaced."""
    out = []
    for i, night in enumerate(nights):
        for stage in range(len(STAGES)):
            own = np.flatnonzero(night.stages == stage)
            even = np.linspace(0, len(own) - 1, min(WINDOWS, len(own))).astype(int)
            out += [(i, int(window), stage) for window in own[even]]
    return out


def saliency(run, architectures, nights, progress=lambda what: None):
    """Saliency of trained networks of a run on nights (pipeline.align), scored ones.

    Returns {architecture: {"stages": {stage: {"features": [windows back, inputs], "sensors": [blocks back, channels]}},
    "inputs", "shown"}}: means over nights, in log-odds of the stage at windows scored so. features: |what an input's
    features say|; sensors: |change| by exchanging a block of a channel. shown: of `lasting_transition`, with
    the probability of the stage and what each input says for it [windows, inputs], signed; or None.
    """
    sensing, stride, targets = run.sensing(), run.options.stride, sampled(nights)
    features = sensing.nights(nights)
    inputs = [input_of(name) for name in sensing.names]
    groups = [*run.channels, "clock"]
    of = np.equal(np.array(inputs)[:, None], groups)  # [F, inputs]
    of_night, windows, stages = np.int32(targets).T
    span, _ = lengths(stride)
    last = np.minimum(windows, span - 1)
    trained, moved = {name: run.model(name) for name in architectures}, {name: [] for name in architectures}
    done = 0
    for batch in exchanged(sensing, nights, [target[:2] for target in targets]):
        own = slice(done, done := done + len(batch))
        progress(f"exchanging minutes: {done} of {len(targets)} windows")
        for name, model in trained.items():
            moved[name].append(changes(model, batch, stages[own], last[own], len(run.channels)))

    shown = lasting_transition(nights, stride)
    explained = [*targets, *([(shown[0], shown[2], shown[4])] if shown else [])]
    crops = [features[night][max(0, window + 1 - span) : window + 1] for night, window, _ in explained]
    out = {}
    for name, model in trained.items():
        progress(f"{name}: saliency")
        said = [each @ of for each in contributions(model, crops, [stage for *_, stage in explained])]
        transition = None
        if shown:
            probability = float(model.predict_on_batch(crops[-1][None])[0, -1, shown[4]])
            transition = [*shown, probability, said.pop()]
        curves = {
            "features": np.stack([newest_first(each, span) for each in said]),
            "sensors": np.concatenate(moved[name]),
        }
        each = {
            STAGES[stage]: {
                kind: over_nights(x[stages == stage], of_night[stages == stage]) for kind, x in curves.items()
            }
            for stage in np.unique(stages)
        }
        out[name] = {"stages": each, "inputs": groups, "shown": transition}
    return out


def saliency_of_run(run_folder, dataset_dir=None, architectures=None, out=None, progress=lambda what: None):
    """Saliency of a run's networks on the nights of a folder that it was not trained on.

    dataset_dir: by default the run's own. Writes saliency.json and saliency_<architecture>.png to `out`, by default the
    run folder. Returns what is in the JSON: per architecture and stage the share of each input, and the minutes back
    within which half of it lies, by features and by sensors. Raises UserMistake where run or nights are no use.
    """
    run = Run(run_folder)
    folder, out = Path(dataset_dir or run.hparams["dataset_dir"]), Path(out or run.folder)
    architectures = one_of("--architectures", architectures or run.options.architectures, run.options.architectures)
    nights, _ = load_nights(folder, run.options, run.held_out(folder))
    report = {"nights": [night.subject for night in nights], "architectures": {}}
    for name, result in saliency(run, architectures, nights, progress).items():
        plot_saliency(name, result, nights, run.options, out / f"saliency_{name}.png")
        report["architectures"][name] = {
            stage: {
                kind: summary(curve, result["inputs"][: curve.shape[1]], step)
                for kind, (curve, step) in zip(curves, steps(curves, run.options.stride), strict=True)
            }
            for stage, curves in result["stages"].items()
        }
    write_json(out / "saliency.json", report)
    return report
