"""What passes have in common: other nodes in a graph, and the node that a result comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph, Node, Value

# Where functions that take an activation have it.
ACTIVATION = {"conv2d": 7, "linear": 3}
RESIDUAL = 8  # of a conv2d


def changed(graph: Graph, nodes: list[Node], instead: dict[Value, Value]) -> Graph:
    """The graph with other nodes, and each Value of `instead` replaced in arguments and outputs."""

    def final(value: Value) -> Value:
        while value in instead:
            value = instead[value]
        return value

    outputs = [final(v) for v in graph.outputs]
    return Graph(graph.inputs, outputs, [node.with_args(final) for node in nodes], graph.tree)


def with_args(node: Node, changes: Mapping[int, Any]) -> Node:
    """The node with other arguments in some places."""
    args = list(node.args)
    for place, arg in changes.items():
        args[place] = arg
    return Node(node.function, tuple(args), node.results, node.source)


class Producers:
    """Finds the node whose result arrives somewhere, through reshapes, if nothing else uses it on the way."""

    def __init__(self, graph: Graph) -> None:
        self._made_by, self._uses = graph.producers(), graph.uses()

    def alone(self, value: Value) -> Node | None:
        node = self._made_by.get(value)
        if node is None or self._uses[value] != 1:
            return None
        return self.alone(node.args[0]) if node.function == "reshape" else node
