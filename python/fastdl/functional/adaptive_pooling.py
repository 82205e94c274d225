"""Pooling to a size: the windows follow from the sizes of input and output."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import Pair, flag, shown
from .conv import row
from .pooling import Single, avg_pool2d, image, max_pool2d, sequence, without_axis

Array = Any
Size = int | tuple[int | None, int | None] | None


def _target(x: Tensor, output_size: Any, op: str) -> Pair:
    """The size of the output; None keeps the size of an axis."""
    values = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(values) != 2 or not all(v is None or type(v) is int for v in values):
        raise TypeError(f"[{op}] expected an int or two, or None, for output_size, got {shown(output_size)}")
    return tuple(n if v is None else v for v, n in zip(values, x.shape[2:], strict=True))  # type: ignore[return-value]


def _equal_windows(x: Tensor, target: Pair) -> Pair | None:
    """The kernel, where every window has the same size and none overlap."""
    sizes = x.shape[2:]
    if min(*target, *sizes) < 1 or any(n % t for n, t in zip(sizes, target, strict=True)):
        return None
    return sizes[0] // target[0], sizes[1] // target[1]


@fresh
def _adaptive_avg_pool2d_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.adaptive_avg_pool2d_bwd(g, node.saved),)


def adaptive_avg_pool2d(input: Tensor, output_size: Size) -> Tensor:
    """Means of windows that cover each plane (`torch.nn.functional.adaptive_avg_pool2d`); 1 is global pooling.

    Shapes: input (N, C, H, W) or (C, H, W), output (N, C, H', W') or (C, H', W') with (H', W') = output_size, an int
    for both or two of int and None (as in the input). Window o of an axis goes from floor(o * H / H') to
    ceil((o + 1) * H / H').

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or sizes that are not int or None.
        ValueError: for planes without elements, or sizes below 0.

    >>> import fastdl
    >>> adaptive_avg_pool2d(fastdl.arange(9.0).reshape(1, 1, 3, 3), 2).tolist()
    [[[[2.0, 3.0], [5.0, 6.0]]]]
    """
    op = "adaptive_avg_pool2d"
    x, single = image(input, op)
    if single:
        return adaptive_avg_pool2d(x, output_size).squeeze(0)
    target = _target(x, output_size, op)
    kernel = _equal_windows(x, target)
    if kernel and target == (1, 1):
        return x.mean((2, 3), keepdim=True)
    if kernel:
        return avg_pool2d(x, kernel)
    k = x._backend
    out = Tensor(k.adaptive_avg_pool2d(x._array, target), k)
    return record(out, _adaptive_avg_pool2d_bwd, (x,), x.shape[2:]) if recording(x) else out


def adaptive_avg_pool1d(input: Tensor, output_size: Single) -> Tensor:
    """Means of windows that cover each sequence (`torch.nn.functional.adaptive_avg_pool1d`).

    Shapes: input (N, C, L) or (C, L), output (N, C, output_size) or (C, output_size).

    Raises:
        TypeError, ValueError: as `adaptive_avg_pool2d`, whose checks these are.

    >>> import fastdl
    >>> adaptive_avg_pool1d(fastdl.tensor([[1.0, 3.0, 2.0]]), 2).tolist()
    [[2.0, 2.5]]
    """
    op = "adaptive_avg_pool1d"
    x = sequence(input, op)
    return adaptive_avg_pool2d(x, row(output_size, op, "output_size", 1)).squeeze(-2)


@fresh
def _adaptive_max_pool2d_bwd(node: Node, g: Array) -> tuple[Array]:
    indices, input_hw = node.saved
    return (node.backend.adaptive_max_pool2d_bwd(g, indices, input_hw),)


def adaptive_max_pool2d(input: Tensor, output_size: Size, return_indices: bool = False) -> Any:
    """Maxima of windows that cover each plane (`torch.nn.functional.adaptive_max_pool2d`).

    Shapes and windows as for `adaptive_avg_pool2d`. With `return_indices=True` the result is (output, indices): for
    each window the position y * W + x of its maximum, int64.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or sizes that are not int or None.
        ValueError: for planes without elements, or sizes below 0.

    >>> import fastdl
    >>> adaptive_max_pool2d(fastdl.arange(9.0).reshape(1, 1, 3, 3), 2).tolist()
    [[[[4.0, 5.0], [7.0, 8.0]]]]
    """
    op = "adaptive_max_pool2d"
    x, single = image(input, op)
    if single:
        return without_axis(adaptive_max_pool2d(x, output_size, return_indices), 0)
    target, wanted = _target(x, output_size, op), flag(return_indices, op, "return_indices")
    kernel = _equal_windows(x, target)
    if kernel:
        return max_pool2d(x, kernel, return_indices=wanted)
    k = x._backend
    array, indices = k.adaptive_max_pool2d(x._array, target)
    out = Tensor(array, k)
    if recording(x):
        record(out, _adaptive_max_pool2d_bwd, (x,), (indices, x.shape[2:]))
    return (out, Tensor(indices, k)) if wanted else out


def adaptive_max_pool1d(input: Tensor, output_size: Single, return_indices: bool = False) -> Any:
    """Maxima of windows that cover each sequence (`torch.nn.functional.adaptive_max_pool1d`).

    Shapes: input (N, C, L) or (C, L), output (N, C, output_size) or (C, output_size).

    Raises:
        TypeError, ValueError: as `adaptive_max_pool2d`, whose checks these are.

    >>> import fastdl
    >>> adaptive_max_pool1d(fastdl.tensor([[1.0, 3.0, 2.0]]), 2).tolist()
    [[3.0, 3.0]]
    """
    op = "adaptive_max_pool1d"
    x = sequence(input, op)
    return without_axis(adaptive_max_pool2d(x, row(output_size, op, "output_size", 1), return_indices), -2)
