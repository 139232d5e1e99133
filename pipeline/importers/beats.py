"""Heart rate from the times of heart beats."""

import numpy as np

from pipeline.constants import CHANNELS, MINUTE_S

EVERY_S = 5  # s between heart rate values, as on a watch
LEAST_BEATS = 2  # intervals in that time needed for a value


def heart_rate_of(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heart rate as from a watch, computed from beats.

    Args:
        beats: Times of beats in s, ascending, [n].

    Returns:
        (t, bpm), [m] each, for every bin of EVERY_S with at least LEAST_BEATS intervals of plausible length: the end of
        the bin in s, and the heart rate of their mean.
    """
    beats = np.asarray(beats, float)
    return heart_rate_of_intervals(beats[1:], np.diff(beats))


def heart_rate_of_intervals(t: np.ndarray, intervals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `heart_rate_of`, from the intervals between beats and the times of their ends, both in s, [n]."""
    channel = CHANNELS["heart_rate"]
    possible = (intervals >= MINUTE_S / channel.high) & (intervals <= MINUTE_S / channel.low)
    t, intervals = t[possible], intervals[possible]
    bins, of_bin, counts = np.unique(t // EVERY_S, return_inverse=True, return_counts=True)
    mean = np.bincount(of_bin, intervals, len(bins)) / np.maximum(counts, 1)
    enough = counts >= LEAST_BEATS
    return (bins[enough] + 1) * EVERY_S, MINUTE_S / mean[enough]
