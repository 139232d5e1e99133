"""A recording as the sensor events that a watch would receive."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.align import extent
from pipeline.constants import GRACE_S
from pipeline.options import Options
from pipeline.recordings import Recording

BATCHES = 3  # of motion per stride


def events(recording: Recording, options: Options) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Samples in time order, up to the end of the night.

    Motion comes in batches, as watches deliver it, none of which spans the end of a window's grace period. All other
    sensors come sample by sample.

    Args:
        recording: The recording.
        options: Options of the run.

    Yields:
        (sensor, t [n] s, values [n] or [n, 3]).
    """
    start, end = extent(recording, options)
    pieces = []
    for sensor, (t, values) in recording.samples.items():
        n = int(np.searchsorted(t - start - GRACE_S, end - start, "right"))  # rounded as by the Aligner
        batch = np.ceil((t[:n] - GRACE_S) / (options.stride / BATCHES)) if sensor == "motion" else t[:n]
        cuts = np.append(np.flatnonzero(np.diff(batch, prepend=-np.inf)), n)
        pieces += [(t[b - 1], sensor, t[a:b], values[a:b]) for a, b in pairwise(cuts)]
    for _, sensor, t, values in sorted(pieces, key=lambda piece: piece[0]):
        yield sensor, t, values


def stream(recording: Recording, options: Options, watch: Any) -> Iterator[Any]:
    """Run a Watch, or anything else with `feed` and `advance`, over a recording; yields what each call returns."""
    for sensor, t, values in events(recording, options):
        yield watch.feed(sensor, t, values)
    yield watch.advance(extent(recording, options)[1])
