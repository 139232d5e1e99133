"""What the tests of importers share: the command, and what it wrote."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.__main__ import main


@pytest.fixture
def imported(tmp_path_factory):
    """Run the import of a source; gives the result, the folder, and a reader of what is in it."""

    places = tmp_path_factory.mktemp("imports")  # not within what is read

    def run(source, path, *options, ends_well=True):
        out = places / f"nights{len(list(places.iterdir()))}"
        result = CliRunner().invoke(main, ["import", source, str(path), str(out), *options])
        assert ends_well == (result.exit_code == 0), result.output + result.stderr
        assert out.exists() == ends_well

        def read(name):
            return np.loadtxt(out / name, delimiter=None if "motion" in name or "labels" in name else ",", ndmin=2)

        names = sorted(path.name.split("_heartrate")[0] for path in out.glob("heart_rate/*"))
        origin = json.loads((out / "origin.json").read_text()) if ends_well else None
        return SimpleNamespace(result=result, out=out, read=read, nights=names, output=result.output, origin=origin)

    return run
