"""Makes the functions methods and operators of Tensor. Imported once, by fastdl/__init__.py."""

from __future__ import annotations

from typing import Any

from .. import autograd
from ..tensor import Tensor
from . import (
    activation,
    arithmetic,
    comparison,
    division,
    elementary,
    getitem,
    indexing,
    layout,
    logical,
    product,
    rearranging,
    reduction,
    searching,
    sorting,
)


def _reflected(function: Any) -> Any:
    def operator(self: Tensor, other: Any) -> Tensor:
        return function(other, self)

    return operator


def _in_place(function: Any) -> Any:
    """x += y and the like. Outside the tape the memory of x is written; on the tape x becomes the result."""

    def operator(self: Tensor, *args: Any) -> Tensor:
        if autograd.mode.enabled and self.requires_grad and self.is_leaf:
            raise RuntimeError(
                "[in-place] expected a tensor inside the graph or no_grad(), got a leaf that requires a gradient"
            )
        out = function(self, *args)
        if out.shape != self.shape:
            raise ValueError(f"[in-place] expected a result of shape {self.shape}, got {out.shape}")
        if out.requires_grad:
            self._array, self._node, self.requires_grad = out._cast(self.dtype)._array, out._node, True
        else:
            self._backend.copy_(self._array, out._cast(self.dtype)._array)
        return self

    return operator


def zero_(self: Tensor) -> Tensor:
    """All elements to 0, in place."""
    return fill_(self, 0)


def fill_(self: Tensor, value: Any) -> Tensor:
    """All elements to `value`, in place."""
    if autograd.recording(self):
        raise RuntimeError("[fill_] expected a tensor outside the tape, got one that requires a gradient")
    self._backend.fill_(self._array, value)
    return self


def copy_(self: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, broadcast and cast, into this tensor."""
    if autograd.recording(self):
        raise RuntimeError("[copy_] expected a tensor outside the tape, got one that requires a gradient")
    if not isinstance(source, Tensor):
        raise TypeError(f"[copy_] expected a Tensor for source, got {type(source).__name__}")
    moved = layout.expand(source.detach()._cast(self.dtype)._move(self._backend), self.shape)
    self._backend.copy_(self._array, moved._array)
    return self


def _iterate(self: Tensor) -> Any:
    if self.ndim == 0:
        raise TypeError("[iter] expected a tensor with at least one dimension, got a scalar")
    return (layout.index(self, i) for i in range(self.shape[0]))


_FUNCTIONS = {
    arithmetic: "add sub mul div pow maximum minimum",
    division: "floor_divide remainder",
    elementary: "exp expm1 log log1p sqrt rsqrt reciprocal square abs neg sign sin cos erf floor ceil round trunc",
    logical: (
        "bitwise_and bitwise_or bitwise_xor bitwise_not logical_and logical_or logical_xor logical_not "
        "isnan isinf isfinite"
    ),
    comparison: "eq ne lt le gt ge equal allclose clamp clip",
    reduction: "sum mean var std amax amin argmax argmin max min",
    layout: "reshape flatten unsqueeze squeeze permute transpose t expand clone",
    indexing: "gather index_add index_select masked_fill masked_select nonzero scatter scatter_add take_along_dim",
    rearranging: "chunk cumsum flip roll split",
    searching: "quantile unique",
    sorting: "argsort kthvalue median msort nanmedian sort topk",
    product: "matmul mm bmm dot",
    activation: "relu relu_ sigmoid tanh softmax log_softmax",
}
_OPERATORS = {
    "__add__": arithmetic.plus,
    "__radd__": _reflected(arithmetic.plus),
    "__sub__": arithmetic.sub,
    "__rsub__": _reflected(arithmetic.sub),
    "__mul__": arithmetic.mul,
    "__rmul__": _reflected(arithmetic.mul),
    "__truediv__": arithmetic.div,
    "__rtruediv__": _reflected(arithmetic.div),
    "__floordiv__": division.floor_divide,
    "__rfloordiv__": _reflected(division.floor_divide),
    "__mod__": division.remainder,
    "__rmod__": _reflected(division.remainder),
    "__pow__": arithmetic.pow,
    "__rpow__": _reflected(arithmetic.pow),
    "__matmul__": product.matmul,
    "__rmatmul__": _reflected(product.matmul),
    "__neg__": elementary.neg,
    "__abs__": elementary.abs,
    "__eq__": comparison.eq,
    "__ne__": comparison.ne,
    "__lt__": comparison.lt,
    "__le__": comparison.le,
    "__gt__": comparison.gt,
    "__ge__": comparison.ge,
    "__invert__": logical.bitwise_not,
    "__and__": logical.bitwise_and,
    "__rand__": _reflected(logical.bitwise_and),
    "__or__": logical.bitwise_or,
    "__ror__": _reflected(logical.bitwise_or),
    "__xor__": logical.bitwise_xor,
    "__rxor__": _reflected(logical.bitwise_xor),
    "__getitem__": getitem.getitem,
    "__setitem__": getitem.setitem,
    "__iter__": _iterate,
    "__iadd__": _in_place(arithmetic.add),
    "__isub__": _in_place(arithmetic.sub),
    "__imul__": _in_place(arithmetic.mul),
    "__itruediv__": _in_place(arithmetic.div),
    "add_": _in_place(arithmetic.add),
    "sub_": _in_place(arithmetic.sub),
    "mul_": _in_place(arithmetic.mul),
    "div_": _in_place(arithmetic.div),
    "clamp_": _in_place(comparison.clamp),
    "masked_fill_": _in_place(indexing.masked_fill),
    "scatter_": _in_place(indexing.scatter),
    "scatter_add_": _in_place(indexing.scatter_add),
    "index_add_": _in_place(indexing.index_add),
    "fill_": fill_,
    "zero_": zero_,
    "copy_": copy_,
    "view": layout.reshape,
    "T": property(layout.t),
    "mT": property(lambda self: layout.transpose(self, -2, -1)),
}


def install() -> None:
    """Puts everything on Tensor."""
    for module, names in _FUNCTIONS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for name, function in _OPERATORS.items():
        setattr(Tensor, name, function)


install()
