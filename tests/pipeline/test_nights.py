"""Folders of recordings -> nights: what is kept in the cache and when it is not used.

The cache lies in a temporary folder throughout. Faults in files are tested in test_recordings.py.
"""

import errno
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

import pipeline.nights
from pipeline.checks import Finding
from pipeline.errors import UserMistake
from pipeline.nights import cache_path, channels_used, load_night, load_nights, read_night, write_night
from pipeline.options import Options
from pipeline.recordings import read_recording

EPOCHS = 64
FILES = {
    "heart_rate": "heart_rate/{}_heartrate.txt",
    "motion": "motion/{}_acceleration.txt",
    "steps": "steps/{}_steps.txt",
    "activity": "counts/{}_counts.txt",
    "labels": "labels/{}_labeled_sleep.txt",
}
SAME = {"lr": 1e-3, "seed": 5, "epochs": 3, "batch_size": 2, "hidden_dim": 8, "architectures": ("gru",)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.nights, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def write_files(folder, subject, sensors=FILES, wrong=""):
    """A night of 32 minutes, deterministic; `wrong` is put at the end of its heart rate."""
    rng = np.random.default_rng(int(subject))
    t = np.arange(0.5, 30 * EPOCHS, 5)
    moved = np.arange(0, 30 * EPOCHS, 1.0)
    rows = {
        "heart_rate": "".join(f"{at},{bpm:.0f}\n" for at, bpm in zip(t, rng.uniform(50, 90, len(t)), strict=True))
        + wrong,
        "motion": "".join(
            f"{at} 0.1 0.2 {z:.3f}\n" for at, z in zip(moved, rng.uniform(0.8, 1, len(moved)), strict=True)
        ),
        "steps": "".join(f"{at},{at // 100}\n" for at in range(0, 30 * EPOCHS, 600)),
        "activity": "".join(f"{15.01 * i:.2f},{i % 7}\n" for i in range(2 * EPOCHS)),
        "labels": "".join(f"{30 * i} {i % 4}\n" for i in range(EPOCHS)),
    }
    for sensor in sensors:
        path = folder / FILES[sensor].format(subject)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows[sensor])


@pytest.fixture
def folder(tmp_path):
    write_files(tmp_path / "data", "7")
    return tmp_path / "data"


@pytest.fixture
def parsed(monkeypatch):
    """The subjects whose files were parsed, in order."""
    subjects = []

    def parse(folder, subject, *args, **kwargs):
        subjects.append(subject)
        return read_recording(folder, subject, *args, **kwargs)

    monkeypatch.setattr(pipeline.nights, "read_recording", parse)
    return subjects


def assert_same(one, two):
    assert one.subject == two.subject
    assert np.array_equal(one.ends, two.ends)
    assert np.array_equal(one.stages, two.stages)
    assert one.stages.dtype == two.stages.dtype == np.int8
    assert list(one.channels) == list(two.channels)
    for name, windows in one.channels.items():
        assert windows.dtype == two.channels[name].dtype == np.float32
        assert np.array_equal(windows, two.channels[name])


def test_night_comes_from_the_cache_the_second_time(folder, parsed):
    one, findings = load_night(folder, "7", Options())
    two, again = load_night(folder, "7", Options())
    other, _ = load_night(folder, "7", Options(**SAME))  # these options do not shape a night
    assert parsed == ["7"]
    assert_same(one, two)
    assert_same(one, other)
    assert findings == again
    assert len(one) == EPOCHS


def test_the_cache_knows_content_and_not_where_or_when(folder, tmp_path, parsed):
    load_night(folder, "7", Options())
    shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    load_night(tmp_path / "elsewhere", "7", Options())
    assert parsed == ["7"]


@pytest.mark.parametrize("sensor", FILES)
def test_a_changed_byte_or_a_lost_file_makes_a_new_entry(folder, sensor, parsed):
    load_night(folder, "7", Options())
    path = folder / FILES[sensor].format(7)
    text = path.read_bytes()
    changed = text[:-2] + bytes([text[-2] ^ 1]) + text[-1:]  # the last digit
    path.write_bytes(changed)
    night, _ = load_night(folder, "7", Options())
    path.unlink()
    load_night(folder, "7", Options())
    assert parsed == ["7"] * 3
    path.write_bytes(changed)
    assert_same(night, load_night(folder, "7", Options())[0])
    assert parsed == ["7"] * 3


