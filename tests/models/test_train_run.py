"""All networks of a run: features by part, what is written, and a run that was stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from models.inner_folds import predict_out_of_fold
from models.operating_points import operating_points
from models.sensing import Sensing
from models.train_run import features_of_parts, rows_so_far, train_architecture, train_run
from models.trained_run import TrainedRun
from pipeline.augment import night_variants
from pipeline.coverage import unknown_windows
from pipeline.data_sets import DataSets
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.run_folder import RunFolder
from scoring.predictions import read_predictions
from tests.models.conftest import drawn_night


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


def test_every_night_to_train_on_comes_with_its_variants(small, data):
    """Those of inner validation too: inner folds train on them."""
    options, nights = small.run.options, [*small.parts["train"], *small.parts["inner_validation"]]
    groups = [*data[0]["train"], *data[0]["inner_variants"]]
    assert len(data[0]["train"]) == len(small.parts["train"])
    for i, (pairs, night) in enumerate(zip(groups, nights, strict=True)):
        expected = [night, *night_variants(night, options, [options.seed, i], options.variants)]
        assert len(pairs) == len(expected)
        for (features, stages), same, x in zip(
            pairs, expected, small.run.sensing().sense_nights(expected), strict=True
        ):
            assert np.array_equal(stages, same.stages)
            assert np.allclose(features, x, atol=1e-5)


@pytest.mark.parametrize(("variants", "copies"), [(0, 1), (4, 2)])
def test_an_epoch_in_three_takes_a_night_as_recorded(small, new_run, tmp_path, variants, copies):
    parts = {part: nights[:1] for part, nights in small.parts.items()}
    run = new_run(tmp_path / "run", parts, replace(small.run.options, variants=variants))
    (pairs,) = features_of_parts(run, parts)["train"]
    as_recorded = [np.array_equal(features, pairs[0][0]) for features, _ in pairs]
    assert as_recorded == [True] * copies + [False] * variants


def test_without_inner_folds_inner_nights_are_not_varied(small, new_run, tmp_path):
    run = new_run(tmp_path / "run", small.parts, replace(small.run.options, inner_folds=0, variants=1))
    data = features_of_parts(run, small.parts)
    assert data["inner_variants"] == []
    assert len(data["train"]) == len(small.parts["train"])


def test_scaler_rests_on_the_training_nights_alone_and_not_on_their_variants(small, data):
    sensing = Sensing(small.run.options, small.run.channels)
    sensing.fit(*sensing.measure_nights(small.parts["train"]))
    written = json.loads((data[1].path / "scaler.json").read_text())
    assert written["features"] == list(sensing.feature_names)
    for name in ("mean", "spread"):
        assert np.allclose(written[name], sensing.scaler[name], rtol=1e-4, atol=1e-5)


def test_the_last_epoch_of_each_architecture_is_kept(small):
    log = small.run.accuracies()
    assert log.architecture.unique().tolist() == list(small.run.options.architectures)
    for name, rows in log.groupby("architecture"):
        assert rows.epoch.tolist() == [1, 2, 3], name
        assert rows.epoch[rows.best].tolist() == [3]


def assert_points(run, architecture, stages, probabilities):
    """The run's operating points are those that these nights choose."""
    expected, left_out = operating_points(stages, probabilities)
    assert run.operating_points(architecture).keys() == expected.keys()
    for point, weights in run.operating_points(architecture).items():
        assert np.allclose(weights["weights"], expected[point]["weights"], rtol=1e-3)
    assert run.left_out_points(architecture) == left_out
    assert {*expected} | {*left_out} == {"balanced", "rem"}


def test_operating_points_are_those_of_the_out_of_fold_predictions(small):
    nights = [*small.parts["train"], *small.parts["inner_validation"]]
    for name in small.run.options.architectures:
        predicted = read_predictions(small.run.out_of_fold(name))
        for out_of_fold, night in zip(predicted, nights, strict=True):
            assert out_of_fold.subject == night.subject
            assert np.array_equal(out_of_fold.stages, night.stages)
            assert np.array_equal(out_of_fold.times, night.ends - 30)
            assert np.array_equal(out_of_fold.unknown, unknown_windows(night, small.run.options, small.run.channels))
        assert_points(small.run, name, [n.stages for n in predicted], [n.probabilities for n in predicted])


