"""The features of a window: computes the input of a network from a window of sensor values.

`WindowFeatures` computes them in groups:

| method            | features of each channel c, of heart rate, of activity or of time | what they describe          |
|-------------------|-------------------------------------------------------------------|-----------------------------|
| _statistics       | c_spread, _most, _least, _last, _step, _sensed                    | the window by itself        |
| _night_so_far     | c, c_from_5min, _from_20min, _from_night, c_z, c_missing_for      | the newest stride against   |
|                   |                                                                   | running averages            |
| _heart_rate       | heart_rate_from_last_*min, _slope, _rank, _above_low, _in_range   | heart rate against the last |
|                   |                                                                   | hour and its range so far   |
| _unrest           | heart_rate_spread, _step, _spread_*min, _usual_*, _most, _least,  | how restless heart rate is, |
|                   | _last                                                             | against the night so far    |
| _movement         | activity_*min, activity_most_*min, moving_*min                    | stillness over the last     |
|                   |                                                                   | half hour                   |
| _times            | since_moved, moved_just_now, hours, decay_*min                    | time since the last         |
|                   |                                                                   | movement, since the start   |

The context is the state carried from window to window; `context_sizes` lists its parts.

Variability of heart rate is taken relative to the wearer's night so far: in bpm it would tell as much about the sensor
(noise, smoothing, sampling interval) as about sleep.

All features are continuous in the sensor values (the rank counts in overlapping bins, low and high are expectiles), so
that rounding in another runtime makes no jumps. Only built-in TFLite operations are used, and few of them, as each
takes about 100 bytes of a microcontroller's RAM: channels, time spans and running means share operations.

Shapes: B nights, C channels, V values per window, K time spans, F features, N numbers of context.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from models.columns import Features, Table, concatenated
from pipeline.constants import CHANNELS, HOUR_S, MINUTE_S
from pipeline.options import Options

HOUR_MIN = 60
# of each channel
AVERAGES_MIN = (5, 20)  # time constants of exponential averages, used next to the mean of the night so far
SPANS = ("night", *(f"{m}min" for m in AVERAGES_MIN))
LEAST_VARIANCE = {"heart_rate": 1.0}  # bpm², added to the variance of z-scores, to keep rounding errors small early on
LEAST_VARIANCE_OTHER = 0.01  # the same for other channels, in their unit squared
# of heart rate
TRAILING_MIN = (5, 20, 60)  # trailing means
SPREAD_MIN = (2, 5, 10, 20)  # trailing SD
UNREST = ("spread", "step", *(f"spread_{m}min" for m in SPREAD_MIN))  # relative to the night so far
USUAL = ("spread", "spread_5min")  # means of the night so far that are features, too
SLOPE_MIN = 5  # trailing least squares
SLOPE_RIDGE_MIN2 = 0.01  # min², added to the sum of squared times: shrinks the slope of few values towards zero
BINS = np.arange(35.0, 151.0, dtype=np.float32)  # bpm, centres of the bins of the night's histogram, 1 bpm apart
HALF_BIN = 0.5  # bpm
EXPECTILES = (0.02, 0.98)  # low and high end of the night so far; Newey & Powell, Econometrica 1987
EXPECTILE_RATE = 0.1  # lowest share of the difference by which they move in 30 s
LEAST_RANGE = 2.0  # bpm, added between low and high end
BUFFERS = ("hour", "half_hour")  # parts of the context that lose their oldest value
# of activity
COUNTS_MIN = (2, 5, 10, 30)  # trailing means
STILL_MIN = (2.5, 10, 30)  # trailing maximum, and share of windows with movement
MOVED_RATE = 0.2  # per minute, at which moved_just_now decays
# of time
DECAYS_MIN = (10, 30, 90)  # time constants of exponential decays from the start of the night


class WindowFeatures:
    """The features of a set of channels.

    Attributes:
        options: Options that define a window.
        channels: Names of the channels, in order.
        context_sizes: {part of the context: number of values}, in order.
    """

    def __init__(self, options: Options, channels: Sequence[str]):
        """Create the features of these channels (names in pipeline.constants.CHANNELS)."""
        self.options = options
        self.channels = tuple(channels)
        kinds = {c: (CHANNELS[c].bins, c != "heart_rate", options.seconds_per_value(c)) for c in self.channels}
        self._groups = [[c for c in self.channels if kinds[c] == kind] for kind in sorted(set(kinds.values()))]
        self._stacked_channels = [c for group in self._groups for c in group]  # heart rate, other samples, bins
        count = len(self.channels)
        self.context_sizes = {
            "seen": count,  # number of windows with values
            "level": count,  # the latest one
            "running": count * len(SPANS),  # mean of the night so far and exponential averages; expectiles after them
            "variance": count,  # of the night so far
            "minutes": count + 2,  # since each channel's latest value, since the latest movement, since the start
        }
        if "heart_rate" in self.channels:
            self.context_sizes["running"] += len(EXPECTILES)
            self.context_sizes |= {
                "hour": HOUR_S // options.stride,  # levels of the last hour, 0 if missing
                "histogram": len(BINS),  # of the night so far
                "unrest_seen": len(UNREST),  # number of windows in which it could be measured
                "unrest": len(UNREST),  # mean of the night so far, log(1 + bpm)
            }
        if "activity" in self.channels:
            self.context_sizes |= {
                "half_hour": HOUR_S // 2 // options.stride,  # 1 + levels of the last half hour, 0 if missing
            }

    @property
    def _stride_min(self):
        return self.options.stride / MINUTE_S

    def measure(self, windows: Mapping[str, tf.Tensor], context: tf.Tensor) -> tuple[Features, tf.Tensor]:
        """Compute all features of a window.

        The groups read the parts of the context from `old` and write them to `new`.

        Args:
            windows: {channel: [B, V]}.
            context: Context before the window, [B, N].

        Returns:
            The features, and the context after the window, [B, N].
        """
        sizes = {}
        for name, size in self.context_sizes.items():
            sizes |= {f"oldest of {name}": 1, name: size - 1} if name in BUFFERS else {name: size}
        old = dict(zip(sizes, tf.split(context, [*sizes.values()], axis=1), strict=True))
        features, new = Features(), {}
        within = self._statistics(*self._stacked(windows), features)
        if self.options.stride == self.options.window_size:
            mean, n = (within.of(self.channels, name) for name in ("mean", "n"))
        else:
            mean, n = self._newest(windows)
        night, ends = self._night_so_far(mean, n, old, new, features)
        if "heart_rate" in self.channels:
            spread, number = self._heart_rate(night["heart_rate"], ends, old, new, features)
            self._unrest(within, spread, number, old, new, features)
        if "activity" in self.channels:
            self._movement(night["activity"], old, new, features)
        self._times(new, features)
        return features, concatenated([new[name] for name in self.context_sizes])

    def _stacked(self, windows, newest=False):
        """All channels stacked: values [B, C, V], 0 if missing, and whether they are valid, 1 or 0.

        A channel with fewer values has them at the end. Sums over bins (counts, steps) are heavy-tailed and used as
        log(1 + x). newest: only the newest stride.
        """
        size_of = self.options.values_per_stride if newest else self.options.values_per_window
        size = max(map(size_of, self._stacked_channels))
        rows, shifted = [], []  # values; values shifted to 0 if missing and at least 1 otherwise
        for name in self._stacked_channels:
            channel, x = CHANNELS[name], windows[name]
            if size_of(name) < x.shape[1]:
                x = tf.split(x, [x.shape[1] - size_of(name), size_of(name)], 1)[1]
            if size_of(name) < size:
                before = [[0, 0], [size - size_of(name), 0]]
                x = tf.pad(x, before, constant_values=np.float32(channel.missing))
            shifted.append(x - np.float32(channel.missing) if channel.missing else x)
            rows.append(tf.math.log(tf.maximum(shifted[-1], 1)) if channel.bins else x)
        values = tf.stack(rows, 1)
        valid = tf.clip_by_value(tf.stack(shifted, 1), 0, 1)  # clipped, so that no NaN enters the context
        return values * valid, valid

    def _newest(self, windows):
        """Mean (0 without values) and number of the valid values in the newest stride, [B, C] each."""
        x, valid = self._stacked(windows, newest=True)
        n = tf.reduce_sum(valid, 2)
        order = [self._stacked_channels.index(name) for name in self.channels]
        return (tf.gather(column, order, axis=1) for column in (tf.reduce_sum(x, 2) / tf.maximum(n, 1), n))

    def _statistics(self, x, valid, features):
        """Statistics of each channel's valid values in the window, relative to their mean. x, valid: [B, C, V].

        Returns a Table of them; the features of heart rate are added later, by `_unrest`.
        """
        n = tf.reduce_sum(valid, 2, keepdims=True)  # (B, C, 1)
        pairs = tf.maximum(n - 1, 1)
        mean = tf.reduce_sum(x, 2, keepdims=True) / tf.maximum(n, 1)
        away = (x - mean) * valid
        before, last, follows = _latest_valid(x, valid)
        sizes = np.float32([[[self.options.values_per_window(name)] for name in self._stacked_channels]])
        statistics = {
            "spread": tf.sqrt(tf.reduce_sum(away * away, 2, keepdims=True) / pairs),
            "step": tf.reduce_sum(tf.abs(x - before) * follows, 2, keepdims=True) / pairs,
            "most": tf.reduce_max(away, 2, keepdims=True),
            "least": tf.reduce_min(away, 2, keepdims=True),
            "last": last - mean,
            "sensed": n / sizes,
            "n": n,
            "mean": mean,
        }
        within = Table(self._stacked_channels, statistics)
        for group in self._groups:
            numbers = [within.column(c, "n") for c in group]
            for name, least in (("spread", 2), ("most", 1), ("least", 1), ("last", 1), ("step", 2), ("sensed", 0)):
                bare = name == "step" and self.options.values_per_window(group[0]) <= 2
                if name == "sensed" or not (bare or group == ["heart_rate"]):
                    columns = [within.column(c, name) for c in group]
                    features.add([f"{c}_{name}" for c in group], within.flat, within.flat, columns, numbers, least)
        return within

    def _night_so_far(self, mean, n, old, new, features):
        """Level of each channel in the newest stride, relative to running averages.

        mean: of the valid values in the newest stride, 0 without any; n: their number; [B, C] each.
        Returns {channel: {"level": the latest one; "mean"; "sensed": 1 if there are values, else 0; "seen": number of
        windows with values; "share": 1 / seen}}, and heart rate's differences from its low and its high end, [B, 1]
        each.
        """
        sensed = tf.minimum(n, 1)
        level = new["level"] = mean + (1 - sensed) * old["level"]
        seen = new["seen"] = old["seen"] + sensed
        share = 1 / tf.maximum(seen, 1)
        minutes = old["minutes"] + self._stride_min
        before = tf.minimum(old["seen"], 1)  # 0 until after the first value, which has no spread
        # Means that turn into exponential averages: rate max(1/n, 1 - exp(-minutes passed / span)), independent of the
        # sensor's interval; an infinite span keeps the mean. And expectiles of heart rate.
        count, parts = (
            len(self.channels),
            {"level": level, "mean": mean, "sensed": sensed, "seen": seen, "share": share},
        )
        together = tf.concat([*parts.values()], 1)
        columns = tf.split(together, len(parts) * count, 1)
        night = {c: dict(zip(parts, columns[i::count], strict=True)) for i, c in enumerate(self.channels)}
        moved = tf.minimum(night["activity"]["mean"], 1) if "activity" in self.channels else tf.zeros_like(columns[0])
        since = new["minutes"] = minutes * (1 - tf.concat([sensed, moved, tf.zeros_like(moved)], 1))
        channel, decay = [*range(count)] * len(SPANS), np.repeat([0, *(-1 / m for m in AVERAGES_MIN)], count)
        start = old["running"]
        if "heart_rate" in self.channels:
            channel += [self.channels.index("heart_rate")] * len(EXPECTILES)
            decay = np.append(decay, [np.log(1 - EXPECTILE_RATE) / self._stride_min] * len(EXPECTILES))
        of_channel = np.float32([[c == other for other in channel] for c in range(count)])  # (C, running)
        wanted = [[*parts].index(name) * count + c for name in ("level", "share", "sensed") for c in channel]
        x, shares, gate = tf.split(tf.gather(together, wanted, axis=1), 3, 1)
        fading = np.pad(of_channel * np.float32(decay), [(0, 2), (0, 0)])
        rate = tf.maximum(shares, 1 - tf.exp(tf.matmul(minutes, fading))) * gate
        if "heart_rate" in self.channels:  # an expectile begins at the first value
            start += (
                tf.matmul(tf.nn.relu(sensed - before), of_channel * (np.arange(len(channel)) >= count * len(SPANS))) * x
            )
        miss = x - start
        running = new["running"] = start + rate * (self._leaning(miss) if "heart_rate" in self.channels else miss)
        deviation = x - running
        sizes = [count, len(channel) - count]  # the mean of the night so far, and the rest
        product, share_of_night = (tf.split(x, sizes, 1)[0] for x in (miss * deviation, rate))
        from_night, _, *ends = tf.split(
            deviation, [count, len(AVERAGES_MIN) * count] + [1] * (len(channel) - 3 * count), 1
        )
        squared = product * before  # exactly 0 at the first value, whatever the rounding
        variance = new["variance"] = old["variance"] + share_of_night * (squared - old["variance"])  # Welford 1962
        least = np.float32([LEAST_VARIANCE.get(c, LEAST_VARIANCE_OTHER) for c in self.channels])

        features.add(self.channels, level, seen)
        for span in (*SPANS[1:], SPANS[0]):
            columns = range(SPANS.index(span) * count, (SPANS.index(span) + 1) * count)
            features.add([f"{c}_from_{span}" for c in self.channels], deviation, seen, columns)
        features.add([f"{c}_z" for c in self.channels], from_night / tf.sqrt(variance + least), seen)
        features.add([f"{c}_missing_for" for c in self.channels], tf.math.log(since + 1), seen, least=0)
        return night, ends

    def _leaning(self, miss):
        """Differences `miss` [B, running], weighted for expectiles: e if above, 1 - e if below.

        For the low end the lesser of both products is used, for the high end the greater, for an average either.
        """
        averages = [1.0] * len(self.channels) * len(SPANS)
        sign, up, down = (
            np.float32(averages + ends) for ends in ([-1.0, 1.0], [*EXPECTILES], [1 - e for e in EXPECTILES])
        )
        return tf.maximum(miss * (sign * up), miss * (sign * down)) * sign

    def _trailing(self, minutes, size):
        """Mask [size, K] of a buffer of windows: 1 if a window lies within each of the last `minutes`, else 0."""
        windows = [max(1, round(m * MINUTE_S / self.options.stride)) for m in minutes]
        return np.float32([[i >= size - n for n in windows] for i in range(size)])

    def _heart_rate(self, night, ends, old, new, features):
        """Heart rate relative to its last hour and its range so far. night, ends: from `_night_so_far`.

        Returns its trailing SDs in bpm, for `_unrest`, and the number of values behind them, [B, K] each.
        """
        hour = new["hour"] = tf.concat([old["hour"], night["mean"]], 1)  # (B, size), 0 if missing
        valid, size = tf.minimum(hour, 1), hour.shape[1]
        change = (night["level"] - hour) * valid  # differences are summed, as sums of values would lose digits

        spans = [*SPREAD_MIN, *(m for m in TRAILING_MIN if m not in SPREAD_MIN)]
        mask = self._trailing(spans, size)
        n = tf.matmul(valid, mask)
        mean = tf.matmul(change, mask) / tf.maximum(n, 1)
        columns = [spans.index(m) for m in TRAILING_MIN]
        features.add([f"heart_rate_from_last_{m}min" for m in TRAILING_MIN], mean, n, columns, columns)

        recent = max(2, round(max(SPREAD_MIN) * MINUTE_S / self.options.stride))
        sizes = [size - recent, recent]
        newest, on = (tf.expand_dims(tf.split(x, sizes, 1)[1], 1) for x in (change, valid))  # (B, 1, recent)
        sizes = [len(SPREAD_MIN), len(spans) - len(SPREAD_MIN)]
        centre, number = (tf.split(x, sizes, 1)[0] for x in (mean, n))
        squares = tf.math.squared_difference(newest, tf.expand_dims(centre, 2)) * (
            on * self._trailing(SPREAD_MIN, recent).T  # (B, K, recent)
        )
        spread = tf.sqrt(tf.reduce_sum(squares, 2) / tf.maximum(number - 1, 1))

        self._slope(change, valid, n, spans.index(SLOPE_MIN), features)
        self._rank(night, old, new, features)
        above_low, above_high = ends
        features.add(["heart_rate_above_low"], above_low, night["seen"])
        wide = tf.nn.relu(above_low - above_high) + LEAST_RANGE
        features.add(["heart_rate_in_range"], above_low / wide, night["seen"])
        return spread, number

    def _slope(self, change, valid, n, column, features):
        """Least squares over the valid windows of the last minutes, bpm per minute.

        With sums over N values x at times t: (N sum(tx) - sum(t) sum(x)) / (N (sum(tt) + ridge) - sum(t) sum(t)), with
        times relative to the middle. change: level - x. column: that of N in n [B, K].
        """
        size = change.shape[1]
        recent = max(2, round(SLOPE_MIN * MINUTE_S / self.options.stride))  # needs two
        t = np.arange(size) - size + (recent + 1) / 2
        on = np.arange(size) >= size - recent
        t *= on * self._stride_min
        ones = tf.matmul(valid, np.float32([on, -t]).T)  # N, -sum(t)
        times = tf.matmul(valid, np.float32([t * t, t]).T) + np.float32([SLOPE_RIDGE_MIN2, 0])
        values = tf.matmul(change, np.float32([-t, -1.0 * on]).T)
        above, below = (tf.reduce_sum(ones * x, 1, keepdims=True) for x in (values, times))
        slope = above / tf.maximum(below, SLOPE_RIDGE_MIN2)
        features.add(["heart_rate_slope"], slope, n, count_columns=[column], least=2)

    def _rank(self, night, old, new, features):
        """Share of the night so far with lower heart rate; each value is divided between the two nearest bins."""
        from_bins = tf.clip_by_value(night["level"], BINS[0], BINS[-1]) - BINS
        near = tf.nn.relu(1 - tf.abs(from_bins)) * night["sensed"]
        histogram = new["histogram"] = old["histogram"] + near
        below = tf.minimum(tf.nn.relu(from_bins + HALF_BIN), 1)
        rank = tf.reduce_sum(histogram * below, 1, keepdims=True) * night["share"]
        features.add(["heart_rate_rank"], rank, night["seen"])

    def _unrest(self, within, spread, number, old, new, features):
        """Variability of heart rate in the window and recently: log(1 + bpm), less its mean over the night so far.

        within: from `_statistics`; spread and number: from `_heart_rate`.
        """
        names = ("spread", "step", "most", "least", "last", "sensed", "n")
        assert [within.column("heart_rate", name) for name in names] == [*range(7)]  # heart rate comes first
        sizes = [2, 3, 1, 1, within.flat.shape[1] - 7]
        shaken, ends, _, n, _ = tf.split(within.flat, sizes, 1)
        numbers = tf.concat([n, n, number], 1)
        measured = tf.minimum(tf.nn.relu(numbers - 1), 1)
        x = tf.math.log(tf.concat([shaken, spread], 1) + 1)  # (B, UNREST)
        seen = new["unrest_seen"] = old["unrest_seen"] + measured
        usual = new["unrest"] = old["unrest"] + measured / tf.maximum(seen, 1) * (x - old["unrest"])
        features.add([f"heart_rate_{name}" for name in UNREST], x - usual, numbers, least=2)
        columns = [UNREST.index(name) for name in USUAL]
        features.add([f"heart_rate_usual_{name}" for name in USUAL], usual, seen, columns, columns)
        relative = ends / tf.exp(tf.split(usual, [1, len(UNREST) - 1], 1)[0])  # divided by 1 bpm + the usual spread
        features.add([f"heart_rate_{name}" for name in ("most", "least", "last")], relative, n, least=2)

    def _movement(self, night, old, new, features):
        """Activity over the last half hour. night: from `_night_so_far`."""
        newest = night["mean"] + night["sensed"]  # 1 + level, 0 if missing
        half = new["half_hour"] = tf.concat([old["half_hour"], newest], 1)
        count = tf.nn.relu(half - 1)
        spans = [*COUNTS_MIN, *(m for m in STILL_MIN if m not in COUNTS_MIN)]
        mask = self._trailing(spans, half.shape[1])
        n = tf.matmul(tf.minimum(half, 1), mask)
        divisor = tf.maximum(n, 1)
        features.add([f"activity_{m}min" for m in COUNTS_MIN], tf.matmul(count, mask) / divisor, n)

        columns = [spans.index(m) for m in STILL_MIN]
        share = tf.matmul(tf.minimum(count, 1), mask) / divisor  # movement is log(1 + 3.07) or more
        most = tf.reduce_max(tf.expand_dims(count, 1) * self._trailing(STILL_MIN, half.shape[1]).T, 2)
        features.add([f"activity_most_{m}min" for m in STILL_MIN], most, n, count_columns=columns)
        features.add([f"moving_{m}min" for m in STILL_MIN], share, n, columns, columns)

    def _times(self, new, features):
        """Time since the last movement and since the start of the night."""
        minutes, count = new["minutes"], len(self.channels)
        moved, clock = np.eye(count + 2, dtype=np.float32)[-2:, :, None]
        rates = np.concatenate([moved * -MOVED_RATE, *(clock * (-1 / m) for m in DECAYS_MIN)], 1)
        decays = tf.exp(tf.matmul(minutes, np.float32(rates)))
        if "activity" in self.channels:
            features.add(["since_moved"], tf.math.log(minutes + 1), new["seen"], [count], [0], least=0)
            features.add(["moved_just_now"], decays, new["seen"], [0], [0], least=0)
        features.add(["hours"], minutes * np.float32(1 / HOUR_MIN), new["seen"], [count + 1], [0], least=0)
        names = [f"decay_{m}min" for m in DECAYS_MIN]
        features.add(names, decays, new["seen"], range(1, len(rates[0])), [0] * len(names), least=0)


def _latest_valid(x: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Find the latest valid value before each value.

    Args:
        x: Values, [B, C, V].
        valid: 1 if a value is valid, else 0, [B, C, V].

    Returns:
        The latest valid value before each value, 0 if there is none, [B, C, V]; the last valid value, [B, C, 1]; 1 if a
        value and an earlier one are valid, else 0, [B, C, V].
    """
    channels, size = x.shape[1:]
    place = valid * np.arange(1, size + 1, dtype=np.float32)  # from 1; the greatest before a value is the latest
    padded = tf.reshape(tf.pad(place, [[0, 0], [0, 0], [size, 0]]), (-1, channels, 2 * size, 1))
    newest = tf.reshape(tf.nn.max_pool2d(padded, (1, size), 1, "VALID"), (-1, channels, size + 1))
    latest = tf.gather(tf.pad(x, [[0, 0], [0, 0], [1, 0]]), tf.cast(newest, tf.int32), axis=2, batch_dims=2)
    before, last = tf.split(latest, [size, 1], 2)
    return before, last, valid * tf.split(tf.minimum(newest, 1), [size, 1], 2)[0]
