"""The calls of backend functions as nodes of a graph.

What does not depend on the network's inputs is a constant. Arrays that share memory (`reshape`) have one Value, which a
write in place replaces by the result of the write; so the graph has no writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .. import backends
from .graph import Node, Value

Array = Any

# What an in-place function makes of its first argument; the others keep their names.
_FUNCTIONAL = {
    "relu_": "relu", "add_": "add", "sub_": "sub", "mul_": "mul", "div_": "div", "add_scalar_": "add_scalar",
    "sub_scalar_": "sub_scalar", "mul_scalar_": "mul_scalar", "div_scalar_": "div_scalar", "activation_": "activation",
}  # fmt: skip
_READS = ("to_numpy", "to_dlpack")
_SIZED_BY_NUMBERS = (
    "nonzero",
    "nms",
    "soft_nms",
    "large_boxes",
    "group_equal",
    "embedding_bwd_rows",
    "embedding_bag_bwd_rows",
)
# Arguments that are read before the kernel runs: they must not depend on the inputs.
_READ_FIRST = {"recurrent": (5, 6), "pack_rows": (1, 2), "unpack_rows": (1, 2)}


class _Memory:
    """The numbers that arrays which share memory have now."""

    __slots__ = ("name", "ours", "value", "views")

    def __init__(self, value: Value | None, ours: bool, name: str | None = None) -> None:
        self.value = value  # None: constant, and used by no node so far
        self.views: dict[tuple[int, ...], Value] = {}
        self.ours = ours  # made while tracing: may be written
        self.name = name

    def becomes(self, value: Value | None) -> None:
        self.value = value
        self.views = {}

    @property
    def depends(self) -> bool:
        """Whether the numbers depend on the network's inputs."""
        return self.value is not None and not self.value.is_constant


class Tracer:
    """Notes the calls of backend functions of one thread.

    `names` are the dotted names of arrays by identity. `hold` gives the array to use for one from outside: itself, or a
    copy that later training does not change.
    """

    def __init__(self, names: dict[int, str], hold: Callable[[Array, str | None], Array]) -> None:
        self.nodes: list[Node] = []
        self.scope: list[str] = []
        self._names, self._hold = names, hold
        self._memories: dict[int, _Memory] = {}  # by identity of the array; a new array takes the place of a dead one
        self._held: dict[int, tuple[Array, Array]] = {}  # arrays from outside, kept alive, and what stands for them
        self._array_type = type(backends.get("cpu").empty((), "bool"))

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self._array_type)

    # ---- arrays and what they hold -----------------------------------------------------------------------------------

    def made(self, array: Array, value: Value | None = None) -> None:
        """Takes in an array that a function has made."""
        self._memories[id(array)] = _Memory(value, True)

    def _memory(self, array: Array) -> _Memory:
        memory = self._memories.get(id(array))
        if memory is None:
            name = self._names.get(id(array))
            self._held[id(array)] = array, self._hold(array, name)
            memory = self._memories[id(array)] = _Memory(None, False, name)
        return memory

    def _stand_in(self, array: Array) -> Array:
        self._memory(array)
        held = self._held.get(id(array))
        return held[1] if held is not None and held[0] is array else array

    def value(self, array: Array) -> Value:
        """What an array holds now."""
        memory, shape = self._memory(array), tuple(array.shape)
        if memory.value is None:
            memory.value = Value(shape, str(array.dtype), self._stand_in(array), memory.name)
        if memory.value.shape == shape:
            return memory.value
        view = memory.views.get(shape)
        if view is None:
            view = memory.views[shape] = Value(shape, memory.value.dtype)
            if memory.value.is_constant:
                view.array, view.name = self._stand_in(array), memory.name
            else:
                self._note("reshape", (memory.value, shape), (view,))
        return view

    # ---- calls -------------------------------------------------------------------------------------------------------

    def call(self, name: str, function: Callable, args: tuple[Any, ...]) -> Any:
        """Runs a backend function and notes it."""
        arrays = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else (arg,)) if self.is_array(a)]
        depends = any([self._memory(a).depends for a in arrays])
        if depends:
            self._refuse_reads(name, args)
        actual = tuple(self._map_arrays(self._stand_in, arg) for arg in args)
        if name == "reshape":
            out = function(*actual)
            self._memories[id(out)] = self._memory(args[0])
            return out
        if _writes(name, args):
            return self._write(name, function, args, actual, depends)
        noted = self._values(args) if depends else ()
        out = function(*actual)
        made = out if isinstance(out, list | tuple) else (out,)
        results = tuple(Value(tuple(a.shape), str(a.dtype)) if self.is_array(a) else None for a in made)
        for array, value in zip(made, results, strict=True):
            if value is not None:
                self.made(array, value if depends else None)
        if depends:
            self._note(name, noted, results)
        return out

    def _write(self, name: str, function: Callable, args: tuple, actual: tuple, depends: bool) -> None:
        target = args[0]
        if name == "batch_norm" or not self.is_array(target) or not self._memory(target).ours:
            raise RuntimeError(
                f"[compile] expected a network that leaves its parameters and buffers as they are, got {name} on one"
            )
        memory = self._memory(target)
        noted = self._values(args) if depends else ()
        self._keep_numbers(memory)
        function(*actual)
        if name == "fill_" or not depends:
            memory.becomes(None)
        elif name == "copy_":
            memory.becomes(noted[1])
        else:
            result = Value(tuple(target.shape), str(target.dtype))
            self._note(_FUNCTIONAL.get(name, name), noted, (result,))
            memory.becomes(result)

    def _keep_numbers(self, memory: _Memory) -> None:
        """A constant that nodes use already gets memory of its own before the network writes into it."""
        for value in (memory.value, *memory.views.values()):
            if value is not None and value.is_constant:
                value.array = copied(value.array)

    def _values(self, args: tuple) -> tuple:
        return tuple(self._map_arrays(self.value, arg) for arg in args)

    def _map_arrays(self, change: Callable, arg: Any) -> Any:
        if self.is_array(arg):
            return change(arg)
        if isinstance(arg, list | tuple) and any(self.is_array(a) for a in arg):
            return [change(a) for a in arg]
        return arg

    def _note(self, name: str, args: tuple, results: tuple[Value | None, ...]) -> None:
        self.nodes.append(Node(name, args, results, self.scope[-1] if self.scope else ""))

    def _refuse_reads(self, name: str, args: tuple) -> None:
        if name in _READS:
            _refuse_numbers("one that reads them in Python (item(), bool(), numpy() or another device)")
        if name in _SIZED_BY_NUMBERS:
            _refuse_numbers(f"{name}, whose result has a size that does")
        if name == "dropout":
            raise RuntimeError("[compile] expected a network without random numbers, got dropout")
        for i in _READ_FIRST.get(name, ()):
            if args[i] is not None and self._memory(args[i]).depends:
                _refuse_numbers(f"{name} of lengths that do")


def _refuse_numbers(got: str) -> NoReturn:
    raise RuntimeError(
        f"[compile] expected a network whose steps do not depend on the numbers in its inputs, got {got}"
    )


def _writes(name: str, args: tuple) -> bool:
    """Whether a call changes its arguments; batch_norm does in training, with running statistics."""
    return name.endswith(("_", "_step")) or (name == "batch_norm" and bool(args[5]) and args[3] is not None)


def copied(array: Array) -> Array:
    """The same numbers in new memory, unseen by a trace."""
    from .. import _cpu

    copy = _cpu.empty(array.shape, str(array.dtype))
    _cpu.copy_(copy, array)
    return copy
