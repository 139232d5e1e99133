"""Repair of rows and the report of findings; files are tested in test_recordings.py."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.__main__ import check
from pipeline.checks import Finding, UnusableNight, lines_text, repair, write_findings


def rows(*values, columns=("t", "heart_rate")):
    return pd.DataFrame(values, pd.RangeIndex(1, len(values) + 1), columns, float)


@pytest.mark.parametrize(
    ("lines", "text"), [([17], "line 17"), ([19, 17], "2 lines, first 17, 19"), (range(5, 9), "4 lines, first 5, 6, 7")]
)
def test_lines_text(lines, text):
    assert lines_text(lines) == text


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ((10, 19.9), "outside 20 to 250 bpm (first: t=10 heart_rate=19.9)"),
        ((10, 250.1), "outside 20 to 250 bpm"),
        ((10, np.inf), "outside 20 to 250 bpm"),
        ((10, np.nan), "not a number (first: t=10 heart_rate=nan)"),
        ((np.nan, 60), "not a number"),
        ((np.inf, 60), "time beyond 86400 s or infinite"),
        ((-np.inf, 60), "time beyond 86400 s or infinite"),
        ((86401, 60), "time beyond 86400 s or infinite"),
    ],
)
def test_impossible_rows_are_dropped(row, what):
    frame, (finding,) = repair("f", rows((5, 20), row, (15, 250)))
    assert frame.t.tolist() == [5, 15]
    assert (finding.where, finding.done) == ("line 2", "row dropped")
    assert finding.what.startswith(what)


@pytest.mark.parametrize(
    ("channel", "fine", "bad"), [("steps", (0, 10_000), (-1, 10_001)), ("activity", (0, 100_000), (-0.1, 100_001))]
)
def test_counts_and_steps_have_both_limits(channel, fine, bad):
    frame, (finding,) = repair("f", rows(*enumerate([*fine, *bad]), columns=("t", channel)))
    assert frame[channel].tolist() == list(fine)
    assert finding.where == "2 lines, first 3, 4"


def test_acceleration_beyond_16_g_on_any_axis_is_one_finding():
    columns = ("t", "motion_x", "motion_y", "motion_z")
    values = [(0, 16, -16, 0), (1, 17, 0, 0), (2, 0, -17, 18), (3, 0, 0, np.inf)]
    frame, (finding,) = repair("f", rows(*values, columns=columns))
    assert frame.t.tolist() == [0]
    assert (finding.where, finding.what.split(" (")[0]) == ("3 lines, first 2, 3, 4", "outside -16 to 16 g")


def test_every_kind_of_failure_is_its_own_finding():
    frame, findings = repair("f", rows((0, 60), (1, 300), (2, np.nan), (90000, 60), (3, 0)))
    assert frame.t.tolist() == [0]
    assert sorted(finding.where for finding in findings) == ["2 lines, first 2, 5", "line 3", "line 4"]


def test_nothing_left():
    frame, (finding,) = repair("f", rows((0, 300), (1, 0)))
    assert frame.empty
    assert finding.where == "2 lines, first 1, 2"


def test_sorted_repeats_dropped_and_conflicts_averaged():
    frame, findings = repair("f", rows((5, 60), (10, 70), (0, 50), (10, 70), (10, 90), (15, 65)))
    assert frame.to_numpy().tolist() == [[0, 50], [5, 60], [10, 80], [15, 65]]
    assert [(f.where, f.what, f.done) for f in findings] == [
        ("line 3", "earlier than the line before", "sorted"),
        ("line 4", "repeats another line", "row dropped"),
        ("2 lines, first 2, 5", "different values at one time (first: t=10)", "averaged"),
    ]


def test_conflicting_stages_become_unscored_and_equal_ones_stay():
    frame, findings = repair("f", rows((0, 2), (30, 1), (30, 3), (60, 5), (60, 5), columns=("t", "stage")))
    assert frame.to_numpy().tolist() == [[0, 2], [30, -1], [60, 5]]
    assert [finding.done for finding in findings] == ["row dropped", "epoch unscored"]


def test_unusable_night_carries_its_findings_through_a_process_pool():
    findings = [Finding("a", "line 1", "odd", "row dropped"), Finding("b", "whole file", "empty", "night skipped")]
    unusable = pickle.loads(pickle.dumps(UnusableNight(*findings)))
    assert unusable.findings == findings
    assert str(unusable) == "b: whole file: empty; night skipped"


def test_write_findings(tmp_path):
    path = tmp_path / "data_check_failures.txt"
    write_findings(path, [])
    header = "file: where: what was found; what was done\n"
    assert path.read_text() == header + "no findings\n"
    write_findings(
        path, [Finding("b", "line 2", "x", "y"), Finding("a", "line 9", "x", "y"), Finding("a", "l", "z", "y")]
    )
    assert path.read_text() == header + "a: line 9: x; y\na: l: z; y\nb: line 2: x; y\n"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_findings_for_machines(synthetic, tmp_path):
    """The same that are printed."""
    done = CliRunner().invoke(check, [str(synthetic), "--jobs", "1", "--json", str(tmp_path / "x.json")])
    results = json.loads((tmp_path / "x.json").read_text())
    *printed, last = done.stdout.splitlines()
    assert [str(Finding(**finding)) for finding in results["findings"]] == printed
    assert last == f"{results['usable']} usable nights, {len(printed)} findings" and results["nights"] == 6
