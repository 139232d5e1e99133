"""What is sent to a cluster, without one: tests/cluster has real ones."""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import cluster
from pipeline.versions import versions_and_code

WORKER = SimpleNamespace(address="tcp://worker:1", state=SimpleNamespace(nthreads=1))
HERE = versions_and_code() | {"threads": 1}


@pytest.fixture(autouse=True)
def worker(monkeypatch):
    """This process as a worker."""
    monkeypatch.setattr(cluster, "get_worker", lambda: WORKER)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "2")


def test_paths_become_absolute_and_are_those_that_a_worker_must_see(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    piece = cluster._Piece(os.path.join, ([Path("there")], {"out": Path("new") / "fold"}))
    call, folders, here = piece.call
    assert pickle.loads(call) == (os.path.join, ([tmp_path / "there"], {"out": tmp_path / "new" / "fold"}))
    assert folders == [str(tmp_path), str(tmp_path / "there")]
    assert here == HERE


def test_a_piece_is_done_where_it_is_unpickled():
    assert pickle.loads(cluster.cloudpickle.dumps(cluster._Piece(pow, (2, 5)))) == 32
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "1"


def test_a_folder_that_a_worker_does_not_see_is_named(tmp_path):
    call = pickle.dumps((pow, (2, 5)))
    with pytest.raises(ImportError, match=f"worker tcp://worker:1: it does not see {tmp_path / 'gone'}"):
        cluster._call(call, [str(tmp_path), str(tmp_path / "gone")], HERE)


def test_a_worker_that_differs_does_nothing():
    call = pickle.dumps((pytest.fail, ("done",)))
    with pytest.raises(ImportError, match=r"worker tcp://worker:1: numpy \S+ \(here 0\.1\)$"):
        cluster._call(call, [], HERE | {"numpy": "0.1"})


def test_the_digest_of_the_code_changes_with_a_file(tmp_path, monkeypatch):
    import pipeline.versions as versions

    (tmp_path / "pipeline").mkdir()
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "pipeline" / "versions.py"))
    digests = set()
    for text in ("a", "b", "a"):
        (tmp_path / "pipeline" / "x.py").write_text(text)
        digests.add(versions.versions_and_code.__wrapped__()["code"])
    assert len(digests) == 2
