"""Checks shared by the reference functions; the texts are those of csrc/core/error.h and of the bindings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Shape = tuple[int, ...]

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
FLOATS = ("float32", "float64")
NUMBERS = ("float32", "float64", "int32", "int64")
MAX_DIMS = 8


def quiet() -> np.errstate:
    """Overflow, division by zero and the like give infinities and NaN without a warning, as in the kernels."""
    return np.errstate(all="ignore")


def expect(condition: Any, error: type[Exception], op: str, expected: str, got: Any) -> None:
    if not condition:
        raise error(f"[{op}] expected {expected}, got {got}")


def number(value: float) -> str:
    """A floating-point number as the compiled backends print it."""
    return f"{value:g}"


def expect_array(op: str, what: str, a: Any) -> None:
    expect(isinstance(a, np.ndarray), TypeError, op, f"an array for {what}", type(a).__name__)


def expect_float(op: str, what: str, a: np.ndarray) -> None:
    expect_array(op, what, a)
    expect(a.dtype.name in FLOATS, TypeError, op, f"{what} of dtype float32 or float64", a.dtype)


def expect_same_dtype(op: str, what: str, a: np.ndarray, dtype: np.dtype) -> None:
    expect_array(op, what, a)
    expect(a.dtype == dtype, TypeError, op, f"{what} of dtype {dtype}", a.dtype)


def expect_ndim(op: str, what: str, a: np.ndarray, n: int) -> None:
    expect(a.ndim == n, ValueError, op, f"{what} with {n} dimensions", f"shape {a.shape}")


def expect_shape(op: str, what: str, a: np.ndarray, shape: Shape) -> None:
    expect(a.shape == tuple(shape), ValueError, op, f"{what} of shape {tuple(shape)}", f"shape {a.shape}")


def checked_dtype(dtype: str) -> np.dtype:
    expect(str(dtype) in DTYPES, TypeError, "dtype", "float32, float64, int32, int64, uint8 or bool", dtype)
    return np.dtype(str(dtype))


def checked_sizes(op: str, shape: Shape) -> Shape:
    """Sizes of at least 0."""
    expect(all(n >= 0 for n in shape), ValueError, op, "sizes of at least 0", shape)
    return shape


def checked_extent(op: str, shape: Shape) -> int:
    """The product of the sizes other than 0, which bounds every stride."""
    extent = math.prod(n or 1 for n in checked_sizes(op, shape))
    expect(extent < 2**63, ValueError, op, "a size below 2^63", shape)
    return extent


def new(shape: Shape, dtype: np.dtype) -> np.ndarray:
    """A new array, contents undefined."""
    held = checked_extent("empty", shape) * dtype.itemsize < 2**48
    expect(held, ValueError, "empty", "a size that memory can hold", f"shape {shape}")
    return np.empty(shape, dtype)
