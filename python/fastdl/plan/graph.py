"""What a network computes, as a list of backend functions: the result of `trace`, the input of passes and exporters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .tree import Tree

Array = Any


@dataclass(eq=False)
class Value:
    """An array of the network: an input, a result of a node, or a constant, which has its numbers in `array`.

    `name` is the dotted name of the parameter or buffer whose memory a constant is ("layer1.0.conv1.weight"; its shape
    may differ from the parameter's by a reshape), and None for all others.
    """

    shape: tuple[int, ...]
    dtype: str
    array: Array | None = None
    name: str | None = None

    @property
    def is_constant(self) -> bool:
        return self.array is not None

    @property
    def size(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def bytes(self) -> int:
        return self.size * {"float32": 4, "int32": 4, "float64": 8, "int64": 8}.get(self.dtype, 1)


@dataclass(eq=False)
class Node:
    """One call of a function of `backends/surface.py`.

    `args` are its arguments in the order of the surface, with a Value for each array (lists of Values for lists of
    arrays; None, numbers, names and shapes as they are). `results` has one entry a result, None where the function
    gives none (the indices of a max_pool2d without them).

    Nothing is written in place, even where the network says so: `relu_` becomes `relu`, and a function that has no
    such form keeps its underscore (`slice_assign_`), but its result is what its first argument would be afterwards,
    and the argument stays as it was.
    """

    function: str
    args: tuple[Any, ...]
    results: tuple[Value | None, ...]
    source: str = ""  # dotted name of the module that was running, "" for the network itself

    def inputs(self) -> Iterator[Value]:
        """The Values among the arguments, in order."""
        for arg in self.args:
            if isinstance(arg, Value):
                yield arg
            elif isinstance(arg, list):
                yield from (a for a in arg if isinstance(a, Value))

    @property
    def out(self) -> Value:
        """The first result."""
        assert self.results[0] is not None
        return self.results[0]

    def with_args(self, change: Callable[[Value], Value]) -> Node:
        """The same call on other Values."""
        return Node(self.function, map_values(change, self.args), self.results, self.source)

    def __repr__(self) -> str:
        def shown(arg: Any) -> str:
            if isinstance(arg, list):
                return f"[{', '.join(map(shown, arg))}]"
            if not isinstance(arg, Value):
                return str(arg)
            return (arg.name or ("constant" if arg.is_constant else arg.dtype)) + str(list(arg.shape))

        results = ", ".join(shown(r) for r in self.results if r is not None)
        return f"{results} = {self.function}({', '.join(map(shown, self.args))})"


def map_values(change: Callable[[Value], Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments with each Value changed."""

    def mapped(arg: Any) -> Any:
        if isinstance(arg, Value):
            return change(arg)
        return [mapped(a) for a in arg] if isinstance(arg, list) else arg

    return tuple(mapped(arg) for arg in args)


@dataclass(eq=False)
class Graph:
    """A network for inputs of given shapes: `nodes` in an order in which they can run, from `inputs` to `outputs`.

    `inputs` and `outputs` are Values in the order of the tensors in the arguments and in the result; `tree` puts output
    tensors back into the tuples and dicts that the network returns. An output may be an input or a constant.

    >>> import fastdl
    >>> from fastdl.plan.trace import trace
    >>> graph = trace(fastdl.nn.Linear(3, 2), fastdl.ones(1, 3))
    >>> [node.function for node in graph.nodes], [value.name for value in graph.constants()]
    (['linear'], ['weight', 'bias'])
    """

    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    tree: Tree = field(repr=False)

    def constants(self) -> list[Value]:
        """Each constant that a node or an output uses, once."""
        used = [v for node in self.nodes for v in node.inputs()] + self.outputs
        return list(dict.fromkeys(v for v in used if v.is_constant))

    def uses(self) -> Counter[Value]:
        """How many arguments and outputs each Value is."""
        counts = Counter(v for node in self.nodes for v in node.inputs())
        counts.update(self.outputs)
        return counts

    def producers(self) -> dict[Value, Node]:
        """The node that each Value is a result of."""
        return {r: node for node in self.nodes for r in node.results if r is not None}

    def __str__(self) -> str:
        return "\n".join(f"{node}  # {node.source}" if node.source else str(node) for node in self.nodes)
