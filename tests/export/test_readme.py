"""README.md of a bundle and the schema of its contract."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.python import sleep_stager
from export.contract import Contract
from export.contract_parts import UnknownRule
from export.readme import files, page_values, write_readme
from pipeline.align import REASONS
from pipeline.constants import ARCHITECTURES

LIBRARY = Path(sleep_stager.__file__).parent
every = pytest.mark.parametrize("architecture", ARCHITECTURES)
gru = pytest.mark.parametrize("architecture", ["gru"])


@pytest.fixture
def bundle(quick_run, architecture, tmp_path):
    """A copy of a bundle."""
    return Path(shutil.copytree(quick_run.folder / "bundles" / architecture, tmp_path / architecture))


@every
def test_nothing_is_left_to_fill_in(bundle):
    page = (bundle / "README.md").read_text()
    assert not re.search(r"\{\{|\{%|\{#|%\}", page)
    assert "\n\n\n" not in page


@every
def test_the_page_runs_a_night_and_the_golden_night(bundle):
    first, second = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    assert len(first.splitlines()) <= 12
    for code in (first, second):
        (bundle / "example.py").write_text(code)
        environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
        command = [sys.executable, "-W", "ignore", "example.py"]
        done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert re.search(r"99 % of differences below [\d.e-]+\nsame stage (1|0\.9)", done.stdout)


@gru
def test_the_page_names_every_file_of_the_bundle(bundle):
    named = set(re.findall(r"^\| (`.*?) \|", (bundle / "README.md").read_text(), re.M))
    named = {name for cell in named for name in re.findall(r"`(.*?)`", cell)}
    plots = {path.name for path in bundle.glob("*.png")}
    assert {path.name for path in bundle.iterdir()} - {"README.md"} - plots <= named
    assert {name for key in files(Contract.read(bundle)) for name in key.split(", ")} <= named


@gru
def test_the_page_names_a_library_for_each_platform(bundle):
    page = (bundle / "README.md").read_text()
    for language, platform in (("kotlin", "android"), ("swift", "ios"), ("javascript", "web"), ("micro", "micro")):
        assert re.search(rf"\| `apps/{language}`.* \| `{platform}` \|", page)


@gru
def test_the_page_says_of_raw_motion_and_operating_points_what_the_contract_has(bundle):
    with_all = (bundle / "README.md").read_text()
    assert "Activity counts are computed from it automatically." in with_all
    assert "| `rem` | " in with_all
    document = Contract.read(bundle).document() | {"preprocessing": {}, "operating_points": {}}
    write_readme(bundle, Contract.model_validate(document))
    without = (bundle / "README.md").read_text()
    assert "Activity counts are computed from it automatically." not in without
    assert "Operating points" not in without
    assert "\n\n\n\n" not in without


@gru
def test_the_page_has_the_rule_for_unknown_stages_and_every_reason(bundle):
    rule = UnknownRule(absent_seconds=420, off_wrist_seconds=3000)
    write_readme(bundle, Contract.read(bundle).model_copy(update={"unknown": rule}))
    page = (bundle / "README.md").read_text()
    assert "absent for 7 minutes" in page and "moved for 50 minutes" in page
    assert all(f"`{reason}`" in page for reason in REASONS)
    assert all(f"**`{name}`**" in page for name in ("Unknown", "coverage", "dropped", "findings"))


@gru
def test_the_page_says_what_the_model_was_trained_on(bundle):
    assert "**SIMULATED NIGHTS.**" in (bundle / "README.md").read_text()
    contract = Contract.read(bundle)
    for data, text in (
        ({"name": "sleep-accel", "version": "1.0.0", "licence": "ODC-By", "attribution": "Walch O.", "nights": 22},
         "Trained on 22 nights of sleep-accel 1.0.0. ODC-By. Walch O."),
        ({"nights": 3}, "Trained on 3 nights of unknown origin."),
    ):  # fmt: skip
        write_readme(bundle, Contract.model_validate(contract.document() | {"training_data": data}))
        page = (bundle / "README.md").read_text()
        assert text in page and "SIMULATED" not in page
        assert "no physical device has run it yet" in page


@gru
def test_the_recommended_precision_is_shown_where_there_is_one(bundle):
    contract = Contract.read(bundle)
    only = {"float32": contract.precisions["float32"]}
    assert page_values(contract.model_copy(update={"precisions": only}))["precision"] == "float32"
    both = {"float32": only["float32"], "int8": only["float32"]}
    assert page_values(contract.model_copy(update={"precisions": both}))["precision"] == "int8"


@gru
def test_the_schema_is_that_of_the_contract(bundle):
    schema = json.loads((bundle / "contract.schema.json").read_text())
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract.keys() <= schema["properties"].keys()
    assert {"architecture", "stages", "seconds", "channels", "precisions"} <= {*schema["required"]} <= contract.keys()
    tensor = contract["precisions"]["float32"]["calls"][0]["inputs"][0]
    assert (
        tensor.keys() <= schema["$defs"]["Tensor"]["properties"].keys()
    )  # "from", not the name that Python has for it
