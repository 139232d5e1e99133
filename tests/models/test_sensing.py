"""Sensing: the step form agrees with the sequence form, nothing looks ahead, and features are what they are called.

Expected values come from `by_hand`: plain numpy in float64 over the night so far, anew for every window.
"""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from models.features import BINS, EXPECTILE_RATE, EXPECTILES
from models.sensing import LIMIT, Sensing
from pipeline.align import Night
from pipeline.constants import CHANNELS
from pipeline.options import Options

USUAL = Options(), ("heart_rate", "activity"), 1000  # windows of a night
OVERLAPPING = Options(window_size=60, stride=15), tuple(CHANNELS), 300
STATISTICS = "spread", "most", "least", "last", "step", "sensed", "usual_spread"  # of windows alone


def rows_of(rng, channel, n):
    """[n] values of a channel in time, missing where nothing is sensed: alone, for minutes and for long."""
    if channel == "heart_rate":
        x = 60 + np.cumsum(rng.normal(0, 0.3, n)) + rng.normal(0, 2, n)
        x[rng.random(n) < 0.002] = rng.choice([20, 35, 150, 250])
        x, gone = x.clip(20, 250), rng.random(n) < 0.8
    elif channel == "activity":
        moved = rng.random(n) < 0.15
        x, gone = moved * 3.07 * rng.geometric(0.02, n), rng.random(n) < 0.02
    elif channel == "steps":
        x, gone = rng.integers(0, 50, n) * (rng.random(n) < 0.3), rng.random(n) < 0.95
    else:
        x, gone = np.sin(np.cumsum(rng.normal(0, 0.02, n))), rng.random(n) < 0.05
        x = np.abs(x) if channel == "motion_magnitude" else x
    for begin in rng.integers(0, n, 12):
        gone[begin : begin + rng.choice([n // 500, n // 100, n // 8])] = True
    return np.where(gone, CHANNELS[channel].missing, x)


def night_of(rows, options):
    """Night of {channel: values in time}, whatever overlap the options ask for."""
    channels = {}
    for name, x in rows.items():
        size, new = options.values_per_window(name), options.values_per_stride(name)
        x = np.concatenate([np.full(size - new, CHANNELS[name].missing), x])
        channels[name] = np.lib.stride_tricks.sliding_window_view(x, size)[::new].astype(np.float32)
    n = len(next(iter(channels.values())))
    return Night("1", options.stride * np.arange(1.0, n + 1), channels, np.zeros(n, np.int8))


def drawn_night(seed, options, channels, windows):
    rng = np.random.default_rng(seed)
    return night_of({name: rows_of(rng, name, windows * options.values_per_stride(name)) for name in channels}, options)


def without(night, *names):
    """The night as it would be without these channels."""
    return Night(night.subject, night.ends, {k: x for k, x in night.channels.items() if k not in names}, night.stages)


class Case:
    """Nights with all channels, without heart rate, without activity and with nothing; and their features."""

    def __init__(self, options, channels, windows):
        self.options, self.channels, self.windows = options, channels, windows
        whole = [drawn_night(seed, options, channels, windows) for seed in (0, 1, 2)]
        self.nights = [whole[0], without(whole[1], "heart_rate"), without(whole[2], "activity")]
        self.nights += [without(whole[0], *channels)]
        self.sensing = Sensing(options, channels)
        self.values, self.available = self.sensing.measure_nights(self.nights)
        some = [np.ma.array(x, mask=k == 0) for x, k in zip(self.values, self.available, strict=True)]
        some = np.ma.concatenate(some)
        self.sensing.scaler = {
            "mean": some.mean(0).filled(0).tolist(),
            "spread": (some.std(0).filled(0) + 0.1).tolist(),
        }
        self.features = [self.sensing.scale(*x).numpy() for x in zip(self.values, self.available, strict=True)]

    def column(self, name, night=0):
        return self.values[night][:, self.sensing.feature_names.index(name)].astype(float)

    def available_of(self, name, night=0):
        return self.available[night][:, self.sensing.feature_names.index(name)]


case_of = functools.cache(Case)


@pytest.fixture(scope="module", params=[USUAL, OVERLAPPING], ids=["usual", "all channels, overlapping"])
def case(request):
    return case_of(*request.param)


@pytest.fixture(scope="module")
def usual():
    return case_of(*USUAL)


def steps(sensing, nights, windows):
    """[windows, F] per night, as the wrist makes them: one window at a time."""
    step, stepped = tf.function(sensing.step), []
    for night in nights:
        inputs = {name: night.values(name, sensing.options) for name in sensing.channels}
        context, features = tf.constant(sensing.initial()), []
        for i in range(windows):
            out, context = step({name: tf.constant(x[i : i + 1]) for name, x in inputs.items()}, context)
            features.append(out)
        stepped.append(np.concatenate(features))
    return stepped


def test_step_form_agrees_with_the_sequence_form(case):
    (stepped,) = steps(case.sensing, case.nights[:1], case.windows)
    assert np.abs(stepped - case.features[0]).max() <= 2e-5
    for stepped, expected in zip(steps(case.sensing, case.nights[1:], 100), case.features[1:], strict=True):
        assert np.abs(stepped - expected[:100]).max() <= 2e-5


def test_forms_agree_early_in_many_nights(usual):
    """Where spread and averages rest on a few values, and rounding weighs most."""
    nights = [drawn_night(100 + seed, *USUAL[:2], 12) for seed in range(40)]
    stepped, expected = steps(usual.sensing, nights, 12), usual.sensing.sense_nights(nights)
    apart = np.abs(np.array(stepped) - expected).max((0, 1))
    assert apart.max() <= 2e-5, usual.sensing.feature_names[apart.argmax()]


def test_shapes_and_names(case):
    assert len(set(case.sensing.feature_names)) == len(case.sensing.feature_names) == case.features[0].shape[1]
    assert all(x.shape == case.features[0].shape and x.dtype == np.float32 for x in case.features)
    assert case.sensing.initial().shape == (1, case.sensing.context_size)


def test_everything_is_finite_and_within_the_limit(case):
    for values, features in zip(case.values, case.features, strict=True):
        assert np.isfinite(values).all()
        assert np.isfinite(features).all()
        assert np.abs(features).max() <= LIMIT


def test_features_of_what_was_never_sensed_are_unknown_and_zero(case):
    always = ("sensed", "missing_for", "hours", "min", "since_moved", "moved_just_now")
    for night, available, features in zip(case.nights, case.available, case.features, strict=True):
        assert np.isin(available, [0, 1]).all()
        assert (features[available == 0] == 0).all()
        for i, name in enumerate(case.sensing.feature_names):
            channel = max((c for c in [*case.channels, "moving"] if name.startswith(c)), key=len, default=None)
            channel = "activity" if channel == "moving" else channel
            if channel in case.channels and channel not in night.channels and not name.endswith(always[:2]):
                assert not available[:, i].any(), name
            if channel is None or name.endswith(always[:2]):
                assert available[:, i].all(), name


def test_nothing_looks_ahead(case):
    """What follows is changed, then left out: nothing before it moves by a bit."""
    others = [drawn_night(seed, case.options, case.channels, case.windows) for seed in (10, 11, 12, 13)]
    cut = round(0.6 * case.windows)
    changed, left_out = [], []
    for night, other in zip(case.nights, others, strict=True):
        windows = {name: night.values(name, case.options) for name in case.channels}
        after = {name: np.concatenate([x[:cut], other.channels[name][cut:]]) for name, x in windows.items()}
        changed.append(Night("1", night.ends, after, night.stages))
        before = {name: x[:cut] for name, x in windows.items()}
        left_out.append(Night("1", night.ends[:cut], before, night.stages[:cut]))
    for nights in (changed, left_out) if case.options == Options() else (changed,):
        for features, expected in zip(case.sensing.sense_nights(nights), case.features, strict=True):
            assert np.array_equal(features[:cut], expected[:cut])
            assert len(features) == cut or (features[cut:] != expected[cut:]).any(1).mean() > 0.9


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


def test_rank_is_the_share_of_the_night_so_far_that_was_lower_and_moves_smoothly():
    rng = np.random.default_rng(0)
    options, whole = Options(channels=("heart_rate",)), rng.integers(30, 156, 200).astype(float)
    whole[rng.random(200) < 0.2] = np.nan
    nights = [np.nan_to_num(whole), *([55, 60, 60.4, 61, 65, x] for x in np.arange(60, 62, 0.05))]
    nights = [night_of({"heart_rate": np.repeat(x, 30)}, options) for x in nights]
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


def test_motion_and_steps_have_their_level():
    options = Options(channels=("motion_x", "steps"))
    rows = {"motion_x": np.repeat([0.5, -100, -0.25], 30), "steps": np.repeat([-1.0, 7, 0], 30)}
    sensing = Sensing(options, options.channels)
    (values,), (available,) = sensing.measure_nights([night_of(rows, options)])
    x, steps = (sensing.feature_names.index(name) for name in options.channels)
    assert np.allclose(values[:, x], [0.5, 0.5, -0.25])
    assert np.allclose(values[1:, steps], [np.log(8), 0])
    assert np.array_equal(available[:, [x, steps]], [[1, 0], [1, 1], [1, 1]])


def test_overlap_counts_nothing_twice():
    """Windows of 60 s every 15 s leave the same running state as windows of 15 s: it moves on by the newest stride."""
    rng, channels = np.random.default_rng(0), ("heart_rate", "steps", "activity")
    rows = {name: rows_of(rng, name, 200 * Options(stride=15).values_per_stride(name)) for name in channels}
    by_size = []
    for size in (15, 60):
        options = Options(window_size=size, stride=15)
        sensing = Sensing(options, channels)
        (values,), (available,) = sensing.measure_nights([night_of(rows, options)])
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


SHORT = Options(channels=("activity",)), ("activity",)  # which show all of the scaler


@pytest.fixture(scope="module")
def fitted():
    """(nights, sensing fitted on the first two)."""
    nights = [drawn_night(seed, *SHORT, 40) for seed in range(3)]
    sensing = Sensing(*SHORT)
    sensing.fit(*sensing.measure_nights(nights[:2]))
    return nights, sensing


def test_scaler_is_mean_and_spread_of_what_is_known_in_the_nights_passed(fitted):
    nights, sensing = fitted
    values, available = (np.concatenate(x) for x in sensing.measure_nights(nights[:2]))
    features = np.concatenate(sensing.sense_nights(nights[:2]))
    assert len(sensing.scaler["mean"]) == len(sensing.scaler["spread"]) == values.shape[1]
    for i, name in enumerate(sensing.feature_names):
        on = available[:, i] > 0
        x = values[on, i].astype(float) if on.any() else np.zeros(1)
        spread = x.std() if x.std() > 1e-3 else 1
        assert np.allclose(sensing.scaler["mean"][i], x.mean(), rtol=1e-4, atol=1e-4), name
        assert np.allclose(sensing.scaler["spread"][i], spread, rtol=1e-3, atol=1e-5), name
        scaled = np.where(on, ((values[:, i] - x.mean()) / spread).clip(-LIMIT, LIMIT), 0)
        assert np.allclose(features[:, i], scaled, atol=2e-3), name


def test_scaler_hangs_on_no_other_night_and_goes_through_json(fitted):
    nights, sensing = fitted
    scaler = json.dumps(sensing.scaler)
    expected = sensing.sense_nights(nights)
    assert json.dumps(sensing.scaler) == scaler  # looking at nights fits nothing
    again = Sensing(*SHORT)
    again.fit(*again.measure_nights(nights[1:]))
    assert json.dumps(again.scaler) != scaler
    again.fit(*again.measure_nights(nights[:2]))
    assert json.dumps(again.scaler) == scaler
    loaded = Sensing(*SHORT, json.loads(scaler))
    for *measured, x in zip(*sensing.measure_nights(nights), expected, strict=True):
        assert np.array_equal(loaded.scale(*measured), x)


@pytest.mark.parametrize("stride, size", [(10, 20), (600, 1200)])
def test_any_stride_that_the_options_take_does(stride, size):
    channels = ("heart_rate", "steps") if stride == 10 else ("heart_rate", "activity")
    options = Options(stride=stride, window_size=size, channels=channels)
    (values,), _ = Sensing(options, channels).measure_nights([drawn_night(0, options, channels, 20)])
    assert np.isfinite(values).all()
