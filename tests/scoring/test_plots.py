"""What is drawn in the plots: data, labels and titles of the figures; how they look is for the eye."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pipeline.align import Night
from pipeline.constants import ARCHITECTURES, PRECISIONS, STAGES
from scoring import plots
from scoring.metrics import by_hour, calibration, kappa
from scoring.predictions import PROBABILITY_COLUMNS
from scoring.sleep_statistics import UNITS

W, N1, N2, N3, R = range(5)


@pytest.fixture
def hypnograms(monkeypatch):
    """The hypnograms that a plot draws, as (stages, seconds per value)."""
    calls, real = [], plots.draw_hypnogram

    def drawn(axis, stages, seconds):
        calls.append((list(stages), seconds))
        real(axis, stages, seconds)

    monkeypatch.setattr(plots, "draw_hypnogram", drawn)
    return calls


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been written, {file name: figure}."""
    saved = {}
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.update({path.name: figure}))
    yield saved
    plots.plt.close("all")


def line(axis, label):
    """x and y of the line with this label."""
    (found,) = [drawn for drawn in axis.lines if drawn.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def legend(owner):
    return [text.get_text() for text in owner.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("start", "stride"), [(0, 30), (-600, 30), (0, 15), (-600, 15), (-615, 15), (-620, 10), (0, 60)]
)
def test_parity_shows_each_scored_epoch_once(hypnograms, figures, tmp_path, start, stride):
    """With a stride under 30 s the window that ends with the epoch counts, wherever the night begins."""
    ends = np.arange(start + stride, 1801, stride)
    counted = (ends > 0) & (ends % 30 == 0)
    stages = np.where(counted, ends // 30 % 5, -1)
    p = np.eye(5)[np.where(ends % 30 == 0, N2, R)]
    plots.plot_parity("gru", Night("1", ends, {}, stages), stride, p, {"int8": p}, tmp_path / "a.png")
    assert [axis.get_ylabel() for axis in figures["a.png"].axes] == [
        "scored (PSG)", "predicted:\nKeras", "predicted:\nwatch, int8", "largest difference\nof a probability",
    ]  # fmt: skip
    assert [seconds for _, seconds in hypnograms] == [max(stride, 30)] * 3
    (scored, _), (keras, _), (watch, _) = hypnograms
    assert [stage for stage in scored if stage >= 0] == list(stages[counted])
    assert set(keras) == set(watch) == {N2}
    assert len(scored) == len(keras) == len(watch) == sum(ends % 30 == 0)


def test_parity_shows_how_far_each_precision_is_off(figures, tmp_path):
    ends, reference = 30.0 * np.arange(1, 5), np.full((4, 5), 0.2)
    int8, dynamic = reference.copy(), reference.copy()
    int8[2] = [0.3, 0.1, 0.2, 0.2, 0.2]
    dynamic[0] = [0.15, 0.25, 0.2, 0.2, 0.2]
    plots.plot_parity(
        "gru",
        Night("77", ends, {}, np.full(4, -1)),
        30,
        reference,
        {"dynamic": dynamic, "int8": int8},
        tmp_path / "a.png",
    )
    top, *_, bottom = figures["a.png"].axes
    assert "GRU, int8, night 77" in top.get_title()
    for precision, expected in {"dynamic": [0.05, 0, 0, 0], "int8": [0, 0, 0.1, 0]}.items():
        hours, difference = line(bottom, precision)
        np.testing.assert_allclose(hours, np.arange(4) / 120)
        np.testing.assert_allclose(difference, np.array(expected) + 1e-9, atol=1e-12)
    assert bottom.get_yscale() == "log"
    assert legend(bottom) == ["dynamic", "int8"]


def test_stages_have_the_colours_of_the_page():
    style = (Path(__file__).parents[2] / "watch_sim" / "page" / "style.css").read_text()
    light = {name: re.search(rf"--{name.lower()}: light-dark\((#\w+)", style)[1] for name in STAGES}
    assert tuple(light.values()) == plots.STAGE_COLOURS


def test_subjects_are_dots_without_those_whose_kappa_is_unknown(figures, tmp_path):
    plots.plot_subjects({"gru": {"a": 0.2, "b": 0.6, "c": None}, "rnn": {"a": 0.1}}, tmp_path / "a.png")
    (axis,) = figures["a.png"].axes
    dots = [drawn for drawn in axis.lines if drawn.get_marker() == "o"]
    assert [sorted(drawn.get_ydata()) for drawn in dots] == [[0.2, 0.6], [0.1]]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["GRU\n2 subjects", "RNN\n1 subject"]


def test_models_are_drawn_by_size_and_time(figures, tmp_path):
    rows = [("gru", "int8", 0.5, 80000, 17.0), ("gru", "float32", 0.49, 120000, 20.0), ("rnn", "int8", 0.4, 60000, 9.0)]
    models = plots.pd.DataFrame(rows, columns=["architecture", "precision", "kappa", "bytes", "step_us"])
    plots.plot_models(models, 3, tmp_path / "a.png")
    by_size, by_time = figures["a.png"].axes
    points = [
        [(float(x), float(y)) for line in axis.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
        for axis in (by_size, by_time)
    ]
    assert points[0] == [(80.0, 0.5), (120.0, 0.49), (60.0, 0.4)]
    assert points[1] == [(17.0, 0.5), (20.0, 0.49), (9.0, 0.4)]
    assert legend(by_time) == ["GRU", "RNN", "int8", "float32"]
    looks = [(to_hex(drawn.get_color()), drawn.get_marker()) for drawn in by_size.lines]
    colours, markers = plots.MODEL_COLOURS, plots.PRECISION_MARKERS
    assert looks == [(colours[architecture], markers[precision]) for architecture, precision, *_ in rows]
    assert {*colours} == {*ARCHITECTURES} and {*markers} == {*PRECISIONS}


def test_a_hypnogram_is_in_the_colours_of_the_stages(figures):
    axis = plots.plt.figure().subplots()
    plots.draw_hypnogram(axis, [W, W, R, -1, N3], 30)
    names = dict(zip(axis.get_yticks(), [tick.get_text() for tick in axis.get_yticklabels()], strict=True))
    line, *coloured = axis.patches
    heights, edges, _ = line.get_data()
    assert [names.get(height) for height in heights] == ["Wake", "Wake", "REM", None, "N3"]
    np.testing.assert_allclose(edges, np.arange(6) / 120)
    for patch, colour, stage in zip(coloured, plots.STAGE_COLOURS, STAGES, strict=True):
        assert to_hex(patch.get_edgecolor()) == colour
        levels = patch.get_data()[0]
        assert {names[height] for height in levels[np.isfinite(levels)]} <= {stage}


def test_a_night_without_stages_leaves_that_panel_empty(hypnograms, figures, tmp_path):
    ends, p = 30.0 * np.arange(1, 61), np.eye(5)[[N2] * 60]
    plots.plot_parity("gru", Night("1", ends, {}, np.full(60, -1)), 30, p, {"float32": p}, tmp_path / "a.png")
    assert len(hypnograms) == 2
    assert [axis.has_data() for axis in figures["a.png"].axes] == [False, True, True, True]


def test_a_predicted_night_is_drawn_under_the_scored_one(hypnograms, figures, tmp_path):
    scored, predicted = [W] * 10 + [N2] * 20, [N2] * 30
    epochs = pd.DataFrame(np.eye(5)[predicted], columns=PROBABILITY_COLUMNS)
    plots.plot_night("1", epochs, 30, tmp_path / "a.png", scored)
    assert hypnograms == [(scored, 30), (predicted, 30)]
    axes = figures["a.png"].axes
    assert [axis.get_ylabel() for axis in axes] == ["scored (PSG)", "predicted", "stage probability"]
    assert axes[0].get_title() == "1"
    assert all(axis.get_xlim() == (0, 0.25) for axis in axes)


def test_a_stage_that_is_unknown_is_not_drawn(hypnograms, figures, tmp_path):
    epochs = pd.DataFrame(np.eye(5)[[N2] * 30], columns=PROBABILITY_COLUMNS)
    epochs["predicted_stage"] = ["N2"] * 10 + ["Unknown"] * 20
    plots.plot_night("1", epochs, 30, tmp_path / "a.png")
    assert hypnograms == [([N2] * 10 + [-1] * 20, 30)]
    plots.plot_night("1", epochs.assign(predicted_stage="Unknown"), 30, tmp_path / "b.png")
    assert [axis.has_data() for axis in figures["b.png"].axes] == [False, True]


def test_a_devices_own_hypnogram_stands_below_ours(hypnograms, figures, tmp_path):
    epochs = pd.DataFrame(np.eye(5)[[N2] * 4], columns=PROBABILITY_COLUMNS)
    for device, names in (
        (["Wake", "Light", "", "Deep"], "Wake REM Light Deep"),
        (["Sleep"] * 4, "Wake REM Sleep Light Deep"),
    ):
        plots.plot_night("1", epochs, 30, tmp_path / "a.png", device=pd.Series(device))
        axes = figures["a.png"].axes
        assert [axis.get_ylabel() for axis in axes] == ["predicted", "device", "stage probability"]
        labels = [label.get_text() for label in axes[1].get_yticklabels()]
        assert labels == names.split()
        heights, edges, _ = axes[1].patches[0].get_data()
        place = dict(zip(axes[1].get_yticks(), labels, strict=True))
        assert [place.get(height, "") for height in heights] == device
        np.testing.assert_allclose(edges, np.arange(5) / 120)
    assert all(axis.get_xlim() == (0, 1 / 30) for axis in axes)


def test_a_night_shows_its_probabilities_stacked(figures, tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(5), 6)
    plots.plot_night("1", pd.DataFrame(p, columns=PROBABILITY_COLUMNS), 30, tmp_path / "a.png")
    top, bottom = figures["a.png"].axes
    assert top.get_ylabel() == "predicted"
    assert legend(bottom) == list(STAGES)
    for stage, (area, above) in enumerate(zip(bottom.collections, np.cumsum(p, 1).T, strict=True)):
        corners = area.get_paths()[0].vertices
        for window in range(6):
            edges = corners[np.isclose(corners[:, 0], window / 120), 1]
            np.testing.assert_allclose([edges.min(), edges.max()], [above[window] - p[window, stage], above[window]])


def test_confusion_panels_name_their_classes(figures, tmp_path):
    panels = {"5": ([W, N2, R], [W, N2, N2], STAGES), "2": ([0, 1], [0, 1], ("Wake", "Sleep"))}
    plots.plot_confusion(panels, tmp_path / "a.png")
    first, second = figures["a.png"].axes
    assert [label.get_text() for label in first.get_xticklabels()] == list(STAGES)
    assert [label.get_text() for label in second.get_yticklabels()] == ["Wake", "Sleep"]
    assert [text.get_text() for text in second.texts] == ["100%", "0%", "0%", "100%"]
    assert first.images[0].get_array()[R].tolist() == [0, 0, 1, 0, 0]  # REM predicted as N2
    assert (first.get_ylabel(), first.get_xlabel()) == ("scored stage", "predicted stage")
    assert first.get_title() == f"5   κ {kappa(*panels['5'][:2]):.2f}"


def test_bland_altman_shows_what_differs(figures, tmp_path):
    scored = pd.DataFrame({name: [1.0, 2, 4] for name in UNITS}, index=["a", "b", "c"])
    assert plots.plot_bland_altman(scored, scored.assign(TST=[1, 3, 3], SE=[2, 2, 2]), tmp_path / "a.png")
    axes = figures["a.png"].axes
    assert [axis.get_title() for axis in axes] == ["total sleep time (min)", "sleep efficiency (%)"]
    points = np.concatenate([dots.get_offsets() for dots in axes[0].collections if len(dots.get_offsets()) == 3])
    assert sorted(points[:, 1]) == [-1, 0, 1]
    assert not plots.plot_bland_altman(scored, scored, tmp_path / "b.png")
    assert not plots.plot_bland_altman(scored, scored.assign(Wake=0), tmp_path / "b.png")
    assert [*figures] == ["a.png"]


def test_accuracies_of_each_model_and_its_best_epoch(figures, tmp_path):
    parts = {"train": "#bbbbbb", "inner validation": "#4477aa", "validation": "#ee6677"}
    columns = {f"{part}_accuracy".replace(" ", "_"): np.array([0.2, 0.4, 0.3, 0.1]) + i for i, part in enumerate(parts)}
    rows = pd.DataFrame(
        columns
        | {"epoch": [1, 2, 1, 2], "architecture": ["gru", "gru", "rnn", "rnn"], "best": [True, False, False, True]}
    )
    plots.plot_accuracies(rows, tmp_path / "a.png")
    gru, rnn = figures["a.png"].axes
    assert (gru.get_title(), rnn.get_title()) == ("GRU", "RNN")
    for i, (part, colour) in enumerate(parts.items()):
        np.testing.assert_allclose(line(rnn, part), [[1, 2], [0.3 + i, 0.1 + i]])
        assert [to_hex(drawn.get_color()) for drawn in gru.lines if drawn.get_label() == part] == [colour]
    for axis, best in ((gru, 1), (rnn, 2)):
        assert line(axis, "kept")[0] == [best, best]
    assert [text.get_text() for text in figures["a.png"].legends[0].get_texts()] == [
        *parts, "kept",
    ]  # fmt: skip


def test_accuracies_where_all_nights_were_trained_on(figures, tmp_path):
    rows = pd.DataFrame({"epoch": [1, 2], "train_accuracy": [0.3, 0.5], "architecture": "gru", "best": [False, True]})
    plots.plot_accuracies(rows, tmp_path / "a.png")
    assert [drawn.get_label() for drawn in figures["a.png"].axes[0].lines] == ["train", "kept"]


def test_reliability_shows_every_bin(figures, tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    figures_of_p = calibration(np.arange(200) % 5, p)
    plots.plot_reliability(figures_of_p, tmp_path / "a.png")
    top, bottom = figures["a.png"].axes
    bins = figures_of_p["bins"]
    assert len(bins) > 3
    label = f"predicted (calibration error {figures_of_p['ece']:.3f})"
    expected = [[row["confidence"] for row in bins], [row["accuracy"] for row in bins]]
    np.testing.assert_allclose(line(top, label), expected)
    np.testing.assert_array_equal(line(top, "perfectly calibrated"), [[0, 1], [0, 1]])
    assert [bar.get_x() for bar in bottom.patches] == pytest.approx([row["low"] for row in bins])
    assert [bar.get_height() for bar in bottom.patches] == pytest.approx([row["epochs"] / 200 for row in bins])
    assert bottom.patches[0].get_width() == pytest.approx(0.1)


def test_hours_are_drawn_in_their_middle(figures, tmp_path):
    hours = [
        {"hour": 0, "epochs": 120, "accuracy": 0.5, "kappa": -0.1},
        {"hour": 2, "epochs": 60, "accuracy": 0.7, "kappa": 0.4},
    ]
    plots.plot_by_hour(hours, tmp_path / "a.png")
    top, bottom = figures["a.png"].axes
    np.testing.assert_allclose(line(top, "accuracy"), [[0.5, 2.5], [0.5, 0.7]])
    np.testing.assert_allclose(line(top, "Cohen's κ"), [[0.5, 2.5], [-0.1, 0.4]])
    assert top.get_ylim() == (-0.1, 1)  # a κ below 0 is not cut off
    assert [bar.get_height() for bar in bottom.patches] == [120, 60]
    assert bottom.get_xlim() == (0, 3)


def test_every_plot_is_written_whole_and_closed(tmp_path):
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    plots.plot_night("1", pd.DataFrame(p, columns=PROBABILITY_COLUMNS), 30, tmp_path / "night.png")
    plots.plot_confusion({"gru": (np.arange(200) % 5, p.argmax(1), STAGES)}, tmp_path / "confusion.png")
    plots.plot_reliability(calibration(np.arange(200) % 5, p), tmp_path / "reliability.png")
    plots.plot_by_hour(by_hour(np.arange(200) * 30, np.arange(200) % 5, p), tmp_path / "hours.png")
    assert plots.plt.get_fignums() == []
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == ["confusion.png", "hours.png", "night.png", "reliability.png"]
    for path in paths:
        height, width, channels = plots.plt.imread(path).shape
        assert (height > 200, width > 200, channels) == (True, True, 4)


def test_a_written_figure_is_the_drawn_one(tmp_path):
    figure = plots.plt.figure(figsize=(2, 1), dpi=50, facecolor="#4477aa")
    plots.save(figure, tmp_path / "a.png")
    colours = {to_hex(pixel) for row in plots.plt.imread(tmp_path / "a.png") for pixel in row}
    assert colours == {"#4477aa"}
    assert not plots.plt.fignum_exists(figure.number)
