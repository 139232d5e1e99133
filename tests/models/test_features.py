"""Features of a window are what they are called, and the context is of the sizes that it says.

Expected values come from `by_hand`: plain numpy in float64 over the night so far, anew for every window.
"""

import numpy as np
import pytest
import tensorflow as tf

from export.convert import lean, sensing_model
from export.cost import cost_of
from models.columns import MOST, Columns, Features, concatenated
from models.features import BINS, EXPECTILE_RATE, EXPECTILES, WindowFeatures
from models.sensing import Sensing
from pipeline.constants import CHANNELS
from pipeline.options import Options

STATISTICS = "spread", "most", "least", "last", "step", "sensed", "usual_spread"  # of windows alone


def held(level):
    """Each value, or where missing (NaN) the one before it; NaN before the first."""
    at = np.maximum.accumulate(np.where(np.isnan(level), -1, np.arange(len(level))))
    return np.where(at >= 0, level[at], np.nan)


def levels(night, channel, newest):
    """[windows] mean of what was sensed in the newest stride, counts as log(1 + x); NaN where nothing was."""
    x = night.channels[channel][:, -newest:].astype(float)
    x = np.where(x >= CHANNELS[channel].low, x, np.nan)
    x = np.log1p(x) if CHANNELS[channel].bins else x
    some = np.isfinite(x).any(1)
    return np.where(some, np.nanmean(np.where(some[:, None], x, 0), 1), np.nan)


def trailing(function, level, windows, least=1):
    """[windows] of function over what was sensed in the newest `windows`, NaN where fewer than `least` were."""
    out = np.full(len(level), np.nan)
    for i in range(len(level)):
        recent = level[max(0, i + 1 - windows) : i + 1]
        recent = recent[np.isfinite(recent)]
        if len(recent) >= least:
            out[i] = function(recent)
    return out


def slope(level, minute):
    """bpm per minute of least squares; few values are drawn to zero a little."""
    out = np.full(len(level), np.nan)
    for i in range(len(level)):
        recent = level[max(0, i - 9) : i + 1]
        when = minute * np.flatnonzero(np.isfinite(recent))
        if len(when) > 1:
            spent = ((when - when.mean()) ** 2).sum()
            out[i] = np.polyfit(when, recent[np.isfinite(recent)], 1)[0] * spent / (spent + 0.01)
    return out


def sample_sd(x):
    return np.std(x, ddof=1)


def by_hand(night):
    """{feature: [windows]} of heart rate and activity at a stride of 30 s, NaN where it is unknown."""
    out = {}
    for channel, newest, least in (("heart_rate", 30, 1.0), ("activity", 2, 0.01)):
        level = levels(night, channel, newest)
        last, everything = held(level), len(level)
        out[channel] = last
        mean = trailing(np.mean, level, everything)
        out[f"{channel}_from_night"] = last - mean
        out[f"{channel}_z"] = (last - mean) / np.sqrt(trailing(np.var, level, everything) + least)
        for minutes in (5, 20):
            average, seen, gone, course = np.nan, 0, 0, []
            for x in level:
                gone += 0.5
                if np.isfinite(x):
                    seen += 1
                    rate, gone = max(1 / seen, 1 - np.exp(-gone / minutes)), 0
                    average = x if seen == 1 else average + rate * (x - average)
                course.append(average)
            out[f"{channel}_from_{minutes}min"] = last - course
        gone = np.arange(everything) - np.maximum.accumulate(np.where(np.isnan(level), -1, np.arange(everything)))
        out[f"{channel}_missing_for"] = np.log1p(gone / 2)
    rate, counts = levels(night, "heart_rate", 30), levels(night, "activity", 2)
    for minutes in (5, 20, 60):
        out[f"heart_rate_from_last_{minutes}min"] = held(rate) - trailing(np.mean, rate, 2 * minutes)
    for minutes in (2, 5, 10, 20):
        spread = np.log1p(trailing(sample_sd, rate, 2 * minutes, least=2))
        out[f"heart_rate_spread_{minutes}min"] = spread - trailing(np.mean, spread, everything)
        if minutes == 5:
            out["heart_rate_usual_spread_5min"] = trailing(np.mean, spread, everything)
    out["heart_rate_slope"] = slope(rate, 0.5)
    for minutes in (2, 5, 10, 30):
        out[f"activity_{minutes}min"] = trailing(np.mean, counts, 2 * minutes)
    moving = np.where(np.isnan(counts), np.nan, np.minimum(counts, 1))
    for minutes, windows in (("2.5", 5), ("10", 20), ("30", 60)):
        out[f"activity_most_{minutes}min"] = trailing(np.max, counts, windows)
        out[f"moving_{minutes}min"] = trailing(np.mean, moving, windows)
    since, course = 0.0, []
    for x in np.nan_to_num(moving):
        since = (since + 0.5) * (1 - x)
        course.append(since)
    out["since_moved"], out["moved_just_now"] = np.log1p(course), np.exp(-0.2 * np.array(course))
    out["hours"] = np.arange(1, len(night) + 1) / 120
    for minutes in (10, 30, 90):
        out[f"decay_{minutes}min"] = np.exp(-out["hours"] * 60 / minutes)
    return out


