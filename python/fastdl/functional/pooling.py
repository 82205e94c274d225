"""Pooling."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, expect_tensor, flag, pair

Array = Any


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
    x = expect_tensor(input, "max_pool2d")
    if x.ndim == 3:
        pooled = max_pool2d(x.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return (pooled[0].squeeze(0), pooled[1].squeeze(0)) if return_indices else pooled.squeeze(0)
    if x.ndim != 4:
        raise ValueError(f"[max_pool2d] expected input with 3 or 4 dimensions, got shape {x.shape}")
    kernel = pair(kernel_size, "max_pool2d", "kernel_size")
    as_kernel = stride is None or (isinstance(stride, tuple | list) and not stride)
    steps = kernel if as_kernel else pair(stride, "max_pool2d", "stride")
    window = (kernel, steps, pair(padding, "max_pool2d", "padding"), pair(dilation, "max_pool2d", "dilation"))
    k, taped, wanted = x._backend, recording(x), flag(return_indices, "max_pool2d", "return_indices")
    index_dtype = "int64" if wanted else "int32" if taped else None
    array, indices = k.max_pool2d(x._array, *window, flag(ceil_mode, "max_pool2d", "ceil_mode"), index_dtype)
    out = Tensor(array, k)
    if taped:
        record(out, _max_pool2d_bwd, (x,), (indices, x.shape[2:], window))
    return (out, Tensor(indices, k)) if wanted else out
