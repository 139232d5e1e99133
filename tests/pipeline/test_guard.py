"""The input guard: units that are wrong are told, once, with the remedy; what is right, real or simulated, is not."""

import numpy as np
import pytest

from pipeline.align import Aligner, align
from pipeline.checks import UnusableNight
from pipeline.guard import FIRST_S, LEAST_SAMPLES, InputGuard, motion_unit_finding
from pipeline.nights import load_nights
from pipeline.options import Options
from pipeline.recordings import LABELS, LAYOUTS, paths, read_recording, subjects

STANDARD_GRAVITY = 9.80665  # m/s² in a g
RATE_HZ = 10
SAMPLES = 3600 * RATE_HZ  # of motion
rng = np.random.default_rng(0)
AT = {"heart_rate": np.arange(0, 3600, 5.0), "motion": np.arange(SAMPLES) / RATE_HZ}
RIGHT = {  # an hour of a wrist that turns slowly, and of a heart
    "heart_rate": 60 + rng.integers(-5, 6, 720)[:, None].astype(float),
    "motion": (lambda a: np.stack([np.sin(a), np.cos(a) * 0.6, np.cos(a) * 0.8], 1))(AT["motion"] / 500)
    + rng.normal(0, 0.01, (SAMPLES, 3)),
}
WRONG = {  # unit: (sensor, values, what the guard tells of samples as they come, what it tells of a file)
    "m/s2": ("motion", lambda x: x * STANDARD_GRAVITY, "in m/s²: divide by 9.80665", "in m/s²: divide by 9.80665"),
    "milli-g": ("motion", lambda x: x * 1000, "in milli-g (divide by 1000)", "milli-g? divide by 1000"),
    "no gravity": (
        "motion",
        lambda x: rng.normal(0, 0.01, x.shape),
        "gravity seems to have been removed: feed acceleration with gravity",
        "gravity seems to have been removed: feed acceleration with gravity",
    ),
    "beats per second": (
        "heart_rate",
        lambda x: x / 60,
        "beats per second (multiply by 60)",
        "beats per second? multiply by 60",
    ),
    "RR in ms": (
        "heart_rate",
        lambda x: 60000 / x,
        "milliseconds from beat to beat (60000 / value)",
        "milliseconds? 60000 / value",
    ),
}
CHANNELS = Options(channels=("heart_rate", "motion_x", "activity"))


def fed(sensor, values, chunk=None, t=None):
    """An Aligner that took the samples, `chunk` at a time."""
    aligner = Aligner(CHANNELS, CHANNELS.channels)
    t = AT[sensor][: len(values)] if t is None else t
    values = values if sensor == "motion" else values[:, 0]
    for i in range(0, len(t), chunk or len(t)):
        some = slice(i, i + (chunk or len(t)))
        aligner.feed(sensor, t[some], values[some])
    return aligner


@pytest.mark.parametrize(
    ("median", "what"),
    [
        (0.97, None),
        (1.0, None),
        (0.5, None),
        (2.0, None),
        (9.81, "expected about 1 g; it seems to be in m/s²: divide by 9.80665"),
        (0.02, "expected about 1 g; gravity seems to have been removed: feed acceleration with gravity"),
        (3.0, "expected about 1 g; it is in another unit"),
        (1000.0, "expected about 1 g; it is in another unit"),
    ],
)
def test_motion_is_judged_by_its_median_magnitude(median, what):
    finding = motion_unit_finding(median)
    if what is None:
        assert finding is None
    else:
        assert finding == f"median magnitude of acceleration {median:.3g}, {what}"


@pytest.mark.parametrize("sensor", ["heart_rate", "motion"])
def test_what_is_in_its_unit_is_taken(sensor):
    aligner = fed(sensor, RIGHT[sensor])
    assert aligner.guard.findings == {}
    assert aligner.guard.refused == set()
    assert set(aligner.dropped[sensor].values()) == {0}


@pytest.mark.parametrize("unit", WRONG)
@pytest.mark.parametrize("chunk", [None, 7], ids=["at once", "as they come"])
def test_a_wrong_unit_is_one_finding_with_what_was_seen_and_the_remedy(unit, chunk):
    sensor, convert, remedy, _ = WRONG[unit]
    aligner = fed(sensor, convert(RIGHT[sensor])[:5000], chunk)
    assert [*aligner.guard.findings] == [sensor]
    finding = aligner.guard.findings[sensor]
    assert finding.startswith(f"{sensor}: ")
    assert remedy in finding
    assert "\n" not in finding
    if "lie outside" in finding:
        n = FIRST_S * RATE_HZ if sensor == "motion" else FIRST_S // 5
        assert f"{n} of the {n} samples of its first minute lie outside " in finding
    else:
        assert "expected about 1 g" in finding
        assert "its samples are not used" in finding


