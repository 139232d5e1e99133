"""What a bundle's report and model card say, and of what origin they say the nights are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from export import report
from export.cadence import Cadence, Cell
from export.card import MAIN_STRESSES
from export.contract import Contract
from pipeline.align import Night
from pipeline.constants import STAGES
from pipeline.degrade import STRESSES
from pipeline.files import read_json, write_json
from pipeline.origin import SLEEP_ACCEL, SYNTHETIC, UNKNOWN, Origin
from pipeline.run_folder import RunFolder
from scoring.metrics import kappa


def night(stages, subject="1"):
    return Night(subject, 30 * np.arange(1.0, len(stages) + 1), {}, np.array(stages))


def sure(stages):
    """Probabilities that say these stages."""
    return np.eye(5)[stages] * 0.6 + 0.08


def read(path):
    return Path(path).read_bytes()


class TestFigures:
    def test_pooled_over_scored_windows(self):
        nights = [night([0, 1, 2, -1]), night([2, 2, 3, 4])]
        predicted = [sure([0, 2, 2, 4]), sure([2, 3, 3, 4])]
        of = report.figures(nights, predicted)
        assert (of["windows"], of["scored"]) == (8, 7)
        five = of["views"]["5"]
        assert five["accuracy"] == pytest.approx(5 / 7)
        assert five["kappa"] == pytest.approx(kappa([0, 1, 2, 2, 2, 3, 4], [0, 2, 2, 2, 3, 3, 4]))
        assert five["majority_accuracy"] == pytest.approx(3 / 7)
        assert five["recall"] == {"Wake": 1, "N1": 0, "N2": pytest.approx(2 / 3), "N3": 1, "REM": 1}
        assert five["precision"]["N1"] is None  # never predicted
        assert of["views"]["4"]["accuracy"] == pytest.approx(6 / 7)
        assert np.sum(of["confusion"]["5"]) == np.sum(of["confusion"]["2"]) == 7
        assert of["confusion"]["5"][1] == [0, 0, 1, 0, 0]
        assert of["calibration"]["ece"] == pytest.approx(abs(5 / 7 - 0.68))
        json.dumps(of, allow_nan=False)

    def test_nothing_scored(self):
        assert report.figures([night([-1, -1])], [sure([0, 1])]) == {"windows": 2, "scored": 0}

    def test_no_answer(self):
        assert "views" not in report.figures([night([0, 1])], [np.full((2, 5), np.nan)])

    def test_drawn_as_counted(self):
        counts = [[3, 1], [0, 2]]
        scored, predicted, _ = report.epochs_of(counts, ("a", "b"))
        assert np.array_equal([[np.sum((scored == i) & (predicted == j)) for j in (0, 1)] for i in (0, 1)], counts)


class TestBundle:
    """A bundle with figures of two made-up nights."""

    @pytest.fixture
    def run(self, quick_run, tmp_path, monkeypatch):
        run = tmp_path / "run"
        shutil.copytree(quick_run.folder, run, ignore=shutil.ignore_patterns("*.keras", "lstm", "rnn", "transformer"))
        few = {"p5": 1.0, "median": 2.5, "p95": 4.0, "mean": 2.5, "runs": 7}
        monkeypatch.setattr(report, "latencies", lambda folder, calls: dict.fromkeys(calls, few))
        rng = np.random.default_rng(0)
        stages = [rng.integers(-1, 5, 80) for _ in range(2)]
        nights = [night(s) for s in stages]
        predicted = [sure(np.where(rng.random(80) < 0.7, s, 2)) for s in stages]
        parity = read_json(run / "parity.json")
        plans = Contract.read(run / "bundles/gru").precisions
        for row in parity["models"]:
            if row["architecture"] == "gru" and row["precision"] in plans:
                row["measured"] = report.measurements(run / "bundles/gru", plans[row["precision"]], nights, predicted)
        write_json(run / "parity.json", parity)
        return run

    def write(self, run):
        bundle = run / "bundles/gru"
        report.write_report(bundle, RunFolder(run))
        texts = ((bundle / name).read_text() for name in ("report.md", "MODEL_CARD.md"))
        return read_json(bundle / "report.json"), *texts

    def test_what_is_reported(self, run):
        document, text, card = self.write(run)
        of, files = document["precisions"]["float32"], document["files"]
        calls = [files["sensing.tflite"], files["gru.float32.tflite"]]
        assert of["macs"] == sum(call["macs"] for call in calls)
        assert of["macs_per_hour"] == 120 * of["macs"]
        assert files["activity.tflite"]["macs_per_hour"] == 240 * files["activity.tflite"]["macs"]
        assert of["step_us"] == 5
        assert of["arena_bytes"] == max(call["arena_bytes"] for call in calls)
        parity = {
            row["precision"]: row for row in read_json(run / "parity.json")["models"] if row["architecture"] == "gru"
        }
        assert of["agreement"]["p99_abs_dp"] == parity["float32"]["p99_abs_dp"]
        five = of["figures"]["views"]["5"]
        for shown in (text, card):
            assert f"{five['kappa']:.3f}" in shown
            assert f"{five['majority_accuracy']:.3f}" in shown
        assert "28,000" in text
        assert "4.6 MFLOP" in text
        assert "activity.tflite, only without counts" in text
        assert f"{files['activity.tflite']['macs']:,}" in text
        assert "7 runs" in text

    @pytest.mark.parametrize("installed", [True, False])
    def test_arenas_of_microcontrollers(self, run, monkeypatch, installed):
        sizes = {"bytes": 32_100, "tensors": 4300, "kept": 27_800, "bytes_32_bit": 23_000}
        known = {"sensing.tflite": sizes, "gru.int16x8.tflite": {"error": "no such operation"}}
        small = sizes | {"bytes": 10_200}

        def measured(paths):
            return {path.name: known.get(path.name, small) for path in paths} if installed else {}

        monkeypatch.setattr(report, "measured_arenas", measured)
        document, text, card = self.write(run)
        runs = ("float32", "int8") if installed else ()  # float16 and dynamic are refused there
        expected = {name: 32_100 if name in runs else None for name in document["precisions"]}
        assert {name: of["micro_arena_bytes"] for name, of in document["precisions"].items()} == expected
        assert document["files"]["sensing.tflite"]["micro_arena"] == (sizes if installed else None)
        for shown in (text, card):
            assert ("32.1" in shown) == installed
        assert ("tflite-micro was not" in text) == (not installed)

    def test_the_pictures_shown_are_there(self, run):
        _, *texts = self.write(run)
        for text in texts:
            for name in ("confusion.png", "reliability.png", "parity.png"):
                assert f"({name})" in text
                assert read(run / "bundles/gru" / name).startswith(b"\x89PNG")

    def come_from(self, run, origin):
        """Make it a run of nights of this origin, and write its report."""
        write_json(run / "hparams.json", read_json(run / "hparams.json") | {"origin": origin.as_dict()})
        document, *texts = self.write(run)
        assert document["data"]["origin"] == origin.name
        assert document["data"]["mark"] == origin.as_dict()
        return texts

    def test_simulated_nights(self, run):
        """The origin that the run recorded when it was trained."""
        document, *texts = self.write(run)
        assert document["data"]["origin"] == "synthetic"
        assert document["data"]["mark"] == SYNTHETIC.as_dict()
        for text in texts:
            assert "SIMULATED NIGHTS" in text.split("##")[0]
            assert "Walch" not in text
        assert "Simulated nights (synthetic)." in texts[1]

    def test_sleep_accel(self, run):
        """Who is in it, and the attribution that its licence asks for."""
        text, card = self.come_from(run, SLEEP_ACCEL)
        assert "SIMULATED" not in text + card
        assert "unknown origin" not in text + card
        for phrase in (
            "doi:10.13026/hmhs-py35",
            "Open Data Commons Attribution License 1.0",
            "6 of them",
            "not a medical",
        ):
            assert phrase in card
        splits = read_json(run / "splits.json")
        assert f"held out ({len(splits['validation'])}): {', '.join(splits['validation'])}" in card

    def test_unknown_origin(self, run):
        """Whoever the subjects are: their ids say nothing."""
        ids = iter(["46343", "759667", "781756", "844359", "1066528", "1360686"])  # as in sleep-accel
        splits = {part: [next(ids) for _ in members] for part, members in read_json(run / "splits.json").items()}
        write_json(run / "splits.json", splits)
        text, card = self.come_from(run, UNKNOWN)
        assert "Nights of unknown origin" in text.split("##")[0]
        assert "6 nights of unknown origin: the data set has no origin.json" in card
        assert "Add this here before you pass the model on." in card
        assert "Licence:" not in card
        for name in ("Walch", "sleep-accel", "SIMULATED", "ODC-By"):
            assert name not in text + card

    def test_nights_of_another_data_set(self, run):
        origin = Origin("sleep-lab", "2.1", "CC BY 4.0", "Lab of Sleep, 2025.")
        text, card = self.come_from(run, origin)
        assert "6 nights of sleep-lab 2.1: " in card
        assert "Licence: CC BY 4.0. Lab of Sleep, 2025." in card
        for name in ("Walch", "SIMULATED", "unknown origin"):
            assert name not in text + card

    def test_a_file_built_anew_has_no_figures(self, run):
        """Another graph or other weights: what was measured says nothing of it."""
        parity = read_json(run / "parity.json")
        for row in parity["models"]:
            if (row["architecture"], row["precision"]) == ("gru", "float32"):
                row["measured"]["files"]["gru.float32.tflite"] = "0" * 64
        write_json(run / "parity.json", parity)
        document, text, _ = self.write(run)
        assert document["precisions"]["float32"]["figures"] is None
        assert "- float32: no figures, the file was rebuilt" in text

    def test_not_measured_at_all(self, run):
        """Pictures of an earlier report go, the costs stay."""
        self.write(run)
        (run / "parity.json").unlink()
        document, text, card = self.write(run)
        assert all(of["figures"] is None and of["macs"] > 0 for of in document["precisions"].values())
        assert "no figures, no parity check" in text
        assert "have no figures on held-out nights" in card
        assert not list((run / "bundles/gru").glob("*.png"))

    def test_rejected_files_are_named(self, run):
        contract = read_json(run / "bundles/gru/contract.json")
        contract["precisions"] = {"float32": contract["precisions"]["float32"]}
        del contract["digest"]
        write_json(run / "bundles/gru/contract.json", contract)
        document, text, _ = self.write(run)
        assert "int8" in document["rejected"]
        assert "- int8: rejected, as it failed its parity gate." in text

    def test_unscored_nights(self, run):
        parity = read_json(run / "parity.json")
        for row in parity["models"]:
            if "measured" in row:
                row["measured"] = {"windows": 80, "scored": 0, "files": row["measured"]["files"]}
        write_json(run / "parity.json", parity)
        document, text, card = self.write(run)
        assert document["held_out"]["scored"] == 0
        assert document["precisions"]["float32"]["agreement"]["same_stage"] > 0.9
        assert "## Classes" not in text
        assert "no night is scored" in card

    def test_no_night_was_held_out(self, run):
        """Figures are of inner cross-validation, none of the nights that parity was checked on."""
        splits = read_json(run / "splits.json")
        everyone = {"validation": [], "inner_validation": [], "train": [x for part in splits.values() for x in part]}
        write_json(run / "splits.json", everyone)
        (run / "stress.json").unlink()
        evaluation = read_json(run / "evaluation.json")
        (entry,) = [r for r in evaluation["results"] if (r["architecture"], r["operating_point"]) == ("gru", "default")]
        entry["scored"]["all"]["5"] |= {"kappa": 0.4321}
        write_json(run / "evaluation.json", evaluation)
        document, text, card = self.write(run)
        nights = read_json(run / "parity.json")["nights"]
        assert document["compared_on"] == nights
        assert document["held_out"] == {"nights": []}
        assert all(of["figures"] is None and of["agreement"] for of in document["precisions"].values())
        assert "**No night was held out.**" in text
        assert f"training nights {', '.join(nights)}" in text
        assert "## Classes" not in text
        assert "**No night was held out**" in card
        assert any(line.startswith("| float32 |") and "0.432" in line for line in card.splitlines())
        assert "The full model, by inner cross-validation over all nights" in card
        assert "On the watch, nights" not in card
        assert "--dataset_dir OTHER" in card

    def test_a_stress_test_is_quoted(self, run):
        """The one of the card's architecture; without any, the command that makes it."""
        (run / "stress.json").unlink()
        *_, card = self.write(run)
        assert "`python -m evaluation stress RUN`" in card
        row = {"views": {"5": {"kappa": 0.123}}, "recall": {"REM": None}, "unknown_share": 0.25}
        row |= {"kappa_change": -0.3, "kappa_change_interval": [-0.4, -0.2]}
        rows = [row | {"stress": name} for name in ("noise 5 bpm", "rounded to 2 bpm")]
        assert Cadence.read(run / "bundles" / "gru") == Cadence()
        cadence = [{"heart_rate": "every 60 s", "movement": "none", "kappa": 0.456, "kappa_change": -0.1}]
        entry = {"architecture": "gru", "precision": "int8", "stresses": rows, "cadence": cadence}
        other = entry | {"architecture": "rnn", "precision": "float32"}
        write_json(run / "stress.json", {"results": [other, entry]})
        *_, card = self.write(run)
        assert "`python -m evaluation stress RUN`" not in card
        assert "Measured with the int8 file" in card
        assert "| noise 5 bpm | 0.12 | -0.30 [-0.40, -0.20] | - | 25% |" in card
        assert "rounded to 2 bpm" not in card  # no main stress
        assert "| heart rate | movement: none |\n| --- | --- |\n| every 60 s | 0.46 |" in card
        assert Cadence.read(run / "bundles" / "gru").cells == [Cell(seconds=60, movement="none", kappa=0.456)]
        write_json(run / "stress.json", {"results": [other]})
        *_, card = self.write(run)
        assert "`python -m evaluation stress RUN`" in card

    def test_main_stresses_exist(self):
        assert {*MAIN_STRESSES} <= {*STRESSES}

    def test_operating_points(self, run):
        *_, card = self.write(run)
        rows = [line for line in card.splitlines() if line.startswith(("| default", "| balanced", "| rem"))]
        points = [*RunFolder(run).operating_points("gru")]  # one that changes nothing is left out
        assert [row.split(" | ")[0] for row in rows] == [
            f"| {name}" for name in (["default", *points] if points else [])
        ]
        assert all(row.count("|") == 2 + 8 + len(STAGES) - 4 for row in rows)
