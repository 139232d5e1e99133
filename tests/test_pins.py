"""Versions stand in requirements.txt and nowhere else, and nothing in the project names where packages come from."""

import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = (ROOT / "requirements.txt").read_text()
PINS = dict(re.findall(r"^([\w.\[\]-]+)==([\w.]+)$", REQUIREMENTS, re.MULTILINE))
HOSTS = (  # in two parts each, or this file would name them
    ("pypi", ".org"), ("pythonhosted", ".org"), ("anaconda", ".org"), ("anaconda", ".com"), ("npmjs", ".org"),
    ("npmjs", ".com"), ("yarnpkg", ".com"), ("docker", ".io"), ("docker", ".com"), ("quay", ".io"), ("ghcr", ".io"),
    ("gcr", ".io"), ("pkg", ".dev"), ("azurecr", ".io"), ("mcr.micro", "soft"), ("jfrog", ".io"), ("gem", "fury"),
    ("index", "-url"), ("extra-", "index"), ("trusted", "-host"), ("find", "-links"), ("PIP_", "INDEX"),
)  # fmt: skip


def test_what_is_installed_is_what_is_pinned():
    assert {name: importlib.metadata.version(name.split("[")[0]) for name in PINS} == PINS


def test_every_requirement_is_pinned():
    lines = [line for line in REQUIREMENTS.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) == len(PINS) > 15


def test_the_requested_packages_are_pinned():
    requested = {"tensorflow", "keras", "numpy", "pandas", "scikit-learn", "tf-keras-vis", "matplotlib", "pytest"}
    assert requested | {"click"} <= PINS.keys()


@pytest.mark.parametrize("name", ["pyproject.toml", "Makefile", "environment.yml", "Dockerfile"])
def test_every_way_of_installing_takes_the_pins_and_has_none_of_its_own(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")]
    assert any("requirements.txt" in line for line in lines)
    named = {
        package for package in PINS for line in lines if re.search(rf"(^|[\s\"'-]){re.escape(package)}\s*[=<>~!]", line)
    }
    assert not named - {"python"}


def test_everything_that_is_imported_is_pinned():
    """Packages, not modules: what each top-level module belongs to is looked up among those installed."""
    ours = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    distributions = importlib.metadata.packages_distributions()
    pinned = {re.sub(r"[-_.]+", "-", name.split("[")[0]).lower() for name in PINS}
    for path in [*ROOT.glob("*.py"), *(path for package in ours for path in ROOT.glob(f"{package}/**/*.py"))]:
        imported = re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(), re.MULTILINE)
        for module in {*imported} - ours - sys.stdlib_module_names:
            if module in distributions:
                names = {re.sub(r"[-_.]+", "-", name).lower() for name in distributions[module]}
                assert names & pinned, f"{path}: {module}"


def test_the_same_python_everywhere():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert version == "3.11"
    assert project["project"]["requires-python"] == ">=3.11,<3.12"
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert re.findall(r"python=([\d.]+)", (ROOT / "environment.yml").read_text()) == [version]
    assert re.findall(r"python:([\d.]+)", (ROOT / "Dockerfile").read_text()) == [version]
    assert re.findall(r"python([\d.]+)", (ROOT / "Makefile").read_text()) == [version]


def test_nothing_of_the_project_is_installed_into_site_packages():
    """Its top-level names, such as `models`, would shadow those of others; it is run from its checkout."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"] == []
    assert "py-modules" not in setuptools
    roots = {Path(importlib.import_module(path.parent.name).__file__).parents[1] for path in ROOT.glob("*/__init__.py")}
    assert roots == {ROOT}


def test_no_registry_is_named():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 30
    named = []
    for path in files:
        text = path.read_text(errors="replace").lower()
        named += [(path.name, a + b) for a, b in HOSTS if (a + b).lower() in text]
    assert named == []
