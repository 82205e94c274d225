"""Resampling along an axis as a product with a matrix: the weights of the input's elements in each of the output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..creation import tensor
from ..tensor import Tensor
from .indexing import index_select
from .layout import reshape, t
from .product import matmul


class Filter(NamedTuple):
    """What an element counts at a distance from the place where the output is taken, and up to which distance."""

    weight: Callable[[np.ndarray], np.ndarray]
    reach: int


TRIANGLE = Filter(lambda distance: np.maximum(1 - np.abs(distance), 0), 1)


def cubic(a: float) -> Filter:
    """The cubic convolution of Keys (1981), of slope `a` at distance 1."""

    def weight(distance: np.ndarray) -> np.ndarray:
        d = np.abs(distance)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return Filter(weight, 2)


def filter_matrix(
    places: np.ndarray, size: int, filter: Filter, shrink: float = 1.0, inside: bool = False, normalize: bool = False
) -> np.ndarray:
    """(len(places), size): the weights of `size` elements in outputs taken at `places` among them.

    `shrink` below 1 widens the filter by its inverse. Elements beyond the ends repeat the last one, or with `inside`
    count nothing; with `normalize` the weights of an output add up to 1.
    """
    reach = filter.reach / shrink
    taps = np.floor(places - reach).astype(np.int64)[:, None] + np.arange(2 * math.ceil(reach) + 2)
    weights = filter.weight((taps - places[:, None]) * shrink)
    if inside:
        weights = weights * ((taps >= 0) & (taps < size))
    if normalize:
        weights = weights / weights.sum(1, keepdims=True)
    matrix = np.zeros((len(places), size))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(taps, 0, size - 1)), weights)
    return matrix


def multiply_axis(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """`x` with `matrix` (target, size) applied to each of its lines along `axis`."""
    if axis == x.ndim - 1:
        return matmul(x, t(matrix))
    around = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    return reshape(matmul(matrix, reshape(x, around)), (*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :]))


def _step(size: int, target: int, scale: float, aligned: bool) -> float:
    """The way from an output element to the next, in elements of the input."""
    if aligned:
        return (size - 1) / (target - 1) if target > 1 else 0.0
    return 1 / scale if scale > 0 else size / target


def filtered(x: Tensor, axis: int, target: int, scale: float, mode: str, aligned: bool, antialias: bool) -> Tensor:
    """`x` at `target` elements along `axis` by PyTorch's rules: 'bicubic', or anything with `antialias`."""
    size = x.shape[axis]
    step, outputs = _step(size, target, scale, aligned), np.arange(target)
    if antialias:
        filter = cubic(-0.5) if mode == "bicubic" else TRIANGLE
        matrix = filter_matrix((outputs + 0.5) * step - 0.5, size, filter, 1 / max(step, 1.0), True, True)
    else:
        places = outputs * step if aligned else (outputs + 0.5) * step - 0.5
        matrix = filter_matrix(places, size, cubic(-0.75))
    return multiply_axis(x, tensor(matrix, x.dtype, x.device), axis)


def nearest_exact(x: Tensor, axis: int, target: int, scale: float) -> Tensor:
    """The element over which the middle of each output element lies."""
    size, single = x.shape[axis], np.float32  # in single precision, as PyTorch: another rounding, another neighbour
    places = np.floor((np.arange(target, dtype=single) + single(0.5)) * single(_step(size, target, scale, False)))
    return index_select(x, axis, tensor(np.minimum(places.astype(np.int64), size - 1), device=x.device))
