"""Which Values of a graph share memory, and how long it is needed."""

from __future__ import annotations

import math

from .graph import Graph, Node, Value

# Functions that may write over their first argument when nobody needs it any more: one pass over less memory.
IN_PLACE = {"relu": "relu_", "add": "add_", "mul_scalar": "mul_scalar_", "activation": "activation_"}

# Functions whose first new array is their result, so that it can be told where to lie.
_PLACED = {
    "conv2d", "conv2d_nchwc", "conv_transpose2d", "max_pool2d", "max_pool2d_nchwc", "avg_pool2d", "avg_pool2d_nchwc",
    "upsample_nearest2d", "upsample_bilinear2d", "concat",
}  # fmt: skip
_ALIGNMENT = 64  # bytes: kernels write whole cache lines


class Memory:
    """A reshape has the memory of its argument. What is concatenated lies in the concatenation where it can: along the
    first axis that is not of size 1, parts are contiguous (the channels of one image)."""

    def __init__(self, graph: Graph) -> None:
        self.places: dict[Value, tuple[Value, int]] = {}  # the concatenation that a Value lies in, and the byte
        self._whole: dict[Value, Value] = {}
        producers = graph.producers()
        for node in graph.nodes:
            if node.function == "reshape":
                self._whole[node.out] = node.args[0]
            if node.function == "concat" and math.prod(node.out.shape[: node.args[1]]) == 1:
                self._place_parts(node, producers)
        self.dying = self._deaths(graph)  # Values that nobody needs after each node

    def _place_parts(self, node: Node, producers: dict[Value, Node]) -> None:
        at = 0
        for part in node.args[0]:
            made_by = producers.get(part)
            fits = made_by is not None and made_by.function in _PLACED and part.bytes and at % _ALIGNMENT == 0
            if fits and part not in self.places:
                self.places[part] = node.out, at
                self._whole[part] = node.out
            at += part.bytes

    def _of(self, value: Value) -> Value:
        while value in self._whole:
            value = self._whole[value]
        return value

    def _deaths(self, graph: Graph) -> list[list[Value]]:
        last: dict[Value, int] = {}
        sharing: dict[Value, dict[Value, None]] = {}
        for i, node in enumerate(graph.nodes):
            for value in (*node.inputs(), *(r for r in node.results if r is not None)):
                if not value.is_constant:
                    last[self._of(value)] = i
                    sharing.setdefault(self._of(value), {})[value] = None
        lasting = {self._of(v) for v in (*graph.inputs, *graph.outputs)}
        dying: list[list[Value]] = [[] for _ in graph.nodes]
        for owner, i in last.items():
            if owner not in lasting:
                dying[i] += sharing[owner]
        return dying

    def may_overwrite(self, i: int, node: Node) -> bool:
        """Whether the memory of the first argument of node i may become that of the result."""
        if node.function not in IN_PLACE and not node.function.endswith("_"):
            return False
        target, *others = node.inputs()
        same = target.shape == node.out.shape and target.dtype == node.out.dtype
        return same and target in self.dying[i] and self._of(target) not in map(self._of, others)