@pytest.mark.parametrize("unit", ["m/s2", "no gravity"])
@pytest.mark.parametrize("chunk", [None, 7, 1000], ids=str)
def test_motion_in_the_wrong_unit_is_refused_after_its_first_minute(unit, chunk):
    values = WRONG[unit][1](RIGHT["motion"][:5000])
    aligner = fed("motion", values, chunk)
    assert aligner.guard.refused == {"motion"}
    assert aligner.dropped["motion"]["wrong_unit"] == 5000 - FIRST_S * RATE_HZ
    assert aligner.dropped["motion"]["out_of_range"] == 0


@pytest.mark.parametrize("unit", ["milli-g", "beats per second", "RR in ms"])
def test_what_is_out_of_range_is_never_taken(unit):
    sensor, convert, *_ = WRONG[unit]
    aligner = fed(sensor, convert(RIGHT[sensor]))
    assert aligner.dropped[sensor]["out_of_range"] == len(RIGHT[sensor])


@pytest.mark.parametrize("sensor", ["heart_rate", "motion"])
def test_nothing_is_told_within_the_first_minute(sensor):
    unit = {"heart_rate": "RR in ms", "motion": "m/s2"}[sensor]
    values, t = WRONG[unit][1](RIGHT[sensor]), AT[sensor]
    early = t < FIRST_S
    assert fed(sensor, values[early], t=t[early]).guard.findings == {}
    assert fed(sensor, values[: early.sum() + 1], t=t[: early.sum() + 1]).guard.findings != {}


@pytest.mark.parametrize("factor", [STANDARD_GRAVITY, 1000], ids=["m/s2", "milli-g"])
def test_few_samples_of_motion_do_not_decide(factor):
    """One every 10 s: the minute is extended until there are enough."""
    values, t = factor * RIGHT["motion"][: 2 * LEAST_SAMPLES], 10.0 * np.arange(2 * LEAST_SAMPLES)
    assert fed("motion", values[:LEAST_SAMPLES], t=t[:LEAST_SAMPLES]).guard.findings == {}
    assert [*fed("motion", values, t=t).guard.findings] == ["motion"]


def test_a_jerk_and_odd_values_are_no_finding():
    """A minority out of range, and most of a minute of violent movement within it."""
    heart, motion = RIGHT["heart_rate"].copy(), RIGHT["motion"].copy()
    heart[:5] = 0
    motion[:250] *= 8
    motion[250:280] = 100
    for sensor, values in (("heart_rate", heart), ("motion", motion)):
        aligner = fed(sensor, values)
        assert aligner.guard.findings == {}
        assert aligner.dropped[sensor]["wrong_unit"] == 0


def test_motion_is_judged_once():
    """Weightless from the second minute on: a fault perhaps, but not of the unit."""
    motion = RIGHT["motion"].copy()
    motion[FIRST_S * RATE_HZ + 1 :] = 0
    assert fed("motion", motion).guard.findings == {}


def test_sensors_that_are_not_guarded_are_taken():
    guard, t = InputGuard(), np.arange(0.0, 7200, 600)
    for sensor in ("steps", "activity"):
        assert guard.accept(sensor, t, np.zeros((len(t), 1)), np.zeros(len(t), bool)).all()
    assert guard.findings == {}


@pytest.mark.parametrize("cut", [3, 300, 599, 600, 601, 900])
def test_a_guard_goes_on_from_its_state(cut):
    t, values = AT["motion"][:1000], STANDARD_GRAVITY * RIGHT["motion"][:1000]
    in_range = np.ones(1000, bool)
    whole, before, after = InputGuard(), InputGuard(), InputGuard()
    expected = whole.accept("motion", t, values, in_range)
    first = before.accept("motion", t[:cut], values[:cut], in_range[:cut])
    after.restore(before.state())
    accepted = np.append(first, after.accept("motion", t[cut:], values[cut:], in_range[cut:]))
    assert np.array_equal(accepted, expected)
    assert accepted.sum() == 600
    assert after.findings == whole.findings != {}
    assert after.refused == whole.refused == {"motion"}
    assert after.state().keys() == whole.state().keys()
    for name, saved in after.state().items():
        assert np.array_equal(saved, whole.state()[name]), name


