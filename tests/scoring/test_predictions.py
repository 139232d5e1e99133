"""Predictions written and read back, damaged ones refused with file, line and field; the mask of valid epochs."""

import numpy as np
import pytest

from pipeline.align import Night
from pipeline.constants import STAGES
from pipeline.errors import UserMistake
from scoring.predictions import (
    PredictedNight,
    Result,
    read_predictions,
    walch_valid,
    weigh,
    weigh_night,
    write_predictions,
)


@pytest.fixture
def written(tmp_path):
    """(path, nights) of predictions of two nights: subjects that look like numbers, an unscored window, float32."""
    rng = np.random.default_rng(0)
    stages = np.array([[-1, 0, 1, 2], [3, 4, 4, 2]], np.int8)
    p = rng.dirichlet(np.ones(5), (2, 4)).astype(np.float32)
    nights = [
        PredictedNight(name, 30.0 * np.arange(4) - 30, s, x) for name, s, x in zip(("007", "7"), stages, p, strict=True)
    ]
    write_predictions(tmp_path / "p.csv", Result("gru", "float32", 0, 0, "default", nights))
    return tmp_path / "p.csv", nights


def test_predictions_come_back_as_they_were(written):
    path, nights = written
    lines = path.read_text().splitlines()
    assert lines[0] == "subject,t,scored_stage,predicted_stage,p_wake,p_n1,p_n2,p_n3,p_rem"
    first, second = (STAGES[i] for i in nights[0].probabilities[:2].argmax(1))
    assert first != second
    assert lines[1].startswith(f"007,-30,,{first},0.")
    assert lines[2].startswith(f"007,0,Wake,{second},0.")
    back = read_predictions(path)
    assert [night.subject for night in back] == ["007", "7"]
    for night, read in zip(nights, back, strict=True):
        assert read.times.tolist() == night.times.tolist()
        assert read.stages.tolist() == night.stages.tolist()
        assert (read.probabilities.astype(np.float32) == night.probabilities).all()
        assert read.valid is None


@pytest.mark.parametrize(
    ("line", "to", "message"),
    [
        (0, "subject,t,scored_stage,predicted_stage,p_wake,p_n1,p_n2,p_n3", "line 1 lacks p_rem"),
        (3, "007,30,N4,N2,1,0,0,0,0", "line 4, scored_stage: 'N4'"),
        (3, "007,30,N3,N2,1,0,0,x,0", "line 4, p_n3: 'x'"),
        (3, "007,30,N3,N2,1,0,0,,0", "line 4, p_n3: ''"),
        (3, "007,30,N3,N2,1.5,0,0,0,0", "line 4, p_wake: '1.5'"),
        (3, "007,30,N3,N2,nan,0,0,0,0", "line 4, p_wake: 'nan'"),
        (3, "007,inf,N3,N2,1,0,0,0,0", "line 4, t: 'inf'"),
        (3, ",30,N3,N2,1,0,0,0,0", "line 4, subject: ''"),
        (3, "007,30,N3,N2,1,0", "line 4, p_n2"),
        (3, "007,30,N3,N2,1,0,0,0,0,0", "line 4"),
        (1, "007,30,N3,N2,1,0,0,0,0,0", "line 2"),
        (3, "", "line 4"),
        (
            3,
            "007,30,N3,unknown,1,0,0,0,0",
            "line 4, predicted_stage: 'unknown', expected one of Wake, N1, N2, N3, REM, Unknown",
        ),
    ],
)
def test_damaged_predictions_are_refused(written, line, to, message):
    path, _ = written
    lines = path.read_text().splitlines()
    lines[line] = to
    path.write_text("\n".join(lines))
    with pytest.raises(UserMistake) as refused:
        read_predictions(path)
    assert str(path) in refused.value.message
    assert message in refused.value.message


