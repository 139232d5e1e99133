"""Finds a night that is present twice, under two ids: with one in training and the other scored, it would be a leak.

Copies are seldom equal byte for byte: their ends are cut, their times shifted, or a file is missing. So stretches of
values are compared, whatever their times; for each night, a sample of its stretches is kept.
"""

from collections import Counter

import numpy as np

from pipeline.checks import SKIPPED, Finding
from pipeline.recordings import Recording

# sensor -> (values of a stretch, one stretch in so many is kept)
SAMPLED = {"heart_rate": (32, 16), "activity": (16, 8), "motion": (16, 4096)}
CHANGES = 1 / 4  # least share of a stretch's values that differ from the one before: rest is alike in all nights
LEAST_COMMON = 3  # stretches
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, and without a pattern: 2**64 by the golden ratio


def fingerprint(recording: Recording) -> np.ndarray:
    """Numbers that stand for some stretches of a recording's values, the same for the same values at any time.

    Args:
        recording: Of a night.

    Returns:
        [n] uint64, ascending, each once.
    """
    found = [np.empty(0, np.uint64)]
    for sensor, (length, kept) in SAMPLED.items():
        if sensor not in recording.samples:
            continue
        values = recording.samples[sensor][1]
        values = np.ascontiguousarray(values if values.ndim == 1 else values[:, -1], np.float64)
        n = len(values) - length + 1
        if n < 1:
            continue
        words, stretches = _mixed(values.view(np.uint64)), np.zeros(n, np.uint64)
        for i in range(length):
            stretches = stretches * FACTOR + words[i : i + n]  # modulo 2**64
        changes = np.cumsum(np.append(0, values[1:] != values[:-1]))
        lively = changes[length - 1 :] - changes[:n] >= CHANGES * length
        stretches = _mixed(stretches)
        found.append(stretches[lively & (stretches % np.uint64(kept) == 0)])
    return np.unique(np.concatenate(found))


def _mixed(words):
    """Hashes of 64-bit numbers: each bit depends on all bits of its number."""
    words = (words ^ (words >> np.uint64(32))) * FACTOR
    return words ^ (words >> np.uint64(29))


class Repeats:
    """Compares each night, as it is read, with the earlier ones."""

    def __init__(self):
        """Before the first night."""
        self.first: dict[int, str] = {}  # stretch -> the night that had it first
        self.sizes: dict[str, int] = {}  # night -> its stretches

    def finding(self, subject: str, stretches: np.ndarray) -> Finding | None:
        """Report the next night if it repeats an earlier one: half or more of either of the two is in both.

        Args:
            subject: Of the night.
            stretches: Its `fingerprint`.

        Returns:
            None if it repeats none; then it is one of the earlier nights from now on.
        """
        if earlier := self.repeated(stretches):
            what = f"has the values of night {earlier}; under two names it could be on both sides of a split"
            return Finding(f"night {subject}", "all files", what, SKIPPED)
        numbers = stretches.tolist()
        self.sizes[subject] = len(numbers)
        for number in numbers:
            self.first.setdefault(number, subject)
        return None

    def repeated(self, stretches: np.ndarray) -> str | None:
        """Find the earlier night that another night repeats, as for `finding`; None if there is none.

        Args:
            stretches: Fingerprint of the other night.
        """
        numbers = stretches.tolist()
        common = Counter(self.first[number] for number in numbers if number in self.first)
        for earlier, n in common.items():
            if n >= LEAST_COMMON and 2 * n >= min(len(numbers), self.sizes[earlier]):
                return earlier
        return None
