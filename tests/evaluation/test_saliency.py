"""Saliency of networks whose dependence is known: one that hears one feature some windows back, and small random ones.

What trained networks attend to is not tested; how the plot looks is for the eye.
"""

import json

import keras
import numpy as np
import pytest

from evaluation import saliency as told
from evaluation import saliency_plot
from evaluation.saliency_plot import COLOURS
from models.assemble import sequence_form
from models.gru import GRU
from models.sensing import Sensing
from pipeline.align import Night
from pipeline.files import write_json
from pipeline.nights import load_nights
from pipeline.options import CHANNELS, Options, UserMistake

W, N1, N2, N3, R = range(5)
INPUTS = ("heart_rate", "activity")
OPTIONS = Options(architectures=("gru",), channels=INPUTS)
BACK = 10  # windows


def hearing(features, weights):
    """Keras model, a stage's logit being a sum of features heard before: {(feature, windows back, stage): weight}."""
    kernel = np.zeros((BACK + 1, features, 5), np.float32)
    for (feature, back, stage), weight in weights.items():
        kernel[BACK - back, feature, stage] = weight
    x = keras.Input((None, features))
    layer = keras.layers.Conv1D(5, BACK + 1, padding="causal", use_bias=False, activation="softmax")
    model = keras.Model(x, layer(x))
    model.set_weights([kernel])
    return model


def night_of(windows, stages=None, subject="1"):
    """A night of heart rate that differs from window to window, and now and then a movement."""
    rng = np.random.default_rng(windows)
    rates = np.repeat(rng.permutation(windows)[:, None] / windows * 60 + 50, 30, 1)
    counts = np.where(rng.random((windows, 1)) < 0.3, rng.integers(1, 99, (windows, 1)), 0) * np.ones(2)
    channels = {"heart_rate": rates.astype(np.float32), "activity": counts.astype(np.float32)}
    stages = np.zeros(windows, np.int8) if stages is None else np.array(stages, np.int8)
    return Night(subject, 30.0 * np.arange(1, windows + 1), channels, stages)


@pytest.fixture(scope="module")
def nights():
    return [night_of(200), night_of(150)]


@pytest.fixture(scope="module")
def sensing(nights):
    sensing = Sensing(OPTIONS, INPUTS)
    sensing.fit(*sensing.measured(nights))
    return sensing


def names_of(channels):
    sensing = Sensing(OPTIONS, channels)
    windows = {name: np.ones((1, OPTIONS.values(name)), np.float32) for name in channels}
    sensing.measure(windows, sensing.initial())
    return sensing.names


@pytest.mark.parametrize("channel", CHANNELS)
def test_features_of_one_channel_are_its_own_or_the_clocks(channel):
    of_any = set(names_of(["steps"])) & set(names_of(["motion_x"]))  # whatever is sensed
    assert {"hours"} < of_any
    for name in names_of([channel]):
        assert told.input_of(name) == ("clock" if name in of_any else channel)


def test_every_input_has_a_colour():
    assert set(COLOURS) == {*CHANNELS, "clock"}


def test_every_channel_has_its_features_beside_others():
    together = names_of(CHANNELS)
    for channel in CHANNELS:
        own = {name for name in together if told.input_of(name) in (channel, "clock")}
        assert own == set(names_of([channel]))


@pytest.mark.parametrize("name", ["heart", "heart_rates", "motion", "", "moving"])
def test_a_feature_of_no_input_is_refused(name):
    with pytest.raises(ValueError, match="no known input"):
        told.input_of(name)


def test_contributions_by_hand():
    """Softmax over four logits of 0 and one z has log-odds z - log 4: what is said is exactly weight x feature."""
    model = hearing(3, {(0, BACK, R): 2, (1, 0, R): -1})
    rng = np.random.default_rng(0)
    crops = [rng.normal(size=(length, 3)).astype(np.float32) for length in (30, 11, 5)]
    for crop, said in zip(crops, told.contributions(model, crops, [R, R, R]), strict=True):
        wanted = np.zeros_like(crop)
        wanted[-1, 1] = -crop[-1, 1]
        if len(crop) > BACK:
            wanted[-1 - BACK, 0] = 2 * crop[-1 - BACK, 0]
        np.testing.assert_allclose(said, wanted, atol=1e-5)


