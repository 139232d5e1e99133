"""Plots the inputs' contributions to each stage: shares, and minutes back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from evaluation.attribution import BLOCK_S, LOOK_BACK_S, span_and_block
from pipeline.constants import MINUTE_S
from scoring.plots import count_of_nights, model_name, save

LABELLED_SHARE = 0.08  # lowest share whose bar has room for a label
LEAST_TOTAL = 1e-12  # so that shares of a total of 0 are 0
COLOURS = {
    "heart_rate": "#c8553d", "activity": "#22577a", "clock": "#e0a526", "steps": "#228833", "motion_x": "#aa3377",
    "motion_y": "#66ccee", "motion_z": "#999999", "motion_magnitude": "#332288",
}  # fmt: skip
LABELS = {"activity": "movement", "clock": "time of night"}  # clearer names of inputs


def plot_inputs(architecture: str, result: Mapping[str, Any], nights: int, stride: int, path: Path) -> None:
    """Plot the shares of the inputs, and their importance against minutes back.

    Args:
        architecture: Name of the architecture, for the title.
        result: Result of `saliency` for this architecture.
        nights: Number of nights that it was measured on.
        stride: Seconds from one window to the next.
        path: PNG to write.
    """
    figure = plt.figure(figsize=(12, 8.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.35], wspace=0.03)
    _plot_shares(left, result)
    _plot_minutes(right, result, stride)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in result["inputs"]]
    labels = [label(name) for name in result["inputs"]]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{model_name(architecture)}: what drives each stage, mean over {count_of_nights(nights)}")
    save(figure, path)


def label(name: str) -> str:
    """An input's name for readers."""
    return LABELS.get(name, name.replace("_", " "))


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
    axis.set_title("share of each input\n(dark: features; pale: sensor replaced)", fontsize=10)
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
    titles = ("features", f"sensor replaced, {BLOCK_S // MINUTE_S} min at a time")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(f"share within the last minutes:\n{title}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("minutes back")


def timed_curves(curves: Mapping[str, np.ndarray], stride: int) -> dict[str, tuple[np.ndarray, float]]:
    """Curves with the length of their steps in minutes.

    Args:
        curves: {"features": [windows back, inputs], "sensors": [blocks back, channels]}.
        stride: Seconds from one window to the next.

    Returns:
        {"features": (curve, minutes), "sensors": (curve, minutes)}.
    """
    minutes, (_, block) = stride / MINUTE_S, span_and_block(stride)
    return {"features": (curves["features"], minutes), "sensors": (curves["sensors"], block * stride / MINUTE_S)}
