"""Inner cross-validation: every night is predicted once, by a network that never saw it; kept folds are kept.

The nights are small and easy: features that are nearly the stage, which stays for some windows at a time.
"""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

import models.inner_folds
from models.inner_folds import fold_members, predict_fold, predict_out_of_fold
from models.training import first_late_epoch
from pipeline.options import Options
from pipeline.run_folder import inner_fold
from pipeline.workers import workers

OPTIONS = Options(batch_size=2, hidden_dim=4, epochs=4, lr=3e-2, inner_folds=2)  # of which 3 and 4 are late
LENGTHS = (30, 22, 30, 26, 30)  # windows


def drawn_nights(lengths=LENGTHS):
    """Of each night itself and a variant: (features [windows, 5], stages [windows]); the last windows are unscored."""
    nights = []
    for i, n in enumerate(lengths):
        rng = np.random.default_rng(i)
        stages = np.repeat(rng.integers(0, 5, -(-n // 5)), 5)[:n].astype(np.int8)
        variants = [2 * np.eye(5)[stages] - 0.4 + rng.normal(0, 0.5, (n, 5)) for _ in range(2)]
        stages[-3:] = -1
        nights.append([(x.astype(np.float32), stages) for x in variants])
    return nights


def with_other_stages(night):
    return [(x, np.where(stages >= 0, (stages + 1) % 5, -1).astype(np.int8)) for x, stages in night]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """(where folds are kept, the epoch, probabilities of each night, how often progress was reported)."""
    partial, reported = tmp_path_factory.mktemp("kept"), []
    epoch, probabilities = predict_out_of_fold(
        "rnn", drawn_nights(), OPTIONS, partial, progress=lambda: reported.append(1)
    )
    return partial, epoch, probabilities, len(reported)


@pytest.mark.parametrize(("nights", "folds"), [(5, 2), (25, 3), (3, 3), (2, 3), (22, 10)])
def test_members_cover_every_night_once(nights, folds):
    members = fold_members(nights, Options(inner_folds=folds))
    sizes = [len(fold) for fold in members]
    assert sorted(np.concatenate(members)) == [*range(nights)]
    assert len(members) == min(folds, nights)
    assert max(sizes) - min(sizes) <= 1


def test_members_are_drawn_by_the_seed():
    drawn = [np.concatenate(fold_members(25, Options(seed=seed))).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_each_night_has_probabilities_of_its_windows(kept):
    partial, epoch, probabilities, reported = kept
    assert epoch in (3, 4)
    assert [p.shape for p in probabilities] == [(n, 5) for n in LENGTHS]
    assert all(np.allclose(p.sum(1), 1, atol=1e-5) for p in probabilities)
    members = fold_members(len(LENGTHS), OPTIONS)
    assert {path.name for path in partial.iterdir()} == {inner_fold(partial, fold.min()).name for fold in members}
    assert reported == len(members) == 2


def test_no_network_is_trained_on_a_night_that_it_predicts(monkeypatch, tmp_path):
    nights, seen = drawn_nights(), []

    def train(architecture, data, options, rows, partial, after_epoch, callbacks):
        (callback,) = callbacks
        seen.append(([id(variant) for night in data["train"] for variant, _ in night], callback.nights))
        callback.predicted = [np.full((len(callback.nights), 30, 5), 0.2, np.float32)]
        assert not {*data} - {"train"}  # nothing else chooses
        assert partial is None

    monkeypatch.setattr(models.inner_folds, "train_network", train)
    predict_out_of_fold("rnn", nights, OPTIONS, tmp_path)
    for (trained_on, predicted), members in zip(seen, fold_members(len(nights), OPTIONS), strict=True):
        others = [id(x) for i, night in enumerate(nights) if i not in members for x, _ in night]
        assert trained_on == others
        assert all(night is nights[i] for night, i in zip(predicted, members, strict=True))


@pytest.mark.parametrize("fold", [0, 1])
def test_stages_and_variants_of_a_night_do_not_change_its_own_probabilities(kept, tmp_path, fold):
    nights, members = drawn_nights(), fold_members(len(LENGTHS), OPTIONS)[fold]
    expected = np.load(inner_fold(kept[0], members.min()))
    for i in members:
        (x, stages), (variant, _) = with_other_stages(nights[i])
        nights[i] = [(x, stages), (variant + 1, stages)]
    assert np.array_equal(predict_fold("rnn", nights, members, OPTIONS, tmp_path, OPTIONS.epochs), expected)


def test_stages_of_other_nights_do_change_them(kept, tmp_path):
    """What must matter does: or the tests above could not fail."""
    nights, members = drawn_nights(), fold_members(len(LENGTHS), OPTIONS)[0]
    nights = [night if i in members else with_other_stages(night) for i, night in enumerate(nights)]
    predicted = predict_fold("rnn", nights, members, OPTIONS, tmp_path, OPTIONS.epochs)
    assert np.abs(predicted - np.load(inner_fold(kept[0], members.min()))).max() > 1e-2


def test_a_kept_fold_is_not_trained_again(kept, monkeypatch):
    def refuse(*args):
        raise AssertionError("trained again")

    monkeypatch.setattr(models.inner_folds, "train_network", refuse)
    epoch, probabilities = predict_out_of_fold("rnn", drawn_nights(), OPTIONS, kept[0])
    assert epoch == kept[1]
    assert all(np.array_equal(*pair) for pair in zip(probabilities, kept[2], strict=True))


def test_a_stopped_cross_validation_goes_on_as_if_never_stopped(kept, tmp_path, monkeypatch):
    """The first fold is kept, the user stops in the second."""
    first, second = (inner_fold(kept[0], fold.min()) for fold in fold_members(len(LENGTHS), OPTIONS))
    (tmp_path / first.name).write_bytes(first.read_bytes())
    (tmp_path / second.name).write_bytes(second.read_bytes()[:-5])  # damaged: made again
    trained, train = [], models.inner_folds.train_network
    monkeypatch.setattr(models.inner_folds, "train_network", lambda *args: trained.append(args) or train(*args))
    epoch, probabilities = predict_out_of_fold("rnn", drawn_nights(), OPTIONS, tmp_path)
    assert len(trained) == 1
    assert (tmp_path / second.name).read_bytes() == second.read_bytes()
    assert epoch == kept[1]
    assert all(np.array_equal(*pair) for pair in zip(probabilities, kept[2], strict=True))


@pytest.mark.evaluations
def test_two_folds_at_a_time_give_the_same(kept, tmp_path):
    with workers(2):
        epoch, probabilities = predict_out_of_fold("rnn", drawn_nights(), OPTIONS, tmp_path)
    assert epoch == kept[1]
    for one, two in zip(probabilities, kept[2], strict=True):
        assert np.allclose(one, two, atol=1e-5)


def test_the_epoch_is_the_late_one_of_the_best_kappa_over_all_nights_together(tmp_path):
    """Of three late epochs, made up: the second is best of all windows, but not by the mean over nights."""
    options, nights = Options(inner_folds=2, epochs=9), drawn_nights((60, 20, 20, 20))
    stages = [night[0][1] for night in nights]
    short = (1, 2, 3)
    wrong = (  # per epoch {night: from which window to which}
        {0: (0, 50), **dict.fromkeys(short, (0, 14))},
        {0: (0, 5), **dict.fromkeys(short, (0, 12))},
        {0: (0, 52), **dict.fromkeys(short, (0, 0))},
    )

    def made_up(night, begin, end):
        predicted = np.where(stages[night] >= 0, stages[night], 0)
        predicted[begin:end] = (predicted[begin:end] + 1) % 5
        return np.pad(np.eye(5, dtype=np.float32)[predicted], [(0, 60 - len(predicted)), (0, 0)])

    for members in fold_members(len(nights), options):
        late = [[made_up(i, *epoch[i]) for i in members] for epoch in wrong]
        np.save(inner_fold(tmp_path, members.min()), np.array(late))
    epoch, probabilities = predict_out_of_fold("rnn", nights, options, tmp_path, choose_epoch=True)

    def kappas(epoch):
        pairs = [(s[s >= 0], made_up(i, *epoch[i])[: len(s)][s >= 0].argmax(1)) for i, s in enumerate(stages)]
        together = map(np.concatenate, zip(*pairs, strict=True))
        return cohen_kappa_score(*together), np.mean([cohen_kappa_score(*pair) for pair in pairs])

    pooled, by_night = zip(*map(kappas, wrong), strict=True)
    assert np.argmax(pooled) == 1
    assert np.argmax(by_night) == 2
    assert epoch == first_late_epoch(options) + 1 == 8
    for i, p in enumerate(probabilities):
        assert np.array_equal(p, made_up(i, *wrong[1][i])[: len(stages[i])])


def test_where_nights_are_held_out_the_last_epoch_is_taken(kept):
    assert kept[1] == OPTIONS.epochs


def test_nights_of_a_person_are_in_one_fold():
    people = ["a", "b", "a", "c", "d", "b", "a"]
    folds = fold_members(len(people), Options(inner_folds=3), people)
    assert sorted(np.concatenate(folds)) == [*range(len(people))]
    persons = [{people[i] for i in fold} for fold in folds]
    assert sorted(map(len, persons)) == [1, 1, 2]
    assert set().union(*persons) == {*people}
    same = fold_members(7, Options(), [*"tuvwxyz"])
    assert all(np.array_equal(a, b) for a, b in zip(same, fold_members(7, Options()), strict=True))
