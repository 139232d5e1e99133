"""cadence.json of a bundle: κ by how often heart rate comes and how much of it is lost, of the run's stress test.

The model card has the same for people; commands warn by it. A bundle whose run was not tested so has no such file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.degrade import CADENCE_S
from pipeline.errors import UserMistake
from pipeline.files import read_json, write_json

FILE = "cadence.json"
LOST = "heart rate lost"  # kind of the stresses that make holes


class Cell(BaseModel):
    """κ of five stages, pooled over nights, with heart rate every so many seconds."""

    model_config = ConfigDict(strict=True)

    seconds: int
    movement: str  # what was known of it: "motion", "counts only" or "none"
    kappa: float


class Lost(BaseModel):
    """κ of five stages, pooled over nights, with a share of the night's heart rate lost in holes."""

    model_config = ConfigDict(strict=True)

    share: float
    kappa: float


class Cadence(BaseModel):
    """What a stress test showed of rarer heart rate. Cells stand in the order of the cadence table."""

    cells: list[Cell] = []
    lost: list[Lost] = []

    @classmethod
    def of(cls, stressed: Mapping[str, Any]) -> "Cadence":
        """Of an entry of stress.json; {} has nothing."""
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
        """Of a bundle; of one without the file it has nothing.

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
        """Write it into a bundle; where there is nothing, take an earlier one away."""
        if self.cells or self.lost:
            write_json(Path(bundle) / FILE, self.model_dump())
        else:
            (Path(bundle) / FILE).unlink(missing_ok=True)
