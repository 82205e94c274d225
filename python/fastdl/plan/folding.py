"""Scales and shifts of channels become part of the weights before them.

conv(x, w, b) s + t is conv(x, w s, b s + t) with one number of s and t a channel. An evaluated batch norm is
s = gamma / sqrt(var + eps), t = beta - mean s; so are products and sums with constants. Weights are folded in float64,
and only into a layer whose result nobody else sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import backends
from .graph import Graph, Node, Value
from .rewriting import ACTIVATION, RESIDUAL, Producers, changed, with_args

Array = Any


@dataclass
class Weights:
    """Constants that passes have made, by what they were made of, so that graphs of other shapes share them."""

    made: dict[tuple, tuple[list[Array | None], tuple[Array, ...]]] = field(default_factory=dict)

    def get(self, key: tuple, sources: list[Array | None], make: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
        """What `make()` gave for the same key and the same memory before. The sources stay alive, so no other array
        can come to lie where they do."""
        full = (key, *((a.address, a.shape) if a is not None else None for a in sources))
        if full not in self.made:
            self.made[full] = sources, make()
        return self.made[full][1]


def use_linear(graph: Graph, weights: Weights) -> Graph:
    """Products with a constant matrix as `linear`, which takes a bias and an activation."""

    def linear(node: Node) -> Node:
        if node.function != "matmul" or node.args[2] or len(node.args[1].shape) != 2 or not node.args[1].is_constant:
            return node
        x, matrix = node.args[:2]
        if not node.args[3]:
            cpu = backends.get("cpu")
            (array,) = weights.get(("transposed",), [matrix.array], lambda: (cpu.permute(matrix.array, (1, 0)),))
            name = None if matrix.name is None else f"{matrix.name} (transposed)"
            matrix = Value(tuple(array.shape), matrix.dtype, array, name)
        return Node("linear", (x, matrix, None, "none"), node.results, node.source)

    return changed(graph, [linear(node) for node in graph.nodes], {})


def fold_affine(graph: Graph, weights: Weights) -> Graph:
    """Batch norms in evaluation, and products, quotients, sums and differences with constants of a number a channel (or
    one in all), become part of the weight and bias of the convolution or linear layer before them."""
    while True:
        producers = Producers(graph)
        folded: dict[Node, Node] = {}
        nodes: list[Node] = []
        for node in graph.nodes:
            value = _scaled_value(node)
            producer = None if value is None else producers.alone(value)
            if value is None or producer is None or not _takes(producer, node, value) or not _is_finite(node):
                nodes.append(node)
                continue
            folded[producer] = with_args(producer, dict(enumerate(_folded(producer, node, weights), 1)))
            nodes.append(Node("reshape", (value, node.out.shape), node.results[:1], node.source))
        if not folded:
            return graph
        graph = changed(graph, [folded.get(node, node) for node in nodes], {})


# ---- what is folded --------------------------------------------------------------------------------------------------

_SCALAR = ("mul_scalar", "div_scalar", "add_scalar", "sub_scalar", "rsub_scalar")


def _scaled_value(node: Node) -> Value | None:
    """The argument of which a node is a scale and a shift, the others being constants."""
    if node.function in _SCALAR:
        return node.args[0]
    if node.function == "batch_norm":
        return node.args[0] if not node.args[5] and all(c is None or c.is_constant for c in node.args[1:5]) else None
    if node.function in ("mul", "add", "sub", "div"):
        a, b = node.args
        if b.is_constant and not a.is_constant:
            return a
        return b if a.is_constant and node.function != "div" else None
    return None


def _takes(producer: Node, node: Node, value: Value) -> bool:
    """Whether the producer can take it: constant weights, no activation yet, and channels that are the weight's."""
    if producer.function not in ("conv2d", "conv_transpose2d", "linear"):
        return False
    place = ACTIVATION.get(producer.function)
    known = all(c is None or c.is_constant for c in producer.args[1:3])
    if not known or (place is not None and producer.args[place] != "none"):
        return False
    if producer.function == "conv2d" and producer.args[RESIDUAL] is not None:
        return False
    out = producer.out.shape
    if producer.function == "linear":
        axis = len(out) - 1
        if node.function == "batch_norm":
            return (*out, 1) == value.shape
        fits = out == value.shape
    else:
        axis, fits = 1, out[:2] == value.shape[:2]
    return fits and (node.function in (*_SCALAR, "batch_norm") or _is_by_channel(node, value, axis))


