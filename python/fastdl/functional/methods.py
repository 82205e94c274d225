"""Makes the functions methods and operators of Tensor. Imported once, by fastdl/__init__.py."""

from __future__ import annotations

import functools
from typing import Any

from .. import creation, exchange, sampling
from ..tensor import Tensor
from . import (
    activation,
    angles,
    arithmetic,
    blending,
    comparison,
    compositions,
    cumulative,
    diagonals,
    division,
    elementary,
    gathering,
    getitem,
    in_place,
    indexing,
    layout,
    logical,
    measures,
    product,
    rearranging,
    reduction,
    searching,
    selecting,
    shaping,
    sorting,
    statistics,
)

_NUMPY = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: Any) -> Any:
    """The function with NumPy's `axis` and `keepdims` for `dim` and `keepdim` too, as PyTorch has it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{_NUMPY.get(name, name): value for name, value in kwargs.items()})

    return call


WITH_AXIS: str = (
    "sum mean var std amax amin argmax argmin max min any all prod cumsum cumprod count_nonzero norm logsumexp median "
    "nansum nanmean std_mean var_mean sort argsort softmax log_softmax squeeze unsqueeze cat stack"
)


def _reflected(function: Any) -> Any:
    def operator(self: Tensor, other: Any) -> Tensor:
        return function(other, self)

    return operator


def _new(function: Any) -> Any:
    """x.new_zeros(...) and the like: dtype and place of x unless given."""

    def method(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        return function(*args, dtype=dtype or self.dtype, device=device or self.device, **kwargs)

    method.__doc__ = f"`{function.__name__}` with the dtype and on the device of this tensor."
    return method


def _named_type(self: Tensor, dtype: Any = None) -> Any:
    """The dtype's name, or this tensor with another dtype."""
    return repr(self.dtype) if dtype is None else self.to(dtype=dtype)


def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    return comparison.where(condition, self, other)


def _iterate(self: Tensor) -> Any:
    if self.ndim == 0:
        raise TypeError("[iter] expected a tensor with at least one dimension, got a scalar")
    return (layout.index(self, i) for i in range(self.shape[0]))


