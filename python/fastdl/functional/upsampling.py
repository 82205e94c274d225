"""Images at another size: interpolation and pixel shuffle."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from .arguments import Pair, expect_tensor, flag, shown
from .resampling import filtered, nearest_exact

Array = Any
Scales = tuple[float, float]
# Numbers of axes that each interpolates.
_MODES = {
    "nearest": (1, 2), "nearest-exact": (1, 2), "area": (1, 2), "linear": (1,), "bilinear": (2,), "bicubic": (2,),
}  # fmt: skip
_LARGEST = 2**27  # numbers on the host for an axis: 1 GB
_SMOOTH = ("linear", "bilinear", "bicubic")


def _numbers(value: Any, axes: int, name: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """One number for each axis: one for all, or a sequence of them."""
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(values) != axes or not all(isinstance(v, kinds) and not isinstance(v, bool) for v in values):
        raise TypeError(f"[interpolate] expected a number or {axes} for {name}, got {shown(value)}")
    return values


def _sizes_and_scales(x: Tensor, size: Any, scale_factor: Any, recompute: bool) -> tuple[tuple[int, ...], Scales]:
    """The size of the output along each interpolated axis, and the scales that the kernels see (0: from the sizes)."""
    axes = x.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "[interpolate] expected one of size and scale_factor, got " + ("none" if size is None else "both")
        )
    if scale_factor is None:
        return _numbers(size, axes, "size", (int,)), (0.0, 0.0)
    factors = _numbers(scale_factor, axes, "scale_factor", (int, float))
    if not all(0 < f <= 1e9 for f in factors):
        raise ValueError(f"[interpolate] expected scale_factor above 0 and at most 1e9, got {shown(scale_factor)}")
    sizes = tuple(math.floor(n * float(f)) for n, f in zip(x.shape[2:], factors, strict=True))
    return sizes, (0.0, 0.0) if recompute else (float(factors[0]), float(factors[-1]))


@fresh
def _nearest_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.upsample_nearest2d_bwd(g, *node.saved),)


@fresh
def _bilinear_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.upsample_bilinear2d_bwd(g, *node.saved),)


def interpolate(
    input: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images or sequences at another size (`torch.nn.functional.interpolate`).

    Shapes: input (N, C, H, W), for all modes but 'linear', or (N, C, L), for all but 'bilinear' and 'bicubic'; output
    with H' and W' from `size`, or floor(H * scale_factor). 'nearest': source floor(o / scale). 'nearest-exact': source
    floor((o + 0.5) / scale). 'area': the mean of what an element covers (adaptive average pooling). The others: source
    (o + 0.5) / scale - 0.5, or with `align_corners` o * (H - 1) / (H' - 1), so that corners meet corners; between its
    two neighbours, or its four ('bicubic', a = -0.75: Keys, 1981). The scale is the `scale_factor` as given; with
    `recompute_scale_factor=True`, or from a `size`, the quotient of the sizes. `antialias`, of 'bilinear' and
    'bicubic' (there with a = -0.5): the filter is as wide as what an output element covers, as in Pillow.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or sizes that are not numbers.
        ValueError: for both or none of size and scale_factor, planes without elements, align_corners with a mode that
            has no use for it, or antialias with another mode than the two.
        NotImplementedError: for other modes, or inputs of five dimensions.

    >>> import fastdl
    >>> interpolate(fastdl.tensor([[[[1.0, 2.0]]]]), scale_factor=2).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    >>> interpolate(fastdl.tensor([[[[1.0, 2.0]]]]), size=(1, 4), mode="bilinear").tolist()
    [[[[1.0, 1.25, 1.75, 2.0]]]]
    """
    x = expect_tensor(input, "interpolate")
    if mode not in _MODES:
        raise NotImplementedError(f"[interpolate] expected mode {', '.join(_MODES)}, got {mode!r}")
    if x.ndim - 2 not in _MODES[mode]:
        dims = " or ".join(str(n + 2) for n in _MODES[mode])
        raise ValueError(f"[interpolate] expected input with {dims} dimensions for mode {mode!r}, got shape {x.shape}")
    if mode not in _SMOOTH and align_corners is not None:
        raise ValueError(f"[interpolate] expected align_corners with a smooth mode, got {align_corners} with {mode!r}")
    if flag(antialias, "interpolate", "antialias") and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"[interpolate] expected antialias with mode bilinear or bicubic, got it with {mode!r}")
    aligned = align_corners is not None and flag(align_corners, "interpolate", "align_corners")
    sizes, scales = _sizes_and_scales(x, size, scale_factor, bool(recompute_scale_factor))
    if antialias or mode in ("bicubic", "nearest-exact", "area"):
        return _by_axes(x, sizes, scales, mode, aligned, antialias)
    if x.ndim == 3:
        return _resized(x.unsqueeze(-2), (1, sizes[0]), (0.0, scales[1]), mode, aligned).squeeze(-2)
    return _resized(x, (sizes[0], sizes[1]), scales, mode, aligned)


