"""Operations in an order that takes less memory: the same operations, the same results."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from export.convert import function_model
from export.cost import Graph, arena
from export.schedule import leanest_order, scheduled
from export.tflite import pack, rewrite


def many_sums(x):
    """Many large tensors, each soon summed up."""
    large = [tf.exp(x * factor) for factor in np.float32([1, 2, 3, 4, 5, 6])]
    return {"sums": tf.concat([tf.reduce_sum(y, 1, keepdims=True) for y in large], 1), "largest": tf.maximum(x, 0.0)}


@pytest.fixture(scope="module")
def files():
    """The file of `many_sums` with all of the large tensors first, and the same in a better order."""
    content = rewrite(function_model("f", many_sums, [tf.TensorSpec((1, 500), tf.float32, "x")]))
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    kinds = [kind for kind, *_ in Graph(content).steps]
    first = ["RELU", "MUL", "EXP", "SUM", "CONCATENATION"]
    (graph,) = model.subgraphs
    graph.operators = [graph.operators[i] for i in sorted(range(len(kinds)), key=lambda i: first.index(kinds[i]))]
    wasteful = pack(model, len(content))
    return wasteful, scheduled(wasteful)


def test_less_memory(files):
    before, after = (arena(Graph(content).lifetimes()) for content in files)
    assert after <= 4 * 2016 + 200 < before


def test_the_same_operations_and_results(files):
    x = np.random.default_rng(0).normal(0, 1, (1, 500)).astype(np.float32)
    before, after = (Interpreter(model_content=content).get_signature_runner("f")(x=x) for content in files)
    for name in ("sums", "largest"):
        assert np.array_equal(before[name], after[name])
    kinds = [sorted(kind for kind, *_ in Graph(content).steps) for content in files]
    assert kinds[0] == kinds[1]


def test_nothing_runs_before_what_it_needs(files):
    graph = Graph(files[0])
    there = {*graph.inputs} | {i for i, constant in enumerate(graph.constant) if constant}
    order = leanest_order(graph)
    assert sorted(order) == [*range(len(graph.steps))]
    for step in order:
        _, inputs, outputs, _ = graph.steps[step]
        assert {*inputs} <= there
        there |= {*outputs}


def test_an_order_that_is_no_better_is_left(files):
    assert scheduled(files[1]) == files[1]
