"""The plot of a network's saliency: shares of the inputs, minutes back, one transition."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from evaluation.attribution import BLOCK_S, LOOK_BACK_S, span_and_block
from pipeline.align import Night
from pipeline.constants import CHANNELS, MINUTE_S, STAGES
from pipeline.options import Options
from scoring.plots import save

LABELLED_SHARE = 0.08  # the least share whose bar has room for a figure
LEAST_TOTAL = 1e-12  # so that shares of nothing are 0
COLOURS = {
    "heart_rate": "#c8553d", "activity": "#22577a", "clock": "#e0a526", "steps": "#228833", "motion_x": "#aa3377",
    "motion_y": "#66ccee", "motion_z": "#999999", "motion_magnitude": "#332288",
}  # fmt: skip


def plot_saliency(
    architecture: str, result: Mapping[str, Any], nights: Sequence[Night], options: Options, path: Path
) -> None:
    """Shares of the inputs, importance against minutes back, and one transition.

    Args:
        architecture: For the title.
        result: Of `saliency`, for this architecture.
        nights: That it was measured on.
        options: Of the run.
        path: PNG to write.
    """
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
            share = curves[kind].sum(0) / max(curves[kind].sum(), LEAST_TOTAL)
            for name, at, width in zip(result["inputs"], np.cumsum(share) - share, share, strict=False):
                axis.barh(y, width, 0.34, at, color=COLOURS[name], alpha=1 if kind == "features" else 0.6)
                if width > LABELLED_SHARE:
                    axis.text(at + width / 2, y, f"{width:.0%}", ha="center", va="center", color="white", fontsize=8)
    axis.set(yticks=range(len(result["stages"])), yticklabels=result["stages"], xlim=(0, 1), xlabel="share")
    axis.set_title("share of each input\n(full: features; pale: sensor exchanged)", fontsize=10)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _plot_minutes(figure, result, stride):
    axes = figure.subplots(len(result["stages"]), 2, sharex=True, sharey=True, squeeze=False)
    for row, (stage, curves) in zip(axes, result["stages"].items(), strict=True):
        for axis, (curve, minutes) in zip(row, timed_curves(curves, stride).values(), strict=True):
            within = np.cumsum(np.pad(curve, [(1, 0), (0, 0)]), 0) / max(curve.sum(), LEAST_TOTAL)
            for name, y in zip(result["inputs"], within.T, strict=False):
                axis.plot(minutes * np.arange(len(y)), y, color=COLOURS[name], lw=1.4)
        row[0].set_ylabel(stage)
    farthest = LOOK_BACK_S // MINUTE_S
    axes[-1][0].set(xlim=(0, farthest), ylim=(0, None), xticks=range(0, farthest + 1, 15))
    axes[-1][0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    titles = ("features", f"sensor exchanged, {BLOCK_S // MINUTE_S} min at a time")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(f"share within the last minutes:\n{title}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("minutes back")


def timed_curves(curves: Mapping[str, np.ndarray], stride: int) -> dict[str, tuple[np.ndarray, float]]:
    """Curves with the minutes of a step.

    Args:
        curves: {"features": [windows back, inputs], "sensors": [blocks back, channels]}.
        stride: Seconds from one window to the next.

    Returns:
        {"features": (curve, minutes), "sensors": (curve, minutes)}.
    """
    minutes, (_, block) = stride / MINUTE_S, span_and_block(stride)
    return {"features": (curves["features"], minutes), "sensors": (curves["sensors"], block * stride / MINUTE_S)}


def _plot_transition(figure, result, nights, options):
    transition, contributions = result["shown"]["transition"], result["shown"]["contributions"]
    night, before, after = nights[transition.night], STAGES[transition.before], STAGES[transition.after]
    channels = [name for name in ("heart_rate", "activity") if name in result["inputs"]] or result["inputs"][:1]
    windows = slice(transition.explained + 1 - len(contributions), transition.explained + 1)
    minutes = (night.ends[windows] - night.ends[transition.onset] + options.stride) / MINUTE_S
    axes = figure.subplots(len(channels) + 1, 1, sharex=True)
    for axis, name in zip(axes, channels, strict=False):
        x = night.values(name, options)[windows]
        level = np.ma.masked_less(x, CHANNELS[name].low).mean(1).filled(np.nan)
        axis.plot(minutes, level, color=COLOURS[name], lw=1.3)
        axis.set_ylabel(f"{name.replace('_', ' ')} ({CHANNELS[name].unit})")
    bottom = axes[-1]
    for name, contribution in zip(result["inputs"], contributions.T, strict=True):
        bottom.plot(minutes, contribution, color=COLOURS[name], lw=1.3)
    bottom.axhline(0, color="#999999", lw=0.6)
    bottom.set(ylabel=f"contribution to {after} (log-odds)", xlabel=f"minutes from where {after} sets in")
    for axis in axes:
        axis.axvline(0, color="#555555", lw=0.8, ls=":")
    axes[0].set_title(
        f"night {night.subject}: {before} to {after}, explained {minutes[-1]:g} min later,\n"
        f"where {after} is predicted at {result['shown']['probability']:.0%}",
        fontsize=10,
    )
