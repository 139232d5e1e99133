"""The parts of the contract that hold values: from the format, the run's options, and the training data."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from export.calls import Number, Part, Size
from pipeline.align import CHANNELS_OF_SENSOR
from pipeline.constants import (
    ABSENT_S,
    CHANNELS,
    COVERAGE_S,
    OFF_WRIST_BLIND_S,
    OFF_WRIST_S,
    STAGES,
)
from pipeline.guard import FIRST_S, GRAVITY_G, LEAST_SAMPLES, STANDARD_GRAVITY
from pipeline.options import Options
from pipeline.origin import Origin

CHANNEL_NAMES = tuple(CHANNELS)
HEALTHKIT = {"Wake": 2, "N1": 3, "N2": 3, "N3": 4, "REM": 5}  # HKCategoryValueSleepAnalysis
HEALTH_CONNECT = {"Wake": 1, "N1": 4, "N2": 4, "N3": 5, "REM": 6}  # SleepSessionRecord.STAGE_TYPE_*
STAGE_CODES = [(stage, HEALTHKIT[stage], HEALTH_CONNECT[stage]) for stage in STAGES]


class Tolerance(Part):
    """How far a runtime's probabilities may differ from the full model's over the golden night."""

    p99_abs_dp: float = Field(ge=0)
    max_abs_dp: float | None = Field(None, ge=0)
    same_stage: float = Field(ge=0, le=1)
    tie: float | None = Field(None, ge=0)


class Stage(Part):
    """A stage and its codes in HealthKit and Health Connect."""

    name: Literal[STAGES]  # type: ignore[valid-type]
    healthkit: int
    health_connect: int


class UnknownRule(Part):
    """When no stage is given; see HOW["unknown"]. Times in seconds."""

    stage: Literal["Unknown"] = "Unknown"
    absent_seconds: Size = ABSENT_S
    off_wrist_seconds: Size = OFF_WRIST_S
    off_wrist_blind_seconds: Size = OFF_WRIST_BLIND_S
    coverage_seconds: Size = COVERAGE_S


class InputGuardRule(Part):
    """How the units of samples are checked; see HOW["input_guard"]."""

    first_seconds: Size = FIRST_S
    least_samples: Size = LEAST_SAMPLES
    gravity_g: list[Number] = Field(default_factory=lambda: list(GRAVITY_G), min_length=2, max_length=2)
    standard_gravity: Number = STANDARD_GRAVITY


class Seconds(Part):
    """Length of a row, a window and a stride."""

    row: Size
    window: Size
    stride: Size


class ChannelEntry(Part):
    """How to fill one channel of a window."""

    name: Literal[CHANNEL_NAMES]  # type: ignore[valid-type]
    unit: str
    values_per_window: Size
    seconds_per_value: Size
    range: list[Number] = Field(min_length=2, max_length=2)
    missing: Number
    value: Literal["mean", "sum"]

    @classmethod
    def of(cls, name: str, options: Options) -> "ChannelEntry":
        """The entry of a channel under a run's options."""
        channel = CHANNELS[name]
        return cls(
            name=name,
            unit=channel.unit,
            values_per_window=options.values_per_window(name),
            seconds_per_value=options.seconds_per_value(name),
            range=[channel.low, channel.high],
            missing=channel.missing,
            value="sum" if channel.bins else "mean",
        )


class OperatingPoint(Part):
    """Weights on the probabilities, in the order of the stages."""

    weights: list[Annotated[float, Field(gt=0)]] = Field(min_length=len(STAGES), max_length=len(STAGES))


class SensorEntry(Part):
    """The valid range of a sensor's samples, and the channels that it fills, in the order of its values."""

    range: list[Number] = Field(min_length=2, max_length=2)
    value: Literal["mean", "sum"]
    channels: list[Literal[CHANNEL_NAMES]]  # type: ignore[valid-type]

    @classmethod
    def all(cls) -> dict[str, "SensorEntry"]:
        """{sensor: its entry} for every sensor of the format."""
        entries = {}
        for sensor, names in CHANNELS_OF_SENSOR.items():
            channel = CHANNELS[names[0]]
            value: Literal["mean", "sum"] = "sum" if channel.bins else "mean"
            entries[sensor] = cls(range=[channel.low, channel.high], value=value, channels=list(names))
        return entries


class TrainingData(Part):
    """Origin of the nights that a model was trained on; texts are empty if it is not stated.

    nights: number of nights used for training or selection; nights only scored do not count.
    """

    name: str = "unknown"
    version: str = ""
    licence: str = ""
    attribution: str = ""
    simulated: bool = False
    nights: int = Field(default=0, ge=0)

    @classmethod
    def of(cls, origin: Origin, splits: Mapping[str, Sequence[str]]) -> "TrainingData":
        """From the origin of a run's data set and its split of the subjects."""
        nights = len(splits["train"]) + len(splits.get("inner_validation", ()))
        mark = {name: value for name, value in origin.as_dict().items() if name in cls.model_fields}
        return cls(**mark, nights=nights)
