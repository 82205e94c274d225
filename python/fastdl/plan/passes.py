"""Graphs that compute the same with less: each pass takes a Graph and returns another one.

Arithmetic moves only where the rounding allows it: weights are folded in float64, and only into a producer whose
result nobody else sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backends
from .graph import Graph, Node, Value

Array = Any

# Where functions that take an activation have it, and the functions that it can be.
ACTIVATION = {"conv2d": 7, "linear": 3}
ACTIVATIONS = ("relu", "sigmoid", "tanh")


@dataclass
class Weights:
    """Constants that passes have made, by what they were made of, so that graphs of other shapes share them."""

    made: dict[tuple, tuple[list[Array | None], tuple[Array, ...]]] = field(default_factory=dict)

    def get(self, key: str, sources: list[Array | None], make: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
        """What `make()` gave for the same key and the same memory before. The sources stay alive, so no other array
        can come to lie where they do."""
        full = (key, *((a.address, a.shape) if a is not None else None for a in sources))
        if full not in self.made:
            self.made[full] = sources, make()
        return self.made[full][1]


def optimize(graph: Graph, weights: Weights | None = None) -> Graph:
    """All passes."""
    graph = drop_identities(graph)
    graph = fold_batch_norm(graph, weights or Weights())
    graph = drop_identities(graph)
    graph = fuse_activations(graph)
    return drop_dead(graph)


def _changed(graph: Graph, nodes: list[Node], instead: dict[Value, Value]) -> Graph:
    """The graph with other nodes, and each Value of `instead` replaced in arguments and outputs."""

    def final(value: Value) -> Value:
        while value in instead:
            value = instead[value]
        return value

    outputs = [final(v) for v in graph.outputs]
    return Graph(graph.inputs, outputs, [node.with_args(final) for node in nodes], graph.tree)


# ---- nodes that do nothing -------------------------------------------------------------------------------------------


def drop_dead(graph: Graph) -> Graph:
    """Without nodes whose results nobody uses."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if any(r in needed for r in node.results):
            needed.update(node.inputs())
            kept.append(node)
    return Graph(graph.inputs, graph.outputs, kept[::-1], graph.tree)


def drop_identities(graph: Graph) -> Graph:
    """Without functions that give back what they get, and with reshapes of reshapes as one."""
    nodes: list[Node] = []
    instead: dict[Value, Value] = {}
    reshaped: dict[Value, Value] = {}
    for old in graph.nodes:
        node = old.with_args(lambda v: instead.get(v, v))
        if node.function == "reshape":
            source = reshaped.get(node.args[0], node.args[0])
            node = Node("reshape", (source, node.args[1]), node.results, node.source)
            reshaped[node.out] = source
        if _is_identity(node):
            instead[node.out] = next(node.inputs())
        else:
            nodes.append(node)
    return drop_dead(_changed(graph, nodes, instead))


def _is_identity(node: Node) -> bool:
    arg, options = node.args[0], node.args[1:]
    match node.function:
        case "reshape" | "broadcast_to":
            return arg.shape == node.out.shape
        case "slice":
            return arg.shape == node.out.shape and set(options[2]) <= {1}
        case "cast":
            return arg.dtype == node.out.dtype
        case "permute":
            return options[0] == tuple(range(len(arg.shape)))
        case "concat":
            return len(arg) == 1
        case "sum" | "mean" | "amax" | "amin":
            return options[0] == ()
        case "mul_scalar" | "div_scalar" | "pow_scalar":
            return options[0] == 1
        case _:
            return False


# ---- producers -------------------------------------------------------------------------------------------------------


class _Producers:
    """Finds the node whose result arrives somewhere, through reshapes, if nothing else uses it on the way."""

    def __init__(self, graph: Graph) -> None:
        self._made_by, self._uses = graph.producers(), graph.uses()

    def alone(self, value: Value) -> Node | None:
        node = self._made_by.get(value)
        if node is None or self._uses[value] != 1:
            return None
        return self.alone(node.args[0]) if node.function == "reshape" else node


def _with(node: Node, **places: Any) -> Node:
    """The node with other arguments: `_with(node, _7="relu")`."""
    args = list(node.args)
    for place, arg in places.items():
        args[int(place[1:])] = arg
    return Node(node.function, tuple(args), node.results, node.source)


# ---- batch normalisation ---------------------------------------------------------------------------------------------