def test_out_of_fold_predictions_are_no_models_of_the_run(small):
    """The final network was trained on these nights; the networks of the folds were not."""
    train = small.parts["train"]
    features = small.run.sensing().sense_nights(train)
    for name in small.run.options.architectures:
        predicted = read_predictions(small.run.out_of_fold(name))[: len(train)]
        for out_of_fold, p in zip(predicted, small.run.probabilities(name, features), strict=True):
            assert np.abs(out_of_fold.probabilities - p).max() > 1e-3


def test_without_inner_folds_operating_points_are_those_of_the_inner_nights(small, new_run, tmp_path):
    options = replace(small.run.options, inner_folds=0, architectures=("rnn",), epochs=1, variants=0)
    run = new_run(tmp_path / "run", small.parts, options)
    train_run(run, small.parts)
    assert not run.out_of_fold("rnn").exists()
    inner = small.parts["inner_validation"]
    assert_points(run, "rnn", [n.stages for n in inner], run.probabilities("rnn", run.sensing().sense_nights(inner)))


@pytest.fixture(scope="module")
def everyone(small, new_run, tmp_path_factory):
    """A run that holds no subject out, its parts, and what was reported."""
    parts = {"train": [*small.parts["train"]], "inner_validation": [], "validation": []}
    options = replace(small.run.options, architectures=("rnn",), epochs=9, variants=0, train_split=1)
    run, done = new_run(tmp_path_factory.mktemp("everyone") / "run", parts, options), []
    train_run(run, parts, report=done.append)
    return type(run)(run.path), parts, done


def test_a_run_that_holds_no_subject_out_takes_its_epochs_from_inner_folds(everyone):
    run, parts, done = everyone
    data = features_of_parts(run, parts)
    epochs, probabilities = predict_out_of_fold(
        "rnn", data["train"], run.options, run.partial("rnn"), choose_epoch=True
    )  # kept
    log = run.accuracies()
    assert 7 <= epochs <= 9
    assert log.epoch.tolist() == [*range(1, epochs + 1)]
    assert log.epoch[log.best].tolist() == [epochs]
    assert f"rnn: {epochs} epochs, chosen by inner folds" in done
    assert not [name for name in log if name.startswith(("validation", "inner_validation"))]
    assert_points(run, "rnn", [night.stages for night in parts["train"]], probabilities)
    assert run.trained
    assert run.model("rnn").output_shape[-1] == 5


def test_a_run_that_holds_no_subject_out_has_golden_nights_to_check_parity_on(everyone):
    run, parts, _ = everyone
    assert run.all_trained_on
    assert [len(night) for night in run.golden_nights()] == [120, 110, 100]
    expected = ["2", "5", "4"]
    assert run.parity_subjects(run.dataset_dir) == expected
    assert {*expected} < {night.subject for night in parts["train"]}


def test_golden_nights_are_the_longest_held_out_ones(small):
    """All have the same channels."""
    assert [len(night) for night in small.run.golden_nights()] == [130, 110, 90]


def test_work_under_way_and_done_is_reported(small):
    doing, done = [("features: 1 of 1 shards", 0)], [f"{len(small.run.scaler['mean'])} features"]
    for name in small.run.options.architectures:
        doing += [(f"{name}: inner folds", cost) for cost in (0, 3, 3)]  # a fold costs its epochs
        doing += [(f"{name}: epoch {n} of 3", 1) for n in (1, 2, 3)]
        left_out = small.run.left_out_points(name).items()
        done += [f"{name}: 2 inner folds, κ ", f"{name}: 3 epochs, inner validation κ "]
        done += [f"{name}: no operating point {point!r}: {reason}" for point, reason in left_out]
    assert small.doing == doing
    assert len(small.done) == len(done)
    assert all(text.startswith(expected) for text, expected in zip(small.done, done, strict=True)), small.done


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
    log = run.accuracy_log("rnn")
    assert [row["epoch"] for row in json.loads(log.read_text())] == [1, 2]
    assert rows_so_far(log) == json.loads(log.read_text())
    for damaged in ("[", "[1]", "{}", '[{"epoch": 2}]'):
        (log.parent / "damaged.json").write_text(damaged)
        assert rows_so_far(log.parent / "damaged.json") == []
    doing = []
    rows = train_architecture(run, "rnn", features, lambda what, cost=0: doing.append(what), lambda what: None)
    assert doing == ["rnn: epoch 3 of 3"]
    assert rows.epoch.tolist() == [1, 2, 3]
    for one, two in zip(run.model("rnn").get_weights(), small.run.model("rnn").get_weights(), strict=True):
        assert np.array_equal(one, two)


