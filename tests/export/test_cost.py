"""What a .tflite costs, read off its graph.

Parameters and multiply-accumulates are worked out here from the layers' sizes; the arena's cases by hand.
"""

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from export.cost import arena, cost_of
from export.tflite import rewrite
from pipeline.activity import N_TAPS
from pipeline.files import read_json


def read(path):
    return Path(path).read_bytes()


class TestCost:
    @pytest.fixture(scope="class")
    def bundle(self, quick_run):
        return quick_run.folder / "bundles" / "gru"

    def test_gru(self, bundle):
        """dense, GRU, dense: weights and biases, and a product per weight."""
        f = len(read_json(bundle.parents[1] / "scaler.json")["mean"])
        h = read_json(bundle.parents[1] / "hparams.json")["options"]["hidden_dim"]
        cost = cost_of(read(bundle / "gru.float32.tflite"))
        assert cost["macs"] == f * h + 2 * 3 * h * h + 5 * h
        assert cost["parameters"] == cost["macs"] + h + 2 * 3 * h + 5
        assert cost["multiplications"] == 3 * h  # reset gate, update gate, and its complement
        assert cost["operations"]["FULLY_CONNECTED"] == 4
        assert (
            cost["bytes"]
            == (bundle / "gru.float32.tflite").stat().st_size
            > cost["lean_bytes"]
            > 4 * cost["parameters"]
        )

    def test_transformer_counts_batched_products(self, quick_run):
        cost = cost_of(read(quick_run.folder / "bundles/transformer/transformer.float32.tflite"))
        products = {kind: n for kind, n in cost["operations"].items() if kind in ("FULLY_CONNECTED", "BATCH_MATMUL")}
        assert cost["macs"] > cost["parameters"] > 0
        assert sum(products.values()) > 8

    def test_convolution(self, quick_run):
        """The activity call of 15 s: a product per tap and grid point, and one per value for the posture."""
        path = quick_run.folder / "bundles/gru/activity.tflite"
        assert cost_of(read(path))["macs"] == 50 * 15 * (N_TAPS - 1) + 50 * 15 * 3

    def test_digest_is_of_graph_and_weights(self, bundle):
        content = read(bundle / "sensing.tflite")
        other = rewrite(content, {"another": "contract"})
        assert other != content
        assert cost_of(other)["lean_sha256"] == cost_of(content)["lean_sha256"]
        assert cost_of(read(bundle.parent / "rnn/sensing.tflite"))["lean_sha256"] == cost_of(content)["lean_sha256"]
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        buffers = [model.buffers[tensor.buffer] for tensor in model.subgraphs[0].tensors]
        weights = max((buffer for buffer in buffers if buffer.data is not None), key=lambda buffer: len(buffer.data))
        weights.data = np.bitwise_xor(weights.data, np.uint8(1))
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        assert cost_of(bytes(builder.Output()))["lean_sha256"] != cost_of(content)["lean_sha256"]


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
