"""A recording as the sensor events that a watch would get."""

from itertools import pairwise

import numpy as np

from pipeline.align import extent
from pipeline.options import GRACE_S

BATCH_S = 10.0  # motion comes in batches, as watches deliver it; everything else sample by sample


def events(recording, options):
    """Yield (sensor, t, values) in time order, up to the end of the night; motion in arrays of up to BATCH_S."""
    _, end = extent(recording, options)
    pieces = []
    for sensor, (t, values) in recording.samples.items():
        n = int(np.searchsorted(t, end + GRACE_S, "right"))
        cuts = (
            np.arange(n) if sensor != "motion" else np.flatnonzero(np.diff(np.floor(t[:n] / BATCH_S), prepend=-np.inf))
        )
        cuts = np.append(cuts, n)
        pieces += [(t[b - 1], sensor, t[a:b], values[a:b]) for a, b in pairwise(cuts)]
    for _, sensor, t, values in sorted(pieces, key=lambda piece: piece[0]):
        yield sensor, t, values


def stream(recording, options, watch):
    """Run a Watch (or anything with `feed` and `advance`) over a recording; yields what each call returns."""
    for sensor, t, values in events(recording, options):
        yield watch.feed(sensor, t, values)
    yield watch.advance(extent(recording, options)[1])
