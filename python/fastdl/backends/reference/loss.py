"""Losses of input x and target t, element by element, with their gradients by x and by t.

Each loss is a triple (value, derivative by x, derivative by t) of functions of (x, t, a, pos), where `a` is its
attribute (beta, delta, margin, least target) and `pos` the weight of positive targets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .activation import sigmoid_of, softplus_of
from .checks import expect, expect_float, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray
Formula = Callable[[Array, Array, float, Array], Array]
Triple = tuple[Formula, Formula, Formula]


def _of_difference(value: Callable[[Array, float], Array], slope: Callable[[Array, float], Array]) -> Triple:
    return (
        lambda x, t, a, pos: value(x - t, a),
        lambda x, t, a, pos: slope(x - t, a),
        lambda x, t, a, pos: -slope(x - t, a),
    )


def _smooth_l1(d: Array, a: float) -> Array:
    return np.where(np.abs(d) < a, d * d / (2 * a) if a else d, np.abs(d) - a / 2)


def _smooth_l1_slope(d: Array, a: float) -> Array:
    return np.where(np.abs(d) < a, d / a if a else d, np.sign(d))


def _log(x: Array) -> Array:
    return np.maximum(np.log(x), -100)


def _log_of_rest(x: Array) -> Array:
    return np.maximum(np.log1p(-x), -100)


def _log_difference(x: Array, t: Array) -> Array:
    return np.log1p(x) - np.log1p(t)


def _mape_by_t(x: Array, t: Array, a: float, pos: Array) -> Array:
    size = np.maximum(np.abs(t), a)
    indirect = np.where(np.abs(t) > a, np.abs(x - t) * np.sign(t) / size**2, 0.0)
    return -np.sign(x - t) / size - indirect


_FORMULAS: dict[str, Triple] = {
    "mse_loss": _of_difference(lambda d, a: d * d, lambda d, a: 2 * d),
    "l1_loss": _of_difference(lambda d, a: np.abs(d), lambda d, a: np.sign(d)),
    "smooth_l1_loss": _of_difference(_smooth_l1, _smooth_l1_slope),
    "huber_loss": _of_difference(
        lambda d, a: np.where(np.abs(d) < a, d * d / 2, a * (np.abs(d) - a / 2)), lambda d, a: np.clip(d, -a, a)
    ),
    "binary_cross_entropy": (
        lambda x, t, a, pos: -t * _log(x) - (1 - t) * _log_of_rest(x),
        lambda x, t, a, pos: (x - t) / np.maximum((1 - x) * x, 1e-12),
        lambda x, t, a, pos: _log_of_rest(x) - _log(x),
    ),
    "binary_cross_entropy_with_logits": (
        lambda x, t, a, pos: (1 - t) * x + (1 + (pos - 1) * t) * softplus_of(-x),
        lambda x, t, a, pos: (1 - t) - (1 + (pos - 1) * t) * sigmoid_of(-x),
        lambda x, t, a, pos: (pos - 1) * softplus_of(-x) - x,
    ),
    "hinge_loss": (
        lambda x, t, a, pos: np.maximum(a - t * x, 0),
        lambda x, t, a, pos: np.where(a - t * x > 0, -t, 0.0),
        lambda x, t, a, pos: np.where(a - t * x > 0, -x, 0.0),
    ),
    "kl_div": (
        lambda x, t, a, pos: np.where(t == 0, 0.0, t * np.log(t)) - t * x,
        lambda x, t, a, pos: -t,
        lambda x, t, a, pos: np.log(t) + 1 - x,
    ),
    "kl_div_log_target": (
        lambda x, t, a, pos: np.exp(t) * (t - x),
        lambda x, t, a, pos: -np.exp(t),
        lambda x, t, a, pos: np.exp(t) * (t - x + 1),
    ),
    "msle_loss": (
        lambda x, t, a, pos: _log_difference(x, t) ** 2,
        lambda x, t, a, pos: 2 * _log_difference(x, t) / (1 + x),
        lambda x, t, a, pos: -2 * _log_difference(x, t) / (1 + t),
    ),
    "mape_loss": (
        lambda x, t, a, pos: np.abs(x - t) / np.maximum(np.abs(t), a),
        lambda x, t, a, pos: np.sign(x - t) / np.maximum(np.abs(t), a),
        _mape_by_t,
    ),
}


def _check(x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str, reduction: str) -> None:
    expect(name in _FORMULAS, ValueError, "loss", "the name of a loss", name)
    expect(reduction in ("none", "mean", "sum"), ValueError, name, "reduction none, mean or sum", reduction)
    expect_float(name, "input", x)
    for what, array in (("target", target), ("weight", weight), ("pos_weight", pos_weight)):
        if array is not None:
            expect_same_dtype(name, what, array, x.dtype)
            expect_shape(name, what, array, x.shape)


def _check_values(x: Array, t: Array, name: str) -> None:
    def first(refused: Array) -> int:
        found = np.flatnonzero(refused)
        return int(found[0]) if found.size else -1

    if name == "binary_cross_entropy" and (i := first(~((x >= 0) & (x <= 1)))) >= 0:
        expect(False, ValueError, name, "input between 0 and 1", f"{number(x.flat[i])} at position {i}")
    if name == "hinge_loss" and (i := first(np.abs(t) != 1)) >= 0:
        expect(False, ValueError, name, "targets -1 or 1", f"{number(t.flat[i])} at position {i}")
    if name == "msle_loss" and (i := first((x <= -1) | (t <= -1))) >= 0:
        got = f"{number(x.flat[i])} and {number(t.flat[i])} at position {i}"
        expect(False, ValueError, name, "input and target above -1", got)


def _formula(
    which: int, x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str, a: float
) -> Array:
    pos = np.ones_like(x) if pos_weight is None else pos_weight
    values = _FORMULAS[name][which](x, target, a, pos)
    return values if weight is None else weight * values


def loss(
    x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str, a: float, reduction: str
) -> Array:
    _check(x, target, weight, pos_weight, name, reduction)
    _check_values(x, target, name)
    with quiet():
        out = _formula(0, x, target, weight, pos_weight, name, a)
        if reduction == "sum":
            out = out.sum()
        elif reduction == "mean":
            out = out.sum() / x.dtype.type(x.size)
    return np.asarray(out, dtype=x.dtype)


def loss_bwd(
    grad: Array, x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str, a: float,
    reduction: str, by_target: bool,
) -> Array:  # fmt: skip
    _check(x, target, weight, pos_weight, name, reduction)
    expect_same_dtype(name, "grad", grad, x.dtype)
    expect_shape(name, "grad", grad, x.shape if reduction == "none" else ())
    with quiet():
        slope = _formula(2 if by_target else 1, x, target, weight, pos_weight, name, a)
        return np.asarray(slope * (grad / x.size if reduction == "mean" else grad), dtype=x.dtype)
