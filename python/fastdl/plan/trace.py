"""Writing down what a network computes.

The network runs once on example inputs, as it always does, while the functions of the CPU backend are replaced by ones
that also note their arguments and results. So nothing of the network has to change or move to another device, and what
it makes on the way (zeros, masks) is seen too. Other threads pass through the replaced functions unseen.

What does not depend on the inputs is a constant. Arrays that share memory (`reshape`) have one Value, which a write in
place replaces by the result of the write; so the graph has no writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from .. import backends
from ..backends.surface import Backend
from ..grad_mode import no_grad
from ..nn.module import Module
from ..random import get_rng_state
from ..tensor import Tensor
from .graph import Graph, Node, Value
from .tree import flatten

Array = Any

# What an in-place function makes of its first argument; the others keep their names.
_FUNCTIONAL = {"relu_": "relu", "add_": "add", "mul_scalar_": "mul_scalar", "activation_": "activation"}
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
_SURFACE = tuple(n for n, f in vars(Backend).items() if not n.startswith("_") and callable(f))

one_at_a_time = threading.RLock()  # a trace or a recording in the whole program
_running = threading.local()


def is_tracing() -> bool:
    """Whether this thread is in a `trace`."""
    return getattr(_running, "tracer", None) is not None


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


# ---- running a network under a tracer --------------------------------------------------------------------------------


def trace(
    model: Callable[..., Any], *example: Any, hold: Callable[[Array, str | None], Array] = lambda array, name: array
) -> Graph:
    """The Graph of a module or function of tensors, for inputs with the shapes and dtypes of `example`.

    A module is traced as in evaluation and keeps its mode. Arguments may be tensors or tuples, lists and dicts of them;
    everything else in them is part of what is traced. Constants share memory with the model, unless `hold(array, name)`
    gives others for arrays from outside, by the dotted name of the parameter or buffer or None.

    Raises:
        ValueError: for tensors that are not on the CPU.
        RuntimeError: for a network whose steps depend on the numbers in its inputs, that draws random numbers, or that
            writes into its parameters or buffers.

    >>> import fastdl
    >>> print(trace(fastdl.nn.Sequential(fastdl.nn.Linear(3, 2), fastdl.nn.ReLU()), fastdl.ones(1, 3)))
    float32[1, 2] = linear(float32[1, 3], 0.weight[2, 3], 0.bias[2], none)  # 0
    float32[1, 2] = relu(float32[1, 2])  # 1
    """
    if not callable(model):
        raise TypeError(f"[compile] expected a Module or a function, got {type(model).__name__}")
    leaves, tree = flatten(example)
    for leaf in leaves:
        if leaf.device.type != "cpu":
            raise ValueError(f"[compile] expected tensors on cpu, got one on {leaf.device}")
    tracer = Tracer(_names(model), hold)
    inputs = [Value(leaf.shape, leaf.dtype.name) for leaf in leaves]
    arrays = [copied(leaf._array) for leaf in leaves]
    for array, value in zip(arrays, inputs, strict=True):
        tracer.made(array, value)
    cpu = backends.get("cpu")
    arguments = tree.fill(iter([Tensor(array, cpu) for array in arrays]))
    before = get_rng_state()
    with _listening(tracer), _evaluating(model, tracer), no_grad():
        result = model(*arguments)
    if str(get_rng_state()) != str(before):
        raise RuntimeError("[compile] expected a network without random numbers, got one that draws some")
    outs, out_tree = flatten(result)
    for out in outs:
        if out.device.type != "cpu":
            raise ValueError(f"[compile] expected a network that computes on cpu, got an output on {out.device}")
    return Graph(inputs, [tracer.value(out._array) for out in outs], tracer.nodes, out_tree)


def _names(model: Any) -> dict[int, str]:
    if not isinstance(model, Module):
        return {}
    named = [*model.named_buffers(), *model.named_parameters()]
    return {id(tensor._array): name for name, tensor in named}


@contextmanager
def _listening(tracer: Tracer) -> Iterator[None]:
    """Backend functions that a tracer sees the calls of, in this thread."""
    cpu, thread = backends.get("cpu"), threading.get_ident()
    with one_at_a_time:
        originals = {name: getattr(cpu, name) for name in _SURFACE}

        def seen(name: str, function: Callable) -> Callable:
            def call(*args: Any) -> Any:
                return tracer.call(name, function, args) if threading.get_ident() == thread else function(*args)

            return call

        outer = getattr(_running, "tracer", None)
        _running.tracer = tracer
        for name, function in originals.items():
            setattr(cpu, name, seen(name, function))
        try:
            yield
        finally:
            _running.tracer = outer
            for name, function in originals.items():
                setattr(cpu, name, function)


@contextmanager
def _evaluating(model: Any, tracer: Tracer) -> Iterator[None]:
    """Modules in evaluation mode, and their names in the tracer's scope while they run."""
    modules = list(model.named_modules()) if isinstance(model, Module) else []
    modes = [(module, module.training) for _, module in modules]
    handles = []
    try:
        for name, module in modules:
            handles += _announce(module, name, tracer.scope)
        if isinstance(model, Module):
            model.eval()
        yield
    finally:
        for handle in handles:
            handle.remove()
        if isinstance(model, Module):
            model.train(modes[0][1])  # reaches what a module of its own kind passes the mode on to
        for module, training in modes:
            module.training = training


def _announce(module: Module, name: str, scope: list[str]) -> list[Any]:
    def enter(_: Module, __: Any) -> None:
        scope.append(name)

    def leave(_: Module, __: Any, ___: Any) -> None:
        while scope and scope.pop() != name:  # modules that an exception ended are still there
            pass

    return [module.register_forward_pre_hook(enter, prepend=True), module.register_forward_hook(leave)]