def _reshaped(function: Any) -> Any:
    """x.squeeze_() and the like: another shape of the same numbers, for tensors outside the tape."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.requires_grad:
            raise RuntimeError(f"[{function.__name__}_] expected a tensor outside the tape, got one that requires a "
                               f"gradient: use {function.__name__}()")  # fmt: skip
        self._array = function(self, *args, **kwargs)._array
        return self

    method.__doc__ = f"`{function.__name__}`, in place."
    return method


def _detach_(self: Tensor) -> Tensor:
    """Leaves the tape, in place."""
    self._node, self.requires_grad = None, False
    return self


def _fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """`fill_value` where all indices are equal, in place (`torch.Tensor.fill_diagonal_`, without `wrap`)."""
    if wrap:
        raise NotImplementedError("[fill_diagonal_] expected wrap=False, got True")
    n = min(self.shape)
    places = creation.arange(n, device=self.device)
    self[(places,) * self.ndim] = fill_value
    return self


def _stride(self: Tensor, dim: int | None = None) -> Any:
    """Elements between neighbours along each axis: those of a contiguous array, which every tensor is."""
    steps = [1] * self.ndim
    for axis in range(self.ndim - 2, -1, -1):
        steps[axis] = steps[axis + 1] * max(self.shape[axis + 1], 1)
    return tuple(steps) if dim is None else steps[dim]


def _data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    array = self._array
    return array.address if hasattr(array, "address") else array.ctypes.data


_FUNCTIONS = {
    arithmetic: "add sub mul div pow maximum minimum",
    division: "floor_divide remainder fmod",
    elementary: (
        "exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal square abs neg sign sin cos sinh cosh asinh acosh "
        "atanh erf erfc floor ceil round trunc frac"
    ),
    logical: (
        "bitwise_and bitwise_or bitwise_xor bitwise_not logical_and logical_or logical_xor logical_not "
        "isnan isinf isfinite"
    ),
    comparison: "eq ne lt le gt ge equal allclose clamp clip",
    reduction: "sum mean var std amax amin argmax argmin max min",
    layout: "reshape contiguous flatten unsqueeze squeeze permute transpose t expand clone",
    indexing: "gather index_add index_select masked_fill masked_select nonzero scatter scatter_add take_along_dim",
    rearranging: "chunk flip roll split",
    cumulative: "cumsum cumprod cummax cummin logcumsumexp",
    searching: "quantile unique",
    sorting: "argsort kthvalue median msort nanmedian sort topk",
    product: "matmul mm bmm dot mv outer addmm baddbmm inner",
    compositions: (
        "logit xlogy clamp_min clamp_max isclose heaviside fmax fmin float_power ldexp positive isposinf isneginf"
    ),
    blending: "lerp addcmul addcdiv logaddexp logaddexp2 nan_to_num",
    angles: "tan atan2 atan asin acos hypot sinc signbit copysign",
    gathering: "addmv addr diagflat hsplit vsplit mode",
    diagonals: "tril triu diagonal diag_embed diag trace",
    shaping: (
        "repeat tile repeat_interleave broadcast_to expand_as view_as select narrow unbind tensor_split unflatten "
        "movedim fliplr flipud take unfold"
    ),
    statistics: ("any all count_nonzero bincount prod norm dist logsumexp aminmax"),
    selecting: (
        "argwhere index_fill index_copy index_put masked_scatter scatter_reduce unique_consecutive rot90 cross kron"
    ),
    measures: "nansum nanmean diff cov corrcoef histc deg2rad rad2deg",
    sampling: "multinomial bernoulli",
    in_place: "fill_ zero_ copy_ uniform_ normal_ bernoulli_ random_",
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
    "__pos__": lambda self: self,
    "__contains__": lambda self, value: bool(comparison.eq(self, value)._host().any()),
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
    "__setitem__": in_place.assign,
    "__iter__": _iterate,
    "__iadd__": in_place.arithmetic_in_place("add", arithmetic.add),
    "__isub__": in_place.arithmetic_in_place("sub", arithmetic.sub),
    "__imul__": in_place.arithmetic_in_place("mul", arithmetic.mul),
    "__itruediv__": in_place.arithmetic_in_place("div", arithmetic.div),
    "__ifloordiv__": in_place.in_place(division.floor_divide),
    "__imod__": in_place.in_place(division.remainder),
    "__ipow__": in_place.in_place(arithmetic.pow),
    "__iand__": in_place.in_place(logical.bitwise_and),
    "__ior__": in_place.in_place(logical.bitwise_or),
    "__ixor__": in_place.in_place(logical.bitwise_xor),
    "view": layout.reshape,
    "T": property(layout.t),
    "mT": property(lambda self: layout.transpose(self, -2, -1)),
    "reshape_as": shaping.view_as,
    "swapaxes": layout.transpose,
    "swapdims": layout.transpose,
    "ravel": layout.flatten,
    "multiply": arithmetic.mul,
    "divide": arithmetic.div,
    "true_divide": arithmetic.div,
    "subtract": arithmetic.sub,
    "negative": elementary.neg,
    "greater": comparison.gt,
    "less": comparison.lt,
    "where": _where,
    "type": _named_type,
    "greater_equal": comparison.ge,
    "less_equal": comparison.le,
    "not_equal": comparison.ne,
    "absolute": elementary.abs,
    "arctan2": angles.atan2,
    "arctan": angles.atan,
    "arcsin": angles.asin,
    "arccos": angles.acos,
    "fix": elementary.trunc,
    "sgn": elementary.sign,
    "ger": product.outer,
    "moveaxis": shaping.movedim,
    "detach_": _detach_,
    "fill_diagonal_": _fill_diagonal_,
    "stride": _stride,
    "storage_offset": lambda self: 0,
    "data_ptr": _data_ptr,
    "is_nonzero": lambda self: bool(self),
    "is_signed": lambda self: self.dtype.name not in ("bool", "uint8"),
    "is_complex": lambda self: False,
    "is_same_size": lambda self, other: self.shape == other.shape,
    "get_device": lambda self: 0 if self._backend.NAME == "cuda" else -1,
    "pin_memory": exchange.pin_memory,
    "is_pinned": exchange.is_pinned,
    "record_stream": exchange.record_stream,
    "__dlpack__": exchange.dlpack,
    "__dlpack_device__": exchange.dlpack_device,
    "__cuda_array_interface__": property(exchange.cuda_array_interface),
    "new_zeros": _new(creation.zeros),
    "new_ones": _new(creation.ones),
    "new_empty": _new(creation.empty),
    "new_full": _new(creation.full),
    "new_tensor": _new(creation.tensor),
    "nelement": Tensor.numel,
    "ndimension": Tensor.dim,
    "is_contiguous": lambda self: True,
    "itemsize": property(Tensor.element_size),
    "nbytes": property(lambda self: self.numel() * self.element_size()),
    "is_cuda": property(lambda self: self._backend.NAME == "cuda"),
}
_IN_PLACE = {  # x.add_(y) for x + y
    arithmetic: "pow",
    division: "floor_divide remainder fmod",
    elementary: (
        "exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal square abs neg sign sin cos sinh cosh asinh acosh "
        "atanh erf erfc floor ceil round trunc frac"
    ),
    angles: "tan atan2 atan asin acos hypot copysign",
    comparison: "eq ne lt le gt ge clamp clip",
    indexing: "masked_fill scatter scatter_add index_add",
    selecting: "index_fill index_copy index_put masked_scatter scatter_reduce",
    logical: "bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor logical_not",
    cumulative: "cumsum cumprod",
    activation: "sigmoid tanh",
    compositions: "logit clamp_min clamp_max",
    blending: "lerp addcmul addcdiv nan_to_num",
    diagonals: "tril triu",
}


def install() -> None:
    """Puts everything on Tensor."""
    for module, names in _FUNCTIONS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for module, names in _IN_PLACE.items():
        for name in names.split():
            setattr(Tensor, name + "_", in_place.in_place(getattr(module, name)))
    for name in ("add", "sub", "mul", "div"):
        setattr(Tensor, name + "_", in_place.arithmetic_in_place(name, getattr(arithmetic, name)))
    for name in ("squeeze", "unsqueeze", "t", "transpose"):
        setattr(Tensor, name + "_", _reshaped(getattr(layout, name)))
    for name in WITH_AXIS.split():
        if hasattr(Tensor, name):
            setattr(Tensor, name, numpy_names(getattr(Tensor, name)))
    for name, function in _OPERATORS.items():
        setattr(Tensor, name, function)


install()
