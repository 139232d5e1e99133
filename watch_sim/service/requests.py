"""What the service may be sent, checked by pydantic before anything is done with it; sizes are bounded."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.options import LEAD_S, LONGEST_NIGHT_S, PRECISIONS, STAGES
from watch_sim.exports import clock_start, zone_of

MOST_SAMPLES = 100 * LONGEST_NIGHT_S  # of one sensor in one body: a day at 100 Hz
MOST_WINDOWS = LONGEST_NIGHT_S  # a day at one a second

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Time = Annotated[Number, Field(ge=-LEAD_S, le=LONGEST_NIGHT_S)]  # s from the start of the recording
Probability = Annotated[Number, Field(ge=0, le=1)]
Vector = Annotated[list[Number], Field(min_length=3, max_length=3)]  # x, y, z in g
Windows = Annotated[list[list[Number]], Field(min_length=1, max_length=MOST_WINDOWS)]
Stage = Literal[STAGES]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Samples(Body):
    """One sensor: t in s from the start, in order; a bin's is its end."""

    t: list[Time] = Field(max_length=MOST_SAMPLES)
    value: list[Number] = Field(max_length=MOST_SAMPLES)

    @field_validator("t")
    def in_order(cls, t):
        back = next((i for i in range(1, len(t)) if t[i] < t[i - 1]), None)
        if back is not None:
            raise ValueError(f"entry {back}, {t[back]:g}, is earlier than the one before, {t[back - 1]:g}")
        return t

    @field_validator("value")
    def one_each(cls, value, known):
        if len(value) != len(known.data.get("t", value)):
            raise ValueError(f"{len(value)} entries, but t has {len(known.data['t'])}")
        return value


class Motion(Samples):
    value: list[Vector] = Field(max_length=MOST_SAMPLES)


class Events(Body):
    """Samples by sensor: heart_rate in bpm, motion in g, steps and activity as counts."""

    heart_rate: Samples | None = None
    motion: Motion | None = None
    steps: Samples | None = None
    activity: Samples | None = None

    @model_validator(mode="after")
    def some(self):
        if not any(samples and samples.t for _, samples in self):
            raise ValueError("holds no sample")
        return self


class Model(Body):
    """Which of the run's models is meant."""

    architecture: Annotated[str, Field(max_length=40)]
    precision: Literal[PRECISIONS] = "int8"
    operating_point: Annotated[str, Field(max_length=40)] | None = None


class Prediction(Model):
    """A night, either as events, aligned as the watch does, or as windows, [windows, values_per_window] by channel."""

    events: Events | None = None
    windows: Annotated[dict[str, Windows], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def either(self):
        if (self.events is None) == (self.windows is None):
            raise ValueError("give either events or windows")
        return self


class Opening(Model):
    """A live session. start: s, when its first window begins; counts: activity counts are fed, not raw motion."""

    start: Annotated[Number, Field(ge=-1e11, le=1e11)] = 0.0
    counts: bool = False


class Sample(Body):
    """What a live session is fed. t: s, on the same clock as the session's start."""

    sensor: Literal["heart_rate", "motion", "steps", "activity"]
    t: Number
    value: Number | Vector

    @model_validator(mode="after")
    def fit(self):
        if isinstance(self.value, list) != (self.sensor == "motion"):
            raise ValueError("value is [x, y, z] for motion and one number for any other sensor")
        return self


class Feed(Body):
    """Samples in order of time, and then what the clock says."""

    samples: list[Sample] = Field(default=[], max_length=100_000)
    now: Number | None = None


class Hypnogram(Body):
    """Stages, one per stride of the run's models; null where nothing is scored."""

    stages: list[Stage | None] = Field(min_length=1, max_length=MOST_WINDOWS)


class Export(Body):
    """A night to take home. start: local time in the zone."""

    stages: list[Stage] = Field(min_length=1, max_length=MOST_WINDOWS)
    probabilities: list[Annotated[list[Probability], Field(min_length=len(STAGES), max_length=len(STAGES))]]
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    start: Annotated[str, Field(max_length=40)]
    subject: Annotated[str, Field(max_length=80)] = ""
    model: Annotated[str, Field(max_length=80)] = ""

    @field_validator("probabilities")
    def as_many(cls, probabilities, known):
        if len(probabilities) != len(known.data.get("stages", probabilities)):
            raise ValueError(f"{len(probabilities)} lines, but there are {len(known.data['stages'])} stages")
        return probabilities

    @field_validator("zone")
    def there(cls, zone):
        zone_of(zone)
        return zone

    @field_validator("start")
    def told(cls, start, known):
        if "zone" in known.data:
            clock_start(start, zone_of(known.data["zone"]))
        return start

    def instant(self):
        """The start as an aware datetime."""
        return clock_start(self.start, zone_of(self.zone))
