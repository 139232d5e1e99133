"""Work in parallel: results, their order, and in how many processes it is done."""

import os
import signal
import threading
from contextlib import nullcontext

import pytest
from click.testing import CliRunner

from pipeline import workers as module
from pipeline.__main__ import main
from pipeline.workers import TENSORFLOW_THREADS, in_parallel, workers


def where(i):
    """Whence this is called: what it was given, process, thread, TensorFlow's threads."""
    return i, os.getpid(), threading.get_ident(), [os.environ.get(name) for name in TENSORFLOW_THREADS]


def nested(i):
    return [where(i), *in_parallel(where, [(j,) for j in range(3)])]


def interrupts_blocked(i):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def fail(i):
    raise ValueError(f"piece {i}")


HERE = os.getpid(), threading.get_ident()


def test_results_come_in_order_and_from_children():
    with workers(2):
        done = list(in_parallel(where, [(i,) for i in range(8)]))
    assert [i for i, *_ in done] == [*range(8)]
    assert os.getpid() not in {pid for _, pid, *_ in done}
    assert all(threads == ["1", "1"] for *_, threads in done)


def test_children_leave_interrupts_to_their_parent():
    with workers(2):
        assert list(in_parallel(interrupts_blocked, [(i,) for i in range(4)])) == [True] * 4
    assert not interrupts_blocked(0)


def test_unordered_results_are_all_there():
    with workers(2):
        assert sorted(i for i, *_ in in_parallel(where, [(i,) for i in range(8)], ordered=False)) == [*range(8)]


def test_work_within_a_child_stays_in_its_thread():
    """A fold reads its nights by the same function: children must not have children."""
    with workers(2):
        for group in in_parallel(nested, [(i,) for i in range(2)]):
            assert len({place[1:3] for place in group}) == 1


@pytest.mark.parametrize("cores, free, jobs", [(1, 64e9, 1), (8, 64e9, 8), (8, 3.5e9, 3), (8, 1e8, 1)])
def test_all_cores_as_far_as_memory_goes(cores, free, jobs, monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: cores)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: type("Memory", (), {"available": int(free)}))
    used = []
    monkeypatch.setattr(
        module, "parallel_config", lambda backend, n_jobs, **start: used.append(n_jobs) or nullcontext()
    )
    with workers():
        pass
    assert used == [jobs]


@pytest.mark.parametrize("jobs, worth_a_child", [(1, True), (2, False), (None, True)])
def test_no_child_for_one_job_or_little_work_or_without_workers(jobs, worth_a_child):
    before = os.environ.get(TENSORFLOW_THREADS[0])
    if jobs is None:
        done = list(in_parallel(where, [(1,), (2,)]))
    else:
        with workers(jobs):
            done = list(in_parallel(where, [(1,), (2,)], worth_a_child=worth_a_child))
    assert {place[1:3] for place in done} == {HERE}
    assert os.environ.get(TENSORFLOW_THREADS[0]) == before


def test_an_error_of_a_child_is_raised_here():
    with workers(2), pytest.raises(ValueError, match="piece 3"):
        list(in_parallel(fail, [(3,)]))


def test_no_more_processes_than_calls(monkeypatch):
    """joblib starts as many as it may: 1,000 for two nights."""
    asked = []
    monkeypatch.setattr(module, "Parallel", lambda jobs, **how: asked.append(jobs) or list)
    for jobs, calls in ((module.MOST_JOBS, 2), (2, 9)):
        with workers(jobs):
            in_parallel(where, [(i,) for i in range(calls)])
    assert asked == [2, 2]


def test_jobs_of_a_command(tmp_path, monkeypatch):
    """--jobs is what `workers` gets; none is a mistake."""
    used = []
    monkeypatch.setattr("pipeline.command_line.workers", lambda jobs, scheduler: used.append(jobs) or workers(1))
    arguments = ["synthesize", str(tmp_path / "nights"), "--subjects", "1", "--hours", "1", "--motion_hz", "0"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert CliRunner().invoke(main, [*arguments, "--jobs", "3"]).exit_code == 0
    assert used == [module.ALL_CORES, 3]
    for none in ("0", "1025", "999999999"):
        assert CliRunner().invoke(main, [*arguments, "--jobs", none]).exit_code == 2
