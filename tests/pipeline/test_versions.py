"""Versions that a run writes down."""

import subprocess

import numpy as np

from pipeline import versions
from pipeline.versions import commit, package_versions


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_package_versions_are_those_installed():
    assert package_versions()["numpy"] == np.__version__
    assert package_versions()["python"].startswith("3.11.")
    assert package_versions().keys() == {*versions.PACKAGES, "python"}


def test_commit_is_that_of_the_checkout_with_a_plus_for_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "pipeline.py"))
    assert commit() is None  # no checkout
    (tmp_path / "a").write_text("1")
    git(tmp_path, "init")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    assert commit() == head
    (tmp_path / "a").write_text("2")
    assert commit() == head + "+"
    monkeypatch.setenv("PATH", "")
    assert commit() is None  # no git
