"""Methods that change their tensor: x += y, x.fill_(v), x[i] = v.

Outside the tape they write x's memory. On the tape x becomes the result, in memory of its own, so that what earlier
operations saved stays as it was; a leaf that requires a gradient is refused, as in PyTorch.

Every tensor is contiguous, so x[0], x.T or x.chunk(2) have memory of their own. They remember where they came from, and
what changes them is written there too: `x[0].fill_(1)`, `x.T[0, 1] = 5` and `a, b = x.chunk(2); a.mul_(2)` change x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Node, mode, no_grad, record, recording
from ..creation import rand, randint, tensor
from ..random import fill
from ..tensor import Tensor
from .arguments import expect_number, expect_probability, expect_tensor, fits
from .arithmetic import Array, unbroadcast
from .getitem import getitem, setitem
from .layout import expand, permute, reshape


def _refuse_leaf(x: Tensor) -> None:
    """Neither a leaf on the tape nor a part of one may change."""
    if not (mode.enabled and x.requires_grad):
        return
    if x.is_leaf:
        raise RuntimeError(
            "[in-place] expected a tensor inside the graph or no_grad(), got a leaf that requires a gradient"
        )
    if x._origin is not None:
        _refuse_leaf(x._origin[0])


def write_through(part: Tensor) -> None:
    """Writes a part that has changed into the tensor that it was taken from, and that one into its own."""
    if part._origin is None:
        return
    whole, way, detail = part._origin
    if way == "index":
        assign(whole, detail, part)
    elif way == "permute":
        copy_(whole, permute(part, detail))
    elif way == "diagonal":
        a, b, offset = detail
        places = np.arange(part.shape[-1])
        rows, columns = places + max(-offset, 0), places + max(offset, 0)
        others = [axis for axis in range(whole.ndim) if axis not in (a, b)]
        assign(permute(whole, (*others, a, b)), (..., rows, columns), part)
    elif way == "reshape" and recording(part):
        _become(whole, reshape(part, whole.shape))
    elif whole._origin is not None:  # the two share memory
        with no_grad():
            write_through(whole)


def _become(x: Tensor, out: Tensor) -> Tensor:
    """x takes the numbers of `out`, and its place on the tape."""
    if out.shape != x.shape:
        raise ValueError(f"[in-place] expected a result of shape {x.shape}, got {out.shape}")
    if out.dtype.is_floating_point and not x.dtype.is_floating_point:
        raise TypeError(f"[in-place] expected a result that fits dtype {x.dtype.name}, got {out.dtype.name}")
    out = out._cast(x.dtype)
    if out.requires_grad:
        x._array, x._node, x.requires_grad = out._array, out._node, True
    else:
        x._backend.copy_(x._array, out._array)
    write_through(x)
    return x


def in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method that overwrites its tensor with what `function` makes of it."""

    def operator(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        _refuse_leaf(self)
        return _become(self, function(self, *args, **kwargs))

    operator.__doc__ = f"`{function.__name__}`, in place."
    return operator


def arithmetic_in_place(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`in_place` for sums, differences, products and quotients: outside the tape, operands that need no conversion are
    read and written where they lie."""
    of_arrays, of_number, general = name + "_", name + "_scalar_", in_place(function)

    def operator(self: Tensor, other: Any, **options: Any) -> Tensor:
        kind = other.__class__
        if options or (mode.enabled and (self.requires_grad or (kind is Tensor and other.requires_grad))):
            return general(self, other, **options)
        k, dtype = self._backend, str(self._array.dtype)
        if kind is Tensor and other._backend is k and str(other._array.dtype) == dtype:
            try:
                getattr(k, of_arrays)(self._array, other._array)
            except (TypeError, ValueError):  # what does not fit is for the general way to say
                return general(self, other)
        elif fits(other, dtype):
            try:
                getattr(k, of_number)(self._array, other)
            except TypeError:
                return general(self, other)
        else:
            return general(self, other)
        if self._origin is not None:
            write_through(self)
        return self

    operator.__doc__ = general.__doc__
    return operator


def _forgotten_bwd(node: Node, g: Array) -> tuple[None]:
    """No gradient for numbers that were overwritten."""
    return (None,)


def fill_(self: Tensor, value: Any) -> Tensor:
    """All elements to `value`, in place; no gradient flows to what was there.

    >>> import fastdl
    >>> fastdl.zeros(2).fill_(3).tolist()
    [3.0, 3.0]
    """
    if isinstance(value, Tensor):
        return copy_(self, reshape(value, ()))
    _refuse_leaf(self)
    if not recording(self):
        self._backend.fill_(self._array, value)
        write_through(self)
        return self
    out = Tensor(self._backend.empty(self.shape, self.dtype.name), self._backend)
    self._backend.fill_(out._array, value)
    return _become(self, record(out, _forgotten_bwd, (self,), None))


def zero_(self: Tensor) -> Tensor:
    """All elements to 0, in place."""
    return fill_(self, 0)


def copy_(self: Tensor, source: Tensor, non_blocking: Any = False) -> Tensor:
    """The elements of `source`, broadcast and cast, into this tensor; gradients flow to the source."""
    expect_tensor(source, "copy_", "source")
    _refuse_leaf(self)
    moved = source._cast(self.dtype)._move(self._backend, non_blocking)
    if moved.shape != self.shape or recording(self, moved):  # on the tape the tensor gets memory of its own
        moved = expand(moved, self.shape)
    if moved.requires_grad and recording(moved):
        return _become(self, moved)
    if recording(self):
        return _become(self, record(moved.detach(), _forgotten_bwd, (self,), None))
    self._backend.copy_(self._array, moved._array)
    write_through(self)
    return self


def _assigned_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (item, shape) = node.backend, node.saved
    whole = Tensor(g, k)
    rest = part = None
    if node.needs(0):
        rest = Tensor(k.cast(g, str(g.dtype)), k)
        setitem(rest, item, 0)
    if node.needs(1):
        found = getitem(whole, item)._array
        lead = len(shape) - found.ndim
        part = k.reshape(unbroadcast(k, found, shape[lead:] if lead > 0 else shape), shape)
    return rest._array if rest is not None else None, part


def assign(self: Tensor, item: Any, value: Any) -> None:
    """x[item] = value; on the tape the gradient of what was assigned goes to `value`, the rest to what x was.

    >>> import fastdl
    >>> w = fastdl.ones(2, requires_grad=True)
    >>> x = fastdl.zeros(3); x[1:] = w * 5
    >>> x.sum().backward(); x.tolist(), w.grad.tolist()
    ([0.0, 5.0, 5.0], [5.0, 5.0])
    """
    given = value if isinstance(value, Tensor) else None
    if not recording(self, given):
        setitem(self, item, value)
        return write_through(self)
    _refuse_leaf(self)
    out = Tensor(self._backend.cast(self._array, self.dtype.name), self._backend)
    setitem(out, item, value.detach() if given is not None else value)
    source = given._cast(self.dtype)._move(self._backend) if given is not None else tensor(0.0)
    _become(self, record(out, _assigned_bwd, (self, source), (item, source.shape)))
    return None


# ---- random numbers --------------------------------------------------------------------------------------------------


def _refuse_tape(x: Tensor, op: str) -> None:
    if recording(x):
        raise RuntimeError(f"[{op}] expected a tensor outside the tape, got one that requires a gradient")


def _drawn(self: Tensor, op: str, a: Any, b: Any, generator: Any) -> Tensor:
    _refuse_tape(self, op)
    fill(op, self._backend, self._array, a, b, generator)
    write_through(self)
    return self


def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform numbers in [a, b), in place."""
    expect_number(a, "uniform_", "a")
    expect_number(b, "uniform_", "b")
    return _drawn(self, "uniform_", a, b, generator)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal numbers, in place."""
    expect_number(mean, "normal_", "mean")
    expect_number(std, "normal_", "std")
    return _drawn(self, "normal_", mean, std, generator)


def bernoulli_(self: Tensor, p: float = 0.5, generator: Any = None) -> Tensor:
    """1 with probability p, else 0, in place."""
    expect_probability(p, "bernoulli_")
    _refuse_tape(self, "bernoulli_")
    k, u = self._backend, rand(self.shape, dtype="float64", device=self.device, generator=generator)
    k.copy_(self._array, k.cast(k.lt_scalar(u._array, p), self.dtype.name))
    write_through(self)
    return self


def random_(self: Tensor, low: int = 0, high: int | None = None, generator: Any = None) -> Tensor:
    """Integers in [low, high), in place; `random_(high)` starts at 0."""
    first, last = (0, low) if high is None else (low, high)
    if not first < last:
        raise ValueError(f"[random_] expected low < high, got {first} and {last}")
    _refuse_tape(self, "random_")
    return copy_(self, randint(first, last, self.shape, device=self.device, generator=generator))
