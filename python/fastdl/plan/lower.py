"""From a graph to a recording: the graph's functions are called once more, and their kernels are noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import backends
from .folding import Weights
from .graph import Graph, Node, Value, map_values
from .memory import IN_PLACE, Memory
from .trace import one_at_a_time

Array = Any

_CONVOLUTIONS = ("conv2d", "conv2d_nchwc")


@dataclass
class Recording:
    """A graph ready to run: `recorded.run(arrays)` gives the outputs' arrays."""

    graph: Graph
    recorded: Any
    ends: list[int]  # steps recorded up to and with each node
    constants: list[Array]  # kept alive: the steps point into them
    prepared: list[Array]  # so are weights as their kernels pack or transform them

    def weight_bytes(self) -> int:
        """Of all constants, prepared ones among them."""
        arrays = {id(a): a for a in (*self.constants, *self.prepared)}.values()
        return sum(Value(tuple(a.shape), a.dtype, a).bytes for a in arrays)


def record_graph(graph: Graph, weights: Weights | None = None) -> Recording:
    """Records a graph on the CPU backend."""
    cpu = backends.get("cpu")
    prepared = _prepared(cpu, graph, weights or Weights())
    inputs = [cpu.empty(v.shape, v.dtype) for v in graph.inputs]
    memory = Memory(graph)
    ends: list[int] = []

    def build() -> list[Array]:
        ends.clear()
        calls = _Calls(cpu, memory, prepared, dict(zip(graph.inputs, inputs, strict=True)))
        for i, node in enumerate(graph.nodes):
            calls.run(node, memory.may_overwrite(i, node))
            ends.append(cpu.steps_recorded())
            for value in memory.dying[i]:
                del calls.arrays[value]
        return [calls.array(v) for v in graph.outputs]

    with one_at_a_time:
        recorded = cpu.record_kernels(build, inputs)
    return Recording(graph, recorded, ends, [v.array for v in graph.constants()], list(prepared.values()))


def _prepared(cpu: Any, graph: Graph, weights: Weights) -> dict[Node, Array]:
    """Constant weights of convolutions as the kernels of these shapes and settings use them, where that pays:
    packing or transforming them takes up to half of the time of a small image."""
    prepared: dict[Node, Array] = {}
    settings = cpu.isa(), cpu.get_conv_algorithm()
    for node in graph.nodes:
        if node.function not in _CONVOLUTIONS or not all(c is None or c.is_constant for c in node.args[1:3]):
            continue
        shape, sources = node.args[0].shape, [None if c is None else c.array for c in node.args[1:3]]
        prepare = cpu.conv2d_prepare
        if node.function == "conv2d_nchwc":
            n, channels, h, w, *block = shape
            shape, prepare = (n, channels * (block or [1])[0], h, w), cpu.conv2d_nchwc_prepare

        def make(node: Node = node, shape: tuple = shape, sources: list = sources, prepare: Any = prepare) -> tuple:
            array = prepare(shape, *sources, *node.args[3:7])
            return () if array is None else (array,)

        for array in weights.get(("prepared", node.function, settings, shape, node.args[3:7]), sources, make):
            prepared[node] = array
    return prepared


class _Calls:
    """Calls of nodes on the arrays of Values."""

    def __init__(self, cpu: Any, memory: Memory, prepared: dict[Node, Array], arrays: dict[Value, Array]) -> None:
        self._cpu, self._memory, self._prepared, self.arrays = cpu, memory, prepared, arrays
        self._wholes: dict[Value, Array] = {}  # concatenations whose parts are being made

    def array(self, value: Value) -> Array:
        return self.arrays[value] if value.array is None else value.array

    def run(self, node: Node, overwrite: bool) -> None:
        args = map_values(self.array, node.args)
        function = IN_PLACE.get(node.function) if overwrite else None
        made: Any
        if node.function.endswith("_"):
            target = args[0] if overwrite else self._cpu.cast(args[0], node.out.dtype)
            getattr(self._cpu, node.function)(target, *args[1:])
            made = (target,)
        elif function is not None:
            getattr(self._cpu, function)(*args)
            made = (args[0],)
        elif node.out in self._wholes:
            made = (self._rest(node, args),)
        else:
            self._place(node.out)
            if node.function == "conv2d_nchwc":
                made = self._cpu.conv2d_nchwc(*args, self._prepared.get(node))
            elif node in self._prepared:
                made = self._cpu.conv2d_prepared(*args, self._prepared[node])
            else:
                made = getattr(self._cpu, node.function)(*args)
            made = made if isinstance(made, tuple | list) else (made,)
        for value, array in zip(node.results, made, strict=True):
            if value is not None:
                self.arrays[value] = array

    def _place(self, value: Value) -> None:
        """The array that comes next lies in the concatenation that it is a part of."""
        if value in self._memory.places:
            whole, at = self._memory.places[value]
            if whole not in self._wholes:
                self._place(whole)
                self._wholes[whole] = self._cpu.empty(whole.shape, whole.dtype)
            self._cpu.allocate_next_in(self._wholes[whole], at, value.bytes)

    def _rest(self, node: Node, args: tuple[Any, ...]) -> Array:
        """A concatenation: only the parts that do not lie in it yet are copied."""
        whole, axis = self._wholes.pop(node.out), args[1]
        start = [0] * len(node.out.shape)
        at = whole.address
        for value, part in zip(node.args[0], args[0], strict=True):
            if part.address != at:
                self._cpu.slice_assign_(whole, part, tuple(start), (1,) * len(start))
            start[axis] += value.shape[axis]
            at += value.bytes
        return whole
