"""TensorFlow Lite Micro for the stager on a desktop: a child process that makes the calls, by position as Micro does.

    load <bytes>\n<.tflite>       -> three lines: values of each input, of each output, operations without underscores
    run <number>\n<float32 ...>   -> <float32 ...>       all inputs, all outputs, in the order of the graph

With an argument, a folder, it writes down there what each model was given: <number>.log, a line of JSON per call. A
model that is loaded again keeps its first number there.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter


def operations(content):
    """Names of a model's operations, as in FULLYCONNECTED."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = schema.ModelT.InitFromPackedBuf(content, 0).operatorCodes
    return [names[max(code.builtinCode, code.deprecatedBuiltinCode)].replace("_", "") for code in codes]


def main():
    source, sink, models, logs = sys.stdin.buffer, sys.stdout.buffer, [], {}
    while line := source.readline():
        word, number = line.split()
        if word == b"load":
            content = source.read(int(number))
            model = Interpreter(model_content=content, num_threads=1)
            model.allocate_tensors()
            models.append((model, logs.setdefault(content, len(logs))))
            sizes = [
                " ".join(str(int(np.prod(x["shape"]))) for x in side)
                for side in (model.get_input_details(), model.get_output_details())
            ]
            sink.write("\n".join([*sizes, " ".join(operations(content)), ""]).encode())
        else:
            model, place = models[int(number)]
            given = []
            for details in model.get_input_details():
                values = np.frombuffer(source.read(4 * int(np.prod(details["shape"]))), "<f4")
                model.set_tensor(details["index"], values.reshape(details["shape"]))
                given.append(values.tolist())
            for folder in sys.argv[1:]:
                with (Path(folder) / f"{place}.log").open("a") as log:
                    log.write(json.dumps(given) + "\n")
            model.invoke()
            for details in model.get_output_details():
                sink.write(np.float32(model.get_tensor(details["index"])).tobytes())
        sink.flush()


if __name__ == "__main__":
    main()
