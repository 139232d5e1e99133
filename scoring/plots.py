"""Plots of a run: training, agreement with what was scored, and single nights."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.metrics import ConfusionMatrixDisplay

from evaluation.metrics import kappa
from evaluation.results import PROBABILITY_COLUMNS
from evaluation.sleep import UNITS, hypnogram, sleep_agreement
from pipeline.files import write_whole
from pipeline.options import EPOCH_S, STAGES

matplotlib.use("agg")
plt.rcParams.update({"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "font.size": 10})
COLOURS = {"float32": "#333333", "float16": "#4477aa", "dynamic": "#228833", "int8": "#ee6677", "int16x8": "#aa3377"}


def save(figure, path):
    """Write a figure as PNG, whole, and close it."""
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight")
    plt.close(figure)
    write_whole(path, content.getvalue())


def plot_accuracies(rows, path):
    """Accuracy per epoch of every model. rows: DataFrame as in model_accuracies.csv."""
    names = list(dict.fromkeys(rows.architecture))
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names) + 1, 3.4), sharey=True, squeeze=False)
    parts = {"train": "#bbbbbb", "inner_validation": "#4477aa", "validation": "#ee6677"}
    for axis, name in zip(axes[0], names, strict=True):
        own = rows[rows.architecture == name]
        for part, colour in parts.items():
            axis.plot(own.epoch, own[f"{part}_accuracy"], color=colour, label=part.replace("_", " "))
        axis.axvline(own.epoch[own.best].iloc[0], color="#4477aa", lw=0.8, ls=":", label="kept, by inner validation κ")
        axis.set(title=name, xlabel="training epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0][0].set_ylabel("accuracy, 5 stages")
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, frameon=False)
    figure.tight_layout()
    save(figure, path)


def plot_confusion(panels, path):
    """Row-normalised confusion matrices. panels: {title: (scored class [n], said class [n], names of the classes)}."""
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.8), squeeze=False)
    for axis, (title, (true, said, names)) in zip(axes[0], panels.items(), strict=True):
        ConfusionMatrixDisplay.from_predictions(
            true, said, labels=range(len(names)), display_labels=names, normalize="true", ax=axis,
            cmap="Blues", colorbar=False, values_format=".0%", im_kw={"vmin": 0, "vmax": 1},
        )  # fmt: skip
        axis.set(title=f"{title}   κ {kappa(true, said):.2f}", xlabel="said stage", ylabel="")
        for side in axis.spines.values():
            side.set_visible(True)
    axes[0][0].set_ylabel("scored stage")
    figure.tight_layout()
    save(figure, path)


def plot_reliability(calibration, path):
    """How often the likeliest stage is right against how likely it is said to be. calibration: of metrics."""
    bins = pd.DataFrame(calibration["bins"])
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(4.6, 5.6), height_ratios=[3, 1], sharex=True)
    top.plot([0, 1], [0, 1], color="#999999", ls="--", lw=1, label="perfectly calibrated")
    top.plot(bins.confidence, bins.accuracy, "o-", color="#4477aa", label=f"said (ECE {calibration['ece']:.3f})")
    top.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    top.legend(loc="upper left", frameon=False)
    bottom.bar(bins.low, bins.epochs / bins.epochs.sum(), width=0.1, align="edge", color="#4477aa", edgecolor="white")
    bottom.set(ylabel="share of epochs", xlabel="probability of the likeliest stage")
    for axis in (top, bottom):
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.align_ylabels()
    figure.tight_layout()
    save(figure, path)


def plot_by_hour(hours, path):
    """Accuracy and kappa of five stages by hour of the night. hours: of metrics.by_hour."""
    hours = pd.DataFrame(hours)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6, 4.8), height_ratios=[3, 1], sharex=True)
    middle = hours.hour + 0.5
    top.plot(middle, hours.accuracy, "o-", color="#4477aa", label="accuracy")
    top.plot(middle, hours.kappa, "s--", color="#ee6677", label="κ")
    top.set(ylabel="accuracy, κ (5 stages)", ylim=(min(0, hours.kappa.min()), 1))
    top.legend(loc="upper right", ncols=2, frameon=False)
    bottom.bar(middle, hours.epochs, width=0.9, color="#bbbbbb")
    bottom.set(ylabel="epochs", xlabel="hours into the night", xlim=(0, hours.hour.max() + 1))
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    figure.tight_layout()
    save(figure, path)


def plot_bland_altman(scored, said, path):
    """Bland-Altman panel of sleep statistics: bias and limits of agreement, each with its 95 % interval.

    scored, said: of evaluation.sleep.sleep_table, two nights at least. What is the same on all nights is left
    out. Returns whether anything was drawn.
    """
    agreement = sleep_agreement(scored, said)
    names = [name for name in UNITS if name != "Wake" and agreement and name in agreement.sleep_statistics]
    if not names:
        return False
    constant = dict.fromkeys(("bias_method", "loa_method", "ci_method"), "param")
    grid = agreement.plot_blandaltman(names, **constant, height=2.7)
    for axis, name in zip(grid.axes.flat, names, strict=True):
        axis.set_title(f"{name} ({UNITS[name]})")
    save(grid.figure, path)
    return True


def plot_parity(night, stride, reference, said, path):
    """One night: scored, Keras and watch hypnogram, and how far the watch's probabilities are off.

    reference: [windows, 5] of Keras; said: {precision: [windows, 5]} of the watch.
    """
    shown = "int8" if "int8" in said else next(iter(said))
    lines = {"scored (PSG)": night.stages, "Keras": reference.argmax(1), f"watch, {shown}": said[shown].argmax(1)}
    whole = night.ends % EPOCH_S == 0  # one window per scored epoch
    lines = {name: stages[whole] for name, stages in lines.items()}
    figure, axes = plt.subplots(4, 1, figsize=(11, 8), height_ratios=[1, 1, 1, 1.2])
    hours = (night.ends - night.ends[0]) / 3600
    for axis, (name, stages) in zip(axes, lines.items(), strict=False):
        if (stages >= 0).any():
            hypnogram(stages, max(stride, EPOCH_S)).plot_hypnogram(ax=axis, lw=1.2)
        axis.set(ylabel=name, xlabel="", xlim=(0, hours[-1]))
    for precision, p in said.items():
        axes[3].plot(hours, np.abs(p - reference).max(1) + 1e-9, lw=0.9, color=COLOURS[precision], label=precision)
    axes[3].set(yscale="log", ylim=(1e-9, 1), xlim=(0, hours[-1]), xlabel="hours", ylabel="largest |Δp|")
    axes[3].legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.25), frameon=False)
    axes[0].set_title(f"night {night.subject}: what the watch says against what the full model says")
    figure.tight_layout()
    save(figure, path)


def plot_night(subject, epochs, stride, path, scored=None):
    """A predicted night: hypnogram over the stage probabilities (hypnodensity), under the scored one where it is known.

    epochs: DataFrame of predictions, p_wake .. p_rem. scored: [windows], index into STAGES, -1 unscored.
    """
    p = epochs[[*PROBABILITY_COLUMNS]].to_numpy()
    hours = np.arange(len(p)) * stride / 3600
    end = len(p) * stride / 3600
    lines = {"said": p.argmax(1)} if scored is None else {"scored (PSG)": scored, "said": p.argmax(1)}
    figure, axes = plt.subplots(len(lines) + 1, 1, figsize=(11, 2.7 * (len(lines) + 1)))
    for axis, (name, stages) in zip(axes, lines.items(), strict=False):
        hypnogram(stages, stride).plot_hypnogram(ax=axis, lw=1.2)
        axis.set(xlabel="", ylabel=name, xlim=(0, end))
    axes[0].set_title(f"night {subject}")
    bottom = axes[-1]
    bottom.stackplot(hours, p.T, labels=STAGES, colors=["#f2c14e", "#a8d5e2", "#5aa9d6", "#22577a", "#c8553d"])
    bottom.set(ylim=(0, 1), xlim=(0, end), xlabel="hours", ylabel="stage probability")
    bottom.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    figure.tight_layout()
    save(figure, path)
