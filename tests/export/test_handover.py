"""python -m export RUN --for PLATFORM: what an app ships, and what is said of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.python.sleep_stager import SIMULATED, SleepStager
from export import handover
from export.__main__ import main
from export.archive import write_zip
from export.cadence import Cadence, Cell
from export.contract import Contract
from export.handover import PLATFORMS, accuracy, hand_over
from export.tflite import embedded_contract
from pipeline.constants import STAGES
from pipeline.files import write_json
from pipeline.run_folder import RunFolder
from tests.apps.vectors import FOLDER
from tests.conftest import ROOT

BUNDLES = FOLDER / "bundles"
FILES = {"contract.json", "activity.tflite", "sensing.tflite", "gru.int8.tflite"}


def command(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def five(accuracy, kappa):
    return {"5": {"accuracy": accuracy, "kappa": kappa}}


@pytest.fixture
def bundle(tmp_path):
    """A bundle with a report and a card."""
    folder = Path(shutil.copytree(BUNDLES / "motion", tmp_path / "gru"))
    figures = {"int8": {"figures": {"views": five(0.6789, 0.5432)}}, "float32": {"figures": None, "why_none": "lost"}}
    write_json(folder / "report.json", {"precisions": figures, "held_out": {"nights": ["1", "2"]}})
    (folder / "MODEL_CARD.md").write_text("# Model card\n\nFor tests.\n\n## Plots\n\n![a](a.png)\n")
    (folder / "golden.json").write_text("{}")
    return folder


def test_python_ships_three_files_the_contract_and_the_library(bundle, tmp_path, run_python):
    done = command(bundle, "--for", "python", "--out", tmp_path / "app")
    assert done.exit_code == 0, done.output
    assert names(tmp_path / "app") == FILES | {"sleep_stager.py", "pyproject.toml", "README.md", "SHA256SUMS"}
    lines = done.stdout.splitlines()
    assert lines[0] == "precision int8 (recommended)"
    assert lines[1] == "accuracy 0.679, κ 0.543 (five stages, streamed by the simulator, 2 held-out nights)"
    size = sum(path.stat().st_size for path in (tmp_path / "app").glob("*.tflite"))
    assert lines[2:] == [f"size {size / 1000:.1f} KB in 3 .tflite files", str(tmp_path / "app")]
    code = (
        "from sleep_stager import *; s = SleepStager('.'); s.feed('motion', 1, [0, 0, 1]); print(s.take(30)[0].stage)"
    )
    assert run_python("-c", code, cwd=tmp_path / "app").stdout == "Unknown\n"


def test_the_contract_has_one_precision_and_is_not_in_the_files_too(bundle, tmp_path):
    folder, lines = hand_over(bundle, "python", "float32", out=tmp_path / "app")
    assert lines[:2] == ["precision float32", "accuracy not measured: lost"]
    contract = Contract.read(folder)
    assert [*contract.precisions] == ["float32"] and "activity" in contract.preprocessing
    assert not any(embedded_contract(folder / name) for name in contract.files())
    before = SleepStager(BUNDLES / "motion", "float32")
    window = {"motion_magnitude": [1.0] * 30, "activity": [0, 7]}
    assert SleepStager(folder, "float32").step(window).tolist() == before.step(window).tolist()


@pytest.mark.parametrize("platform", [name for name, p in PLATFORMS.items() if p.library and not p.arrays])
def test_a_library_goes_beside_the_models(bundle, tmp_path, platform, monkeypatch):
    entry = PLATFORMS[platform]
    library = tmp_path / "apps" / entry.library
    for name in ("src/code.txt", "README.md", "build/x", ".gradle/x", "node_modules/x/y", "__init__.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(name)
    monkeypatch.setattr(handover, "LIBRARIES", tmp_path / "apps")
    folder, _ = hand_over(bundle, platform, out=tmp_path / "app")
    assert names(folder) == {f"{entry.models}/{name}".lstrip("/") for name in FILES} | {
        "src/code.txt", "README.md", "SHA256SUMS"
    }  # fmt: skip


def test_a_library_that_is_not_there(bundle, tmp_path, monkeypatch, mistake):
    monkeypatch.setattr(handover, "LIBRARIES", tmp_path / "apps")
    line = mistake(command(bundle, "--for", "ios", "--out", tmp_path / "app"))
    assert f"{tmp_path / 'apps' / 'swift'}: missing from this checkout" in line
    assert not (tmp_path / "app").exists() and not list(tmp_path.glob(".*"))


def test_micro_ships_arrays(bundle, tmp_path, monkeypatch):
    (tmp_path / "apps" / "micro").mkdir(parents=True)
    (tmp_path / "apps" / "micro" / "sleep_stager.hpp").write_text("")
    calls = []

    def write_micro(folder, contract, precision, source):
        (folder / "model_data.cc").write_text("")
        calls.append((contract.architecture, precision, source))

    monkeypatch.setattr(handover, "LIBRARIES", tmp_path / "apps")
    monkeypatch.setattr(handover, "micro_writer", lambda: write_micro)
    folder, lines = hand_over(bundle, "micro", out=tmp_path / "app")
    assert names(folder) == {"model_data.cc", "sleep_stager.hpp", "SHA256SUMS"}
    assert calls == [("gru", "int8", bundle)] and len(lines) == 2


def test_a_folder_for_microcontrollers_has_one_precision(tmp_path, mistake):
    folder, _ = hand_over(BUNDLES / "counts", "micro", "int8", out=tmp_path / "app")
    assert command("verify", folder, "--precisions", "int8").exit_code == 0
    line = mistake(command("verify", folder, "--precisions", "int8,float32"))
    assert f"{folder}: precision: float32; choose from int8" in line


def test_any_is_a_small_bundle_of_its_own(bundle, tmp_path):
    cadence = Cadence(cells=[Cell(seconds=5, movement="none", kappa=0.5)])
    cadence.write(bundle)
    folder, _ = hand_over(bundle, "any", out=tmp_path / "app")
    assert Cadence.read(folder) == cadence
    (folder / "cadence.json").unlink()
    assert names(folder) == FILES | {"README.md", "MODEL_CARD.md", "contract.schema.json", "labels.txt"}
    assert (folder / "MODEL_CARD.md").read_text() == "# Model card\n\nFor tests.\n"
    assert "golden.json" not in (folder / "README.md").read_text()
    assert (folder / "labels.txt").read_text().split() == [*STAGES]
    again, lines = hand_over(folder, "python", out=tmp_path / "again")
    assert lines[1] == f"accuracy see {folder / 'MODEL_CARD.md'}"
    assert Contract.read(again).precisions.keys() == {"int8"}


def test_the_small_bundle_passes_verify(tmp_path, mistake):
    folder, _ = hand_over(ROOT / "bundles" / "gru-int8", "any", out=tmp_path / "app")
    done = command("verify", folder)
    assert (done.exit_code, done.stdout) == (0, "complete and unaltered; it has no golden night to replay\n")
    assert "float16; choose from int8" in mistake(command("verify", folder, "--precisions", "float16"))


@pytest.mark.parametrize("platform", ["android", "micro"])
def test_what_an_app_ships_passes_verify_whole_and_not_otherwise(bundle, tmp_path, platform, mistake):
    folder, _ = hand_over(bundle, platform, out=tmp_path / "app")
    assert command("verify", folder).exit_code == 0
    for name in sorted(names(folder)):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert name in mistake(command("verify", folder)) or name == "SHA256SUMS"
        (folder / name).unlink()
        assert name in mistake(command("verify", folder)) or name == "SHA256SUMS"
        (folder / name).write_bytes(whole)
    (folder / "more.txt").write_text("")
    assert "more.txt: not listed in SHA256SUMS" in mistake(command("verify", folder))
    (folder / "more.txt").unlink()
    (folder / "more").symlink_to(tmp_path)
    assert "more: not listed in SHA256SUMS" in mistake(command("verify", folder))
    (folder / "more").unlink()
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(lines[::-1]))
    assert "SHA256SUMS: not as Wristsleep writes it" in mistake(command("verify", folder))


def test_a_zip_will_do(bundle, tmp_path):
    folder, lines = hand_over(write_zip(bundle), "python", out=tmp_path / "app")
    assert names(folder) >= FILES
    assert lines[1].startswith("accuracy 0.679")


def test_simulated_nights_are_said(tmp_path):
    _, lines = hand_over(BUNDLES / "all", "python", out=tmp_path / "app")
    assert lines[-1] == f"warning: {SIMULATED}"
    assert lines[1] == "accuracy not measured: the bundle has no report.json with figures"


def test_an_earlier_hand_over_is_replaced_but_nothing_else(tmp_path, monkeypatch, mistake):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        folder, _ = hand_over(BUNDLES / "counts", "python")
        assert folder == Path("handover/gru-int8-python")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    done = command(BUNDLES / "counts", "--for", "python", "--out", tmp_path / "mine")
    assert "exists and is not empty" in mistake(done)
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--for", "windows"], "--for: windows; choose from android, ios, web, python, micro, any"),
        (["--for", "python", "--precision", "float16"], "precision: float16; choose from int8, float32"),
        (["--for", "python", "--precisions", "int8,float32"], "--precisions int8,float32: --for takes only one"),
        (["--for", "python", "--architectures", "gru,lstm"], "--architectures gru,lstm: --for takes only one"),
    ],
)
def test_mistakes_are_one_clear_line(bundle, tmp_path, options, message, mistake):
    assert message in mistake(command(bundle, *options, "--out", tmp_path / "app"))
    assert not (tmp_path / "app").exists()


def a_run(folder, trained_on):
    """A run folder with a bundle and an evaluation; trained_on: whether no subject was held out."""
    shutil.copytree(BUNDLES / "motion", folder / "bundles" / "gru")
    write_json(folder / "hparams.json", {"options": {}, "dataset_dir": "/nowhere", "channels": ["activity"]})
    write_json(
        folder / "splits.json", {"train": ["1"], "inner_validation": [], "validation": [] if trained_on else ["2"]}
    )
    result = {
        "architecture": "gru",
        "precision": "float32",
        "operating_point": "default",
        "subjects": {"1": {}, "2": {}},
    }
    write_json(folder / "evaluation.json", {"results": [result | {"scored": {"all": five(0.66, 0.5)}}]})
    return RunFolder(folder)


@pytest.mark.parametrize(("trained_on", "where"), [(True, "inner cross-validation"), (False, "held out")])
def test_without_figures_of_the_files_those_of_the_full_model_are_named_as_such(tmp_path, trained_on, where):
    run = a_run(tmp_path / "run", trained_on)
    text = accuracy(tmp_path / "run" / "bundles" / "gru", run, "gru", "int8")
    assert text == f"0.660, κ 0.500 (five stages, full model, 2 nights, {where})"


def test_a_run_has_its_hand_overs_in_its_folder(tmp_path):
    a_run(tmp_path / "run", True)
    folder, lines = hand_over(tmp_path / "run", "python")
    assert folder == tmp_path / "run" / "handover" / "gru-int8-python"
    assert "κ 0.500" in lines[1]


def test_tensorflow_is_not_needed(bundle, tmp_path):
    code = "import sys\nfor name in ('tensorflow', 'keras', 'ai_edge_quantizer'): sys.modules[name] = None\n"
    code += (
        f"from export.__main__ import main\nmain({[str(bundle), '--for', 'python', '--out', str(tmp_path / 'x')]!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "x" / "contract.json").read_text())["architecture"] == "gru"
