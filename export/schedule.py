"""Reorders the operations of a .tflite so that tensors alive at the same time take less memory."""

from collections import Counter

from ai_edge_litert import schema_py_generated as schema

from export.cost import Graph, arena
from export.tflite import pack


def scheduled(content: bytes) -> bytes:
    """A .tflite with the same operations in an order that needs less memory, if one is found.

    The converter's order computes many values long before they are used.

    Args:
        content: Bytes of a .tflite.

    Returns:
        The same bytes, or those of the reordered graph.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (operations,) = (graph.operators for graph in model.subgraphs)
    model.subgraphs[0].operators = [operations[i] for i in leanest_order(Graph(content))]
    other = pack(model, len(content))
    return min(content, other, key=lambda bytes_: arena(Graph(bytes_).lifetimes()))


def leanest_order(graph: Graph) -> list[int]:
    """Greedy order of a graph's steps: the next is the ready one with the lowest peak, then the least memory kept."""
    sizes = graph.tensor_bytes()
    needs = [set(inputs) for _, inputs, *_ in graph.steps]
    computed = [set(outputs) for *_, outputs, _ in graph.steps]
    uses = Counter(i for tensors in (*needs, graph.outputs) for i in tensors)  # remaining; outputs are never freed
    waiting = set().union(*computed)  # tensors not computed yet
    left, order = [*range(len(graph.steps))], list[int]()
    live = peak = sum(sizes[i] for i in graph.inputs)
    variable = waiting | set(graph.inputs)  # constants are stored elsewhere

    def after(step):
        """(peak, bytes still in use) after a step."""
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
