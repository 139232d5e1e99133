"""What is drawn of two transitions: stages, channels and contributions, in minutes; how it looks is for the eye."""

import numpy as np
import pytest

from evaluation import transition_plot
from evaluation.transitions import Pair, Transition
from pipeline.options import Options

N2, R = 2, 4
INPUTS = ["heart_rate", "activity", "clock"]
OPTIONS = Options(architectures=("gru",), channels=("heart_rate", "activity"))
EFFECT = np.arange(90.0).reshape(30, 3) - 40


@pytest.fixture
def draw(night_of, monkeypatch, tmp_path):
    """Draws a followed and a missed transition, or one of them; gives the figure and the night."""
    stages = [*[N2] * 40, *[R] * 40]
    night, figures = night_of(80, stages, "7"), []
    monkeypatch.setattr(transition_plot, "save", lambda figure, path: figures.append(figure))

    def drawn(followed, missed):
        pair = Pair(followed, missed, 4, 9)
        p = np.eye(5)[[*[N2] * 45, *[R] * 35]] * 0.5 + 0.1
        shown = {"pair": pair, "probabilities": [p], "contributions": [EFFECT, -EFFECT][: len(pair.shown)]}
        result = {"inputs": INPUTS, "shown": shown}
        transition_plot.plot_transitions("gru", result, [night], OPTIONS, tmp_path / "a.png")
        return figures[-1], night

    yield drawn
    transition_plot.plt.close("all")


def test_two_transitions_stand_side_by_side(draw):
    at = Transition(0, 40, 49, N2, R)
    figure, night = draw(at, at._replace(onset=41, explained=50))
    stages, other, heart_rate, _, movement, _, strip, _ = figure.axes[:8]
    assert figure.get_suptitle() == (
        "GRU: evidence for and against REM, 5 minutes after its onset\n"
        "(right by then: 4 of 9 transitions from N2 to REM, 1 night)"
    )
    assert stages.get_title(loc="left") == "Right: N2 to REM, night 7, 0 h 20 min in; p(REM) 60%"
    assert other.get_title(loc="left").startswith("Missed: ")
    assert [tick.get_text() for tick in stages.get_yticklabels()] == ["scored", "predicted"]
    assert [text.get_text() for text in stages.texts] == ["N2", "REM", "N2", "REM"]
    colours = stages.collections[0].get_array()
    assert (colours[0] == night.stages).all()
    assert list(colours[1]) == [N2] * 45 + [R] * 35
    assert (heart_rate.get_ylabel(), movement.get_ylabel()) == ("heart rate\n(bpm)", "movement\n(activity count)")
    np.testing.assert_allclose(heart_rate.lines[0].get_xdata(), np.arange(-19.5, 20.1, 0.5))  # at a window's end
    np.testing.assert_allclose(heart_rate.lines[0].get_ydata(), night.values("heart_rate", OPTIONS).mean(1))
    assert strip.get_xlim() == (-30, 10)
    assert strip.get_xlabel() == "minutes from the onset of REM, as scored"


def test_contributions_are_drawn_in_their_minutes_and_summed(draw):
    figure, _ = draw(None, Transition(0, 40, 49, N2, R))
    assert figure.axes[0].get_title(loc="left").startswith("Missed: ")
    strip = figure.axes[3]
    np.testing.assert_array_equal(strip.collections[0].get_array(), EFFECT.T)
    corners = strip.collections[0].get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], np.arange(-10, 5.1, 0.5))  # to the window that is explained
    assert [tick.get_text() for tick in strip.get_yticklabels()] == ["heart rate", "movement", "time of night"]
    assert [text.get_text().replace("\N{MINUS SIGN}", "-") for text in strip.texts] == ["+105.0", "+135.0", "+165.0"]