class TestDataSetsThatDiffer:
    """Set a has heart rate and activity and is mostly awake; b has activity alone and is mostly asleep."""

    @pytest.fixture(scope="class")
    def nights(self):
        def drawn(subject, wake):
            night = drawn_night(subject, 80)
            rng = np.random.default_rng(int(subject))
            stages = np.where(np.repeat(rng.random(16) < wake, 5), 0, 2).astype(np.int8)
            activity = rng.integers(0, 300, (80, 2)) * (rng.random((80, 1)) < np.where(stages == 0, 0.5, 0.2)[:, None])
            return replace(night, stages=stages, channels=night.channels | {"activity": activity.astype(np.float32)})

        a = [replace(drawn(str(i), 0.8), subject=f"a.{i}") for i in range(1, 9)]
        b = [replace(drawn(str(i), 0.2), subject=f"b.{i}") for i in range(11, 19)]
        return [*a, *(replace(night, channels={"activity": night.channels["activity"]}) for night in b)]

    @pytest.fixture(scope="class")
    def begun(self, nights, tmp_path_factory):
        """{whether it is told which set a night is from: (run, features)}."""
        found = {}
        parts = {"train": [n for n in nights if n.subject != "a.8"], "inner_validation": [], "validation": []}
        parts["validation"] = [n for n in nights if n.subject == "a.8"]
        splits = {part: [night.subject for night in members] for part, members in parts.items()}
        options = Options(architectures=("rnn",), variants=4, inner_folds=0, hidden_dim=8)
        for told in (True, False):
            folder = tmp_path_factory.mktemp("sets")
            data = DataSets({name: folder / name for name in "ab"}) if told else folder / "a"
            (folder / "run").mkdir()
            RunFolder.create(folder / "run", nights, splits, options, data)
            run = TrainedRun(folder / "run")
            found[told] = run, features_of_parts(run, parts)["train"]
        return found

    def test_nights_as_recorded_are_shown_without_heart_rate_too(self, nights, begun):
        run, groups = begun[True]
        bare = replace(nights[0], channels={"activity": nights[0].channels["activity"]})
        full, less = run.sensing().sense_nights([nights[0], bare])
        assert [len(group) for group in groups] == [6] * 15
        assert np.allclose(groups[0][0][0], full, atol=1e-5)  # inner folds predict the first
        assert np.allclose(groups[0][1][0], less, atol=1e-5)

    def test_whether_heart_rate_is_there_tells_the_set_of_no_more_than_three_in_four(self, begun):
        """That all of a have it, and none of b, would tell them apart."""
        there = {}
        for told, (run, groups) in begun.items():
            slope = run.sensing().feature_names.index("heart_rate_slope")  # 0 where there is no heart rate
            there[told] = [np.mean([features[:, slope].any() for features, _ in group]) for group in groups]
            assert there[told][7:] == [0] * 8
        assert 0.3 < np.mean(there[True][:7]) <= max(there[True][:7]) <= 0.5
        assert np.mean(there[False][:7]) > 0.75  # varied nights may lose it

    def test_without_heart_rate_a_night_does_not_turn_into_one_of_the_other_set(self, nights, begun):
        """How much less likely Wake becomes on a night of set a when heart rate is taken away."""
        bare = replace(nights[7], channels={"activity": nights[7].channels["activity"]})
        shift = {}
        for told, (run, groups) in begun.items():
            x, y = (np.concatenate([pair[i] for group in groups for pair in group]) for i in (0, 1))
            forest = RandomForestClassifier(30, min_samples_leaf=20, random_state=0).fit(x[y >= 0], y[y >= 0] == 0)
            full, less = (forest.predict_proba(x)[:, 1].mean() for x in run.sensing().sense_nights([nights[7], bare]))
            shift[told] = full - less
        assert 0 < shift[True] < 0.7 * shift[False]
