"""Plots of a run: training, agreement with scored stages, and single nights."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import ArrayLike
from sklearn.metrics import ConfusionMatrixDisplay

from pipeline.align import Night
from pipeline.constants import EPOCH_S, HOUR_S, STAGES, UNKNOWN
from pipeline.files import write_whole
from scoring.metrics import BINS, kappa
from scoring.predictions import PROBABILITY_COLUMNS
from scoring.sleep_statistics import UNITS, sleep_agreement

matplotlib.use("agg")
plt.rcParams.update({"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "font.size": 10})
BLUE, RED, GREY = "#4477aa", "#ee6677", "#bbbbbb"
MODEL_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN", "transformer": "Transformer"}
MODEL_COLOURS = {"gru": "#4477aa", "lstm": "#228833", "rnn": "#ccaa22", "transformer": "#aa3377"}
PRECISION_MARKERS = {"float32": "o", "float16": "s", "dynamic": "^", "int8": "D", "int16x8": "v"}
PRECISION_COLOURS = {"float32": "#333333", "float16": BLUE, "dynamic": "#228833", "int8": RED, "int16x8": "#aa3377"}
PART_COLOURS = {"train": GREY, "inner_validation": BLUE, "validation": RED}
STAGE_COLOURS = ("#c9881f", "#52aecd", "#2f78b7", "#263f8a", "#cf3a6c")  # the same as on the page
LEVELS = ("Wake", "REM", "N1", "N2", "N3")  # of a hypnogram, from the top
DEVICE_LEVELS = ("Wake", "REM", "Sleep", "Light", "Deep")  # from the top
TERMS = {
    "TST": "total sleep time", "SE": "sleep efficiency", "SOL": "sleep onset latency", "WASO": "wake after sleep onset",
}  # fmt: skip
BESIDE = 1.25  # margin around the outermost points of a log axis, as a factor
LEAST_DIFFERENCE = 1e-9  # of probabilities, so that equal ones can be shown on a log axis
CONSTANT_AGREEMENT = dict.fromkeys(("bias_method", "loa_method", "ci_method"), "param")  # independent of the size


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically, and close it."""
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight")
    plt.close(figure)
    write_whole(path, content.getvalue())


def model_name(architecture: str, precision: str = "") -> str:
    """A model's name for titles, as "GRU, int8"."""
    return ", ".join(filter(None, (MODEL_NAMES.get(architecture, architecture), precision)))


def count_of_nights(nights: int) -> str:
    """A number of nights in words, as "1 night"."""
    return f"{nights} night{'' if nights == 1 else 's'}"


def plot_accuracies(rows: pd.DataFrame, path: Path) -> None:
    """Plot the accuracy of every model per training epoch. rows: as in model_accuracies.csv."""
    names = list(dict.fromkeys(rows.architecture))
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names) + 1, 3.4), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        model = rows[rows.architecture == name]
        for part, colour in PART_COLOURS.items():
            if f"{part}_accuracy" in model:  # absent if all nights were trained on
                axis.plot(model.epoch, model[f"{part}_accuracy"], color=colour, label=part.replace("_", " "))
        best = model.epoch[model.best].iloc[0]
        axis.axvline(best, color=BLUE, lw=0.8, ls=":", label="kept")
        axis.set(title=model_name(name), xlabel="training epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0][0].set_ylabel("accuracy, 5 stages")
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, frameon=False)
    figure.tight_layout()
    save(figure, path)


