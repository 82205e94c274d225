"""Elements chosen by indices; negative ones count from the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functional import indexing, layout
from ...tensor import Tensor
from .registry import Value, axis_of, fits, host, operator


def from_start(indices: Value, size: int) -> np.ndarray:
    """Indices from 0 on, checked."""
    found = host(indices)
    if found.size and not (-size <= found.min() and found.max() < size):
        raise IndexError(f"expected indices in [{-size}, {size - 1}], got {found.min()} to {found.max()}")
    return np.where(found < 0, found + size, found).astype(np.int64)


def chosen(node: Any, x: Value, places: np.ndarray, axis: int) -> Value:
    """The lines along an axis at places (1-D)."""
    if not isinstance(x, Tensor):
        return np.take(x, places, axis)
    return indexing.index_select(x, axis, node.tensor(np.ascontiguousarray(places)))


@operator("Gather")
def gather(node: Any, x: Value, indices: Value) -> Value:
    axis = axis_of(node.get("axis", 0), x.ndim)
    if isinstance(indices, Tensor) and isinstance(x, np.ndarray) and fits(x):
        x = node.tensor(x)
    places = node.prepared("places", [indices], lambda i: from_start(i, x.shape[axis]))
    lines = chosen(node, x, places.reshape(-1), axis)
    sizes = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    return layout.reshape(lines, sizes) if isinstance(x, Tensor) else lines.reshape(sizes)


@operator("GatherElements")
def gather_elements(node: Any, x: Value, indices: Value) -> Value:
    axis = axis_of(node.get("axis", 0), x.ndim)
    places = from_start(indices, x.shape[axis])
    if not fits(x):
        return np.take_along_axis(host(x), places, axis)
    return indexing.gather(node.tensor(x), axis, node.tensor(places))


def _flat_places(shape: tuple[int, ...], indices: np.ndarray, batch: int) -> np.ndarray:
    """Rows of indices behind `batch` leading axes as places of lines: in the order of the first axes of `shape`."""
    depth = indices.shape[-1]
    if batch + depth > len(shape):
        raise ValueError(f"expected at most {len(shape) - batch} numbers an index, got {depth}")
    places = np.zeros(indices.shape[:-1], np.int64)
    for i in range(batch):
        sizes = [1] * places.ndim
        sizes[i] = shape[i]
        places = places * shape[i] + np.arange(shape[i]).reshape(sizes)
    for i in range(depth):
        places = places * shape[batch + i] + from_start(indices[..., i], shape[batch + i])
    return places


def _as_lines(x: Value, axes: int) -> Value:
    sizes = (math.prod(x.shape[:axes]), math.prod(x.shape[axes:]))
    return layout.reshape(x, sizes) if isinstance(x, Tensor) else x.reshape(sizes)


@operator("GatherND")
def gather_nd(node: Any, x: Value, indices: Value) -> Value:
    rows, batch = host(indices), node.get("batch_dims", 0)
    places = _flat_places(x.shape, rows, batch)
    axes = batch + rows.shape[-1]
    lines = chosen(node, _as_lines(x, axes), places.reshape(-1), 0)
    sizes = (*places.shape, *x.shape[axes:])
    return layout.reshape(lines, sizes) if isinstance(x, Tensor) else lines.reshape(sizes)


_REDUCED = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scattered(node: Any, x: Tensor, axis: int, places: np.ndarray, updates: Tensor) -> Tensor:
    index, how = node.tensor(places), node.get("reduction", "none")
    if how == "none":
        return indexing.scatter(x, axis, index, updates)
    if how == "add":
        return indexing.scatter_add(x, axis, index, updates)
    if how not in _REDUCED:
        raise ValueError(f"expected reduction none, add, mul, max or min, got {how!r}")
    out = host(x).copy()
    at: list[np.ndarray] = list(np.indices(places.shape, sparse=True))
    at[axis] = places
    _REDUCED[how].at(out, tuple(at), host(updates))
    return node.tensor(out)


@operator("ScatterElements", "Scatter")
def scatter_elements(node: Any, x: Value, indices: Value, updates: Value) -> Value:
    t, source = node.tensors(x, updates)
    axis = axis_of(node.get("axis", 0), t.ndim)
    return _scattered(node, t, axis, from_start(indices, t.shape[axis]), source)


@operator("ScatterND")
def scatter_nd(node: Any, x: Value, indices: Value, updates: Value) -> Value:
    t, source = node.tensors(x, updates)
    rows = host(indices)
    places = _flat_places(t.shape, rows, 0).reshape(-1)
    lines = _as_lines(t, rows.shape[-1])
    width = lines.shape[1]
    spread = np.ascontiguousarray(np.broadcast_to(places[:, None], (places.size, width)))
    out = _scattered(node, lines, 0, spread, layout.reshape(source, (places.size, width)))
    return layout.reshape(out, t.shape)


@operator("Compress")
def compress(node: Any, x: Value, condition: Value) -> Value:
    axis = node.get("axis")
    if axis is None:
        x, axis = (layout.reshape(x, -1) if isinstance(x, Tensor) else x.reshape(-1)), 0
    return chosen(node, x, np.flatnonzero(host(condition)), axis_of(axis, x.ndim))


@operator("NonZero")
def non_zero(node: Any, x: Value) -> Value:
    return np.ascontiguousarray(np.asarray(np.nonzero(np.atleast_1d(host(x))), np.int64))


@operator("Unique")
def unique(node: Any, x: Value) -> Any:
    array, axis = host(x), node.get("axis")
    found, first, inverse, counts = np.unique(array, True, True, True, axis)
    inverse = inverse.reshape(-1)
    if not node.get("sorted", 1):
        order = np.argsort(first, kind="stable")
        found, first, counts = np.take(found, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return found, first, inverse, counts


@operator("ReverseSequence")
def reverse_sequence(node: Any, x: Value, lengths: Value) -> Value:
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    t = node.tensor(x)
    moved = t if (time, batch) == (0, 1) else layout.permute(t, (1, 0, *range(2, t.ndim)))
    out = reversed_steps(node, moved, host(lengths))
    return out if (time, batch) == (0, 1) else layout.permute(out, (1, 0, *range(2, t.ndim)))


def reversed_steps(node: Any, x: Tensor, lengths: np.ndarray) -> Tensor:
    """x (T, N, *) with the first lengths[n] steps of each sequence backwards."""
    steps = np.arange(x.shape[0])[:, None]
    if lengths.shape != x.shape[1:2] or lengths.min(initial=0) < 0 or lengths.max(initial=0) > x.shape[0]:
        raise ValueError(f"expected {x.shape[1]} lengths of at most {x.shape[0]}, got {lengths.tolist()}")
    places = np.where(steps < lengths, lengths - 1 - steps, steps) * x.shape[1] + np.arange(x.shape[1])
    rows = layout.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
    return layout.reshape(chosen(node, rows, places.reshape(-1), 0), x.shape)
