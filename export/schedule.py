"""The order in which a .tflite runs its operations, chosen so that what lives at the same time takes little memory."""

from collections import Counter

from ai_edge_litert import schema_py_generated as schema

from export.cost import Graph, arena
from export.tflite import pack


def scheduled(content: bytes) -> bytes:
    """A .tflite whose operations, the same, run in an order that takes less memory, if one is found.

    The converter's order computes much long before it is used.

    Args:
        content: Bytes of a .tflite.

    Returns:
        Its bytes, or those of the same graph in another order.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (operations,) = (graph.operators for graph in model.subgraphs)
    model.subgraphs[0].operators = [operations[i] for i in leanest_order(Graph(content))]
    other = pack(model, len(content))
    return min(content, other, key=lambda bytes_: arena(Graph(bytes_).lifetimes()))


def leanest_order(graph: Graph) -> list[int]:
    """Steps of a graph, each time the one that is ready and least adds to the memory's peak, then to what stays."""
    sizes = graph.tensor_bytes()
    needs = [set(inputs) for _, inputs, *_ in graph.steps]
    computed = [set(outputs) for *_, outputs, _ in graph.steps]
    uses = Counter(i for tensors in (*needs, graph.outputs) for i in tensors)  # still to come; an output stays
    waiting = set().union(*computed)  # tensors that are not computed yet
    left, order = [*range(len(graph.steps))], list[int]()
    live = peak = sum(sizes[i] for i in graph.inputs)
    variable = waiting | set(graph.inputs)  # constants lie elsewhere

    def after(step):
        """(peak, bytes that stay) once a step has run."""
        then = live + sum(sizes[i] for i in computed[step])
        return max(peak, then), then - sum(sizes[i] for i in needs[step] & variable if uses[i] == 1)

    while left:
        step = min((i for i in left if not needs[i] & waiting), key=lambda i: (*after(i), i))
        peak, live = after(step)
        uses.subtract(needs[step])
        waiting -= computed[step]
        left.remove(step)
        order.append(step)
    return order
