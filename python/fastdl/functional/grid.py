"""Images read at places of one's own: grids of coordinates from affine maps, and interpolation at them.

Made of other functions: the elements around each place are rows of the channels-last image, a bag of an
`embedding_bag` with their shares as weights, so that forward and backward are deterministic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..creation import linspace, tensor
from ..tensor import Tensor
from .arguments import expect_beside, expect_tensor, flag
from .arithmetic import add, mul
from .comparison import clamp, where
from .division import fmod
from .elementary import abs, floor, round
from .embedding import embedding_bag
from .indexing import select
from .layout import permute, reshape, stack
from .logical import isnan, logical_and
from .shaping import unbind

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
CUBIC = -0.75


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places that maps theta (N, 2, 3) or (N, 3, 4) send the elements of an output of `size` (N, C, H, W) or
    (N, C, D, H, W) to: a grid (N, H, W, 2) or (N, D, H, W, 3) for `grid_sample`, x first
    (`torch.nn.functional.affine_grid`).

    Coordinates go from -1 to 1, with `align_corners` from the middle of the first element to that of the last, else
    from edge to edge (the default, as in PyTorch).

    Raises:
        TypeError: for a theta that is no Tensor of float32 or float64.
        ValueError: for another shape of theta or size.

    >>> import fastdl
    >>> theta = fastdl.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(theta, (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    op = "affine_grid"
    t = _floats(theta, op, "theta")
    planes = tuple(int(n) for n in size[2:])
    axes = len(planes)
    if axes not in (2, 3) or min(size) < 1:
        raise ValueError(f"[{op}] expected size of four or five numbers of at least 1, got {tuple(size)}")
    if t.shape != (size[0], axes, axes + 1):
        raise ValueError(f"[{op}] expected theta of shape {(size[0], axes, axes + 1)}, got shape {t.shape}")
    aligned = flag(align_corners or False, op, "align_corners")
    # Each coordinate is a sum over the axes: those of all but the last are added up where they are few.
    *columns, grid = unbind(t, 2)
    kept = (size[0], *[1] * axes, axes)
    grid = reshape(grid, kept)
    for i, n in enumerate(planes):
        end = (1.0 if aligned else (n - 1) / n) if n > 1 else 0.0
        places = linspace(-end, end, n, dtype=t.dtype, device=t.device)
        grid = add(grid, mul(reshape(places, (n, *[1] * (axes - i))), reshape(columns[axes - 1 - i], kept)))
    return grid


def _floats(value: Any, op: str, name: str) -> Tensor:
    x = expect_tensor(value, op, name)
    if not x.dtype.is_floating_point:
        raise TypeError(f"[{op}] expected {name} of dtype float32 or float64, got {x.dtype.name}")
    return x


def _reflected(x: Any, size: int, aligned: bool) -> Any:
    """Coordinates mirrored at the first and last element, or at their outer edges, until they lie between them."""
    low, span = (0.0, size - 1.0) if aligned else (-0.5, float(size))
    if span == 0:
        return x * 0.0
    away = abs(x - low)
    rest: Any = fmod(away, span)
    even = floor(away / span) % 2 == 0
    return where(even, rest + low, span - rest + low)


def _padded(x: Any, size: int, padding: str, aligned: bool) -> Any:
    """Coordinates with those outside where the padding has them. Those beyond a few elements mean the same as these."""
    if padding == "zeros":
        return clamp(x, -3.0, size + 2.0)
    if padding == "reflection":
        x = _reflected(x, size, aligned)
    return clamp(x, 0.0, size - 1.0)


def _cubic(t: Any) -> list[Any]:
    """Weights of the elements at -1, 0, 1 and 2 (R. Keys, 1981)."""
    a = CUBIC

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps(x: Any, size: int, mode: str, padding: str, aligned: bool) -> list[tuple[Any, Any, Any]]:
    """For each element that counts along an axis: its index, whether it lies inside, and its weight (None: 1)."""
    if mode != "bicubic":
        x = _padded(x, size, padding, aligned)
    if mode == "nearest":
        taps = [(round(x.detach()), None)]
    else:
        first = floor(x.detach())
        t = x - first
        shares = [1 - t, t] if mode == "bilinear" else _cubic(t)
        taps = [(first + i - (mode == "bicubic"), share) for i, share in enumerate(shares)]
    found = []
    for place, share in taps:
        place = _padded(place, size, padding, aligned) if mode == "bicubic" else place
        inside = None if padding != "zeros" else logical_and(place >= 0, place <= size - 1)
        found.append((clamp(place, 0.0, size - 1.0), inside, share))
    return found


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Images at the places that a grid names (`torch.nn.functional.grid_sample`; M. Jaderberg et al., "Spatial
    Transformer Networks", NeurIPS 2015).

    Shapes: input (N, C, H, W) and grid (N, H', W', 2), output (N, C, H', W'); or input (N, C, D, H, W) and grid
    (N, D', H', W', 3). The grid's last axis is x first, from -1 to 1 over the image: with `align_corners` from the
    middle of the first element to that of the last, else from edge to edge (the default, as in PyTorch). Modes:
    'bilinear', 'nearest' (halves to even), 'bicubic' (images only). Outside, `padding_mode` has 0 ('zeros'), the
    nearest element ('border'), or the image mirrored ('reflection'). NaN lies outside, and counts as -1 where that is
    not 0.

    Raises:
        TypeError: for tensors that are not float32 or float64, or of two dtypes.
        ValueError: for other shapes, modes or paddings, or images without elements.

    >>> import fastdl
    >>> x = fastdl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> grid_sample(x, fastdl.tensor([[[[0.0, 0.0], [0.5, -0.5]]]])).tolist()
    [[[[2.5, 2.0]]]]
    """
    op = "grid_sample"
    x, g = _floats(input, op, "input"), _floats(grid, op, "grid")
    expect_beside(g, x, op, "grid")
    if g.dtype is not x.dtype:
        raise TypeError(f"[{op}] expected grid of dtype {x.dtype.name}, got {g.dtype.name}")
    axes = x.ndim - 2
    if axes not in (2, 3) or g.ndim != x.ndim or g.shape[0] != x.shape[0] or g.shape[-1] != axes:
        raise ValueError(f"[{op}] expected (N, C, H, W) with (N, H', W', 2), or volumes, got {x.shape}, {g.shape}")
    if mode not in _MODES[: 5 - axes]:
        raise ValueError(f"[{op}] expected mode {', '.join(_MODES[: 5 - axes])} for {x.ndim} axes, got {mode!r}")
    if padding_mode not in _PADDINGS:
        raise ValueError(f"[{op}] expected padding_mode {', '.join(_PADDINGS)}, got {padding_mode!r}")
    planes = x.shape[2:]
    if min(planes) < 1:
        raise ValueError(f"[{op}] expected images with elements, got shape {x.shape}")
    aligned = flag(align_corners or False, op, "align_corners")
    taps = []
    for i, size in enumerate(planes):
        place: Any = g[..., axes - 1 - i]
        place = where(isnan(place), -9.0 if padding_mode == "zeros" else -1.0, place)
        place = (place + 1) / 2 * (size - 1) if aligned else ((place + 1) * size - 1) / 2
        taps.append(_taps(place, size, mode, padding_mode, aligned))
    return _sampled(x, g.shape[1:-1], taps)


