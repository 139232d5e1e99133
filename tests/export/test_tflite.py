"""Bytes of a .tflite: made lean and given a contract, they compute what they computed before."""

import numpy as np
import pytest

from export.tflite import embedded_contract, rewrite
from tests.export.steps import run_steps


@pytest.mark.parametrize("name", ["sensing", "gru.float32", "gru.float16", "gru.dynamic", "gru.int8", "gru.int16x8"])
def test_rewriting_changes_no_output_and_twice_is_once(quick_run, files, name):
    path = quick_run.folder / "bundles/gru/sensing.tflite" if name == "sensing" else files(*name.split("."))
    content, other = path.read_bytes(), {"format": "another", "what": "contract"}
    again = rewrite(content, other)
    assert rewrite(again, other) == again
    assert (
        rewrite(rewrite(content, embedded_contract(path)), embedded_contract(path))
        == rewrite(content, embedded_contract(path))
        == content
    )
    before, after = run_steps(content), run_steps(again)
    assert before.keys() == after.keys()
    for key, expected in before.items():
        np.testing.assert_array_equal(after[key], expected, err_msg=key)


def test_rewriting_what_the_converter_gives_makes_it_lean(tmp_path):
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(0).normal(size=(8, 4)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.float32, "x")], autograph=False)
    def step(x):
        return {"y": tf.nn.softmax(tf.matmul(x, weights)), "x_out": tf.tanh(x)}

    tf.saved_model.save(tf.Module(), tmp_path, signatures={"step": step})
    content = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["step"]).convert()
    lean = rewrite(content)
    assert len(lean) < len(content)
    assert rewrite(lean) == lean
    for key, expected in run_steps(content).items():
        np.testing.assert_array_equal(run_steps(lean)[key], expected)
