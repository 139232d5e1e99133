"""What goes into the plots; how they look is for the eye."""

import numpy as np
import pandas as pd
import pytest

from evaluation import plots
from evaluation.metrics import by_hour, calibration
from evaluation.results import PROBABILITY_COLUMNS
from evaluation.sleep import UNITS
from pipeline.align import Night
from pipeline.options import STAGES

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


def test_a_predicted_night_is_drawn_under_the_scored_one(drawn, tmp_path):
    scored, said = [W] * 10 + [N2] * 20, [N2] * 30
    epochs = pd.DataFrame(np.eye(5)[said], columns=PROBABILITY_COLUMNS)
    plots.plot_night("1", epochs, 30, tmp_path / "a.png", scored)
    assert drawn == [(scored, 30), (said, 30)]


def test_confusion_panels_name_their_classes(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    panels = {"5": ([W, N2, R], [W, N2, N2], STAGES), "2": ([0, 1], [0, 1], ("Wake", "Sleep"))}
    plots.plot_confusion(panels, tmp_path / "a.png")
    first, second = figures[0].axes
    assert [label.get_text() for label in first.get_xticklabels()] == list(STAGES)
    assert [label.get_text() for label in second.get_yticklabels()] == ["Wake", "Sleep"]
    assert [text.get_text() for text in second.texts] == ["100%", "0%", "0%", "100%"]
    plots.plt.close(figures[0])


def test_bland_altman_shows_what_differs(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    scored = pd.DataFrame({name: [1.0, 2, 4] for name in UNITS}, index=["a", "b", "c"])
    plots.plot_bland_altman(scored, scored.assign(TST=[1, 3, 3], SE=[2, 2, 2]), tmp_path / "a.png")
    assert [axis.get_title() for axis in figures[0].axes] == ["TST (min)", "SE (%)"]
    plots.plt.close(figures[0])
    plots.plot_bland_altman(scored, scored, tmp_path / "a.png")
    assert len(figures) == 1


def test_every_plot_is_written_and_closed(tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    epochs = pd.DataFrame(p, columns=PROBABILITY_COLUMNS)
    parts = ("train", "inner_validation", "validation")
    table = {f"{part}_accuracy": [0.2, 0.4, 0.3, 0.1] for part in parts} | {"inner_validation_loss": [2, 1, 1.5, 1.2]}
    plots.plot_night("1", epochs, 30, tmp_path / "night.png")
    plots.plot_confusion({"gru": (np.arange(200) % 5, p.argmax(1), STAGES)}, tmp_path / "confusion.png")
    plots.plot_reliability(calibration(np.arange(200) % 5, p), tmp_path / "reliability.png")
    plots.plot_by_hour(by_hour(np.arange(200) * 30, np.arange(200) % 5, p), tmp_path / "hours.png")
    plots.plot_accuracies(
        pd.DataFrame(
            table
            | {"epoch": [1, 2, 1, 2], "architecture": ["gru", "gru", "rnn", "rnn"], "best": [True, False, False, True]}
        ),
        tmp_path / "a.png",
    )
    names = ["a.png", "confusion.png", "hours.png", "night.png", "reliability.png"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert plots.plt.get_fignums() == []