def test_contributions_sum_to_what_is_said(monkeypatch):
    """In batches that the crops do not fill, too."""
    monkeypatch.setattr(told, "BATCH", 2)
    keras.utils.set_random_seed(0)
    model = sequence_form(GRU(4, 8))
    rng = np.random.default_rng(1)
    crops = [2 * rng.normal(size=(length, 4)).astype(np.float32) for length in (20, 12, 16)]
    stages = [W, N2, R]

    def log_odds(x, stage):
        p = model.predict_on_batch(x[None])[0, -1, stage]
        return float(np.log(p / (1 - p)))

    away = [log_odds(crop, stage) - log_odds(0 * crop, stage) for crop, stage in zip(crops, stages, strict=True)]
    assert np.abs(away).max() > 0.1
    np.testing.assert_allclose([said.sum() for said in told.contributions(model, crops, stages)], away, atol=0.005)


def test_share_and_minutes_by_hand():
    """Heart rate says 3 ten windows back, activity -1 now, in a night that began 20 windows ago."""
    said = np.zeros((20, 3))
    said[-1 - BACK, 0] = 3
    said[-1, 1] = -1
    curves = told.newest_first(said, 30)
    assert curves.shape == (30, 3)
    assert curves[BACK, 0] == 3
    got = told.summary(curves, ["heart_rate", "activity", "clock"], 0.5)
    assert got["share"] == {"heart_rate": 0.75, "activity": 0.25, "clock": 0}
    assert got["half_minutes"] == {"heart_rate": 5.25, "activity": 0.25, "clock": None}  # in the middle of the window


def test_half_lies_within():
    assert told.half([1, 1, 1, 1], 5) == 10
    assert told.half([3, 1], 1) == pytest.approx(2 / 3)
    assert told.half([0, 0, 4], 0.5) == 1.25


def test_nights_count_alike():
    curves = np.array([1.0, 1, 1, 5])[:, None, None]
    np.testing.assert_array_equal(told.over_nights(curves, np.array([0, 0, 0, 2])), [[3]])


def test_only_the_exchanged_minutes_differ(sensing, nights):
    """And nothing before them; targets late in a night, at its end, and early."""
    targets = [(0, 150), (1, 149), (0, 25)]
    (got,) = told.exchanged(sensing, nights, targets)
    assert got.shape == (3, 1 + 2 * 12, 120, len(sensing.names))
    whole, level = sensing.nights(nights), [sensing.names.index(name) for name in INPUTS]
    for (night, window), variants in zip(targets, got, strict=True):
        first = max(0, window - 119)
        length = window + 1 - first
        np.testing.assert_allclose(variants[0, :length], whole[night][first : window + 1], atol=1e-4)
        for i, channel in enumerate(level):
            for block in range(12):
                end = max(0, length - 10 * block)
                start = max(0, end - 10)
                changed = ~np.isclose(variants[1 + 12 * i + block, :length], variants[0, :length], atol=1e-4)
                assert not changed[:start].any()
                assert not changed[end:, channel].any()
                assert not changed[:, level[1 - i]].any()
                assert changed[start:end, channel].sum() >= (end - start) // 10  # one of ten, at least, is another
    alone = next(told.exchanged(sensing, nights, targets[:1]))
    np.testing.assert_array_equal(alone[0, 0], got[0, 0])


def test_changes_tell_channel_and_minutes(sensing, nights):
    """A network that hears heart rate's level 10 windows back, the last of the second newest block of 10."""
    model = hearing(len(sensing.names), {(sensing.names.index("heart_rate"), BACK, N3): 1})
    (features,) = told.exchanged(sensing, nights, [(0, 150), (1, 120)])
    got = told.changes(model, features, np.int32([N3, N3]), np.int32([119, 119]), 2)
    assert got.shape == (2, 12, 2)
    level = features[:, :, 119 - BACK, sensing.names.index("heart_rate")]
    np.testing.assert_allclose(got[:, 1, 0], np.abs(level[:, 2] - level[:, 0]), atol=1e-5)
    assert (got[:, 1, 0] > 0.01).all()
    got[:, 1, 0] = 0
    assert not got.any()


