"""Checks of arguments that several families share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor

Pair = tuple[int, int]
REDUCTIONS = ("none", "mean", "sum")
# Unions are made here once: as expressions in the functions they would be made anew in every call.
NUMBERS = int | float | np.number | np.bool_
INTEGERS = int | np.integer
FLAGS = int | np.bool_


_FLOATS = ("float32", "float64")
_NUMBERS = (*_FLOATS, "int32", "int64")


def fits(value: Any, dtype: str) -> bool:
    """Whether it is a Python number that an array of this dtype takes as it is; few steps for the usual ones."""
    kind = value.__class__
    return (kind is float and dtype in _FLOATS) or (kind is int and dtype in _NUMBERS and -(2**31) <= value < 2**31)


def expect_tensor(value: Any, op: str, name: str = "input") -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    return value


def expect_beside(value: Any, first: Tensor, op: str, name: str) -> Tensor:
    """A tensor on the device of the first operand."""
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    if value._backend is not first._backend:
        raise ValueError(f"[{op}] expected tensors on one device, got {first.device} and {value.device}")
    return value


def expect_number(value: Any, op: str, name: str) -> None:
    if not isinstance(value, NUMBERS):
        raise TypeError(f"[{op}] expected a number for {name}, got {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > 1023:
        raise ValueError(f"[{op}] expected {name} that float64 holds, got an int of {value.bit_length()} bits")


def expect_int(value: Any, op: str, name: str) -> int:
    if not isinstance(value, INTEGERS):
        raise TypeError(f"[{op}] expected an int for {name}, got {type(value).__name__}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"[{op}] expected {name} of 64 bits, got {value}")
    return int(value)


def flag(value: Any, op: str, name: str) -> bool:
    """An option that is on or off."""
    if not isinstance(value, FLAGS):
        raise TypeError(f"[{op}] expected a bool for {name}, got {type(value).__name__}")
    return bool(value)


def shown(value: Any) -> str:
    """What was given instead: itself where it is short, else its type."""
    return repr(value) if isinstance(value, int | float | str | tuple | list) else type(value).__name__


def expect_reduction(reduction: Any, op: str) -> None:
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"[{op}] expected reduction none, mean or sum, got {shown(reduction)}")


def expect_probability(p: Any, op: str) -> None:
    expect_number(p, op, "p")
    if not 0 <= p <= 1:
        raise ValueError(f"[{op}] expected p between 0 and 1, got {p}")


def pair(value: Any, op: str, name: str) -> Pair:
    """A size along height and width: one int for both, or two ints.

    >>> pair(3, "conv2d", "stride")
    (3, 3)
    """
    if type(value) is int:
        return value, value
    if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        if len(value) == 1:
            return value[0], value[0]
        if len(value) == 2:
            return value[0], value[1]
    raise TypeError(f"[{op}] expected an int or two for {name}, got {shown(value)}")


# ---- indices ---------------------------------------------------------------------------------------------------------

_ALL = slice(None)


def _items(index: Any, ndim: int) -> list[Any]:
    """One item an axis, and None for new ones."""
    items = list(index) if isinstance(index, tuple) else [index]
    used = dots = 0
    at = len(items)
    for i, item in enumerate(items):
        if item is Ellipsis:
            dots, at = dots + 1, i
        elif item is not None:
            used += 1
    if used > ndim:
        raise IndexError(f"[index] expected at most {ndim} indices, got {used}")
    if dots > 1:
        raise IndexError(f"[index] expected one ellipsis, got {dots}")
    items[at : at + 1] = [_ALL] * (ndim - used)
    return items


def _whole_number(item: Any, size: int, axis: int) -> int:
    if not -size <= item < size:
        raise IndexError(f"[index] expected an index in [{-size}, {size - 1}] on axis {axis}, got {item}")
    return int(item) % size


def selection(index: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """starts, lengths, steps for each axis, and the shape after integers dropped their axes and None added some."""
    if index.__class__ is int and shape:
        rest = shape[1:]
        return (_whole_number(index, shape[0], 0), *(0,) * len(rest)), (1, *rest), (1,) * len(shape), rest
    starts, lengths, steps, result, axis = [], [], [], [], 0
    for item in _items(index, len(shape)):
        if item is None:
            result.append(1)
            continue
        size = shape[axis]
        if item is _ALL:
            start, length, step = 0, size, 1
            result.append(length)
        elif item.__class__ is slice:
            start, stop, step = item.indices(size)
            if step < 1:
                raise ValueError(f"[index] expected a step of at least 1, got {step}")
            length = (stop - start + step - 1) // step if stop > start else 0
            result.append(length)
        elif isinstance(item, INTEGERS) and not isinstance(item, bool):
            start, length, step = _whole_number(item, size, axis), 1, 1
        else:
            raise NotImplementedError(
                f"[index] expected integers, slices, None or an ellipsis, got {type(item).__name__} on axis {axis}"
            )
        starts.append(start if length else 0)
        lengths.append(length)
        steps.append(step)
        axis += 1
    return tuple(starts), tuple(lengths), tuple(steps), tuple(result)
