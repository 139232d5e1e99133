"""The options of a run, and the size of a window under them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import lcm
from typing import Any

from pipeline.constants import ARCHITECTURES, CHANNELS, COUNT_S, EPOCH_S
from pipeline.errors import UserMistake, one_of

LONGEST_SUGGESTION_S = 3600  # s; longer values are valid but not suggested
SUGGESTIONS = 3
DAY_S = 86_400
MOST_FOLDS = 1000
RANGES = {  # option -> (lowest, highest): beyond any useful value, and still within memory and all file formats
    "data_alignment": (1, DAY_S),
    "window_size": (1, DAY_S),
    "stride": (1, DAY_S),
    "batch_size": (1, 100_000),
    "hidden_dim": (1, 2048),
    "epochs": (1, 100_000),
    "variants": (0, 1000),
}


def _fits_epochs(seconds: int) -> bool:
    """Whether a time divides the epoch or is a multiple of it."""
    return EPOCH_S % seconds == 0 or seconds % EPOCH_S == 0


@dataclass(frozen=True)
class Options:
    """Options of a run, validated on creation.

    Attributes:
        negative_times: Whether to keep up to LEAD_S before t=0, unscored.
        data_alignment: Length of a row, s.
        motion_magnitude: Whether the magnitude of acceleration is a channel.
        window_size: Length of a window, s.
        stride: Time from one window to the next, s.
        channels: Input channels; empty for all that any training night has.
        architectures: Networks to train.
        batch_size: Nights per training step.
        variants: Varied copies of each training night.
        hidden_dim: Units of each network.
        lr: Highest learning rate.
        epochs: Training epochs.
        train_split: Share of the subjects that is not held out; 1 to train on all.
        inner_folds: Folds of the cross-validation within the training subjects that chooses operating points; 0 to
            choose them on the inner validation subjects.
        seed: Seed of the split, of the weights and of everything else that is random.
        unscaled: Whether to use batch_size, lr, epochs and variants as they are for any number of nights; otherwise
            pipeline.budget scales them beyond 31 nights.

    Raises:
        UserMistake: A value is out of range or does not fit the others; the message suggests values that do.
    """

    negative_times: bool = False
    data_alignment: int = 1
    motion_magnitude: bool = False
    window_size: int = 30
    stride: int = 30
    channels: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ARCHITECTURES
    batch_size: int = 10
    variants: int = 16
    hidden_dim: int = 48
    lr: float = 4e-3
    epochs: int = 90
    train_split: float = 0.9
    inner_folds: int = 3
    seed: int = 0
    unscaled: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if getattr(self, name) < least:
                raise UserMistake(f"--{name} {getattr(self, name)}: must be at least {least}")
            if getattr(self, name) > most:
                raise UserMistake(f"--{name} {getattr(self, name)}: must be at most {most}")
        if not 0 < self.lr < float("inf"):
            raise UserMistake(f"--lr {self.lr}: must be positive and finite")
        if not 0 < self.train_split <= 1:
            raise UserMistake(f"--train_split {self.train_split}: must be above 0 and at most 1, such as 0.9")
        if self.inner_folds < 0 or self.inner_folds == 1:
            raise UserMistake(f"--inner_folds {self.inner_folds}: must be 0 or at least 2")
        if self.inner_folds > MOST_FOLDS:
            raise UserMistake(f"--inner_folds {self.inner_folds}: must be at most {MOST_FOLDS}")
        if self.train_split == 1 and not self.inner_folds:
            raise UserMistake("--train_split 1: holds out no subject; --inner_folds must be at least 2")
        if not 0 <= self.seed < 2**32:
            raise UserMistake(f"--seed {self.seed}: must be between 0 and {2**32 - 1}")
        one_of("--architectures", self.architectures, ARCHITECTURES)
        if self.channels:
            one_of("--channels", self.channels, CHANNELS)
        self._check_times()

    def _check_times(self) -> None:
        """Raise UserMistake, suggesting values that fit, for the first time that does not fit the others."""
        times = {name: getattr(self, name) for name in ("data_alignment", "stride", "window_size")}
        counted = not self.channels or "activity" in self.channels
        unit = self._unit(self.data_alignment, counted)
        multiple = f"a multiple of {unit} s with --data_alignment {self.data_alignment}"
        rules: dict[str, tuple[Callable[[int], bool], str]] = {  # name -> (does a value fit, in words)
            "data_alignment": (_fits_epochs, f"must divide the {EPOCH_S}-s epoch or be a multiple of it"),
            "stride": (
                lambda s: _fits_epochs(s) and s % unit == 0,
                f"must divide the {EPOCH_S}-s epoch or be a multiple of it, and be {multiple}",
            ),
            "window_size": (
                lambda s: s % unit == 0 and s >= self.stride,
                f"must be {multiple}, and at least --stride {self.stride}",
            ),
        }
        for name, (fits, words) in rules.items():
            if not fits(times[name]):
                alone = [s for s in range(1, LONGEST_SUGGESTION_S + 1) if fits(s)]
                together = [s for s in alone if self._fit_each_other(**times | {name: s}, counted=counted)]
                nearest = sorted(together or alone, key=lambda s: abs(s - times[name]))[:SUGGESTIONS]
                suggestions = ", ".join(map(str, sorted(nearest)))
                raise UserMistake(f"--{name} {times[name]}: {words}, such as {suggestions}")

    @staticmethod
    def _unit(row: int, counted: bool) -> int:
        """Seconds that strides and windows must be multiples of: a row's, and an activity value's if it is counted."""
        return lcm(row, max(COUNT_S, row)) if counted else row

    def _fit_each_other(self, data_alignment: int, stride: int, window_size: int, counted: bool) -> bool:
        unit = self._unit(data_alignment, counted)
        strides_fit = _fits_epochs(data_alignment) and _fits_epochs(stride) and not stride % unit
        return strides_fit and not window_size % unit and window_size >= stride

    def seconds_per_value(self, channel: str) -> int:
        """Seconds that one value of a channel covers."""
        return max(COUNT_S, self.data_alignment) if channel == "activity" else self.data_alignment

    def values_per_window(self, channel: str) -> int:
        """Number of values of a channel in a window."""
        return self.window_size // self.seconds_per_value(channel)

    def values_per_stride(self, channel: str) -> int:
        """Number of values of a channel that are new in a window: those of its last stride."""
        return self.stride // self.seconds_per_value(channel)

    @property
    def alignment(self) -> dict[str, int]:
        """The options that determine the content of windows."""
        names = ("negative_times", "data_alignment", "window_size", "stride")
        return {name: getattr(self, name) for name in names}

    def as_dict(self) -> dict[str, Any]:
        """The options as a dict for JSON, which `of` reads."""
        return asdict(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "Options":
        """The options in a dict from `as_dict`, read from JSON.

        Raises:
            UserMistake: The dict has other fields, or values that do not fit each other.
        """
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise UserMistake(f"not the options of a run: {error}") from None
