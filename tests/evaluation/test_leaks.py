"""The leak guard: each leak that makes results on these nights look too good, and the test that would catch it.

* the future: a prediction that changes when what follows does;
* whole-night scaling, ranks or lengths: a prediction that changes when the rest of the night is not there;
* test subjects in the scaler, in training or in what is chosen (epoch, operating points);
* training subjects in what inner folds predict of them, by which operating points are chosen;
* stages as input: a prediction that changes with the stages of the night;
* windows of one night on both sides of the split (splits: tests/evaluation/test_protocols.py).
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.inner_folds import fold_members
from models.train_run import train_run
from models.trained_run import TrainedRun
from pipeline.augment import night_variants
from pipeline.constants import ARCHITECTURES, CHANNELS
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.run_folder import RunFolder, inner_fold
from pipeline.splits import nights_by_part

CHOSEN = ("scaler.json", "operating_points.json")
CUT = 60  # windows


OPTIONS = Options(architectures=("rnn",), epochs=6, variants=1, inner_folds=2, hidden_dim=8)


def trained(folder, nights, tamper=None, options=OPTIONS):
    """A run of an RNN and what it is made of; tamper: {part: night -> night} for what must not matter."""
    subjects = [night.subject for night in nights]
    splits = {"validation": subjects[:2], "inner_validation": subjects[2:4], "train": subjects[4:]}
    part = nights_by_part(nights, splits)
    for name, change in (tamper or {}).items():
        part[name] = [change(night) for night in part[name]]
    RunFolder.create(folder, nights, splits, options, Path("nowhere"))
    train_run(TrainedRun(folder), part)
    return TrainedRun(folder)


def with_other_stages(night):
    return replace(night, stages=np.where(night.stages >= 0, (night.stages + 2) % 5, -1).astype(night.stages.dtype))


def scrambled(night):
    """Another night of the same subject: other values, other stages, other length."""
    rng, keep = np.random.default_rng(1), len(night) // 2
    channels = {
        name: np.where(x[:keep] >= CHANNELS[name].low, rng.permutation(x[:keep]) * np.float32(1.3), x[:keep])
        for name, x in night.channels.items()
    }
    stages = rng.integers(0, 5, keep).astype(night.stages.dtype)
    return replace(night, ends=night.ends[:keep], channels=channels, stages=stages)


def accuracies(run):
    """model_accuracies.csv, a row per epoch."""
    return pd.read_csv(run.path / "model_accuracies.csv")


@pytest.fixture(scope="module")
def nights(synthetic):
    return load_nights(synthetic, Options())[0]


@pytest.fixture(scope="module")
def varied_subjects():
    """Of the nights of which the usual run made variants, in order."""
    return []


@pytest.fixture(scope="module")
def usual(nights, varied_subjects, tmp_path_factory):
    def noted(night, *rest):
        varied_subjects.append(night.subject)
        return night_variants(night, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.shards.night_variants", noted)
        return trained(tmp_path_factory.mktemp("leaks") / "usual", nights)


@pytest.mark.evaluations
def test_held_out_nights_decide_nothing(nights, usual, tmp_path):
    other = trained(tmp_path / "run", nights, {"validation": scrambled})
    for name in (*CHOSEN, "out_of_fold/rnn.csv"):
        assert (other.path / name).read_bytes() == (usual.path / name).read_bytes(), name
    best = [log.epoch[log.best].tolist() for log in map(accuracies, (usual, other))]
    assert best[0] == best[1]
    assert len(best[0]) == 1
    for one, two in zip(usual.model("rnn").get_weights(), other.model("rnn").get_weights(), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.evaluations
def test_inner_nights_are_not_in_the_scaler_nor_trained_on(nights, usual, tmp_path):
    """They choose the epoch and, as training nights do, the operating points, and nothing else."""
    other = trained(tmp_path / "run", nights, {"inner_validation": scrambled})
    assert (other.path / "scaler.json").read_bytes() == (usual.path / "scaler.json").read_bytes()
    points = [json.loads((run.path / "operating_points.json").read_text()) for run in (usual, other)]
    assert points[0] != points[1]
    logs = [accuracies(run) for run in (usual, other)]
    assert np.array_equal(logs[0]["train_accuracy"], logs[1]["train_accuracy"])
    assert np.array_equal(logs[0]["validation_loss"], logs[1]["validation_loss"])
    assert not np.array_equal(logs[0]["inner_validation_loss"], logs[1]["inner_validation_loss"])


@pytest.mark.evaluations
def test_the_guard_sees_a_training_night_that_changes(nights, usual, tmp_path):
    """What must matter does: or the tests above could not fail. The scaler hangs on no epoch and no fold."""
    other = trained(tmp_path / "run", nights, {"train": scrambled}, replace(OPTIONS, epochs=1, inner_folds=0))
    assert (other.path / "scaler.json").read_bytes() != (usual.path / "scaler.json").read_bytes()


def out_of_fold(run):
    """{subject: probabilities [1, windows, 5]} by the networks of inner folds; and the folds' subjects."""
    subjects = np.array([*run.splits["train"], *run.splits["inner_validation"]])
    folds = fold_members(len(subjects), run.options)
    late = [np.load(inner_fold(run.partial("rnn"), members.min())) for members in folds]
    by_subject = {subjects[i]: p[:, k] for members, p in zip(folds, late, strict=True) for k, i in enumerate(members)}
    return by_subject, [subjects[members].tolist() for members in folds]


