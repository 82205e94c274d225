"""Graphs as they run: nodes with the functions of their operators, constants, and values freed after their last use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import backends
from ..tensor import Tensor
from .operators import OPERATORS, SCOPED
from .operators.old import NEW_FORMS, OLD_FORMS
from .operators.registry import Function, Value, fits, host

# Their results may be far larger than the file, so that they are not computed before they are needed.
GROWING = {"ConstantOfShape", "Expand", "EyeLike", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"}
FOLDED_SIZE = 4096  # elements of a shape computation
_KINDS = (ValueError, TypeError, IndexError, NotImplementedError)


class Argument(NamedTuple):
    """An input or output of a model: sizes are ints, names of free dimensions, or None."""

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: np.dtype


class Context:
    """What the nodes of a model share: the device, and the constants with their tensors on it."""

    def __init__(self, device: str) -> None:
        self.backend = backends.get(device)
        self.constants: dict[int, np.ndarray] = {}  # by id: the arrays live as long as this does
        self.tensors: dict[int, Tensor] = {}

    def constant(self, array: np.ndarray) -> np.ndarray:
        self.constants[id(array)] = array
        return array

    def tensor(self, value: Value) -> Tensor:
        if isinstance(value, Tensor):
            return value
        found = self.tensors.get(id(value))
        if found is None:
            if not fits(value):
                raise TypeError(f"expected a dtype that tensors have, got {value.dtype}")
            array = np.ascontiguousarray(value).reshape(value.shape)
            found = Tensor(self.backend.from_numpy(array, array.flags.writeable), self.backend)
            if id(value) in self.constants:
                self.tensors[id(value)] = found
        return found


class Node:
    """One operation: what an operator's function sees of it."""

    def __init__(
        self, op: str, domain: str, name: str, opset: int, attributes: dict[str, Any], inputs: Sequence[str],
        outputs: Sequence[str], context: Context,
    ) -> None:  # fmt: skip
        self.op, self.domain, self.name, self.opset = op, domain, name, opset
        self.attributes, self.context = attributes, context
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.function: Function = OPERATORS[domain, op]
        self._renewed = OLD_FORMS.get(op) if not domain and opset < NEW_FORMS else None
        self.graphs = [a for a in attributes.values() if isinstance(a, Graph)]
        self._prepared: dict[str, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def tensor(self, value: Value) -> Tensor:
        """A value as a tensor on the device of the session; those of constants are made once."""
        return self.context.tensor(value)

    def tensors(self, *values: Value) -> list[Tensor]:
        return [self.context.tensor(v) for v in values]

    def prepared(self, key: str, values: Sequence[Value], build: Function) -> Any:
        """`build(*values)`, made once if all values are constants."""
        constants = self.context.constants
        if not all(v is None or id(v) in constants for v in values):
            return build(*values)
        if key not in self._prepared:
            self._prepared[key] = build(*values)
        return self._prepared[key]

    def used(self) -> set[str]:
        """Names of the values that it needs, in its subgraphs too."""
        return {n for n in self.inputs if n}.union(*(g.captured() for g in self.graphs))

    def __call__(self, scope: dict[str, Value]) -> tuple[Value, ...]:
        values: Sequence[Value] = [scope[n] if n else None for n in self.inputs]
        try:
            values = values if self._renewed is None else self._renewed(self, *values)
            out = self.function(self, scope, *values) if self.function in SCOPED else self.function(self, *values)
        except MemoryError:
            raise
        except Exception as error:  # of an operator that meets what no checked file gives it
            kind = next((k for k in _KINDS if isinstance(error, k)), ValueError)
            text = str(error) if isinstance(error, _KINDS) else f"{type(error).__name__}: {error}"
            raise kind(f"[onnx] {self.op} {self.name or self.outputs[0]!r}: {text}") from error
        return out if isinstance(out, tuple) else (out,)


class Graph:
    """Nodes in the order of their execution."""

    def __init__(
        self, inputs: Sequence[str], outputs: Sequence[str], constants: Mapping[str, np.ndarray],
        nodes: Sequence[Node], context: Context,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.context = context
        self.constants = dict(constants)
        self.nodes = list(nodes)
        self._dead = self._last_uses()

    def captured(self) -> set[str]:
        """Names of values around a subgraph that it uses."""
        known = {*self.inputs, *self.constants}
        free = set()
        for node in self.nodes:
            free |= node.used() - known
            known |= set(node.outputs)
        return free | (set(self.outputs) - known)

    def _last_uses(self) -> list[list[str]]:
        """For each node the names that nothing after it needs."""
        needed = {*self.outputs, *self.inputs, *self.constants}
        dead: list[list[str]] = []
        for node in reversed(self.nodes):
            names = (node.used() | set(node.outputs)) - needed
            dead.append(sorted(names))
            needed |= names
        return dead[::-1]

    def fold(self) -> None:
        """Computes what depends on constants alone."""
        kept = []
        for node in self.nodes:
            if not self._folds(node):
                kept.append(node)
                continue
            for name, value in zip(node.outputs, node(dict(self.constants)), strict=False):
                if name:
                    self.constants[name] = node.context.constant(np.asarray(host(value)))
        needed = {*self.outputs}.union(*(n.used() for n in kept))
        self.constants = {n: a for n, a in self.constants.items() if n in needed}
        self.nodes = kept
        self._dead = self._last_uses()

    def _folds(self, node: Node) -> bool:
        if node.graphs or not all(n in self.constants for n in node.inputs if n):
            return False
        if node.op not in GROWING:
            return True
        return node.op == "ConstantOfShape" and abs(np.prod(self.constants[node.inputs[0]], dtype=float)) < FOLDED_SIZE

    def run(self, inputs: Iterable[Value], scope: Mapping[str, Value] | None = None) -> list[Value]:
        """The outputs, given the inputs in order and, for a subgraph, the values around it."""
        values = {**(scope or {}), **self.constants, **dict(zip(self.inputs, inputs, strict=True))}
        around = scope or {}
        for node, dead in zip(self.nodes, self._dead, strict=True):
            values.update((n, v) for n, v in zip(node.outputs, node(values), strict=False) if n)
            for name in dead:
                if name not in around:
                    values.pop(name, None)
        return [values[name] for name in self.outputs]
