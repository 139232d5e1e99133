"""Watch: events in, epochs out. What it should predict is what Runner predicts on the windows of the offline pipeline,
which tests/pipeline/test_align.py checks; float32 and bit-equal throughout. The models are hardly trained. Faults of
the stream are in test_watch_faults.py.
"""

import io
import json
import warnings

import numpy as np
import pytest

from apps.python.sleep_stager import SimulatedWarning
from export.runner import Runner
from pipeline.align import align
from pipeline.constants import ARCHITECTURES, STAGES, UNKNOWN
from pipeline.coverage import coverage_of_night
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.recordings import read_recording, subjects
from tests.apps.vectors import FOLDER
from watch_sim import Watch
from watch_sim.stream import events

OPTIONS = Options()


@pytest.fixture(scope="module")
def bundles(quick_run):
    return quick_run.folder / "bundles"


@pytest.fixture(scope="module")
def recording(synthetic):
    return read_recording(synthetic, "1004")


@pytest.fixture(scope="module")
def wanted(bundles, recording):
    """[windows, 5] of the GRU on the pipeline's windows."""
    return Runner(bundles / "gru", "float32").night(align(recording, OPTIONS), OPTIONS)


def samples(recording):
    """Every sample of a recording on its own, in time order: (sensor, t, value)."""
    each = [(t, sensor, x) for sensor, (ts, xs) in recording.samples.items() for t, x in zip(ts, xs, strict=True)]
    return [(sensor, t, x) for t, sensor, x in sorted(each, key=lambda sample: sample[0])]


def end_of(recording):
    return align(recording, OPTIONS).ends[-1]


def live(watch, fed, end):
    """Feed a watch samples; its epochs up to `end`."""
    epochs = [epoch for event in fed for epoch in watch.feed(*event)]
    return [*epochs, *watch.advance(end)]


def probabilities(epochs):
    return np.stack([epoch.probabilities for epoch in epochs])


def test_simulated_nights_are_warned_of(bundles, tmp_path):
    with pytest.warns(SimulatedWarning, match="trained on simulated nights") as warned:
        assert Watch(bundles / "gru", "float32").simulated
    assert len(warned) == 1 and warned[0].filename == __file__
    folder = FOLDER / "bundles" / "counts"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not Watch(folder).simulated


@pytest.mark.parametrize("start", [17.3, 0.1, 1e6 + 1 / 3])
def test_epochs_begin_whole_strides_after_the_start(start):
    epochs = Watch(FOLDER / "bundles" / "counts", start=start).advance(start + 301)
    assert [epoch.time for epoch in epochs] == [start + 30 * i for i in range(10)]


def test_an_operating_point_weighs_the_probabilities(bundles, recording, wanted):
    contract = json.loads((bundles / "gru" / "contract.json").read_text())
    weights = np.array(contract["operating_points"]["balanced"]["weights"])
    assert np.ptp(weights) > 0
    fed = [sample for sample in samples(recording) if sample[1] < 600]
    epochs = live(Watch(bundles / "gru", "float32", operating_point="balanced"), fed, 600)
    moved = wanted[:20] * weights
    moved /= moved.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities(epochs), moved, rtol=1e-5)
    assert [epoch.stage for epoch in epochs] == [STAGES[i] for i in moved.argmax(1)]


def test_an_operating_point_that_the_contract_lacks_is_refused(bundles):
    with pytest.raises(UserMistake, match="operating point: brisk; choose from balanced, rem"):
        Watch(bundles / "gru", "float32", operating_point="brisk")


