"""Activity counts from raw acceleration, identical online and offline.

The activity count of te Lindert BHW, Van Someren EJW. Sleep 2013;36(5):781-789, as used by Walch O, Huang Y, Forger D,
Goldstein C. Sleep 2019;42(12):zsz180: z axis at 50 Hz, 3-11 Hz Butterworth of order 5, rectified, peak of each second
in bins of 5/128 g rounded down, summed over 15 s, 3.07 x (sum - 3), not below 0.

The published algorithm filters the whole night forwards and backwards. Here one causal FIR filter with carried history
approximates both passes. Its output lags by DELAY, and so do the seconds in which peaks are found; the last second of a
bin is cut off at the bin's end, so that the count is available then.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from pipeline.constants import CHANNELS, COUNT_S, GRACE_S, LEAD_S, LONGEST_NIGHT_S
from pipeline.saved import Form, check_arrays

HZ = 50  # grid points per second, the rate of the published algorithm
BIN_G = 5 / 128  # g per bin of a peak
COUNT_UNIT = 3.07  # count = 3.07 x (bins summed - 3)
COUNT_FREE = 3  # bins that are subtracted
BAND_HZ = 3, 11
BUTTERWORTH_ORDER = 5
N_TAPS = 42  # grid points: 0.84 s; 101 agree with the published counts no better (r > .999 on all nights either way)
DELAY = 12  # grid points (0.24 s): below 9 the pass band suffers; a longer delay only cuts more off a bin
GAP_S = 1  # s; in a longer gap between samples, data are missing
POINTS = HZ * COUNT_S  # grid points of a bin
NO_COUNTS = np.empty((2, 0))
LONG_AGO = -1e12  # s, time of the newest sample before there is one


def wiener_taps(corner: float = 0.01, n: int = 4096) -> np.ndarray:
    """Taps of the causal FIR filter closest to the delayed zero-phase filter, by mean squared error of its output.

    The input is modelled as a first-order random walk, with the spectral slope of wrist acceleration: slowly turning
    gravity is by far the strongest part and must not leak through. The taps solve the normal equations of the Wiener
    filter; their mean is subtracted, so that a wrist at rest gives exactly 0.

    Args:
        corner: Frequency in Hz above which the power of the input falls as 1/f^2.
        n: Points of the discrete Fourier transform.

    Returns:
        The taps, [N_TAPS].
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
TAPS = np.array([  # wiener_taps(), precomputed: the same bits on any machine, without importing scipy
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

    A second is valid if at least half of its points are; a bin with fewer than half of its seconds valid has count -1.

    Args:
        band: Rectified filter output in g, [n, POINTS], NaN where data are missing.

    Returns:
        Activity counts, [n].
    """
    seconds = HZ * np.arange(COUNT_S)
    sensed = 2 * np.isfinite(band).reshape(-1, COUNT_S, HZ).sum(2) >= HZ
    peak = np.fmax.reduceat(band, seconds + DELAY, axis=1)  # the last of each row ends with the row
    total = np.where(sensed, np.floor(peak / BIN_G), 0).sum(1)
    return np.where(2 * sensed.sum(1) >= COUNT_S, np.maximum(COUNT_UNIT * (total - COUNT_FREE), 0), -1)


class ActivityCounter:
    """Computes activity counts of the bins [start + 15 k, start + 15 k + 15) s from samples as they arrive.

    Every grid point (start + i/50 s) is computed once, interpolated between the sample before it and the one at or
    after it, so counts are bit-identical however the samples are divided into calls. If the later sample comes more
    than GRACE_S after the end of the point's bin, the earlier value is used instead, because the count cannot wait.
    Points between samples more than GAP_S apart are missing; after them the filter restarts as if its first value had
    been constant before.
    """

    def __init__(self, start: float = 0.0):
        """Begin to count.

        Args:
            start: Start of the first bin, s, a multiple of COUNT_S.
        """
        self.start = float(start)
        self.next = 0  # index of the next grid point to compute
        self.last = np.array([LONG_AGO, 0.0])  # newest sample: s, g
        self.history = np.full(N_TAPS - 1, np.nan)  # newest grid values in g; NaN after a missing one
        self.band = np.empty(0)  # rectified output of the unfinished bin, [< POINTS]

    def feed(self, t: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Take samples of the z axis.

        Args:
            t: Times in s, ascending, float64 [n].
            z: Acceleration in g, float64 [n].

        Returns:
            End (s) and count of every bin that is now complete and not missing, [2, m]. A bin is complete with its
            last grid point, 1/50 s before its end.
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

        Called less than GRACE_S after a bin's end, this excludes samples that could still have counted.

        Args:
            now: Time in s.

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
        """The counter's state as arrays, for `restore` of one with the same start."""
        return {"next": np.array(self.next), "last": self.last, "history": self.history, "band": self.band}

    def restore(self, saved: Mapping[str, np.ndarray], signed: bool = False) -> None:
        """Resume from arrays returned by `state`; raises ValueError, by name, for wrong ones unless they are signed."""
        if not signed:
            self._check(saved)
        self.next = int(saved["next"])
        self.last, self.history, self.band = saved["last"], saved["history"], saved["band"]

    def _check(self, saved):
        night, g = LONGEST_NIGHT_S + LEAD_S, CHANNELS["motion_z"].high
        forms = {
            "next": Form(np.int64, (), 0, HZ * (night + COUNT_S)),
            "last": Form(np.float64, (2,)),
            "history": Form(np.float64, (N_TAPS - 1,), -g - 1, g + 1, gaps=True),  # interpolation rounds
            "band": Form(np.float64, (None,), 0, (g + 1) * np.abs(TAPS).sum(), gaps=True),
        }
        check_arrays(saved, forms)
        t, z = saved["last"].tolist()
        if not LONG_AGO <= t < self.start + int(saved["next"]) / HZ or not -g <= z <= g:
            raise ValueError("last: impossible numbers")
        if np.isnan(saved["history"]).any() != np.isnan(saved["history"]).all():
            raise ValueError("history: missing in part")
        if len(saved["band"]) != saved["next"] % POINTS:
            raise ValueError("band: of a length that does not fit next")

    def _fill(self, t, z, stop):
        """Compute grid points before `stop` and up to the newest sample. t[0], z[0] are `self.last`."""
        point = self.start + np.arange(self.next, stop) / HZ
        point = point[: point.searchsorted(t[-1], "right")]
        if not len(point):
            return NO_COUNTS
        after = t.searchsorted(point)
        before = after - 1
        begin, step = t[before], (t[1:] - t[:-1])[before]
        x = z[before] + (z[1:] - z[:-1])[before] * ((point - begin) / step)
        far = (step > GRACE_S).nonzero()[0]
        due = self.start + GRACE_S + COUNT_S * ((self.next + far) // POINTS + 1)  # the count waits no longer
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
        missing = np.ones(len(x) + 2, bool)  # padded at both ends, so that runs of values begin and end
        missing[1:-1] = np.isnan(x)
        for i, j in (missing[1:] != missing[:-1]).nonzero()[0].reshape(-1, 2):
            restart = i > 0 or np.isnan(self.history[-1])
            run = np.concatenate([np.full(N_TAPS - 1, x[i]) if restart else self.history, x[i:j]])
            y[i:j] = np.correlate(run, TAPS[::-1])  # lfilter's sums would depend on where a call begins
        self.history = np.full(N_TAPS - 1, np.nan) if missing[-2] else run[1 - N_TAPS :].copy()
        return y