@pytest.mark.evaluations
def test_stages_of_a_night_do_not_change_its_own_out_of_fold_probabilities(nights, usual, tmp_path):
    """Those of the first fold's nights are as they were, and all others change (each fold: test_inner_folds.py)."""
    expected, folds = out_of_fold(usual)
    change = {
        part: lambda night: with_other_stages(night) if night.subject in folds[0] else night
        for part in ("train", "inner_validation")
    }
    predicted, _ = out_of_fold(trained(tmp_path / "run", nights, change))
    assert {*predicted} == {*usual.splits["train"], *usual.splits["inner_validation"]}
    for subject, p in predicted.items():
        assert p.shape[0] == 1  # the last epoch
        assert np.array_equal(p, expected[subject]) == (subject in folds[0]), subject


@pytest.fixture(scope="module")
def features(quick_run, nights):
    """case -> features of one night as it is, and of what may not matter to its first CUT windows."""
    night = nights[0]
    after = {name: np.concatenate([x[:CUT], x[CUT:][::-1]]) for name, x in night.channels.items()}
    cases = {
        "as it is": night,
        "another future": replace(night, channels=after),
        "no future": replace(
            night, ends=night.ends[:CUT], channels={n: x[:CUT] for n, x in night.channels.items()},
            stages=night.stages[:CUT],
        ),
        "other stages": replace(night, stages=(night.stages + 2) % 5),
    }  # fmt: skip
    sensing = TrainedRun(quick_run.folder).sensing()
    return {name: sensing.sense_nights([case])[0] for name, case in cases.items()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_prediction_knows_the_future_the_length_of_the_night_or_its_stages(quick_run, features, architecture):
    model = TrainedRun(quick_run.folder).model(architecture)
    predicted = {name: model.predict_on_batch(x[None])[0] for name, x in features.items()}
    expected = predicted.pop("as it is")
    for name, p in predicted.items():
        assert np.abs(p[:CUT] - expected[:CUT]).max() < 1e-6, name
    assert np.abs(predicted["another future"][CUT:] - expected[CUT:]).max() > 1e-4  # it does see them


@pytest.mark.evaluations
def test_variants_are_of_nights_that_are_not_held_out_alone(usual, varied_subjects):
    """Inner validation nights are varied for inner folds, which train on them; the final network does not see these."""
    assert varied_subjects == [*usual.splits["train"], *usual.splits["inner_validation"]]
