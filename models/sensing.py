"""Sensing: the float32 front end. One window in, context in -> features, context out.

`Sensing.step` is the only definition. Exported, it runs on the wrist; rolled over nights (`Sensing.nights`), it gives
the features that the networks are trained on. Everything in it is continuous in the sensed values (the rank counts in
overlapping bins, low and high are expectiles), so that another runtime's rounding cannot tip it over an edge.
"""

import numpy as np
import tensorflow as tf

from models.assemble import padded, roll
from pipeline.options import CHANNELS, HOUR_S

BINS = np.arange(35.0, 151.0, dtype=np.float32)  # bpm, of heart rate's histogram of the night so far
AVERAGES_MIN = (5, 20)  # time constants of exponential averages; beside them the mean of the night so far
TRAILING_MIN = (5, 20, 60)  # trailing means of heart rate
SPREAD_MIN = (2, 5, 10, 20)  # trailing SD of heart rate
SLOPE_MIN = 5
COUNTS_MIN = (2, 5, 10, 30)  # trailing means of activity
STILL_MIN = (2.5, 10, 30)  # trailing maximum of activity, and share of windows with movement
DECAYS_MIN = (10, 30, 90)
EXPECTILES = (0.02, 0.98)  # Newey & Powell, Econometrica 1987
EXPECTILE_RATE = 0.1
AT_ONCE = 64  # nights rolled over together: some 20 MB each
LIMIT = 4.0  # SD: features are held within