def fold_batch_norm(graph: Graph, weights: Weights) -> Graph:
    """Evaluated batch norms become part of the weight and bias of the convolution or linear layer before them.

    conv(x, w, b) -> (y - mean) / sqrt(var + eps) * gamma + beta is conv(x, w s, (b - mean) s + beta) with
    s = gamma / sqrt(var + eps), one number a channel.
    """
    producers = _Producers(graph)
    folded: dict[Node, Node] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        producer = producers.alone(node.args[0]) if node.function == "batch_norm" else None
        if producer is None or not _takes_scale(producer, node):
            nodes.append(node)
            continue
        weight, bias = _scaled(producer, node, weights)
        folded[producer] = _with(producer, _1=weight, _2=bias)
        nodes.append(Node("reshape", (node.args[0], node.out.shape), node.results[:1], node.source))
    return _changed(graph, [folded.get(node, node) for node in nodes], {})


def _takes_scale(producer: Node, norm: Node) -> bool:
    """Whether batch_norm's channels are those of the producer's weight, and all numbers are known."""
    out, rows = producer.out.shape, norm.args[0].shape
    if producer.function in ("conv2d", "conv_transpose2d"):
        fits = out[:2] == rows[:2]
    else:
        fits = producer.function == "linear" and (*out, 1) == rows
    place = ACTIVATION.get(producer.function)
    constants = (*producer.args[1:3], *norm.args[1:5])
    return (
        fits
        and (place is None or producer.args[place] == "none")
        and not norm.args[5]
        and all(c is None or c.is_constant for c in constants)
    )


def _scaled(producer: Node, norm: Node, weights: Weights) -> tuple[Value, Value]:
    w, b = producer.args[1:3]
    gamma, beta, mean, var = norm.args[1:5]
    groups = producer.args[7] if producer.function == "conv_transpose2d" else None
    cpu = backends.get("cpu")

    def make() -> tuple[Array, Array]:
        scale = 1 / np.sqrt(_numbers(var, 0.0) + norm.args[7])
        scale = scale * _numbers(gamma, 1.0)
        bias = (_numbers(b, 0.0) - _numbers(mean, 0.0)) * scale + _numbers(beta, 0.0)
        return tuple(
            cpu.from_numpy(np.ascontiguousarray(a, w.dtype), False)
            for a in (_times(_numbers(w, 1.0), scale, groups), bias)
        )

    sources = [None if v is None else v.array for v in (w, b, gamma, beta, mean, var)]
    arrays = weights.get(f"batch_norm {producer.function} {groups} {norm.args[7]}", sources, make)
    name = None if w.name is None else f"{w.name} (with batch norm)"
    weight, bias = (Value(tuple(a.shape), w.dtype, a, name) for a in arrays)
    return weight, bias


def _numbers(value: Value | None, default: float) -> np.ndarray:
    if value is None:
        return np.float64(default)  # type: ignore[return-value]
    return np.asarray(backends.get("cpu").to_numpy(value.array), np.float64)


def _times(weight: np.ndarray, scale: np.ndarray, groups: int | None) -> np.ndarray:
    """Each output channel of a weight times its factor. A transposed convolution (`groups` given) has (C, O / groups)
    in front, with the outputs of its groups one after another."""
    if groups is None:
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    inputs, outputs, *taps = weight.shape
    grouped = weight.reshape(groups, inputs // groups, outputs, *taps)
    return (grouped * scale.reshape(groups, 1, outputs, 1, 1)).reshape(weight.shape)


# ---- activations -----------------------------------------------------------------------------------------------------


def fuse_activations(graph: Graph) -> Graph:
    """Activations run in the convolution or linear layer before them, while the numbers are in registers."""
    producers = _Producers(graph)
    fused: dict[Node, Node] = {}
    nodes: list[Node] = []
    instead: dict[Value, Value] = {}
    for node in graph.nodes:
        producer = producers.alone(node.args[0]) if node.function in ACTIVATIONS else None
        place = ACTIVATION.get(producer.function) if producer is not None else None
        if producer is None or place is None or fused.get(producer, producer).args[place] != "none":
            nodes.append(node)
            continue
        fused[producer] = _with(producer, **{f"_{place}": node.function})
        instead[node.out] = node.args[0]
    return _changed(graph, [fused.get(node, node) for node in nodes], instead)