def _by_axes(x: Tensor, sizes: tuple[int, ...], scales: Scales, mode: str, aligned: bool, antialias: bool) -> Tensor:
    """One axis after the other, by a matrix or by indices that are made on the host."""
    if not x.dtype.is_floating_point:
        raise TypeError(f"[interpolate] expected x of dtype float32 or float64, got {x.dtype.name}")
    if min(*x.shape[2:], *sizes) < 1:
        raise ValueError(f"[interpolate] expected planes with elements, got shape {x.shape} and size {sizes}")
    if mode == "area":
        return adaptive_avg_pool2d(x, (sizes[0], sizes[1])) if x.ndim == 4 else adaptive_avg_pool1d(x, sizes[0])
    for n, target in zip(x.shape[2:], sizes, strict=True):
        if target * (1 if mode == "nearest-exact" else n) > _LARGEST:
            raise ValueError(
                f"[interpolate] expected an axis of at most 2^27 elements, or pairs of them in the smooth modes, "
                f"got {n} to {target}"
            )
    for axis, target, scale in zip(range(2, x.ndim), sizes, scales[-len(sizes) :], strict=True):
        if mode == "nearest-exact":
            x = nearest_exact(x, axis, target, scale)
        else:
            x = filtered(x, axis, target, scale, mode, aligned, antialias)
    return x


def upsample(
    input: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its old name (`torch.nn.functional.upsample`)."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _resized(x: Tensor, target: Pair, scales: Scales, mode: str, align_corners: bool) -> Tensor:
    k = x._backend
    if mode == "nearest":
        out = Tensor(k.upsample_nearest2d(x._array, target, *scales), k)
        return record(out, _nearest_bwd, (x,), (x.shape[2:], *scales)) if recording(x) else out
    out = Tensor(k.upsample_bilinear2d(x._array, target, align_corners, *scales), k)
    return record(out, _bilinear_bwd, (x,), (x.shape[2:], align_corners, *scales)) if recording(x) else out


# ---- pixel shuffle ---------------------------------------------------------------------------------------------------


@fresh
def _shuffle_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.pixel_unshuffle(g, node.saved),)


@fresh
def _unshuffle_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.pixel_shuffle(g, node.saved),)


def _images(input: Any, factor: Any, op: str, name: str) -> tuple[Tensor, tuple[int, ...]]:
    """Images (N, C, H, W), and the leading axes that N stands for."""
    x = expect_tensor(input, op)
    if type(factor) is not int:
        raise TypeError(f"[{op}] expected an int for {name}, got {shown(factor)}")
    if x.ndim < 3:
        raise ValueError(f"[{op}] expected input with at least 3 dimensions, got shape {x.shape}")
    lead = x.shape[:-3]
    return (x if x.ndim == 4 else x.reshape((math.prod(lead), *x.shape[-3:]))), lead


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Groups of r * r channels to images r times as large (`torch.nn.functional.pixel_shuffle`).

    Shapes: input (*, C * r^2, H, W), output (*, C, H * r, W * r) with r = upscale_factor; channel (c * r + i) * r + j
    becomes row i and column j of each r x r square (Shi et al. 2016, sub-pixel convolution).

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a factor that is not an int.
        ValueError: for channels that r^2 does not divide, or a factor below 1.

    >>> import fastdl
    >>> pixel_shuffle(fastdl.arange(4.0).reshape(1, 4, 1, 1), 2).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    x, lead = _images(input, upscale_factor, "pixel_shuffle", "upscale_factor")
    k = x._backend
    out = Tensor(k.pixel_shuffle(x._array, upscale_factor), k)
    if recording(x):
        record(out, _shuffle_bwd, (x,), upscale_factor)
    return out if len(lead) == 1 else out.reshape((*lead, *out.shape[1:]))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle` (`torch.nn.functional.pixel_unshuffle`).

    Shapes: input (*, C, H * r, W * r), output (*, C * r^2, H, W) with r = downscale_factor.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a factor that is not an int.
        ValueError: for planes whose sizes r does not divide, or a factor below 1.

    >>> import fastdl
    >>> pixel_unshuffle(fastdl.arange(4.0).reshape(1, 1, 2, 2), 2).shape
    (1, 4, 1, 1)
    """
    x, lead = _images(input, downscale_factor, "pixel_unshuffle", "downscale_factor")
    k = x._backend
    out = Tensor(k.pixel_unshuffle(x._array, downscale_factor), k)
    if recording(x):
        record(out, _unshuffle_bwd, (x,), downscale_factor)
    return out if len(lead) == 1 else out.reshape((*lead, *out.shape[1:]))
