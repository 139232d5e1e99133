"""What is drawn in the plot of saliency: shares, minutes and the transition; how it looks is for the eye."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from evaluation import saliency_plot
from evaluation.saliency import Transition
from evaluation.saliency_plot import COLOURS, plot_saliency
from pipeline.constants import CHANNELS
from pipeline.options import Options

N2, R = 2, 4
INPUTS = ["heart_rate", "activity", "clock"]
OPTIONS = Options(architectures=("gru",), channels=("heart_rate", "activity"))


@pytest.fixture
def draw(night_of, monkeypatch, tmp_path):
    """Draws a result of two stages; gives the figure and the night of its transition."""
    features, sensors = np.zeros((120, 3)), np.zeros((12, 2))
    features[0], features[10, 0] = [1, 1, 1], 5
    sensors[1] = [3, 1]
    stages = {name: {"features": features, "sensors": sensors} for name in ("N2", "REM")}
    nights = [night_of(60), night_of(80)]
    figures = []
    monkeypatch.setattr(saliency_plot, "save", lambda figure, path: figures.append(figure))

    def drawn(shown):
        plot_saliency("gru", {"stages": stages, "inputs": INPUTS, "shown": shown}, nights, OPTIONS, tmp_path / "a.png")
        return figures[-1], nights[1]

    yield drawn
    saliency_plot.plt.close("all")


def test_every_input_has_a_colour():
    assert set(COLOURS) == {*CHANNELS, "clock"}


def test_bars_are_the_shares_of_the_inputs(draw):
    figure, _ = draw(None)
    shares = figure.axes[0]
    assert [label.get_text() for label in shares.get_yticklabels()] == ["N2", "REM"]
    bars = [(to_hex(bar.get_facecolor()), bar.get_x(), bar.get_width()) for bar in shares.patches]
    by_features = [("heart_rate", 0, 0.75), ("activity", 0.75, 0.125), ("clock", 0.875, 0.125)]
    by_sensors = [("heart_rate", 0, 0.75), ("activity", 0.75, 0.25)]
    for (colour, *place), (name, *expected) in zip(bars, [*by_features, *by_sensors] * 2, strict=True):
        assert colour == COLOURS[name]
        assert place == pytest.approx(expected)
    assert [text.get_text() for text in shares.texts] == ["75%", "12%", "12%", "75%", "25%"] * 2
    assert figure.get_suptitle() == "gru: what drives each stage, mean over 2 night(s)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["heart rate", "activity", "clock"]


def test_lines_are_the_share_within_the_last_minutes(draw):
    figure, _ = draw(None)
    assert len(figure.axes) == 5  # shares, and two for each stage
    features, sensors = figure.axes[1:3]
    assert features.get_ylabel() == "N2"
    heart_rate = features.lines[0]
    assert to_hex(heart_rate.get_color()) == COLOURS["heart_rate"]
    np.testing.assert_allclose(heart_rate.get_xdata(), np.arange(121) / 2)
    np.testing.assert_allclose(heart_rate.get_ydata(), [0, *[1 / 8] * 10, *[6 / 8] * 110])
    np.testing.assert_allclose(sensors.lines[0].get_xdata(), np.arange(13) * 5)
    np.testing.assert_allclose(sensors.lines[1].get_ydata(), [0, 0, *[0.25] * 11])
    assert features.get_xlim() == (0, 60)


def test_the_transition_is_drawn_from_where_it_sets_in(draw):
    contributions = np.arange(90.0).reshape(30, 3)
    transition = Transition(1, 40, 49, N2, R)
    figure, night = draw({"transition": transition, "probability": 0.63, "contributions": contributions})
    heart_rate, activity, bottom = figure.axes[-3:]
    assert "N2 to REM, explained 5 min later" in heart_rate.get_title()
    assert "REM is predicted at 63%" in heart_rate.get_title()
    assert (heart_rate.get_ylabel(), activity.get_ylabel()) == ("heart rate (bpm)", "activity (activity count)")
    np.testing.assert_allclose(heart_rate.lines[0].get_xdata(), np.arange(-9.5, 5.1, 0.5))  # at a window's end
    np.testing.assert_allclose(heart_rate.lines[0].get_ydata(), night.values("heart_rate", OPTIONS)[20:50].mean(1))
    assert bottom.get_ylabel() == "contribution to REM (log-odds)"
    for drawn, name, expected in zip(bottom.lines, INPUTS, contributions.T, strict=False):
        assert to_hex(drawn.get_color()) == COLOURS[name]
        np.testing.assert_array_equal(drawn.get_ydata(), expected)