def plot_confusion(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike, Sequence[str]]], path: Path, title: str = ""
) -> None:
    """Plot row-normalised confusion matrices.

    Args:
        panels: {title of the panel: (scored class [n], predicted class [n], names of the classes)}.
        path: PNG to write.
        title: Title of the figure, with model and nights.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.8), squeeze=False)
    for axis, (name, (scored, predicted, names)) in zip(axes[0], panels.items(), strict=True):
        ConfusionMatrixDisplay.from_predictions(
            scored, predicted, labels=range(len(names)), display_labels=names, normalize="true", ax=axis,
            cmap="Blues", colorbar=False, values_format=".0%", im_kw={"vmin": 0, "vmax": 1},
        )  # fmt: skip
        axis.set(title=f"{name}   κ {kappa(scored, predicted):.2f}", xlabel="predicted stage", ylabel="")
        for side in axis.spines.values():
            side.set_visible(True)
    axes[0][0].set_ylabel("scored stage")
    figure.suptitle(title)
    figure.tight_layout()
    save(figure, path)


def plot_reliability(calibration: Mapping[str, Any], path: Path, title: str = "") -> None:
    """Plot how often the most likely stage is right against its probability.

    Args:
        calibration: From `metrics.calibration`.
        path: PNG to write.
        title: Title of the figure, with model and nights.
    """
    bins = pd.DataFrame(calibration["bins"])
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(4.6, 5.6), height_ratios=[3, 1], sharex=True)
    top.plot([0, 1], [0, 1], color="#999999", ls="--", lw=1, label="perfectly calibrated")
    top.plot(
        bins.confidence,
        bins.accuracy,
        "o-",
        color=BLUE,
        label=f"predicted (calibration error {calibration['ece']:.3f})",
    )
    top.set_title(title, fontsize="medium")
    top.set(ylabel="share correct", xlim=(0, 1), ylim=(0, 1))
    top.legend(loc="upper left", frameon=False)
    share = bins.epochs / bins.epochs.sum()
    bottom.bar(bins.low, share, width=1 / BINS, align="edge", color=BLUE, edgecolor="white")
    bottom.set(ylabel="share of epochs", xlabel="probability of the most likely stage")
    for axis in (top, bottom):
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.align_ylabels()
    figure.tight_layout()
    save(figure, path)


def plot_by_hour(hours: Sequence[Mapping[str, Any]], path: Path, title: str = "") -> None:
    """Plot accuracy and kappa of five stages by hour of the night.

    Args:
        hours: From `metrics.by_hour`.
        path: PNG to write.
        title: Title of the figure, with model and nights.
    """
    table = pd.DataFrame(hours)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6, 4.8), height_ratios=[3, 1], sharex=True)
    middle = table.hour + 0.5
    top.plot(middle, table.accuracy, "o-", color=BLUE, label="accuracy")
    top.plot(middle, table.kappa, "s--", color=RED, label="Cohen's κ")
    top.set(ylabel="accuracy, κ (5 stages)", ylim=(min(0, table.kappa.min()), 1))
    top.legend(loc="upper right", ncols=2, frameon=False)
    top.set_title(title, fontsize="medium")
    bottom.bar(middle, table.epochs, width=0.9, color=GREY)
    bottom.set(ylabel="scored\nepochs", xlabel="hours into the night", xlim=(0, table.hour.max() + 1))
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    figure.tight_layout()
    save(figure, path)


def plot_bland_altman(scored: pd.DataFrame, predicted: pd.DataFrame, path: Path, title: str = "") -> bool:
    """Plot Bland-Altman panels of sleep statistics: bias and limits of agreement, with 95 % intervals.

    Statistics that are equal on all nights are left out.

    Args:
        scored: From `sleep_table`, at least two nights.
        predicted: From `sleep_table`, for the same nights.
        path: PNG to write.
        title: Title of the figure, with model and nights.

    Returns:
        Whether anything was drawn.
    """
    agreement = sleep_agreement(scored, predicted)
    drawable = agreement.sleep_statistics if agreement else ()
    names = [name for name in UNITS if name != "Wake" and name in drawable]
    if agreement is None or not names:
        return False
    grid = agreement.plot_blandaltman(names, **CONSTANT_AGREEMENT, height=2.7)
    for axis, name in zip(grid.axes.flat, names, strict=True):
        axis.set_title(f"{TERMS.get(name, name)} ({UNITS[name]})", fontsize="medium")
    grid.figure.suptitle(title)
    grid.figure.tight_layout()
    save(grid.figure, path)
    return True


def plot_subjects(kappas: Mapping[str, Mapping[str, float | None]], path: Path) -> None:
    """Plot five-stage kappa: a dot per subject, a column per model, medians as lines.

    Args:
        kappas: {architecture: {subject: kappa}}.
        path: PNG to write.
    """
    figure, axis = plt.subplots(figsize=(1.5 * len(kappas) + 2.5, 3.6))
    labels = []
    for i, (name, by_subject) in enumerate(kappas.items()):
        values = np.sort([k for k in by_subject.values() if k is not None and np.isfinite(k)])
        spread = 0.3 * (np.arange(len(values)) / max(len(values) - 1, 1) - 0.5)  # by rank, so that dots do not overlap
        axis.plot(i + spread, values, "o", color=BLUE, ms=5, alpha=0.7)
        if len(values):
            median = float(np.median(values))
            axis.hlines(median, i - 0.3, i + 0.3, color=RED, lw=1.5, label="" if i else "median")
            axis.text(i + 0.32, median, f"{median:.2f}", color=RED, va="center")
        labels.append(f"{model_name(name)}\n{len(values)} subject{'s' if len(values) != 1 else ''}")
    axis.set_xticks(range(len(kappas)), labels)
    axis.set(ylabel="Cohen's κ of a subject, 5 stages", xlim=(-0.6, len(kappas) - 0.3))
    axis.set_title("Each subject's agreement with the scored stages", fontsize="medium")
    axis.axhline(0, color=GREY, lw=0.8)
    axis.legend(loc="lower right", frameon=False)
    figure.tight_layout()
    save(figure, path)


def plot_models(models: pd.DataFrame, nights: int, path: Path) -> None:
    """Plot the models' kappa against their size and time per step.

    Args:
        models: A row per exported file: architecture, precision, kappa, bytes, step_us.
        nights: Number of nights behind kappa.
        path: PNG to write.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True)
    columns = {"bytes": (1000, "size of the file, kB"), "step_us": (1, "time per step, µs (one thread, desktop)")}
    for axis, (column, (unit, label)) in zip(axes, columns.items(), strict=True):
        for row in models.itertuples():
            look = {"marker": PRECISION_MARKERS[row.precision], "color": MODEL_COLOURS[row.architecture]}
            axis.plot(getattr(row, column) / unit, row.kappa, ls="", ms=7.5, alpha=0.8, mec="white", mew=0.6, **look)
        axis.set(xlabel=label, xscale="log")
        axis.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        low, high = models[column].min() / unit, models[column].max() / unit
        axis.set_xlim(low / BESIDE, high * BESIDE)
        axis.grid(color="#eeeeee")
        axis.set_axisbelow(True)
    keys = [
        Line2D([], [], marker="o", ls="", color=MODEL_COLOURS[a], label=model_name(a))
        for a in models.architecture.unique()
    ]
    keys += [Line2D([], [], marker=PRECISION_MARKERS[p], ls="", color=GREY, label=p) for p in models.precision.unique()]
    axes[1].legend(handles=keys, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes[0].set_ylabel("Cohen's κ, 5 stages")
    figure.suptitle(f"Agreement of each exported file on {count_of_nights(nights)}, against its size and its time")
    figure.tight_layout()
    save(figure, path)


def plot_parity(
    model: str, night: Night, stride: int, reference: np.ndarray, probabilities: Mapping[str, np.ndarray], path: Path
) -> None:
    """Plot one night: scored, Keras and watch hypnograms, and the differences of the watch's probabilities from Keras.

    Args:
        model: Its architecture, for the title.
        night: With its scored stages, if any.
        stride: Seconds from one window to the next.
        reference: Probabilities from Keras, [windows, 5].
        probabilities: Probabilities from the watch, {precision: [windows, 5]}.
        path: PNG to write.
    """
    shown = "int8" if "int8" in probabilities else next(iter(probabilities))
    watch = probabilities[shown].argmax(1)
    hypnograms = {
        "scored (PSG)": night.stages, "predicted:\nKeras": reference.argmax(1), f"predicted:\nwatch, {shown}": watch,
    }  # fmt: skip
    at_epoch = night.ends % EPOCH_S == 0  # one window per scored epoch
    agreement = kappa(reference.argmax(1), watch)
    figure, axes = plt.subplots(4, 1, figsize=(11, 8), height_ratios=[1, 1, 1, 1.2])
    hours = (night.ends - night.ends[0]) / HOUR_S
    for axis, (name, stages) in zip(axes, hypnograms.items(), strict=False):
        if (stages[at_epoch] >= 0).any():
            draw_hypnogram(axis, stages[at_epoch], max(stride, EPOCH_S))
        axis.set(ylabel=name, xlabel="", xlim=(0, hours[-1]))
    bottom = axes[-1]
    for precision, p in probabilities.items():
        difference = np.abs(p - reference).max(1) + LEAST_DIFFERENCE
        bottom.plot(hours, difference, lw=0.9, color=PRECISION_COLOURS[precision], label=precision)
    bottom.set(
        yscale="log",
        ylim=(LEAST_DIFFERENCE, 1),
        xlim=(0, hours[-1]),
        xlabel="hours",
        ylabel="largest difference\nof a probability",
    )
    bottom.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.25), frameon=False)
    axes[0].set_title(
        f"{model_name(model, shown)}, night {night.subject}: the watch and the Keras model agree with κ {agreement:.3f}"
    )
    figure.tight_layout()
    save(figure, path)


