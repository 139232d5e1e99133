"""What a bundle's report and model card say, and the facts read off its files.

Parameters and multiply-accumulates are worked out here from the layers' sizes; the arena's cases by hand.
"""

import json
import shutil
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from benchmarks.step import met
from evaluation.metrics import kappa
from export import report
from export.contract import rewrite
from export.graph import arena, facts
from export.latency import latencies
from pipeline.align import Night
from pipeline.files import read_json, write_json
from pipeline.options import STAGES

WALCH = ["46343", "759667", "781756", "844359", "1066528", "1360686"]


def night(stages, subject="1"):
    return Night(subject, 30 * np.arange(1.0, len(stages) + 1), {}, np.array(stages))


def sure(stages):
    """Probabilities that say these stages."""
    return np.eye(5)[stages] * 0.6 + 0.08


def read(path):
    return Path(path).read_bytes()


class TestFacts:
    @pytest.fixture(scope="class")
    def bundle(self, quick_run):
        return quick_run.folder / "bundles" / "gru"

    def test_gru(self, bundle):
        """dense, GRU, dense: weights and biases, and a product per weight."""
        f = len(read_json(bundle.parents[1] / "scaler.json")["mean"])
        h = read_json(bundle.parents[1] / "hparams.json")["options"]["hidden_dim"]
        of = facts(read(bundle / "gru.float32.tflite"))
        assert of["macs"] == f * h + 2 * 3 * h * h + 5 * h
        assert of["parameters"] == of["macs"] + h + 2 * 3 * h + 5
        assert of["multiplications"] == 3 * h  # reset gate, update gate, and its complement
        assert of["operations"]["FULLY_CONNECTED"] == 4
        assert of["bytes"] == (bundle / "gru.float32.tflite").stat().st_size > of["lean_bytes"] > 4 * of["parameters"]

    def test_transformer_counts_batched_products(self, quick_run):
        of = facts(read(quick_run.folder / "bundles/transformer/transformer.float32.tflite"))
        products = {kind: n for kind, n in of["operations"].items() if kind in ("FULLY_CONNECTED", "BATCH_MATMUL")}
        assert of["macs"] > of["parameters"] > 0
        assert sum(products.values()) > 8

    def test_convolution(self, quick_run):
        """The activity call's filter: a product per tap and grid point."""
        path = quick_run.folder / "bundles/gru/activity.tflite"
        assert facts(read(path))["macs"] == 50 * 30 * 100

    def test_digest_is_of_graph_and_weights(self, bundle):
        content = read(bundle / "sensing.tflite")
        other = rewrite(content, {"another": "contract"})
        assert other != content
        assert facts(other)["lean_sha256"] == facts(content)["lean_sha256"]
        assert facts(read(bundle.parent / "rnn/sensing.tflite"))["lean_sha256"] == facts(content)["lean_sha256"]
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        buffers = [model.buffers[tensor.buffer] for tensor in model.subgraphs[0].tensors]
        weights = max((each for each in buffers if each.data is not None), key=lambda each: len(each.data))
        weights.data = np.bitwise_xor(weights.data, np.uint8(1))
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        assert facts(bytes(builder.Output()))["lean_sha256"] != facts(content)["lean_sha256"]


class TestArena:
    def test_those_that_never_meet_share(self):
        assert arena([(64, 0, 1), (64, 2, 3)]) == 64

    def test_those_that_meet_do_not(self):
        assert arena([(64, 0, 1), (64, 1, 2)]) == 128

    def test_a_chain_takes_its_largest_pair(self):
        assert arena([(16, 0, 1), (160, 1, 2), (48, 2, 3), (32, 3, 4)]) == 208

    def test_a_small_one_goes_into_a_gap(self):
        assert arena([(160, 0, 1), (80, 1, 3), (160, 3, 4), (80, 0, 0)]) == 240

    def test_aligned(self):
        assert arena([(4, 0, 1), (20, 0, 1)]) == 16 + 32

    def test_nothing(self):
        assert arena([]) == 0


