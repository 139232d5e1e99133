"""Stress tests: nights under stress are the same nights, figures are those of scoring.metrics, the command as used.

What a stress does to the samples is tested in pipeline/test_degrade.py; tables in scoring/test_stress_tables.py.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from evaluation import stress
from evaluation.__main__ import main, stress_names
from evaluation.stress_report import plot_stresses, stress_page
from pipeline.align import align
from pipeline.constants import COUNT_S, STAGES
from pipeline.degrade import AS_RECORDED, CADENCE, STRESSES, degraded
from pipeline.errors import UserMistake
from pipeline.options import Options
from pipeline.recordings import Recording, paths, read_recording, subjects
from pipeline.run_folder import RunFolder
from scoring import plots
from scoring.metrics import VIEWS, scores
from scoring.predictions import PredictedNight


def command(*arguments):
    done = CliRunner().invoke(main, ["stress", *map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def recording_of(**sensors):
    """An hour and a half: heart rate, and other sensors by name, with scored stages."""
    rng = np.random.default_rng(0)
    t = np.arange(2.5, 5400, 5)
    samples = {"heart_rate": (t, 60 + rng.normal(0, 3, len(t))), **sensors}
    return Recording("7", samples, (30.0 * np.arange(180), rng.integers(0, 5, 180)))


COUNTS = (np.arange(15.0, 5400, 15), np.random.default_rng(1).integers(0, 50, 359).astype(float))
MOTION = (np.arange(0, 5400, 0.1), np.random.default_rng(2).normal((0, 0, 1), 0.1, (54000, 3)))


@pytest.mark.parametrize(
    "sensors", [{"activity": COUNTS}, {"motion": MOTION}, {}, {"activity": COUNTS, "motion": MOTION}]
)
def test_a_night_under_stress_is_that_of_the_degraded_recording(sensors):
    """Though sensors that are as they were are not aligned again."""
    recording, options = recording_of(**sensors), Options(channels=("heart_rate", "activity", "motion_z"))
    names = [name for name in STRESSES if degraded(recording, name).samples]
    nights = dict(stress.stressed_nights(recording, options, names, 0))
    assert [*nights] == names
    for name, night in nights.items():
        plain = align(degraded(recording, name), options)
        assert night.channels.keys() == plain.channels.keys()
        for channel in plain.channels:
            np.testing.assert_array_equal(night.channels[channel], plain.channels[channel])
        assert night.ends.tolist() == plain.ends.tolist()
        assert night.stages.tolist() == plain.stages.tolist()


def test_a_night_keeps_its_windows_whatever_is_lost():
    """A lead before t=0 that is lost, and a night without any sensor left."""
    recording = recording_of(activity=COUNTS)
    t, x = recording.samples["heart_rate"]
    recording.samples["heart_rate"] = np.append(-np.arange(600.0, 0, -5), t), np.append(np.full(120, 60.0), x)
    options = Options(negative_times=True)
    nights = dict(stress.stressed_nights(recording, options, [AS_RECORDED, "1 h late", "no heart rate"], 0))
    assert {len(night) for night in nights.values()} == {200}
    assert nights["1 h late"].ends[0] == -570
    only_heart_rate = recording_of()
    ((_, lost),) = stress.stressed_nights(only_heart_rate, Options(), ["no heart rate"], 0)
    assert (len(lost), lost.channels) == (180, {})


def test_counts_in_place_of_motion_leave_the_counts_as_they_were():
    t, xyz = MOTION
    recording = recording_of(motion=(t - 100.0, xyz))
    for options in (Options(), Options(negative_times=True)):
        nights = dict(stress.stressed_nights(recording, options, [AS_RECORDED, "counts only"], 0))
        one, other = (nights[name].channels["activity"] for name in (AS_RECORDED, "counts only"))
        np.testing.assert_array_equal(one, other)
        assert (one >= 0).any()


def random_night(rng, subject="1", unknown=None):
    stages = rng.integers(-1, 5, 200)
    p = rng.dirichlet(np.ones(5), 200) + 0.4 * np.eye(5)[stages]
    return PredictedNight(subject, 30.0 * np.arange(200), stages, p / p.sum(1, keepdims=True), unknown=unknown)


def counts_of(*nights):
    """Counts [1 seed, subjects] of nights."""
    return stress._stack([[[stress.NightCounts.of(night)] for night in nights]])


def test_figures_are_those_of_the_pooled_predictions():
    rng = np.random.default_rng(0)
    nights = [random_night(rng) for _ in range(4)]
    unknown = replace(nights[3], unknown=np.arange(200) < 50)
    row = stress.figures("noise 5 bpm", counts_of(*nights[:3], unknown), counts_of(*nights))
    stages = np.concatenate([night.stages for night in nights])
    p = np.concatenate([night.probabilities for night in nights])
    expected = scores(stages, p)
    for view in VIEWS:
        for name in ("accuracy", "kappa", "macro_f1"):
            assert row["views"][view][name] == pytest.approx(expected[view][name])
    for name in ("recall", "precision"):
        assert row[name] == pytest.approx(expected["5"][name])
    predicted = p[stages >= 0].argmax(1)
    for i, stage in enumerate(STAGES):
        assert row["predicted_per_scored"][stage] == pytest.approx((predicted == i).sum() / (stages == i).sum())
    assert row["unknown_share"] == pytest.approx((unknown.stages[:50] >= 0).sum() / (stages >= 0).sum())
    assert (row["kind"], row["strength"], row["unit"]) == ("white noise", 5, "bpm")
    assert row["kappa_change"] == 0
    assert row["kappa_change_interval"] == [0, 0]  # the same nights: whoever is drawn


def test_the_change_of_kappa_is_paired():
    """Subjects differ widely, the change hardly: its interval is as narrow as the change is alike."""
    rng = np.random.default_rng(1)
    before = np.array([[a * np.eye(5) + (40 - a) / 5 for a in rng.uniform(5, 35, 20)]])
    after = before - 0.02 * before.diagonal(axis1=2, axis2=3)[:, :, None] * np.eye(5) + 0.02
    change, (low, high) = stress.kappa_change(after, before)
    assert low < change < high < 0
    assert high - low < 0.2 * abs(change)
    assert stress.kappa_change(after[:, :1], before[:, :1])[1] is None


def test_a_stage_that_nobody_has_is_no_share():
    stages = np.array([0, 2, 2, 4])
    night = PredictedNight("1", 30.0 * np.arange(4), stages, np.eye(5)[[0, 2, 4, 4]])
    row = stress.plain(stress.figures(AS_RECORDED, counts_of(night), counts_of(night)))
    assert (row["recall"]["N1"], row["precision"]["N3"], row["predicted_per_scored"]["N1"]) == (None, None, None)
    assert row["recall"] | {"N1": 0, "N3": 0} == {"Wake": 1, "N1": 0, "N2": 0.5, "N3": 0, "REM": 1}
    assert row["predicted_per_scored"]["REM"] == 2


def test_repeats_of_a_night_are_added_up_and_seeds_averaged():
    rng = np.random.default_rng(0)
    nights = [stress.NightCounts.of(random_night(rng)) for _ in range(3)]
    counts = stress._stack([[[nights[0], nights[1]]], [[nights[2]]]])
    assert counts.confusions["5"].shape == (2, 1, 5, 5)
    assert (counts.confusions["5"][0, 0] == nights[0].confusions["5"] + nights[1].confusions["5"]).all()
    row = stress.figures("no heart rate", counts, counts)
    accuracies = [matrix.trace() / matrix.sum() for matrix in counts.confusions["5"].sum(1)]
    assert row["views"]["5"]["accuracy"] == pytest.approx(np.mean(accuracies))


def test_names_with_a_comma():
    text = "noise 1 bpm,every 60 s, no movement, 1-Hz ECG, apnoea, no movement,1-Hz ECG,no movement"
    names = ["noise 1 bpm", "every 60 s, no movement", "1-Hz ECG, apnoea, no movement", "1-Hz ECG", "no movement"]
    assert stress_names(text) == names
    assert stress_names("noise, no movement") == ["noise", "no movement"]


@pytest.fixture(scope="module")
def tested(quick_run, tmp_path_factory):
    """stress.json and stress.md of a hardly trained run, under a few stresses, by Keras and by the exported file."""
    out = tmp_path_factory.mktemp("stress") / "out"
    names = "no heart rate,noise 5 bpm,noise 1 bpm,every 60 s, no movement,off the wrist for an hour"
    arguments = "--stresses", names, "--precisions", "float32,float16", "--jobs", 1, "--json", out / "copy.json"
    done = command(quick_run.folder, *arguments, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "stress.md")
    assert (out / "copy.json").read_bytes() == (out / "stress.json").read_bytes()
    return out, json.loads((out / "stress.json").read_text())


def test_what_is_written(tested, quick_run):
    out, document = tested
    assert document["nights"] == json.loads((quick_run.folder / "splits.json").read_text())["validation"]
    assert [(entry["architecture"], entry["precision"]) for entry in document["results"]] == [
        ("gru", "float32"), ("gru", "float16"),
    ]  # fmt: skip
    rows = {row["stress"]: row for row in document["results"][0]["stresses"]}
    assert next(iter(rows)) == AS_RECORDED
    assert len(rows) == 6
    assert document["results"][0]["cadence"] == [
        {"heart_rate": heart, "movement": movement, "kappa": rows[name]["views"]["5"]["kappa"],
         "kappa_change": rows[name]["kappa_change"]}
        for (heart, movement), name in CADENCE.items()
        if name in rows
    ]  # fmt: skip
    assert document["raw_motion"]
    assert rows[AS_RECORDED]["unknown_share"] < 0.2 < rows["off the wrist for an hour"]["unknown_share"]
    text = (out / "stress.md").read_text()
    assert "## gru, float16" in text
    assert "| every 60 s, no movement |" in text
    assert "](stress.png)" in text
    assert "nan" not in text.lower()
    assert plots.plt.imread(out / "stress.png").shape[2] == 4


def test_as_recorded_is_what_the_run_was_scored_as(tested, quick_run):
    results = json.loads((quick_run.folder / "evaluation.json").read_text())["results"]
    (same,) = [r for r in results if (r["architecture"], r["operating_point"]) == ("gru", "default")]
    row = tested[1]["results"][0]["stresses"][0]
    assert tested[1]["epochs"] == same["epochs"]["all"]
    assert row["views"]["5"]["kappa"] == pytest.approx(same["scored"]["all"]["5"]["kappa"])
    float16 = tested[1]["results"][1]["stresses"][0]
    assert float16["views"]["5"]["accuracy"] == pytest.approx(row["views"]["5"]["accuracy"], abs=0.1)


def test_nights_without_raw_motion(quick_run, tmp_path):
    """Their movement is counts: what is done to raw motion is left out, and the cadence table has no such column."""
    run = RunFolder(quick_run.folder)
    (subject,) = run.splits["validation"]
    recording = degraded(read_recording(run.dataset_dir, subject), "counts only")
    ends, counts = recording.samples["activity"]
    written = {"heart_rate": recording.samples["heart_rate"], "activity": (ends - COUNT_S, counts)}
    for name, (t, x) in written.items():
        path = paths(tmp_path, subject)[name]
        path.parent.mkdir()
        path.write_text("".join(f"{a!r},{b!r}\n" for a, b in zip(t.tolist(), x.tolist(), strict=True)))
    labels = paths(run.dataset_dir, subject)["labels"]
    shutil.copytree(labels.parent, tmp_path / "labels")
    document = stress.stress_test(run.path, tmp_path, stresses=["every 60 s", "counts only", "no movement"])
    assert not document["raw_motion"]
    (result,) = document["results"]
    assert [row["stress"] for row in result["stresses"]] == [AS_RECORDED, "every 60 s", "no movement"]
    cells = [(cell["heart_rate"], cell["movement"]) for cell in result["cadence"]]
    assert cells == [("every 5 s", "counts only"), ("every 5 s", "none"), ("every 60 s", "counts only")]
    assert "nights have no raw motion" in stress_page(document, drawn=False)


def test_folds_of_an_evaluation_are_pooled(quick_run, tmp_path):
    """Two folds that are the same run: its nights twice."""
    for name in ("repeat_0.fold_0.seed_0", "repeat_0.fold_1.seed_0"):
        ignored = shutil.ignore_patterns("bundles", "predictions")
        shutil.copytree(quick_run.folder, tmp_path / "folds" / name, ignore=ignored)
    once = stress.stress_test(quick_run.folder, stresses=["no movement"])
    twice = stress.stress_test(tmp_path, stresses=["no movement"])
    assert twice["epochs"] == 2 * once["epochs"]
    assert twice["nights"] == once["nights"]
    one, other = (document["results"][0]["stresses"][1] for document in (once, twice))
    assert one["views"] == other["views"]


def test_other_recordings_are_those_it_was_not_trained_on(quick_run, mistake, tmp_path):
    run = RunFolder(quick_run.folder)
    data = run.dataset_dir
    trained_on = {*run.splits["train"], *run.splits["inner_validation"]}
    assert stress.held_out_subjects(run, data) == [subject for subject in subjects(data) if subject not in trained_on]
    assert {*stress.held_out_subjects(run, None)} == {*run.splits["validation"]}
    unlabelled = tmp_path / "data"
    shutil.copytree(data, unlabelled, ignore=shutil.ignore_patterns("labels"))
    with pytest.raises(UserMistake, match="has a scored epoch"):
        stress.stress_test(run.path, unlabelled, stresses=["no movement"])


def test_a_page_without_cadence_and_without_a_plot(tested, tmp_path):
    results = [entry | {"cadence": [], "stresses": entry["stresses"][:1]} for entry in tested[1]["results"]]
    assert not plot_stresses(results, 1, tmp_path / "stress.png")
    text = stress_page(tested[1] | {"results": results, "left_out": ["9"], "trainings": [0, 1]}, drawn=False)
    assert "Cadence" not in text
    assert "stress.png" not in text
    assert "left out, because they cannot be used or are unscored: 9" in text
    assert "2 (seeds 0, 1); scores are means over them" in text


def test_a_stopped_test_writes_nothing(quick_run, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stress, "count_night", interrupted)
    done = command(quick_run.folder, "--jobs", 1, "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert "stopped; nothing was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stresses", ","], "--stresses: none given"),
        (["--stresses", "noise"], "--stresses: noise; choose from as recorded, noise 1 bpm"),
        (["--stresses", ""], "--stresses: empty; for the default, leave the option out"),
        (["--precisions", "int4"], "--precisions: int4; choose from float32"),
        (["--architectures", "cnn"], "--architectures: cnn"),
        (["--dataset_dir", "/nowhere"], "/nowhere: no such folder"),
        (["--json", "/tmp"], "--json /tmp: is a folder"),
    ],
)
def test_mistakes_are_one_clear_line(quick_run, mistake, arguments, message):
    assert message in mistake(command(quick_run.folder, *arguments))


def test_a_folder_that_is_no_run_is_a_mistake(mistake, tmp_path):
    assert "no such run folder" in mistake(command(tmp_path / "none"))
    assert "hparams.json: missing" in mistake(command(tmp_path))


def test_a_run_without_its_model_is_a_mistake(quick_run, mistake, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(quick_run.folder, run, ignore=shutil.ignore_patterns("*.keras", "bundles"))
    assert "GRU_best_model.keras: missing" in mistake(command(run))


@pytest.mark.filterwarnings("error")
def test_a_plot_of_a_single_stress_has_room(tmp_path):
    rows = [{"stress": name, "kind": name, "strength": None, "unit": "", "views": {"5": {"kappa": 0.4}}}
            for name in (AS_RECORDED, "no movement")]  # fmt: skip
    result = {"architecture": "gru", "precision": "int8", "stresses": rows}
    assert plot_stresses([result], 1, tmp_path / "stress.png")
