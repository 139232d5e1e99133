"""Warns if heart rate or movement is too infrequent, or missing for too long, for the model's figures to apply."""

import numpy as np

from export.cadence import Cadence, Cell
from pipeline.align import CHANNELS_OF_SENSOR, extent
from pipeline.constants import EPOCH_S
from pipeline.degrade import HOLE_S
from pipeline.options import Options
from pipeline.recordings import Recording

LEAST_FALL = 0.02  # smallest drop of κ worth a warning
NEAR = 0.8  # a cadence of 50 s still counts as 60 s
LEAST_LOST = 0.1  # smallest share of the night without heart rate worth a warning
LONGEST_STEP_S = 0.11  # s from one motion sample to the next: activity counts need about 10 Hz
LEAST_CADENCE_S = 0.2  # s; no heart beats more often


def heart_rate_cadence(recording: Recording, options: Options) -> tuple[float, float]:
    """The cadence of heart rate, and the share of the night that it covers.

    Args:
        recording: Must have heart rate.
        options: Options of the run.

    Returns:
        (seconds between samples, as a median weighted by time, so that a short burst of samples counts little; share
        of the night outside gaps of more than HOLE_S).
    """
    start, end = extent(recording, options)
    t = recording.samples["heart_rate"][0]
    t = t[(t >= start) & (t <= end)]
    intervals = np.diff(t)
    gaps = np.diff(np.concatenate([[start], t, [end]]))
    share = 1 - gaps[gaps > HOLE_S].sum() / (end - start) if end > start else 0.0
    within = np.sort(intervals[intervals <= HOLE_S] if (intervals <= HOLE_S).any() else intervals)
    if not len(within):
        return float(end - start), float(share)
    half = np.searchsorted(np.cumsum(within), within.sum() / 2)
    return float(within[half]), float(share)


def cadence_notes(recording: Recording, options: Options, cadence: Cadence) -> list[str]:
    """Warnings about a night's heart rate, with figures from the model's stress test.

    Args:
        recording: The night.
        options: Options of the run.
        cadence: From the model's bundle; if it is empty, the warnings give no figures.

    Returns:
        Up to two warnings.
    """
    if "heart_rate" not in options.channels or "heart_rate" not in recording.samples:
        return []
    seconds, share = heart_rate_cadence(recording, options)
    notes = []
    if seconds < LEAST_CADENCE_S:
        notes.append(f"warning: heart rate every {seconds:.2g} s (median): are the times in seconds?")
    if cadence.cells:
        usual, cell = cadence.cells[0], _cell(cadence, seconds, recording)
        if cell and usual.kappa - cell.kappa >= LEAST_FALL:
            at_most = " or less" if seconds * NEAR > cell.seconds else ""
            movement = "" if cell.movement == usual.movement else f", movement: {cell.movement}"
            notes.append(
                f"warning: heart rate every {seconds:.0f} s (median){movement}: in stress tests, five-stage κ fell "
                f"from {usual.kappa:.2f} ({_words(usual)}) to {cell.kappa:.2f}{at_most} ({_words(cell)})"
            )
    elif seconds > EPOCH_S:
        notes.append(
            f"warning: heart rate every {seconds:.0f} s (median), less than once per epoch: expect lower accuracy than "
            f"the model's figures; the effect was not measured for this bundle"
        )
    if 1 - share >= LEAST_LOST:
        worse = [entry for entry in cadence.lost if entry.share >= NEAR * (1 - share)] or cadence.lost[-1:]
        fall = (
            f": in stress tests, five-stage κ fell to {worse[0].kappa:.2f} with {worse[0].share:.0%} missing"
            if worse
            else ""
        )
        notes.append(f"warning: no heart rate for {1 - share:.0%} of the night{fall}")
    return notes


def movement_notes(recording: Recording, options: Options) -> list[str]:
    """Warnings about a night's movement: missing for long, or too few samples for counts.

    Args:
        recording: The night.
        options: Options of the run.

    Returns:
        Up to two warnings; none if the model uses no movement, or the night has none at all.
    """
    used = [s for s in ("motion", "activity") if s in recording.samples and {s, "activity"} & _sensors_of(options)]
    if not used:
        return []
    start, end = extent(recording, options)
    t = np.sort(np.concatenate([recording.samples[sensor][0] for sensor in used]))
    gaps = np.diff(np.concatenate([[start], t[(t >= start) & (t <= end)], [end]]))
    notes = []
    if end > start and (lost := gaps[gaps > HOLE_S].sum() / (end - start)) >= LEAST_LOST:
        notes.append(f"warning: no movement data for {lost:.0%} of the night")
    if "motion" in used and "activity" not in used and "activity" in options.channels and len(gaps) > 2:
        step = float(np.median(gaps))
        if step > LONGEST_STEP_S:
            notes.append(
                f"warning: motion every {step:.2g} s (median): activity counts need 10 to 100 samples a second"
            )
    return notes


def _sensors_of(options):
    """The movement sensors that the model's channels need."""
    return {sensor for sensor in ("motion", "activity") if set(CHANNELS_OF_SENSOR[sensor]) & {*options.channels}}


def _cell(cadence: Cadence, seconds: float, recording: Recording) -> Cell | None:
    """The table's cell for a night: its kind of movement data, and the next lower cadence of heart rate."""
    movements = [cell.movement for cell in cadence.cells]
    movement = "none"
    if recording.samples.keys() & {"motion", "activity"}:
        movement = "motion" if "motion" in movements and "motion" in recording.samples else "counts only"
    cells = [cell for cell in cadence.cells if cell.movement == movement]
    return next((cell for cell in cells if cell.seconds >= NEAR * seconds), cells[-1] if cells else None)


def _words(cell: Cell) -> str:
    return f"heart rate every {cell.seconds} s, movement: {cell.movement}"
