"""Convolution and transposed convolution of sequences, images and (convolution only) volumes."""

from __future__ import annotations

from typing import Any

from ... import functional as F
from ...functional import arithmetic, layout
from ...tensor import Tensor
from .registry import Value, operator
from .windows import Windows, as_image_windows, as_images, depth_in_batch, from_images, padded, windows_of


@operator("Conv")
def conv(node: Any, x: Value, w: Value, b: Value = None) -> Value:
    t, weight = node.tensors(x, w)
    bias = None if b is None else node.tensor(b)
    if t.ndim != weight.ndim:
        raise ValueError(f"expected weight with {t.ndim} dimensions, got shape {weight.shape}")
    windows = windows_of(node, t.shape[2:], weight.shape[2:])
    if t.ndim == 5:
        return _conv3d(t, weight, bias, windows, node.get("group", 1))
    image_windows = as_image_windows(windows)
    image = as_images(t)
    if not windows.is_symmetric():
        image = padded(image, image_windows.begin, image_windows.end)
    padding = image_windows.begin if windows.is_symmetric() else 0
    weight = layout.unsqueeze(weight, 2) if t.ndim == 3 else weight
    out = F.conv2d(
        image, weight, bias, image_windows.stride, padding, image_windows.dilation, node.get("group", 1)
    )  # fmt: skip
    return from_images(out, t.ndim)


def _conv3d(x: Tensor, weight: Tensor, bias: Tensor | None, w: Windows, groups: int) -> Tensor:
    """One convolution of images for each slice of the kernel's depth; their sum."""
    x = padded(x, w.begin, w.end)
    depth = (x.shape[2] - w.spans()[0]) // w.stride[0] + 1
    total: Tensor | None = None
    for i in range(w.kernel[0]):
        first = i * w.dilation[0]
        slices = layout.index(
            x, (slice(None), slice(None), slice(first, first + (depth - 1) * w.stride[0] + 1, w.stride[0]))
        )
        images = depth_in_batch(slices)
        kernel = layout.index(weight, (slice(None), slice(None), i))
        part = F.conv2d(images, kernel, bias if i == 0 else None, w.stride[1:], 0, w.dilation[1:], groups)
        total = part if total is None else arithmetic.add(total, part)
    assert total is not None
    apart = layout.reshape(total, (x.shape[0], depth, *total.shape[1:]))
    return layout.permute(apart, (0, 2, 1, 3, 4))


@operator("ConvTranspose")
def conv_transpose(node: Any, x: Value, w: Value, b: Value = None) -> Value:
    t, weight = node.tensors(x, w)
    bias = None if b is None else node.tensor(b)
    if t.ndim != weight.ndim:
        raise ValueError(f"expected weight with {t.ndim} dimensions, got shape {weight.shape}")
    axes = t.ndim - 2
    plain = windows_of(node, t.shape[2:], weight.shape[2:])
    extra = tuple(node.get("output_padding") or (0,) * axes)
    windows, extra = _output_pads(node, plain, t.shape[2:], extra)
    image, image_windows = as_images(t), as_image_windows(windows)
    weight = layout.unsqueeze(weight, 2) if t.ndim == 3 else weight
    extra = (0, *extra) if t.ndim == 3 else extra
    groups, spread = node.get("group", 1), image_windows.dilation
    fits = all(0 <= e < max(s, d) for e, s, d in zip(extra, image_windows.stride, spread, strict=True))
    if windows.is_symmetric() and min(windows.begin) >= 0 and fits:
        args: Any = (image_windows.stride, image_windows.begin, extra, groups, spread)
        return from_images(F.conv_transpose2d(image, weight, bias, *args), t.ndim)
    out = F.conv_transpose2d(image, weight, None, image_windows.stride, 0, 0, groups, spread)
    cut = [-n for n in image_windows.begin], [e - n for e, n in zip(extra, image_windows.end, strict=True)]
    out = padded(out, *cut)
    return from_images(out if bias is None else arithmetic.add(out, layout.reshape(bias, (-1, 1, 1))), t.ndim)


def _output_pads(
    node: Any, w: Windows, sizes: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[Windows, tuple[int, ...]]:
    """Pads and output padding that lead to `output_shape`, or with auto_pad to sizes times strides."""
    shape, auto = node.get("output_shape"), node.get("auto_pad", "NOTSET")
    if not shape and auto not in ("SAME_UPPER", "SAME_LOWER"):
        return w, extra
    target = tuple(shape)[-len(sizes) :] if shape else tuple(n * s for n, s in zip(sizes, w.stride, strict=True))
    begin, end, added = [], [], []
    for n, s, span, e, wanted in zip(sizes, w.stride, w.spans(), extra, target, strict=True):
        total = s * (n - 1) + e + span - wanted
        less = max(total, 0) // 2
        begin.append(less if auto == "SAME_UPPER" else max(total, 0) - less)
        end.append(max(total, 0) - begin[-1])
        added.append(e - min(total, 0))
    return w._replace(begin=tuple(begin), end=tuple(end)), tuple(added)
