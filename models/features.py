"""The features of a window: where a window of sensor values becomes what a network is fed.

`WindowFeatures` makes them group by group:

| method            | features of each channel c, of heart rate, of activity or of time | what they tell              |
|-------------------|-------------------------------------------------------------------|-----------------------------|
| _statistics       | c_spread, _most, _least, _last, _step, _sensed                    | the window by itself        |
| _night_so_far     | c, c_from_5min, _from_20min, _from_night, c_z, c_missing_for      | the newest stride against   |
|                   |                                                                   | running averages            |
| _heart_rate       | heart_rate_from_last_*min, _slope, _rank, _above_low, _in_range   | heart rate against the last |
|                   |                                                                   | hour and its range so far   |
| _unrest           | heart_rate_spread, _step, _spread_*min, _usual_*, _most, _least,  | how restless heart rate is, |
|                   | _last                                                             | against the night so far    |
| _movement         | activity_*min, activity_most_*min, moving_*min, since_moved,      | stillness over the last     |
|                   | moved_just_now                                                    | half hour                   |
| _clock            | hours, decay_*min                                                 | time since the start        |

The context is everything that they remember from window to window; `context_sizes` lists its parts.

How restless heart rate is counts against the wearer's own night so far, as a ratio: in bpm it says as much of the
sensor (noise, smoothing, how often it samples) as of sleep.

Everything is continuous in the sensed values (the rank counts in overlapping bins, low and high are expectiles), so
that another runtime's rounding cannot tip it over an edge. Only operations that TFLite has built in.

Shapes: B nights, C channels, V values per window, K time spans, F features, N numbers of context.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from pipeline.constants import CHANNELS, HOUR_S, MINUTE_S
from pipeline.options import Options

HOUR_MIN = 60
# of each channel
AVERAGES_MIN = (5, 20)  # time constants of exponential averages; beside them the mean of the night so far
LEAST_VARIANCE = {"heart_rate": 1.0}  # bpm², added under z-scores: keeps rounding small early on
LEAST_VARIANCE_OTHER = 0.01  # the same for other channels, in their unit squared
# of heart rate
TRAILING_MIN = (5, 20, 60)  # trailing means
SPREAD_MIN = (2, 5, 10, 20)  # trailing SD
UNREST = ("spread", "step", *(f"spread_{m}min" for m in SPREAD_MIN))  # measured against the night so far
USUAL = ("spread", "spread_5min")  # means of the night so far that the network is told, too
SLOPE_MIN = 5  # trailing least squares
SLOPE_RIDGE_MIN2 = 0.01  # min², added to the sum of squared times: draws the slope of few values to zero
BINS = np.arange(35.0, 151.0, dtype=np.float32)  # bpm, centres of the bins of the night's histogram, 1 bpm apart
HALF_BIN = 0.5  # bpm
EXPECTILES = (0.02, 0.98)  # low and high end of the night so far; Newey & Powell, Econometrica 1987
EXPECTILE_RATE = 0.1  # least share of a miss by which they move in 30 s
LEAST_RANGE = 2.0  # bpm, added between low and high end
# of activity
COUNTS_MIN = (2, 5, 10, 30)  # trailing means
STILL_MIN = (2.5, 10, 30)  # trailing maximum, and share of windows with movement
MOVED_RATE = 0.2  # per minute, at which moved_just_now decays
MOST = 10
# of time
DECAYS_MIN = (10, 30, 90)  # time constants of what decays from the start of the night


class WindowFeatures:
    """The features of a set of channels.

    Attributes:
        options: The options that say what a window holds.
        channels: Names of the channels, in order.
        context_sizes: {part of the context: how many numbers}, in order.
    """

    def __init__(self, options: Options, channels: Sequence[str]):
        """Features of these channels (names in pipeline.constants.CHANNELS)."""
        self.options = options
        self.channels = tuple(channels)
        count = len(self.channels)
        self.context_sizes = {
            "seen": count,  # windows in which the channel was sensed
            "level": count,  # the last one sensed
            "averages": count * (len(AVERAGES_MIN) + 1),  # exponential ones, and the mean of the night so far
            "variance": count,  # of the night so far
            "since_sensed": count,  # minutes
            "clock": 1,  # minutes since the start
        }
        if "heart_rate" in self.channels:
            self.context_sizes |= {
                "hour": HOUR_S // options.stride,  # levels of the last hour, 0 where missing
                "histogram": len(BINS),  # of the night so far
                "expectiles": len(EXPECTILES),
                "unrest_seen": len(UNREST),  # windows in which it could be measured
                "unrest": len(UNREST),  # mean of the night so far, log(1 + bpm)
            }
        if "activity" in self.channels:
            self.context_sizes |= {
                "half_hour": HOUR_S // 2 // options.stride,  # 1 + levels of the last half hour, 0 where missing
                "since_moved": 1,  # minutes
            }

    @property
    def _stride_min(self):
        return self.options.stride / MINUTE_S

    def measure(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple["Features", tf.Tensor]:
        """Features of a window in all groups, and the context [B, N] after it.

        The groups read the parts of the context from `old` and leave them in `new`.

        Args:
            windows: {channel: [B, V]}.
            context: [B, N] before the window.
        """
        sizes = list(self.context_sizes.values())
        old = dict(zip(self.context_sizes, tf.split(context, sizes, axis=1), strict=True))
        features, new = Features(), {}
        within = self._statistics(windows, features)
        level, sensed, elapsed = self._night_so_far(windows, old, new, features)  # [B, C]
        if "heart_rate" in self.channels:
            i = self.channels.index("heart_rate")
            of_heart_rate = (x[:, i : i + 1] for x in (level, sensed, new["seen"], elapsed))  # [B, 1]
            spread, two = self._heart_rate(*of_heart_rate, old, new, features)
            self._unrest(within, spread, two, old, new, features)
        if "activity" in self.channels:
            i = self.channels.index("activity")
            self._movement(level[:, i : i + 1], sensed[:, i : i + 1], old, new, features)
        self._clock(old, new, features)
        return features, concatenated([new[name] for name in self.context_sizes])

    def _grouped(self, windows, newest=False):
        """Channels with equally many values, stacked: yields (names, values [B, C, V], valid [B, C, V] as 0 or 1).

        Heart rate comes alone. Sums over bins (counts, steps) are heavy-tailed and go in as log(1 + x). newest: of the
        newest stride only.
        """
        kinds = {c: (CHANNELS[c].bins, c != "heart_rate", self.options.seconds_per_value(c)) for c in self.channels}
        for kind in sorted(set(kinds.values())):
            names = [c for c in self.channels if kinds[c] == kind]
            x = tf.stack([windows[name] for name in names], axis=1)  # (B, C, V)
            if newest and self.options.values_per_stride(names[0]) < x.shape[2]:
                x = x[:, :, -self.options.values_per_stride(names[0]) :]
            low = np.float32([[[CHANNELS[name].low] for name in names]])
            valid = tf.cast(x >= low, tf.float32)
            x *= valid  # missing is 0 from here on
            yield names, tf.math.log(x + 1) if CHANNELS[names[0]].bins else x, valid

    def _statistics(self, windows, features):
        """What each channel did in the window: over its valid values, against their mean.

        Heart rate's are returned, for `_unrest`: {name: [B, 1]} in bpm, and "two" [B, 1], 1 where it has two values.
        """
        of_heart_rate = {}
        for names, x, valid in self._grouped(windows):
            size = x.shape[2]
            n = tf.reduce_sum(valid, 2)  # (B, C)
            some = tf.minimum(n, 1)
            two = tf.minimum(tf.nn.relu(n - 1), 1)
            pairs = tf.maximum(n - 1, 1)
            mean = tf.reduce_sum(x, 2) / tf.maximum(n, 1)
            away = (x - tf.expand_dims(mean, 2)) * valid
            number = tf.cumsum(valid, 2) * valid  # of each valid value, from 1
            newest = tf.cast(tf.equal(number, tf.expand_dims(n, 2)), tf.float32)
            columns = {
                "spread": tf.sqrt(tf.reduce_sum(away * away, 2) / pairs),
                "most": tf.reduce_max(away, 2),
                "least": tf.reduce_min(away, 2),
                "last": tf.reduce_sum(away * newest, 2),
            }
            if size > 2:  # mean absolute difference of each valid value from the valid one before it
                pair = tf.equal(tf.expand_dims(number, 3), tf.expand_dims(number + 1, 2))  # (B, C, V, V)
                before = tf.squeeze(tf.cast(pair, tf.float32) @ tf.expand_dims(x, 3), 3)  # one product is not 0: exact
                step = tf.reduce_sum(tf.abs(x - before) * tf.minimum(tf.nn.relu(number - 1), 1), 2)
                columns["step"] = step / pairs
            if names == ["heart_rate"]:
                of_heart_rate = {"step": tf.zeros_like(n), **columns, "two": two}
            else:
                for name, column in columns.items():
                    features.add([f"{c}_{name}" for c in names], column, two if name in ("spread", "step") else some)
            features.add([f"{c}_sensed" for c in names], n / size)
        return of_heart_rate

    def _night_so_far(self, windows, old, new, features):
        """Level of each channel in the newest stride, against running averages.

        Returns the level, the last one where nothing was sensed, whether it was sensed (1 or 0), and minutes since it
        was sensed before: [B, C] each.
        """
        means, flags, order = [], [], []
        for names, x, valid in self._grouped(windows, newest=True):
            n = tf.reduce_sum(valid, 2)
            means.append(tf.reduce_sum(x, 2) / tf.maximum(n, 1))
            flags.append(tf.minimum(n, 1))
            order += names
        mean, sensed = tf.concat(means, 1), tf.concat(flags, 1)
        if tuple(order) != self.channels:
            mean, sensed = (tf.gather(x, [order.index(name) for name in self.channels], axis=1) for x in (mean, sensed))
        level = new["level"] = sensed * mean + (1 - sensed) * old["level"]
        seen = new["seen"] = old["seen"] + sensed
        some = tf.minimum(seen, 1)
        elapsed = old["since_sensed"] + self._stride_min
        since = new["since_sensed"] = elapsed * (1 - sensed)

        # a mean of what was seen that turns into an exponential average: rate max(1/n, 1 - exp(-minutes gone / span)),
        # whatever the sensor's interval; a span without end keeps the mean
        share = 1 / tf.maximum(seen, 1)
        decay = np.float32([-1 / m for m in AVERAGES_MIN] + [0])
        spans = [f"{m}min" for m in AVERAGES_MIN] + ["night"]
        count = len(self.channels)
        shares, sensed_spans, levels, minutes = (  # (B, spans C)
            tf.concat([x] * len(spans), 1) for x in (share, sensed, level, elapsed)
        )
        rate = tf.maximum(shares, 1 - tf.exp(minutes * np.repeat(decay, count))) * sensed_spans
        miss = levels - old["averages"]
        averages = new["averages"] = old["averages"] + rate * miss
        from_averages = levels - averages
        from_night = from_averages[:, -count:]  # (B, C)
        first = tf.minimum(old["seen"], 1)  # 0 at the first value: no spread yet, and the average of nothing is far off
        squared = miss[:, -count:] * from_night * first
        variance = new["variance"] = old["variance"] + share * sensed * (squared - old["variance"])  # Welford 1962
        features.add(self.channels, level, some)
        names = [f"{c}_from_{span}" for span in spans for c in self.channels]
        features.add(names, from_averages, tf.concat([some] * len(spans), 1))
        least = np.float32([LEAST_VARIANCE.get(c, LEAST_VARIANCE_OTHER) for c in self.channels])
        features.add([f"{c}_z" for c in self.channels], from_night / tf.sqrt(variance + least), some)
        features.add([f"{c}_missing_for" for c in self.channels], tf.math.log(since + 1))
        return level, sensed, elapsed

    def _trailing(self, minutes, size):
        """[K, size]: 1 for the newest windows of a buffer of `size` that lie within each of `minutes`, else 0."""
        windows = [max(1, round(m * MINUTE_S / self.options.stride)) for m in minutes]
        return np.float32([[i >= size - n for i in range(size)] for n in windows])

    def _means(self, x, valid, minutes):
        """Trailing means of a buffer x [B, size] where valid, over each of `minutes`: mean and number [B, K], mask."""
        mask = self._trailing(minutes, x.shape[1])
        n = tf.matmul(valid, mask.T)
        return tf.matmul(x, mask.T) / tf.maximum(n, 1), n, mask

    def _heart_rate(self, level, sensed, seen, elapsed, old, new, features):
        """Heart rate against its last hour and its range so far. level, sensed, seen (windows), elapsed (min): [B, 1].

        Returns its trailing SDs in bpm, for `_unrest`, and whether there were two values for them: [B, K] both.
        """
        hour = new["hour"] = tf.concat([old["hour"][:, 1:], level * sensed], 1)  # (B, size), 0 where missing
        valid = tf.minimum(hour, 1)
        some = tf.minimum(seen, 1)

        gone = (level - hour) * valid  # summed rather than the values themselves: less is lost to rounding

        mean, n, _ = self._means(gone, valid, TRAILING_MIN)
        features.add([f"heart_rate_from_last_{m}min" for m in TRAILING_MIN], mean, tf.minimum(n, 1))

        recent = max(2, round(max(SPREAD_MIN) * MINUTE_S / self.options.stride))  # the slope needs two
        gone, valid = gone[:, -recent:], valid[:, -recent:]
        mean, n, mask = self._means(gone, valid, SPREAD_MIN)
        away = (tf.expand_dims(gone, 1) - tf.expand_dims(mean, 2)) * (tf.expand_dims(valid, 1) * mask)  # (B, K, recent)
        spread = tf.sqrt(tf.reduce_sum(away * away, 2) / tf.maximum(n - 1, 1))
        two = tf.minimum(tf.nn.relu(n - 1), 1)

        # least squares over the valid windows of the last minutes
        recent = max(2, round(SLOPE_MIN * MINUTE_S / self.options.stride))
        x, on = -gone[:, -recent:], valid[:, -recent:]
        n = tf.maximum(tf.reduce_sum(on, 1, keepdims=True), 1)
        minute = np.arange(recent, dtype=np.float32)[None] * np.float32(self._stride_min)
        when = (minute - tf.reduce_sum(minute * on, 1, keepdims=True) / n) * on
        away = x - tf.reduce_sum(x, 1, keepdims=True) / n
        spent = tf.reduce_sum(when * when, 1, keepdims=True)
        slope = tf.reduce_sum(when * away, 1, keepdims=True) / (spent + SLOPE_RIDGE_MIN2)
        features.add(["heart_rate_slope"], slope, tf.minimum(tf.nn.relu(n - 1), 1))

        # share of the night so far that was lower: each value is shared out between the two bins around it
        held = tf.clip_by_value(level, BINS[0], BINS[-1])
        near = tf.nn.relu(1 - tf.abs(held - BINS)) * sensed
        histogram = new["histogram"] = old["histogram"] + near
        below = tf.clip_by_value(held - BINS + HALF_BIN, 0.0, 1.0)
        rank = tf.reduce_sum(histogram * below, 1, keepdims=True) / tf.maximum(seen, 1)
        features.add(["heart_rate_rank"], rank, some)

        # low and high end of the night so far: each moves up and down at rates whose balance is its expectile
        share = 1 / tf.maximum(seen, 1)
        miss = level - old["expectiles"]
        up, down = np.float32(EXPECTILES), np.float32([1 - e for e in EXPECTILES])
        per_minute = np.float32(np.log(1 - EXPECTILE_RATE) * MINUTE_S / self.options.stride)
        rate = tf.maximum(share, 1 - tf.exp(elapsed * per_minute)) * sensed
        first = tf.nn.relu(2 - seen) * sensed  # 1 at the first value, 0 after
        moved = old["expectiles"] + rate * (up * tf.nn.relu(miss) - down * tf.nn.relu(-miss))
        ends = new["expectiles"] = first * level + (1 - first) * moved
        wide = tf.nn.relu(ends[:, 1:] - ends[:, :1]) + LEAST_RANGE
        above = level - ends[:, :1]
        features.add(["heart_rate_above_low", "heart_rate_in_range"], tf.concat([above, above / wide], 1), some)
        return spread, two

    def _unrest(self, within, spread, two, old, new, features):
        """How restless heart rate is, in the window and lately: log(1 + bpm) less its mean of the night so far.

        within: of `_statistics`; spread and two: of `_heart_rate`.
        """
        x = tf.math.log(tf.concat([within["spread"], within["step"], spread], 1) + 1)  # (B, UNREST)
        measured = tf.concat([within["two"], within["two"], two], 1)
        seen = new["unrest_seen"] = old["unrest_seen"] + measured
        usual = new["unrest"] = old["unrest"] + measured / tf.maximum(seen, 1) * (x - old["unrest"])
        features.add([f"heart_rate_{name}" for name in UNREST], x - usual, measured)
        i = [UNREST.index(name) for name in USUAL]
        ever = tf.gather(tf.minimum(seen, 1), i, axis=1)
        features.add([f"heart_rate_usual_{name}" for name in USUAL], tf.gather(usual, i, axis=1), ever)
        ends = ("most", "least", "last")
        relative = tf.concat([within[name] for name in ends], 1) * tf.exp(-usual[:, :1])  # over 1 bpm + the usual
        features.add([f"heart_rate_{name}" for name in ends], relative, within["two"])

    def _movement(self, level, sensed, old, new, features):
        """Activity over the last half hour, and time since the last movement. level, sensed: [B, 1]."""
        half = new["half_hour"] = tf.concat([old["half_hour"][:, 1:], (level + 1) * sensed], 1)  # 0 where missing
        valid = tf.minimum(half, 1)
        count = tf.nn.relu(half - 1)
        mean, n, _ = self._means(count, valid, COUNTS_MIN)
        features.add([f"activity_{m}min" for m in COUNTS_MIN], mean, tf.minimum(n, 1))

        share, n, mask = self._means(tf.minimum(count, 1), valid, STILL_MIN)  # log(1 + 3.07) and more is movement
        most = tf.reduce_max(tf.expand_dims(count, 1) * mask, 2)
        features.add([f"activity_most_{m}min" for m in STILL_MIN], most, tf.minimum(n, 1))
        features.add([f"moving_{m}min" for m in STILL_MIN], share, tf.minimum(n, 1))
        still = 1 - tf.minimum(level * sensed, 1)
        since = new["since_moved"] = (old["since_moved"] + self._stride_min) * still
        columns = tf.concat([tf.math.log(since + 1), tf.exp(since * -MOVED_RATE)], 1)
        features.add(["since_moved", "moved_just_now"], columns)

    def _clock(self, old, new, features):
        """Time since the start of the night."""
        clock = new["clock"] = old["clock"] + self._stride_min
        decays = tf.exp(clock * -np.float32([1 / m for m in DECAYS_MIN]))
        columns = tf.concat([clock / HOUR_MIN, decays], 1)
        features.add(["hours"] + [f"decay_{m}min" for m in DECAYS_MIN], columns)


def concatenated(columns: Sequence[tf.Tensor]) -> tf.Tensor:
    """Tensors [B, n] side by side, put together ten at a time: TensorFlow Lite Micro takes no more at once."""
    while len(columns) > 1:
        columns = [tf.concat(columns[i : i + MOST], 1) for i in range(0, len(columns), MOST)]
    return columns[0]


class Features:
    """Columns gathered on the way, with their names and where they are available."""

    def __init__(self):
        """No columns yet."""
        self.names: list[str] = []
        self.values: list[tf.Tensor] = []
        self.available: list[tf.Tensor] = []

    def add(self, names: Sequence[str], values: tf.Tensor, available: tf.Tensor | None = None) -> None:
        """Add columns.

        Args:
            names: One for each column.
            values: [B, len(names)].
            available: 1 or 0, of a shape that broadcasts to that of `values`; by default always 1.
        """
        self.names += list(names)
        self.values.append(values)
        self.available.append(tf.ones_like(values) if available is None else available * tf.ones_like(values))
