"""The benchmark of reading: each kind of work does its whole night, and the figures fit together."""

import pytest

from benchmarks.ingest import WORK, report
from pipeline.recordings import paths


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    from pipeline.synthetic import synthesize

    folder = tmp_path_factory.mktemp("ingest") / "night"
    synthesize(folder, subjects=1, hours=0.6, motion_hz=10)
    return folder


def test_every_work_does_the_whole_night(night):
    rows = len(paths(night, "1001")["motion"].read_bytes().splitlines())
    assert {name: work(night, "1001") for name, (work, _) in WORK.items()} == {
        "ours": 72,  # epochs
        "parser": rows,
        "nearest_merge": rows,
    }


def test_figures_of_a_night(night):
    figures = report(night, rounds=1)
    for name in WORK:
        assert figures[name]["times_ours"] == pytest.approx(figures[name]["seconds"] / figures["ours"]["seconds"])
        assert figures[name]["peak_mb"] > 20
    assert set(figures["met"]) == {"seconds", "peak_mb"}
