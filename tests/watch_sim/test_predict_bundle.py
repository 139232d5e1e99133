"""python -m watch_sim predict --bundle BUNDLE NIGHT: no run needed."""

import shutil

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


def test_a_folder_of_recordings(synthetic, tmp_path):
    folder = tmp_path / "data"
    for subject, kind in (("1001", "heart_rate"), ("1004", "motion")):
        path = paths(folder, subject)[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths(synthetic, subject)[kind], path)
    done = command("--bundle", BUNDLES / "all", folder)
    assert done.exit_code == 0, done.output
    assert {*pd.read_csv(tmp_path / "data_stages.csv").subject} == {1001, 1004}
    assert SIMULATED in done.stdout


MISTAKES = {
    "no bundle": (["--bundle", "/nowhere", "night.csv"], "/nowhere/contract.json: missing"),
    "no night": (["--bundle", BUNDLES / "counts"], "name one night, a CSV or a folder"),
    "no such night": (["--bundle", BUNDLES / "counts", "none.csv"], "none.csv: cannot be read"),
    "two precisions": (["--bundle", BUNDLES / "counts", "n.csv", "--precisions", "int8,float32"], "one, with --bundle"),
    "no such precision": (["--bundle", BUNDLES / "counts", "n.csv", "--precision", "float16"], "choose from int8"),
    "an architecture": (["--bundle", BUNDLES / "counts", "n.csv", "--architectures", "gru"], "a bundle has one"),
    "nothing": ([], "RUN: missing"),
    "a run alone": (["run"], "--dataset_dir: missing"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_clear_line(options, message, mistake):
    assert message in mistake(command(*options))


def test_a_night_shorter_than_a_stride(tmp_path, mistake):
    (tmp_path / "n.csv").write_text("time,heart_rate\n0,60\n5,60\n")
    assert "no usable night of 30 s or more" in mistake(command("--bundle", BUNDLES / "counts", tmp_path / "n.csv"))


def test_the_night_itself_is_not_written_over(night, mistake):
    before = night.read_bytes()
    assert "is the night itself" in mistake(command("--bundle", BUNDLES / "counts", night, "--out", night))
    assert night.read_bytes() == before


def test_a_folder_is_no_place_for_stages(night, tmp_path, mistake):
    (tmp_path / "out").mkdir()
    assert "is a folder" in mistake(command("--bundle", BUNDLES / "counts", night, "--out", tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"night.csv", "out"}
