"""The cost of a .tflite, read from its graph: operations, parameters, multiply-accumulates and working memory."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from math import prod

from ai_edge_litert import schema_py_generated as schema

from export.tflite import strip_contract

NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT32": 4, "INT64": 8, "INT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1}
SIZES = {getattr(schema.TensorType, name): size for name, size in BYTES.items()}
PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D")
ELEMENTWISE = ("MUL", "DIV", "SQUARE", "SQUARED_DIFFERENCE")
ALIGNMENT = 16  # bytes; of tensors in the arena


def cost_of(content: bytes) -> dict:
    """The cost of one call of a .tflite, which runs every operation once.

    Args:
        content: Bytes of the .tflite.

    Returns:
        "bytes", "lean_bytes" (without the embedded contract), "lean_sha256" (equal for equal graphs and weights,
        whichever contract is embedded), "operations" {kind: number}, "parameters", "macs", "multiplications"
        (elementwise, including divisions; not counted in macs), "arena_bytes".
    """
    lean = strip_contract(content)
    graph = Graph(lean)
    return {
        "bytes": len(content),
        "lean_bytes": len(lean),
        "lean_sha256": hashlib.sha256(lean).hexdigest(),
        "operations": dict(graph.operations().most_common()),
        "parameters": graph.parameters(),
        "macs": graph.macs(),
        "multiplications": graph.multiplications(),
        "arena_bytes": arena(graph.lifetimes()),
    }


def operations(content: bytes) -> list[str]:
    """Names of the TFLite built-ins that a .tflite uses, each once."""
    return sorted(Graph(content).operations())


class Graph:
    """The only subgraph of a .tflite: its operations in execution order."""

    def __init__(self, content: bytes):
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        (graph,) = model.subgraphs
        self.inputs, self.outputs = graph.inputs.tolist(), graph.outputs.tolist()
        self.shapes = [[] if t.shape is None else t.shape.tolist() for t in graph.tensors]
        self.types = [t.type for t in graph.tensors]
        self.constant = [model.buffers[t.buffer].data is not None for t in graph.tensors]
        kinds = [NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
        self.steps = [
            (kinds[op.opcodeIndex], [i for i in op.inputs.tolist() if i >= 0], op.outputs.tolist(), op.builtinOptions)
            for op in graph.operators
        ]

    def operations(self) -> Counter[str]:
        """Number of operations of each kind."""
        return Counter(kind for kind, *_ in self.steps)

    def parameters(self) -> int:
        """Number of trained or fitted values: constants of more than one value, except shapes and indices."""
        used: set[int] = set()
        for kind, inputs, *_ in self.steps:
            constants = [i for i in inputs if self.constant[i] and prod(self.shapes[i]) > 1]
            bias = inputs[2:3] if kind in PRODUCTS else []  # int32 in 8-bit products
            used |= {i for i in constants if i in bias or self.types[i] != schema.TensorType.INT32}
        return sum(prod(self.shapes[i]) for i in used)

    def macs(self) -> int:
        """Number of multiply-accumulates in matrix products and convolutions."""
        return sum(
            prod(self.shapes[outputs[0]]) * self._summed(kind, inputs, options)
            for kind, inputs, outputs, options in self.steps
            if kind in PRODUCTS
        )

    def _summed(self, kind, inputs, options):
        """Number of products summed per output value."""
        left, right = self.shapes[inputs[0]], self.shapes[inputs[1]]
        if kind == "BATCH_MATMUL":
            return left[-2] if options.adjX else left[-1]
        if kind == "FULLY_CONNECTED":  # weights [out, in]
            return right[-1]
        return prod(right[1:]) if kind == "CONV_2D" else prod(right[1:3])  # filter [out or 1, height, width, in or out]

    def multiplications(self) -> int:
        """Number of elementwise multiplications and divisions."""
        return sum(prod(self.shapes[outputs[0]]) for kind, _, outputs, _ in self.steps if kind in ELEMENTWISE)

    def lifetimes(self) -> list[tuple[int, int, int]]:
        """(bytes, first step, last step) of every input and computed tensor, in the order of the file.

        Inputs live from the first step, outputs until the last.
        """
        first: dict[int, int] = dict.fromkeys(self.inputs, 0)
        last: dict[int, int] = {}
        for step, (_, inputs, outputs, _) in enumerate(self.steps):
            first |= dict.fromkeys(outputs, step)
            last |= dict.fromkeys([*inputs, *outputs], step)
        last |= dict.fromkeys(self.outputs, len(self.steps) - 1)
        sizes = self.tensor_bytes()
        return [(sizes[i], first[i], last.get(i, 0)) for i in sorted(first)]

    def tensor_bytes(self) -> list[int]:
        """Size of each tensor in bytes."""
        return [prod(shape) * SIZES[kind] for shape, kind in zip(self.shapes, self.types, strict=True)]


def arena(lifetimes: Iterable[tuple[int, int, int]]) -> int:
    """Memory that tensors need if those with disjoint lifetimes share it.

    Greedy by size, as in TensorFlow Lite Micro (Pisarchyk & Lee, "Efficient memory management for deep neural
    net inference", 2020): largest first (of equals the last), each at the lowest offset that is free for its lifetime.

    Args:
        lifetimes: (bytes, first step, last step) of each tensor.

    Returns:
        Bytes, with tensors aligned to ALIGNMENT.
    """
    placed: list[tuple[int, int, int, int]] = []  # (offset, end, first step, last step)
    for size, first, last in sorted(lifetimes, key=lambda life: life[0])[::-1]:
        offset = 0
        for low, high, begin, end in sorted(placed):
            if begin <= last and first <= end and low < offset + size:
                offset = max(offset, high)
        placed.append((offset, offset + -(-size // ALIGNMENT) * ALIGNMENT, first, last))
    return max((high for _, high, *_ in placed), default=0)
