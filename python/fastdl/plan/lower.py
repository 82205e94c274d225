"""From a graph to a recording: the graph's functions are called once more, and their kernels are noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import backends
from .graph import Graph, Node, Value, map_values

Array = Any

# Functions that may write over their first argument when nobody needs it any more: one pass over less memory.
_IN_PLACE = {"relu": "relu_", "add": "add_", "mul_scalar": "mul_scalar_", "activation": "activation_"}


@dataclass
class Recording:
    """A graph ready to run: `recorded.run(arrays)` gives the outputs' arrays."""

    graph: Graph
    recorded: Any
    ends: list[int]  # steps recorded up to and with each node
    constants: list[Array]  # kept alive: the steps point into them


def record(graph: Graph) -> Recording:
    """Records a graph on the CPU backend."""
    cpu = backends.get("cpu")
    inputs = [cpu.empty(v.shape, v.dtype) for v in graph.inputs]
    lifetimes = _Lifetimes(graph)
    ends: list[int] = []

    def build() -> list[Array]:
        ends.clear()
        arrays: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))
        for i, node in enumerate(graph.nodes):
            _call(cpu, node, arrays, lifetimes.may_overwrite(i, node))
            ends.append(cpu.steps_recorded())
            for value in lifetimes.dying[i]:
                del arrays[value]
        return [arrays[v] if v.array is None else v.array for v in graph.outputs]

    return Recording(graph, cpu.record(build, inputs), ends, [v.array for v in graph.constants()])


def _call(cpu: Any, node: Node, arrays: dict[Value, Array], overwrite: bool) -> None:
    args = map_values(lambda v: arrays[v] if v.array is None else v.array, node.args)
    function = _IN_PLACE.get(node.function) if overwrite else None
    if node.function.endswith("_"):
        target = args[0] if overwrite else cpu.cast(args[0], node.out.dtype)
        getattr(cpu, node.function)(target, *args[1:])
        made: Any = (target,)
    elif function is not None:
        getattr(cpu, function)(*args)
        made = (args[0],)
    else:
        made = getattr(cpu, node.function)(*args)
        made = made if isinstance(made, tuple | list) else (made,)
    for value, array in zip(node.results, made, strict=True):
        if value is not None:
            arrays[value] = array


class _Lifetimes:
    """When memory is no longer needed. A reshape has the memory of its argument."""

    def __init__(self, graph: Graph) -> None:
        self._owner: dict[Value, Value] = {}
        for node in graph.nodes:
            if node.function == "reshape":
                self._owner[node.out] = self._of(node.args[0])
        last: dict[Value, int] = {}
        sharing: dict[Value, dict[Value, None]] = {}
        for i, node in enumerate(graph.nodes):
            for value in (*node.inputs(), *(r for r in node.results if r is not None)):
                if not value.is_constant:
                    last[self._of(value)] = i
                    sharing.setdefault(self._of(value), {})[value] = None
        lasting = {self._of(v) for v in (*graph.inputs, *graph.outputs)}
        self.dying: list[list[Value]] = [[] for _ in graph.nodes]  # Values that nobody needs after each node
        for owner, i in last.items():
            if owner not in lasting:
                self.dying[i] += sharing[owner]

    def _of(self, value: Value) -> Value:
        return self._owner.get(value, value)

    def may_overwrite(self, i: int, node: Node) -> bool:
        """Whether the memory of the first argument may become that of the result."""
        if node.function not in _IN_PLACE and not node.function.endswith("_"):
            return False
        target, *others = node.inputs()
        same = target.shape == node.out.shape and target.dtype == node.out.dtype
        return same and target in self.dying[i] and self._of(target) not in map(self._of, others)
