"""Differentiable operations written by users; found as `fastdl.autograd.Function`."""

from __future__ import annotations

from typing import Any

from .autograd import Node, no_grad, record, recording
from .tensor import Tensor

Array = Any


class Context:
    """What `Function.forward` leaves for `Function.backward`; attributes of your own may be set on it."""

    saved_tensors: tuple[Tensor, ...] = ()
    needs_input_grad: tuple[bool, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()
    materialize_grads = True

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says that no gradient flows through these outputs, such as indices."""
        self.non_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says that these inputs were changed in place; nothing needs to know it here."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that nothing came from."""
        self.materialize_grads = value


class Function:
    """A differentiable operation of your own (`torch.autograd.Function`), with first-order gradients.

    `forward` returns a tensor or a tuple of them, and `backward` gets a gradient for each and returns one for each
    argument of `forward`, None for those that are no tensors. With a static method `setup_context(ctx, inputs, output)`
    forward has no ctx.

    >>> import fastdl
    >>> class Cube(fastdl.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return grad * 3 * x * x
    >>> x = fastdl.tensor([2.0], requires_grad=True)
    >>> Cube.apply(x).backward(); x.grad.item()
    12.0
    """

    setup_context: Any = None

    @staticmethod
    def forward(ctx: Context, *args: Any) -> Any:
        raise NotImplementedError("[Function] expected a subclass that defines forward, got none")

    @staticmethod
    def backward(ctx: Context, *grads: Any) -> Any:
        raise NotImplementedError("[Function] expected a subclass that defines backward, got none")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            if cls.setup_context is None:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        outs = list(result) if isinstance(result, tuple) else [result]
        for out in outs:
            if not isinstance(out, Tensor):
                raise TypeError(f"[{cls.__name__}] expected forward to return a Tensor, got {type(out).__name__}")
        tensors = tuple(a for a in args if isinstance(a, Tensor))
        if not recording(*tensors):
            return result
        constant = [any(out is t for t in ctx.non_differentiable) for out in outs]
        outs = [Tensor(o._array, o._backend) if any(o is t for t in tensors) else o for o in outs]
        cls._record(ctx, args, tensors, outs)
        for out, skipped in zip(outs, constant, strict=True):
            if skipped:
                out._node, out.requires_grad = None, False
        return tuple(outs) if isinstance(result, tuple) else outs[0]

    @classmethod
    def _record(cls, ctx: Context, args: tuple[Any, ...], tensors: tuple[Tensor, ...], outs: list[Tensor]) -> None:
        from .outputs import record_several

        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        shapes = [(o.shape, o.dtype.name) for o in outs]

        def given(k: Any, g: Array | None, shape: tuple[int, ...], dtype: str) -> Tensor | None:
            if g is None and ctx.materialize_grads:
                g = k.empty(shape, dtype)
                k.fill_(g, 0)
            return None if g is None else Tensor(g, k)

        def rule(node: Node, grads: Any) -> list[Array | None]:
            arrays = grads if len(outs) > 1 else [grads]
            with no_grad():
                found = cls.backward(ctx, *(given(node.backend, g, *s) for g, s in zip(arrays, shapes, strict=True)))
            found = found if isinstance(found, tuple) else (found,)
            if len(found) != len(args):
                raise RuntimeError(f"[{cls.__name__}] expected {len(args)} gradients from backward, got {len(found)}")
            return [None if found[i] is None else found[i]._array for i in places]

        if len(outs) == 1:
            record(outs[0], rule, tensors, None)
        else:
            record_several(outs, rule, tensors, None)
