"""cadence.json of a bundle: κ by cadence of heart rate and by share of it lost, from the run's stress test.

The model card shows the same figures; commands use them to warn. A bundle without a stress test has no such file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.degrade import CADENCE_S
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json

FILE = "cadence.json"
LOST = "heart rate lost"  # kind of stress that removes heart rate in gaps


class Cell(BaseModel):
    """κ of five stages, pooled over nights, with a heart rate every `seconds`."""

    model_config = ConfigDict(strict=True)

    seconds: int
    movement: str  # movement data available: "motion", "counts only" or "none"
    kappa: float


class Lost(BaseModel):
    """κ of five stages, pooled over nights, with a share of the night's heart rate lost in gaps."""

    model_config = ConfigDict(strict=True)

    share: float
    kappa: float


class Cadence(BaseModel):
    """Results of a stress test with less frequent heart rate. Cells are in the order of the cadence table."""

    cells: list[Cell] = []
    lost: list[Lost] = []

    @classmethod
    def of(cls, stressed: Mapping[str, Any]) -> "Cadence":
        """From an entry of stress.json; empty for {}."""
        cells = [
            Cell(seconds=CADENCE_S[cell["heart_rate"]], movement=cell["movement"], kappa=cell["kappa"])
            for cell in stressed.get("cadence", ())
            if cell["kappa"] is not None
        ]
        lost = [
            Lost(share=row["strength"] / 100, kappa=row["views"]["5"]["kappa"])
            for row in stressed.get("stresses", ())
            if row.get("kind") == LOST and row["views"]["5"]["kappa"] is not None
        ]
        return cls(cells=cells, lost=lost)

    @classmethod
    def read(cls, bundle: Path) -> "Cadence":
        """From a bundle; empty if it has no such file.

        Raises:
            UserMistake: The file is damaged.
        """
        path = Path(bundle) / FILE
        try:
            return cls.model_validate(read_json(path)) if path.is_file() else cls()
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise UserMistake(f"{path}: {field}: {error.errors()[0]['msg']}") from None

    def write(self, bundle: Path) -> None:
        """Write cadence.json into a bundle; if empty, remove an earlier one."""
        if self.cells or self.lost:
            write_json(Path(bundle) / FILE, self.model_dump())
        else:
            (Path(bundle) / FILE).unlink(missing_ok=True)