def test_windows_of_each_stage_are_told_of():
    stages = [-1, *[N2] * 100, R, R, -1]
    got = told.sampled([night_of(104, stages), night_of(3, [W, -1, -1])])
    assert [target for target in got if target[0] == 1] == [(1, 0, W)]
    assert [target for target in got if target[2] == R] == [(0, 101, R), (0, 102, R)]
    even = [window for night, window, stage in got if stage == N2]
    assert (len(even), even[0], even[-1]) == (told.WINDOWS, 1, 100)


def test_the_transition_shown_lasts():
    brief = [*[N2] * 20, *[R] * 9, *[N2] * 20, *[R] * 10]
    assert told.lasting_transition([night_of(59, brief)], 30) == (0, 49, 58, N2, R)
    deep = [*[N3] * 20, *[W] * 20]
    assert told.lasting_transition([night_of(40, deep), night_of(59, brief)], 30) == (1, 49, 58, N2, R)
    assert told.lasting_transition([night_of(40, deep)], 30) == (0, 20, 29, N3, W)
    assert told.lasting_transition([night_of(40, [N2] * 40)], 30) is None
    between = np.stack([np.full(59, -1), brief], 1).ravel()  # a stride of 15 s
    assert told.lasting_transition([night_of(118, between)], 15) == (0, 99, 117, N2, R)


@pytest.fixture(scope="module")
def run_folder(synthetic, tmp_path_factory):
    """A run whose GRU hears nothing but heart rate's level, 10 windows back; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "known"
    nights, _ = load_nights(synthetic, OPTIONS)
    subjects = [night.subject for night in nights]
    sensing = Sensing(OPTIONS, INPUTS)
    sensing.fit(*sensing.measured(nights))
    known = {"options": OPTIONS.as_dict(), "dataset_dir": str(synthetic), "channels": INPUTS}
    write_json(folder / "hparams.json", known)
    write_json(folder / "scaler.json", {"features": sensing.names, **sensing.scaler})
    parts = {"train": subjects[2:], "inner_validation": [], "validation": subjects[:2]}
    write_json(folder / "splits.json", parts)
    at = sensing.names.index("heart_rate")
    hearing(len(sensing.names), {(at, BACK, s): s for s in range(5)}).save(folder / "GRU_best_model.keras")
    return folder


def test_saliency_of_a_run(run_folder, tmp_path, monkeypatch):
    """All that is said is heart rate's, from ten windows back: of the features, and of the sensors' second block."""
    monkeypatch.setattr(told, "WINDOWS", 2)
    heard = []
    report = told.saliency_of_run(run_folder, out=tmp_path, progress=heard.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saliency.json", "saliency_gru.png"]
    assert (tmp_path / "saliency_gru.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "saliency.json").read_text()) == report
    splits = json.loads((run_folder / "splits.json").read_text())
    assert report["nights"] == splits["validation"]
    assert len(report["architectures"]["gru"]) > 1
    for stage in report["architectures"]["gru"].values():
        for kind, minutes in (("features", 5.25), ("sensors", 7.5)):
            assert stage[kind]["share"]["heart_rate"] == pytest.approx(1)
            assert stage[kind]["half_minutes"]["heart_rate"] == pytest.approx(minutes, abs=0.5)
    assert any("gru" in what for what in heard)
    assert saliency_plot.plt.get_fignums() == []


def test_what_the_run_lacks_is_named(run_folder, tmp_path):
    with pytest.raises(UserMistake, match="lstm"):
        told.saliency_of_run(run_folder, architectures=["lstm"], out=tmp_path)
    with pytest.raises(UserMistake, match="no such run folder"):
        told.saliency_of_run(tmp_path / "none")
