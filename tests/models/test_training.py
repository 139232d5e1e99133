"""Training: it learns, gives the same weights again, goes on where it was stopped, and counts scored windows alone.

The nights are small and easy: features that are nearly the stage, which stays for some windows at a time.
"""

import functools
import shutil
from itertools import chain

import keras
import numpy as np
import pytest

from models.assemble import padded
from models.training import train
from pipeline.options import ARCHITECTURES, STAGES, Options
from pipeline.windows import batches

WINDOWS, STOP = 60, 2
OPTIONS = Options(batch_size=2, hidden_dim=16, epochs=5, lr=3e-2)


def easy_nights(seed, n):
    """(features, stages) of n nights; a fifth of the windows, and the last ten, are unscored."""
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.integers(0, 5, (n, WINDOWS // 5)), 5, axis=1)
    features = 2 * np.eye(5)[stages] - 0.4 + rng.normal(0, 0.5, (n, WINDOWS, 5))
    unscored = rng.random((n, WINDOWS)) < 0.2
    unscored[:, -10:] = True
    return list(features.astype(np.float32)), list(np.where(unscored, -1, stages).astype(np.int8))


@pytest.fixture(scope="module")
def data():
    """(features, stages), each by part. Stages of inner validation are wrong: its best epoch is an early one."""
    parts = {"train": easy_nights(0, 6), "inner_validation": easy_nights(1, 2), "validation": easy_nights(2, 2)}
    features, stages = ({name: part[i] for name, part in parts.items()} for i in (0, 1))
    stages["inner_validation"] = [np.where(s >= 0, (s + 1) % 5, -1) for s in stages["inner_validation"]]
    features["inner_validation"][1], stages["inner_validation"][1] = (
        x["inner_validation"][1][:50] for x in (features, stages)
    )
    return features, stages


class Training:
    """One training, as train.py does it: what is logged after each epoch outlives a stop."""

    def __init__(self, data, architecture, partial, options=OPTIONS):
        self.data, self.architecture, self.partial, self.options, self.rows = data, architecture, partial, options, []

    def run(self, stop=None):
        """stop: the epoch after which the user presses Ctrl-C."""

        def done(row):
            self.rows.append(row)
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        features, stages = self.data
        rows = list(self.rows)
        self.best = train(self.architecture, features, stages, self.options, rows, self.partial, done)
        return self

    def stop(self, epoch):
        with pytest.raises(KeyboardInterrupt):
            self.run(epoch)
        return self

    def weights(self):
        return keras.models.load_model(self.best).get_weights()


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """architecture -> its uninterrupted Training, made once: building a training graph takes seconds."""
    return functools.cache(lambda name: Training(data, name, tmp_path_factory.mktemp(name)).run())


@pytest.fixture(params=ARCHITECTURES)
def whole(request, trained):
    return trained(request.param)


@pytest.fixture
def small(trained):
    return trained("rnn")


def assert_same(one, two):
    assert one.rows == two.rows  # losses to the last bit, so weights of every epoch
    for x, y in zip(one.weights(), two.weights(), strict=True):
        assert np.array_equal(x, y)


def best_row(rows):
    """The row of the best inner validation accuracy, of equals the last."""
    best = max(row["inner_validation_accuracy"] for row in rows)
    return [row for row in rows if row["inner_validation_accuracy"] == best][-1]


def test_it_learns(whole):
    assert [row["epoch"] for row in whole.rows] == [1, 2, 3, 4, 5]
    assert whole.rows[-1]["validation_accuracy"] > 0.6
    assert whole.rows[-1]["train_accuracy"] > max(0.5, whole.rows[0]["train_accuracy"])


def test_what_is_kept_is_the_epoch_best_on_scored_windows_of_inner_validation(whole):
    best = best_row(whole.rows)
    assert best["epoch"] < OPTIONS.epochs
    features, stages = whole.data
    model = keras.models.load_model(whole.best)
    assert model.output_shape[-1] == len(STAGES)
    for part in ("inner_validation", "validation"):
        said = model.predict_on_batch(padded(features[part]))
        p = np.concatenate([x[: len(s)][s >= 0] for x, s in zip(said, stages[part], strict=True)])
        true = np.concatenate([s[s >= 0] for s in stages[part]])
        assert np.isclose(best[f"{part}_accuracy"], (p.argmax(1) == true).mean())
        assert np.isclose(best[f"{part}_loss"], -np.log(p[np.arange(len(p)), true]).mean(), rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_whatever_unscored_windows_hold(trained, data, tmp_path):
    """Other features in the unscored windows at the nights' ends leave every loss as it was."""
    features, stages = data
    changed = [np.concatenate([night[:-10], 4 - night[-10:]]) for night in features["train"]]
    again = Training((features | {"train": changed}, stages), "lstm", tmp_path).stop(STOP)
    assert again.rows == trained("lstm").rows[:STOP]


def test_another_seed_begins_with_other_weights(small, tmp_path):
    options = Options.of(OPTIONS.as_dict() | {"seed": 1, "lr": 1e-12, "epochs": 1})  # as good as untrained
    other = Training(small.data, "rnn", tmp_path, options).run()
    for x, y in zip(small.weights(), other.weights(), strict=True):
        assert x.ndim < 2 or np.corrcoef(x.ravel(), y.ravel())[0, 1] < 0.5


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):
    return Training(data, "rnn", tmp_path_factory.mktemp("stopped")).stop(STOP)


@pytest.mark.parametrize("logged", [STOP, STOP - 1], ids=["after it was written down", "before"])
def test_a_training_stopped_after_an_epoch_goes_on_as_if_never_stopped(small, stopped, tmp_path, logged):
    shutil.copytree(stopped.partial, tmp_path, dirs_exist_ok=True)
    resumed = Training(stopped.data, "rnn", tmp_path)
    resumed.rows = stopped.rows[:logged]
    assert_same(resumed.run(), small)


def test_a_training_that_had_ended_is_not_repeated(small):
    rows = list(small.rows)
    again = Training(small.data, "rnn", small.partial)
    again.rows = list(rows)
    again.run()
    assert again.rows == rows
    assert again.best == small.best
    assert again.best.exists()


def test_batches_are_whole_nights_padded_and_weighted():
    features, stages = easy_nights(0, 5)
    features[1], stages[1] = features[1][:40], stages[1][:40]
    stages[1][:] = 3
    data = batches(features, stages, OPTIONS, shuffled=False)
    said = [[part.numpy() for part in batch] for batch in data.take(4)]
    assert [len(x) for x, _, _ in said] == [2, 2, 1, 2]  # and over again
    x, y, weight = said[0]
    assert np.array_equal(x[0], features[0])
    assert np.array_equal(x[1, :40], features[1])
    assert (x[1, 40:] == 0).all()
    assert np.array_equal(weight[0], stages[0] >= 0)
    assert np.array_equal(weight[1], [1] * 40 + [0] * 20)
    assert np.array_equal(y[0][weight[0] > 0], stages[0][stages[0] >= 0])
    assert y.min() >= 0


def test_every_epoch_sees_every_night_once_in_an_order_of_its_own():
    features = [np.full((3, 1), i, np.float32) for i in range(6)]
    stages = [np.zeros(3, np.int8)] * 6
    orders = []
    for _ in range(2):
        seen = [x[:, 0, 0].numpy().tolist() for x, _, _ in batches(features, stages, OPTIONS).take(9)]
        orders.append([list(chain(*seen[i : i + 3])) for i in (0, 3, 6)])
    assert orders[0] == orders[1]
    assert all(sorted(order) == list(range(6)) for order in orders[0])
    assert len({tuple(order) for order in orders[0]}) > 1