class TestFigures:
    def test_pooled_over_scored_windows(self):
        nights = [night([0, 1, 2, -1]), night([2, 2, 3, 4])]
        said = [sure([0, 2, 2, 4]), sure([2, 3, 3, 4])]
        of = report.figures(nights, said)
        assert (of["windows"], of["scored"]) == (8, 7)
        five = of["views"]["5"]
        assert five["accuracy"] == pytest.approx(5 / 7)
        assert five["kappa"] == pytest.approx(kappa([0, 1, 2, 2, 2, 3, 4], [0, 2, 2, 2, 3, 3, 4]))
        assert five["majority_accuracy"] == pytest.approx(3 / 7)
        assert five["recall"] == {"Wake": 1, "N1": 0, "N2": pytest.approx(2 / 3), "N3": 1, "REM": 1}
        assert five["precision"]["N1"] is None  # never said
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
        true, said, _ = report.pairs(counts, ("a", "b"))
        assert np.array_equal([[np.sum((true == i) & (said == j)) for j in (0, 1)] for i in (0, 1)], counts)


class TestLatency:
    def test_of_litert_benchmark(self, quick_run):
        calls = {"sensing.tflite": "sense", "gru.float32.tflite": "step"}
        taken = latencies(quick_run.folder / "bundles/gru", calls, runs=30)
        assert list(taken) == list(calls)
        for of in taken.values():
            assert 0 < of["p5"] <= of["median"] <= of["p95"] < 1e5
            assert of["median"] % 10  # not rounded
            assert of["runs"] == 30

    def test_fails_aloud(self, tmp_path):
        (tmp_path / "a.tflite").write_bytes(b"no model")
        with pytest.raises(RuntimeError, match="litert-benchmark"):
            latencies(tmp_path, {"a.tflite": "step"}, runs=1)


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
        nights, said = [night(s) for s in stages], [sure(np.where(rng.random(80) < 0.7, s, 2)) for s in stages]
        parity = read_json(run / "measured.json")
        plans = read_json(run / "bundles/gru/contract.json")["precisions"]
        for row in parity["models"]:
            if row["architecture"] == "gru" and row["precision"] in plans:
                row["measured"] = report.measured(run / "bundles/gru", plans[row["precision"]], nights, said)
        write_json(run / "measured.json", parity)
        return run

    def write(self, run):
        bundle = run / "bundles/gru"
        report.write_report(bundle, run)
        texts = ((bundle / name).read_text() for name in ("report.md", "MODEL_CARD.md"))
        return read_json(bundle / "report.json"), *texts

    def test_what_is_reported(self, run):
        document, text, card = self.write(run)
        of, files = document["precisions"]["float32"], document["files"]
        calls = [files["sensing.tflite"], files["gru.float32.tflite"]]
        assert of["macs"] == sum(call["macs"] for call in calls)
        assert of["macs_per_hour"] == 120 * of["macs"]
        assert of["step_us"] == 5
        assert of["arena_bytes"] == max(call["arena_bytes"] for call in calls)
        parity = {
            row["precision"]: row for row in read_json(run / "measured.json")["models"] if row["architecture"] == "gru"
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

    def test_the_pictures_shown_are_there(self, run):
        _, *texts = self.write(run)
        for text in texts:
            for name in ("confusion.png", "reliability.png", "parity.png"):
                assert f"({name})" in text
                assert read(run / "bundles/gru" / name).startswith(b"\x89PNG")

    def test_simulated_nights_are_said_to_be(self, run):
        document, *texts = self.write(run)
        assert document["data"]["origin"] == "synthetic"
        for text in texts:
            assert "SIMULATED NIGHTS" in text.split("##")[0]
            assert "Walch" not in text

    def test_walch(self, run):
        """Subjects of sleep-accel: who they are, and the attribution that its licence asks for."""
        self.become(run, WALCH)
        document, text, card = self.write(run)
        assert document["data"]["origin"] == "sleep-accel"
        assert "SIMULATED" not in text + card
        for said in (
            "doi:10.13026/hmhs-py35",
            "Open Data Commons Attribution License 1.0",
            "6 of them",
            "not a medical",
        ):
            assert said in card
        splits = read_json(run / "splits.json")
        assert f"held out ({len(splits['validation'])}): {', '.join(splits['validation'])}" in card

    def test_nights_of_somebody_else(self, run):
        self.become(run, ["7", *WALCH[1:]])
        document, text, card = self.write(run)
        assert document["data"]["origin"] == "other"
        assert "Walch" not in card
        assert "Whoever hands this model on" in card
        assert "not\n> known" in text

    def become(self, run, subjects):
        """Make it a run of other subjects, recorded ones."""
        splits, left = read_json(run / "splits.json"), iter(subjects)
        write_json(run / "splits.json", {part: [next(left) for _ in of] for part, of in splits.items()})
        hparams = read_json(run / "hparams.json") | {"synthetic": False}
        write_json(run / "hparams.json", hparams)

    def test_a_file_built_anew_has_no_figures(self, run):
        """Another graph or other weights: what was measured says nothing of it."""
        parity = read_json(run / "measured.json")
        for row in parity["models"]:
            if (row["architecture"], row["precision"]) == ("gru", "float32"):
                row["measured"]["files"]["gru.float32.tflite"] = "0" * 64
        write_json(run / "measured.json", parity)
        document, text, _ = self.write(run)
        assert document["precisions"]["float32"]["figures"] is None
        assert "- float32: no figures, the file was built anew" in text

    def test_not_measured_at_all(self, run):
        """Pictures of an earlier report go, the costs stay."""
        self.write(run)
        (run / "measured.json").unlink()
        document, text, card = self.write(run)
        assert all(of["figures"] is None and of["macs"] > 0 for of in document["precisions"].values())
        assert "no figures, no parity check" in text
        assert "have no figures on held-out nights" in card
        assert not list((run / "bundles/gru").glob("*.png"))

    def test_rejected_files_are_named(self, run):
        contract = read_json(run / "bundles/gru/contract.json")
        contract["precisions"] = {"float32": contract["precisions"]["float32"]}
        write_json(run / "bundles/gru/contract.json", contract)
        document, text, _ = self.write(run)
        assert "int8" in document["rejected"]
        assert "- int8: rejected, its parity gate failed." in text

    def test_unscored_nights(self, run):
        parity = read_json(run / "measured.json")
        for row in parity["models"]:
            if "measured" in row:
                row["measured"] = {"windows": 80, "scored": 0, "files": row["measured"]["files"]}
        write_json(run / "measured.json", parity)
        document, text, card = self.write(run)
        assert document["held_out"]["scored"] == 0
        assert document["precisions"]["float32"]["agreement"]["same_stage"] > 0.9
        assert "## Classes" not in text
        assert "no night is scored" in card

    def test_operating_points(self, run):
        *_, card = self.write(run)
        rows = [line for line in card.splitlines() if line.startswith(("| default", "| balanced", "| rem"))]
        assert [row.split(" | ")[0] for row in rows] == ["| default", "| balanced", "| rem"]
        assert all(row.count("|") == 2 + 8 + len(STAGES) - 4 for row in rows)


def test_benchmark_of_a_step(quick_run, run_python):
    """Without the alternative, which takes long to convert."""
    code = "import json, sys; from benchmarks.step import *; f = report(sys.argv[1], 'gru', 'float32', 1, False)"
    done = run_python("-c", f"{code}; print(json.dumps([f, list(lines(f))]))", quick_run.folder)
    assert done.returncode == 0, done.stderr
    figures, said = json.loads(done.stdout)
    calls = figures["calls_us"]
    assert figures["step_us"] == pytest.approx(calls["sensing.tflite"] + calls["gru.float32.tflite"])
    per_hour = figures["per_hour"]
    assert figures["macs_per_hour"] == sum(per_hour[n]["macs"] for n in ("sensing.tflite", "gru.float32.tflite"))
    assert f"multiply-accumulates per hour of sleep {figures['macs_per_hour'] / 1e6:.3f} M" in said
    assert not figures["met"]  # targets are of int8


def test_targets_of_a_step():
    assert met(60, 2.5e6, {"loop": 131, "unrolled": 50}) == {"step": True, "macs": True, "times_cheaper": True}
    assert met(61, 2.6e6, {"loop": 131, "unrolled": 49}) == {"step": False, "macs": False, "times_cheaper": False}
