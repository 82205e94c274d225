"""Convolutions with channels innermost, where that pays.

Kernels for arrays of (N, C / block, H, W, block), a block being one vector of channels, pack no pixels and transpose no
results, and threads share few cache lines. So chains of convolutions are computed that way, with everything between
them that can be, and arrays are turned where a chain begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .graph import Graph, Node, Value
from .rewriting import RESIDUAL, changed

# A byte that is turned has to be worth so many floating-point operations of convolutions. They gain some 4 % of their
# time, 2 us of 5 million operations; 10 KB are turned meanwhile.
_FLOPS_A_BYTE = 500

_NCHWC = {"conv2d": "conv2d_nchwc", "max_pool2d": "max_pool2d_nchwc", "avg_pool2d": "avg_pool2d_nchwc"}
_POINTWISE = ("relu", "sigmoid", "tanh", "activation")


def channels_innermost(graph: Graph, block: int) -> Graph:
    """The graph with its longer chains of convolutions in blocks of channels."""
    accepted = [part for part in _parts(graph, block) if part.flops > _FLOPS_A_BYTE * part.turned_bytes(graph)]
    inner = {node for part in accepted for node in part.nodes}
    return _Rewriting(graph, inner, block).graph() if inner else graph


# ---- which nodes -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Part:
    """Nodes that hand arrays to each other with channels innermost."""

    nodes: set[Node] = field(default_factory=set)

    @property
    def flops(self) -> float:
        convolutions = (n for n in self.nodes if n.function == "conv2d")
        return sum(2.0 * n.out.size * n.args[1].size / n.args[1].shape[0] for n in convolutions)

    def turned_bytes(self, graph: Graph) -> int:
        """Of arrays that come from other nodes, and of those that others use."""
        made = {n.out for n in self.nodes if n.function != "mean"}
        read = {v for n in self.nodes for v in _images(n)}
        others = {v for n in graph.nodes if n not in self.nodes for v in n.inputs()} | set(graph.outputs)
        return sum(v.bytes for v in (read - made) | (made & others))


def _parts(graph: Graph, block: int) -> list[_Part]:
    made_by = graph.producers()
    part_of: dict[Node, _Part] = {}
    for node in graph.nodes:
        before = {part_of[p]: None for v in _images(node) if (p := made_by.get(v)) in part_of and p.function != "mean"}
        if not (_is_convolution(node, block) or (before and _follows(node, made_by, part_of, block))):
            continue
        part = _Part({node})
        for other in before:
            part.nodes |= other.nodes
        part_of.update(dict.fromkeys(part.nodes, part))
    return list(dict.fromkeys(part_of.values()))


def _images(node: Node) -> Iterator[Value]:
    """The arguments of a node that have channels, but for constants."""
    arguments = (node.args[0], node.args[RESIDUAL]) if node.function == "conv2d" else tuple(node.inputs())
    yield from (v for v in arguments if v is not None and not v.is_constant and len(v.shape) == 4)


def _is_convolution(node: Node, block: int) -> bool:
    if node.function != "conv2d" or node.out.dtype != "float32" or not node.out.size:
        return False
    weight, groups, residual = node.args[1], node.args[6], node.args[RESIDUAL]
    whole = weight.shape[0] // groups % block == 0 and weight.shape[1] % block == 0
    return whole and weight.is_constant and (residual is None or not residual.is_constant)


def _follows(node: Node, made_by: dict[Value, Node], part_of: dict[Node, _Part], block: int) -> bool:
    """Whether a node works as well on blocks that others have made."""
    inputs = list(node.inputs())
    if not all(made_by.get(v) in part_of and v.shape[1] % block == 0 for v in inputs):
        return False
    match node.function:
        case "add" | "mul":
            return inputs[0].shape == inputs[1].shape == node.out.shape
        case "concat":
            return node.args[1] == 1
        case "mean":
            return node.args[1] == (2, 3)
        case "max_pool2d":
            return node.results[1] is None
        case "avg_pool2d":
            return True
        case _:
            return node.function in _POINTWISE


# ---- the graph with them ---------------------------------------------------------------------------------------------


class _Rewriting:
    def __init__(self, graph: Graph, inner: set[Node], block: int) -> None:
        self._graph, self._inner, self._block = graph, inner, block
        self._blocked: dict[Value, Value] = {}  # by the Value as it was
        self._plain: dict[Value, Value] = {}
        self._nodes: list[Node] = []

    def graph(self) -> Graph:
        for node in self._graph.nodes:
            if node in self._inner:
                self._add_inner(node)
            else:
                self._nodes.append(node.with_args(self._as_plain))
        outputs = [self._as_plain(v) for v in self._graph.outputs]
        return changed(Graph(self._graph.inputs, outputs, self._nodes, self._graph.tree), self._nodes, {})

    def _add_inner(self, node: Node) -> None:
        images = set(_images(node))
        args = node.with_args(lambda v: self._as_blocked(v) if v in images else v).args
        if node.function == "mean":
            n, c = node.out.shape[:2]
            made = Value((n, c // self._block, *[1] * (2 if node.args[2] else 0), self._block), node.out.dtype)
            self._nodes += (
                Node("mean", args, (made,), node.source),
                Node("reshape", (made, node.out.shape), (node.out,)),
            )
            return
        made = Value(self._shape(node.out), node.out.dtype)
        if node.function == "max_pool2d":
            args = args[:-1]  # no indices
        function = _NCHWC.get(node.function, node.function)
        self._nodes.append(Node(function, args, (made,), node.source))
        self._blocked[node.out] = made

    def _shape(self, value: Value) -> tuple[int, ...]:
        n, c, h, w = value.shape
        return n, c // self._block, h, w, self._block

    def _as_blocked(self, value: Value) -> Value:
        if value not in self._blocked:
            n, c, h, w = value.shape
            apart = self._reshaped(value, (n, c // self._block, self._block, h * w))
            self._blocked[value] = self._reshaped(self._turned(apart), self._shape(value))
        return self._blocked[value]

    def _as_plain(self, value: Value) -> Value:
        if value not in self._blocked or value not in self._made_inside():
            return value
        if value not in self._plain:
            n, c, h, w = value.shape
            apart = self._reshaped(self._blocked[value], (n, c // self._block, h * w, self._block))
            self._plain[value] = self._reshaped(self._turned(apart), value.shape)
        return self._plain[value]

    def _made_inside(self) -> set[Value]:
        return {r for node in self._inner for r in node.results if r is not None}

    def _reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        out = Value(shape, value.dtype)
        self._nodes.append(Node("reshape", (value, shape), (out,)))
        return out

    def _turned(self, value: Value) -> Value:
        n, blocks, rows, columns = value.shape
        out = Value((n, blocks, columns, rows), value.dtype)
        self._nodes.append(Node("permute", (value, (0, 1, 3, 2)), (out,)))
        return out
