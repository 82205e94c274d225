"""Matrix products."""

from __future__ import annotations

from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arithmetic import Array, matched, unbroadcast
from .layout import reshape, transpose


@fresh
def _matmul_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    """out = A B with A and B as stored or transposed; each gradient is again one product, without a copy."""
    k, (a, b, ta, tb) = node.backend, node.saved
    ga = gb = None
    if node.edges[0] is not None:
        ga = k.matmul(b, g, tb, True) if ta else k.matmul(g, b, False, not tb)
        ga = unbroadcast(k, ga, a.shape)
    if node.edges[1] is not None:
        gb = k.matmul(g, a, True, ta) if tb else k.matmul(a, g, not ta, False)
        gb = unbroadcast(k, gb, b.shape)
    return ga, gb


def product(a: Tensor, b: Tensor, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """op(a) op(b) of tensors with at least two axes, op = transposition of the last two if asked for."""
    out = Tensor(a._backend.matmul(a._array, b._array, trans_a, trans_b), a._backend)
    return record(out, _matmul_bwd, (a, b), (a._array, b._array, trans_a, trans_b)) if recording(a, b) else out


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; vectors are rows or columns, leading axes broadcast (`torch.matmul`).

    >>> import fastdl
    >>> fastdl.matmul(fastdl.ones(2, 3), fastdl.ones(3, 4)).shape
    (2, 4)
    """
    _expect_operands(input, other, "matmul")
    a, b = matched(input, other, "matmul")
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"[matmul] expected operands with at least 1 dimension, got shapes {a.shape} and {b.shape}")
    row, column = a.ndim == 1, b.ndim == 1
    out = product(reshape(a, 1, -1) if row else a, reshape(b, -1, 1) if column else b)
    if row:
        out = reshape(out, (*out.shape[:-2], out.shape[-1]))
    return reshape(out, out.shape[:-1]) if column else out


def _expect_operands(a: Any, b: Any, op: str) -> None:
    for x, name in ((a, "input"), (b, "other")):
        if not isinstance(x, Tensor):
            raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(x).__name__}")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Product of two matrices (`torch.mm`)."""
    _expect_operands(input, mat2, "mm")
    if input.ndim != 2 or mat2.ndim != 2:
        raise ValueError(f"[mm] expected matrices, got shapes {input.shape} and {mat2.shape}")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of two batches of matrices (`torch.bmm`)."""
    _expect_operands(input, mat2, "bmm")
    if input.ndim != 3 or mat2.ndim != 3:
        raise ValueError(f"[bmm] expected 3 dimensions, got shapes {input.shape} and {mat2.shape}")
    return matmul(input, mat2)


def dot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors (`torch.dot`)."""
    _expect_operands(input, other, "dot")
    if input.ndim != 1 or other.ndim != 1:
        raise ValueError(f"[dot] expected vectors, got shapes {input.shape} and {other.shape}")
    return matmul(input, other)


__all__ = ["bmm", "dot", "matmul", "mm", "product", "transpose"]
