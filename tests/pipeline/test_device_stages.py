"""A device's stages by epoch."""

import re
import shutil

import numpy as np
import pytest

from pipeline.device_stages import read_device_stages
from pipeline.errors import UserMistake
from pipeline.nights import load_night
from pipeline.options import Options
from tests.conftest import ROOT


def written(folder, text):
    (folder / "device_stages").mkdir()
    (folder / "device_stages" / "a.csv").write_text(text)
    return folder


def test_the_stage_in_the_middle_of_each_epoch(tmp_path):
    rows = "0,60,Wake,Awake\n60,104,Light,AsleepCore\n106,150,Deep,AsleepDeep\n"
    folder = written(tmp_path, "start,end,stage,said\n" + rows)
    stages = read_device_stages(folder, "a", np.arange(-30, 180, 30), 30)
    assert list(stages) == ["", "Wake", "Wake", "Light", "", "Deep", ""]
    assert list(read_device_stages(folder, "a", [90, 105], 15)) == ["Light", "Deep"]  # middles 97.5 and 112.5
    assert read_device_stages(tmp_path, "b", [0], 30) is None


HEAD = "start,end,stage,said\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("start,stage\n0,Wake\n", 1),
        (HEAD + "0,x,Wake,Awake\n", 2),
        (HEAD + "0,30,Wake,Awake\n30\n", 3),
        (HEAD + "0,nan,Wake,Awake\n", 2),
        (HEAD + "0,30,N2,core\n", 2),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, line):
    with pytest.raises(UserMistake, match=rf"a\.csv: line {line}: expected"):
        read_device_stages(written(tmp_path, text), "a", [0, 30], 30)


def test_training_and_scoring_never_read_them(synthetic, tmp_path):
    """A night loads as it does without the folder, even where what is in it is damaged, and no other code opens it."""
    shutil.copytree(synthetic, tmp_path / "data")
    (tmp_path / "data" / "labels").rename(tmp_path / "labels")
    plain, findings = load_night(tmp_path / "data", "1004", Options(), require_labels=False)
    written(tmp_path / "data", "damaged").joinpath("device_stages", "a.csv").rename(
        tmp_path / "data" / "device_stages" / "1004.csv"
    )
    night, again = load_night(tmp_path / "data", "1004", Options(), require_labels=False)
    assert (night.stages == -1).all() and np.array_equal(night.stages, plain.stages) and again == findings
    assert load_night(tmp_path / "data", "1004", Options())[0] is None  # there is nothing to train on or to score
    used = {
        path.relative_to(ROOT).as_posix()
        for folder in ("pipeline", "scoring", "models", "export", "watch_sim", "evaluation", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"read_device_stages|pipeline\.device_stages import|['\"]device_stages", path.read_text())
    }
    assert used == {"pipeline/device_stages.py", "pipeline/importers/writing.py", "watch_sim/predict.py"}
    assert "device_stages" not in (ROOT / "train.py").read_text()
