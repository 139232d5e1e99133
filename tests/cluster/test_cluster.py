"""Commands on the workers of a Dask scheduler: the same bytes as on one machine, whatever is killed meanwhile.

Commands run in this process, which so imports TensorFlow but once; scheduler and workers are processes of their own.
Tests that kill without TensorFlow come first: a new worker has to import it anew.
"""

import fcntl
import os
import shutil
import signal
import threading
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.__main__ import main as pipeline_main
from pipeline.errors import UserMistake
from pipeline.nights import cache_path, load_nights, read_night, stored_night
from pipeline.options import Options
from pipeline.recordings import subjects
from pipeline.synthetic import synthesize
from pipeline.workers import TENSORFLOW_THREADS, in_parallel, workers
from tests.cluster.pieces import (
    always_killed,
    killed_once,
    night_killed_once,
    seconds_undisturbed,
    seen,
    shard_killed_once,
)
from tests.pipeline.importers.test_research_sets import slpdb_with_traps

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
QUICK = "--architectures", "rnn", "--epochs", 8, "--hidden_dim", 8, "--variants", 0, "--folds", 2, "--inner_folds", 0


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "nights"
    synthesize(folder, subjects=6, hours=0.8, motion_hz=0)
    return folder


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Work of one job sets these here."""
    for name in TENSORFLOW_THREADS:
        monkeypatch.setenv(name, "1")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """Nights are read anew, also where tests ran before."""
    monkeypatch.setattr("pipeline.nights.CACHE", tmp_path_factory.mktemp("cache"))


def command(main, *arguments, ends_well=True):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert ends_well == (done.exit_code == 0), (done.exception, done.output)
    return done


def contents(folder):
    """{path: bytes}; of a Keras file its weights, as it has the time of day in it."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            files[name] = (
                zipfile.ZipFile(path).read("model.weights.h5") if path.suffix == ".keras" else path.read_bytes()
            )
    return files


def test_check_finds_the_same_and_so_does_an_import(nights, two_workers, tmp_path):
    where = ("--jobs", 1), ("--scheduler", two_workers)
    local, done = (command(pipeline_main, "check", nights, *options).stdout for options in where)
    assert done == local
    assert done.splitlines()[-1].startswith("6 usable nights")
    root = slpdb_with_traps(tmp_path / "set")
    outs = tmp_path / "local" / "out", tmp_path / "cluster" / "out"
    local, done = (
        command(pipeline_main, "import", "slpdb", root, out, *options).stdout.replace(str(out), "OUT")
        for out, options in zip(outs, where, strict=True)
    )
    assert done == local
    assert contents(outs[0]) == contents(outs[1])
    assert len(contents(outs[1])) == 10  # heart rate and labels of four nights, origin, wearers
    assert [path.name for path in outs[1].parent.iterdir()] == ["out"]


def test_results_are_in_order_though_a_worker_is_killed(two_workers, tmp_path):
    with workers(scheduler=two_workers):
        assert list(in_parallel(killed_once, [(tmp_path / "mark", i) for i in range(20)])) == [*range(20)]
        done = in_parallel(killed_once, [(tmp_path / "another", i) for i in range(20)], ordered=False)
        assert sorted(done) == [*range(20)]
    assert (tmp_path / "mark").exists() and (tmp_path / "another").exists()


def test_a_night_of_a_worker_killed_while_writing_it_is_whole(nights, two_workers, tmp_path):
    cache, mark = tmp_path / "cache", tmp_path / "mark"
    cache.mkdir()
    with workers(scheduler=two_workers):
        named = {subject: cache_path(nights, subject, Options()).name for subject in subjects(nights)}
        work = [(mark, nights, subject, Options(), True, cache / name) for subject, name in named.items()]
        done = list(in_parallel(night_killed_once, work))
    assert mark.exists()
    expected, _ = load_nights(nights, Options())
    assert [night.subject for night, _ in done] == [night.subject for night in expected]
    for night, _ in done:
        again, _ = stored_night(nights, night.subject, Options(), True, tmp_path / "local" / named[night.subject])
        assert night.channels.path.read_bytes() == again.channels.path.read_bytes()
        assert read_night(night.channels.path)[0] is not None


