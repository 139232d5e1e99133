"""A recording as the sensor events that a watch would get."""

from itertools import pairwise

import numpy as np

from pipeline.align import extent
from pipeline.options import GRACE_S


def events(recording, options):
    """Yield (sensor, t, values) in time order, up to the end of the night.

    Motion comes in batches, as watches deliver it, three a stride; each lies before or past a window's grace, as its
    samples do. All else comes sample by sample.
    """
    _, end = extent(recording, options)
    pieces = []
    for sensor, (t, values) in recording.samples.items():
        n = int(np.searchsorted(t, end + GRACE_S, "right"))
        batch = np.ceil((t[:n] - GRACE_S) / (options.stride / 3)) if sensor == "motion" else t[:n]
        cuts = np.append(np.flatnonzero(np.diff(batch, prepend=-np.inf)), n)
        pieces += [(t[b - 1], sensor, t[a:b], values[a:b]) for a, b in pairwise(cuts)]
    for _, sensor, t, values in sorted(pieces, key=lambda piece: piece[0]):
        yield sensor, t, values


def stream(recording, options, watch):
    """Run a Watch (or anything with `feed` and `advance`) over a recording; yields what each call returns."""
    for sensor, t, values in events(recording, options):
        yield watch.feed(sensor, t, values)
    yield watch.advance(extent(recording, options)[1])
