"""Calling a module, with the functions that watch it: before and after `forward`, and on the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Node, record, recording
from ..outputs import record_several
from ..tensor import RemovableHandle, Tensor


class Hooked:
    """What `Module` inherits: `__call__` and the registration of hooks."""

    _forward_hooks: list[Any]
    _forward_pre_hooks: list[Any]
    _backward_hooks: list[Any]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] expected a forward method, got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._forward_hooks and not self._forward_pre_hooks and not self._backward_hooks:
            return self.forward(*args, **kwargs)
        for pre_hook, takes_keywords in list(self._forward_pre_hooks):
            changed = pre_hook(self, args, kwargs) if takes_keywords else pre_hook(self, args)
            if changed is not None:
                args, kwargs = changed if takes_keywords else (_tuple(changed), kwargs)
        watch = _Backward(self) if self._backward_hooks else None
        out = self.forward(*(args if watch is None else watch.inputs(args)), **kwargs)
        for hook, takes_keywords in list(self._forward_hooks):
            changed = hook(self, args, kwargs, out) if takes_keywords else hook(self, args, out)
            if changed is not None:
                out = changed
        return out if watch is None else watch.outputs(out)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """`hook(module, args, output)` runs after `forward`; what it returns, if anything, replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`; `prepend` puts it before the others.
        """
        return _registered(self._forward_hooks, (hook, with_kwargs), prepend)

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """`hook(module, args)` runs before `forward`; what it returns, if anything, replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns both.
        """
        return _registered(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """`hook(module, grad_input, grad_output)` runs when the gradients of the module's inputs are known; what it
        returns, if anything, replaces them. Both are tuples, None for what has no gradient; only positional tensors
        count as inputs.

        >>> import fastdl
        >>> from fastdl import nn
        >>> layer = nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * 10,))
        >>> x = fastdl.tensor([-1.0, 2.0], requires_grad=True)
        >>> layer(x).sum().backward(); x.grad.tolist()
        [0.0, 10.0]
        """
        return _registered(self._backward_hooks, hook, prepend)


def _registered(hooks: list[Any], item: Any, first: bool) -> RemovableHandle:
    hooks.insert(0, item) if first else hooks.append(item)
    return RemovableHandle(hooks, item)


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class _Backward:
    """One call of a module: its inputs and outputs pass through operations that see their gradients."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.grad_output: list[Tensor | None] = []
        self.seen_inputs = False

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        given = [args[i] for i in self.places]
        if not any(recording(x) for x in given):
            return args
        self.seen_inputs = True
        passed = [Tensor(x._array, x._backend) for x in given]
        record_several(passed, self._leave, tuple(given), None)
        for out, x in zip(passed, given, strict=True):
            if not x.requires_grad:
                out.requires_grad, out._node = False, None
        replaced = dict(zip(self.places, passed, strict=True))
        return tuple(replaced.get(i, a) for i, a in enumerate(args))

    def _leave(self, node: Node, grads: list[Any]) -> list[Any]:
        """The gradients of the inputs, as the hooks leave them."""
        found: tuple[Any, ...] = tuple(None if g is None else Tensor(g, node.backend) for g in grads)
        for hook in list(self.module._backward_hooks):
            changed = hook(self.module, found, tuple(self.grad_output))
            if changed is not None:
                found = _tuple(changed)
        return [None if g is None else g._array for g in found]

    def outputs(self, out: Any) -> Any:
        tensors = [t for t in _tuple(out) if isinstance(t, Tensor)]
        self.grad_output = [None] * len(tensors)
        passed = {}
        for place, t in enumerate(tensors):
            if recording(t):
                copy = Tensor(t._array, t._backend)
                passed[id(t)] = record(copy, self._arrive(place), (t,), None)
        if isinstance(out, Tensor):
            return passed.get(id(out), out)
        if isinstance(out, tuple):
            return tuple(passed.get(id(t), t) for t in out)
        return out

    def _arrive(self, place: int) -> Callable:
        def rule(node: Node, g: Any) -> tuple[Any]:
            self.grad_output[place] = Tensor(g, node.backend)
            if not self.seen_inputs:  # no input waits for a gradient: this is all there is to see
                for hook in list(self.module._backward_hooks):
                    hook(self.module, (None,) * len(self.places), tuple(self.grad_output))
            return (g,)

        return rule
