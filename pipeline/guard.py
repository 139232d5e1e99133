"""Checks, on a sensor's first minute of samples, that they are in the expected unit."""

from collections.abc import Mapping
from math import inf

import numpy as np

from pipeline.constants import CHANNELS
from pipeline.saved import Form, check_arrays

FIRST_S = 60  # s of a sensor's samples on which the check is decided
LEAST_SAMPLES = 25  # motion samples needed, in range or out of it: a single one may be a jerk of the wrist
GRAVITY_G = (0.5, 2.0)  # g, range of the median magnitude of acceleration at a wrist: most of it is gravity
STANDARD_GRAVITY = 9.80665  # m/s2 in a g
MOST_SAMPLES = 2**53  # all whole numbers up to it are float64, too
SENSORS = {"heart_rate": "heart_rate", "motion": "motion_x"}  # checked sensor -> a channel that has its valid range
HINTS = {
    "heart_rate": "is it beats per second (multiply by 60), or milliseconds from beat to beat (60000 / value)?",
    "motion": "is it in milli-g (divide by 1000), or raw numbers of the sensor?",
}


def motion_unit_finding(median: float) -> str | None:
    """What is wrong with motion of this median magnitude in g; None if it is plausible."""
    low, high = GRAVITY_G
    if low <= median <= high:
        return None
    if low <= median / STANDARD_GRAVITY <= high:
        hint = f"it seems to be in m/s²: divide by {STANDARD_GRAVITY}"
    else:
        removed = "gravity seems to have been removed: feed acceleration with gravity"
        hint = removed if median < low else "it is in another unit"
    return f"median magnitude of acceleration {median:.3g}, expected about 1 g; {hint}"


class InputGuard:
    """Checks the first minute of heart rate and motion as samples arrive.

    Attributes:
        findings: {sensor: what is wrong}.
        refused: Sensors whose samples are rejected from now on: motion in the wrong unit.
    """

    def __init__(self):
        """Begin a night."""
        self.findings: dict[str, str] = {}
        self.refused: set[str] = set()
        self.first = dict.fromkeys(SENSORS, inf)  # s, time of the first sample
        self.seen = dict.fromkeys(SENSORS, 0)  # number of samples
        self.outside = dict.fromkeys(SENSORS, 0)  # number of samples outside the valid range
        self.decided = dict.fromkeys(SENSORS, False)
        self.magnitudes = np.empty(0)  # g, of motion samples in range

    def accept(self, sensor: str, t: np.ndarray, samples: np.ndarray, in_range: np.ndarray) -> np.ndarray:
        """Check samples.

        Args:
            sensor: Name of the sensor; samples of those not in SENSORS are always accepted.
            t: Times in s, finite, [n].
            samples: [n, values].
            in_range: Whether the samples are in the valid range, [n] bool.

        Returns:
            Which samples are accepted, [n] bool.
        """
        accepted = np.full(len(t), sensor not in self.refused)
        if sensor not in SENSORS or self.decided[sensor] or not len(t):
            return accepted
        self.first[sensor] = min(self.first[sensor], float(t[0]))
        early = t < self.first[sensor] + FIRST_S
        late = np.flatnonzero(~early)
        if sensor == "motion":
            outside_before = self.outside[sensor] + np.cumsum(~in_range) - ~in_range  # samples before each
            valid_before = self.seen[sensor] - self.outside[sensor] + np.cumsum(in_range) - in_range
            late = late[np.maximum(valid_before, outside_before)[late] >= LEAST_SAMPLES]
        cut = int(late[0]) if len(late) else len(t)
        self.seen[sensor] += cut
        self.outside[sensor] += int((~in_range[:cut]).sum())
        if sensor == "motion":
            self.magnitudes = np.append(self.magnitudes, np.sqrt((samples[:cut][in_range[:cut]] ** 2).sum(1)))
        if cut < len(t):
            self._decide(sensor)
            accepted[cut:] = sensor not in self.refused
        return accepted

    def _decide(self, sensor):
        self.decided[sensor] = True
        channel = CHANNELS[SENSORS[sensor]]
        if 2 * self.outside[sensor] > self.seen[sensor]:
            self.findings[sensor] = (
                f"{sensor}: {self.outside[sensor]} of the {self.seen[sensor]} samples of its first minute lie outside "
                f"{channel.low:g} to {channel.high:g} {channel.unit}; {HINTS[sensor]}"
            )
        if sensor != "motion" or len(self.magnitudes) < LEAST_SAMPLES:
            return
        if finding := motion_unit_finding(float(np.median(self.magnitudes))):
            self.findings[sensor] = f"motion: {finding}; its samples are not used"
            self.refused.add(sensor)
        self.magnitudes = np.empty(0)

    def state(self) -> dict[str, np.ndarray]:
        """The guard's state as arrays, for `restore`."""
        saved = {"magnitudes": self.magnitudes}
        for sensor in SENSORS:
            numbers = self.seen[sensor], self.outside[sensor], self.decided[sensor], sensor in self.refused
            saved[sensor] = np.array([self.first[sensor], *numbers], np.float64)
            saved[f"{sensor}.finding"] = np.array(self.findings.get(sensor, ""))
        return saved

    def restore(self, saved: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Resume from arrays returned by `state`; raises ValueError, by name, for wrong ones unless they are signed."""
        if not signed:
            self._check(saved)
        self.magnitudes = saved["magnitudes"]
        findings = {sensor: saved[f"{sensor}.finding"].item() for sensor in SENSORS}
        self.findings = {sensor: finding for sensor, finding in findings.items() if finding}
        self.refused = {s for s in SENSORS if saved[s][4]}
        for sensor in SENSORS:
            first, seen, outside, decided, _ = saved[sensor]
            self.first[sensor], self.decided[sensor] = float(first), bool(decided)
            self.seen[sensor], self.outside[sensor] = int(seen), int(outside)

    def _check(self, saved):
        forms = {"magnitudes": Form(np.float64, (None,), 0, CHANNELS["motion_magnitude"].high)}
        for sensor in SENSORS:
            forms |= {sensor: Form(np.float64, (5,), high=inf), f"{sensor}.finding": Form(np.str_)}
        check_arrays(saved, forms)
        for sensor in SENSORS:
            first, seen, outside, decided, refused = saved[sensor].tolist()
            flags = decided in (0, 1) and refused in (0, decided if sensor == "motion" else 0)
            counted = seen % 1 == outside % 1 == 0 and 0 <= outside <= seen <= MOST_SAMPLES
            if not (flags and counted and (first < inf or (not seen and not decided))):
                raise ValueError(f"{sensor}: impossible numbers")
            finding = saved[f"{sensor}.finding"].item()
            if (finding and not (decided and finding.startswith(f"{sensor}: "))) or (refused and not finding):
                raise ValueError(f"{sensor}.finding: does not fit {sensor}")
        _, seen, outside, decided, _ = saved["motion"].tolist()
        n = len(saved["magnitudes"])
        if n >= LEAST_SAMPLES if decided else n != seen - outside:
            raise ValueError(f"magnitudes: {n}, which does not fit motion")
