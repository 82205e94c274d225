"""The graph that is being written, and the registry of what writes the functions of backends.

A network is traced once, or with free dimensions twice, with other sizes: what differs between the two traces is what
depends on the free dimensions. Every node comes with its twin of the second trace (itself, if there is none).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import backends
from ...plan.graph import Node, Value
from ..types import need_onnx

EXPORTERS: dict[str, Callable[..., None]] = {}
END = 2**63 - 1  # an end behind all others


def exports(*functions: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers `f(writer, node, twin)`, which writes calls of functions of `backends/surface.py`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for name in functions:
            EXPORTERS[name] = function
        return function

    return register


class Writer:
    """Nodes and initializers as they come about; `names` are those of the Values of the trace."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.names: dict[Value, str] = {}
        self.producers: dict[Value, tuple[Node, Node]] = {}
        self.used: set[Value] = set()  # by nodes, or as outputs
        self.shaped: dict[Value, tuple[str, Value]] = {}  # values that exist so far in the shape of another one only
        self._taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        """The name itself, or with a number behind it."""
        name, count = wanted, 0
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    # ---- values ------------------------------------------------------------------------------------------------------

    def name(self, value: Value) -> str:
        """The name of a Value; a constant becomes an initializer under its name in the state."""
        if value not in self.names:
            assert value.array is not None
            self.names[value] = self.constant(backends.get("cpu").to_numpy(value.array), value.name or "constant")
        return self.names[value]

    def input(self, value: Value, twin: Value) -> str:
        """The name of an argument that may have to be brought into shape first."""
        if value.is_constant and value.shape != twin.shape:
            raise NotImplementedError(f"a constant of shape {value.shape}, which a free dimension changes")
        if value in self.shaped and value not in self.names:
            self.names[value] = self.reshape(self.shaped[value][0], value, twin, None)
        return self.name(value)

    def inputs(self, node: Node, twin: Node, *places: int) -> list[str]:
        return [self.input(node.args[i], twin.args[i]) if node.args[i] is not None else "" for i in places]

    def constant(self, array: np.ndarray, name: str = "constant") -> str:
        name = self.unique(name)
        self.initializers[name] = np.array(array, order="C")
        return name

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.asarray(values, np.int64), "shape")

    def scalar(self, number: Any, dtype: str) -> str:
        return self.constant(np.asarray(number, dtype), "number")

    # ---- nodes -------------------------------------------------------------------------------------------------------

    def add(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """A node; the name of its output, or a list of them."""
        names = [self.unique(op.lower()) for _ in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(need_onnx().helper.make_node(op, list(inputs), names, name=names[0], **given))
        return names[0] if outputs == 1 else names

    def define(self, node: Node, *names: str) -> None:
        """The results of a node have these names."""
        for value, name in zip(node.results, names, strict=False):
            if value is not None:
                self.names[value] = name

    def reduce(self, op: str, x: str, axes: Sequence[int], keepdims: bool) -> str:
        """A reduction: axes are an attribute until opset 18, but for sums."""
        if op == "ReduceSum" or self.opset >= 18:
            return self.add(op, [x, self.ints(axes)], keepdims=int(keepdims), noop_with_empty_axes=1)
        return self.add(op, [x], axes=list(axes), keepdims=int(keepdims)) if axes else self.add("Identity", [x])

    def reshape(self, x: str, target: Value, twin: Value, source: tuple[Value, Value] | None) -> str:
        """x in the shape of a Value, of which one size may be free, or more where the source has the same there."""
        sizes = list(target.shape)
        free = [i for i, (n, m) in enumerate(zip(target.shape, twin.shape, strict=True)) if n != m]
        if source is not None:
            for i in free[:]:
                kept = i < len(source[0].shape) and (source[0].shape[i], source[1].shape[i]) == (
                    target.shape[i], twin.shape[i],
                )  # fmt: skip
                if kept and len(free) > 1:
                    sizes[i] = 0
                    free.remove(i)
        if len(free) > 1:
            raise NotImplementedError(f"a reshape to {target.shape}, of which {len(free)} sizes are free")
        for i in free:
            sizes[i] = -1
        return self.add("Reshape", [x, self.ints(sizes)])

    # ---- functions that see another shape than the network does ------------------------------------------------------

    def before_reshape(self, value: Value, twin: Value) -> tuple[Value, Value]:
        """The Value that this one is a reshape of, or itself."""
        produced = self.producers.get(value)
        if produced is None or produced[0].function != "reshape" or value in self.shaped:
            return value, twin
        return produced[0].args[0], produced[1].args[0]

    def define_as(self, node: Node, name: str, like: Value) -> None:
        """The first result is `name`, in the shape of `like`."""
        if like.shape == node.out.shape:
            self.define(node, name)
        else:
            self.shaped[node.out] = name, like

    def needed(self, outputs: Sequence[str]) -> None:
        """Leaves out nodes and initializers that nothing needs."""
        used, kept = set(outputs), []
        for node in reversed(self.nodes):
            if used & set(node.output):
                used |= set(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.initializers = {n: a for n, a in self.initializers.items() if n in used}


def same(a: Any, b: Any, what: str) -> Any:
    """An attribute that must not depend on a free dimension."""
    if a != b:
        raise NotImplementedError(f"{what} {a}, which a free dimension changes to {b}")
    return a
