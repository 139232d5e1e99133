"""The watch: online alignment, and the exported files run window by window with their state."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from apps.python.sleep_stager import SIMULATED, SimulatedWarning
from export.runner import Runner
from pipeline.align import Aligner
from pipeline.constants import STAGES, UNKNOWN
from pipeline.coverage import Coverage, CoverageTracker
from pipeline.errors import UserMistake, one_of
from pipeline.files import write_whole
from pipeline.guard import SENSORS
from scoring.predictions import weigh


class Epoch(NamedTuple):
    """The stage of one window.

    Attributes:
        time: Seconds, when the stride that the stage stands for begins.
        stage: Name of the likeliest stage, one of STAGES; UNKNOWN where too little was sensed.
        probabilities: [5] float32, in the order of STAGES, weighed if the watch has an operating point. Where the stage
            is unknown they are what the model makes of next to nothing: not to be shown.
        coverage: How much of each sensor the window rests on.
    """

    time: float
    stage: str
    probabilities: np.ndarray
    coverage: Coverage


class Watch:
    """Takes sensor events in time order and gives the sleep stage of each window as it closes.

    Attributes:
        runner: Runs the bundle's files; holds the contract and the states.
        weights: [5] of the operating point, or None.
        options: Of the contract, as they shape a window.
        aligner: Turns events into windows.
        tracker: Tracks coverage from window to window.
    """

    def __init__(
        self,
        bundle: Path | str,
        precision: str = "int8",
        start: float = 0.0,
        counts: bool = False,
        operating_point: str | None = None,
    ):
        """Load the files of a bundle.

        Args:
            bundle: Folder of one model.
            precision: One of the bundle's.
            start: Seconds, when the first window begins.
            counts: True where activity counts are fed rather than derived from motion.
            operating_point: One of the contract's, to weigh the probabilities; None leaves them as they are.

        Raises:
            UserMistake: A file of the bundle is missing, damaged or altered, or the bundle has no such precision or
                operating point.

        Warns:
            SimulatedWarning: The model was trained on simulated nights.
        """
        self.runner = Runner(bundle, precision)
        self.options = self.runner.contract.options()
        if self.simulated:
            warnings.warn(f"{bundle}: {SIMULATED}", SimulatedWarning, stacklevel=2)
        self.begin(start, counts, operating_point)

    def begin(self, start: float = 0.0, counts: bool = False, operating_point: str | None = None) -> None:
        """Begin another night with the files that are loaded; arguments and errors as those of the constructor."""
        self.weights = None
        if operating_point is not None:
            points = self.runner.contract.operating_points
            one_of("operating point", [operating_point], points)
            self.weights = np.float32(points[operating_point].weights)
        self.runner.reset()
        self.aligner = Aligner(self.options, self.options.channels, start, count_motion=not counts)
        self.tracker = CoverageTracker(self.options, self.options.channels)

    @property
    def simulated(self) -> bool:
        """Whether the model was trained on simulated nights: its stages then say nothing about people."""
        return self.runner.contract.training_data.simulated

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """{sensor: {reason: samples}}: what was fed and not taken, and why."""
        return self.aligner.dropped

    @property
    def findings(self) -> list[str]:
        """What seems wrong with the sensors' units, as sentences: of heart rate, then of motion."""
        findings = self.aligner.guard.findings
        return [findings[sensor] for sensor in SENSORS if sensor in findings]

    def feed(self, sensor: str, t: ArrayLike, value: ArrayLike) -> list[Epoch]:
        """Take one sample, or several of one sensor.

        What is not taken is counted in `dropped`: values out of range or not finite, samples of windows that are
        closed, repeated ones, motion in a wrong unit.

        Args:
            sensor: "heart_rate" (bpm), "motion" (x, y, z in g), "steps" or "activity" (counts of a bin).
            t: Seconds, a number or [n]; of a bin, its end.
            value: A number or [n]; of motion [3] or [n, 3].

        Returns:
            The epochs that these samples close, usually none or one.

        Raises:
            KeyError: No such sensor.
            ValueError: A time is more than a night after the start; nothing was fed.
        """
        self.aligner.feed(sensor, t, value)
        times = np.ravel(np.asarray(t, np.float64))
        newest = np.max(times[np.isfinite(times)], initial=-np.inf)  # a time that is no number closes nothing
        return self.stage_windows(*self.aligner.before(newest))

    def advance(self, t: float) -> list[Epoch]:
        """Close every window that ends by a time, with or without samples.

        Args:
            t: Seconds that the clock shows.

        Returns:
            The epochs of these windows.

        Raises:
            ValueError: The time is more than a night after the start.
        """
        return self.stage_windows(*self.aligner.advance(t))

    def stage_windows(self, ends: np.ndarray, windows: dict[str, np.ndarray]) -> list[Epoch]:
        """Run the model on windows that an aligner closed, in order.

        Args:
            ends: [n] seconds.
            windows: {channel: [n, values_per_window] float32}.

        Returns:
            Their epochs.
        """
        epochs = []
        for i, end in enumerate(ends):
            window = {name: x[i] for name, x in windows.items()}
            p = self.runner.step(window)
            coverage = self.tracker.update(window)
            if self.weights is not None:
                p = weigh(p, self.weights)
            stage = UNKNOWN if coverage.unknown else STAGES[int(p.argmax())]
            epochs.append(Epoch(float(end) - self.options.stride, stage, p, coverage))
        return epochs

    def save(self, path: Path) -> None:
        """Write everything that is under way to a file, whole or not at all, for `restore`."""
        write_whole(path, lambda file: np.savez(file, **self.state()))

    def state(self) -> dict[str, np.ndarray]:
        """Everything that is under way, as arrays, for `resume`; none of them is to be written to."""
        arrays = {f"aligner.{name}": x for name, x in self.aligner.state().items()}
        arrays |= {f"coverage.{name}": x for name, x in self.tracker.state().items()}
        arrays |= {f"state.{name}": x for name, x in self.runner.states.items()} | {"model": self._digests()}
        return arrays | {"weights": np.array([] if self.weights is None else self.weights)}

    def restore(self, path: Path) -> None:
        """Go on as if the watch that wrote the file had never stopped.

        Raises:
            UserMistake: The file is missing, damaged or of another model; the watch stays as it is.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                self.resume(dict(saved))
        except Exception as error:  # a file can be broken in many ways
            raise UserMistake(f"{path}: not a saved state of this model ({error})") from None

    def resume(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave, as `restore` does.

        Raises:
            Exception: Of some kind, where the arrays are not such a state; the watch stays as it is.
        """
        if not np.array_equal(arrays["model"], self._digests()):
            raise ValueError("of another model")
        states = {name: arrays[f"state.{name}"] for name in self.runner.states}
        if not np.array_equal(arrays["weights"], [] if self.weights is None else self.weights):
            raise ValueError("of another operating point")

        for name, x in self.state().items():
            found = arrays.get(name, x)  # a watch that counts has more of them
            if (found.dtype.kind, found.ndim) != (x.dtype.kind, x.ndim):
                raise ValueError(f"{name} is of another type")
        if any(states[name].shape != x.shape for name, x in self.runner.states.items()):
            raise ValueError("states of another shape")

        def part(mark):
            return {k.removeprefix(mark): x for k, x in arrays.items() if k.startswith(mark)}

        aligner = Aligner(self.options, self.aligner.channels)
        aligner.restore(part("aligner."))
        tracker = CoverageTracker(self.options, self.options.channels)
        tracker.restore(part("coverage."))
        self.aligner, self.tracker, self.runner.states = aligner, tracker, states

    def _digests(self):
        """SHA-256 of the files that a saved state belongs to."""
        return np.array([call.sha256 for call in self.runner.plan.calls])