@pytest.mark.parametrize(
    "other",
    [
        {"negative_times": True},
        {"data_alignment": 15},
        {"motion_magnitude": True},
        {"window_size": 60},
        {"stride": 15},
        {"channels": ("heart_rate",)},
    ],
)
def test_an_option_that_shapes_the_night_makes_a_new_entry(folder, other, parsed):
    one, _ = load_night(folder, "7", Options())
    two, _ = load_night(folder, "7", Options(**other))
    assert parsed == ["7", "7"]
    if "negative_times" not in other:
        assert [x.shape for x in one.channels.values()] != [x.shape for x in two.channels.values()]


def test_labels_are_required_optional_or_ignored(folder, parsed):
    night, _ = load_night(folder, "7", Options(), want_labels=False)
    assert (night.stages == -1).all()
    assert (load_night(folder, "7", Options(), require_labels=False)[0].stages >= 0).all()
    (folder / FILES["labels"].format(7)).unlink()
    assert (load_night(folder, "7", Options(), require_labels=False)[0].stages == -1).all()
    for _ in range(2):
        night, findings = load_night(folder, "7", Options(), require_labels=True)
        assert night is None
        assert "no stages" in str(findings[-1])
    assert parsed == ["7"] * 4


def test_findings_are_kept(tmp_path, parsed):
    write_files(tmp_path, "3", wrong="1919,900\n1919.5,x\n")
    (_, first), (_, second) = (load_night(tmp_path, "3", Options()) for _ in range(2))
    assert parsed == ["3"]
    assert first == second
    assert len(first) == 2
    assert all(isinstance(finding, Finding) for finding in second)


def test_an_unusable_night_is_kept_too(tmp_path, parsed):
    write_files(tmp_path, "3", ["steps", "labels"])
    (one, first), (two, second) = (load_night(tmp_path, "3", Options()) for _ in range(2))
    assert parsed == ["3"]
    assert one is two is None
    assert first == second != []


def test_a_change_of_the_guard_makes_a_new_entry(folder):
    """As of any module that decides what a night holds."""
    code = (Path(pipeline.nights.__file__).parent / "guard.py").read_bytes()
    assert code in pipeline.nights._CODE


def test_nothing_is_pickled(folder, cache):
    load_night(folder, "7", Options())
    (path,) = cache.iterdir()
    with np.load(path, allow_pickle=False) as saved:
        assert {saved[name].dtype.kind for name in saved.files} <= set("fiuU")


class Bomb:
    def __reduce__(self):
        return (Path("went_off").touch, ())


def damages(whole):
    """Kinds of damage to a file -> its bytes."""
    rng = np.random.default_rng(0)
    yield "empty", b""
    yield "text", b"not a night"
    yield "pickle", pickle.dumps(Bomb())
    for n in rng.integers(1, len(whole), 20):
        yield f"cut at {n}", whole[:n]
    for n in rng.integers(0, len(whole), 100):
        yield f"byte {n} changed", whole[:n] + bytes([whole[n] ^ (1 << int(rng.integers(8)))]) + whole[n + 1 :]
    for n in rng.integers(0, len(whole), 20):
        yield f"zeros from {n}", whole[:n] + bytes(len(whole) - n)


def test_a_damaged_entry_is_made_again(folder, cache, monkeypatch):
    recording = read_recording(folder, "7")
    night, findings = load_night(folder, "7", Options())
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    monkeypatch.setattr(pipeline.nights, "read_recording", lambda *_, **__: recording)
    monkeypatch.chdir(cache)
    failed = []
    for what, content in damages(whole):
        path.write_bytes(content)
        try:
            again, findings_again = load_night(folder, "7", Options())
        except Exception as error:
            failed.append(f"{what}: {error!r}")
            continue
        assert_same(night, again)
        assert findings_again == findings
        assert_same(night, read_night(path)[0])  # whole again
        assert list(cache.iterdir()) == [path]
    assert not failed, failed


