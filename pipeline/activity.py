"""Activity counts from raw acceleration, the same online and offline.

The activity count of te Lindert BHW, Van Someren EJW. Sleep 2013;36(5):781-789, as used by Walch O, Huang Y, Forger D,
Goldstein C. Sleep 2019;42(12):zsz180: z axis at 50 Hz, 3-11 Hz Butterworth of order 5, rectified, peak of each second
in bins of 5/128 g rounded down, summed over 15 s, 3.07 x (sum - 3), not below 0.

Theirs filters forwards and backwards over the whole night. Here one FIR with carried history stands for both passes.
Its output lags by DELAY, and so do the seconds in which peaks are sought; the last second of a bin is cut short at the
bin's end, so that a count is available when its bin ends.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from pipeline.constants import COUNT_S, GRACE_S

HZ = 50  # grid points per second, the rate of the published algorithm
BIN_G = 5 / 128  # g per bin of a peak
COUNT_UNIT = 3.07  # count = 3.07 x (bins summed - 3)
COUNT_FREE = 3  # bins that do not count
BAND_HZ = 3, 11
BUTTERWORTH_ORDER = 5
N_TAPS = 42  # grid points: 0.84 s; 101 agree with the published counts no better (r > .999 on all nights either way)
DELAY = 12  # grid points (0.24 s): below 9 the pass band suffers; a longer delay gains nothing and cuts more off a bin
GAP_S = 1  # s; without a sample for longer than this, nothing was sensed
POINTS = HZ * COUNT_S  # grid points of a bin
NO_COUNTS = np.empty((2, 0))
LONG_AGO = -1e12  # s, time of the newest sample while there is none


def wiener_taps(corner: float = 0.01, n: int = 4096) -> np.ndarray:
    """Taps of the causal FIR nearest to the delayed zero-phase filter, in the mean square of its output.

    The input is taken as a first-order random walk, the slope of wrist acceleration: gravity turning slowly is by far
    the strongest and must not leak. Normal equations of the Wiener filter; what their sum lacks to 0, so that a wrist
    at rest gives nothing at all, is shared out.

    Args:
        corner: Hz; the power of the input falls as 1/f^2 above it.
        n: Points of the discrete Fourier transform.

    Returns:
        [N_TAPS].
    """
    from scipy.linalg import solve_toeplitz
    from scipy.signal import butter, freqz

    w = 2 * np.pi * np.arange(n // 2 + 1) / n
    power = np.abs(1 - np.exp(-2 * np.pi * corner / HZ - 1j * w)) ** -2.0
    both_passes = np.abs(freqz(*butter(BUTTERWORTH_ORDER, BAND_HZ, "bandpass", fs=HZ), worN=w)[1]) ** 2
    autocorrelation = np.fft.irfft(power)[:N_TAPS]
    cross_correlation = np.fft.irfft(power * both_passes * np.exp(-1j * w * DELAY))[:N_TAPS]
    taps = solve_toeplitz(autocorrelation, cross_correlation)
    return taps - taps.mean()


# fmt: off
TAPS = np.array([  # wiener_taps(), worked out once: the same bits on any machine, and no scipy to wait for
    0.02594049364940151, 0.029797078364501975, 0.03460297609270191, 0.005266187837661087, -0.0323434815653577,
    -0.030016066295691656, -0.0011910688993531388, -0.026154301577302332, -0.12672259005953662, -0.18101843917750077,
    -0.05330608738554295, 0.19409272717530576, 0.3222801704227849, 0.19409272717533008, -0.053306087385530956,
    -0.18101843917754507, -0.12672259005957243, -0.026154301577286106, -0.001191068899330157, -0.030016066295652965,
    -0.032343481565379834, 0.005266187837671057, 0.034602976092674834, 0.0297970783645293, 0.013955674537290299,
    0.012620596998726138, 0.01976010245019262, 0.017196059159093245, 0.004041406373236276, -0.00647585630504822,
    -0.00816068307164608, -0.0070667151803567516, -0.009006071393727154, -0.011722393545538628, -0.010642463236504961,
    -0.0061107258430944614, -0.0018964731324684703, 0.00032539473626484494, 0.0019540911719971234, 0.004126996564305713,
    0.005952779588794707, 0.006913747036503973,
])
# fmt: on


def counts(band: np.ndarray) -> np.ndarray:
    """Activity counts of whole bins.

    A second is sensed if half of its points are; a bin with fewer than half of its seconds sensed has count -1.

    Args:
        band: Rectified filter output in g, [n, POINTS], NaN where nothing was sensed.

    Returns:
        [n].
    """
    seconds = HZ * np.arange(COUNT_S)
    sensed = 2 * np.isfinite(band).reshape(-1, COUNT_S, HZ).sum(2) >= HZ
    peak = np.fmax.reduceat(band, seconds + DELAY, axis=1)  # the last of each row ends with the row
    total = np.where(sensed, np.floor(peak / BIN_G), 0).sum(1)
    return np.where(2 * sensed.sum(1) >= COUNT_S, np.maximum(COUNT_UNIT * (total - COUNT_FREE), 0), -1)


class ActivityCounter:
    """Counts the bins [start + 15 k, start + 15 k + 15) s from samples as they come.

    Every grid point (start + i/50) is worked out once, from the sample before it and the one at or after it, on the
    line between them; so counts are the same to the last bit however the samples are cut into calls. Where the sample
    after comes later than GRACE_S past the end of the point's bin, the one before is held: the count could not wait.
    Where samples are more than GAP_S apart the points between are missing, and the filter begins anew as if the first
    value had been there for ever.
    """

    def __init__(self, start: float = 0.0):
        """Begin to count.

        Args:
            start: When the first bin begins, s, a multiple of COUNT_S.
        """
        self.start = float(start)
        self.next = 0  # grid point to work out next
        self.last = np.array([LONG_AGO, 0.0])  # newest sample: s, g
        self.history = np.full(N_TAPS - 1, np.nan)  # newest grid values in g; NaN after a missing one
        self.band = np.empty(0)  # rectified output of the unfinished bin, [< POINTS]

    def feed(self, t: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Take samples of the z axis.

        Args:
            t: Times in s, ascending, float64 [n].
            z: Acceleration in g, float64 [n].

        Returns:
            [2, m]: end (s) and count of every bin that is now complete, but for missing ones. A bin is complete with
            its last grid point, 1/50 s before its end.
        """
        t, z = np.concatenate([self.last[:1], t]), np.concatenate([self.last[1:], z])
        late = (t[1:] - t[:-1] > COUNT_S + GAP_S).nonzero()[0] + 1  # samples before which whole bins may be missing
        complete = [NO_COUNTS]
        for k, (i, j) in enumerate(pairwise([1, *late, len(t)])):
            if k:
                complete.append(self.advance(t[i]))
            complete.append(self._fill(t[i - 1 : j], z[i - 1 : j], int((t[j - 1] - self.start) * HZ) + 2))
            self.last = np.array([t[j - 1], z[j - 1]])
        return np.concatenate(complete, axis=1)

    def advance(self, now: float) -> np.ndarray:
        """Complete every bin that ends at `now` or before, from the samples so far.

        Less than GRACE_S after a bin's end this forestalls samples that could still have counted.

        Args:
            now: s.

        Returns:
            As `feed`.
        """
        end = int((now - self.start) // COUNT_S) * POINTS
        if end <= self.next:
            return NO_COUNTS
        t, z = self.last
        bin_end = (self.next // POINTS + 1) * POINTS
        complete = self._fill(np.array([t, np.inf]), np.array([z, z]), bin_end)
        if bin_end < end:  # the bins after it hold no sample
            self.next = end
            self.history = np.full(N_TAPS - 1, np.nan)
        return complete

    def state(self) -> dict[str, np.ndarray]:
        """All that a counter with the same start needs to go on, as arrays."""
        return {"next": np.array(self.next), "last": self.last, "history": self.history, "band": self.band}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        self.next = int(state["next"])
        self.last, self.history, self.band = state["last"], state["history"], state["band"]

    def _fill(self, t, z, stop):
        """Work out grid points before `stop` and no later than the newest sample. t[0], z[0] are `self.last`."""
        point = self.start + np.arange(self.next, stop) / HZ
        point = point[: point.searchsorted(t[-1], "right")]
        if not len(point):
            return NO_COUNTS
        after = t.searchsorted(point)
        before = after - 1
        begin, step = t[before], (t[1:] - t[:-1])[before]
        x = z[before] + (z[1:] - z[:-1])[before] * ((point - begin) / step)
        far = (step > GRACE_S).nonzero()[0]
        due = self.start + GRACE_S + COUNT_S * ((self.next + far) // POINTS + 1)  # when the count can wait no longer
        x[far] = np.where(t[after[far]] > due, z[before[far]], x[far])
        x[far[np.minimum(t[after[far]], due) - begin[far] > GAP_S]] = np.nan

        band = np.concatenate([self.band, np.abs(self._filter(x))])
        n = len(band) // POINTS
        self.next += len(x)
        self.band = band[n * POINTS :].copy()
        if not n:
            return NO_COUNTS
        count = counts(band[: n * POINTS].reshape(n, POINTS))
        bin_ends = self.start + COUNT_S * (self.next // POINTS - np.arange(n)[::-1])
        return np.stack([bin_ends, count])[:, count >= 0]

    def _filter(self, x):
        """Filter output [n] for the next grid values [n] in g; NaN where they are."""
        y = np.full(len(x), np.nan)
        missing = np.ones(len(x) + 2, bool)  # with one point more at both ends, where runs of values begin and end
        missing[1:-1] = np.isnan(x)
        for i, j in (missing[1:] != missing[:-1]).nonzero()[0].reshape(-1, 2):
            anew = i > 0 or np.isnan(self.history[-1])
            run = np.concatenate([np.full(N_TAPS - 1, x[i]) if anew else self.history, x[i:j]])
            y[i:j] = np.correlate(run, TAPS[::-1])  # lfilter's sums would depend on where a call begins
        self.history = np.full(N_TAPS - 1, np.nan) if missing[-2] else run[1 - N_TAPS :].copy()
        return y
