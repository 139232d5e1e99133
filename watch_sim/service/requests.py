"""Bodies of the service's requests, with bounded sizes; pydantic checks them before use.

Checking a list stops at its first invalid value, so that a long invalid list costs no more than a short one.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from apps.python.sleep_stager import zone_of
from pipeline.constants import ARCHITECTURES, CHANNELS, LEAD_S, LONGEST_NIGHT_S, PRECISIONS, STAGES, UNKNOWN
from watch_sim.service.night_files import clock_start
from watch_sim.service.tokens import MOST_CHARACTERS

MOST_SAMPLES = 100 * LONGEST_NIGHT_S  # per sensor and body: a day at 100 Hz
MOST_WINDOWS = LONGEST_NIGHT_S  # a day at one per second
MOST_LIVE_SAMPLES = 20_000  # of all sensors in one body
FARTHEST_START_S = 1e11  # start of a live night, before or after 1970

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Time = Annotated[Number, Field(ge=-LEAD_S, le=LONGEST_NIGHT_S)]  # s from the start of the recording
Probability = Annotated[Number, Field(ge=0, le=1)]
Probabilities = Annotated[list[Probability], Field(min_length=len(STAGES), max_length=len(STAGES), fail_fast=True)]
Vector = Annotated[list[Number], Field(min_length=3, max_length=3, fail_fast=True)]  # x, y, z in g
Row = Annotated[list[Number], Field(max_length=LONGEST_NIGHT_S, fail_fast=True)]
Windows = Annotated[list[Row], Field(min_length=1, max_length=MOST_WINDOWS, fail_fast=True)]
Stage = Literal[(*STAGES, UNKNOWN)]
Channel = Literal[tuple(CHANNELS)]
ShortText = Annotated[str, Field(max_length=40)]
PlainList = Annotated[list[Number], Field(max_length=LONGEST_NIGHT_S, fail_fast=True)] | None


class Body(BaseModel):
    """A JSON object that allows only the named fields."""

    model_config = ConfigDict(extra="forbid")


class Samples(Body):
    """Samples of one sensor. t: s from the start, in order; for a bin, its end."""

    t: list[Time] = Field(max_length=MOST_SAMPLES, fail_fast=True)
    value: list[Number] = Field(max_length=MOST_SAMPLES, fail_fast=True)

    @field_validator("t")
    def _check_order(cls, t):
        back = next((i for i in range(1, len(t)) if t[i] < t[i - 1]), None)
        if back is not None:
            raise ValueError(f"entry {back}, {t[back]:g}, is earlier than the one before, {t[back - 1]:g}")
        return t

    @field_validator("value")
    def _check_length(cls, value, info: ValidationInfo):
        if len(value) != len(info.data.get("t", value)):
            raise ValueError(f"{len(value)} entries, but t has {len(info.data['t'])}")
        return value


class Motion(Samples):
    """Acceleration. value: [x, y, z] in g for each t."""

    value: list[Vector] = Field(max_length=MOST_SAMPLES, fail_fast=True)


class Events(Body):
    """Samples by sensor: heart_rate in bpm, motion in g, steps and activity as counts."""

    heart_rate: Samples | None = None
    motion: Motion | None = None
    steps: Samples | None = None
    activity: Samples | None = None

    @model_validator(mode="after")
    def _check_content(self):
        if not any(samples and samples.t for _, samples in self):
            raise ValueError("no samples")
        return self


class Model(Body):
    """One of the run's models."""

    architecture: ShortText
    precision: Literal[PRECISIONS] = "int8"
    operating_point: ShortText | None = None


