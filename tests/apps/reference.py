"""What the pipeline makes of events that come one by one, to hold libraries for apps against."""

import numpy as np

from pipeline.activity import HZ, ActivityCounter
from pipeline.align import Aligner


def aligned(options, channels, start, fed, end, counted=False):
    """What pipeline.align makes of events that come one by one: ({channel: [n, values]}, its Aligner)."""
    aligner = Aligner(options, channels, start, count_motion=counted)
    closed = []
    for sensor, t, value in fed:
        aligner.feed(sensor, t, value)
        closed.append(aligner.before(t)[1])
    closed.append(aligner.advance(end)[1])
    return {name: np.concatenate([windows[name] for windows in closed]) for name in channels}, aligner


def pipeline_grid(monkeypatch, options, start, fed, end, axis):
    """Values [points] of one axis on the 50 Hz grid, as the pipeline's activity counter has them; NaN is missing."""
    values, own = np.full(int(HZ * (end - start)) + HZ, np.nan), ActivityCounter._filter

    def noting(counter, x):
        values[counter.next : counter.next + len(x)] = x
        return own(counter, x)

    with monkeypatch.context() as patched:
        patched.setattr(ActivityCounter, "_filter", noting)
        turned = [(sensor, t, np.roll(x, 2 - axis) if sensor == "motion" else x) for sensor, t, x in fed]
        aligned(options, ("activity",), start, turned, end, counted=True)
    return values[: int(HZ * (end - start))]
