"""Elementwise arithmetic with broadcasting.

Each operation is one flat function: call the backend, record the rule. Small tensors spend their time here, so the
common case (two tensors of one dtype and device) comes first and costs one type check.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd, dtypes
from ..autograd import Node, fresh, mode, record, record_pair
from ..spread_grad import SpreadGrad, beside, mapped, takes_spread
from ..tensor import Tensor
from .integer_powers import is_whole, whole_power, whole_powers

Array = Any
Number = int | float | bool
_NUMBERS = (int, float, bool, np.number, np.bool_)


# ---- operands --------------------------------------------------------------------------------------------------------


def as_tensor_like(value: Any, like: Tensor, op: str) -> Tensor:
    """NumPy arrays beside a tensor become tensors; anything else that is no tensor is an error."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.name not in dtypes.dtype._by_name:
            raise TypeError(f"[{op}] expected an array of dtype {', '.join(dtypes.dtype._by_name)}, got {value.dtype}")
        return Tensor(like._backend.from_numpy(np.ascontiguousarray(value), False), like._backend)
    raise TypeError(f"[{op}] expected a Tensor or a number, got {type(value).__name__}")


def matched(a: Any, b: Any, op: str, differ: bool = False) -> tuple[Tensor, Tensor]:
    """Two operands as tensors of one device and dtype (PyTorch's promotion).

    `differ` says that the backend refused them as they are: TypeError if there was nothing to match.
    """
    both = isinstance(a, Tensor) and isinstance(b, Tensor)
    if both and not differ and a._backend is b._backend and a._array.dtype == b._array.dtype:
        return a, b
    if not both and not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(f"[{op}] expected a Tensor, got {type(a).__name__} and {type(b).__name__}")
    a = as_tensor_like(a, b, op)
    b = as_tensor_like(b, a, op)
    devices_differed = a._backend is not b._backend
    if devices_differed:
        a, b = _same_device(a, b, op)
    da, db = str(a._array.dtype), str(b._array.dtype)
    if da != db:
        target = dtypes.dtype._by_name[_promoted(a, b, da, db)]
        a, b = a._cast(target), b._cast(target)
    elif differ and not devices_differed:
        raise TypeError(f"[{op}] expected operands of dtype float32, float64, int32 or int64, got {da}")
    return a, b


def _same_device(a: Tensor, b: Tensor, op: str) -> tuple[Tensor, Tensor]:
    if a.ndim == 0:  # as in PyTorch, a zero-dimensional tensor may come from elsewhere
        return a._move(b._backend), b
    if b.ndim == 0:
        return a, b._move(a._backend)
    raise ValueError(f"[{op}] expected tensors on one device, got {a.device} and {b.device}")


def _promoted(a: Tensor, b: Tensor, da: str, db: str) -> str:
    """A zero-dimensional tensor does not widen the dtype of the other within its kind."""
    if (a.ndim == 0) != (b.ndim == 0):
        wide, narrow = (da, db) if b.ndim == 0 else (db, da)
        if dtypes.dtype._by_name[wide].is_floating_point or not dtypes.dtype._by_name[narrow].is_floating_point:
            return wide if wide != "bool" else narrow
    return dtypes.promote(da, db)


def for_scalar(x: Any, s: Any, op: str, float_result: bool = False) -> tuple[Tensor, Number]:
    """A tensor and a number, the tensor cast so that the result has PyTorch's dtype."""
    if not isinstance(x, Tensor):
        raise TypeError(f"[{op}] expected a Tensor, got {type(x).__name__}")
    if not isinstance(s, _NUMBERS):
        raise TypeError(f"[{op}] expected a Tensor or a number, got {type(s).__name__}")
    if s.__class__ is int and s.bit_length() > 1023:
        raise ValueError(f"[{op}] expected a number that float64 holds, got an int of {s.bit_length()} bits")
    if not x.dtype.is_floating_point:
        if float_result or isinstance(s, float | np.floating):
            x = x._cast(dtypes.float32)
        elif x.dtype is dtypes.bool and not isinstance(s, bool | np.bool_):
            x = x._cast(dtypes.int64)
        elif x.dtype is dtypes.uint8 and -256 < s < 0:
            s = int(s) + 256  # bytes wrap around
    return x, (float(s) if x.dtype.is_floating_point else int(s))


