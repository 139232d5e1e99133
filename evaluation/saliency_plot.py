"""The plot of a network's saliency: shares of the inputs, minutes back, one transition."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from evaluation.plots import save
from pipeline.options import CHANNELS, STAGES

HOUR_S = 3600  # how far back is told; of what came earlier the networks keep next to nothing
BLOCK_S = 300  # of a channel exchanged at a time
COLOURS = {
    "heart_rate": "#c8553d", "activity": "#22577a", "clock": "#e0a526", "steps": "#228833", "motion_x": "#aa3377",
    "motion_y": "#66ccee", "motion_z": "#999999", "motion_magnitude": "#332288",
}  # fmt: skip


def lengths(stride):
    """Windows in an hour, and in a block of what is exchanged."""
    return max(1, HOUR_S // stride), max(1, BLOCK_S // stride)


def plot_saliency(architecture, result, nights, options, path):
    """Shares of the inputs, importance against minutes back, and one transition. result: of `saliency`."""
    figure = plt.figure(figsize=(17, 8.2), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.35, 1.25], wspace=0.03)
    _plot_shares(left, result)
    _plot_minutes(middle, result, options.stride)
    if result["shown"]:
        _plot_transition(right, result, nights, options)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in result["inputs"]]
    labels = [name.replace("_", " ") for name in result["inputs"]]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{architecture}: what drives each stage, mean over {len(nights)} night(s)")
    save(figure, path)


def _plot_shares(figure, result):
    axis = figure.subplots()
    for row, curves in enumerate(result["stages"].values()):
        for kind, y in (("features", row - 0.19), ("sensors", row + 0.19)):
            share = curves[kind].sum(0) / max(curves[kind].sum(), 1e-12)
            for name, at, width in zip(result["inputs"], np.cumsum(share) - share, share, strict=False):
                axis.barh(y, width, 0.34, at, color=COLOURS[name], alpha=1 if kind == "features" else 0.6)
                if width > 0.08:
                    axis.text(at + width / 2, y, f"{width:.0%}", ha="center", va="center", color="white", fontsize=8)
    axis.set(yticks=range(len(result["stages"])), yticklabels=result["stages"], xlim=(0, 1), xlabel="share")
    axis.set_title("share of each input\n(full: features; pale: sensor exchanged)", fontsize=10)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _plot_minutes(figure, result, stride):
    axes = figure.subplots(len(result["stages"]), 2, sharex=True, sharey=True, squeeze=False)
    for row, (stage, curves) in zip(axes, result["stages"].items(), strict=True):
        for axis, (curve, step) in zip(row, steps(curves, stride), strict=True):
            within = np.cumsum(np.pad(curve, [(1, 0), (0, 0)]), 0) / max(curve.sum(), 1e-12)
            for name, y in zip(result["inputs"], within.T, strict=False):
                axis.plot(step * np.arange(len(y)), y, color=COLOURS[name], lw=1.4)
        row[0].set_ylabel(stage)
    row[0].set(xlim=(0, HOUR_S / 60), ylim=(0, None), xticks=range(0, HOUR_S // 60 + 1, 15))
    row[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis, title in zip(axes[0], ("features", f"sensor exchanged, {BLOCK_S // 60} min at a time"), strict=True):
        axis.set_title(f"share within the last minutes:\n{title}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("minutes back")


def steps(curves, stride):
    """[(curve, minutes per step)] of features and sensors."""
    return [(curves["features"], stride / 60), (curves["sensors"], lengths(stride)[1] * stride / 60)]


def _plot_transition(figure, result, nights, options):
    i, change, window, before, after, probability, said = result["shown"]
    night = nights[i]
    channels = [name for name in ("heart_rate", "activity") if name in result["inputs"]] or result["inputs"][:1]
    rows = slice(window + 1 - len(said), window + 1)
    minutes = (night.ends[rows] - night.ends[change] + options.stride) / 60
    axes = figure.subplots(len(channels) + 1, 1, sharex=True)
    for axis, name in zip(axes, channels, strict=False):
        x = night.window(name, options)[rows]
        level = np.ma.masked_less(x, CHANNELS[name].low).mean(1).filled(np.nan)
        axis.plot(minutes, level, color=COLOURS[name], lw=1.3)
        axis.set_ylabel(f"{name.replace('_', ' ')} ({CHANNELS[name].unit})")
    for name, line in zip(result["inputs"], said.T, strict=True):
        axes[-1].plot(minutes, line, color=COLOURS[name], lw=1.3)
    axes[-1].axhline(0, color="#999999", lw=0.6)
    axes[-1].set(ylabel=f"said for {STAGES[after]} (log-odds)", xlabel=f"minutes from where {STAGES[after]} sets in")
    for axis in axes:
        axis.axvline(0, color="#555555", lw=0.8, ls=":")
    axes[0].set_title(
        f"night {night.subject}: {STAGES[before]} to {STAGES[after]}, explained {minutes[-1]:g} min later,\n"
        f"where {STAGES[after]} is said at {probability:.0%}",
        fontsize=10,
    )
