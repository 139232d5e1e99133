"""What goes into the plots; how they look is for the eye."""

import numpy as np
import pandas as pd
import pytest

from evaluation import plots
from pipeline.align import Night

W, N1, N2, N3, R = range(5)


@pytest.fixture
def drawn(monkeypatch):
    """The hypnograms that a plot draws, as (stages, seconds per value)."""
    calls, real = [], plots.hypnogram
    monkeypatch.setattr(plots, "hypnogram", lambda s, seconds: calls.append((list(s), seconds)) or real(s, seconds))
    return calls


@pytest.mark.parametrize(
    ("start", "stride"), [(0, 30), (-600, 30), (0, 15), (-600, 15), (-615, 15), (-620, 10), (0, 60)]
)
def test_parity_shows_each_scored_epoch_once(drawn, tmp_path, start, stride):
    """With a stride under 30 s the window that ends with the epoch counts, wherever the night begins."""
    ends = np.arange(start + stride, 1801, stride)
    counted = (ends > 0) & (ends % 30 == 0)
    stages = np.where(counted, ends // 30 % 5, -1)
    said = np.eye(5)[np.where(ends % 30 == 0, N2, R)]
    plots.plot_parity(Night("1", ends, {}, stages), stride, said, {"int8": said}, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [seconds for _, seconds in drawn] == [max(stride, 30)] * 3
    (scored, _), (keras, _), (watch, _) = drawn
    assert [stage for stage in scored if stage >= 0] == list(stages[counted])
    assert set(keras) == set(watch) == {N2}
    assert len(scored) == len(keras) == len(watch) == sum(ends % 30 == 0)


def test_a_night_without_stages_leaves_that_panel_empty(drawn, tmp_path):
    ends, said = 30.0 * np.arange(1, 61), np.eye(5)[[N2] * 60]
    plots.plot_parity(Night("1", ends, {}, np.full(60, -1)), 30, said, {"float32": said}, tmp_path / "a.png")
    assert len(drawn) == 2


def test_statistics_by_hand():
    """20 min awake, then 100 min asleep with 10 min awake in it, of two hours in bed."""
    stages = [W] * 40 + [N1] * 10 + [N2] * 60 + [N3] * 40 + [W] * 20 + [N2] * 30 + [R] * 40
    got = plots.statistics(stages, 30)
    assert (got.TIB, got.TST, got.SOL, got.WASO) == (120, 90, 20, 10)
    assert (got.N1, got.N2, got.N3, got.REM) == (5, 45, 20, 20)
    assert got.SE == 75
    assert got.Lat_REM == 100
    assert plots.statistics(np.repeat(stages, 2), 15).equals(got)


def test_every_plot_is_written_and_closed(tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    epochs = pd.DataFrame(p, columns=["p_wake", "p_n1", "p_n2", "p_n3", "p_rem"])
    parts = ("train", "inner_validation", "validation")
    table = {f"{part}_accuracy": [0.2, 0.4, 0.3, 0.1] for part in parts} | {"inner_validation_loss": [2, 1, 1.5, 1.2]}
    plots.plot_night("1", epochs, 30, tmp_path / "night.png")
    plots.plot_confusion(np.arange(200) % 5, {"gru": p, "lstm": p}, tmp_path / "confusion.png")
    plots.plot_accuracies(
        pd.DataFrame(table | {"epoch": [1, 2, 1, 2], "architecture": ["gru", "gru", "rnn", "rnn"]}), tmp_path / "a.png"
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.png", "confusion.png", "night.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert plots.plt.get_fignums() == []
