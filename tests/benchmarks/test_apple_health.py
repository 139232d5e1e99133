"""The export that the benchmark makes is one that can be imported."""

from pathlib import Path

from benchmarks.apple_health import plain, write_export
from pipeline.importers.request import ImportRequest
from pipeline.importers.run import import_nights


def test_the_made_export_has_a_night_a_day(tmp_path):
    path = tmp_path / "export.zip"
    assert write_export(path, 3) > 3e6
    plain(str(path))
    names = import_nights("apple-health", ImportRequest(path), tmp_path / "nights")
    assert names[:2] == ["2016-12-31", "2017-01-01"]
    heart = Path(tmp_path / "nights" / "heart_rate" / f"{names[1]}_heartrate.txt").read_text().splitlines()
    assert len(heart) > 400
    assert (tmp_path / "nights" / "device_stages" / f"{names[1]}.csv").exists()
