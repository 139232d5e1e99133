"""Bodies of the service's requests: pydantic checks them before anything is done with them; sizes are bounded."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from apps.python.sleep_stager import zone_of
from pipeline.constants import LEAD_S, LONGEST_NIGHT_S, PRECISIONS, STAGES, UNKNOWN
from watch_sim.service.night_files import clock_start

MOST_SAMPLES = 100 * LONGEST_NIGHT_S  # of one sensor in one body: a day at 100 Hz
MOST_WINDOWS = LONGEST_NIGHT_S  # a day at one a second
MOST_LIVE_SAMPLES = 100_000  # of all sensors in one body
FARTHEST_START_S = 1e11  # of a live session, before or after 1970

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Time = Annotated[Number, Field(ge=-LEAD_S, le=LONGEST_NIGHT_S)]  # s from the start of the recording
Probability = Annotated[Number, Field(ge=0, le=1)]
Probabilities = Annotated[list[Probability], Field(min_length=len(STAGES), max_length=len(STAGES))]
Vector = Annotated[list[Number], Field(min_length=3, max_length=3)]  # x, y, z in g
Windows = Annotated[list[list[Number]], Field(min_length=1, max_length=MOST_WINDOWS)]
Stage = Literal[(*STAGES, UNKNOWN)]
ShortText = Annotated[str, Field(max_length=40)]


class Body(BaseModel):
    """A JSON object without other fields than those named."""

    model_config = ConfigDict(extra="forbid")


class Samples(Body):
    """One sensor: t in s from the start, in order; a bin's is its end."""

    t: list[Time] = Field(max_length=MOST_SAMPLES)
    value: list[Number] = Field(max_length=MOST_SAMPLES)

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
    """Acceleration: value holds x, y and z in g of each t."""

    value: list[Vector] = Field(max_length=MOST_SAMPLES)


class Events(Body):
    """Samples by sensor: heart_rate in bpm, motion in g, steps and activity as counts."""

    heart_rate: Samples | None = None
    motion: Motion | None = None
    steps: Samples | None = None
    activity: Samples | None = None

    @model_validator(mode="after")
    def _check_content(self):
        if not any(samples and samples.t for _, samples in self):
            raise ValueError("holds no sample")
        return self


class Model(Body):
    """Which of the run's models is meant."""

    architecture: ShortText
    precision: Literal[PRECISIONS] = "int8"
    operating_point: ShortText | None = None


class Prediction(Model):
    """A night, either as events, aligned as the watch does, or as windows, [windows, values_per_window] by channel."""

    events: Events | None = None
    windows: Annotated[dict[str, Windows], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_either(self):
        if (self.events is None) == (self.windows is None):
            raise ValueError("give either events or windows")
        return self


class Opening(Model):
    """A live session. start: s, when its first window begins; counts: activity counts are fed, not raw motion."""

    start: Annotated[Number, Field(ge=-FARTHEST_START_S, le=FARTHEST_START_S)] = 0.0
    counts: bool = False


class Sample(Body):
    """A sample for a live session. t: s, on the same clock as the session's start."""

    sensor: Literal["heart_rate", "motion", "steps", "activity"]
    t: Number
    value: Number | Vector

    @model_validator(mode="after")
    def _check_value(self):
        if isinstance(self.value, list) != (self.sensor == "motion"):
            raise ValueError("value is [x, y, z] for motion and one number for any other sensor")
        return self


class Feed(Body):
    """Samples in order of time, and then what the clock shows, in s."""

    samples: list[Sample] = Field(default=[], max_length=MOST_LIVE_SAMPLES)
    now: Number | None = None


class Hypnogram(Body):
    """Stages, one per stride of the run's models; null where nothing is scored, Unknown where nothing was sensed."""

    stages: list[Stage | None] = Field(min_length=1, max_length=MOST_WINDOWS)


class Export(Body):
    """A night to export. start: local time in the zone. probabilities: null where the stage is unknown."""

    stages: list[Stage] = Field(min_length=1, max_length=MOST_WINDOWS)
    probabilities: list[Probabilities | None]
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    start: ShortText
    subject: Annotated[str, Field(max_length=80)] = ""
    model: Annotated[str, Field(max_length=80)] = ""

    @field_validator("probabilities")
    def _check_length(cls, probabilities, info: ValidationInfo):
        if len(probabilities) != len(info.data.get("stages", probabilities)):
            raise ValueError(f"{len(probabilities)} lines, but there are {len(info.data['stages'])} stages")
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
