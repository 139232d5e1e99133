"""python -m watch_sim predict BUNDLE NIGHTS: no run needed."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from apps.python.sleep_stager import SIMULATED, SleepStager
from export.archive import write_zip
from pipeline.constants import STAGES
from pipeline.recordings import paths
from tests.apps.vectors import FOLDER
from watch_sim.__main__ import main

BUNDLES = FOLDER / "bundles"
P = [f"p_{stage.lower()}" for stage in STAGES]


def command(*arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


@pytest.fixture
def night(tmp_path):
    """A CSV of ten minutes."""
    rng = np.random.default_rng(0)
    lines = [f"{t},{rng.integers(50, 70)},{rng.choice([0, 12]) if t % 15 == 0 and t else ''}" for t in range(0, 601, 5)]
    (tmp_path / "night.csv").write_text("time,heart_rate,activity\n" + "\n".join(lines) + "\n")
    return tmp_path / "night.csv"


def expected(night, **settings):
    """Probabilities of the library for apps."""
    stager = SleepStager(BUNDLES / "counts", **settings)
    for row in pd.read_csv(night).itertuples():
        stager.feed("heart_rate", row.time, row.heart_rate)
        if row.activity == row.activity:
            stager.feed("activity", row.time, row.activity)
    return np.stack([epoch.probabilities for epoch in stager.take(600)])


def test_a_csv_gives_stages_beside_it_and_statistics(night):
    done = command("--bundle", BUNDLES / "counts", night)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(night.with_name("night_stages.csv"))
    assert list(table.t) == [30 * i for i in range(20)]
    np.testing.assert_allclose(table[P], expected(night), rtol=1e-5)
    beside = {path.name for path in night.parent.iterdir()} - {"night.csv"}
    assert beside == {"night_stages.csv", "night_stages_statistics.csv", "night_stages_night.png"}
    assert "TST" in done.stdout and done.stdout.splitlines()[-3:][0].endswith("night_stages.csv")


def test_a_zip_another_precision_and_an_operating_point(night, tmp_path):
    (tmp_path / "out").mkdir()
    bundle = write_zip(BUNDLES / "counts", tmp_path / "b.zip")
    options = ["--precision", "float32", "--operating_point", "rem", "--out", tmp_path / "out" / "x.csv"]
    done = command("--bundle", bundle, night, *options)
    assert done.exit_code == 0, done.output
    weighed = expected(night, precision="float32", operating_point="rem")
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out" / "x.csv")[P], weighed, rtol=1e-5)


def test_results_for_machines(night, tmp_path):
    done = command(BUNDLES / "counts", night, "--precisions", "int8,float32", "--json", tmp_path / "new" / "x.json")
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "new" / "x.json").read_text())
    assert results["simulated"] is False and results["operating_point"] is None and results["notes"] == {}
    for of_model in results["models"]:
        table = pd.read_csv(of_model["file"])
        assert of_model["file"].endswith(f"stages.gru.{of_model['precision']}.csv")
        of_night = of_model["nights"]["night"]
        assert (of_night["t"], of_night["stages"]) == (table.t.tolist(), table.predicted_stage.tolist())
        statistics = pd.read_csv(of_model["file"].replace(".csv", "_statistics.csv"), index_col=0).loc["night"]
        assert of_night["statistics"]["TST"] == statistics.TST


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "/proc/x/y.csv"], "--out /proc/x/y.csv: cannot be written there"),
        (["--json", "/proc/x/y.json"], "--json /proc/x/y.json: cannot be written there"),
        (["--out", f"{'n' * 240}.csv"], "_device_agreement.csv: cannot be written there (File name too long)"),
        (["--json", "night.csv"], "--json night.csv: would overwrite the input; name another file"),
        (["--json", str(BUNDLES / "counts" / "contract.json")], "counts; name a file elsewhere"),
        (["--out", "x.csv", "--json", "x.csv"], "--json x.csv: is written as another result, too; name another file"),
        (["--out", "x.csv", "--json", "x_night.png"], "--json x_night.png: is written as another result, too"),
        ([], "--out /proc/x/night.csv: cannot be written there"),
    ],
)
def test_outputs_are_tried_before_the_work(night, monkeypatch, mistake, options, message):
    monkeypatch.chdir(night.parent)
    monkeypatch.setattr("watch_sim.predict.stage_night", None)
    if not options:
        monkeypatch.setattr("watch_sim.predict.default_output", lambda *_: Path("/proc/x/night.csv"))
    assert message in mistake(command(BUNDLES / "counts", "night.csv", *options))
    assert [*night.parent.iterdir()] == [night]


@pytest.fixture
def data(synthetic, tmp_path):
    """A data set of two nights without labels."""
    for subject, kind in (("1001", "heart_rate"), ("1004", "motion")):
        path = paths(tmp_path / "data", subject)[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths(synthetic, subject)[kind], path)
    return tmp_path / "data"


def test_a_folder_of_recordings(data, tmp_path):
    done = command("--bundle", BUNDLES / "all", data)
    assert done.exit_code == 0, done.output
    assert {*pd.read_csv(tmp_path / "data_stages.csv").subject} == {1001, 1004}
    assert SIMULATED in done.stdout


def test_one_night_of_a_data_set_by_its_id_or_by_its_file(data, tmp_path):
    assert command(BUNDLES / "all", data, "--nights", "1004", "--out", tmp_path / "id.csv").exit_code == 0
    file = paths(data, "1004")["motion"]
    done = command(BUNDLES / "all", file)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "id.csv").read_bytes() == (tmp_path / "data_1004_stages.csv").read_bytes()
    assert {*pd.read_csv(tmp_path / "id.csv").subject} == {1004}


def test_the_old_spelling_is_the_same(night, tmp_path):
    for i, arguments in enumerate(([BUNDLES / "counts", night], ["--bundle", BUNDLES / "counts", night])):
        assert command(*arguments, "--out", tmp_path / f"{i}.csv").exit_code == 0
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


def test_two_precisions_are_a_file_each(night, tmp_path):
    done = command(BUNDLES / "counts", night, "--precisions", "int8,float32", "--out", tmp_path / "x.csv")
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.glob("x.*[!s].csv")} == {"x.gru.int8.csv", "x.gru.float32.csv"}


def with_device_stages(data, subject, text):
    (data / "device_stages").mkdir(exist_ok=True)
    (data / "device_stages" / f"{subject}.csv").write_text("start,end,stage,said\n" + text)


def test_a_devices_own_stages_are_laid_beside(data, tmp_path):
    """Ours are as they are without them."""
    assert command(BUNDLES / "all", data, "--out", tmp_path / "without.csv").exit_code == 0
    with_device_stages(data, "1001", "0,600,Wake,Awake\n600,1800,Light,AsleepCore\n2400,3000,Sleep,Asleep\n")
    done = command(BUNDLES / "all", data, "--out", tmp_path / "with.csv")
    assert done.exit_code == 0, done.output
    before, after = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("without", "with"))
    pd.testing.assert_frame_equal(after.drop(columns="device_stage"), before)
    own = after[after.subject == 1001].device_stage
    assert list(own[:101]) == ["Wake"] * 20 + ["Light"] * 40 + [np.nan] * 20 + ["Sleep"] * 20 + [np.nan]
    assert after[after.subject == 1004].device_stage.isna().all()
    table = pd.read_csv(tmp_path / "with_device_agreement.csv", index_col="subject")
    both = after.predicted_stage != "Unknown"
    assert table.loc[1001, "epochs"] == (both & own.isin(["Wake", "Light"])).sum() > 40
    assert "not accuracy" in done.stdout and "with_device_agreement.csv" in done.stdout
    assert not (tmp_path / "without_device_agreement.csv").exists()


def test_damaged_device_stages_cost_nothing_else(data, tmp_path):
    with_device_stages(data, "1001", "0,600,N2,core\n")
    done = command(BUNDLES / "all", data, "--nights", "1001", "--out", tmp_path / "x.csv")
    assert done.exit_code == 0, done.output
    assert "1001.csv: line 2: expected times in s and one of Wake, Light, Deep, REM, Sleep; left out" in done.stderr
    assert "device_stage" not in pd.read_csv(tmp_path / "x.csv")


EXPORTS = {
    "export.xml": "apple-health",
    "apple/export.xml": "apple-health",
    "takeout/heart_rate-2026-01-31.json": "fitbit",
    "garmin/1.fit": "garmin",
    "1.FIT": "garmin",
    "sensors/log.csv": "csv",
    "log.tsv": "csv",
    "mesa/mesa-sleep-0001-rpoint.csv": "mesa",
}


@pytest.mark.parametrize(("file", "source"), EXPORTS.items())
@pytest.mark.parametrize("zipped", [False, True])
def test_an_export_gets_the_command_that_imports_it(tmp_path, mistake, file, source, zipped):
    path = tmp_path / "x" / file
    path.parent.mkdir(parents=True)
    path.write_text("x")
    place = tmp_path / "x" / file.split("/")[0]
    if zipped:
        place = tmp_path / "export.zip"
        with zipfile.ZipFile(place, "w") as archive:
            archive.write(path, file)
    message = mistake(command(BUNDLES / "counts", place))
    assert f"convert it to a data set first: python -m pipeline import {source} {place} NIGHTS" in message
    assert message.endswith("--zone Europe/Berlin") == (source == "fitbit")


MISTAKES = {
    "no bundle": (["--bundle", "/nowhere", "night.csv"], "/nowhere: no such run folder or bundle"),
    "no night": (["--bundle", BUNDLES / "counts"], "expected two arguments, MODEL and NIGHTS, not 1"),
    "no such night": ([BUNDLES / "counts", "none.csv"], "none.csv: no such file or folder"),
    "no such precision": (["--bundle", BUNDLES / "counts", "n.csv", "--precision", "float16"], "choose from int8"),
    "an architecture": (["--bundle", BUNDLES / "counts", "n.csv", "--architectures", "rnn"], "choose from gru"),
    "nothing": ([], "expected two arguments, MODEL and NIGHTS, not 0"),
    "three places": (["run", "a.csv", "--dataset_dir", "b"], "not 3: run, a.csv, b"),
    "the night first": (["night.csv", BUNDLES / "counts"], "night.csv: no such run folder or bundle"),
    "no model": ([__file__, "night.csv"], "neither a run folder nor a bundle (folder or zip)"),
    "nights of a file": ([BUNDLES / "counts", __file__, "--nights", "1"], "--nights 1: needs a data set"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_clear_line(options, message, mistake):
    assert message in mistake(command(*options))


def test_a_zip_with_nothing_to_import(tmp_path, mistake):
    (tmp_path / "a.zip").write_text("x")
    assert "a.zip: a damaged ZIP file, or one without an export" in mistake(
        command(BUNDLES / "counts", tmp_path / "a.zip")
    )


def test_a_night_shorter_than_a_stride(tmp_path, mistake):
    (tmp_path / "n.csv").write_text("time,heart_rate\n0,60\n5,60\n")
    assert "no usable night of 30 s or more" in mistake(command("--bundle", BUNDLES / "counts", tmp_path / "n.csv"))


def test_the_night_itself_is_not_written_over(night, mistake):
    before = night.read_bytes()
    assert "would overwrite the input" in mistake(command("--bundle", BUNDLES / "counts", night, "--out", night))
    assert night.read_bytes() == before


def test_a_folder_is_no_place_for_stages(night, tmp_path, mistake):
    (tmp_path / "out").mkdir()
    assert "is a folder" in mistake(command("--bundle", BUNDLES / "counts", night, "--out", tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"night.csv", "out"}
