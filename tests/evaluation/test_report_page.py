"""Text of report.md, whatever an evaluation lacks."""

import numpy as np
import pytest
from jinja2 import UndefinedError

from evaluation import report_page as page
from evaluation.report import report
from scoring.predictions import PredictedNight, Result

SCORED = np.array([0, 0, 1, 2, 2, 3, 4, 4] * 6)


def test_simulated_nights_are_said_first(document):
    for simulated in (True, False):
        text = page.report_page(document(1, simulated=simulated), {})
        assert ("SIMULATED NIGHTS" in text.split("- name")[0]) == simulated


@pytest.fixture
def document(monkeypatch, tmp_path):
    """Gives evaluation.json of results with these numbers of nights, each a repeat."""
    monkeypatch.setattr("evaluation.report.draw", lambda *_: {})

    def made_of(*nights, **protocol):
        p = np.full((48, 5), 0.1) + 0.5 * np.eye(5)[SCORED]
        results = [
            Result("gru", "int8", 0, repeat, "default", [PredictedNight(f"s{i}", 30.0 * np.arange(48), SCORED, p)
                                                         for i in range(n)])
            for repeat, n in enumerate(nights)
        ]  # fmt: skip
        return report(tmp_path, protocol, results)

    return made_of


def test_every_section_is_there(document):
    text = page.report_page(document(2, 2, name="holdout", held_out=[["s0"]]), {"a.png": "A plot"})
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        "# Evaluation", "## Five stages", "## Over seeds and repeats", "## gru, int8, in detail",
        "### Sleep statistics", "### Errors by stage", "### Subjects, five stages", "## How it was measured",
        "## Plots",
    ]  # fmt: skip
    assert "## How it was measured\n\n- name: holdout\n\nevaluation.json lists the nights" in text
    assert "Each repeat is a new split of the subjects" in text
    assert text.endswith("## Plots\n\n![A plot](a.png)\n\nA plot.\n")
    assert "A leak" not in text


def test_without_unknown_epochs_nothing_is_written_of_them(document):
    text = page.report_page(document(1), {})
    assert "sensed" not in text
    assert "Unscored epochs are not counted.\n" in text


def test_sections_without_figures_are_left_out(document):
    text = page.report_page(document(1), {})
    assert [name for name in ("## Over seeds", "Each repeat", "### Errors") if name in text] == []
    assert "\n\n\n" not in text
    assert text.endswith("## Plots\n")


def test_it_begins_with_how_good_the_main_model_is_on_whom_and_where_it_is_weakest(document):
    text = page.report_page(document(3, data="sleep-accel"), {}).split("## Five stages")[0]
    assert "**gru, int8**: Cohen's κ (agreement beyond chance; 1 is perfect) is 1.000" in text
    assert (
        "Scored on 3 nights of sleep-accel (144 epochs of 30 s), predicted by models that were not trained on" in text
    )
    assert "Its weakest stage is Wake: it finds 100 % of these epochs" in text


def test_a_split_by_window_is_called_a_leak(document):
    text = page.report_page(document(1, split_by="window"), {})
    assert text.startswith("# Evaluation\n\n**A leak.** Windows of one night are on both sides of this split.")


def test_a_value_that_the_template_lacks_is_an_error(document, monkeypatch, tmp_path):
    (tmp_path / "report.md.jinja").write_text("{{ nothing_of_this_name }}")
    monkeypatch.setattr(page, "TEMPLATES", tmp_path)
    with pytest.raises(UndefinedError, match="nothing_of_this_name"):
        page.report_page(document(1), {})
