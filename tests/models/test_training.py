"""Training: it learns, gives the same weights again, goes on where it was stopped, and counts scored windows alone.

The nights are small and easy: features that are nearly the stage, which stays for some windows at a time.
"""

import functools
import shutil
from dataclasses import replace
from itertools import chain

import keras
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from models.forms import padded
from models.training import first_late_epoch, train_network, whole_model
from pipeline.batches import batches
from pipeline.constants import ARCHITECTURES, STAGES
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.run_folder import epoch_model

WINDOWS, STOP = 60, 2
OPTIONS = Options(batch_size=2, hidden_dim=16, epochs=5, lr=3e-2)


def easy_nights(seed, n):
    """[(features, stages)] of n nights; a fifth of the windows, and the last ten, are unscored."""
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.integers(0, 5, (n, WINDOWS // 5)), 5, axis=1)
    features = 2 * np.eye(5)[stages] - 0.4 + rng.normal(0, 0.5, (n, WINDOWS, 5))
    unscored = rng.random((n, WINDOWS)) < 0.2
    unscored[:, -10:] = True
    stages = np.where(unscored, -1, stages).astype(np.int8)
    return list(zip(features.astype(np.float32), stages, strict=True))


@pytest.fixture(scope="module")
def data():
    """Nights by part. Stages of inner validation are wrong: its best epoch need not be the last."""
    train = [[night, variant] for night, variant in zip(easy_nights(0, 6), easy_nights(3, 6), strict=True)]
    inner = [(x, np.where(s >= 0, (s + 1) % 5, -1)) for x, s in easy_nights(1, 2)]
    inner[1] = tuple(x[:50] for x in inner[1])
    return {"train": train, "inner_validation": inner, "validation": easy_nights(2, 2)}


class Training:
    """One training, as train.py does it: what is logged after each epoch outlives a stop."""

    def __init__(self, data, architecture, partial, options=OPTIONS):
        self.data, self.architecture, self.partial, self.options, self.rows = data, architecture, partial, options, []

    def run(self, stop=None):
        """stop: the epoch after which the user presses Ctrl-C."""

        def after_epoch(row):
            self.rows.append(row)
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        self.best = train_network(
            self.architecture, self.data, self.options, list(self.rows), self.partial, after_epoch
        )
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


def test_it_learns(whole):
    assert [row["epoch"] for row in whole.rows] == [1, 2, 3, 4, 5]
    assert whole.rows[-1]["validation_accuracy"] > 0.6
    assert whole.rows[-1]["train_accuracy"] > max(0.5, whole.rows[0]["train_accuracy"])


def test_what_is_kept_is_the_last_epoch_scored_on_scored_windows_only(whole):
    best = whole.rows[-1]
    model = keras.models.load_model(whole.best)
    assert model.output_shape[-1] == len(STAGES)
    for part in ("inner_validation", "validation"):
        features, stages = zip(*whole.data[part], strict=True)
        predicted = model.predict_on_batch(padded(features))
        p = np.concatenate([x[: len(s)][s >= 0] for x, s in zip(predicted, stages, strict=True)])
        true = np.concatenate([s[s >= 0] for s in stages])
        assert np.isclose(best[f"{part}_accuracy"], (p.argmax(1) == true).mean())
        assert np.isclose(best[f"{part}_kappa"], cohen_kappa_score(true, p.argmax(1)))
        assert np.isclose(best[f"{part}_loss"], -np.log(p[np.arange(len(p)), true]).mean(), rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_whatever_unscored_windows_hold(trained, data, tmp_path):
    """Other features in the unscored windows at the nights' ends leave every loss as it was."""
    changed = [[(np.concatenate([x[:-10], 4 - x[-10:]]), y) for x, y in variants] for variants in data["train"]]
    again = Training(data | {"train": changed}, "lstm", tmp_path).stop(STOP)
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


class CountEpochs(keras.callbacks.Callback):
    """Epochs that ended, and the weights after each."""

    def __init__(self):
        super().__init__()
        self.epochs, self.weights = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.weights.append(self.model.get_weights())


def test_without_a_folder_nothing_is_scored_or_kept_and_weights_are_the_same(data, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, logged, callback = [], [], CountEpochs()
    best = train_network("rnn", {"train": data["train"]}, OPTIONS, rows, None, logged.append, [callback])
    assert best is None
    assert rows == logged == [*tmp_path.iterdir()] == []
    assert callback.epochs == [0, 1, 2, 3, 4]
    after = keras.models.load_model(small.partial / "epoch_5.keras").get_weights()
    for x, y in zip(callback.weights[-1], after, strict=True):
        assert np.array_equal(x, y)


def test_a_training_may_end_within_its_schedule_and_keeps_the_last_epoch(data, small, tmp_path):
    """Without inner validation nights: as after that epoch of the whole schedule."""
    rows, logged, callback = [], [], CountEpochs()
    alone = {"train": data["train"], "inner_validation": [], "validation": []}
    best = train_network("rnn", alone, OPTIONS, rows, tmp_path, logged.append, [callback], stop_after=4)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert logged == rows
    assert all(row.keys() == {"epoch", "train_accuracy"} for row in rows)
    assert [row["train_accuracy"] for row in rows] == [row["train_accuracy"] for row in small.rows[:4]]
    kept = keras.models.load_model(best).get_weights()
    assert all(np.array_equal(x, y) for x, y in zip(kept, callback.weights[-1], strict=True))


@pytest.mark.parametrize(("epochs", "first"), [(1, 1), (2, 2), (3, 3), (5, 4), (9, 7), (90, 61)])
def test_the_last_third_is_late(epochs, first):
    assert first_late_epoch(Options(epochs=epochs)) == first


def test_batches_are_whole_nights_padded_and_weighted():
    nights = easy_nights(0, 5)
    nights[1] = nights[1][0][:40], np.full(40, 3, np.int8)
    drawn = [[part.numpy() for part in batch] for batch in batches([[night] for night in nights], OPTIONS).take(4)]
    assert [len(x) for x, _, _ in drawn] == [2, 2, 1, 2]  # and over again
    seen = set()
    for x, y, weight in drawn[:3]:
        for row in range(len(x)):
            (i,) = [i for i, night in enumerate(nights) if np.array_equal(x[row, : len(night[0])], night[0])]
            features, stages = nights[i]
            seen.add(i)
            assert (x[row, len(features) :] == 0).all()
            assert np.array_equal(weight[row], np.pad(stages >= 0, (0, WINDOWS - len(stages))))
            assert np.array_equal(y[row][weight[row] > 0], stages[stages >= 0])
            assert y.min() >= 0
    assert seen == {0, 1, 2, 3, 4}


def test_every_epoch_sees_every_night_once_in_an_order_and_variants_of_its_own():
    nights = [[(np.full((3, 1), i + 10 * j, np.float32), np.zeros(3, np.int8)) for j in range(4)] for i in range(6)]
    orders = []
    for first in (0, 0, 3):  # steps
        seen = [x[:, 0, 0].numpy().tolist() for x, _, _ in batches(nights, OPTIONS, first).take(9)]
        orders.append([list(chain(*seen[i : i + 3])) for i in (0, 3, 6)])
    assert orders[0] == orders[1]
    assert orders[2][:2] == orders[0][1:]  # beginning with a later epoch is going on
    assert all(sorted(x % 10 for x in order) == list(range(6)) for order in orders[0])
    assert len({tuple(order) for order in orders[0]}) == 3
    assert len({x // 10 for order in orders[0] for x in order}) == 4  # all variants have their turn


def test_where_the_model_of_the_last_epoch_is_damaged_all_is_trained_anew(small, data, tmp_path):
    stopped = Training(data, "rnn", tmp_path).stop(2)
    model = epoch_model(tmp_path, 2)
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert not whole_model(model) and not whole_model(tmp_path / "missing") and whole_model(small.best)
    rows = list(stopped.rows)
    train_network("rnn", data, OPTIONS, rows, tmp_path, lambda row: None)
    assert rows == small.rows


def test_a_training_that_diverges_says_so(data, tmp_path):
    options = replace(OPTIONS, lr=1e38)
    with pytest.raises(
        UserMistake, match=r"^rnn: the training diverged in epoch \d; start a new run with a lower --lr$"
    ):
        Training(data, "rnn", tmp_path, options).run()
