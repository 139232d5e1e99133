"""The options of a run, and what a window is made of under them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import lcm
from typing import Any

from pipeline.constants import ARCHITECTURES, CHANNELS, COUNT_S, EPOCH_S
from pipeline.errors import UserMistake, one_of

LONGEST_SUGGESTION_S = 3600  # s; values beyond are valid but not suggested
SUGGESTIONS = 3
DAY_S = 86_400
MOST_FOLDS = 1000
RANGES = {  # option -> (least, most): far more than is of use, and yet fits memory and every file format
    "data_alignment": (1, DAY_S),
    "window_size": (1, DAY_S),
    "stride": (1, DAY_S),
    "batch_size": (1, 100_000),
    "hidden_dim": (1, 2048),
    "epochs": (1, 100_000),
    "variants": (0, 1000),
}


def _fits_epochs(seconds: int) -> bool:
    """Whether a time divides the epoch or is whole epochs."""
    return EPOCH_S % seconds == 0 or seconds % EPOCH_S == 0


@dataclass(frozen=True)
class Options:
    """Options of a run, checked against each other when they are made.

    Attributes:
        negative_times: Whether to keep up to LEAD_S before t=0, unscored.
        data_alignment: s that a row of samples covers.
        motion_magnitude: Whether the magnitude of acceleration is a channel.
        window_size: s that a window sees.
        stride: s from one window to the next.
        channels: Input channels; none stands for all that any training night has.
        architectures: Networks to train.
        batch_size: Nights per training step.
        variants: Varied copies of each training night.
        hidden_dim: Units of each network.
        lr: Highest learning rate.
        epochs: Training epochs.
        train_split: Share of the subjects that is not held out; 1 to train on all.
        inner_folds: Of the cross-validation within the training subjects that chooses operating points; 0 for none:
            the inner validation subjects choose them then.
        seed: Of the split, of the weights and of everything drawn.
        unscaled: Whether batch_size, lr, epochs and variants hold for any number of nights; else they are those of up
            to 31 nights, and pipeline.budget scales them beyond.

    Raises:
        UserMistake: A value is out of its range or does not fit the others; the message names values that would.
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
            raise UserMistake(f"--lr {self.lr}: must be above 0, and finite")
        if not 0 < self.train_split <= 1:
            raise UserMistake(f"--train_split {self.train_split}: must lie above 0 and not above 1, such as 0.9")
        if self.inner_folds < 0 or self.inner_folds == 1:
            raise UserMistake(f"--inner_folds {self.inner_folds}: must be 0 or at least 2")
        if self.inner_folds > MOST_FOLDS:
            raise UserMistake(f"--inner_folds {self.inner_folds}: must be at most {MOST_FOLDS}")
        if self.train_split == 1 and not self.inner_folds:
            raise UserMistake("--train_split 1: with no subject held out, --inner_folds of 2 and more must choose")
        if not 0 <= self.seed < 2**32:
            raise UserMistake(f"--seed {self.seed}: must lie between 0 and {2**32 - 1}")
        one_of("--architectures", self.architectures, ARCHITECTURES)
        if self.channels:
            one_of("--channels", self.channels, CHANNELS)
        self._check_times()

    def _check_times(self) -> None:
        """Raise UserMistake, with values that fit, for the first of the times that does not fit the others."""
        times = {name: getattr(self, name) for name in ("data_alignment", "stride", "window_size")}
        counted = not self.channels or "activity" in self.channels
        unit = self._unit(self.data_alignment, counted)
        whole = f"of {unit} s with --data_alignment {self.data_alignment}"
        rules: dict[str, tuple[Callable[[int], bool], str]] = {  # name -> (does a value fit, in words)
            "data_alignment": (_fits_epochs, f"it must divide the {EPOCH_S}-s epoch or be whole epochs"),
            "stride": (
                lambda s: _fits_epochs(s) and s % unit == 0,
                f"it must divide the {EPOCH_S}-s epoch or be whole epochs, and a whole number {whole}",
            ),
            "window_size": (
                lambda s: s % unit == 0 and s >= self.stride,
                f"it must be a whole number {whole}, and not less than --stride {self.stride}",
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
        """Seconds that strides and windows must be whole numbers of: rows, and activity values where they count."""
        return lcm(row, max(COUNT_S, row)) if counted else row

    def _fit_each_other(self, data_alignment: int, stride: int, window_size: int, counted: bool) -> bool:
        unit = self._unit(data_alignment, counted)
        strides_fit = _fits_epochs(data_alignment) and _fits_epochs(stride) and not stride % unit
        return strides_fit and not window_size % unit and window_size >= stride

    def seconds_per_value(self, channel: str) -> int:
        """Seconds that one value of the channel covers."""
        return max(COUNT_S, self.data_alignment) if channel == "activity" else self.data_alignment

    def values_per_window(self, channel: str) -> int:
        """Values of the channel per window."""
        return self.window_size // self.seconds_per_value(channel)

    def values_per_stride(self, channel: str) -> int:
        """Values of the channel that are new in a window: those of the last stride."""
        return self.stride // self.seconds_per_value(channel)

    @property
    def alignment(self) -> dict[str, int]:
        """The options that decide what a window holds."""
        names = ("negative_times", "data_alignment", "window_size", "stride")
        return {name: getattr(self, name) for name in names}

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `of` gives the options back."""
        return asdict(self)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "Options":
        """The options that `as_dict` gave, after JSON.

        Raises:
            UserMistake: These are no options, or do not fit each other.
        """
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise UserMistake(f"these are no options of a run: {error}") from None
