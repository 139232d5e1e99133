"""The compose file of a cluster: its commands are those of Dask and of the project, and all share their folders."""

from pathlib import Path

import click
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from pipeline.__main__ import main as pipeline

ROOT = Path(__file__).resolve().parents[1]
SERVICES = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text())["services"]
COMMANDS = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}


ADDRESS = "tcp://scheduler:8786"


def parse(command, arguments):
    """The parameters of a click command; click.NoSuchOption where it lacks one."""
    return command.make_context(command.name, [*arguments]).params


@pytest.mark.parametrize("name", COMMANDS)
def test_dask_has_the_commands_and_options(name):
    service = SERVICES[name]
    assert service["entrypoint"] == ["dask"]
    assert service["command"][0] == name
    parameters = parse(COMMANDS[name], service["command"][1:])
    if name == "worker":
        assert (parameters["scheduler"], parameters["nthreads"]) == (ADDRESS, 1)
    else:
        assert f"tcp://scheduler:{parameters['port']}" == ADDRESS
    with pytest.raises(click.NoSuchOption):
        parse(COMMANDS[name], [*service["command"][1:], "--no-such-option"])


def test_the_command_is_one_of_the_pipeline():
    service = SERVICES["command"]
    assert service["entrypoint"] == ["python"]
    flag, module, name, *arguments = service["command"]
    assert (flag, module) == ("-m", "pipeline")
    assert parse(pipeline.commands[name], arguments)["scheduler"] == ADDRESS


def test_all_have_the_same_image_and_folders():
    for service in SERVICES.values():
        assert [service[name] for name in ("image", "build", "volumes", "working_dir")] == [
            SERVICES["worker"][name] for name in ("image", "build", "volumes", "working_dir")
        ]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"WORKDIR {SERVICES['worker']['working_dir']}" in dockerfile
    assert 'ENTRYPOINT ["python"]' in dockerfile