# files


def lines(sensor, values, seconds=1.0):
    separator = LAYOUTS[sensor].separator or " "
    rows = np.column_stack([AT[sensor] * seconds, values])
    return "".join(separator.join(f"{x:.6g}" if i else f"{x:.2f}" for i, x in enumerate(row)) + "\n" for row in rows)


def write_night(folder, subject="7", **changed):
    """An hour of a subject below the folder. changed: {sensor: values} or {"labels": text}, or text of any file."""
    content = {sensor: lines(sensor, values) for sensor, values in RIGHT.items()}
    content["labels"] = "".join(f"{t} {t // 30 % 4}\n" for t in range(0, 3600, 30))
    for name, text in {**content, **changed}.items():
        path = paths(folder, subject)[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else lines(name, text))
    return folder


def decisive(folder):
    """The finding for which the night of subject 7 is skipped."""
    with pytest.raises(UnusableNight) as unusable:
        read_recording(folder, "7")
    assert sum(finding.done.startswith("night skipped") for finding in unusable.value.findings) == 1
    return unusable.value.findings[-1]


@pytest.mark.parametrize("unit", WRONG)
def test_a_file_in_a_wrong_unit_skips_the_night(tmp_path, unit):
    sensor, convert, _, remedy = WRONG[unit]
    finding = decisive(write_night(tmp_path, **{sensor: convert(RIGHT[sensor])}))
    assert finding.file == LAYOUTS[sensor].name("7")
    assert "median" in finding.what
    assert finding.what.count(remedy) == 1
    assert finding.done == "night skipped (delete the file to use the night without it)"
    paths(tmp_path, "7")[sensor].unlink()
    assert sensor not in read_recording(tmp_path, "7").samples


@pytest.mark.parametrize("unit", ["beats per second", "RR in ms"])
def test_a_few_lines_that_might_be_right_do_not_save_a_file_in_a_wrong_unit(tmp_path, unit):
    values = WRONG[unit][1](RIGHT["heart_rate"])
    values[100:110] = 200  # an early beat, or a doubled one
    finding = decisive(write_night(tmp_path, heart_rate=values))
    assert finding.what.startswith("10 of 720 lines usable; expected lines of 't,heart_rate' (median ")


def test_a_sensor_that_is_off_for_most_of_the_night_is_in_no_wrong_unit(tmp_path):
    values = RIGHT["heart_rate"].copy()
    values[:500] = 0
    night = read_recording(write_night(tmp_path, heart_rate=values), "7")
    assert len(night.samples["heart_rate"][0]) == 220


@pytest.mark.parametrize("name", ["heart_rate", "motion", "labels"])
def test_times_in_milliseconds_skip_the_night(tmp_path, name):
    if name == "labels":
        text = "".join(f"{1000 * t} 1\n" for t in range(0, 3600, 30))
    else:
        text = lines(name, RIGHT[name], 1000)
    finding = decisive(write_night(tmp_path, **{name: text}))
    assert finding.file == {**LAYOUTS, "labels": LABELS}[name].name("7")
    assert "most times are beyond 86400 s; expected seconds" in finding.what
    assert "milliseconds?" in finding.what


def test_other_nights_of_the_folder_are_used_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.nights.CACHE", tmp_path / "cache")
    write_night(tmp_path / "data", "6")
    write_night(tmp_path / "data", "7", motion=RIGHT["motion"] * STANDARD_GRAVITY)
    nights, findings = load_nights(tmp_path / "data", Options())
    assert [night.subject for night in nights] == ["6"]
    assert [finding.file for finding in findings] == ["motion/7_acceleration.txt"]


def assert_untouched(recording, options):
    """Every sample of the recording passes the guard, whole and aligned, and none is told of."""
    aligner = Aligner(options, options.channels, start=-7200.0)
    for sensor, (t, values) in recording.samples.items():
        aligner.feed(sensor, t, values)
        assert aligner.dropped[sensor]["wrong_unit"] == 0, (recording.subject, sensor)
    assert aligner.guard.findings == {}, recording.subject
    assert align(recording, options).channels.keys() >= recording.samples.keys() & {"heart_rate", "activity"}


def test_simulated_nights_are_untouched(synthetic):
    for subject in subjects(synthetic):
        assert_untouched(read_recording(synthetic, subject), CHANNELS)


def test_real_nights_are_untouched(real):
    for subject in subjects(real):
        assert_untouched(read_recording(real, subject), CHANNELS)