def _is_by_channel(node: Node, value: Value, axis: int) -> bool:
    constant = next(v for v in node.args if v is not value)
    ones = len(value.shape) - len(constant.shape)
    sizes = (1,) * ones + constant.shape
    others = sizes[:axis] + sizes[axis + 1 :]
    return ones >= 0 and node.out.shape == value.shape and set(others) <= {1} and sizes[axis] in (1, value.shape[axis])


def _is_finite(node: Node) -> bool:
    """Infinite weights would turn zeros into NaN."""
    with np.errstate(all="ignore"):
        return all(np.isfinite(part).all() for part in _scale_and_shift(node))


def _scale_and_shift(node: Node) -> tuple[Any, Any]:
    """In float64, one number a channel or one in all."""
    if node.function == "batch_norm":
        gamma, beta, mean, var = node.args[1:5]
        scale = _numbers(gamma, 1.0) / np.sqrt(_numbers(var, 1.0) + node.args[7])
        return scale, _numbers(beta, 0.0) - _numbers(mean, 0.0) * scale
    value = _scaled_value(node)
    first = node.args[0] is value
    other = node.args[1 if first else 0]
    c = _numbers(other, 0.0).ravel() if isinstance(other, Value) else np.float64(other)
    match node.function.removesuffix("_scalar"):
        case "mul":
            return c, 0.0
        case "div":
            return 1 / c, 0.0
        case "add":
            return 1.0, c
        case "rsub":
            return -1.0, c
        case _:
            return (1.0, -c) if first else (-1.0, c)


def _folded(producer: Node, node: Node, weights: Weights) -> tuple[Value, Value]:
    """The producer's new weight and bias."""
    w, b = producer.args[1:3]
    groups = producer.args[7] if producer.function == "conv_transpose2d" else None
    cpu = backends.get("cpu")
    channels = w.shape[1] * groups if groups is not None else w.shape[0]

    def make() -> tuple[Array, ...]:
        scale, shift = (np.broadcast_to(part, (channels,)) for part in _scale_and_shift(node))
        new = _times(_numbers(w, 1.0), scale, groups), _numbers(b, 0.0) * scale + shift
        return tuple(cpu.from_numpy(np.ascontiguousarray(a, w.dtype), False) for a in new)

    constants = [None if v is None else v.array for v in (w, b)]
    constants += [a.array for a in node.args if isinstance(a, Value) and a.is_constant]
    # Which constants are missing, the order of arguments and the numbers are part of the key.
    options = tuple(a.is_constant if isinstance(a, Value) else str(a) for a in node.args)
    arrays = weights.get((node.function, producer.function, groups, options), constants, make)
    name = None if w.name is None else w.name.removesuffix(" (folded)") + " (folded)"
    weight, bias = (Value(tuple(a.shape), w.dtype, a, name if a is arrays[0] else None) for a in arrays)
    return weight, bias


def _numbers(value: Value | None, default: float) -> Any:
    if value is None:
        return np.float64(default)
    return np.asarray(backends.get("cpu").to_numpy(value.array), np.float64)


def _times(weight: np.ndarray, scale: np.ndarray, groups: int | None) -> np.ndarray:
    """Each output channel of a weight times its factor. A transposed convolution (`groups` given) has (C, O / groups)
    in front, with the outputs of its groups one after another."""
    if groups is None:
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    inputs, outputs, *taps = weight.shape
    grouped = weight.reshape(groups, inputs // groups, outputs, *taps)
    return (grouped * scale.reshape(groups, 1, outputs, 1, 1)).reshape(weight.shape)