def test_features_of_the_night_so_far(usual):
    expected = by_hand(usual.nights[0])
    assert len(expected) > 30
    for name, x in expected.items():
        assert np.array_equal(usual.available_of(name), np.isfinite(x)), name
        assert np.isfinite(x).sum() > 300
        apart = np.abs(usual.column(name) - x)
        assert np.nanmax(apart) < 2e-3, name


def test_statistics_of_a_window(usual):
    night = usual.nights[0]
    for channel in usual.channels:
        x = night.channels[channel].astype(float)
        valid = x >= CHANNELS[channel].low
        x = np.log1p(x.clip(0)) if channel == "activity" else x
        assert np.allclose(usual.column(f"{channel}_sensed"), valid.mean(1))
        unrest = {"spread": [], "step": []}  # of heart rate, log(1 + bpm) of the night so far
        ends = ("most", "least", "last")
        for i in range(len(night)):
            some = x[i, valid[i]]
            enough = len(some) > (channel == "heart_rate")
            assert (usual.available_of(f"{channel}_spread")[i] > 0) == (len(some) > 1)
            assert all((usual.available_of(f"{channel}_{name}")[i] > 0) == enough for name in ends)
            actual = [usual.column(f"{channel}_{name}")[i] for name in ends]
            expected = np.array([end - some.mean() for end in (some.max(), some.min(), some[-1])]) if enough else 0
            if channel == "activity":
                assert not enough or np.allclose(actual, expected, atol=1e-3)
                assert len(some) < 2 or np.isclose(usual.column("activity_spread")[i], sample_sd(some), atol=1e-3)
            elif enough:
                for name, value in (("spread", sample_sd(some)), ("step", np.abs(np.diff(some)).mean())):
                    unrest[name].append(np.log1p(value))
                    against = unrest[name][-1] - np.mean(unrest[name])
                    assert np.isclose(usual.column(f"heart_rate_{name}")[i], against, atol=2e-3)
                assert np.allclose(actual, expected / np.exp(np.mean(unrest["spread"])), atol=2e-3)
                assert np.isclose(usual.column("heart_rate_usual_spread")[i], np.mean(unrest["spread"]), atol=2e-3)


def test_rank_is_the_share_of_the_night_so_far_that_was_lower_and_moves_smoothly(of_sensors):
    rng = np.random.default_rng(0)
    options, whole = Options(channels=("heart_rate",)), rng.integers(30, 156, 200).astype(float)
    whole[rng.random(200) < 0.2] = np.nan
    nights = [np.nan_to_num(whole), *([55, 60, 60.4, 61, 65, x] for x in np.arange(60, 62, 0.05))]
    nights = [of_sensors.night({"heart_rate": np.repeat(x, 30)}, options) for x in nights]
    sensing = Sensing(options, ("heart_rate",))
    measured, _ = sensing.measure_nights(nights)
    values, *between = (x[:, sensing.feature_names.index("heart_rate_rank")] for x in measured)
    within = whole.clip(BINS[0], BINS[-1])
    for i in np.flatnonzero(np.isfinite(whole)):
        so_far = within[: i + 1][np.isfinite(whole[: i + 1])]
        expected = ((so_far < within[i]) + 0.5 * (so_far == within[i])).mean()
        assert np.isclose(values[i], expected, atol=1e-5)
    ranks = np.array([x[-1] for x in between])
    assert (np.abs(np.diff(ranks)) < 0.06).all()
    assert (np.diff(ranks) >= -0.02).all()
    assert ranks[-1] > ranks[0] + 0.2


