"""Arithmetic of each element, with broadcasting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...functional import angles, arithmetic, comparison, division, elementary
from .registry import Value, fits, host, is_float, number, numpy_dtype, on_host, operator


def _exact(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """NumPy without its warnings, and with the dtype of the first operand."""

    def compute(*values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*values)).astype(values[0].dtype, copy=False)

    return compute


def _binary(name: str, numpy: Callable, tensors: Callable) -> None:
    """An operator of two values; of integers as NumPy has it."""
    exact = _exact(numpy)

    @operator(name)
    def compute(node: Any, a: Value, b: Value) -> Value:
        if on_host(a, b) or not (fits(a) and fits(b)):
            return exact(host(a), host(b))
        return tensors(*node.tensors(a, b))


def _unary(name: str, numpy: Callable, tensors: Callable) -> None:
    exact = _exact(numpy)

    @operator(name)
    def compute(node: Any, x: Value) -> Value:
        return exact(x) if on_host(x) else tensors(x)


_binary("Add", np.add, arithmetic.add)
_binary("Sub", np.subtract, arithmetic.sub)
_binary("Mul", np.multiply, arithmetic.mul)

_unary("Abs", np.abs, elementary.abs)
_unary("Neg", np.negative, elementary.neg)
_unary("Sign", np.sign, elementary.sign)
_unary("Floor", np.floor, elementary.floor)
_unary("Ceil", np.ceil, elementary.ceil)
_unary("Round", np.round, elementary.round)
_unary("Reciprocal", np.reciprocal, elementary.reciprocal)
_unary("Sqrt", np.sqrt, elementary.sqrt)
_unary("Exp", np.exp, elementary.exp)
_unary("Log", np.log, elementary.log)
_unary("Sin", np.sin, elementary.sin)
_unary("Cos", np.cos, elementary.cos)
_unary("Tan", np.tan, angles.tan)
_unary("Asin", np.arcsin, angles.asin)
_unary("Acos", np.arccos, angles.acos)
_unary("Atan", np.arctan, angles.atan)
_unary("Sinh", np.sinh, elementary.sinh)
_unary("Cosh", np.cosh, elementary.cosh)
_unary("Asinh", np.arcsinh, elementary.asinh)
_unary("Acosh", np.arccosh, elementary.acosh)
_unary("Atanh", np.arctanh, elementary.atanh)


def _by_numpy(name: str, numpy: Callable) -> None:
    """An operator that fastdl has no function for."""
    exact = _exact(numpy)

    @operator(name)
    def compute(node: Any, *values: Value) -> Value:
        return exact(*(host(v) for v in values))


_BY_NUMPY: dict[str, Callable] = {
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "BitwiseNot": np.bitwise_not,
    "Det": np.linalg.det,
}
for _name, _function in _BY_NUMPY.items():
    _by_numpy(_name, _function)


@operator("BitShift")
def bit_shift(node: Any, a: Value, b: Value) -> Value:
    return (np.left_shift if node.get("direction") == "LEFT" else np.right_shift)(host(a), host(b))


@operator("Div")
def div(node: Any, a: Value, b: Value) -> Value:
    if is_float(a) and not on_host(a, b):
        return arithmetic.div(*node.tensors(a, b))
    if is_float(a):
        return _exact(np.divide)(a, b)
    with np.errstate(all="ignore"):
        x, y = np.broadcast_arrays(host(a), host(b))
        quotient = x // y  # towards minus infinity, ONNX: towards 0
        return np.asarray(quotient + ((quotient < 0) & (quotient * y != x))).astype(numpy_dtype(a))


@operator("Pow")
def power(node: Any, a: Value, b: Value) -> Value:
    if not is_float(a) or on_host(a, b):
        with np.errstate(all="ignore"):
            return np.asarray(np.power(host(a), host(b))).astype(numpy_dtype(a))
    x = node.tensor(a)
    if on_host(b) and b.size == 1 and b.ndim <= x.ndim:
        return arithmetic.pow(x, float(b.reshape(())))
    return arithmetic.pow(x, node.tensor(b).to(x.dtype) if fits(b) else node.tensor(b.astype(numpy_dtype(a))))


@operator("Mod")
def mod(node: Any, a: Value, b: Value) -> Value:
    if on_host(a, b) or not is_float(a):
        return _exact(np.fmod if node.get("fmod") else np.mod)(host(a), host(b))
    return (division.fmod if node.get("fmod") else division.remainder)(*node.tensors(a, b))


def _of_several(name: str, numpy: Callable, tensors: Callable) -> None:
    @operator(name)
    def compute(node: Any, *values: Value) -> Value:
        if on_host(*values) or not all(fits(v) for v in values):
            return functools.reduce(numpy, (host(v) for v in values))
        return functools.reduce(tensors, node.tensors(*values))


_of_several("Sum", np.add, arithmetic.add)
_of_several("Max", np.maximum, arithmetic.maximum)
_of_several("Min", np.minimum, arithmetic.minimum)


@operator("Mean")
def mean(node: Any, *values: Value) -> Value:
    return arithmetic.div(functools.reduce(arithmetic.add, node.tensors(*values)), float(len(values)))


@operator("Clip")
def clip(node: Any, x: Value, low: Value = None, high: Value = None) -> Value:
    if node.opset < 11:
        low, high = (None if node.get(k) is None else np.asarray(node.get(k)) for k in ("min", "max"))
    limits = [None if v is None else number(v) for v in (low, high)]
    if limits == [None, None]:
        return x
    if on_host(x):
        for limit, choose in zip(limits, (np.maximum, np.minimum), strict=True):
            x = x if limit is None else choose(x, np.asarray(limit, x.dtype))
        return x
    return comparison.clamp(x, *limits)
