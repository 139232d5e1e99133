"""Predictions written and read back, damaged ones refused with file, line and field; the mask of valid epochs."""

import numpy as np
import pytest

from evaluation.results import Result, SaidNight, read_predictions, walch_valid, write_predictions
from pipeline.align import Night
from pipeline.options import UserMistake


@pytest.fixture
def written(tmp_path):
    """(path, nights) of predictions of two nights: subjects that look like numbers, an unscored window, float32."""
    rng = np.random.default_rng(0)
    stages = np.array([[-1, 0, 1, 2], [3, 4, 4, 2]], np.int8)
    p = rng.dirichlet(np.ones(5), (2, 4)).astype(np.float32)
    nights = [
        SaidNight(name, 30.0 * np.arange(4) - 30, s, x) for name, s, x in zip(("007", "7"), stages, p, strict=True)
    ]
    write_predictions(tmp_path / "p.csv", Result("gru", "float32", 0, 0, "default", nights))
    return tmp_path / "p.csv", nights


def test_predictions_come_back_as_they_were(written):
    path, nights = written
    lines = path.read_text().splitlines()
    assert lines[0] == "subject,t,stage,p_wake,p_n1,p_n2,p_n3,p_rem"
    assert lines[1].startswith("007,-30,,0.")
    assert lines[2].startswith("007,0,Wake,")
    back = read_predictions(path)
    assert [night.subject for night in back] == ["007", "7"]
    for night, own in zip(nights, back, strict=True):
        assert own.times.tolist() == night.times.tolist()
        assert own.stages.tolist() == night.stages.tolist()
        assert (own.probabilities.astype(np.float32) == night.probabilities).all()
        assert own.valid is None


@pytest.mark.parametrize(
    ("line", "to", "said"),
    [
        (0, "subject,t,stage,p_wake,p_n1,p_n2,p_n3", "line 1 lacks p_rem"),
        (3, "007,30,N4,1,0,0,0,0", "line 4, stage: 'N4'"),
        (3, "007,30,N3,1,0,0,x,0", "line 4, p_n3: 'x'"),
        (3, "007,30,N3,1,0,0,,0", "line 4, p_n3: ''"),
        (3, "007,30,N3,1.5,0,0,0,0", "line 4, p_wake: '1.5'"),
        (3, "007,30,N3,nan,0,0,0,0", "line 4, p_wake: 'nan'"),
        (3, "007,inf,N3,1,0,0,0,0", "line 4, t: 'inf'"),
        (3, ",30,N3,1,0,0,0,0", "line 4, subject: ''"),
        (3, "007,30,N3,1,0", "line 4, p_n2"),
        (3, "007,30,N3,1,0,0,0,0,0", "line 4"),
        (1, "007,30,N3,1,0,0,0,0,0", "line 2"),
        (3, "", "line 4"),
    ],
)
def test_damaged_predictions_are_refused(written, line, to, said):
    path, _ = written
    lines = path.read_text().splitlines()
    lines[line] = to
    path.write_text("\n".join(lines))
    with pytest.raises(UserMistake) as refused:
        read_predictions(path)
    assert str(path) in refused.value.message
    assert said in refused.value.message


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
    for content, said in (("subject,t\n1,0\n", "lacks walch_valid"), ("subject,t,walch_valid\n1,0,yes\n", "line 2")):
        path.write_text(content)
        with pytest.raises(UserMistake, match=said):
            walch_valid(tmp_path, [night("1", [30])])


def test_real_mask(real):
    """7749105, whose sensors stopped early, has 118 valid epochs."""
    valid = walch_valid(real, [night("7749105", 30 * np.arange(1, 961))])["7749105"]
    assert (len(valid), valid.sum()) == (960, 118)