def test_place_between_the_low_and_high_end_of_the_night(usual):
    level = levels(usual.nights[0], "heart_rate", 30)
    ends, seen, gone = None, 0, 0
    for i, x in enumerate(level):
        gone += 1
        if np.isnan(x):
            continue
        rate, gone, seen = 1 - (1 - EXPECTILE_RATE) ** gone, 0, seen + 1
        if seen == 1:
            ends = np.array([x, x])
        else:
            miss, share = x - ends, np.array(EXPECTILES)
            ends = ends + max(1 / seen, rate) * np.where(miss > 0, share, 1 - share) * miss
        above = x - ends[0]
        assert np.isclose(usual.column("heart_rate_above_low")[i], above, atol=2e-3)
        assert np.isclose(usual.column("heart_rate_in_range")[i], above / (ends[1] - ends[0] + 2), atol=1e-3)


def test_motion_and_steps_have_their_level(of_sensors):
    options = Options(channels=("motion_x", "steps"))
    rows = {"motion_x": np.repeat([0.5, -100, -0.25], 30), "steps": np.repeat([-1.0, 7, 0], 30)}
    sensing = Sensing(options, options.channels)
    (values,), (available,) = sensing.measure_nights([of_sensors.night(rows, options)])
    x, steps = (sensing.feature_names.index(name) for name in options.channels)
    assert np.allclose(values[:, x], [0.5, 0.5, -0.25])
    assert np.allclose(values[1:, steps], [np.log(8), 0])
    assert np.array_equal(available[:, [x, steps]], [[1, 0], [1, 1], [1, 1]])


def test_overlap_counts_nothing_twice(of_sensors):
    """Windows of 60 s every 15 s leave the same running state as windows of 15 s: it moves on by the newest stride."""
    rng, channels = np.random.default_rng(0), ("heart_rate", "steps", "activity")
    rows = {name: of_sensors.rows(rng, name, 200 * Options(stride=15).values_per_stride(name)) for name in channels}
    by_size = []
    for size in (15, 60):
        options = Options(window_size=size, stride=15)
        sensing = Sensing(options, channels)
        (values,), (available,) = sensing.measure_nights([of_sensors.night(rows, options)])
        alone = {f"{channel}_{name}" for channel in channels for name in STATISTICS}
        by_size.append(
            {name: (values[:, i], available[:, i]) for i, name in enumerate(sensing.feature_names) if name not in alone}
        )
    assert by_size[0].keys() == by_size[1].keys()
    assert len(by_size[0]) > 30
    for name, (values, available) in by_size[0].items():
        assert np.array_equal(values, by_size[1][name][0]), name
        assert np.array_equal(available, by_size[1][name][1]), name
    assert np.allclose(by_size[1]["hours"][0], np.arange(1, 201) / 240)


@pytest.mark.parametrize("stride, size", [(10, 20), (600, 1200)])
def test_any_stride_that_the_options_take_does(stride, size, of_sensors):
    channels = ("heart_rate", "steps") if stride == 10 else ("heart_rate", "activity")
    options = Options(stride=stride, window_size=size, channels=channels)
    (values,), _ = Sensing(options, channels).measure_nights([of_sensors.drawn(0, options, channels, 20)])
    assert np.isfinite(values).all()


OF_A_CHANNEL = {"seen": 1, "level": 1, "running": 3, "variance": 1, "minutes": 1}
OF_HEART_RATE = {"hour": 120, "histogram": 116, "unrest_seen": 6, "unrest": 6}
OF_ACTIVITY = {"half_hour": 60}


@pytest.mark.parametrize(
    ("channels", "further"),
    [
        (("motion_x",), {}),
        (("heart_rate",), OF_HEART_RATE),
        (("steps", "activity"), OF_ACTIVITY),
        (("heart_rate", "activity"), OF_HEART_RATE | OF_ACTIVITY),
        (tuple(CHANNELS), OF_HEART_RATE | OF_ACTIVITY),
    ],
)
def test_the_context_has_a_part_for_what_each_channel_needs(channels, further):
    sizes = WindowFeatures(Options(), channels).context_sizes
    expected = {name: n * len(channels) for name, n in OF_A_CHANNEL.items()} | further
    expected["running"] += 2 * ("heart_rate" in channels)  # the ends of its range
    expected["minutes"] += 2  # since the wrist moved, since the start
    assert sizes == expected
    assert Sensing(Options(), channels).context_size == sum(sizes.values())


@pytest.mark.parametrize(("stride", "hour", "half_hour"), [(15, 240, 120), (30, 120, 60), (60, 60, 30), (600, 6, 3)])
def test_the_context_reaches_back_as_far_whatever_the_stride(stride, hour, half_hour):
    options = Options(stride=stride, window_size=max(stride, 30))
    sizes = WindowFeatures(options, ("heart_rate", "activity")).context_sizes
    assert (sizes["hour"], sizes["half_hour"]) == (hour, half_hour)


