"""Plots of a run: training, confusion, and one night as three hypnograms."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yasa
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.metrics import ConfusionMatrixDisplay

from evaluation.metrics import kappa
from pipeline.files import write_whole
from pipeline.options import EPOCH_S, STAGES

matplotlib.use("agg")
plt.rcParams.update({"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "font.size": 10})
YASA = np.array(["WAKE", "N1", "N2", "N3", "REM", "UNS"])  # index -1 is unscored
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
        best = own[own.inner_validation_accuracy == own.inner_validation_accuracy.max()].iloc[-1]
        axis.axvline(best.epoch, color="#4477aa", lw=0.8, ls=":", label="best epoch, by inner validation accuracy")
        axis.set(title=name, xlabel="training epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0][0].set_ylabel("accuracy, 5 stages")
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, frameon=False)
    figure.tight_layout()
    save(figure, path)


def plot_confusion(stages, probabilities, path):
    """Row-normalised confusion matrix per model. stages: [windows] scored; probabilities: {name: [windows, 5]}."""
    figure, axes = plt.subplots(
        1, len(probabilities), figsize=(3.4 * len(probabilities), 3.8), sharey=True, squeeze=False
    )
    for axis, (name, p) in zip(axes[0], probabilities.items(), strict=True):
        ConfusionMatrixDisplay.from_predictions(
            stages, p.argmax(1), labels=range(len(STAGES)), display_labels=STAGES, normalize="true", ax=axis,
            cmap="Blues", colorbar=False, values_format=".0%", im_kw={"vmin": 0, "vmax": 1},
        )  # fmt: skip
        axis.set(
            title=f"{name}   κ {kappa(stages, p.argmax(1)):.2f}",
            ylabel="" if axis is not axes[0][0] else "scored stage",
        )
        axis.set_xlabel("said stage")
        for side in axis.spines.values():
            side.set_visible(True)
    figure.tight_layout()
    save(figure, path)


def hypnogram(stages, seconds=EPOCH_S):
    """yasa.Hypnogram of stages [windows], index into STAGES, -1 unscored; one window every `seconds`."""
    return yasa.Hypnogram(YASA[np.asarray(stages)], n_stages=5, freq=f"{seconds:g}s")


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


def plot_night(subject, epochs, stride, path):
    """A predicted night: hypnogram over the stage probabilities (hypnodensity). epochs: DataFrame of predictions."""
    p = epochs[[f"p_{stage.lower()}" for stage in STAGES]].to_numpy()
    hours = np.arange(len(p)) * stride / 3600
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 5.4))
    hypnogram(p.argmax(1), stride).plot_hypnogram(ax=top, lw=1.2)
    top.set(title=f"night {subject}", xlabel="", xlim=(0, hours[-1]))
    bottom.stackplot(hours, p.T, labels=STAGES, colors=["#f2c14e", "#a8d5e2", "#5aa9d6", "#22577a", "#c8553d"])
    bottom.set(ylim=(0, 1), xlim=(0, hours[-1]), xlabel="hours", ylabel="stage probability")
    bottom.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    figure.tight_layout()
    save(figure, path)


def statistics(stages, seconds):
    """Sleep statistics of a hypnogram (yasa: AASM definitions; minutes and %), as a pandas Series."""
    return pd.Series(hypnogram(stages, seconds).sleep_statistics()).round(2)
