"""TensorFlow Lite Micro for the stager on a desktop: a child process that makes the calls, by position as Micro does.

    load <bytes>\n<.tflite>       -> three lines: values of each input, of each output, operations without underscores
    run <number>\n<float32 ...>   -> <float32 ...>       all inputs, all outputs, in the order of the graph

python interpreters.py ai-edge-litert | tflite-micro [FOLDER]. In the folder it writes down what each model was given:
<number>.log, a line of JSON per call. A model that is loaded again keeps its first number there.
"""

import json
import sys
from pathlib import Path

import numpy as np

ARENA_BYTES = 1 << 20


class LiteRT:
    """A model in ai-edge-litert."""

    def __init__(self, content):
        from ai_edge_litert.interpreter import Interpreter

        self.model = Interpreter(model_content=content, num_threads=1)
        self.model.allocate_tensors()
        self.indices = [
            [details["index"] for details in side]
            for side in (self.model.get_input_details(), self.model.get_output_details())
        ]

    def run(self, inputs):
        for index, values in zip(self.indices[0], inputs, strict=True):
            self.model.set_tensor(index, values)
        self.model.invoke()
        return [self.model.get_tensor(index) for index in self.indices[1]]


class Micro:
    """A model in TensorFlow Lite Micro."""

    def __init__(self, content):
        from tflite_micro.python.tflite_micro import runtime

        self.model = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
        self.outputs = len(read(content)[1])

    def run(self, inputs):
        for i, values in enumerate(inputs):
            self.model.set_input(values, i)
        self.model.invoke()
        return [self.model.get_output(i) for i in range(self.outputs)]


def read(content):
    """(shapes of the inputs, of the outputs, operations as in FULLYCONNECTED) of a .tflite."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    shapes = [[tuple(map(int, graph.tensors[i].shape)) for i in side] for side in (graph.inputs, graph.outputs)]
    kinds = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    return *shapes, [kind.replace("_", "") for kind in kinds]


def main(runtime, *folders):
    source, sink, models, logs = sys.stdin.buffer, sys.stdout.buffer, [], {}
    while line := source.readline():
        word, number = line.split()
        if word == b"load":
            content = source.read(int(number))
            inputs, outputs, operations = read(content)
            model = {"ai-edge-litert": LiteRT, "tflite-micro": Micro}[runtime](content)
            models.append((model, inputs, logs.setdefault(content, len(logs))))
            sizes = [[str(int(np.prod(shape))) for shape in side] for side in (inputs, outputs)]
            sink.write("".join(" ".join(words) + "\n" for words in (*sizes, operations)).encode())
        else:
            model, inputs, place = models[int(number)]
            given = [np.frombuffer(source.read(4 * int(np.prod(shape))), "<f4").reshape(shape) for shape in inputs]
            for folder in folders:
                with (Path(folder) / f"{place}.log").open("a") as log:
                    log.write(json.dumps([values.ravel().tolist() for values in given]) + "\n")
            for values in model.run(given):
                sink.write(np.float32(values).tobytes())
        sink.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