@pytest.mark.parametrize("channels", [("heart_rate",), ("activity",), ("steps", "motion_y"), tuple(CHANNELS)])
def test_features_are_named_after_the_channels_and_none_twice(channels):
    options = Options(window_size=60)
    made = WindowFeatures(options, channels)
    windows = {name: np.full((2, options.values_per_window(name)), CHANNELS[name].missing) for name in channels}
    windows = {name: tf.constant(x, tf.float32) for name, x in windows.items()}
    features, context = made.measure(windows, tf.zeros((2, sum(made.context_sizes.values()))))
    assert len(set(features.names)) == len(features.names)
    assert context.shape == (2, sum(made.context_sizes.values()))
    assert features.values().shape == features.available().shape == (2, len(features.names))
    expected = {name for c in channels for name in (c, f"{c}_from_5min", f"{c}_z", f"{c}_missing_for", f"{c}_sensed")}
    assert expected < {*features.names}
    for name in features.names:  # of no channel that is not asked for
        other = [c for c in CHANNELS if c not in channels and name.startswith(c)]
        assert not other or any(name.startswith(c) for c in channels), name
    assert ("heart_rate_rank" in features.names) == ("heart_rate" in channels)
    assert ("since_moved" in features.names) == ("activity" in channels)
    assert features.names[-4:] == ["hours", "decay_10min", "decay_30min", "decay_90min"]


def test_the_order_of_channels_is_the_order_of_their_features(of_sensors):
    """Whatever channels are grouped together inside."""
    channels = ("activity", "heart_rate", "steps")
    options = Options(channels=channels)
    night = of_sensors.drawn(0, options, channels, 50)
    by_order = []
    for order in (channels, channels[::-1]):
        sensing = Sensing(options, order)
        (values,), _ = sensing.measure_nights([night])
        by_order.append({name: values[:, i] for i, name in enumerate(sensing.feature_names)})
    assert by_order[0].keys() == by_order[1].keys()
    for name, x in by_order[0].items():
        assert np.allclose(x, by_order[1][name], atol=1e-5), name


def test_features_are_available_from_a_count():
    features, wide = Features(), tf.constant([[1.0, 2.0, 3.0]])
    features.add(["a", "b"], wide, tf.constant([[1.0, 0.0]]))
    features.add(["c"], wide, tf.constant([[5.0, 1.0, 7.0]]), [2], [1], least=2)
    features.add(("d", "e"), tf.constant([[4.0, 5.0]]), tf.constant([[2.0]]), least=2)
    features.add(["f"], wide, tf.constant([[0.0]]), [1], least=0)
    assert features.names == ["a", "b", "c", "d", "e", "f"]
    assert np.array_equal(features.values(), [[1, 2, 3, 4, 5, 2]])
    assert np.array_equal(features.available(), [[1, 0, 0, 1, 1, 1]])


@pytest.mark.parametrize("count", [1, 2, 10, 11, 100, 101])
def test_no_more_tensors_are_put_together_at_once_than_a_microcontroller_can(count, monkeypatch):
    widths = []
    whole = tf.concat
    monkeypatch.setattr(tf, "concat", lambda tensors, axis: widths.append(len(tensors)) or whole(tensors, axis))
    tensors = [tf.fill((2, 1 + i % 3), float(i)) for i in range(count)]
    together = concatenated(tensors)
    assert max(widths, default=0) <= MOST
    assert np.array_equal(together, np.concatenate(tensors, axis=1))


def test_a_tensor_that_columns_are_chosen_from_twice_is_put_in_once():
    columns, x, y = Columns(), tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 4.0]])
    for tensor, chosen in ((x, [1]), (y, [0, 1]), (x, [0, 1])):
        columns.add(tensor, chosen)
    assert len(columns.tensors) == 2
    assert np.array_equal(columns.together(), [[2, 3, 4, 1, 2]])


def test_few_operations_in_little_memory():
    """What sensing takes of a microcontroller, whatever the number of channels."""
    for channels, operations, arena in ((("heart_rate", "activity"), 190, 4400), (tuple(CHANNELS), 210, 8000)):
        options = Options(channels=channels)
        sensing = Sensing(options, channels)
        count = len(sensing.feature_names)
        sensing.scaler = {"mean": [0.0] * count, "spread": [1.0] * count}
        cost = cost_of(lean(sensing_model(sensing)))
        assert sum(cost["operations"].values()) <= operations
        assert cost["arena_bytes"] <= arena
        assert cost["macs"] <= 3500
