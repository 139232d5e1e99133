"""A device's stages by epoch."""

import pytest

from pipeline.device_stages import read_device_stages
from pipeline.errors import UserMistake


def written(folder, text):
    (folder / "device_stages").mkdir()
    (folder / "device_stages" / "a.csv").write_text(text)
    return folder


def test_the_stage_in_the_middle_of_each_epoch(tmp_path):
    rows = "0,60,Wake,Awake\n60,104,Light,AsleepCore\n106,150,Deep,AsleepDeep\n"
    stages = read_device_stages(written(tmp_path, "start,end,stage,said\n" + rows), "a", 6)
    assert stages == ["Wake", "Wake", "Light", "", "Deep", ""]
    assert read_device_stages(tmp_path, "b", 6) is None


@pytest.mark.parametrize("text", ["", "start,stage\n0,Wake\n", "start,end,stage,said\n0,x,Wake,Awake\n"])
def test_a_damaged_file_is_named(tmp_path, text):
    with pytest.raises(UserMistake, match=r"a\.csv"):
        read_device_stages(written(tmp_path, text), "a", 6)
