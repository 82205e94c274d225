"""Writing down what a network computes.

The network runs once on example inputs, as it always does, while the functions of the CPU backend are replaced by ones
that also note their arguments and results (`tracer`). So nothing of the network has to change or move to another
device, and what it makes on the way (zeros, masks) is seen too. Other threads pass through the replaced functions
unseen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .. import backends
from ..backends.surface import FUNCTIONS
from ..grad_mode import no_grad
from ..nn.modes import evaluating
from ..nn.module import Module
from ..random import get_rng_state
from ..tensor import Tensor
from .graph import Graph, Value
from .tracer import Tracer, copied
from .tree import flatten

Array = Any

_SURFACE = tuple(FUNCTIONS)

one_at_a_time = threading.RLock()  # a trace or a recording in the whole program
_running = threading.local()


def is_tracing() -> bool:
    """Whether this thread is in a `trace`."""
    return getattr(_running, "tracer", None) is not None


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
    handles = []
    try:
        for name, module in modules:
            handles += _announce(module, name, tracer.scope)
        with evaluating(model) if isinstance(model, Module) else nullcontext():
            yield
    finally:
        for handle in handles:
            handle.remove()


def _announce(module: Module, name: str, scope: list[str]) -> list[Any]:
    def enter(_: Module, __: Any) -> None:
        scope.append(name)

    def leave(_: Module, __: Any, ___: Any) -> None:
        while scope and scope.pop() != name:  # modules that an exception ended are still there
            pass

    return [module.register_forward_pre_hook(enter, prepend=True), module.register_forward_hook(leave)]