def plot_night(
    title: str,
    epochs: pd.DataFrame,
    stride: int,
    path: Path,
    scored: Sequence[int] | np.ndarray | None = None,
    device: Sequence[str] | np.ndarray | None = None,
) -> None:
    """Plot a predicted night: the scored hypnogram, the predicted one, the device's, and the hypnodensity.

    Args:
        title: Title of the plot.
        epochs: Predictions, a row per window with p_wake .. p_rem, and predicted_stage if any may be unknown.
        stride: Seconds from one window to the next.
        path: PNG to write.
        scored: Scored stages, [windows] index into STAGES, -1 if unscored; optional.
        device: Stages of the device, [windows] of pipeline.device_stages.NAMES or ""; optional.
    """
    p = epochs[[*PROBABILITY_COLUMNS]].to_numpy()
    hours = np.arange(len(p)) * stride / HOUR_S
    end = len(p) * stride / HOUR_S
    hypnograms = {} if scored is None else {"scored (PSG)": scored}
    unknown = epochs.get("predicted_stage", pd.Series("", epochs.index)) == UNKNOWN
    hypnograms["predicted"] = np.where(unknown, -1, p.argmax(1))
    panels = len(hypnograms) + 1 + (device is not None)
    figure, axes = plt.subplots(panels, 1, figsize=(11, 2.7 * panels))
    for axis, (name, stages) in zip(axes, hypnograms.items(), strict=False):
        if np.greater_equal(stages, 0).any():
            draw_hypnogram(axis, stages, stride)
        axis.set(xlabel="", ylabel=name, xlim=(0, end))
    if device is not None:
        draw_device_stages(axes[-2], device, stride)
        axes[-2].set(ylabel="device", xlim=(0, end))
    axes[0].set_title(title)
    bottom = axes[-1]
    bottom.stackplot(hours, p.T, labels=STAGES, colors=STAGE_COLOURS)
    bottom.set(ylim=(0, 1), xlim=(0, end), xlabel="hours", ylabel="stage probability")
    bottom.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
    figure.tight_layout()
    save(figure, path)


