"""Running sums, products, extremes and logarithms along an axis, and their gradients, one element after another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .checks import NUMBERS, expect, expect_array, expect_float, expect_same_dtype, expect_shape, quiet

Array = np.ndarray
_INT64 = np.dtype(np.int64)


def _check(op: str, what: str, x: Array, axis: int) -> None:
    expect_array(op, what, x)
    expect(x.dtype.name in NUMBERS, TypeError, op, f"{what} of dtype float32, float64, int32 or int64", x.dtype)
    expect(0 <= axis < x.ndim, IndexError, op, f"an axis from 0 to {x.ndim - 1}", axis)


def cumsum(x: Array, axis: int, reverse: bool) -> Array:
    """Sums of all elements up to and with each along the axis; reverse: from each on."""
    _check("cumsum", "input", x, axis)
    with quiet():
        if reverse:
            return np.ascontiguousarray(np.flip(np.cumsum(np.flip(x, axis), axis, dtype=x.dtype), axis))
        return np.cumsum(x, axis, dtype=x.dtype)


def cumprod(x: Array, axis: int) -> Array:
    _check("cumprod", "input", x, axis)
    with quiet():
        return np.cumprod(x, axis, dtype=x.dtype)


def logcumsumexp(x: Array, axis: int) -> Array:
    expect_array("logcumsumexp", "input", x)
    expect_float("logcumsumexp", "input", x)
    _check("logcumsumexp", "input", x, axis)
    with quiet():
        # In more digits: rounding each logarithm of a long line would add up.
        return np.logaddexp.accumulate(x.astype(np.longdouble), axis).astype(x.dtype) if x.size else x.copy()


def _extreme(op: str, best: np.ufunc, x: Array, axis: int) -> tuple[Array, Array]:
    """The last of equals, and of several NaN."""
    _check(op, "input", x, axis)
    values = best.accumulate(x, axis) if x.size else x.copy()
    same = (x == values) | ((x != x) & (values != values))
    line = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    places = np.maximum.accumulate(np.where(same, line, 0), axis) if x.size else np.zeros(x.shape)
    return values, places.astype(np.int64)


def cummax(x: Array, axis: int) -> tuple[Array, Array]:
    return _extreme("cummax", np.maximum, x, axis)


def cummin(x: Array, axis: int) -> tuple[Array, Array]:
    return _extreme("cummin", np.minimum, x, axis)


# ---- gradients -------------------------------------------------------------------------------------------------------


def _check_beside(op: str, grad: Array, axis: int, **others: Array) -> None:
    expect_array(op, "grad", grad)
    expect_float(op, "grad", grad)
    _check(op, "grad", grad, axis)
    for name, other in others.items():
        expect_same_dtype(op, name, other, _INT64 if name == "indices" else grad.dtype)
        expect_shape(op, name, other, grad.shape)


def _from_the_end(g: Array, factor: Array) -> Array:
    """s[i] = g[i] + factor[i] s[i + 1] along the first axis; what is not finite does not pass a factor of 0."""
    s = g.copy()
    for i in range(len(g) - 2, -1, -1):
        s[i] += np.where(factor[i] == 0, 0, factor[i] * s[i + 1])
    return s


def _along_first(rule: Callable[..., Array], axis: int, *arrays: Array) -> Array:
    with quiet():
        return np.ascontiguousarray(np.moveaxis(rule(*(np.moveaxis(a, axis, 0) for a in arrays)), 0, axis))


def cumprod_bwd(grad: Array, x: Array, out: Array, axis: int) -> Array:
    """(sum of grad out from each on) / x, and where x is 0 the product before it times a sum of products behind it."""
    _check_beside("cumprod_bwd", grad, axis, x=x, out=out)

    def rule(g: Array, x: Array, out: Array) -> Array:
        one = np.ones_like(x[:1])
        before, behind = np.concatenate([one, out])[: len(x)], np.concatenate([x, one])[1:]
        sums = np.flip(np.cumsum(np.flip(g * out, 0), 0, dtype=g.dtype), 0)
        of_zeros = np.where(before == 0, 0, before * _from_the_end(g, behind))
        return np.where(x == 0, of_zeros, sums / x).astype(g.dtype)

    return _along_first(rule, axis, grad, x, out)


def logcumsumexp_bwd(grad: Array, x: Array, out: Array, axis: int) -> Array:
    """e^(x - out) times the sum of grad e^(out - out behind) from each on."""
    _check_beside("logcumsumexp_bwd", grad, axis, x=x, out=out)

    def rule(g: Array, x: Array, out: Array) -> Array:
        behind = np.concatenate([out, out[-1:]])[1:]
        return np.exp(x - out) * _from_the_end(g, np.where(out == behind, 1, np.exp(out - behind)))

    wide = [a.astype(np.longdouble) for a in (grad, x, out)]  # as above
    return _along_first(rule, axis, *wide).astype(grad.dtype)


def cumextreme_bwd(grad: Array, indices: Array, axis: int) -> Array:
    """The gradients of all places that show an element, summed at the element."""
    _check_beside("cumextreme_bwd", grad, axis, indices=indices)

    def rule(g: Array, places: Array) -> Array:
        line = np.arange(len(g)).reshape(-1, *[1] * (g.ndim - 1))
        chosen = places == line
        factor = np.concatenate([~chosen, chosen[:1]])[1:].astype(g.dtype)
        return np.where(chosen, _from_the_end(g, factor), 0).astype(g.dtype)

    return _along_first(rule, axis, grad, indices)
