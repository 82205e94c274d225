"""Small tools for vectors and matrices: joining and parting, sums with products, pairs, most frequent values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..creation import tensor
from ..tensor import Tensor
from .arguments import expect_int, expect_tensor
from .arithmetic import add, mul
from .diagonals import diag_embed
from .indexing import gather
from .layout import cat, index, reshape, tensors_of, unsqueeze
from .product import mv, outer
from .reduction import ValuesIndices, normalized_axis
from .shaping import tensor_split


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat @ vec (`torch.addmv`)."""
    return add(mul(input, beta), mul(mv(mat, vec), alpha))


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * the outer product of two vectors (`torch.addr`)."""
    return add(mul(input, beta), mul(outer(vec1, vec2), alpha))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """All elements as the diagonal of a matrix (`torch.diagflat`)."""
    return diag_embed(reshape(expect_tensor(input, "diagflat"), -1), offset)


def atleast_3d(input: Tensor) -> Tensor:
    """With at least three axes: (n,) becomes (1, n, 1), (n, m) becomes (n, m, 1) (`torch.atleast_3d`)."""
    x = expect_tensor(input, "atleast_3d")
    return x if x.ndim >= 3 else reshape(x, ((1, 1, 1), (1, *x.shape, 1), (*x.shape, 1))[x.ndim])


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Behind one another: along the third axis (`torch.dstack`)."""
    return cat([atleast_3d(t) for t in tensors_of(tensors, "dstack")], 2)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the second axis, of vectors along their only one (`torch.hsplit`)."""
    x = _whole_parts(input, indices_or_sections, "hsplit", 1)
    return tensor_split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def _whole_parts(input: Any, sections: Any, op: str, least: int) -> Tensor:
    """A tensor of enough axes that a number of parts divides evenly, unlike for `tensor_split`."""
    x = expect_tensor(input, op)
    if x.ndim < least:
        raise ValueError(f"[{op}] expected at least {least} axes, got shape {x.shape}")
    if not isinstance(sections, tuple | list):
        size = x.shape[1 if op == "hsplit" and x.ndim > 1 else 0]
        if expect_int(sections, op, "sections") < 1 or size % sections:
            raise ValueError(f"[{op}] expected sections that divide {size}, got {sections}")
    return x


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the first axis (`torch.vsplit`)."""
    return tensor_split(_whole_parts(input, indices_or_sections, "vsplit", 2), indices_or_sections, 0)


def _vector(value: Any, op: str) -> Tensor:
    x = expect_tensor(value, op)
    if x.ndim != 1:
        raise ValueError(f"[{op}] expected a vector, got shape {x.shape}")
    return x


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, one a row (`torch.combinations`).

    >>> import fastdl
    >>> fastdl.combinations(fastdl.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    x = _vector(input, "combinations")
    if expect_int(r, "combinations", "r") < 0:
        raise ValueError(f"[combinations] expected r of at least 0, got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(len(x)), r)), np.int64).reshape(-1, r)
    return index_rows(x, places)


def index_rows(x: Tensor, places: np.ndarray) -> Tensor:
    """The lines of x at an array of places."""
    return x[tensor(places, device=x.device)]


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element of a vector, N of them, the highest first (`torch.vander`).

    >>> import fastdl
    >>> fastdl.vander(fastdl.tensor([2, 3])).tolist()
    [[2, 1], [3, 1]]
    """
    x = _vector(x, "vander")
    count = len(x) if N is None else expect_int(N, "vander", "N")
    if count < 1:
        raise ValueError(f"[vander] expected N of at least 1, got {count}")
    powers = [x**i for i in (range(count) if increasing else range(count - 1, -1, -1))]
    return cat([unsqueeze(p, -1) for p in powers], -1)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to; an int is a shape of one axis (`torch.broadcast_shapes`)."""
    try:
        return np.broadcast_shapes(*shapes)
    except (ValueError, TypeError):
        raise ValueError(f"[broadcast_shapes] expected shapes that broadcast, got {shapes}") from None


def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Coordinates, one tensor an axis, of places in the flattened array (`torch.unravel_index`).

    >>> import fastdl
    >>> [int(i) for i in fastdl.unravel_index(fastdl.tensor(5), (2, 3))]
    [1, 2]
    """
    places = expect_tensor(indices, "unravel_index")
    size = math.prod(shape)
    host = places._host()
    if host.size and not (host.min() >= 0 and host.max() < size):
        raise ValueError(f"[unravel_index] expected indices in [0, {size}), got {host.min()} to {host.max()}")
    return tuple(tensor(np.asarray(a, np.int64), device=places.device) for a in np.unravel_index(host, tuple(shape)))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent value of each line, of equally frequent ones the smallest, and its last place (`torch.mode`).

    >>> import fastdl
    >>> fastdl.mode(fastdl.tensor([1, 2, 2, 3])).values.item()
    2
    """
    x = expect_tensor(input, "mode")
    axis = normalized_axis(dim, x.ndim, "mode")

    def last_of_most(line: np.ndarray) -> int:
        values, counts = np.unique(line, return_counts=True)
        return int(np.flatnonzero(line == values[counts.argmax()])[-1])

    lines = np.atleast_1d(x._host())
    if lines.size == 0 and lines.shape[axis]:
        places = np.zeros(np.delete(lines.shape, axis))
    else:
        places = np.apply_along_axis(last_of_most, axis, lines)
    found = unsqueeze(tensor(places.astype(np.int64), device=x.device), axis)
    values = gather(reshape(x, found.shape) if x.ndim == 0 else x, axis, found)
    if keepdim and x.ndim:
        return ValuesIndices(values, found)
    drop = (*[slice(None)] * axis, 0)
    return ValuesIndices(index(values, drop), index(found, drop))


def histogram(
    input: Tensor, bins: int, *, range: tuple[float, float] | None = None, density: bool = False
) -> tuple[Tensor, Tensor]:
    """Counts of the elements in `bins` equal parts of `range` (by default least to largest), and the edges of the parts
    (`torch.histogram`).

    >>> import fastdl
    >>> fastdl.histogram(fastdl.tensor([1.0, 2.0, 1.0]), 2)[0].tolist()
    [2.0, 1.0]
    """
    x = expect_tensor(input, "histogram").detach()
    if expect_int(bins, "histogram", "bins") < 1:
        raise ValueError(f"[histogram] expected bins of at least 1, got {bins}")
    counts, edges = np.histogram(x._host(), bins, range, density=density)
    return tuple(tensor(v.astype(x.dtype.numpy), device=x.device) for v in (counts, edges))  # type: ignore[return-value]
