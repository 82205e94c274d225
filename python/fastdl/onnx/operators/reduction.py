"""Reductions over axes, and where the extremes are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...functional import arithmetic, cumulative, elementary, rearranging, reduction, sorting, statistics
from ...tensor import Tensor
from .registry import Value, axis_of, fits, host, ints, is_float, number, numpy_dtype, on_host, operator

Axes = tuple[int, ...]


def _axes(node: Any, x: Value, given: Value) -> Axes | None:
    """The axes to reduce; None: nothing is reduced. An attribute until opset 18 (of ReduceSum until 13)."""
    named = node.get("axes") if given is None else ints(given)
    if named:
        return tuple(sorted(axis_of(a, x.ndim) for a in named))
    return None if node.get("noop_with_empty_axes", 0) else tuple(range(x.ndim))


def _prod(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = statistics.prod(x, axis, keep)
    return x


def _l2(x: Tensor, axes: Axes, keep: bool) -> Tensor:
    return elementary.sqrt(reduction.sum(elementary.square(x), axes, keep))


_REDUCTIONS: dict[str, tuple[Callable, Callable, Any]] = {  # tensors, NumPy, result of nothing
    "ReduceSum": (reduction.sum, np.sum, 0),
    "ReduceMean": (reduction.mean, np.mean, np.nan),
    "ReduceMax": (reduction.amax, np.max, -np.inf),
    "ReduceMin": (reduction.amin, np.min, np.inf),
    "ReduceProd": (_prod, np.prod, 1),
    "ReduceL1": (lambda x, a, k: reduction.sum(elementary.abs(x), a, k),
                 lambda x, axis, keepdims: np.sum(np.abs(x), axis=axis, keepdims=keepdims), 0),
    "ReduceL2": (_l2, lambda x, axis, keepdims: np.sqrt(np.sum(np.square(x, dtype=float), axis, keepdims=keepdims)), 0),
    "ReduceSumSquare": (lambda x, a, k: reduction.sum(elementary.square(x), a, k),
                        lambda x, axis, keepdims: np.sum(np.square(x), axis=axis, keepdims=keepdims), 0),
    "ReduceLogSum": (lambda x, a, k: elementary.log(reduction.sum(x, a, k)),
                     lambda x, axis, keepdims: np.log(np.sum(x, axis=axis, keepdims=keepdims)), -np.inf),
    "ReduceLogSumExp": (statistics.logsumexp,
                        lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)), -np.inf),
}  # fmt: skip
_OF_NO_AXES: dict[str, Callable] = {
    "ReduceL1": elementary.abs, "ReduceL2": elementary.abs, "ReduceSumSquare": elementary.square,
    "ReduceLogSum": elementary.log,
}  # fmt: skip


def _reduce(name: str, tensors: Callable, numpy: Callable, of_nothing: Any) -> None:
    @operator(name)
    def compute(node: Any, x: Value, given: Value = None) -> Value:
        axes, keep = _axes(node, x, given), bool(node.get("keepdims", 1))
        if axes is None or not x.shape:
            return _OF_NO_AXES.get(name, lambda x: x)(node.tensor(x))
        if 0 in x.shape:
            return _of_nothing(x, axes, keep, of_nothing)
        if not is_float(x) or on_host(x):
            return np.asarray(numpy(host(x), axis=axes, keepdims=keep)).astype(numpy_dtype(x))
        return tensors(node.tensor(x), axes, keep)


def _of_nothing(x: Value, axes: Axes, keep: bool, value: Any) -> np.ndarray:
    kind = numpy_dtype(x)
    if kind.kind != "f" and np.isinf(value):
        value = not value < 0 if kind.kind == "b" else (np.iinfo(kind).min if value < 0 else np.iinfo(kind).max)
    sizes = [1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes]
    return np.full(sizes, value, kind)


for _name, _entry in _REDUCTIONS.items():
    _reduce(_name, *_entry)


# ---- places ----------------------------------------------------------------------------------------------------------


def _extreme(name: str, find: Callable) -> None:
    @operator(name)
    def compute(node: Any, x: Value) -> Value:
        t = node.tensor(x)
        axis, keep = axis_of(node.get("axis", 0), t.ndim), bool(node.get("keepdims", 1))
        if not node.get("select_last_index", 0):
            return find(t, axis, keep)
        return arithmetic.sub(t.shape[axis] - 1, find(rearranging.flip(t, axis), axis, keep))


_extreme("ArgMax", reduction.argmax)
_extreme("ArgMin", reduction.argmin)


@operator("TopK")
def top_k(node: Any, x: Value, k: Value = None) -> Any:
    """Before opset 10 the number is an attribute."""
    k = np.asarray(node.get("k")) if k is None else k
    count, axis, largest = int(number(k)), axis_of(node.get("axis", -1), x.ndim), bool(node.get("largest", 1))
    if fits(x):
        return tuple(sorting.topk(node.tensor(x), count, axis, largest))
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    places = np.take(np.argsort(-ranks if largest else ranks, axis, kind="stable"), np.arange(count), axis)
    return np.take_along_axis(x, places, axis), places


@operator("CumSum")
def cum_sum(node: Any, x: Value, axis: Value) -> Value:
    t, along = node.tensor(x), axis_of(int(number(axis)), x.ndim)
    backwards = bool(node.get("reverse", 0))
    t = rearranging.flip(t, along) if backwards else t
    sums = cumulative.cumsum(t, along).to(t.dtype)
    sums = arithmetic.sub(sums, t) if node.get("exclusive", 0) else sums
    return rearranging.flip(sums, along) if backwards else sums