def test_an_entry_with_pickled_arrays_is_refused(folder, cache, monkeypatch):
    night, _ = load_night(folder, "7", Options())
    (path,) = cache.iterdir()
    monkeypatch.chdir(cache)
    with np.load(path) as saved:
        np.savez(path, **{**saved, "stages": np.array([Bomb()] * len(night), object)})
    assert_same(night, load_night(folder, "7", Options())[0])
    assert not (cache / "went_off").exists()


def test_a_night_goes_through_a_file(folder, tmp_path):
    night, _ = load_night(folder, "7", Options())
    findings = [Finding("a", "line 1", "κ „odd“", "done"), Finding("b", "c", "d", "e")]
    write_night(tmp_path / "x" / "night.npz", night, findings)
    again, findings_again = read_night(tmp_path / "x" / "night.npz")
    assert_same(night, again)
    assert findings_again == findings
    write_night(tmp_path / "none.npz", None, findings)
    assert read_night(tmp_path / "none.npz") == (None, findings)


def test_nights_of_a_folder_in_the_order_of_subjects(tmp_path):
    for subject in ("10", "9", "200"):
        write_files(tmp_path, subject, ["heart_rate", "labels"])
    write_files(tmp_path, "30", ["heart_rate", "labels"])
    (tmp_path / FILES["labels"].format(30)).write_text("0 17\n")
    reported = []
    nights, findings = load_nights(tmp_path, Options(), progress=reported.append)
    assert [night.subject for night in nights] == ["9", "10", "200"]
    assert reported == ["9", "10", "30", "200"]
    assert len(findings) == 1
    assert "labels/30" in str(findings[0])
    nights, findings = load_nights(tmp_path, Options(), requested=["200", "9"])
    assert [night.subject for night in nights] == ["9", "200"]
    assert not findings


def test_many_raw_nights_are_read_side_by_side(tmp_path, cache, parsed):
    for subject in range(1, 7):
        write_files(tmp_path / "data", str(subject), ["heart_rate", "labels"])
    with parallel_config(backend="threading", n_jobs=2):  # other processes would not see this test's cache
        nights, _ = load_nights(tmp_path / "data", Options())
    assert [night.subject for night in nights] == list("123456")
    assert sorted(parsed) == list("123456")
    assert len(list(cache.iterdir())) == 6
    load_nights(tmp_path / "data", Options())
    assert len(parsed) == 6


def test_a_night_under_two_ids_is_loaded_once(tmp_path):
    for subject in ("2", "10"):
        write_files(tmp_path / "d", subject)
    write_files(tmp_path / "d", "11", ["labels"])
    lines = (tmp_path / "d" / FILES["heart_rate"].format(10)).read_text().splitlines()
    (tmp_path / "d" / FILES["heart_rate"].format(11)).write_text("\n".join(lines[7:]))
    for _ in range(2):  # the second time from the cache
        nights, findings = load_nights(tmp_path / "d", Options(channels=("heart_rate",)))
        assert [night.subject for night in nights] == ["2", "10"]
        assert str(findings[-1]).startswith("night 11: all files: has the values of night 10;")


def test_channels_stay_in_the_cache_and_are_read_when_asked_for(tmp_path, cache):
    write_files(tmp_path / "data", "9", ["heart_rate", "labels"])
    (night,), _ = load_nights(tmp_path / "data", Options())
    expected, _ = load_night(tmp_path / "data", "9", Options())
    again = pickle.loads(pickle.dumps(night))
    assert len(pickle.dumps(night)) < expected.channels["heart_rate"].nbytes / 4
    assert [*again.channels] == ["heart_rate"]
    assert "steps" not in night.channels and len(night.channels) == 1
    assert np.array_equal(again.values("heart_rate", Options()), expected.channels["heart_rate"])
    assert (night.values("activity", Options()) == -1).all()  # which it lacks
    with pytest.raises(KeyError):
        night.channels["steps"]
    next(cache.glob("9-*")).write_bytes(b"damaged")
    with pytest.raises(UserMistake, match=r"9-.*\.npz: damaged"):
        night.values("heart_rate", Options())