def test_weighing_by_hand():
    p = np.array([[0.5, 0.1, 0.2, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.6]], np.float32)
    weighed = weigh(p, [1, 1, 1, 1, 3])
    assert weighed.dtype == np.float32
    np.testing.assert_allclose(weighed[0], np.array([0.5, 0.1, 0.2, 0.1, 0.3]) / 1.2, rtol=1e-6)
    np.testing.assert_allclose(weighed[1], np.array([0.1, 0.1, 0.1, 0.1, 1.8]) / 2.2, rtol=1e-6)
    np.testing.assert_array_equal(weigh(p[0], [1, 1, 1, 1, 3]), weighed[0])
    before = PredictedNight("1", 30.0 * np.arange(2), np.array([0, 4]), p, np.array([True, False]))
    after = weigh_night(before, [1, 1, 1, 1, 3])
    np.testing.assert_array_equal(after.probabilities, weighed)
    assert (after.subject, after.times, after.stages, after.valid) == ("1", before.times, before.stages, before.valid)


def test_counted_stages_are_all_or_those_of_valid_epochs():
    night = PredictedNight("1", 30.0 * np.arange(3), np.array([0, -1, 4]), np.eye(5)[:3], np.array([True, True, False]))
    assert night.counted_stages("all").tolist() == [0, -1, 4]
    assert night.counted_stages("walch_valid").tolist() == [0, -1, -1]


def test_unknown_windows_keep_their_probabilities_and_have_no_stage(tmp_path):
    p = np.eye(5)[[2, 4, 0]] * 0.6 + 0.08
    unknown = np.array([False, True, False])
    night = PredictedNight("1", 30.0 * np.arange(3), np.array([2, 4, -1]), p, unknown=unknown)
    assert night.predicted_stages.tolist() == [2, -1, 0]
    assert night.counted_stages("all").tolist() == [2, 4, -1]
    assert night.counted_stages("sensed").tolist() == [2, -1, -1]
    write_predictions(tmp_path / "p.csv", Result("gru", "int8", 0, 0, "default", [night]))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.split(",")[2:4] for line in lines[1:]] == [["N2", "N2"], ["REM", "Unknown"], ["", "Wake"]]
    (back,) = read_predictions(tmp_path / "p.csv")
    assert back.unknown.tolist() == unknown.tolist()
    assert np.allclose(back.probabilities, p)
    weighed = weigh_night(back, [0.6, 0.1, 0.1, 0.1, 0.1])  # another operating point senses no more
    assert weighed.predicted_stages.tolist() == [2, -1, 0]


def test_without_a_word_on_unknown_windows_all_are_sensed(written):
    _, (night, _) = written
    assert night.unknown is None
    assert night.counted_stages("sensed").tolist() == night.stages.tolist()
    assert night.predicted_stages.tolist() == night.probabilities.argmax(1).tolist()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00PK", None])
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "p.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserMistake, match=str(path)):
        read_predictions(path)


def night(subject, ends):
    return Night(subject, np.array(ends, float), {}, np.zeros(len(ends), np.int8))


def test_valid_epochs_are_those_of_the_window_that_ends_with_them(tmp_path):
    rows = "subject,t,walch_valid,more\n1,0,1,\n1,30,0,\n1,60,1,\n2,0,0,\n"
    (tmp_path / "epochs.csv").write_text(rows)
    got = walch_valid(tmp_path, [night("1", [15, 30, 45, 60, 75, 90, 120]), night("2", [30, 60]), night("3", [30])])
    assert got["1"].tolist() == [False, True, False, False, False, True, False]
    assert got["2"].tolist() == [False, False]
    assert [*got] == ["1", "2"]


def test_no_mask_and_a_damaged_one(tmp_path):
    assert walch_valid(tmp_path, [night("1", [30])]) == {}
    path = tmp_path / "epochs.csv"
    for content, message in (("subject,t\n1,0\n", "lacks walch_valid"), ("subject,t,walch_valid\n1,0,yes\n", "line 2")):
        path.write_text(content)
        with pytest.raises(UserMistake, match=message):
            walch_valid(tmp_path, [night("1", [30])])


def test_real_mask(real):
    """7749105, whose sensors stopped early, has 118 valid epochs."""
    valid = walch_valid(real, [night("7749105", 30 * np.arange(1, 961))])["7749105"]
    assert (len(valid), valid.sum()) == (960, 118)
