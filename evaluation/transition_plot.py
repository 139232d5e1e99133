"""Plots saliency for readers: a transition that a network follows next to one that it misses."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, ListedColormap

from evaluation.saliency_plot import COLOURS, label
from evaluation.transitions import LASTS_S, Transition
from pipeline.align import Night
from pipeline.constants import CHANNELS, HOUR_S, MINUTE_S, STAGES
from pipeline.options import Options
from scoring.plots import BLUE, RED, STAGE_COLOURS, count_of_nights, model_name, save

BEFORE_MIN, AFTER_MIN = 30, 10  # minutes shown before and after the onset of the stage
LEAST_NAMED_MIN = 3  # shortest run of a stage that has room for its name
STAGE_MAP = ListedColormap(STAGE_COLOURS)
EFFECT_MAP = LinearSegmentedColormap.from_list("effect", (BLUE, "#f7f7f7", RED))
FULL_COLOUR = 0.6  # share of the strongest effect that gets the full colour
LEAST_EFFECT = 1e-6  # so that the scale is never empty
LATER = f"{LASTS_S // MINUTE_S} minutes after its onset"


def plot_transitions(
    architecture: str, result: Mapping[str, Any], nights: Sequence[Night], options: Options, path: Path
) -> None:
    """Plot a column per transition: scored and predicted stages, heart rate, movement, and contribution of each minute.

    Args:
        architecture: Name of the architecture, for the title.
        result: Result of `saliency` for this architecture; "shown" is not None.
        nights: Nights that it was measured on.
        options: Options of the run.
        path: PNG to write.
    """
    shown, inputs = result["shown"], result["inputs"]
    pair = shown["pair"]
    channels = [name for name in ("heart_rate", "activity") if name in inputs] or inputs[:1]
    heights = [1, *[1.5] * len(channels), 0.55 * len(inputs)]
    columns = len(pair.shown)
    figure, axes = plt.subplots(
        len(heights), columns, figsize=(6.2 * columns, 1.15 * sum(heights) + 1.3), height_ratios=heights,
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    strongest = max(LEAST_EFFECT, *(FULL_COLOUR * np.abs(effect).max() for effect in shown["contributions"]))
    for column, transition, effect in zip(axes.T, pair.shown, shown["contributions"], strict=True):
        stages, *lines, strip = column
        night, p = nights[transition.night], shown["probabilities"][transition.night]
        minutes = (night.ends - night.ends[transition.onset] + options.stride) / MINUTE_S  # ends of the windows
        _draw_stages(stages, minutes, options.stride, {"scored": night.stages, "predicted": p.argmax(1)})
        stages.set_title(_title(transition, transition == pair.followed, night, p), fontsize=10.5, loc="left")
        for axis, name in zip(lines, channels, strict=True):
            x = night.values(name, options)
            level = np.ma.masked_less(x, CHANNELS[name].low).mean(1).filled(np.nan)
            axis.plot(minutes, level, color=COLOURS[name], lw=1.4)
            axis.set_ylabel(f"{label(name)}\n({CHANNELS[name].unit})" if axis in axes[:, 0] else "")
        windows = slice(transition.explained + 1 - len(effect), transition.explained + 1)
        mesh = _draw_effect(strip, minutes[windows], options.stride, effect, inputs, strongest)
        for axis in column:
            axis.axvline(0, color="black", lw=1, ls="--")
            axis.set_xlim(-BEFORE_MIN, AFTER_MIN)
        strip.set_title("contribution of each minute; at the right: total (log-odds)", fontsize=9, loc="left")
        strip.set_xlabel(f"minutes from the onset of {STAGES[transition.after]}, as scored")
    for row in axes[1:-1]:
        lowest, highest = zip(*(axis.get_ylim() for axis in row), strict=True)
        for axis in row:
            axis.set_ylim(min(lowest), max(highest))
    after, before = STAGES[pair.shown[0].after], STAGES[pair.shown[0].before]
    bar = figure.colorbar(mesh, ax=axes[-1], orientation="horizontal", aspect=40, shrink=0.4, ticks=[])
    bar.outline.set_visible(False)
    bar.set_label(f"evidence against {after}  ◄        ►  evidence for {after}")
    of_total = f"{pair.right} of {pair.total} transitions from {before} to {after}"
    figure.suptitle(
        f"{model_name(architecture)}: evidence for and against {after}, {LATER}\n"
        f"(right by then: {of_total}, {count_of_nights(len(nights))})"
    )
    save(figure, path)


def _title(transition: Transition, followed: bool, night: Night, p: np.ndarray) -> str:
    at = int(night.ends[transition.onset] - night.ends[0])
    hours, minutes = at // HOUR_S, at % HOUR_S // MINUTE_S
    probability = p[transition.explained, transition.after]
    return (
        f"{'Right' if followed else 'Missed'}: {STAGES[transition.before]} to {STAGES[transition.after]}, "
        f"night {night.subject}, {hours} h {minutes:02} min in; "
        f"p({STAGES[transition.after]}) {probability:.0%}"
    )


def _draw_stages(axis: Axes, minutes: np.ndarray, stride: int, rows: Mapping[str, np.ndarray]) -> None:
    """Draw strips in the colours of the stages, with names where there is room."""
    edges = np.append(minutes - stride / MINUTE_S, minutes[-1])
    values = np.ma.masked_less(np.stack([*rows.values()]), 0)
    axis.pcolormesh(edges, np.arange(len(rows) + 1), values, cmap=STAGE_MAP, vmin=-0.5, vmax=len(STAGES) - 0.5)
    inside = (minutes > -BEFORE_MIN) & (minutes <= AFTER_MIN)
    for row, stages in enumerate(rows.values()):
        for stage, start, end in _runs(stages[inside]):
            if stage >= 0 and (end - start) * stride / MINUTE_S >= LEAST_NAMED_MIN:
                middle = (minutes[inside][start] + minutes[inside][end - 1] - stride / MINUTE_S) / 2
                axis.text(middle, row + 0.5, STAGES[stage], ha="center", va="center", color="white", fontsize=9)
    axis.axhline(1, color="white", lw=3)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.invert_yaxis()
    _bare(axis)


def _runs(stages: np.ndarray) -> list[tuple[int, int, int]]:
    """(stage, first index, one past the last) of runs of equal stages."""
    bounds = [0, *(np.flatnonzero(np.diff(stages)) + 1), len(stages)]
    return [(int(stages[a]), int(a), int(b)) for a, b in pairwise(bounds)]


def _draw_effect(
    axis: Axes, minutes: np.ndarray, stride: int, effect: np.ndarray, inputs: Sequence[str], strongest: float
) -> QuadMesh:
    """Draw a strip per input, coloured by the contribution of each window, with the sum at the right."""
    edges = np.append(minutes - stride / MINUTE_S, minutes[-1])
    rows = np.arange(len(inputs) + 1)
    mesh = axis.pcolormesh(edges, rows, effect.T, cmap=EFFECT_MAP, vmin=-strongest, vmax=strongest)
    for row in rows[1:-1]:
        axis.axhline(row, color="white", lw=3)
    for row, total in enumerate(effect.sum(0)):
        axis.text(
            AFTER_MIN, row + 0.5, f"{total:+.1f}".replace("-", "\N{MINUS SIGN}"), ha="right", va="center", fontsize=10
        )
    axis.set_yticks(rows[:-1] + 0.5, map(label, inputs))
    axis.invert_yaxis()
    _bare(axis)
    return mesh


def _bare(axis: Axes) -> None:
    """Remove the frame and the ticks of strips."""
    axis.tick_params(left=False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
