"""Unpooling: values to places of larger planes, zeros elsewhere."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, expect_beside, pair, shown
from .conv import row
from .pooling import Single, image, one_row, sequence, steps_of

Array = Any


def _unpooled_hw(x: Tensor, kernel: Pair, stride: Pair, padding: Pair, output_size: Any, op: str) -> Pair:
    """What pooling with these windows made: several sizes give one, and `output_size` says which."""
    sizes = zip(x.shape[2:], kernel, stride, padding, strict=True)
    usual = tuple((n - 1) * s + k - 2 * p for n, k, s, p in sizes)
    if output_size is None:
        return usual[0], usual[1]
    if not isinstance(output_size, tuple | list) or not all(type(n) is int for n in output_size):
        raise TypeError(f"[{op}] expected sizes for output_size, got {shown(output_size)}")
    wanted = tuple(output_size)[-2:]
    if len(output_size) not in (2, 3, 4) or any(abs(n - u) >= s for n, u, s in zip(wanted, usual, stride, strict=True)):
        raise ValueError(
            f"[{op}] expected an output_size that differs from {usual} by less than the stride {stride}, "
            f"got {tuple(output_size)}"
        )
    return wanted[0], wanted[1]


@fresh
def _max_unpool2d_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.max_unpool2d_bwd(g, node.saved),)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    output_size: tuple[int, ...] | None = None,
) -> Tensor:
    """Values to where max pooling found them, zeros elsewhere (`torch.nn.functional.max_unpool2d`).

    Shapes: input and indices (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W'). `indices` are those of
    `max_pool2d(..., return_indices=True)`, int64 or int32. H' = (H - 1) * stride + kernel - 2 * padding, or what
    `output_size` says (its last two numbers), which may differ by less than the stride. Of several values for one
    place the last one stays.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or indices of another dtype.
        ValueError: for shapes that differ, or an output_size that pooling would not have made this input of.
        IndexError: for an index outside its plane.

    >>> import fastdl
    >>> x = fastdl.tensor([[[1.0, 5.0], [4.0, 2.0]]])
    >>> max_unpool2d(*fastdl.functional.max_pool2d(x, 2, return_indices=True), 2).tolist()
    [[[0.0, 5.0], [0.0, 0.0]]]
    """
    op = "max_unpool2d"
    x, single = image(input, op)
    places = expect_beside(indices, x, op, "indices")
    if single:
        if places.ndim == 3:
            places = places.unsqueeze(0)
        return max_unpool2d(x, places, kernel_size, stride, padding, output_size).squeeze(0)
    kernel = pair(kernel_size, op, "kernel_size")
    target = _unpooled_hw(x, kernel, steps_of(stride, kernel, op), pair(padding, op, "padding"), output_size, op)
    k = x._backend
    out = Tensor(k.max_unpool2d(x._array, places._array, target), k)
    return record(out, _max_unpool2d_bwd, (x,), places._array) if recording(x) else out


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    output_size: tuple[int, ...] | None = None,
) -> Tensor:
    """Values to where max pooling found them, zeros elsewhere (`torch.nn.functional.max_unpool1d`).

    Shapes: input and indices (N, C, L) or (C, L), output (N, C, L') or (C, L').

    Raises:
        TypeError, ValueError, IndexError: as `max_unpool2d`, whose checks these are.

    >>> import fastdl
    >>> max_unpool1d(fastdl.tensor([[3.0, 2.0]]), fastdl.tensor([[1, 2]]), 2).tolist()
    [[0.0, 3.0, 2.0, 0.0]]
    """
    op = "max_unpool1d"
    x = sequence(input, op)
    places = expect_beside(indices, x, op, "indices")
    window = (row(kernel_size, op, "kernel_size", 1), one_row(stride, op, "stride"), row(padding, op, "padding", 0))
    if isinstance(output_size, tuple | list) and output_size:
        output_size = (1, output_size[-1])
    return max_unpool2d(x, places.unsqueeze(-2), *window, output_size).squeeze(-2)


@fresh
def _bed_of_nails_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.bed_of_nails_bwd(g, node.saved),)


def bed_of_nails_unpool2d(input: Tensor, kernel_size: int | Pair) -> Tensor:
    """Each value in the upper left corner of a window of zeros ("bed of nails" unpooling).

    Shapes: input (N, C, H, W) or (C, H, W), output (N, C, H * kernel_h, W * kernel_w) or without N.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.
        ValueError: for kernels below 1.

    >>> import fastdl
    >>> bed_of_nails_unpool2d(fastdl.tensor([[[1.0, 2.0]]]), 2).tolist()
    [[[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    op = "bed_of_nails_unpool2d"
    x, single = image(input, op)
    if single:
        return bed_of_nails_unpool2d(x, kernel_size).squeeze(0)
    kernel, k = pair(kernel_size, op, "kernel_size"), x._backend
    out = Tensor(k.bed_of_nails(x._array, kernel), k)
    return record(out, _bed_of_nails_bwd, (x,), kernel) if recording(x) else out
