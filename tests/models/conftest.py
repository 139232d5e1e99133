"""A small run that the tests of training a run and of reading it share."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.align import Night
from pipeline.options import Options
from pipeline.run_folder import RunFolder

CHANNELS = ("heart_rate", "activity")
OPTIONS = Options(channels=CHANNELS, architectures=("gru", "rnn"), epochs=3, variants=2, hidden_dim=8, batch_size=2)


def drawn_night(subject, windows):
    """A night whose heart rate and activity hang on the stage; the last tenth is unscored."""
    rng = np.random.default_rng(int(subject))
    stages = np.repeat(rng.integers(0, 5, -(-windows // 10)), 10)[:windows].astype(np.int8)
    heart_rate = (
        55 + 5 * stages[:, None] + rng.normal(0, 2, (windows, OPTIONS.values_per_window("heart_rate")))
    ).round(1)
    activity = rng.integers(0, 300, (windows, OPTIONS.values_per_window("activity"))) * (stages == 0)[:, None]
    channels = {"heart_rate": heart_rate.astype(np.float32), "activity": activity.astype(np.float32)}
    stages[-windows // 10 :] = -1
    return Night(subject, OPTIONS.stride * np.arange(1.0, windows + 1), channels, stages)


def nights_of_parts():
    """Five training nights, one of them short, two inner and four held-out ones of several lengths."""
    windows = {"train": (90, 120, 60, 100, 110), "inner_validation": (80, 100), "validation": (70, 130, 90, 110)}
    first = {"train": 1, "inner_validation": 11, "validation": 21}
    return {part: [drawn_night(str(first[part] + i), n) for i, n in enumerate(ns)] for part, ns in windows.items()}


def begin_run(path, parts, options=OPTIONS):
    """The folder of a run of these nights, before it is trained."""
    from models.trained_run import TrainedRun

    path.mkdir()
    nights = [night for part in parts.values() for night in part]
    splits = {name: [night.subject for night in part] for name, part in parts.items()}
    RunFolder.create(path, nights, splits, options, path.parent / "nowhere")
    return TrainedRun(path)


@pytest.fixture(scope="session")
def new_run():
    """begin_run(path, parts, options), a run that is not trained yet."""
    return begin_run


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A trained run, its nights by part, and what was reported meanwhile; not to be written to."""
    from models.train_run import train_run

    parts, doing, done = nights_of_parts(), [], []
    run = begin_run(tmp_path_factory.mktemp("small") / "run", parts)
    train_run(run, parts, lambda what, cost=0: doing.append((what, cost)), done.append)
    return SimpleNamespace(run=type(run)(run.path), parts=parts, doing=doing, done=done)
