"""Comparisons, logic, choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...functional import comparison, logical
from .registry import Value, fits, host, on_host, operator


def _compared(name: str, numpy: Callable, tensors: Callable) -> None:
    @operator(name)
    def compute(node: Any, *values: Value) -> Value:
        if on_host(*values) or not all(fits(v) for v in values):
            return np.asarray(numpy(*(host(v) for v in values)))
        return tensors(*node.tensors(*values))


_compared("Equal", np.equal, comparison.eq)
_compared("Less", np.less, comparison.lt)
_compared("LessOrEqual", np.less_equal, comparison.le)
_compared("Greater", np.greater, comparison.gt)
_compared("GreaterOrEqual", np.greater_equal, comparison.ge)
_compared("And", np.logical_and, logical.logical_and)
_compared("Or", np.logical_or, logical.logical_or)
_compared("Xor", np.logical_xor, logical.logical_xor)
_compared("Not", np.logical_not, logical.logical_not)
_compared("IsNaN", np.isnan, logical.isnan)


@operator("IsInf")
def is_inf(node: Any, x: Value) -> Value:
    t = node.tensor(x)
    high, low = comparison.eq(t, float("inf")), comparison.eq(t, float("-inf"))
    if not node.get("detect_negative", 1):
        return high if node.get("detect_positive", 1) else logical.logical_and(high, low)
    return logical.logical_or(high, low) if node.get("detect_positive", 1) else low


@operator("Where")
def where(node: Any, condition: Value, a: Value, b: Value) -> Value:
    if on_host(condition, a, b) or not (fits(a) and fits(b)):
        return np.where(host(condition), host(a), host(b))
    return comparison.where(*node.tensors(condition, a, b))
