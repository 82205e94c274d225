"""Less memory in training: parts of a network that are computed again in backward instead of kept
(`torch.utils.checkpoint`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import backward, enable_grad, is_grad_enabled
from ..creation import zeros
from ..function import Function
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Recomputed(Function):
    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], random: Any, reached: Any, *inputs: Any) -> Any:
        ctx.run, ctx.random, ctx.inputs = run, random, inputs
        return run(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        after = get_rng_state()
        if ctx.random is not None:
            set_rng_state(ctx.random)
        inputs = [x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in ctx.inputs]
        with enable_grad():
            outs = ctx.run(*inputs)
        if ctx.random is not None:
            set_rng_state(after)
        pairs = zip(outs if isinstance(outs, tuple) else (outs,), grads, strict=True)
        wanted = [(out, grad) for out, grad in pairs if grad is not None and out.requires_grad]
        backward([out for out, _ in wanted], [grad for _, grad in wanted])
        return None, None, None, *(x.grad if isinstance(x, Tensor) else None for x in inputs)


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool = True, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """`function(*args, **kwargs)`, a tensor or a tuple of tensors, of which backward keeps the inputs alone and
    computes the rest once more (`torch.utils.checkpoint.checkpoint`; T. Chen et al., "Training Deep Nets with Sublinear
    Memory Cost", 2016).

    Dropout draws the same numbers again, unless `preserve_rng_state` is False. Running statistics of batch norms see
    the batch twice, as in PyTorch. `use_reentrant` is taken for PyTorch's sake and changes nothing: as with its False,
    parameters that the function knows get their gradients whether an input requires one or not.

    Raises:
        TypeError: for a function that cannot be called.

    >>> import fastdl
    >>> x = fastdl.ones(2, requires_grad=True)
    >>> checkpoint(lambda v: (v * 3).exp(), x).sum().backward()
    >>> x.grad
    tensor([60.2566, 60.2566])
    """
    if not callable(function):
        raise TypeError(f"[checkpoint] expected a function, got {type(function).__name__}")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    random = get_rng_state() if preserve_rng_state else None
    tensors = [x for x in args if isinstance(x, Tensor)]
    reached = None  # by backward: parameters are no inputs, and would not be without one that requires a gradient
    if tensors and not any(x.requires_grad for x in tensors):
        reached = zeros((), device=tensors[0].device, requires_grad=True)
    return _Recomputed.apply(lambda *inputs: function(*inputs, **kwargs), random, reached, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool = True, preserve_rng_state: bool = True
) -> Any:
    """A Sequential or list of modules in `segments` parts, of which all but the last are checkpoints
    (`torch.utils.checkpoint.checkpoint_sequential`).

    >>> import fastdl
    >>> net = fastdl.nn.Sequential(*[fastdl.nn.Linear(3, 3) for _ in range(4)])
    >>> x = fastdl.ones(1, 3, requires_grad=True)
    >>> bool((checkpoint_sequential(net, 2, x) == net(x)).all())
    True
    """
    modules: Sequence[Any] = list(functions)
    if not 1 <= segments <= len(modules):
        raise ValueError(f"[checkpoint_sequential] expected segments from 1 to {len(modules)}, got {segments}")
    size = len(modules) // segments

    def part(first: int, last: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for module in modules[first:last]:
                x = module(x)
            return x

        return run

    for i in range(segments - 1):
        input = checkpoint(part(i * size, (i + 1) * size), input, preserve_rng_state=preserve_rng_state)
    return part((segments - 1) * size, len(modules))(input)
