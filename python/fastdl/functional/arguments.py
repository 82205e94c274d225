"""Checks of arguments that several families share."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

Pair = tuple[int, int]
REDUCTIONS = ("none", "mean", "sum")


def expect_tensor(value: Any, op: str, name: str = "input") -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    return value


def expect_beside(value: Any, first: Tensor, op: str, name: str) -> Tensor:
    """A tensor on the device of the first operand."""
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    if value._backend is not first._backend:
        raise ValueError(f"[{op}] expected {name} on {first.device}, got {value.device}")
    return value


def expect_reduction(reduction: Any, op: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"[{op}] expected reduction none, mean or sum, got {reduction!r}")


def expect_probability(p: Any, op: str) -> None:
    if not isinstance(p, int | float):
        raise TypeError(f"[{op}] expected a number for p, got {type(p).__name__}")
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
    raise TypeError(f"[{op}] expected an int or two for {name}, got {value!r}")
