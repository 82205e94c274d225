"""Comparison with a tolerance in epsilons of the dtype.

A float32 result has an error that grows with the numbers that went into it, not with the one number that came out: a
sum of large terms may nearly cancel. So the tolerance is relative to the magnitude of the whole result,

    |actual - expected| <= epsilons * eps(dtype) * max(|expected|, over all finite elements, or 1 if all are 0)

where eps is 2^-23 for float32 and 2^-52 for float64. NaN must meet NaN, and infinities the same infinity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


def host(value: Any) -> np.ndarray:
    """A tensor, array or number as a NumPy array."""
    if isinstance(value, Tensor):
        return value.detach()._host()
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def error_in_epsilons(actual: Any, expected: Any, magnitude: float | None = None) -> float:
    """Largest difference of finite elements, in epsilons of actual's dtype relative to the magnitude of `expected`.

    >>> error_in_epsilons(np.float32([1 + 2**-23]), np.float64([1.0]))
    1.0
    """
    a, e = host(actual), host(expected).astype(np.float64)
    finite = np.isfinite(e) & np.isfinite(a)
    if not finite.any():
        return 0.0
    scale = magnitude if magnitude is not None else float(np.abs(e[finite]).max())
    difference = np.abs(a[finite].astype(np.float64) - e[finite]).max()
    return float(difference / (np.finfo(a.dtype).eps * (scale or 1.0)))


def assert_close(
    actual: Any, expected: Any, epsilons: float = 16, magnitude: float | None = None, what: str = "result"
) -> None:
    """Raises AssertionError unless shapes agree and values do within `epsilons` (see the head of this module).

    The dtype is that of `actual`; `expected` may have more precision. Integers and bools must be equal. `magnitude`
    replaces the largest expected element, where the test knows how large the summands were.

    >>> assert_close(np.float32([1.0, 2.0]), np.float64([1.0, 2.0]))
    """
    a, e = host(actual), host(expected)
    if a.shape != e.shape:
        raise AssertionError(f"{what}: expected shape {e.shape}, got {a.shape}")
    if a.dtype.kind != "f":
        wrong = np.flatnonzero(a != e)
        if wrong.size:
            i = wrong[0]
            raise AssertionError(
                f"{what}: {wrong.size} of {a.size} differ; element {i} is {a.flat[i]}, not {e.flat[i]}"
            )
        return
    special = ~np.isfinite(a) | ~np.isfinite(e)
    agree = (np.isnan(a) & np.isnan(e)) | (a == e)
    if (special & ~agree).any():
        i = np.flatnonzero(special & ~agree)[0]
        raise AssertionError(f"{what}: element {i} is {a.flat[i]}, not {e.flat[i]}")
    error = error_in_epsilons(a, e, magnitude)
    if error > epsilons:
        with np.errstate(invalid="ignore"):
            difference = np.where(special, 0.0, np.abs(a.astype(np.float64) - e.astype(np.float64)))
        at = np.unravel_index(int(difference.argmax()), a.shape)
        place = tuple(int(i) for i in at)
        raise AssertionError(
            f"{what}: {error:.1f} epsilons of {a.dtype} from the expected value, more than {epsilons}; "
            f"element {place} is {a[at]!r}, not {e[at]!r}"
        )