class Sensing:
    """The front end for a set of channels.

    options: pipeline.options.Options. channels: names, in order. scaler: {"mean": [F], "spread": [F]} of the training
    nights, or None before it is fitted.
    """

    def __init__(self, options, channels, scaler=None):
        self.options, self.channels, self.scaler = options, tuple(channels), scaler
        hour, half = HOUR_S // options.stride, HOUR_S // 2 // options.stride
        many = len(self.channels)
        self.parts = {"seen": many, "level": many, "averages": many * (len(AVERAGES_MIN) + 1), "variance": many}
        self.parts |= {"since_sensed": many, "clock": 1}
        if "heart_rate" in self.channels:
            self.parts |= {"hour": hour, "histogram": len(BINS), "expectiles": len(EXPECTILES)}
        if "activity" in self.channels:
            self.parts |= {"half_hour": half, "since_moved": 1}
        self.size = sum(self.parts.values())

    def initial(self):
        """[1, N] float32: the context before the night."""
        return np.zeros((1, self.size), np.float32)

    def step(self, windows, context):
        """windows: {channel: [B, values_per_window]}, context: [B, N] -> features [B, F], context [B, N]."""
        values, known, context = self.measure(windows, context)
        return self.scale(values, known), context

    def measure(self, windows, context):
        """As `step`, before scaling: values [B, F], known [B, F] (0 where nothing is known of it yet), context."""
        old = dict(zip(self.parts, tf.split(context, list(self.parts.values()), axis=1), strict=True))
        out, new = Features(), {}
        self._statistics(windows, out)
        level, has = self._night_so_far(windows, old, new, out)
        if "heart_rate" in self.channels:
            at = self.channels.index("heart_rate")
            self._heart_rate(level[:, at : at + 1], has[:, at : at + 1], new["seen"][:, at : at + 1], old, new, out)
        if "activity" in self.channels:
            at = self.channels.index("activity")
            self._movement(level[:, at : at + 1], has[:, at : at + 1], old, new, out)
        new["clock"] = old["clock"] + self.options.stride / 60
        decays = tf.exp(new["clock"] * -np.float32([1 / m for m in DECAYS_MIN]))
        out.add(["hours"] + [f"decay_{m}min" for m in DECAYS_MIN], tf.concat([new["clock"] / 60, decays], 1))
        self.names = out.names
        return tf.concat(out.values, 1), tf.concat(out.known, 1), tf.concat([new[name] for name in self.parts], 1)

    def _grouped(self, windows, newest=False):
        """Channels with equally many values, stacked: yields (names, values [B, C, V], valid [B, C, V] as 0 or 1).

        Sums over bins (counts, steps) are heavy-tailed and go in as log(1 + x).
        """
        for bins in (False, True):
            for seconds in sorted({self.options.seconds(c) for c in self.channels}):
                names = [c for c in self.channels if CHANNELS[c].bins == bins and self.options.seconds(c) == seconds]
                if not names:
                    continue
                x = tf.stack([windows[name] for name in names], axis=1)
                if newest and self.options.newest(names[0]) < x.shape[2]:
                    x = x[:, :, -self.options.newest(names[0]) :]
                low = np.float32([[[CHANNELS[name].low] for name in names]])
                valid = tf.cast(x >= low, tf.float32)
                x *= valid  # missing is 0 from here on
                yield names, tf.math.log(x + 1) if bins else x, valid

    def _statistics(self, windows, out):
        """What each channel did in the window: over its valid values."""
        for names, x, valid in self._grouped(windows):
            size = x.shape[2]
            n = tf.reduce_sum(valid, 2)
            some = tf.minimum(n, 1)
            mean = tf.reduce_sum(x, 2) / tf.maximum(n, 1)
            away = (x - tf.expand_dims(mean, 2)) * valid
            spread = tf.sqrt(tf.reduce_sum(away * away, 2) / tf.maximum(n, 1))
            number = tf.cumsum(valid, 2) * valid  # of each valid value, from 1
            newest = tf.cast(tf.equal(number, tf.expand_dims(n, 2)), tf.float32)
            last = tf.reduce_sum(away * newest, 2)
            most, least = tf.reduce_max(away, 2), tf.reduce_min(away, 2)
            for name, column in (("spread", spread), ("most", most), ("least", least), ("last", last)):
                out.add([f"{c}_{name}" for c in names], column, some)
            if size > 2:  # mean absolute difference of each valid value from the valid one before it
                pair = tf.equal(tf.expand_dims(number, 3), tf.expand_dims(number + 1, 2))  # [B, C, V, V]
                before = tf.squeeze(tf.cast(pair, tf.float32) @ tf.expand_dims(x, 3), 3)  # one product is not 0: exact
                step = tf.reduce_sum(tf.abs(x - before) * tf.minimum(tf.nn.relu(number - 1), 1), 2)
                out.add([f"{c}_step" for c in names], step / tf.maximum(n - 1, 1), tf.minimum(tf.nn.relu(n - 1), 1))
            out.add([f"{c}_sensed" for c in names], n / size)

    def _night_so_far(self, windows, old, new, out):
        """Level of each channel in the newest stride, against running averages. Returns level and whether sensed."""
        means, flags, order = [], [], []
        for names, x, valid in self._grouped(windows, newest=True):
            n = tf.reduce_sum(valid, 2)
            means.append(tf.reduce_sum(x, 2) / tf.maximum(n, 1))
            flags.append(tf.minimum(n, 1))
            order += names
        mean, has = tf.concat(means, 1), tf.concat(flags, 1)
        if tuple(order) != self.channels:
            mean, has = (tf.gather(x, [order.index(name) for name in self.channels], axis=1) for x in (mean, has))
        level = new["level"] = has * mean + (1 - has) * old["level"]
        seen = new["seen"] = old["seen"] + has
        some = tf.minimum(seen, 1)
        minutes = self.options.stride / 60
        since = new["since_sensed"] = (old["since_sensed"] + minutes) * (1 - has)

        # a mean of what was seen that turns into an exponential average: rate max(1/n, a); a = 0 keeps the mean
        share = 1 / tf.maximum(seen, 1)
        slow = [np.float32(1 - np.exp(-minutes / m)) for m in AVERAGES_MIN] + [np.float32(0)]
        many = len(self.channels)
        shares, hases, levels = (tf.concat([x] * len(slow), 1) for x in (share, has, level))  # [B, 3 C]
        rate = tf.maximum(shares, np.repeat(slow, many)) * hases
        gone = levels - old["averages"]
        averages = new["averages"] = old["averages"] + rate * gone
        from_averages = levels - averages
        away = from_averages[:, -many:]
        first = tf.minimum(old["seen"], 1)  # 0 at the first value: no spread yet, and the average of nothing is far off
        step = gone[:, -many:] * away * first
        variance = new["variance"] = old["variance"] + share * has * (step - old["variance"])  # Welford 1962
        out.add(self.channels, level, some)
        spans = [f"{m}min" for m in AVERAGES_MIN] + ["night"]
        out.add([f"{c}_from_{name}" for name in spans for c in self.channels], from_averages, tf.concat([some] * 3, 1))
        least = np.float32([1.0 if c == "heart_rate" else 0.01 for c in self.channels])  # keeps rounding small early on
        out.add([f"{c}_z" for c in self.channels], away / tf.sqrt(variance + least), some)
        out.add([f"{c}_missing_for" for c in self.channels], tf.math.log(since + 1))
        return level, has

    def _trailing(self, minutes, size):
        """[K, size]: for each time the newest windows of a buffer that lie within it."""
        windows = [max(1, round(m * 60 / self.options.stride)) for m in minutes]
        return np.float32([[i >= size - n for i in range(size)] for n in windows])

    def _means(self, x, valid, minutes):
        """Trailing means of a buffer x [B, size] where valid, over each of `minutes`: mean and number [B, K], mask."""
        mask = self._trailing(minutes, x.shape[1])
        n = tf.matmul(valid, mask.T)
        return tf.matmul(x, mask.T) / tf.maximum(n, 1), n, mask

    def _heart_rate(self, level, has, seen, old, new, out):
        hour = new["hour"] = tf.concat([old["hour"][:, 1:], level * has], 1)  # [B, H], 0 where missing
        valid = tf.minimum(hour, 1)
        some = tf.minimum(seen, 1)

        gone = (level - hour) * valid  # summed rather than the values themselves: less is lost to rounding

        mean, n, _ = self._means(gone, valid, TRAILING_MIN)
        out.add([f"heart_rate_from_last_{m}min" for m in TRAILING_MIN], mean, tf.minimum(n, 1))

        few = max(2, round(max(SPREAD_MIN) * 60 / self.options.stride))  # the slope needs two
        gone, valid = gone[:, -few:], valid[:, -few:]
        mean, n, mask = self._means(gone, valid, SPREAD_MIN)
        away = (tf.expand_dims(gone, 1) - tf.expand_dims(mean, 2)) * (tf.expand_dims(valid, 1) * mask)
        spread = tf.sqrt(tf.reduce_sum(away * away, 2) / tf.maximum(n, 1))
        out.add([f"heart_rate_spread_{m}min" for m in SPREAD_MIN], spread, tf.minimum(tf.nn.relu(n - 1), 1))

        few = max(
            2, round(SLOPE_MIN * 60 / self.options.stride)
        )  # least squares over the valid windows of the last minutes
        x, on = -gone[:, -few:], valid[:, -few:]
        n = tf.maximum(tf.reduce_sum(on, 1, keepdims=True), 1)
        minute = np.arange(few, dtype=np.float32)[None] * np.float32(self.options.stride / 60)
        when = (minute - tf.reduce_sum(minute * on, 1, keepdims=True) / n) * on
        away = x - tf.reduce_sum(x, 1, keepdims=True) / n
        spent = tf.reduce_sum(when * when, 1, keepdims=True)
        slope = tf.reduce_sum(when * away, 1, keepdims=True) / (spent + 0.01)
        out.add(["heart_rate_slope"], slope, tf.minimum(tf.nn.relu(n - 1), 1))

        held = tf.clip_by_value(level, BINS[0], BINS[-1])
        near = tf.nn.relu(1 - tf.abs(held - BINS)) * has
        histogram = new["histogram"] = old["histogram"] + near
        below = tf.clip_by_value(held - BINS + 0.5, 0.0, 1.0)
        rank = tf.reduce_sum(histogram * below, 1, keepdims=True) / tf.maximum(seen, 1)
        out.add(["heart_rate_rank"], rank, some)

        share = 1 / tf.maximum(seen, 1)
        miss = level - old["expectiles"]
        up, down = np.float32(EXPECTILES), np.float32([1 - e for e in EXPECTILES])
        rate = tf.maximum(share, EXPECTILE_RATE) * has
        first = tf.nn.relu(2 - seen) * has  # 1 at the first value, 0 after
        moved = old["expectiles"] + rate * (up * tf.nn.relu(miss) - down * tf.nn.relu(-miss))
        ends = new["expectiles"] = first * level + (1 - first) * moved
        wide = tf.nn.relu(ends[:, 1:] - ends[:, :1]) + 2.0  # bpm
        above = level - ends[:, :1]
        out.add(["heart_rate_above_low", "heart_rate_in_range"], tf.concat([above, above / wide], 1), some)

    def _movement(self, level, has, old, new, out):
        half = new["half_hour"] = tf.concat([old["half_hour"][:, 1:], (level + 1) * has], 1)  # 0 where missing
        valid = tf.minimum(half, 1)
        count = tf.nn.relu(half - 1)
        mean, n, _ = self._means(count, valid, COUNTS_MIN)
        out.add([f"activity_{m}min" for m in COUNTS_MIN], mean, tf.minimum(n, 1))

        share, n, mask = self._means(tf.minimum(count, 1), valid, STILL_MIN)  # log(1 + 3.07) and more is movement
        out.add(
            [f"activity_most_{m}min" for m in STILL_MIN],
            tf.reduce_max(tf.expand_dims(count, 1) * mask, 2),
            tf.minimum(n, 1),
        )
        out.add([f"moving_{m}min" for m in STILL_MIN], share, tf.minimum(n, 1))
        still = 1 - tf.minimum(level * has, 1)
        since = new["since_moved"] = (old["since_moved"] + self.options.stride / 60) * still
        out.add(["since_moved", "moved_just_now"], tf.concat([tf.math.log(since + 1), tf.exp(since * -0.2)], 1))

    def scale(self, values, known):
        """Standardised features: 0 (the average) where unknown, within LIMIT spreads."""
        mean, spread = (np.float32(self.scaler[name]) for name in ("mean", "spread"))
        return tf.clip_by_value((values - mean) * (1 / spread), -LIMIT, LIMIT) * known

    def measured(self, nights):
        """Values and known, each a list of [windows, F] per night: `measure` rolled over whole nights."""
        if len(nights) > AT_ONCE:
            parts = [self.measured(nights[i : i + AT_ONCE]) for i in range(0, len(nights), AT_ONCE)]
            return [[x for part in parts for x in part[i]] for i in (0, 1)]
        batch = {
            name: padded([night.window(name, self.options) for night in nights], CHANNELS[name].missing)
            for name in self.channels  # [B, T, V]
        }
        start = {"context": np.repeat(self.initial(), len(nights), 0)}

        def one(inputs, states):
            values, known, context = self.measure(inputs, states["context"])
            return {"values": values, "known": known}, {"context": context}

        out, _ = roll(one, batch, start)
        return [[x[: len(night)] for x, night in zip(out[key], nights, strict=True)] for key in ("values", "known")]

    def fit(self, values, known):
        """Fit the scaler on what was `measured`: each feature's mean and spread where known. Training nights only."""
        values, known = np.concatenate(values), np.concatenate(known)
        n = np.maximum(known.sum(0), 1)
        mean = (values * known).sum(0, dtype=np.float64) / n
        spread = np.sqrt((((values - mean) * known) ** 2).sum(0, dtype=np.float64) / n)
        self.scaler = {"mean": mean.tolist(), "spread": np.where(spread > 1e-3, spread, 1).tolist()}

    def nights(self, nights):
        """Sequence form: features of each night, a list of [windows, F] float32."""
        return self.scaled(*self.measured(nights))

    def scaled(self, values, known):
        """Features of what was `measured`."""
        return [self.scale(v, k).numpy() for v, k in zip(values, known, strict=True)]


class Features:
    """Columns gathered on the way, with their names and whether they are known."""

    def __init__(self):
        self.names, self.values, self.known = [], [], []

    def add(self, names, values, known=None):
        """values: [B, len(names)]; known: broadcastable to it, 1 or 0; by default always known."""
        self.names += list(names)
        self.values.append(values)
        self.known.append(tf.ones_like(values) if known is None else known * tf.ones_like(values))