def _sampled(x: Tensor, target: tuple[int, ...], taps: list[list[tuple[Any, Any, Any]]]) -> Tensor:
    """The sum over all corners of the elements there, times their weights along each axis."""
    batch, channels, *planes = x.shape
    around = range(2, x.ndim)
    rows = reshape(permute(x, (0, *around, 1)), (batch * math.prod(planes), channels))
    images = tensor(np.arange(batch).reshape(-1, *[1] * len(planes)), device=x.device)
    places, weights = [], []
    for corner in itertools.product(*taps):
        index: Any = images
        weight: Any = None
        for size, (place, inside, share) in zip(planes, corner, strict=True):
            index = index * size + place.long()
            for factor in (share, None if inside is None else inside.to(x.dtype)):
                if factor is not None:
                    weight = factor if weight is None else weight * factor
        places.append(index)
        weights.append(weight)
    if weights[0] is None:  # one element each, and it counts once
        total: Any = select(rows, reshape(places[0], -1)._array, 0)
    else:
        index, weight = (reshape(stack(parts, -1), (-1, len(parts))) for parts in (places, weights))
        total = embedding_bag(index, rows, mode="sum", per_sample_weights=weight)
    return permute(reshape(total, (batch, *target, channels)), (0, x.ndim - 1, *range(1, x.ndim - 1)))
