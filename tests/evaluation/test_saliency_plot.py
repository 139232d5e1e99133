"""What is drawn in the plot of saliency: shares and minutes; how it looks is for the eye."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from evaluation import saliency_plot
from evaluation.saliency_plot import COLOURS, plot_inputs
from pipeline.constants import CHANNELS

INPUTS = ["heart_rate", "activity", "clock"]


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """The figure of a result of two stages."""
    features, sensors = np.zeros((120, 3)), np.zeros((12, 2))
    features[0], features[10, 0] = [1, 1, 1], 5
    sensors[1] = [3, 1]
    stages = {name: {"features": features, "sensors": sensors} for name in ("N2", "REM")}
    figures = []
    monkeypatch.setattr(saliency_plot, "save", lambda figure, path: figures.append(figure))
    plot_inputs("gru", {"stages": stages, "inputs": INPUTS}, 2, 30, tmp_path / "a.png")
    yield figures[0]
    saliency_plot.plt.close("all")


def test_every_input_has_a_colour():
    assert set(COLOURS) == {*CHANNELS, "clock"}


def test_bars_are_the_shares_of_the_inputs(figure):
    shares = figure.axes[0]
    assert [label.get_text() for label in shares.get_yticklabels()] == ["N2", "REM"]
    bars = [(to_hex(bar.get_facecolor()), bar.get_x(), bar.get_width()) for bar in shares.patches]
    by_features = [("heart_rate", 0, 0.75), ("activity", 0.75, 0.125), ("clock", 0.875, 0.125)]
    by_sensors = [("heart_rate", 0, 0.75), ("activity", 0.75, 0.25)]
    for (colour, *place), (name, *expected) in zip(bars, [*by_features, *by_sensors] * 2, strict=True):
        assert colour == COLOURS[name]
        assert place == pytest.approx(expected)
    assert [text.get_text() for text in shares.texts] == ["75%", "12%", "12%", "75%", "25%"] * 2
    assert figure.get_suptitle() == "GRU: what drives each stage, mean over 2 nights"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["heart rate", "movement", "time of night"]


def test_lines_are_the_share_within_the_last_minutes(figure):
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