def is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS)


def unbroadcast(backend: Any, g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand that was broadcast: summed over the axes along which it was repeated."""
    if g.shape == shape:
        return g
    if type(g) is SpreadGrad:
        g = g.dense()
    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1)
    return backend.reshape(backend.sum(g, axes, False), shape)


# ---- add, sub, mul, div ----------------------------------------------------------------------------------------------


@takes_spread
def _add_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    if node.saved is None:
        return g, g
    k, (shape_a, shape_b) = node.backend, node.saved
    ga = unbroadcast(k, g, shape_a) if node.edges[0] is not None else None
    gb = unbroadcast(k, g, shape_b) if node.edges[1] is not None else None
    return ga, gb


@takes_spread
def _pass_bwd(node: Node, g: Array) -> tuple[Array]:
    return (g,)


def _shapes(a: Tensor, b: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    sa, sb = a._array.shape, b._array.shape
    return None if sa == sb else (sa, sb)


def plus(input: Any, other: Any) -> Tensor:
    """input + other: what the operator calls. The one function whose every step was timed (bench/training.py)."""
    if isinstance(other, Tensor) and isinstance(input, Tensor):
        k, a, b = input._backend, input._array, other._array
        try:
            out = Tensor(k.add(a, b), k)
        except TypeError:  # another dtype or device, found out by the backend: asking first would cost every call
            return plus(*matched(input, other, "add", differ=True))
        if (input.requires_grad or other.requires_grad) and mode.enabled:
            shape_a, shape_b = a.shape, b.shape
            record_pair(out, _add_bwd, input, other, None if shape_a == shape_b else (shape_a, shape_b))
        return out
    if is_number(other) or is_number(input):
        x, s = for_scalar(*_tensor_first(input, other), "add")
        out = Tensor(x._backend.add_scalar(x._array, s), x._backend)
        return record(out, _pass_bwd, (x,), None) if x.requires_grad and mode.enabled else out
    return plus(*matched(input, other, "add"))


def add(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input + alpha * other, broadcast (`torch.add`).

    >>> import fastdl
    >>> fastdl.add(fastdl.tensor([1.0, 2.0]), 10.0).tolist()
    [11.0, 12.0]
    """
    if alpha != 1:
        other = mul(other, alpha) if isinstance(other, Tensor) else other * alpha
    return plus(input, other)


def _tensor_first(a: Any, b: Any) -> tuple[Any, Any]:
    return (a, b) if isinstance(a, Tensor) else (b, a)


@takes_spread
def _sub_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, saved = node.backend, node.saved
    ga = g if node.edges[0] is not None else None
    gb = mapped(g, k.neg) if node.edges[1] is not None else None
    if saved is not None:
        ga = None if ga is None else unbroadcast(k, ga, saved[0])
        gb = None if gb is None else unbroadcast(k, gb, saved[1])
    return ga, gb


@takes_spread
def neg_bwd(node: Node, g: Array) -> tuple[Array]:
    return (mapped(g, node.backend.neg),)


def sub(input: Any, other: Any, *, alpha: Number = 1) -> Tensor:
    """input - alpha * other, broadcast (`torch.sub`)."""
    if alpha != 1:
        other = mul(other, alpha) if isinstance(other, Tensor) else other * alpha
    if is_number(other):
        x, s = for_scalar(input, other, "sub")
        out = Tensor(x._backend.sub_scalar(x._array, s), x._backend)
        return record(out, _pass_bwd, (x,), None) if x.requires_grad and mode.enabled else out
    if is_number(input):
        x, s = for_scalar(other, input, "sub")
        out = Tensor(x._backend.rsub_scalar(x._array, s), x._backend)
        return record(out, neg_bwd, (x,), None) if x.requires_grad and mode.enabled else out
    a, b = matched(input, other, "sub")
    out = Tensor(a._backend.sub(a._array, b._array), a._backend)
    if (a.requires_grad or b.requires_grad) and mode.enabled:
        record_pair(out, _sub_bwd, a, b, _shapes(a, b))
    return out


@fresh
@takes_spread
def _mul_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b) = node.backend, node.saved
    g = beside(g, a.shape, b.shape)
    ga = unbroadcast(k, k.mul(g, b), a.shape) if node.edges[0] is not None else None
    gb = unbroadcast(k, k.mul(g, a), b.shape) if node.edges[1] is not None else None
    return ga, gb


