"""All networks of a run: features by part, what is written, and a run that was stopped."""

import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from models.operating_points import operating_points
from models.sensing import Sensing
from models.train_run import features_of_parts, train_architecture, train_run
from models.training import best_epoch
from pipeline.augment import night_variant
from pipeline.errors import UserMistake


@pytest.fixture(scope="module")
def data(small, new_run, tmp_path_factory):
    """Features of all parts, and the run that they were made for."""
    run = new_run(tmp_path_factory.mktemp("features") / "run", small.parts)
    return features_of_parts(run, small.parts), run


def test_every_night_has_its_features_and_stages(small, data):
    sensing = small.run.sensing()
    for part in ("inner_validation", "validation"):
        assert len(data[0][part]) == len(small.parts[part])
        expected = sensing.sense_nights(small.parts[part])
        for (features, stages), night, alone in zip(data[0][part], small.parts[part], expected, strict=True):
            assert np.allclose(features, alone, atol=1e-5)
            assert np.array_equal(stages, night.stages)


def test_every_training_night_comes_with_its_variants(small, data):
    options, nights = small.run.options, small.parts["train"]
    seeds = [[options.seed, i, j] for i in range(len(nights)) for j in range(options.variants)]
    variants = [night_variant(nights[seed[1]], options, seed) for seed in seeds]
    expected = [[night, *variants[i * options.variants :][: options.variants]] for i, night in enumerate(nights)]
    assert [len(pairs) for pairs in data[0]["train"]] == [1 + options.variants] * len(nights)
    pairs, same = [*chain(*data[0]["train"])], [*chain(*expected)]
    for (features, stages), night, x in zip(pairs, same, small.run.sensing().sense_nights(same), strict=True):
        assert np.array_equal(stages, night.stages)
        assert np.allclose(features, x, atol=1e-5)


def test_scaler_rests_on_the_training_nights_alone_and_not_on_their_variants(small, data):
    sensing = Sensing(small.run.options, small.run.channels)
    sensing.fit(*sensing.measure_nights(small.parts["train"]))
    written = json.loads((data[1].path / "scaler.json").read_text())
    assert written["features"] == list(sensing.feature_names)
    for name in ("mean", "spread"):
        assert np.allclose(written[name], sensing.scaler[name], rtol=1e-4, atol=1e-5)


def test_each_architecture_has_one_best_epoch(small):
    log = small.run.accuracies()
    options = small.run.options
    assert log.architecture.unique().tolist() == list(options.architectures)
    for name, rows in log.groupby("architecture"):
        assert rows.epoch.tolist() == [1, 2, 3], name
        assert rows.epoch[rows.best].tolist() == [best_epoch(rows.to_dict("records"), options)["epoch"]]


def test_operating_points_are_those_of_the_inner_nights(small):
    inner = small.parts["inner_validation"]
    features = small.run.sensing().sense_nights(inner)
    for name in small.run.options.architectures:
        expected = operating_points([n.stages for n in inner], small.run.probabilities(name, features))
        for point, weights in small.run.operating_points(name).items():
            assert np.allclose(weights["weights"], expected[point]["weights"], rtol=1e-3)


def test_golden_nights_are_the_longest_held_out_ones(small):
    """All have the same channels."""
    assert [len(night) for night in small.run.golden_nights()] == [130, 110, 90]


def test_work_under_way_and_done_is_reported(small):
    epochs = [(f"{name}: epoch {n} of 3", 1) for name in small.run.options.architectures for n in (1, 2, 3)]
    assert small.doing == epochs
    assert small.done[0] == f"{len(small.run.scaler['mean'])} features"
    assert [what.split(":")[0] for what in small.done[1:]] == list(small.run.options.architectures)


@pytest.mark.parametrize("part", ["train", "inner_validation", "validation"])
def test_a_part_without_a_scored_window_is_refused(small, new_run, tmp_path, part):
    unscored = [replace(night, stages=np.full_like(night.stages, -1)) for night in small.parts[part]]
    parts = small.parts | {part: unscored}
    run = new_run(tmp_path / "run", parts)
    with pytest.raises(UserMistake, match=f"no scored window in the {part.replace('_', ' ')} nights"):
        train_run(run, parts)
    assert not (run.path / "scaler.json").exists()


def test_an_architecture_that_is_trained_is_not_trained_again(small, data):
    rows = small.run.accuracies()
    model = small.run.model_path("gru").read_bytes()
    doing, done = [], []
    again = train_architecture(small.run, "gru", data[0], doing.append, done.append)
    assert doing == done == []
    assert small.run.model_path("gru").read_bytes() == model
    expected = rows[rows.architecture == "gru"]
    assert again.epoch.tolist() == expected.epoch.tolist()
    assert again.best.tolist() == expected.best.tolist()
    assert np.allclose(again.inner_validation_kappa, expected.inner_validation_kappa)


def test_an_architecture_that_was_stopped_is_gone_on_with(small, data):
    features, run = data

    def stop(what, cost=0):
        if what.startswith("rnn: epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_architecture(run, "rnn", features, stop, lambda what: None)
    assert [row["epoch"] for row in json.loads(run.accuracy_log("rnn").read_text())] == [1, 2]
    doing = []
    rows = train_architecture(run, "rnn", features, lambda what, cost=0: doing.append(what), lambda what: None)
    assert doing == ["rnn: epoch 3 of 3"]
    assert rows.epoch.tolist() == [1, 2, 3]
    for one, two in zip(run.model("rnn").get_weights(), small.run.model("rnn").get_weights(), strict=True):
        assert np.array_equal(one, two)