class Prediction(Model):
    """A night, as events to be aligned as on the watch, or as windows: [windows, values_per_window] by channel."""

    events: Events | None = None
    windows: Annotated[dict[Channel, Windows], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_either(self):
        if (self.events is None) == (self.windows is None):
            raise ValueError("give either events or windows")
        return self


class PlainNight(Body):
    """Rows of one night by channel, oldest first, with the same whole number of windows in every list. A sensor whose
    list is empty, null or left out is missing. heart_rate in bpm and motion in g, one value per row; activity, one
    count per 15 s.
    """

    model_type: ShortText
    heart_rate: PlainList = None
    motion_x: PlainList = None
    motion_y: PlainList = None
    motion_z: PlainList = None
    motion_magnitude: PlainList = None
    steps: PlainList = None
    activity: PlainList = None
    precision: Literal[PRECISIONS] | None = None
    operating_point: ShortText | None = None

    @field_validator("model_type")
    def _check_name(cls, name):
        if name.lower() not in ARCHITECTURES:
            raise ValueError(f"{name!r} is not a model; choose from {', '.join(ARCHITECTURES)}")
        return name


class Opening(Model):
    """Opens a night with a model. start: start of its first window in s; counts: whether activity counts are fed
    instead of raw motion.
    """

    start: Annotated[Number, Field(ge=-FARTHEST_START_S, le=FARTHEST_START_S)] = 0.0
    counts: bool = Field(False, strict=True)


class Sample(Body):
    """A live sample. t: s on the same clock as the night's start."""

    sensor: Literal["heart_rate", "motion", "steps", "activity"]
    t: Number
    value: Number | Vector

    @model_validator(mode="after")
    def _check_value(self):
        if isinstance(self.value, list) != (self.sensor == "motion"):
            raise ValueError("expected [x, y, z] for motion, or one number for any other sensor")
        return self


class LiveStep(Body):
    """A step of a night: samples in order of time. now: the clock's time in s after them. Give either the token of the
    last answer, or open to begin a night.
    """

    token: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = None
    open: Opening | None = None
    samples: list[Sample] = Field(default=[], max_length=MOST_LIVE_SAMPLES, fail_fast=True)
    now: Number | None = None

    @model_validator(mode="after")
    def _check_either(self):
        if (self.token is None) == (self.open is None):
            raise ValueError("give either open, to begin a night, or the token of the last answer")
        return self


class LiveMessage(Body):
    """A message of the WebSocket: like LiveStep, but only the first message needs open or token."""

    token: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = None
    open: Opening | None = None
    samples: list[Sample] = Field(default=[], max_length=MOST_LIVE_SAMPLES, fail_fast=True)
    now: Number | None = None


class Hypnogram(Body):
    """Stages, one per stride of the run's models; null if not scored, Unknown if too little was sensed."""

    stages: list[Stage | None] = Field(min_length=1, max_length=MOST_WINDOWS, fail_fast=True)


class Export(Body):
    """A night to export. start: local time in the zone. probabilities: null if the stage is unknown."""

    stages: list[Stage] = Field(min_length=1, max_length=MOST_WINDOWS, fail_fast=True)
    probabilities: list[Probabilities | None] = Field(max_length=MOST_WINDOWS, fail_fast=True)
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    start: ShortText
    subject: Annotated[str, Field(max_length=80)] = ""
    model: Annotated[str, Field(max_length=80)] = ""

    @field_validator("probabilities")
    def _check_length(cls, probabilities, info: ValidationInfo):
        if len(probabilities) != len(info.data.get("stages", probabilities)):
            raise ValueError(f"{len(probabilities)} entries, but there are {len(info.data['stages'])} stages")
        for i, (stage, p) in enumerate(zip(info.data.get("stages", ()), probabilities, strict=False)):
            if p is None and stage != UNKNOWN:
                raise ValueError(f"entry {i} is null, but its stage is {stage}")
        return probabilities

    @field_validator("zone")
    def _check_zone(cls, zone):
        zone_of(zone)
        return zone

    @field_validator("start")
    def _check_start(cls, start, info: ValidationInfo):
        if "zone" in info.data:
            clock_start(start, zone_of(info.data["zone"]))
        return start

    def instant(self) -> datetime:
        """The start as an aware datetime."""
        return clock_start(self.start, zone_of(self.zone))
