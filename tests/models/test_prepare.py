"""python -m models prepare: a run is begun, with features that a training takes as they are."""

import pytest
from click.testing import CliRunner

from models.__main__ import main
from pipeline.run_folder import RunFolder
from pipeline.synthetic import synthesize

ASKED = ("--architectures", "rnn", "--variants", "1", "--jobs", "1")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The data, the run, and the names and bytes of its shards."""
    folder = tmp_path_factory.mktemp("prepared")
    synthesize(folder / "data", subjects=3, hours=0.6, motion_hz=0)
    done = CliRunner().invoke(main, ["prepare", str(folder / "data"), "--out", str(folder / "run"), *ASKED])
    assert done.exit_code == 0, done.output
    return folder, shards(folder / "run")


def shards(run):
    return {path.name: path.read_bytes() for path in RunFolder(run).features.iterdir()}


def test_a_run_is_begun_with_the_features_of_its_nights(prepared):
    folder, written = prepared
    assert [*sorted(written)] == ["features-000000.json", "features-000000.tfrecord"]
    run = RunFolder(folder / "run")
    assert run.stopped and not run.trained
    assert run.requested_options.variants == 1
    assert len(run.scaler["mean"]) == len(run.scaler["features"])


def test_it_goes_on_where_it_was_stopped(prepared):
    folder, written = prepared
    (RunFolder(folder / "run").features / "features-000000.json").unlink()
    done = CliRunner().invoke(main, ["prepare", str(folder / "data"), "--out", str(folder / "run"), *ASKED])
    assert done.exit_code == 0, done.output
    assert shards(folder / "run") == written


def test_a_run_of_other_options_is_left_alone(prepared):
    folder, written = prepared
    asked = ["prepare", str(folder / "data"), "--out", str(folder / "run"), *ASKED, "--seed", "1"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "begun with other options" in done.output
    assert shards(folder / "run") == written
