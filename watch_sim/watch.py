"""The watch: aligns samples online and runs the exported files window by window with their states."""

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
from pipeline.saved import Form, check_arrays, restore_part
from scoring.predictions import weigh

MOST_STATE = 1e9  # far above a state's numbers; steps from it cannot overflow


class Epoch(NamedTuple):
    """The stage of one window.

    Attributes:
        time: Start of the stage's stride, in seconds.
        stage: Name of the likeliest stage, one of STAGES, or UNKNOWN if too little was sensed.
        probabilities: [5] float32, in the order of STAGES, weighted if the watch has an operating point. If the stage
            is unknown they are based on almost no data: do not show them.
        coverage: How much was sensed recently, by sensor.
    """

    time: float
    stage: str
    probabilities: np.ndarray
    coverage: Coverage


class Watch:
    """Takes sensor events in time order and predicts the sleep stage of each window as it closes.

    Attributes:
        runner: Runs the bundle's files; holds the contract and the states.
        weights: [5] of the operating point, or None.
        options: The contract's options that shape a window.
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
            start: Start of the first window, in seconds.
            counts: True if activity counts are fed rather than derived from motion.
            operating_point: One of the contract's, to weight the probabilities; None leaves them as they are.

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
        """Begin another night with the loaded files; arguments and errors as in the constructor."""
        self.weigh_for(operating_point)
        self.runner.reset()
        self.aligner = Aligner(self.options, self.options.channels, start, count_motion=not counts)
        self.tracker = CoverageTracker(self.options, self.options.channels)

    def weigh_for(self, operating_point: str | None) -> None:
        """Weight the probabilities for one of the contract's operating points, or not at all. Raises UserMistake."""
        self.weights = None
        if operating_point is not None:
            points = self.runner.contract.operating_points
            one_of("operating point", [operating_point], points)
            self.weights = np.float32(points[operating_point].weights)

    @property
    def simulated(self) -> bool:
        """Whether the model was trained on simulated nights; its stages then say nothing about people."""
        return self.runner.contract.training_data.simulated

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """{sensor: {reason: number of samples}} of samples that were not used."""
        return self.aligner.dropped

    @property
    def findings(self) -> list[str]:
        """Sentences about units that seem wrong, for heart rate and then motion."""
        findings = self.aligner.guard.findings
        return [findings[sensor] for sensor in SENSORS if sensor in findings]

    def feed(self, sensor: str, t: ArrayLike, value: ArrayLike) -> list[Epoch]:
        """Take one sample, or several of one sensor.

        Samples that are not used are counted in `dropped`: values out of range or not finite, samples for closed
        windows, repeated samples, motion in the wrong unit.

        Args:
            sensor: "heart_rate" (bpm), "motion" (x, y, z in g), "steps" or "activity" (counts of a bin).
            t: Seconds, a number or [n]; for a bin, its end.
            value: A number or [n]; for motion [3] or [n, 3].

        Returns:
            The epochs that these samples close, usually none or one.

        Raises:
            KeyError: There is no such sensor.
            ValueError: A time is more than a night after the start; nothing was fed.
        """
        self.aligner.feed(sensor, t, value)
        times = np.ravel(np.asarray(t, np.float64))
        newest = np.max(times[np.isfinite(times)], initial=-np.inf)  # a time that is not finite closes no window
        return self.stage_windows(*self.aligner.before(newest))

    def advance(self, t: float) -> list[Epoch]:
        """Close every window that ends by a time, with or without samples.

        Args:
            t: The clock's time in seconds.

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
        start, stride = self.aligner.start, self.options.stride
        for i, end in enumerate(ends):
            window = {name: x[i] for name, x in windows.items()}
            p = self.runner.step(window)
            coverage = self.tracker.update(window)
            if self.weights is not None:
                p = weigh(p, self.weights)
            stage = UNKNOWN if coverage.unknown else STAGES[int(p.argmax())]
            number = round((float(end) - start) / stride)  # of the end; its difference to the stride would be rounded
            epochs.append(Epoch(start + stride * (number - 1.0), stage, p, coverage))
        return epochs

    def save(self, path: Path) -> None:
        """Write the state of the night to a file, atomically, for `restore`."""
        write_whole(path, lambda file: np.savez(file, **self.state()))

    def state(self) -> dict[str, np.ndarray]:
        """The state of the night as arrays, for `resume`; do not modify them."""
        arrays = {f"aligner.{name}": x for name, x in self.aligner.state().items()}
        arrays |= {f"coverage.{name}": x for name, x in self.tracker.state().items()}
        return arrays | {f"state.{name}": x for name, x in self.runner.states.items()} | self._identity()

    def restore(self, path: Path) -> None:
        """Continue from a file written by `save`, as if the watch had never stopped.

        Raises:
            UserMistake: The file is missing, damaged or from another model; the watch is left unchanged.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                self.resume(dict(saved))
        except Exception as error:  # a file can be broken in many ways
            raise UserMistake(f"{path}: not a saved state of this model ({error})") from None

    def resume(self, arrays: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Continue from arrays returned by `state`, as `restore` does from a file.

        Args:
            arrays: The arrays.
            signed: Whether a signature proves that `state` of a watch of this model returned them; only the operating
                point is checked then.

        Raises:
            ValueError: They are not such a state, with the name of an array; the watch is left unchanged.
        """
        for name, own in self._identity().items():
            if name in arrays and not np.array_equal(arrays[name], own):
                raise ValueError(f"{name}: from another {'model' if name == 'model' else 'operating point'}")
        if not signed:
            self._check(arrays)
        aligner = Aligner(self.options, self.aligner.channels)
        restore_part(aligner, arrays, "aligner.", signed)
        tracker = CoverageTracker(self.options, self.options.channels)
        restore_part(tracker, arrays, "coverage.", signed)
        if tracker.elapsed != aligner.closed * self.options.stride:
            raise ValueError("coverage.elapsed: does not fit aligner.closed")
        states = {name: arrays[f"state.{name}"] for name in self.runner.states}
        self.aligner, self.tracker, self.runner.states = aligner, tracker, states

    def _check(self, arrays):
        """Check arrays but for those of the aligner and the tracker, which check theirs."""
        forms = {name: Form(own.dtype.type, own.shape) for name, own in self._identity().items()}
        for name, x in self.runner.states.items():
            forms[f"state.{name}"] = Form(x.dtype.type, x.shape, -MOST_STATE, MOST_STATE)
        check_arrays({k: x for k, x in arrays.items() if not k.startswith(("aligner.", "coverage."))}, forms)

    def _identity(self):
        """What a saved state belongs to: SHA-256 of the model's files, and weights of the operating point."""
        digests = np.array([call.sha256 for call in self.runner.plan.calls])
        return {"model": digests, "weights": np.array([] if self.weights is None else self.weights)}
