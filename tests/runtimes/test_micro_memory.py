"""What a model takes of a microcontroller, in bytes of TensorFlow Lite Micro's own allocator, is within its budgets."""

import pytest
from click.testing import CliRunner
from places import VENVS, absent

from benchmarks.micro import BUDGETS, main, memory, met
from export.arenas import measured_arenas
from export.cost import cost_of
from export.report import PUBLISHED
from pipeline.constants import ARCHITECTURES

pytestmark = pytest.mark.runtimes


@pytest.fixture(autouse=True)
def installed():
    if not (VENVS["TFLite Micro"] / "ready").exists():
        absent(f"no {VENVS['TFLite Micro']}")


def test_gru_int8_keeps_to_its_budgets(bundles):
    figures = memory(bundles / "gru", "int8")
    kept = met(figures)
    assert kept.keys() == BUDGETS.keys()
    assert all(kept.values()), figures
    assert figures["ram"] > figures["ram_32_bit"] > 20_000
    assert figures["ram_kept"] > figures["ram"]
    assert figures["ram_kept_32_bit"] > figures["ram_32_bit"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tensors_take_what_was_planned(bundles, architecture):
    """`export.cost.arena` plans as TensorFlow Lite Micro does, give or take a kernel's own buffers."""
    paths = [*(bundles / architecture).glob("*.int8.tflite"), bundles / architecture / "sensing.tflite"]
    for name, arena in measured_arenas(paths).items():
        planned = cost_of((bundles / architecture / name).read_bytes())["arena_bytes"]
        assert planned <= arena["tensors"] <= planned + 200, name
        assert arena["tensors"] + arena["kept"] == arena["bytes"]


def test_a_file_that_does_not_run_there(bundles):
    (arena,) = measured_arenas([bundles / "gru" / "gru.float16.tflite"]).values()
    assert arena["error"]


def test_the_command(bundles):
    done = CliRunner().invoke(main, [str(bundles.parent)])
    assert done.exit_code == 0, done.output
    assert "MISSED" not in done.output
    assert f"{PUBLISHED['name']}: 50.0 of arena" in done.output
    done = CliRunner().invoke(main, [str(bundles.parent), "--precision", "float16"])
    assert done.exit_code == 2
    assert "gru.float16.tflite: does not run in TensorFlow Lite Micro" in done.output