def test_sample_by_sample_is_as_the_pipeline_has_it(bundles, recording, wanted):
    end = 2400  # of the whole 4320, to save time
    wanted = wanted[: end // 30]
    fed = [sample for sample in samples(recording) if sample[1] < end]
    epochs = live(Watch(bundles / "gru", "float32"), fed, end)
    assert [epoch.time for epoch in epochs] == [30.0 * i for i in range(80)]
    assert [epoch.stage for epoch in epochs] == [STAGES[i] for i in wanted.argmax(1)]
    np.testing.assert_array_equal(probabilities(epochs), wanted)
    np.testing.assert_allclose(wanted.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("subject", [0, 11, 24])
def test_a_real_night_with_counts(bundles, real, subject):
    recording = read_recording(real, subjects(real)[subject])
    night = align(recording, OPTIONS)
    assert set(night.channels) == {"heart_rate", "activity"}
    fed = [sample for sample in samples(recording) if sample[1] < night.ends[-1] + 0.1]
    epochs = live(Watch(bundles / "gru", "float32", counts=True), fed, night.ends[-1])
    runner = Runner(bundles / "gru", "float32")
    np.testing.assert_array_equal(probabilities(epochs), runner.night(night, OPTIONS), strict=True)
    assert [epoch.coverage for epoch in epochs] == coverage_of_night(night, OPTIONS, runner.contract.options().channels)
    assert all((epoch.stage == UNKNOWN) == epoch.coverage.unknown for epoch in epochs)


@pytest.mark.parametrize("absent", [["heart_rate"], ["motion"], ["motion", "steps"]])
def test_an_absent_sensor_is_missing_values(bundles, synthetic, absent):
    recording = read_recording(synthetic, "1002")
    for sensor in absent:
        del recording.samples[sensor]
    night = align(recording, OPTIONS)
    epochs = live(Watch(bundles / "gru", "float32"), events(recording, OPTIONS), night.ends[-1])
    np.testing.assert_array_equal(
        probabilities(epochs), Runner(bundles / "gru", "float32").night(night, OPTIONS), strict=True
    )


def test_the_clock_closes_windows_without_any_event(bundles):
    watch = Watch(bundles / "gru", "float32")
    assert watch.advance(29.99) == []
    (first,) = watch.advance(30)
    assert first.time == 0
    assert watch.advance(30) == watch.advance(12) == []
    more = watch.advance(3600)
    assert [epoch.time for epoch in more] == [30.0 * i for i in range(1, 120)]
    assert np.isfinite(probabilities(more)).all()


def test_an_event_closes_the_windows_before_it(bundles):
    watch = Watch(bundles / "gru", "float32")
    assert watch.feed("heart_rate", 29.9, 60) == []
    assert [epoch.time for epoch in watch.feed("heart_rate", 95, 60)] == [0, 30, 60]
    later = Watch(bundles / "gru", "float32", start=-600)
    assert [epoch.time for epoch in later.feed("motion", -530, [0, 0, 1])] == [-600, -570]


ODD = {  # put in at t=440, where the wrist moves
    "heart rate of a closed window": ("heart_rate", 30.0, 99),
    "motion of a closed window": ("motion", 30.0, [0, 0, 2]),
    "motion of the window before": ("motion", 370.0, [0, 0, 2]),
    "before the night": ("heart_rate", -1e6, 99),
    "no heart rate": ("heart_rate", 435.0, 0),
    "impossible heart rate": ("heart_rate", 435.0, 251),
    "not a number": ("heart_rate", 435.0, np.nan),
    "no time": ("heart_rate", np.nan, 60),
    "no end of time": ("heart_rate", np.inf, 60),
    "long ago": ("heart_rate", -1e300, 60),
    "impossible motion": ("motion", 435.0, [0, 17, 0]),
    "negative steps": ("steps", 435.0, -1),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_late_and_odd_events_change_nothing(bundles, recording, wanted, odd):
    fed = list(events(recording, OPTIONS))
    at = next(i for i, (_, t, _) in enumerate(fed) if np.max(t) > 440)
    epochs = live(Watch(bundles / "gru", "float32"), [*fed[:at], odd, *fed[at:]], end_of(recording))
    np.testing.assert_array_equal(probabilities(epochs), wanted)


@pytest.mark.parametrize(("sensor", "t"), [("heart_rate", 1.7e9), ("motion", 1e6)])
def test_a_time_that_cannot_be_of_this_night(bundles, sensor, t):
    value = [0, 0, 1] if sensor == "motion" else 60
    with pytest.raises(ValueError, match="start of the recording"):
        Watch(bundles / "gru", "float32").feed(sensor, t, value)
    with pytest.raises(ValueError, match="start of the recording"):
        Watch(bundles / "gru", "float32").advance(t)
    with pytest.raises(ValueError, match="expected a time in seconds"):
        Watch(bundles / "gru", "float32").advance(np.inf)


def test_an_unknown_sensor(bundles):
    with pytest.raises(KeyError, match="spo2"):
        Watch(bundles / "gru", "float32").feed("spo2", 10, 97)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_and_restored_is_as_never_stopped(bundles, recording, architecture, tmp_path):
    fed, end = list(events(recording, OPTIONS)), end_of(recording)
    never_stopped = live(Watch(bundles / architecture, "float32"), fed, end)
    stops = np.sort(np.random.default_rng(len(architecture)).choice(len(fed), 6, replace=False))
    watch, epochs = Watch(bundles / architecture, "float32"), []
    for i, event in enumerate(fed):
        if i in stops:
            watch.save(tmp_path / "watch.npz")
            watch = Watch(bundles / architecture, "float32")
            watch.restore(tmp_path / "watch.npz")
        epochs += watch.feed(*event)
    epochs += watch.advance(end)
    assert [e.stage for e in epochs] == [e.stage for e in never_stopped]
    assert [(e.time, e.coverage) for e in epochs] == [(e.time, e.coverage) for e in never_stopped]
    np.testing.assert_array_equal(probabilities(epochs), probabilities(never_stopped))
    assert [path.name for path in tmp_path.iterdir()] == ["watch.npz"]


def test_restoring_brings_the_start_of_the_night_along(bundles, recording, tmp_path):
    motion = recording.samples["motion"]
    fed = [("motion", t - 615, x) for t, x in zip(motion[0][:6000], motion[1], strict=False)]
    never_stopped = live(Watch(bundles / "gru", "float32", start=-600), fed, 0)
    watch = Watch(bundles / "gru", "float32", start=-600)
    epochs = [epoch for event in fed[:2000] for epoch in watch.feed(*event)]
    watch.save(tmp_path / "watch.npz")
    watch = Watch(bundles / "gru", "float32")
    watch.restore(tmp_path / "watch.npz")
    epochs += live(watch, fed[2000:], 0)
    assert [epoch.time for epoch in epochs] == [epoch.time for epoch in never_stopped]
    np.testing.assert_array_equal(probabilities(epochs), probabilities(never_stopped))


def array_file():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


BROKEN = {
    "empty": lambda content: b"",
    "text": lambda content: b"hello",
    "cut": lambda content: content[:300],
    "half": lambda content: content[: len(content) // 2],
    "a byte changed": lambda content: content[:1000] + bytes([content[1000] ^ 255]) + content[1001:],
    "one array": lambda content: array_file(),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_and_changes_nothing(bundles, recording, wanted, broken, tmp_path):
    fed = list(events(recording, OPTIONS))
    watch = Watch(bundles / "gru", "float32")
    epochs = [epoch for event in fed[:1000] for epoch in watch.feed(*event)]
    watch.save(tmp_path / "watch.npz")
    (tmp_path / "broken.npz").write_bytes(broken((tmp_path / "watch.npz").read_bytes()))
    with pytest.raises(UserMistake, match=r"broken\.npz"):
        watch.restore(tmp_path / "broken.npz")
    epochs += live(watch, fed[1000:], end_of(recording))
    np.testing.assert_array_equal(probabilities(epochs), wanted)


LACKING = ("aligner.sums.activity", "aligner.counter.band", "aligner.closed", "aligner.guard.motion", "state.hidden")
LACKING += ("coverage.still", "coverage.since.heart_rate", "weights")


@pytest.mark.parametrize("lacking", LACKING)
def test_a_file_that_lacks_something_is_refused_and_changes_nothing(bundles, lacking, tmp_path):
    other, watch = Watch(bundles / "gru", "float32"), Watch(bundles / "gru", "float32")
    other.feed("heart_rate", 1000, 60)
    other.save(tmp_path / "watch.npz")
    with np.load(tmp_path / "watch.npz") as saved:
        arrays = dict(saved)
    del arrays[lacking]
    np.savez(tmp_path / "watch.npz", **arrays)
    with pytest.raises(UserMistake, match="not a saved state"):
        watch.restore(tmp_path / "watch.npz")
    assert [epoch.time for epoch in watch.advance(60)] == [0, 30]


@pytest.mark.parametrize(("name", "kind"), [("aligner.counter.band", "U4"), ("state.hidden", np.float16)])
@pytest.mark.parametrize("counts", [True, False])
def test_arrays_of_another_type_are_refused_whatever_the_watch_was_fed(bundles, counts, name, kind):
    arrays = Watch(bundles / "gru", "float32").state()
    arrays[name] = arrays[name].astype(kind)
    with pytest.raises(ValueError, match="type"):
        Watch(bundles / "gru", "float32", counts=counts).resume(arrays)


@pytest.mark.parametrize("other", ["lstm", "rnn", "transformer"])
def test_the_file_of_another_model_is_refused(bundles, other, tmp_path):
    Watch(bundles / other, "float32").save(tmp_path / "watch.npz")
    with pytest.raises(UserMistake, match="not a saved state of this model"):
        Watch(bundles / "gru", "float32").restore(tmp_path / "watch.npz")


def test_a_file_that_is_not_there_is_refused(bundles, tmp_path):
    with pytest.raises(UserMistake, match=r"nothing\.npz"):
        Watch(bundles / "gru", "float32").restore(tmp_path / "nothing.npz")


def test_bundles_that_are_refused(bundles, tmp_path):
    with pytest.raises(UserMistake, match="choose from float32"):
        Watch(bundles / "gru", "int4")
    with pytest.raises(UserMistake, match="not a bundle"):
        Watch(tmp_path, "float32")


def test_a_state_at_another_operating_point_is_refused(bundles, tmp_path):
    Watch(bundles / "gru", "float32", operating_point="rem").save(tmp_path / "watch.npz")
    for point in (None, "balanced"):
        with pytest.raises(UserMistake, match="from another operating point"):
            Watch(bundles / "gru", "float32", operating_point=point).restore(tmp_path / "watch.npz")
    Watch(bundles / "gru", "float32", operating_point="rem").restore(tmp_path / "watch.npz")


def test_a_restored_watch_counts_motion_only_if_the_other_did(bundles, recording, tmp_path):
    motion = [event for event in events(recording, OPTIONS) if event[0] == "motion" and event[1][-1] < 1200]
    counts = [("activity", 15.0 * i, 3.0) for i in range(1, 80)]
    fed = sorted([*counts, *motion], key=lambda event: np.max(event[1]))
    never_stopped = live(Watch(bundles / "gru", "float32"), fed, 1200)
    watch = Watch(bundles / "gru", "float32")
    epochs = [epoch for event in fed[:60] for epoch in watch.feed(*event)]
    watch.save(tmp_path / "watch.npz")
    watch = Watch(bundles / "gru", "float32")
    watch.restore(tmp_path / "watch.npz")
    assert watch.aligner.counter is None
    epochs += live(watch, fed[60:], 1200)
    np.testing.assert_array_equal(probabilities(epochs), probabilities(never_stopped))


EIGHT_HOURS = 8 * 3600


def still_motion(hours, gravity=1.0, hz=10):
    """[n] s and [n, 3]: a watch that lies on a table, with its sensor's noise."""
    t = np.arange(0, 3600 * hours, 1 / hz)
    noise = np.random.default_rng(0).normal(0, 0.002, (len(t), 3))
    return t, gravity * (noise + np.array([0.02, -0.01, 0.9995]))


def in_minutes(sensor, t, values):
    """Samples as a call per minute."""
    cuts = np.searchsorted(t, np.arange(60, t[-1] + 60, 60))
    return [(sensor, ts, xs) for ts, xs in zip(np.split(t, cuts), np.split(values, cuts), strict=True) if len(ts)]


def test_nothing_sensed_for_eight_hours_gives_no_stage(bundles):
    epochs = Watch(bundles / "gru", "float32").advance(EIGHT_HOURS)
    assert [epoch.stage for epoch in epochs] == [UNKNOWN] * 960
    sensors = {sensor for epoch in epochs for sensor in epoch.coverage.sensors}
    assert sensors == {"heart_rate", "activity"}
    assert all(c.share == 0 and c.seconds_since is None for e in epochs for c in e.coverage.sensors.values())


def test_a_watch_on_a_table_gives_no_stage(bundles):
    epochs = live(Watch(bundles / "gru", "float32"), in_minutes("motion", *still_motion(8)), EIGHT_HOURS)
    assert [epoch.stage for epoch in epochs] == [UNKNOWN] * 960
    assert epochs[-1].coverage.sensors["activity"].share == 1


def test_motion_in_another_unit_gives_a_finding_and_is_not_used(bundles):
    t, motion = still_motion(0.5, gravity=9.80665)
    heart = [("heart_rate", s, 60.0) for s in range(0, 1800, 5)]
    fed = sorted([*in_minutes("motion", t, motion), *heart], key=lambda event: np.max(event[1]))
    watch = Watch(bundles / "gru", "float32")
    epochs = live(watch, fed, 1800)
    (finding,) = watch.findings
    assert finding.startswith("motion: ")
    assert "m/s²" in finding
    assert watch.dropped["motion"]["wrong_unit"] == (t >= 60).sum()
    assert sum(watch.dropped["heart_rate"].values()) == 0
    last = epochs[-1].coverage.sensors
    assert (last["activity"].share, last["heart_rate"].share) == (0, 1)
    assert last["activity"].seconds_since >= 1800 - 75
    assert UNKNOWN not in [epoch.stage for epoch in epochs]  # there is a heart rate
