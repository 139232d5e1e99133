"""Forged states: a watch refuses them at once by the name of an array, or goes on without inventing numbers."""

import random

import numpy as np
import pytest

from pipeline.constants import STAGES, UNKNOWN
from watch_sim import Watch

WINDOWS, STRIDE = 20, 30


def feed(watch, begin, counts):
    """Feed a watch 20 windows' samples from a time on; its epochs."""
    rng, epochs = np.random.default_rng(3), []
    for start in begin + STRIDE * np.arange(float(WINDOWS)):
        t = start + np.arange(0, STRIDE, 5.0)
        epochs += watch.feed("heart_rate", t, rng.integers(50, 90, len(t)))
        if counts:
            epochs += watch.feed("activity", start + np.array([15.0, 30.0]), [3.0, 0.0])
        else:
            t = start + np.arange(0, STRIDE, 0.1)
            epochs += watch.feed("motion", t, rng.normal([0, 0, 1], 0.2, (len(t), 3)))
        epochs += watch.advance(start + STRIDE)
    return epochs


def watch_of(bundle, counts, minutes):
    """A watch, some time into a night."""
    watch = Watch(bundle, start=-600.0, counts=counts)
    feed_until = -600.0 + 60 * minutes
    if minutes:
        feed(watch, feed_until - STRIDE * WINDOWS, counts)
        watch.feed("heart_rate", feed_until + 7, 61)  # of an open window
        watch.feed("steps", feed_until + 7, 3)
    return watch


@pytest.fixture(scope="module", params=[(True, 0), (True, 20), (False, 0), (False, 20)], ids=str)
def saved(request, bundle):
    """(watch, its state, whether activity counts are fed)."""
    watch = watch_of(bundle, *request.param)
    return watch, watch.state(), request.param[0]


def forgeries(name, x):
    """Other arrays in place of an array: (description, array)."""
    flat = x.ravel()
    yield "absent", None
    for kind in (np.float16, np.float32, np.float64, np.int8, np.int64, np.uint64, np.bool_, np.complex128, "U9", "S3"):
        if np.dtype(kind) != x.dtype:
            yield f"as {np.dtype(kind)}", np.zeros(x.shape, kind)
    yield "big-endian", x.astype(x.dtype.newbyteorder(">"))
    for shape in ((), (0,), (1,), (7,), (100_000,), (3, 0), (1, *x.shape), (*x.shape, 1), (*x.shape, 2)):
        if shape != x.shape:
            yield f"of shape {shape}", np.resize(flat, shape) if flat.size else np.zeros(shape, x.dtype)
    yield "longer", np.append(flat, flat[-1:] if flat.size else np.zeros(1, x.dtype))
    if flat.size:
        yield "shorter", flat[:-1]
    if x.dtype.kind not in "fiub":
        yield "another text", np.full(x.shape, "x\n\0")
        return
    if x.dtype.kind == "f":
        values = [np.nan, np.inf, -np.inf, -1e-300, 0.5, -1, 1e12, -1e12, 1e30, 1e300, -1e300, 29.99, 1e9]
    else:
        values = [-1, 1, 2, 5, 1000, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63)] if x.dtype.kind == "i" else [True, False]
    for value in values:
        with np.errstate(over="ignore"):
            yield f"all {value}", np.full(x.shape, value, x.dtype)
            if flat.size > 1:
                for at in (0, flat.size // 2, -1):
                    one = flat.copy()
                    one[at] = value
                    yield f"{value} at {at}", one.reshape(x.shape)


def check_forged(watch, good, forged, counts):
    """Whether a watch refuses a forged state; otherwise it must go on for 20 windows."""
    before = {name: x.tobytes() for name, x in watch.state().items()}
    try:
        watch.resume(forged)
    except ValueError as error:
        after = watch.state()
        assert {name: x.tobytes() for name, x in after.items()} == before
        name = str(error).partition(":")[0]
        assert name in good.keys() | forged.keys() or name.startswith("aligner.counter."), str(error)
        return True
    begin = watch.aligner.start + watch.aligner.closed * watch.options.stride
    if begin - watch.aligner.start < 24 * 3600 and abs(begin) < 1e9:
        epochs = feed(watch, begin, counts)
        assert len(epochs) == WINDOWS * STRIDE // watch.options.stride
        for epoch in epochs:
            assert epoch.stage in (*STAGES, UNKNOWN)
            assert np.isfinite(epoch.probabilities).all()
            assert all(0 <= sensor.share <= 1 for sensor in epoch.coverage.sensors.values())
    watch.resume(good)
    return False


def test_a_forged_array_is_refused_by_name_or_harmless(saved):
    watch, good, counts = saved
    watch.resume(good)
    draw = random.Random(len(good))
    tried = [(name, forgery) for name, x in good.items() for forgery in forgeries(name, np.asarray(x))]
    refused = 0
    for name, (how, x) in draw.sample(tried, 40):
        forged = {**good, name: x}
        if x is None:
            del forged[name]
        try:
            refused += check_forged(watch, good, forged, counts)
        except Exception as error:
            raise AssertionError(f"{name} {how}") from error
    assert refused > 20
