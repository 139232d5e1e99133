"""Types of the service's responses: for its OpenAPI description, and for tests that check every response."""

from typing import Literal

from pydantic import BaseModel, Field

from export.contract_parts import ChannelEntry, OperatingPoint, Seconds, Stage, TrainingData, UnknownRule
from pipeline.align import REASONS
from pipeline.constants import STAGES, UNKNOWN

StageName = Literal[(*STAGES, UNKNOWN)]
ScoredStage = Literal[STAGES]
Probabilities = dict[ScoredStage, float]


class Finding(BaseModel):
    """An error: the field of the request, with parts joined by dots, and what was expected."""

    field: str
    message: str


class Problem(BaseModel):
    """Every response other than 2xx."""

    detail: list[Finding]


class SensorCoverage(BaseModel):
    """share: share of the last ten minutes with a value; seconds_since: since the newest value, null if none."""

    share: float
    seconds_since: float | None


class Epoch(BaseModel):
    """time: start in s. probabilities: in the order of the stages; null if the stage is unknown."""

    time: float
    stage: StageName
    probabilities: list[float] | None
    coverage: dict[str, SensorCoverage]


class Staged(BaseModel):
    """epochs: in order; dropped: {sensor: {reason: samples}} for the night so far; findings: about the input."""

    epochs: list[Epoch]
    dropped: dict[str, dict[Literal[REASONS], int]]
    findings: list[str]


class Predicted(Staged):
    """Stages of a night and the model used; seconds: length of an epoch."""

    architecture: str
    precision: str
    operating_point: str | None
    seconds: int


class LiveStaged(Staged):
    """The epochs that the samples closed, and the token to continue the night with; seconds: length of an epoch."""

    token: str
    seconds: int


class PlainEpoch(BaseModel):
    """time: start in s; probabilities: null if the stage is unknown."""

    time: float
    stage: StageName
    probabilities: Probabilities | None


class PlainPredicted(BaseModel):
    """stage and probabilities: of the newest window; epochs: of all windows. missing: channels of the model that were
    not given; unused: lists that the model does not use; findings: possible mistakes in the input.
    """

    stage: StageName
    probabilities: Probabilities | None
    epochs: list[PlainEpoch]
    model_type: str
    precision: str
    seconds: int
    missing: list[str]
    unused: list[str]
    findings: list[str]


class SensorRange(BaseModel):
    """[low, high]; a value outside the range counts as missing."""

    range: list[float] = Field(min_length=2, max_length=2)


class Bundle(BaseModel):
    """A model: size in bytes by precision, and operating points."""

    architecture: str
    precisions: dict[str, int]
    operating_points: dict[str, OperatingPoint]


class Bundles(BaseModel):
    """The run's models: training data, channels, precisions, operating points, and the rule for unknown stages."""

    run: str
    training_data: TrainingData
    stages: list[Stage]
    seconds: Seconds
    channels: list[ChannelEntry]
    unknown: UnknownRule
    bundles: list[Bundle]
    sensors: dict[str, SensorRange]
    grace_seconds: float
    longest_night_seconds: int


class NightEntry(BaseModel):
    """part: how the run used the night; null: not at all."""

    id: str
    part: str | None
    sensors: list[str]
    labels: bool


class Nights(BaseModel):
    """The nights of the data set."""

    dataset_dir: str
    nights: list[NightEntry]


class NightWindows(BaseModel):
    """A night's aligned windows, by channel."""

    id: str
    part: str | None
    start: float
    ends: list[float]
    channels: dict[str, list[list[float]]]
    stages: list[ScoredStage | None]
    unknown: list[bool]
    coverage: list[dict[str, SensorCoverage]]
    findings: list[str]


class Statistic(BaseModel):
    """A sleep statistic; null if undefined, such as REM latency without REM."""

    name: str
    unit: str
    value: float | None


class Health(BaseModel):
    """Whether the service is alive or ready for requests."""

    status: Literal["ok", "stopping", "no bundle"]


class HealthKitSample(BaseModel):
    """A HKCategorySample; times in ISO 8601."""

    start: str
    end: str
    value: int


class HealthKit(BaseModel):
    """HKCategorySamples of sleep analysis."""

    type: str
    metadata: dict[str, str]
    samples: list[HealthKitSample]


class HealthConnectStage(BaseModel):
    """A SleepSessionRecord.Stage; times in ISO 8601."""

    startTime: str
    endTime: str
    stage: int


class HealthConnect(BaseModel):
    """A SleepSessionRecord."""

    recordType: str
    startTime: str
    startZoneOffset: str
    endTime: str
    endZoneOffset: str
    stages: list[HealthConnectStage]