def test_work_that_kills_every_worker_is_given_up(two_workers):
    with workers(scheduler=two_workers), pytest.raises(UserMistake, match="several workers died"):
        list(in_parallel(always_killed, [(1,)]))


def test_a_folder_that_a_worker_does_not_see_is_named(two_workers, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    path = Path(f"/proc/self/fd/{fcntl.fcntl(descriptor, fcntl.F_DUPFD, 900)}")  # of this process alone
    try:
        with workers(scheduler=two_workers), pytest.raises(UserMistake, match=f"it does not see {path}; folders must"):
            list(in_parallel(seen, [(path,)]))
    finally:
        os.close(descriptor)
        os.close(int(path.name))


def test_dask_does_not_disturb_what_keras_draws_its_seeds_from(two_workers):
    with workers(scheduler=two_workers):
        assert list(in_parallel(seconds_undisturbed, [(1.2,), (1.2,)])) == [1.2, 1.2]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_cannot_be_reached(address, nights, mistake, monkeypatch):
    monkeypatch.setattr("pipeline.cluster.TIMEOUT_S", 1)
    line = mistake(command(pipeline_main, "check", nights, "--scheduler", address, ends_well=False))
    assert f"--scheduler {address}: no Dask scheduler answers there" in line


def test_workers_of_other_versions_code_or_threads_and_without_code_are_named(
    nights, further_workers, scheduler, mistake, tmp_path
):
    other, nowhere = tmp_path / "checkout", tmp_path / "nowhere"
    nowhere.mkdir()
    for name in ("apps/python", "pipeline"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "pipeline" / "errors.py").open("a") as file:
        file.write("# changed\n")
    metadata = tmp_path / "packages" / "numpy-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    changed = ("--nthreads", 2), {"cwd": other, "PYTHONPATH": str(tmp_path / "packages")}
    with further_workers(changed, (("--nthreads", 1), {"cwd": nowhere})):
        line = mistake(command(pipeline_main, "check", nights, "--scheduler", scheduler, ends_well=False))
    assert "numpy 0.1 (here" in line
    assert "code " in line
    assert "threads 2 (here 1)" in line
    assert f"code none in its folder {nowhere}; start it in a checkout" in line


def test_features_of_a_worker_killed_in_a_shard_are_as_on_one_machine(nights, two_workers, monkeypatch, tmp_path):
    from models import shards
    from models.__main__ import main

    monkeypatch.setattr(shards, "NIGHTS_AT_ONCE", 2)  # so that there are shards enough to be worth a child
    local, out = tmp_path / "local" / "run", tmp_path / "cluster" / "run"
    asked = "prepare", nights, "--architectures", "rnn", "--variants", 5
    command(main, *asked, "--out", local, "--jobs", 1)
    monkeypatch.setattr(shards, "write_shard", shard_killed_once)
    command(main, *asked, "--out", out, "--scheduler", two_workers)
    assert (tmp_path / "cluster" / "shard_killed").exists()
    written = contents(out)
    assert written == contents(local)
    assert "scaler.json" in written
    assert sum(name.endswith(".tfrecord") for name in written) > shards.WORTH_A_CHILD


def test_an_evaluation_with_a_worker_killed_in_a_fold_is_as_on_one_machine(
    nights, two_workers, pids, monkeypatch, tmp_path
):
    from evaluation.__main__ import main

    monkeypatch.setattr("evaluation.report.draw", lambda *_: {})  # plots take most of a report's time
    out = tmp_path / "out"
    asked = "run", "--dataset_dir", nights, *QUICK, "--out", out
    command(main, *asked, "--jobs", 1)
    out.rename(tmp_path / "local")
    killed, ended = [], threading.Event()

    def kill():
        """Kill one worker when a fold has a training epoch behind it."""
        while not (begun := [*out.glob("folds/*/partial/rnn/epoch_*.keras")]) and not ended.is_set():
            time.sleep(0.02)
        if begun:
            killed.append(pids()[0])
            os.kill(killed[0], signal.SIGKILL)
            killed.extend(out.glob("folds/*/held_out/*"))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        command(main, *asked, "--scheduler", two_workers)
    finally:
        ended.set()
        killer.join()
    assert len(killed) == 1, "no worker was killed, or when a fold was complete"
    assert killed[0] not in pids()
    assert contents(out) == contents(tmp_path / "local")
