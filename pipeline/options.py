"""Everything that is configured, in one place: the field's constants with their units, and the options of a run."""

from dataclasses import asdict, dataclass
from math import lcm
from pathlib import Path

import click

ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"

STAGES = ("Wake", "N1", "N2", "N3", "REM")
STAGE_OF_CODE = {-1: -1, 0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4}  # sleep-accel code -> index in STAGES; -1 is unscored
EPOCH_S = 30  # a scored epoch
HOUR_S = 3600
COUNT_S = 15  # an activity count covers this long
GRACE_S = 0.1  # a bin that ends this little after a window still belongs to it
LEAD_S = 7200  # the most that --negative_times keeps before t=0
LONGEST_NIGHT_S = 24 * 3600  # what comes later is no part of a night
LEAST_OVERLAP_S = 1800  # of scored epochs and heart rate or movement, for a night to be used

ARCHITECTURES = ("lstm", "gru", "rnn", "transformer")
PROBABILITIES = "stage_probabilities"  # the output that is the answer, in models and files
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")


@dataclass(frozen=True)
class Channel:
    """One named input. `low`..`high` is the valid range, `missing` an impossible value for nothing sensed."""

    unit: str
    low: float
    high: float
    missing: float
    bins: bool = False  # a sum over a bin that is known at the bin's end, not a sample


CHANNELS = {
    "heart_rate": Channel("bpm", 20, 250, 0),
    "motion_x": Channel("g", -16, 16, -100),
    "motion_y": Channel("g", -16, 16, -100),
    "motion_z": Channel("g", -16, 16, -100),
    "motion_magnitude": Channel("g", 0, 28, -100),
    "steps": Channel("steps", 0, 10_000, -1, bins=True),
    "activity": Channel("activity count", 0, 100_000, -1, bins=True),
}


class UserMistake(click.ClickException):
    """Something the user can put right: shown as one line, exit code 2."""

    exit_code = 2


def one_of(what, values, known):
    """The values as a tuple, or UserMistake naming those that are not known."""
    unknown = [value for value in values if value not in known]
    if unknown or not values:
        raise UserMistake(f"{what}: {', '.join(unknown) or 'none given'}; choose from {', '.join(known)}")
    return tuple(values)


def _by_epochs(seconds):
    return EPOCH_S % seconds == 0 or seconds % EPOCH_S == 0


@dataclass(frozen=True)
class Options:
    """Options of a run. Times in seconds.

    Raises UserMistake where values do not fit each other, with values that would.
    """

    negative_times: bool = False
    data_alignment: int = 1
    motion_magnitude: bool = False
    window_size: int = 30
    stride: int = 30
    channels: tuple[str, ...] = ()  # empty: all that any training night has
    architectures: tuple[str, ...] = ARCHITECTURES
    batch_size: int = 10  # nights
    variants: int = 4  # of each training night
    hidden_dim: int = 48
    lr: float = 4e-3
    epochs: int = 60
    train_split: float = 0.9  # of the subjects
    seed: int = 0

    def __post_init__(self):
        for name in ("data_alignment", "window_size", "stride", "batch_size", "hidden_dim", "epochs"):
            if getattr(self, name) < 1:
                raise UserMistake(f"--{name} {getattr(self, name)}: must be at least 1")
        if self.variants < 0:
            raise UserMistake(f"--variants {self.variants}: must be at least 0")
        if not self.lr > 0:
            raise UserMistake(f"--lr {self.lr}: must be above 0")
        if not 0 < self.train_split < 1:
            raise UserMistake(f"--train_split {self.train_split}: must lie between 0 and 1, such as 0.9")
        if not 0 <= self.seed < 2**32:
            raise UserMistake(f"--seed {self.seed}: must lie between 0 and {2**32 - 1}")
        one_of("--architectures", self.architectures, ARCHITECTURES)
        if self.channels:
            one_of("--channels", self.channels, CHANNELS)
        self._check_times()

    def _check_times(self):
        times = {name: getattr(self, name) for name in ("data_alignment", "stride", "window_size")}
        counted = not self.channels or "activity" in self.channels
        unit = self._unit(self.data_alignment, counted)
        whole = f"of {unit} s with --data_alignment {self.data_alignment}"
        rules = {  # name -> (does a value do, in words)
            "data_alignment": (_by_epochs, f"it must divide the {EPOCH_S}-s epoch or be whole epochs"),
            "stride": (
                lambda s: _by_epochs(s) and s % unit == 0,
                f"it must divide the {EPOCH_S}-s epoch or be whole epochs, and a whole number {whole}",
            ),
            "window_size": (
                lambda s: s % unit == 0 and s >= self.stride,
                f"it must be a whole number {whole}, and not less than --stride {self.stride}",
            ),
        }
        for name, (does, words) in rules.items():
            if not does(times[name]):
                alone = [s for s in range(1, 3601) if does(s)]
                fits = [s for s in alone if self._fit(**times | {name: s}, counted=counted)] or alone
                near = sorted(sorted(fits, key=lambda s: abs(s - times[name]))[:3])
                raise UserMistake(f"--{name} {times[name]}: {words}, such as {', '.join(map(str, near))}")

    @staticmethod
    def _unit(row, counted):
        """Seconds that strides and windows must be whole numbers of: rows, and activity values where they count."""
        return lcm(row, max(COUNT_S, row)) if counted else row

    def _fit(self, data_alignment, stride, window_size, counted):
        unit = self._unit(data_alignment, counted)
        times = _by_epochs(data_alignment) and _by_epochs(stride) and not stride % unit
        return times and not window_size % unit and window_size >= stride

    def seconds(self, channel):
        """Seconds that one value of the channel covers."""
        return max(COUNT_S, self.data_alignment) if channel == "activity" else self.data_alignment

    def values(self, channel):
        """Values of the channel per window."""
        return self.window_size // self.seconds(channel)

    def newest(self, channel):
        """Values of the channel that are new in a window: those of the last stride."""
        return self.stride // self.seconds(channel)

    @property
    def alignment(self):
        """The options that decide what a window holds, as a plain dict."""
        names = ("negative_times", "data_alignment", "window_size", "stride")
        return {name: getattr(self, name) for name in names}

    def as_dict(self):
        """For JSON; `of` gives the options back."""
        return asdict(self)

    @classmethod
    def of(cls, saved):
        """Options of what `as_dict` gave, read back from JSON. Raises UserMistake for anything else."""
        try:
            return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()})
        except (TypeError, AttributeError) as error:
            raise UserMistake(f"these are no options of a run: {error}") from None
