"""Commands that are killed (-9) at random writes, and gone on with, end with what an uninterrupted one writes.

By default 10 kills: KILLS=50 for more, SEED for other moments.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.synthetic import synthesize
from tests.conftest import ENVIRONMENT, ROOT

pytestmark = pytest.mark.faults
KILLS, SEED = int(os.environ.get("KILLS", 10)), int(os.environ.get("SEED", 0))
OPTIONS = ["--architectures", "rnn", "--epochs", "3", "--hidden_dim", "8", "--variants", "0", "--inner_folds", "0"]
OPTIONS += ["--train_split", "0.5"]
# words in names of what no two runs share
OWN = {"latency", "ms", "us", "seconds", "begun", "folder", "files", "digest"}


def killed_at(moment, folder, *command):
    """Run a command, killed at a write below a folder; with 0 to its end."""
    call = [sys.executable, ROOT / "tests" / "faults" / "killed.py", moment, folder, *command]
    return subprocess.run([*map(str, call)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def to_its_end(folder, *command):
    """Run a command to its end; returns how many writes it took. Hardly trained networks may fail a gate."""
    done = killed_at(0, folder, *command)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    return int(done.stderr.splitlines()[-1])


def killed_and_gone_on(draw, kills, writes, folder, first, then):
    """Kill `first`, and then `then`, at random writes, so that the kills are spread over all of the work.

    Returns how many kills there were: fewer, where the command has ended before.
    """
    command, done = first, 0
    for _ in range(kills):
        ended = killed_at(draw.randint(1, max(1, 2 * writes // kills)), folder, *command)
        if ended.returncode != -signal.SIGKILL:
            assert ended.returncode in (0, 1) and "Traceback" not in ended.stderr, ended.stderr
            break
        done += 1
        command = then(folder)
    to_its_end(folder, *then(folder)) if done == kills else None
    return done


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not OWN & {*k.split("_")}}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def content(path):
    """What of a file is the same in every run: the weights of a saved model, figures but for times."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.weights.h5")  # the rest tells when it was saved, and numbers layers
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()))
    if path.suffix == ".md" or path.name == "models.png":  # they tell latencies, too
        return None
    return path.read_bytes()


def contents(folder):
    return {path.relative_to(folder).as_posix(): content(path) for path in folder.rglob("*") if path.is_file()}


def assert_same(one, two):
    one, two = contents(one), contents(two)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills") / "data"
    synthesize(folder, subjects=4, hours=0.7, motion_hz=0)
    return folder


@pytest.fixture(scope="module")
def whole(data):
    """A run that nobody interrupts, and its writes."""
    run = data.with_name("whole")
    return run, to_its_end(run, "train.py", "--dataset_dir", data, *OPTIONS, "--out", run)


@pytest.fixture(scope="module")
def killed(data, whole):
    """A run that is prepared and trained, killed all the while."""
    run, draw = data.with_name("killed"), random.Random(SEED)
    prepare = ["-m", "models", "prepare", data, *OPTIONS, "--out"]
    writes = to_its_end(data.with_name("prepared"), *prepare, data.with_name("prepared"))
    prepare = [*prepare, run]
    train = ["train.py", "--dataset_dir", data, *OPTIONS, "--out", run]
    resume = ["train.py", "--resume", "--out", run]
    for_prepare = max(1, KILLS // 5)
    assert killed_and_gone_on(draw, for_prepare, writes, run, prepare, lambda _: prepare) > 0
    then = lambda run: resume if (run / "hparams.json").exists() else train  # noqa: E731
    assert killed_and_gone_on(draw, KILLS - 2 * for_prepare, whole[1], run, resume, then) > 0
    return run


def test_a_killed_training_ends_with_the_same_files_and_no_other(whole, killed):
    assert_same(whole[0], killed)
    assert not [*killed.rglob(".*")]


def test_a_killed_export_ends_with_the_same_files_and_no_other(whole, killed):
    out = Path(whole[0]).with_name("bundles")
    before = contents(killed)
    writes = to_its_end(out, "-m", "export", whole[0], "--out", out / "whole")
    export = ["-m", "export", killed, "--out", out / "killed"]
    assert killed_and_gone_on(random.Random(SEED + 1), max(1, KILLS // 5), writes, out, export, lambda _: export) > 0
    assert_same(out / "whole", out / "killed")
    assert contents(killed) == before and not [*out.rglob(".*"), *killed.rglob(".*")]


FOLDS = ["--folds", "2", "--jobs", "1"]


def test_a_killed_evaluation_ends_with_the_same_files_and_no_other(data):
    """Of two data sets, one left out after the other."""
    other = data.with_name("other")
    synthesize(other, subjects=3, hours=0.7, motion_hz=0, seed=1)
    whole, killed = data.with_name("evaluation"), data.with_name("killed_evaluation")
    for sets, protocol in ((data, FOLDS), (f"{data},{other}", ["--protocol", "sets", "--jobs", "1"])):
        evaluate = ["-m", "evaluation", "run", "--dataset_dir", sets, *OPTIONS, *protocol]
        writes = to_its_end(whole, *evaluate, "--out", whole)

        def go_on(out, evaluate=evaluate):
            return [*evaluate, "--out", out, *(["--resume"] if (out / "protocol.json").exists() else [])]

        kills = max(1, KILLS // 5)
        draw = random.Random(SEED + 2)
        assert killed_and_gone_on(draw, kills, writes, killed, go_on(killed), go_on) > 0
        assert_same(whole, killed)
        assert not [*killed.rglob(".*")]
        shutil.rmtree(whole), shutil.rmtree(killed)
