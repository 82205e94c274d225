"""Windows over the axes of images: what strides, pads and auto_pad mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...functional.layout import permute, reshape, squeeze, unsqueeze
from ...functional.padding import pad as _pad
from ...tensor import Tensor

Sizes = Any  # a tuple; as many numbers as axes behind batch and channels


class Windows(NamedTuple):
    """Windows that move over axes."""

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    begin: Sizes
    end: Sizes
    ceil: bool = False

    def spans(self) -> tuple[int, ...]:
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def number(self, axis: int, size: int) -> int:
        """How many windows there are along an axis; one that would start in the padding at the end does not count."""
        span, step, around = self.spans()[axis], self.stride[axis], size + self.begin[axis] + self.end[axis]
        if span > around:
            raise ValueError(f"expected windows of at most {around} elements, got {span}")
        if not self.ceil:
            return (around - span) // step + 1
        count = -(-(around - span) // step) + 1
        return count - ((count - 1) * step >= size + self.begin[axis])

    def exact(self, sizes: Sequence[int]) -> Windows:
        """The same windows with padding at the end that is what they reach, no more and no less."""
        counts = [self.number(axis, n) for axis, n in enumerate(sizes)]
        reach = zip(counts, self.spans(), self.stride, self.begin, sizes, strict=True)
        return self._replace(end=tuple((c - 1) * s + span - b - n for c, span, s, b, n in reach), ceil=False)

    def is_symmetric(self) -> bool:
        return self.begin == self.end


def _several(node: Any, name: str, axes: int, default: int) -> tuple[int, ...]:
    values = tuple(node.get(name) or (default,) * axes)
    if len(values) != axes:
        raise ValueError(f"expected {axes} {name}, got {len(values)}")
    if min(values) < 1:
        raise ValueError(f"expected {name} of at least 1, got {values}")
    return values


def windows_of(node: Any, sizes: Sequence[int], kernel: Sequence[int]) -> Windows:
    """The windows that a node describes, for axes of these sizes."""
    axes = len(sizes)
    if len(kernel) != axes:
        raise ValueError(f"expected a kernel of {axes} axes, got {tuple(kernel)}")
    stride, dilation = (_several(node, name, axes, 1) for name in ("strides", "dilations"))
    pads = tuple(node.get("pads") or (0,) * (2 * axes))
    if len(pads) != 2 * axes:
        raise ValueError(f"expected {2 * axes} pads, got {len(pads)}")
    found = Windows(tuple(kernel), stride, dilation, pads[:axes], pads[axes:], bool(node.get("ceil_mode", 0)))
    auto = node.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return found._replace(begin=(0,) * axes, end=(0,) * axes)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reach = zip(sizes, stride, found.spans(), strict=True)
        total = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in reach]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        first, last = (less, more) if auto == "SAME_UPPER" else (more, less)
        return found._replace(begin=first, end=last, ceil=False)
    return found


def padded(x: Tensor, begin: Sequence[int], end: Sequence[int], value: float = 0.0) -> Tensor:
    """x with elements around its last axes; negative numbers cut off."""
    if not any(begin) and not any(end):
        return x
    return _pad(x, [n for pair in reversed(list(zip(begin, end, strict=True))) for n in pair], value=value)


def as_images(x: Tensor) -> Tensor:
    """Sequences as images of one row."""
    if x.ndim not in (3, 4):
        raise NotImplementedError(f"expected input with 3 or 4 dimensions, got shape {x.shape}")
    return unsqueeze(x, 2) if x.ndim == 3 else x


def as_image_windows(w: Windows) -> Windows:
    if len(w.kernel) == 2:
        return w
    return Windows((1, *w.kernel), (1, *w.stride), (1, *w.dilation), (0, *w.begin), (0, *w.end), w.ceil)


def from_images(x: Tensor, ndim: int) -> Tensor:
    return squeeze(x, 2) if ndim == 3 else x


def depth_as_row(x: Tensor) -> Tensor:
    """Volumes (N, C, D, H, W) as images (N, C, D, H * W)."""
    return reshape(x, (*x.shape[:3], x.shape[3] * x.shape[4]))


def depth_in_channels(x: Tensor) -> Tensor:
    """Volumes (N, C, D, H, W) as images (N, C * D, H, W)."""
    return reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def depth_in_batch(x: Tensor) -> Tensor:
    """Volumes (N, C, D, H, W) as images (N * D, C, H, W)."""
    moved = permute(x, (0, 2, 1, 3, 4))
    return reshape(moved, (moved.shape[0] * moved.shape[1], *moved.shape[2:]))
