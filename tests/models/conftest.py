"""What tests of models share: a small run, and nights of sensors with their features."""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.align import Night
from pipeline.constants import CHANNELS as ALL_CHANNELS
from pipeline.options import Options
from pipeline.run_folder import RunFolder

CHANNELS = ("heart_rate", "activity")
OPTIONS = Options(
    channels=CHANNELS, architectures=("gru", "rnn"), epochs=3, variants=2, inner_folds=2, hidden_dim=8, batch_size=2
)
USUAL = Options(), ("heart_rate", "activity"), 1000  # windows of a night
OVERLAPPING = Options(window_size=60, stride=15), tuple(ALL_CHANNELS), 300


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
def small(once):
    """A trained run, its nights by part, and what was reported meanwhile; not to be written to."""
    from models.train_run import train_run
    from models.trained_run import TrainedRun

    parts = nights_of_parts()

    def make(folder):
        doing, done = [], []
        train_run(begin_run(folder / "run", parts), parts, lambda what, cost=0: doing.append((what, cost)), done.append)
        (folder / "reported.json").write_text(json.dumps([doing, done]))

    folder = once("small", make)
    doing, done = json.loads((folder / "reported.json").read_text())
    return SimpleNamespace(run=TrainedRun(folder / "run"), parts=parts, doing=[*map(tuple, doing)], done=done)


def rows_of(rng, channel, n):
    """[n] values of a channel in time, missing where nothing is sensed: alone, for minutes and for long."""
    if channel == "heart_rate":
        x = 60 + np.cumsum(rng.normal(0, 0.3, n)) + rng.normal(0, 2, n)
        x[rng.random(n) < 0.002] = rng.choice([20, 35, 150, 250])
        x, gone = x.clip(20, 250), rng.random(n) < 0.8
    elif channel == "activity":
        moved = rng.random(n) < 0.15
        x, gone = moved * 3.07 * rng.geometric(0.02, n), rng.random(n) < 0.02
    elif channel == "steps":
        x, gone = rng.integers(0, 50, n) * (rng.random(n) < 0.3), rng.random(n) < 0.95
    else:
        x, gone = np.sin(np.cumsum(rng.normal(0, 0.02, n))), rng.random(n) < 0.05
        x = np.abs(x) if channel == "motion_magnitude" else x
    for begin in rng.integers(0, n, 12):
        gone[begin : begin + rng.choice([n // 500, n // 100, n // 8])] = True
    return np.where(gone, ALL_CHANNELS[channel].missing, x)


def night_of_rows(rows, options):
    """Night of {channel: values in time}, whatever overlap the options ask for."""
    channels = {}
    for name, x in rows.items():
        size, new = options.values_per_window(name), options.values_per_stride(name)
        x = np.concatenate([np.full(size - new, ALL_CHANNELS[name].missing), x])
        channels[name] = np.lib.stride_tricks.sliding_window_view(x, size)[::new].astype(np.float32)
    n = len(next(iter(channels.values())))
    return Night("1", options.stride * np.arange(1.0, n + 1), channels, np.zeros(n, np.int8))


def night_of_sensors(seed, options, channels, windows):
    rng = np.random.default_rng(seed)
    return night_of_rows(
        {name: rows_of(rng, name, windows * options.values_per_stride(name)) for name in channels}, options
    )


def without(night, *names):
    """The night as it would be without these channels."""
    return Night(night.subject, night.ends, {k: x for k, x in night.channels.items() if k not in names}, night.stages)


class Case:
    """Nights with all channels, without heart rate, without activity and with nothing; and their features."""

    def __init__(self, options, channels, windows):
        from models.sensing import Sensing

        self.options, self.channels, self.windows = options, channels, windows
        whole = [night_of_sensors(seed, options, channels, windows) for seed in (0, 1, 2)]
        self.nights = [whole[0], without(whole[1], "heart_rate"), without(whole[2], "activity")]
        self.nights += [without(whole[0], *channels)]
        self.sensing = Sensing(options, channels)
        self.values, self.available = self.sensing.measure_nights(self.nights)
        some = [np.ma.array(x, mask=k == 0) for x, k in zip(self.values, self.available, strict=True)]
        some = np.ma.concatenate(some)
        self.sensing.scaler = {
            "mean": some.mean(0).filled(0).tolist(),
            "spread": (some.std(0).filled(0) + 0.1).tolist(),
        }
        self.features = [self.sensing.scale(*x).numpy() for x in zip(self.values, self.available, strict=True)]

    def column(self, name, night=0):
        return self.values[night][:, self.sensing.feature_names.index(name)].astype(float)

    def available_of(self, name, night=0):
        return self.available[night][:, self.sensing.feature_names.index(name)]


case_of = functools.cache(Case)


@pytest.fixture(scope="module", params=[USUAL, OVERLAPPING], ids=["usual", "all channels, overlapping"])
def case(request):
    """A Case; its tests run under both sets of options."""
    return case_of(*request.param)


@pytest.fixture(scope="module")
def usual():
    """The Case of the usual options."""
    return case_of(*USUAL)


@pytest.fixture(scope="session")
def of_sensors():
    """Functions: rows(rng, channel, n) of a channel, night(rows, options), drawn(seed, options, channels, windows)."""
    return SimpleNamespace(rows=rows_of, night=night_of_rows, drawn=night_of_sensors)
