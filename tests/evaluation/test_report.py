"""What a report writes: the format that others read, whatever the nights lack. Figures themselves: test_metrics."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluation.report import report, summary
from pipeline.errors import UserMistake
from scoring import plots
from scoring.predictions import PredictedNight, Result

W, N1, N2, N3, R = range(5)
SCORED = [-1, W, W, N1, N2, N2, N3, N3, N2, R, R, W] * 4


def predicted_night(subject, predicted=SCORED, scored=SCORED, valid=None):
    """A night predicted with .6 for the stage in `predicted` (unscored: N3)."""
    p = np.full((len(scored), 5), 0.1) + 0.5 * np.eye(5)[np.where(np.array(predicted) < 0, N3, predicted)]
    return PredictedNight(subject, 30.0 * np.arange(len(scored)), np.array(scored), p, valid)


def result(*nights, architecture="gru", **fields):
    return Result(**{"precision": "float32", "seed": 0, "repeat": 0, "operating_point": "default"} | fields,
                  architecture=architecture, nights=[*nights])  # fmt: skip


@pytest.fixture
def undrawn(monkeypatch):
    """Laying out and writing plots takes most of the time; here are the files that would have been written."""
    names = []
    monkeypatch.setattr(plots.plt.Figure, "tight_layout", lambda figure, *_, **__: None)
    monkeypatch.setattr(plots, "save", lambda figure, path: (names.append(path.name), plots.plt.close(figure)))
    return names


def read(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "evaluation.json").read_text(), parse_constant=refuse)


def test_the_format_that_others_read(tmp_path, undrawn):
    mask = np.arange(len(SCORED)) % 2 == 0
    wrong = np.where(np.arange(len(SCORED)) < 12, W, SCORED)
    first = result(
        predicted_night("a", valid=mask), predicted_night("b", wrong, valid=mask), predicted_night("c", [N2] * 48)
    )
    returned = report(tmp_path, {"name": "holdout"}, [first, result(predicted_night("a"), architecture="rnn")], 30)
    written = read(tmp_path)
    assert written == returned
    assert written["protocol"] == {"name": "holdout"}
    one, other = written["results"]
    model = ("architecture", "precision", "seed", "repeat", "operating_point")
    assert [one[name] for name in model] == ["gru", "float32", 0, 0, "default"]
    assert [*one["scored"]] == ["all", "walch_valid"]
    assert [*other["scored"]] == ["all"]
    assert one["epochs"] == {"all": 3 * 44, "walch_valid": 2 * 20}
    five = one["scored"]["all"]["5"]
    assert five["accuracy"] == pytest.approx((44 + 36 + 12) / 132)
    assert five["per_subject"]["accuracy"]["mean"] == pytest.approx(five["accuracy"])  # equally long nights
    low, high = five["per_subject"]["kappa"]["interval"]
    assert low < five["kappa"] < high
    assert one["subjects"]["a"]["5"]["kappa"] == 1
    assert one["subjects"]["c"]["5"]["precision"] == {"Wake": None, "N1": None, "N2": 12 / 44, "N3": None, "REM": None}
    assert one["calibration"]["bins"] == [{"low": 0.6, "confidence": pytest.approx(0.6), "accuracy": five["accuracy"],
                                           "epochs": 132}]  # fmt: skip
    assert one["by_hour"][0]["epochs"] == 132
    night = one["sleep"]["nights"]["c"]
    assert (night["scored"]["N3"], night["said"]["N3"], night["said"]["REM latency"]) == (4, 0, None)


def test_the_report_links_every_plot_that_it_draws(tmp_path):
    nights = [predicted_night("a"), predicted_night("b", [N2] * 48), predicted_night("c", [W] * 48)]
    report(tmp_path, {"name": "holdout", "subjects": ["a", "b", "c"]}, [result(*nights)])
    text = (tmp_path / "report.md").read_text()
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert {name for name in drawn if f"]({name})" in text} == drawn
    assert text.count("](") == len(drawn) == 6
    assert "- name: holdout" in text
    assert "| gru, float32 | 0 | 0 | 3 | 132 |" in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    "nights",
    [
        [predicted_night("a")],
        [predicted_night("a", [W] * 48)],
        [predicted_night("a", [W] * 48), predicted_night("b", [W] * 48)],
        [predicted_night("a"), predicted_night("b")],
        [predicted_night("a", [N2] * 3, [W] * 3), predicted_night("b", [N2], [N2])],
        [predicted_night("a"), predicted_night("b", scored=[-1] * 24 + SCORED[24:])],
        [predicted_night("a", valid=np.zeros(48, bool)), predicted_night("b", valid=np.ones(48, bool))],
    ],
    ids=[
        "one",
        "one, no sleep predicted",
        "no sleep predicted",
        "all right",
        "a window or three",
        "a long gap",
        "none valid",
    ],
)
def test_no_night_is_too_poor(tmp_path, undrawn, nights):
    report(tmp_path, {}, [result(*nights)])
    entry = read(tmp_path)["results"][0]
    assert [*entry["subjects"]] == [night.subject for night in nights]
    assert {"confusion.png", "subjects.png", "night_median.png"} <= set(undrawn)
    text = (tmp_path / "report.md").read_text()
    assert [name for name in undrawn if f"]({name})" not in text] == []
    assert text.count("](") == len(undrawn)


def test_sets_are_scored_apart_beside_all_nights(tmp_path, undrawn):
    wrong = np.where(np.arange(len(SCORED)) < 24, W, SCORED)
    nights = predicted_night("a.1"), predicted_night("b.1", wrong), predicted_night("b.2", [N2] * 48)
    sets = {"a.1": "a", "b.1": "b", "b.2": "b", "c.1": "c"}  # of c no night was scored
    (one,) = report(tmp_path / "sets", {}, [result(*nights)], sets=sets)["results"]
    assert {name: (e["nights"], e["epochs"]) for name, e in one["sets"].items()} == {"a": (1, 44), "b": (2, 88)}
    (alone,) = report(tmp_path / "b", {}, [result(*nights[1:])])["results"]
    assert one["sets"]["b"]["scored"] == alone["scored"]["all"]
    assert one["sets"]["a"]["scored"]["5"]["kappa"] == 1
    assert "sets" not in alone
    page = (tmp_path / "sets" / "report.md").read_text()
    assert "| gru, float32 | 0 | 0 | a | 1 | 44 |" in page
    assert "data set" not in (tmp_path / "b" / "report.md").read_text().split("## Five stages")[1]


@pytest.mark.parametrize(("nights", "drawn"), [(4, set()), (5, {"night_best.png", "night_worst.png"})])
def test_the_best_and_the_worst_night_are_drawn_only_of_several(tmp_path, undrawn, nights, drawn):
    report(tmp_path, {}, [result(*(predicted_night(str(i), np.roll(SCORED, i)) for i in range(nights)))])
    assert {*undrawn} & {"night_best.png", "night_worst.png"} == drawn


@pytest.mark.parametrize("nights", [9, 10])
def test_bland_altman_plots_need_ten_nights(tmp_path, undrawn, nights):
    report(tmp_path, {}, [result(*(predicted_night(str(i), np.roll(SCORED, i)) for i in range(nights)))])
    assert ("bland_altman.png" in undrawn) == (nights == 10)


def test_unknown_epochs_count_in_all_and_not_in_sensed(tmp_path, undrawn):
    """Twelve epochs predicted wrong in each night, where nothing was sensed."""
    first = np.arange(48) < 12
    wrong = np.where(first, N3, SCORED)
    night = replace(predicted_night("a", wrong), unknown=first)
    other = replace(predicted_night("b", wrong), unknown=np.zeros(48, bool))
    report(tmp_path, {}, [result(night, other), result(other)])
    unknown, sensed = read(tmp_path)["results"]
    assert unknown["epochs"] == {"all": 88, "sensed": 77}  # a night's first epoch is unscored
    assert unknown["unknown_share"] == pytest.approx(11 / 88)
    right = 2 * 33 + 2 * 2  # N3 is right in the first twelve, too
    assert unknown["scored"]["all"]["5"]["accuracy"] == pytest.approx(right / 88)
    assert unknown["scored"]["sensed"]["5"]["accuracy"] == pytest.approx((right - 2) / 77)
    minutes = [unknown["sleep"]["nights"][name]["said"]["N3"] for name in "ab"]
    assert minutes[1] - minutes[0] == 11 / 2  # not asleep in N3, but not scored
    assert [*sensed["scored"]] == ["all"]
    assert "unknown_share" not in sensed
    text = (tmp_path / "report.md").read_text()
    assert "In\n12.5 % of the scored epochs of the first model there were too few sensor data" in text
    assert "| 5 | sensed |" in text


def test_nights_of_which_nothing_was_sensed(tmp_path, undrawn):
    night = replace(predicted_night("a"), unknown=np.ones(48, bool))
    report(tmp_path, {}, [result(night, replace(night, subject="b"))])
    entry = read(tmp_path)["results"][0]
    assert ([*entry["scored"]], entry["unknown_share"]) == (["all"], 1)
    assert entry["sleep"]["nights"]["a"]["said"]["TST"] == 0


def test_nights_without_scores_are_left_out(tmp_path, undrawn):
    empty = predicted_night("b", scored=[-1] * 48)
    report(tmp_path, {}, [result(predicted_night("a"), empty)])
    assert [*read(tmp_path)["results"][0]["subjects"]] == ["a"]
    with pytest.raises(UserMistake, match="gru float32: none of 1"):
        report(tmp_path, {}, [result(empty)])


def entry(kappa, **fields):
    view = {"accuracy": kappa, "kappa": kappa, "macro_f1": kappa}
    base = {"architecture": "gru", "precision": "float32", "operating_point": "default", "seed": 0, "repeat": 0}
    return base | fields | {"scored": {"all": dict.fromkeys("5432", view)}}


def test_summary_by_hand():
    good, poor = np.array([[9, 1], [1, 9]]), np.array([[5, 5], [5, 5]])
    entries = [entry(0.8), entry(0.4, seed=1), entry(0.5, architecture="rnn")]
    gru, rnn = summary(entries, [np.stack([good] * 3)] * 3)
    assert gru["results"] == 2
    spread = gru["3"]["kappa"]
    assert (spread["mean"], spread["min"], spread["max"]) == (pytest.approx(0.6), 0.4, 0.8)
    assert spread["sd"] == pytest.approx(np.sqrt(0.08))
    assert gru["consistent"] is rnn["consistent"] is None  # seeds say nothing of other subjects
    entries = [entry(0.8), entry(0, repeat=1)]
    assert summary(entries, [np.stack([good, poor] * 5)] * 2)[0]["consistent"] is True
    (apart,) = summary(entries, [np.stack([good] * 10), np.stack([poor] * 10)])
    assert apart["consistent"] is False
    assert [repeat["kappa"] for repeat in apart["repeats"]] == [pytest.approx(0.8), 0]


def test_the_report_says_whether_repeats_are_consistent(tmp_path, undrawn):
    nights = [predicted_night(name) for name in "abc"]
    poor = [predicted_night(name, [N2] * 48) for name in "def"]
    report(tmp_path, {}, [result(*nights), result(*poor, repeat=1)])
    text = (tmp_path / "report.md").read_text()
    assert "| gru, float32 | 0 | 0 | 1.000 [0.000, 1.000] | yes |" in text
    assert "| gru, float32 | 1 | 0 | 0.000 [0.000, 1.000] | yes |" in text  # of three subjects anything can come
    assert "| gru, float32 | 2 | 5 |" in text


def test_confusion_is_of_each_architecture_at_its_default_point(tmp_path, monkeypatch, undrawn):
    panels = []
    monkeypatch.setattr(plots, "plot_confusion", lambda drawn, path, title: panels.append([*drawn]))
    one, other = predicted_night("a"), predicted_night("b")
    results = [
        result(one),
        result(one, precision="int8"),
        result(other, architecture="rnn", operating_point="balanced"),
    ]
    report(tmp_path, {}, [*results, result(other, architecture="lstm")])
    assert panels == [["GRU", "LSTM"], ["5 classes", "4 classes", "3 classes", "2 classes"]]
