"""Arguments as the compiled backends take them: what pybind11 and csrc/bind/array_type.cc convert, nothing else.

The reference functions then see the same values as the kernels: axes of `True` are 1, no size has more than 64 bits.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import DTYPES, MAX_DIMS, expect

_INT64 = range(-(2**63), 2**63)


def _array(op: str, what: str, value: Any) -> np.ndarray:
    expect(isinstance(value, np.ndarray), TypeError, op, f"an array for {what}", type(value).__name__)
    return value


def _source(op: str, what: str, value: Any) -> np.ndarray:
    return _array(op, what, np.asarray(value) if isinstance(value, np.generic) else value)


def _arrays(op: str, what: str, value: Any) -> list[np.ndarray]:
    expect(isinstance(value, list | tuple), TypeError, op, f"a list of arrays for {what}", type(value).__name__)
    return [_array(op, what, a) for a in value]


def _integer(op: str, what: str, value: Any) -> int:
    integral = hasattr(value, "__index__") and not isinstance(value, np.ndarray)
    expect(integral, TypeError, op, f"an int for {what}", type(value).__name__)
    return operator.index(value)


def _int64(op: str, what: str, value: Any) -> int:
    value = _integer(op, what, value)
    expect(value in _INT64, TypeError, op, f"an int of 64 bits for {what}", value)
    return value


def _float(op: str, what: str, value: Any) -> float:
    expect(isinstance(value, numbers.Real | np.bool_), TypeError, op, f"a number for {what}", type(value).__name__)
    try:
        return float(value)
    except OverflowError:
        raise TypeError(f"[{op}] expected a float for {what}, got {value}") from None


def _bool(op: str, what: str, value: Any) -> bool:
    logical = value is None or hasattr(value, "__bool__")
    expect(logical, TypeError, op, f"a bool for {what}", type(value).__name__)
    return bool(value)


def _str(op: str, what: str, value: Any) -> str:
    expect(isinstance(value, str), TypeError, op, f"a str for {what}", type(value).__name__)
    if what == "dtype":
        expect(value in DTYPES, TypeError, "dtype", "float32, float64, int32, int64, uint8 or bool", value)
    return value


def _shape(op: str, what: str, value: Any) -> tuple[int, ...]:
    expect(isinstance(value, list | tuple), TypeError, op, f"a tuple of int for {what}", type(value).__name__)
    expect(len(value) <= MAX_DIMS, ValueError, "shape", f"at most {MAX_DIMS} dimensions", len(value))
    sizes = tuple(_integer(op, what, v) for v in value)
    for size in sizes:
        expect(size in _INT64, ValueError, "shape", "sizes below 2^63", size)
    return sizes


def _unchanged(op: str, what: str, value: Any) -> Any:
    return value


def _array_or_none(op: str, what: str, value: Any) -> np.ndarray | None:
    return None if value is None else _array(op, what, value)


_BY_ANNOTATION: dict[str, Callable[[str, str, Any], Any]] = {
    "Array": _array,
    "np.ndarray": _source,
    "Array | None": _array_or_none,
    "Sequence[Array]": _arrays,
    "int": _int64,
    "Bits": _integer,
    "float": _float,
    "bool": _bool,
    "str": _str,
    "Shape": _shape,
    "Pair": _shape,
}


def converted(function: Callable) -> Callable:
    """The function behind conversions that its annotations name; other annotations leave their argument alone.

    >>> import numpy as np
    >>> from fastdl.backends import reference
    >>> reference.softmax(np.zeros(2), 0.5)
    Traceback (most recent call last):
    TypeError: [softmax] expected an int for axis, got float
    """
    op = function.__name__
    parameters = inspect.signature(function).parameters.values()
    plan = [(p.name, _BY_ANNOTATION.get(str(p.annotation), _unchanged)) for p in parameters]

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        if len(args) != len(plan):
            raise TypeError(f"[{op}] expected {len(plan)} arguments, got {len(args)}")
        return function(*(convert(op, name, a) for (name, convert), a in zip(plan, args, strict=True)))

    return call
