"""Commands on the workers of a Dask scheduler: the same bytes as on one machine, whatever is killed meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import UserMistake
from pipeline.nights import load_nights, read_night, stored_night
from pipeline.options import Options
from pipeline.recordings import subjects
from pipeline.synthetic import synthesize
from pipeline.workers import in_parallel, workers
from tests.cluster.pieces import always_killed, killed_once, night_killed_once, seconds_undisturbed

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
QUICK = "--architectures", "rnn", "--epochs", 12, "--hidden_dim", 8, "--variants", 0, "--folds", 2, "--inner_folds", 2


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "nights"
    synthesize(folder, subjects=6, hours=1.2, motion_hz=0)
    return folder


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


def evaluation(nights, out, *arguments):
    command = [sys.executable, "-m", "evaluation", "run", "--dataset_dir", nights, *QUICK, *arguments, "--out", out]
    return subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_evaluation_with_a_worker_killed_in_a_fold_is_as_on_one_machine(nights, two_workers, pids, tmp_path):
    out = tmp_path / "out"
    local = evaluation(nights, out, "--jobs", 1)
    assert local.wait() == 0, local.communicate()
    out.rename(tmp_path / "local")
    running = evaluation(nights, out, "--scheduler", two_workers)
    while not (begun := [*out.glob("folds/*/partial/rnn/epoch_*.keras")]):
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    before = pids()
    os.kill(before[0], signal.SIGKILL)
    assert not list(begun[0].parents[2].glob("held_out/*"))
    _, stderr = running.communicate()
    assert running.returncode == 0, stderr
    assert before[0] not in pids()
    assert contents(out) == contents(tmp_path / "local")


def test_a_night_of_a_worker_killed_while_writing_it_is_whole(nights, two_workers, tmp_path):
    cache, mark = tmp_path / "cache", tmp_path / "mark"
    cache.mkdir()
    with workers(scheduler=two_workers):
        work = [(mark, nights, subject, Options(), True, cache) for subject in subjects(nights)]
        done = list(in_parallel(night_killed_once, work))
    assert mark.exists()
    expected, _ = load_nights(nights, Options())
    assert [night.subject for night, _ in done] == [night.subject for night in expected]
    for night, _ in done:
        again, _ = stored_night(nights, night.subject, Options(), True, tmp_path / "local")
        assert night.channels.path.read_bytes() == again.channels.path.read_bytes()
        assert read_night(night.channels.path)[0] is not None


def test_results_are_in_order_though_a_worker_is_killed(two_workers, tmp_path):
    with workers(scheduler=two_workers):
        assert list(in_parallel(killed_once, [(tmp_path / "mark", i) for i in range(20)])) == [*range(20)]
        done = in_parallel(killed_once, [(tmp_path / "another", i) for i in range(20)], ordered=False)
        assert sorted(done) == [*range(20)]


def test_work_that_kills_every_worker_is_given_up(two_workers):
    with workers(scheduler=two_workers), pytest.raises(UserMistake, match="workers died, one after another"):
        list(in_parallel(always_killed, [(1,)]))


def test_dask_does_not_disturb_what_keras_draws_its_seeds_from(two_workers):
    with workers(scheduler=two_workers):
        assert list(in_parallel(seconds_undisturbed, [(2,), (2,)])) == [2, 2]


def test_check_finds_the_same(nights, two_workers, run_python):
    local = run_python("-m", "pipeline", "check", nights, "--jobs", 1)
    done = run_python("-m", "pipeline", "check", nights, "--scheduler", two_workers)
    assert done.returncode == 0, done.stderr
    assert done.stdout == local.stdout
    assert done.stdout.splitlines()[-1].startswith("6 usable nights")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_cannot_be_reached(address, nights, run_python, mistake):
    line = mistake(run_python("-m", "pipeline", "check", nights, "--scheduler", address))
    assert f"--scheduler {address}: no Dask scheduler answers there" in line


def test_a_worker_of_other_versions_code_or_threads_is_named(
    nights, another_worker, scheduler, run_python, mistake, tmp_path
):
    other = tmp_path / "checkout"
    for name in ("apps/python", "pipeline"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "pipeline" / "errors.py").open("a") as file:
        file.write("# changed\n")
    metadata = tmp_path / "packages" / "numpy-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    with another_worker("--nthreads", 2, cwd=other, PYTHONPATH=str(tmp_path / "packages")):
        line = mistake(run_python("-m", "pipeline", "check", nights, "--scheduler", scheduler))
    assert "numpy 0.1 (here" in line
    assert "code " in line
    assert "threads 2 (here 1)" in line


def test_a_worker_without_the_code_is_named(nights, another_worker, scheduler, run_python, mistake, tmp_path):
    with another_worker("--nthreads", 1, cwd=tmp_path):
        line = mistake(run_python("-m", "pipeline", "check", nights, "--scheduler", scheduler))
    assert f"code none in its folder {tmp_path}; start it in a checkout" in line