@fresh
@takes_spread
def _mul_scalar_bwd(node: Node, g: Array) -> tuple[Array]:
    return (mapped(g, node.backend.mul_scalar, node.saved),)


def mul(input: Any, other: Any) -> Tensor:
    """input * other, broadcast (`torch.mul`)."""
    if is_number(other) or is_number(input):
        x, s = for_scalar(*_tensor_first(input, other), "mul")
        out = Tensor(x._backend.mul_scalar(x._array, s), x._backend)
        return record(out, _mul_scalar_bwd, (x,), s) if x.requires_grad and mode.enabled else out
    a, b = matched(input, other, "mul")
    out = Tensor(a._backend.mul(a._array, b._array), a._backend)
    if (a.requires_grad or b.requires_grad) and mode.enabled:
        record_pair(out, _mul_bwd, a, b, (a._array, b._array))
    return out


@fresh
@takes_spread
def _div_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (b, out, shape_a) = node.backend, node.saved
    g = beside(g, shape_a, b.shape)
    ga = k.div(g, b)
    gb = unbroadcast(k, k.neg(k.mul(ga, out)), b.shape) if node.edges[1] is not None else None
    return unbroadcast(k, ga, shape_a), gb


@fresh
def _rdiv_scalar_bwd(node: Node, g: Array) -> tuple[Array]:  # out = s / x; d out / dx = -out / x
    k, (x, out) = node.backend, node.saved
    return (k.neg(k.div(k.mul(g, out), x)),)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, true division, broadcast (`torch.div`); integers divide as float32.

    `rounding_mode` "floor" or "trunc" rounds the quotient; integers then stay integers.
    """
    if rounding_mode is not None:
        return _rounded_quotient(input, other, rounding_mode)
    if is_number(other):
        x, s = for_scalar(input, other, "div", True)
        out = Tensor(x._backend.div_scalar(x._array, s), x._backend)
        return record(out, _div_scalar_bwd, (x,), s) if x.requires_grad and mode.enabled else out
    if is_number(input):
        x, s = for_scalar(other, input, "div", True)
        out = Tensor(x._backend.rdiv_scalar(x._array, s), x._backend)
        return record(out, _rdiv_scalar_bwd, (x,), (x._array, out._array)) if x.requires_grad and mode.enabled else out
    a, b = _floats(*matched(input, other, "div"))
    out = Tensor(a._backend.div(a._array, b._array), a._backend)
    if (a.requires_grad or b.requires_grad) and mode.enabled:
        record_pair(out, _div_bwd, a, b, (b._array, out._array, a._array.shape))
    return out


def _rounded_quotient(input: Any, other: Any, mode: str) -> Tensor:
    from .division import floor_divide

    if mode not in ("floor", "trunc"):
        raise ValueError(f"[div] expected rounding_mode None, 'floor' or 'trunc', got {mode!r}")
    down = floor_divide(input, other)
    if mode == "floor":
        return down
    between = div(input, other).detach().lt(0) & (mul(down, other) != input)  # rounded away from 0
    return add(down, between._cast(down.dtype))


@fresh
@takes_spread
def _div_scalar_bwd(node: Node, g: Array) -> tuple[Array]:
    return (mapped(g, node.backend.div_scalar, node.saved),)


def _floats(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.dtype.is_floating_point:
        return a, b
    return a._cast(dtypes.float32), b._cast(dtypes.float32)


# ---- powers, maximum, minimum ----------------------------------------------------------------------------------------


@fresh
@takes_spread
def _pow_scalar_bwd(node: Node, g: Array) -> tuple[Array]:
    k, (x, s) = node.backend, node.saved
    if s == 0:
        return (mapped(g, k.mul_scalar, 0.0),)
    if s == 2:
        return (k.mul(k.mul_scalar(beside(g, x.shape), 2.0), x),)
    return (k.mul(beside(g, x.shape), k.mul_scalar(k.pow_scalar(x, s - 1), s)),)


@fresh
def _rpow_scalar_bwd(node: Node, g: Array) -> tuple[Array]:  # out = s ** x; d out / dx = out * log(s)
    k, (out, s) = node.backend, node.saved
    return (k.mul(g, k.mul_scalar(out, float(np.log(s)) if s > 0 else 0.0 if s == 0 else float("nan"))),)


@fresh
def _pow_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (a, b, out) = node.backend, node.saved
    ga = gb = None
    if node.edges[0] is not None:
        zero = k.eq_scalar(b, 0.0)
        slope = k.mul(b, k.pow(a, k.sub_scalar(b, 1.0)))
        ga = unbroadcast(k, k.mul(g, k.where(zero, k.mul_scalar(b, 0.0), slope)), a.shape)
    if node.edges[1] is not None:
        slope = k.mul(out, k.log(a))
        at_zero = k.where(k.ge_scalar(b, 0.0), k.mul_scalar(b, 0.0), slope)  # 0^b is 0, whatever b is
        slope = k.where(k.eq_scalar(a, 0.0), at_zero, slope)
        gb = unbroadcast(k, k.mul(g, slope), b.shape)
    return ga, gb


def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, broadcast (`torch.pow`).

    Integers keep their dtype, with fractions cut off, but for numbers below 0 or with a fraction as exponent: then they
    are raised as float32.
    """
    if is_number(exponent):
        whole = isinstance(exponent, int | np.integer) and not isinstance(exponent, bool) and exponent >= 0
        if whole and isinstance(input, Tensor) and not input.dtype.is_floating_point:
            return whole_power(input, int(exponent))
        x, s = for_scalar(input, exponent, "pow", True)
        out = Tensor(x._backend.pow_scalar(x._array, s), x._backend)
        return record(out, _pow_scalar_bwd, (x,), (x._array, s)) if x.requires_grad and mode.enabled else out
    if is_number(input):
        if isinstance(input, int) and is_whole(exponent):
            k = exponent._backend
            return whole_powers(Tensor(k.add_scalar(k.mul_scalar(exponent._array, 0), int(input)), k), exponent)
        x, s = for_scalar(exponent, input, "pow", True)
        out = Tensor(x._backend.rpow_scalar(x._array, s), x._backend)
        return record(out, _rpow_scalar_bwd, (x,), (out._array, s)) if x.requires_grad and mode.enabled else out
    a, b = matched(input, exponent, "pow")
    if is_whole(a):
        return whole_powers(a, b)
    a, b = _floats(a, b)
    out = Tensor(a._backend.pow(a._array, b._array), a._backend)
    if (a.requires_grad or b.requires_grad) and mode.enabled:
        record(out, _pow_bwd, (a, b), (a._array, b._array, out._array))
    return out


@fresh
def _choice_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    """Gradient of maximum and minimum: to the chosen operand, half to each where they tie (as PyTorch)."""
    k, (a, b, out) = node.backend, node.saved
    ties = k.cast(k.eq(a, b), str(g.dtype))
    half = k.mul(g, k.sub_scalar(k.mul_scalar(ties, -0.5), -1.0))
    ga = k.mul(half, k.cast(k.eq(a, out), str(g.dtype))) if node.edges[0] is not None else None
    gb = k.mul(half, k.cast(k.eq(b, out), str(g.dtype))) if node.edges[1] is not None else None
    return (
        None if ga is None else unbroadcast(k, ga, a.shape),
        None if gb is None else unbroadcast(k, gb, b.shape),
    )


def _choice(name: str, input: Any, other: Any) -> Tensor:
    a, b = matched(input, other, name)
    out = Tensor(getattr(a._backend, name)(a._array, b._array), a._backend)
    if autograd.recording(a, b):
        record(out, _choice_bwd, (a, b), (a._array, b._array, out._array))
    return out


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of each pair, NaN if either is (`torch.maximum`)."""
    return _choice("maximum", input, other)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of each pair, NaN if either is (`torch.minimum`)."""
    return _choice("minimum", input, other)