def draw_hypnogram(axis: Axes, stages: Sequence[int] | np.ndarray, stride: int) -> None:
    """A hypnogram in the colours of the stages. stages: [windows] index into STAGES, -1 for a gap; stride: s."""
    height = np.array([len(LEVELS) - LEVELS.index(stage) for stage in STAGES] + [np.nan])  # -1 is the last
    edges = np.arange(len(stages) + 1) * stride / HOUR_S
    axis.stairs(height[np.asarray(stages)], edges, baseline=None, color="#999999", lw=0.8)
    for stage, colour in enumerate(STAGE_COLOURS):
        level = np.where(np.equal(stages, stage), height[stage], np.nan)
        axis.stairs(level, edges, baseline=None, color=colour, lw=3)
    axis.set_yticks(range(len(LEVELS), 0, -1), LEVELS)
    axis.set_ylim(0.5, len(LEVELS) + 0.5)


def draw_device_stages(axis: Axes, stages: Sequence[str] | np.ndarray, stride: int) -> None:
    """Draw a device's hypnogram, with its classes. stages: [windows] of pipeline.device_stages.NAMES, "" for a gap."""
    levels = [name for name in DEVICE_LEVELS if name != "Sleep" or name in list(stages)]
    height = dict(zip(levels, range(len(levels), 0, -1), strict=True))
    heights = [height.get(stage, np.nan) for stage in stages]
    axis.stairs(heights, np.arange(len(heights) + 1) * stride / HOUR_S, baseline=None, color="black", lw=1.2)
    axis.set_yticks([*height.values()], levels)
    axis.set_ylim(0.5, len(levels) + 0.5)
