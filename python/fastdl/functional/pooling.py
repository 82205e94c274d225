"""Pooling over windows: maximum and mean, of images and of sequences (images of one row)."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, expect_int, expect_tensor, flag, pair
from .conv import row

Array = Any
Single = int | tuple[int]


def sequence(input: Any, op: str) -> Tensor:
    """A sequence (N, C, L) or (C, L) as an image of one row."""
    x = expect_tensor(input, op)
    if x.ndim not in (2, 3):
        raise ValueError(f"[{op}] expected input with 2 or 3 dimensions, got shape {x.shape}")
    return x.unsqueeze(-2)


def image(input: Any, op: str) -> tuple[Tensor, bool]:
    """An image (N, C, H, W), and whether it came as (C, H, W)."""
    x = expect_tensor(input, op)
    if x.ndim not in (3, 4):
        raise ValueError(f"[{op}] expected input with 3 or 4 dimensions, got shape {x.shape}")
    return (x.unsqueeze(0), True) if x.ndim == 3 else (x, False)


def without_axis(pooled: Any, axis: int) -> Any:
    """An output, or an output and its indices, with an axis of size 1 taken out."""
    return tuple(p.squeeze(axis) for p in pooled) if isinstance(pooled, tuple) else pooled.squeeze(axis)


def steps_of(stride: Any, kernel: Pair, op: str) -> Pair:
    """The stride, by default the kernel."""
    as_kernel = stride is None or (isinstance(stride, tuple | list) and not stride)
    return kernel if as_kernel else pair(stride, op, "stride")


def one_row(value: Any, op: str, name: str, rows: int = 1) -> Pair | None:
    return None if value is None else row(value, op, name, rows)


# ---- maximum ---------------------------------------------------------------------------------------------------------


@fresh
def _max_pool2d_bwd(node: Node, g: Array) -> tuple[Array]:
    indices, input_hw, window = node.saved
    return (node.backend.max_pool2d_bwd(g, indices, input_hw, *window),)


def max_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window (`torch.nn.functional.max_pool2d`); `stride` defaults to the kernel.

    Shapes: input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W'). Padding counts as minus infinity.
    With `return_indices=True` the result is (output, indices): for each window the position y * W + x of its
    maximum, int64, as max unpooling wants it.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.
        ValueError: for padding above half the kernel, a kernel larger than the padded input, or bad attributes.

    >>> import fastdl
    >>> max_pool2d(fastdl.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    op = "max_pool2d"
    x, single = image(input, op)
    if single:
        pooled = max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return without_axis(pooled, 0)
    kernel = pair(kernel_size, op, "kernel_size")
    window = (kernel, steps_of(stride, kernel, op), pair(padding, op, "padding"), pair(dilation, op, "dilation"))
    k, taped, wanted = x._backend, recording(x), flag(return_indices, op, "return_indices")
    index_dtype = "int64" if wanted else "int32" if taped else None
    array, indices = k.max_pool2d(x._array, *window, flag(ceil_mode, op, "ceil_mode"), index_dtype)
    out = Tensor(array, k)
    if taped:
        record(out, _max_pool2d_bwd, (x,), (indices, x.shape[2:], window))
    return (out, Tensor(indices, k)) if wanted else out


def max_pool1d(
    input: Tensor,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    dilation: Single = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest element of each window (`torch.nn.functional.max_pool1d`): `max_pool2d` over images of one row.

    Shapes: input (N, C, L) or (C, L), output (N, C, L') or (C, L').

    Raises:
        TypeError, ValueError: as `max_pool2d`, whose checks these are.

    >>> import fastdl
    >>> max_pool1d(fastdl.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    op = "max_pool1d"
    x = sequence(input, op)
    window = (row(kernel_size, op, "kernel_size", 1), one_row(stride, op, "stride"), row(padding, op, "padding", 0))
    pooled = max_pool2d(x, *window, row(dilation, op, "dilation", 1), ceil_mode, return_indices)
    return without_axis(pooled, -2)


# ---- mean ------------------------------------------------------------------------------------------------------------


@fresh
def _avg_pool2d_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.avg_pool2d_bwd(g, *node.saved),)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window (`torch.nn.functional.avg_pool2d`); `stride` defaults to the kernel.

    Shapes: input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W'). Padding counts as zeros, or with
    `count_include_pad=False` not at all; `divisor_override` divides the sums in place of the number of elements.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.
        ValueError: for padding above half the kernel, a kernel larger than the padded input, or bad attributes.

    >>> import fastdl
    >>> avg_pool2d(fastdl.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    op = "avg_pool2d"
    x, single = image(input, op)
    if single:
        return avg_pool2d(
            x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        ).squeeze(0)  # fmt: skip
    kernel = pair(kernel_size, op, "kernel_size")
    window = (kernel, steps_of(stride, kernel, op), pair(padding, op, "padding"))
    divisor = 0
    if divisor_override is not None:
        divisor = expect_int(divisor_override, op, "divisor_override")
        if divisor < 1:
            raise ValueError(f"[{op}] expected divisor_override of at least 1, got {divisor}")
    counted = flag(count_include_pad, op, "count_include_pad")
    k = x._backend
    out = Tensor(k.avg_pool2d(x._array, *window, flag(ceil_mode, op, "ceil_mode"), counted, divisor), k)
    if recording(x):
        record(out, _avg_pool2d_bwd, (x,), (x.shape[2:], *window, counted, divisor))
    return out


def avg_pool1d(
    input: Tensor,
    kernel_size: Single,
    stride: Single | None = None,
    padding: Single = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window (`torch.nn.functional.avg_pool1d`): `avg_pool2d` over images of one row.

    Shapes: input (N, C, L) or (C, L), output (N, C, L') or (C, L').

    Raises:
        TypeError, ValueError: as `avg_pool2d`, whose checks these are.

    >>> import fastdl
    >>> avg_pool1d(fastdl.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[2.0, 1.0]]
    """
    op = "avg_pool1d"
    x = sequence(input, op)
    window = (row(kernel_size, op, "kernel_size", 1), one_row(stride, op, "stride"), row(padding, op, "padding", 0))
    return avg_pool2d(x, *window, ceil_mode, count_include_pad).squeeze(-2)
