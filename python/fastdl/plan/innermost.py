"""Convolutions with channels innermost, where that pays.

Kernels for arrays of (N, C / block, H, W, block), a block being one vector of channels, pack no pixels and transpose no
results, and threads share few cache lines. So chains of convolutions are computed that way, with everything between
them that can be, and arrays are turned where a chain begins and ends. A convolution of few channels, such as those of
an image, begins a chain without that. Channels that fill no whole block are filled up with others whose weights are
zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backends
from .folding import Weights
from .graph import Graph, Node, Value
from .rewriting import RESIDUAL, changed

# What a convolution gains, in bytes that are turned meanwhile: 1 MB takes 70 us on Zen 4. Direct sums gain 8 % of their
# time at 100 GFLOP/s, Winograd's tiles 3 % at three times that rate, depthwise kernels a quarter of what they read and
# write.
_FLOPS_A_BYTE, _FLOPS_OF_WINOGRAD_A_BYTE, _DEPTHWISE_BYTES = 100, 700, 0.25
_MOST_FILLED = 1.5  # of channels with those that fill blocks, for each channel
_FEW_PRODUCTS = 64  # of an output: with more, Winograd's tiles for few channels gain more than a turn costs

_NCHWC = {"conv2d": "conv2d_nchwc", "max_pool2d": "max_pool2d_nchwc", "avg_pool2d": "avg_pool2d_nchwc"}
_POINTWISE = ("relu", "sigmoid", "tanh", "activation")


def channels_innermost(graph: Graph, block: int, weights: Weights | None = None) -> Graph:
    """The graph with its longer chains of convolutions in blocks of channels."""
    parts = _Parts(graph, block)
    accepted = [part for part in parts.found() if part.worth_bytes > part.turned_bytes(graph)]
    inner = {node for part in accepted for node in part.nodes}
    return _Rewriting(graph, inner, parts.plain, block, weights or Weights()).graph() if inner else graph


# ---- which nodes -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Part:
    """Nodes that hand arrays to each other with channels innermost."""

    plain: set[Value]  # what stays as it is
    nodes: set[Node] = field(default_factory=set)

    @property
    def worth_bytes(self) -> float:
        """How many bytes may be turned for it."""
        return sum(_worth_bytes(n) for n in self.nodes if n.function == "conv2d" and n.args[0] not in self.plain)

    def turned_bytes(self, graph: Graph) -> int:
        """Of arrays that come from other nodes, and of those that others use."""
        made = {n.out for n in self.nodes if n.function != "mean"}
        read = {v for n in self.nodes for v in _images(n)} - self.plain
        others = {v for n in graph.nodes if n not in self.nodes for v in n.inputs()} | set(graph.outputs)
        return sum(v.bytes for v in (read - made) | (made & others))


def _worth_bytes(convolution: Node) -> float:
    x, weight, groups = convolution.args[0], convolution.args[1], convolution.args[6]
    out = convolution.out
    if groups > 1 and weight.shape[1] == 1:
        return _DEPTHWISE_BYTES * (x.bytes + out.bytes)
    flops = 2.0 * out.size * weight.size / weight.shape[0]
    return flops / (_FLOPS_A_BYTE if weight.shape[2:] == (1, 1) else _FLOPS_OF_WINOGRAD_A_BYTE)


def _images(node: Node) -> Iterator[Value]:
    """The arguments of a node that have channels, but for constants."""
    arguments = (node.args[0], node.args[RESIDUAL]) if node.function == "conv2d" else tuple(node.inputs())
    yield from (v for v in arguments if v is not None and not v.is_constant and len(v.shape) == 4)


class _Parts:
    """Collects the nodes that work on blocks, in order: each joins those that have made its arguments."""

    def __init__(self, graph: Graph, block: int) -> None:
        self._graph, self._block = graph, block
        self._made_by = graph.producers()
        self._part_of: dict[Node, _Part] = {}
        self.plain: set[Value] = set()  # images of few channels, which convolutions read as they are

    def found(self) -> list[_Part]:
        for node in self._graph.nodes:
            if self._is_convolution(node) or self._follows(node):
                part = _Part(self.plain, {node})
                for other in {self._part_of[self._made_by[v]]: None for v in _images(node) if self._is_made(v)}:
                    part.nodes |= other.nodes
                self._part_of.update(dict.fromkeys(part.nodes, part))
        return list(dict.fromkeys(self._part_of.values()))

    def _is_made(self, value: Value) -> bool:
        """In blocks, by a node before."""
        node = self._made_by.get(value)
        return node in self._part_of and node is not None and node.function != "mean"

    def _is_whole(self, channels: int) -> bool:
        return channels % self._block == 0

    def _is_convolution(self, node: Node) -> bool:
        if node.function != "conv2d" or node.out.dtype != "float32" or not node.out.size:
            return False
        weight, groups, residual = node.args[1], node.args[6], node.args[RESIDUAL]
        if not all(c is None or c.is_constant for c in node.args[1:3]):
            return False
        if node.args[0].is_constant or (residual is not None and residual.is_constant):
            return False
        out, channels = weight.shape[:2]
        if groups > 1:
            depthwise = channels == 1 and out == groups and self._is_whole(out)
            return depthwise or (self._is_whole(out // groups) and self._is_whole(channels))
        filled = -(-out // self._block) * self._block
        if filled > _MOST_FILLED * out:
            return False
        if residual is not None and not self._in_blocks(residual):
            return False
        if self._in_blocks(node.args[0]):
            return True
        begins = channels < self._block and channels < weight.size // out <= _FEW_PRODUCTS
        if begins:
            self.plain.add(node.args[0])
        return begins

    def _in_blocks(self, value: Value) -> bool:
        return self._is_whole(value.shape[1]) or self._is_made(value)

    def _follows(self, node: Node) -> bool:
        """Whether a node works as well on blocks that others have made."""
        inputs = list(node.inputs())
        if not inputs or not all(self._is_made(v) for v in inputs):
            return False
        match node.function:
            case "add" | "mul":
                return inputs[0].shape == inputs[1].shape == node.out.shape
            case "concat":
                return node.args[1] == 1 and all(self._is_whole(v.shape[1]) for v in inputs)
            case "mean":
                return node.args[1] == (2, 3) and self._is_whole(inputs[0].shape[1])
            case "max_pool2d":
                return node.results[1] is None
            case "avg_pool2d":
                return True
            case _:
                return node.function in _POINTWISE


# ---- the graph with them ---------------------------------------------------------------------------------------------


class _Rewriting:
    def __init__(self, graph: Graph, inner: set[Node], plain: set[Value], block: int, weights: Weights) -> None:
        self._graph, self._inner, self._plain_read, self._block, self._weights = graph, inner, plain, block, weights
        self._made = {node.out for node in inner if node.function != "mean"}
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
        images = set(_images(node)) - self._plain_read
        args = node.with_args(lambda v: self._as_blocked(v) if v in images else v).args
        if node.function == "mean":
            n, c = node.out.shape[:2]
            ones = [1, 1] if node.args[2] else []
            made = Value((n, c // self._block, *ones, self._block), node.out.dtype)
            self._nodes.append(Node("mean", args, (made,), node.source))
            self._nodes.append(Node("reshape", (made, node.out.shape), (node.out,)))
            return
        if node.function == "conv2d" and node.args[6] == 1:
            args = args[:1] + self._filled(args[1], args[2], args[0] not in self._plain_read) + args[3:]
        if node.function == "max_pool2d":
            args = args[:-1]  # no indices
        made = Value(self._shape(node.out), node.out.dtype)
        self._nodes.append(Node(_NCHWC.get(node.function, node.function), args, (made,), node.source))
        self._blocked[node.out] = made

    # ---- channels that fill blocks

    def _filled_up(self, channels: int) -> int:
        return -(-channels // self._block) * self._block

    def _filled(self, weight: Value, bias: Value | None, inputs: bool) -> tuple[Value, Value | None]:
        """Weights of a convolution of one group whose channels are whole blocks: more of them, with zeros."""
        out, channels = (self._filled_up(n) for n in weight.shape[:2])
        channels = channels if inputs else weight.shape[1]
        if (out, channels) == weight.shape[:2]:
            return weight, bias
        filled = self._with_zeros(weight, (out, channels, *weight.shape[2:]))
        return filled, None if bias is None else self._with_zeros(bias, (out,))

    def _with_zeros(self, value: Value, shape: tuple[int, ...]) -> Value:
        cpu = backends.get("cpu")

        def make() -> tuple[Any, ...]:
            pads = [(0, n - old) for n, old in zip(shape, value.shape, strict=True)]
            return (cpu.from_numpy(np.pad(cpu.to_numpy(value.array), pads), False),)

        (array,) = self._weights.get(("filled", shape), [value.array], make)
        return Value(shape, value.dtype, array, None if value.name is None else f"{value.name} (filled)")

    # ---- arrays in either order

    def _shape(self, value: Value) -> tuple[int, ...]:
        n, c, h, w = value.shape
        return n, self._filled_up(c) // self._block, h, w, self._block

    def _as_blocked(self, value: Value) -> Value:
        if value not in self._blocked:
            n, blocks, h, w, block = self._shape(value)
            apart = self._reshaped(value, (n, blocks, block, h * w))
            self._blocked[value] = self._reshaped(self._turned(apart), self._shape(value))
        return self._blocked[value]

    def _as_plain(self, value: Value) -> Value:
        if value not in self._made:
            return value
        if value not in self._plain:
            n, blocks, h, w, block = self._shape(value)
            turned = self._turned(self._reshaped(self._blocked[value], (n, blocks, h * w, block)))
            self._plain[value] = self._cut(self._reshaped(turned, (n, blocks * block, h, w)), value.shape)
        return self._plain[value]

    def _cut(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Without the channels that filled blocks."""
        if value.shape == shape:
            return value
        out = Value(shape, value.dtype)
        self._nodes.append(Node("slice", (value, (0,) * 4, shape, (1,) * 4), (out,)))
        return out

    def _reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        out = Value(shape, value.dtype)
        self._nodes.append(Node("reshape", (value, shape), (out,)))
        return out

    def _turned(self, value: Value) -> Value:
        n, blocks, rows, columns = value.shape
        out = Value((n, blocks, columns, rows), value.dtype)
        self._nodes.append(Node("permute", (value, (0, 1, 3, 2)), (out,)))
        return out
