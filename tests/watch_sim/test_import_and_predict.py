"""From an export of every source to a hypnogram: two commands, on made files in the documented forms."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.__main__ import main as pipeline
from pipeline.constants import STAGES, UNKNOWN
from pipeline.importers.run import SOURCES
from tests.conftest import ROOT
from tests.pipeline.importers import test_apple_health as apple
from tests.pipeline.importers import test_bidsleep as bidsleep
from tests.pipeline.importers import test_fitbit as fitbit
from tests.pipeline.importers import test_garmin as garmin
from tests.pipeline.importers import test_research_sets as research
from tests.pipeline.importers import test_table as table
from watch_sim.__main__ import main as watch_sim

BUNDLE = ROOT / "bundles" / "gru-int8"


def of_apple(path):
    start = apple.at("2026-01-31 23:00")
    slept = [("AsleepCore", 0, 20), ("AsleepDeep", 20, 40), ("AsleepREM", 40, 60)]
    stages = [
        apple.record(apple.SLEEP, apple.WATCH, start + timedelta(minutes=a), f"HKCategoryValueSleepAnalysis{name}",
                     start + timedelta(minutes=b))
        for name, a, b in slept
    ]  # fmt: skip
    return apple.export(path / "export.xml", apple.heart_rates(start, 1, 10), *stages)


def of_garmin(path):
    (path / "day.fit").write_bytes(garmin.fit(garmin.info(), *garmin.heart_rates(hours=1, every=30)))
    return path


def of_fitbit(path):
    night = fitbit.heart_rate(datetime(2026, 2, 1, 4, 30, tzinfo=UTC), 1)
    return fitbit.takeout(path / "t", **{"heart_rate-2026-01-31_json": night, "sleep-2026-01-05_json": fitbit.SLEEP})


def of_mesa(path):
    research.mesa(path, "0001")
    return path


def of_wearanize(path):
    research.e4(path / "sub-001" / "E4", minutes=31)
    return path


def of_dreamt(path):
    research.dreamt(path, stages=("W",) * 30 + ("N2",) * 32)
    return path


def of_slpdb(path):
    research.slpdb(path / "set", "slp32", ["W"] * 40 + ["2"] * 60)
    return path / "set"


def of_bidsleep(path):
    bidsleep.night(path)
    return path


EXPORTS = {  # source: what makes its export, further options
    "apple-health": (of_apple, ()),
    "fitbit": (of_fitbit, fitbit.LOCAL),
    "garmin": (of_garmin, ()),
    "csv": (lambda path: table.table(path / "a.csv", [1000 * t for t in table.HOUR], "time;bpm", separator=";"), ()),
    "bidsleep": (of_bidsleep, ()),
    "wearanize": (of_wearanize, ()),
    "mesa": (of_mesa, ()),
    "dreamt": (of_dreamt, ()),
    "slpdb": (of_slpdb, ()),
}
WITH_STAGES = {"apple-health", "fitbit", "bidsleep"}  # of the device's own


@pytest.mark.parametrize("source", SOURCES)
def test_two_commands_make_a_hypnogram(tmp_path, source):
    (tmp_path / "export").mkdir()
    make, options = EXPORTS[source]
    path = make(tmp_path / "export")
    done = CliRunner().invoke(pipeline, ["import", source, str(path), str(tmp_path / "nights"), *options])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(watch_sim, ["predict", str(BUNDLE), str(tmp_path / "nights")])
    assert done.exit_code == 0, done.output
    stages = pd.read_csv(tmp_path / "nights_stages.csv")
    assert len(stages) >= 60
    assert {*stages.predicted_stage} <= {*STAGES, UNKNOWN} != {UNKNOWN}
    (plot,) = tmp_path.glob("nights_stages_*.png")
    assert plot.read_bytes().startswith(b"\x89PNG")
    statistics = pd.read_csv(tmp_path / "nights_stages_statistics.csv").iloc[0]
    assert pytest.approx(len(stages) / 2) == statistics.TIB
    assert stages.scored_stage.isna().all()
    assert (
        ("device_stage" in stages)
        == (tmp_path / "nights_stages_device_agreement.csv").exists()
        == (source in WITH_STAGES)
    )
