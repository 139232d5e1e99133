"""Constants of sleep scoring and of this project, with their units."""

from dataclasses import dataclass
from pathlib import Path

ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"

STAGES = ("Wake", "N1", "N2", "N3", "REM")
STAGE_OF_CODE = {-1: -1, 0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4}  # sleep-accel code -> index in STAGES; -1 is unscored
EPOCH_S = 30  # s, a scored epoch (AASM)
MINUTE_S = 60  # s
HOUR_S = 3600  # s
COUNT_S = 15  # s that an activity count covers
GRACE_S = 0.1  # s; a bin that ends up to this long after a window still belongs to it
LEAD_S = 7200  # s, the longest stretch before t=0 that --negative_times keeps
LONGEST_NIGHT_S = 24 * 3600  # s; later samples are not part of the night
LEAST_OVERLAP_S = 1800  # s of scored epochs with heart rate or movement; a night with less is not used

ARCHITECTURES = ("lstm", "gru", "rnn", "transformer")
PROBABILITIES = "stage_probabilities"  # name of the output of models and files
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")


@dataclass(frozen=True)
class Channel:
    """One named input.

    Attributes:
        unit: Unit of the values.
        low: Lowest valid value.
        high: Highest valid value.
        missing: Impossible value, below `low`, that marks missing data.
        bins: True if a value is a sum over a bin, available at the bin's end; False if it is a sample.
    """

    unit: str
    low: float
    high: float
    missing: float
    bins: bool = False


CHANNELS = {
    "heart_rate": Channel("bpm", 20, 250, 0),
    "motion_x": Channel("g", -16, 16, -100),
    "motion_y": Channel("g", -16, 16, -100),
    "motion_z": Channel("g", -16, 16, -100),
    "motion_magnitude": Channel("g", 0, 28, -100),
    "steps": Channel("steps", 0, 10_000, -1, bins=True),
    "activity": Channel("activity count", 0, 100_000, -1, bins=True),
}
DEFAULT_CHANNELS = ("heart_rate", "activity")  # the ones that improve scores; raw motion enters as activity counts

UNKNOWN = "Unknown"  # given in place of a stage when there is too little data
COVERAGE_S = 600  # s over which a sensor's coverage is computed
ABSENT_S = 300  # s without heart rate and movement after which the stage is unknown
OFF_WRIST_S = 1800  # s without movement, and without heart rate after there was some: the watch is off the wrist
OFF_WRIST_BLIND_S = 7200  # the same, in s without movement, if there never was heart rate (people: at most 100 min)
