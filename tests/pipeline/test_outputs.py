"""Which files a command may write."""

import pytest

from pipeline.errors import UserMistake
from pipeline.outputs import must_be_free


@pytest.fixture
def run(tmp_path):
    """A run to which its commands have added results, and a user others."""
    names = ["hparams.json", "splits.json", "parity.json", "parity_gru.png", "predictions/gru.int8.csv"]
    names += ["predictions/gru.int8_1001.png", "predictions/gru.int8_statistics.csv"]
    names += ["parity_checks/parity_1.json", "parity_checks/parity_1_gru.png", "scores/other.int8/mine.json"]
    names += ["mine.csv", "mine_1001.png", "mine_statistics.csv", "gru.json", "b.zip", "predictions/mine.csv"]
    names += ["predictions/mine_1001.png", "parity_checks/mine.json", "parity_checks/mine_gru.png"]
    names += ["scores/mine.json", "stress/mine.json", "mine.keras", "mined.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("name", [
    "mine.csv", "mine_1001.png", "mine_statistics.csv", "gru.json", "b.zip", "predictions/mine.csv", "new.csv",
    "predictions/mine_1001.png", "parity_checks/mine.json", "parity_checks/mine_gru.png", "scores/mine.json",
    "stress/mine.json",
])  # fmt: skip
def test_the_same_command_may_write_its_results_again(run, name):
    must_be_free("--out", run / name)


@pytest.mark.parametrize("name", [
    "hparams.json", "parity.json", "parity_gru.png", "predictions/gru.int8.csv", "predictions/gru.int8_1001.png",
    "predictions/gru.int8_statistics.csv", "parity_checks/parity_1.json", "parity_checks/parity_1_gru.png",
    "scores/other.int8/mine.json", "mine.keras", "mined.png",
])  # fmt: skip
def test_files_of_the_run_stay(run, name):
    with pytest.raises(UserMistake, match="belongs to"):
        must_be_free("--out", run / name)
