"""TensorFlow Lite Micro's own interpreter and kernels, in the form of ai-edge-litert's `Interpreter`.

TensorFlow Lite Micro knows no signatures: inputs and outputs go by position. Their names are read off the file.
"""

import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

ARENA_BYTES = 1_000_000  # more than any file needs
DTYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT8: np.int8, schema.TensorType.INT16: np.int16}


class Interpreter:
    def __init__(self, model_content, num_threads=1):
        self.content = model_content
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model_content, 0))

    def get_signature_runner(self, name):
        (signature,) = (each for each in self.model.signatureDefs if each.signatureKey.decode() == name)
        return SignatureRunner(self.content, self.model.subgraphs[0], signature)


class SignatureRunner:
    def __init__(self, content, graph, signature):
        self.runtime = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
        self.sides = {}
        for side, order, entries in (
            ("inputs", graph.inputs, signature.inputs),
            ("outputs", graph.outputs, signature.outputs),
        ):
            self.sides[side] = {}
            for entry in entries:
                tensor = graph.tensors[entry.tensorIndex]
                details = {"shape": list(tensor.shape), "dtype": DTYPES[tensor.type]}
                position = list(order).index(entry.tensorIndex)
                self.sides[side][entry.name.decode()] = details | {"position": position}

    def get_input_details(self):
        return self.sides["inputs"]

    def get_output_details(self):
        return self.sides["outputs"]

    def __call__(self, **inputs):
        if inputs.keys() != self.sides["inputs"].keys():
            raise ValueError(f"inputs {sorted(inputs)}, expected {sorted(self.sides['inputs'])}")
        for name, x in inputs.items():
            self.runtime.set_input(np.ascontiguousarray(x), self.sides["inputs"][name]["position"])
        self.runtime.invoke()
        return {name: self.runtime.get_output(d["position"]).copy() for name, d in self.sides["outputs"].items()}
