"""TFLite for languages whose own runtime is not at hand: a child process that runs calls for them, line by line.

    load <model, base64>                          -> the model's number
    signatures <number>                           -> JSON {signature: {inputs: [{name, dtype, shape}], outputs}}
    run <number> <signature> <name>=<base64> ...  -> <name>=<base64> ...         tensors as float32, little-endian

A model may also be a Recorder's: JSON in place of a .tflite. python interpreters.py FOLDER, where Recorders write.
"""

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class Recorder:
    """Stands for an Interpreter; it writes down what it is given.

    model_content: JSON {"log": file name, "outputs": {name: shape}, "signatures": what `signatures` answers}. Each call
    adds its inputs to the log, a line of JSON; value i (from 0) of an output of call n (from 1) is n + i/10.
    """

    folder = Path()

    def __init__(self, model_content, num_threads=1):
        self.plan, self.calls = json.loads(model_content), 0

    def get_signature_runner(self, signature):
        def run(**inputs):
            self.calls += 1
            with (self.folder / self.plan["log"]).open("a") as log:
                log.write(json.dumps({name: np.ravel(x).tolist() for name, x in inputs.items()}) + "\n")
            shapes = self.plan["outputs"].items()
            return {name: np.float32(self.calls + np.arange(np.prod(s)) / 10).reshape(s) for name, s in shapes}

        return run


def interpreter(model_content, num_threads=1):
    """An Interpreter, or a Recorder if that is what the model is for."""
    kind = Recorder if model_content.startswith(b"{") else Interpreter
    return kind(model_content=model_content, num_threads=num_threads)


def signatures(model):
    """What `signatures` answers of an Interpreter or a Recorder."""
    if isinstance(model, Recorder):
        return model.plan["signatures"]

    def tensors(details):
        entries = details.items()
        return [{"name": k, "dtype": x["dtype"].__name__, "shape": x["shape"].tolist()} for k, x in entries]

    runners = {name: model.get_signature_runner(name) for name in model.get_signature_list()}
    return {
        name: {"inputs": tensors(runner.get_input_details()), "outputs": tensors(runner.get_output_details())}
        for name, runner in runners.items()
    }


def main():
    models, Recorder.folder = [], Path(sys.argv[1])
    for line in sys.stdin:
        command, first, *rest = line.split()
        if command == "load":
            models.append(interpreter(b64decode(first)))
            print(len(models) - 1, flush=True)
            continue
        if command == "signatures":
            print(json.dumps(signatures(models[int(first)])), flush=True)
            continue
        runner = models[int(first)].get_signature_runner(rest[0])
        pairs = (text.split("=", 1) for text in rest[1:])
        inputs = {name: np.frombuffer(b64decode(values), "<f4") for name, values in pairs}
        if hasattr(runner, "get_input_details"):
            inputs = {name: inputs[name].reshape(x["shape"]) for name, x in runner.get_input_details().items()}
        outputs = {name: b64encode(np.float32(x).tobytes()).decode() for name, x in runner(**inputs).items()}
        print(*(f"{name}={text}" for name, text in outputs.items()), flush=True)


if __name__ == "__main__":
    main()