def test_nights_without_labels_are_loaded_where_they_are_not_required(tmp_path):
    write_files(tmp_path, "9", ["heart_rate", "labels"])
    write_files(tmp_path, "10", ["heart_rate"])
    nights, findings = load_nights(tmp_path, Options())
    assert [night.subject for night in nights] == ["9"]
    assert str(findings[-1]) == "labels/10: whole file: no stages; night skipped"
    nights, findings = load_nights(tmp_path, Options(), require_labels=False)
    assert [night.subject for night in nights] == ["9", "10"]
    assert [(night.stages >= 0).all() for night in nights] == [True, False]
    assert not findings


def test_absent_subjects_are_named(tmp_path):
    write_files(tmp_path, "9", ["heart_rate", "labels"])
    with pytest.raises(UserMistake, match=r"no recording of 10, 11; it holds 9$"):
        load_nights(tmp_path, Options(), requested=["11", "9", "10"])


def test_a_folder_without_a_usable_night_says_why(tmp_path):
    write_files(tmp_path, "9", ["heart_rate", "labels"])
    (tmp_path / FILES["labels"].format(9)).write_text("0 17\n")
    with pytest.raises(UserMistake, match=r"no usable night among 1: labels/9.*stage code"):
        load_nights(tmp_path, Options())


def test_cache_path_is_named_after_the_subject_and_differs_between_subjects(folder):
    write_files(folder, "8")
    paths = [cache_path(folder, subject, Options()) for subject in "78"]
    assert [path.name.split("-")[0] for path in paths] == ["7", "8"]
    assert cache_path(folder, "7", Options(), require_labels=False) != paths[0]
    assert cache_path(folder, "7", Options(), want_labels=False) != paths[0]


def test_channels_used_are_those_of_any_night_and_a_requested_one_must_be_there(tmp_path):
    write_files(tmp_path, "9", ["heart_rate", "labels"])
    write_files(tmp_path, "10", ["activity", "labels"])
    nights, _ = load_nights(tmp_path, Options())
    assert channels_used(nights, Options()) == ["heart_rate", "activity"]
    assert channels_used(nights[:1], Options()) == ["heart_rate"]
    with pytest.raises(
        UserMistake, match=r"^--channels steps: in no training night; choose from activity, heart_rate$"
    ):
        channels_used(nights, Options(channels=("heart_rate", "steps")))
    with pytest.raises(UserMistake, match=r"^--motion_magnitude: no training night has motion$"):
        channels_used(nights, Options(motion_magnitude=True))


def test_a_file_that_cannot_be_read_costs_its_night_alone(folder, monkeypatch):
    write_files(folder, "8")
    before = cache_path(folder, "8", Options())
    opened = Path.open

    def unreadable(path, *args, **kwargs):
        if path.name == "8_heartrate.txt":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", unreadable)
    monkeypatch.setattr(pipeline.recordings, "_read_clean", lambda path, layout: None)
    assert cache_path(folder, "8", Options()) != before
    nights, findings = load_nights(folder, Options())
    assert [night.subject for night in nights] == ["7"]
    assert [finding.what for finding in findings if "8_" in finding.file] == ["cannot be read: Permission denied"]


def test_without_a_cache_nights_are_in_memory_and_it_is_said_once(folder, cache, capsys):
    write_files(folder, "8")
    cache.write_text("a file where the folder should be")
    nights, _ = load_nights(folder, Options())
    assert [night.subject for night in nights] == ["7", "8"]
    assert nights[1].channels["heart_rate"].shape == (EPOCHS, 30)
    assert capsys.readouterr().err.splitlines() == [
        f"{cache}: cannot be written; nights are kept in memory, and read again each time"
    ]


def test_ids_may_be_as_long_as_names_of_files(folder):
    long = ["n" * 215, "n" * 214 + "é"]
    for name in long:
        for kind in ("heart_rate", "labels"):
            source = folder / FILES[kind].format(7)
            shutil.copy(source, source.with_name(source.name.replace("7", name, 1)))
    for _ in range(2):
        assert [load_night(folder, name, Options())[0].subject for name in long] == long
