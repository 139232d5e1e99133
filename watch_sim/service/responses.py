"""What the service answers, typed: for its description, and for the tests that hold every answer against it."""

from typing import Literal

from pydantic import BaseModel, Field

from export.contract_parts import ChannelEntry, OperatingPoint, Seconds, Stage, TrainingData, UnknownRule
from pipeline.align import REASONS
from pipeline.constants import STAGES, UNKNOWN

StageName = Literal[(*STAGES, UNKNOWN)]
ScoredStage = Literal[STAGES]
Probabilities = dict[ScoredStage, float]


class Finding(BaseModel):
    """What is wrong: with which field of the request, its parts joined by dots, and what was expected."""

    field: str
    message: str


class Problem(BaseModel):
    """Every answer that is not 2xx."""

    detail: list[Finding]


class SensorCoverage(BaseModel):
    """share: of the last ten minutes with a value; seconds_since: from the newest value, null if there was none."""

    share: float
    seconds_since: float | None


class Epoch(BaseModel):
    """time: s, when it begins. probabilities: in the order of the stages, null where the stage is unknown."""

    time: float
    stage: StageName
    probabilities: list[float] | None
    coverage: dict[str, SensorCoverage]


class Staged(BaseModel):
    """epochs, in order; dropped: {sensor: {reason: samples}} of the night so far; findings: about the input."""

    epochs: list[Epoch]
    dropped: dict[str, dict[Literal[REASONS], int]]
    findings: list[str]


class Predicted(Staged):
    """Stages of a night, by which model; seconds: of an epoch."""

    architecture: str
    precision: str
    operating_point: str | None
    seconds: int


class LiveStaged(Staged):
    """The epochs that the samples closed, and the token with which the night goes on; seconds: of an epoch."""

    token: str
    seconds: int


class PlainEpoch(BaseModel):
    """time: s, when it begins; probabilities: null where the stage is unknown."""

    time: float
    stage: StageName
    probabilities: Probabilities | None


class PlainPredicted(BaseModel):
    """stage and probabilities of the newest window, and the epochs of all. missing: channels of the model that were not
    given; unused: lists that the model does not take; findings: what seems wrong with the input.
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
    """[low, high]; a value outside counts as not sensed."""

    range: list[float] = Field(min_length=2, max_length=2)


class Bundle(BaseModel):
    """A model: the bytes of the files of each precision, and its operating points."""

    architecture: str
    precisions: dict[str, int]
    operating_points: dict[str, OperatingPoint]


class Bundles(BaseModel):
    """The run's models: what they were trained on and take, precisions, operating points, the unknown rule."""

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
    """part: what the run used the night for; null: it never saw it."""

    id: str
    part: str | None
    sensors: list[str]
    labels: bool


class Nights(BaseModel):
    """The nights of the data set."""

    dataset_dir: str
    nights: list[NightEntry]


class NightWindows(BaseModel):
    """A night's windows as the aligner gives them, channel by channel."""

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
    """One of the sleep statistics; null where there is none, as REM latency."""

    name: str
    unit: str
    value: float | None


class Health(BaseModel):
    """Whether the service lives, or takes requests."""

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
