"""Runs the bytes of a .tflite, whatever it holds."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run_steps(content, steps=4):
    """Outputs of a .tflite's bytes over some steps of random inputs, each state fed back from its start at 0."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    (signature,) = interpreter.get_signature_list()
    runner, rng = interpreter.get_signature_runner(signature), np.random.default_rng(0)
    out = {name: np.zeros(x["shape"], x["dtype"]) for name, x in runner.get_output_details().items()}
    for _ in range(steps):
        inputs = {
            name: out.get(f"{name}_out", rng.normal(size=x["shape"]).astype(x["dtype"]))
            for name, x in sorted(runner.get_input_details().items())
        }
        out = {name: x.copy() for name, x in runner(**inputs).items()}
    return out
