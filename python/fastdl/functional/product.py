"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arithmetic import Array, add, matched, mul, unbroadcast
from .layout import permute, reshape, transpose
from .reduction import normalized_axis, sum


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
    a, b = matched(input, other, "dot")
    if a.shape != b.shape:
        raise ValueError(f"[dot] expected vectors of one length, got shapes {a.shape} and {b.shape}")
    if not a.is_floating_point():
        return sum(mul(a, b))
    return reshape(product(reshape(a, 1, -1), reshape(b, 1, -1), trans_b=True), ())


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Product of a matrix and a vector (`torch.mv`)."""
    _expect_operands(input, vec, "mv")
    if input.ndim != 2 or vec.ndim != 1:
        raise ValueError(f"[mv] expected a matrix and a vector, got shapes {input.shape} and {vec.shape}")
    return matmul(input, vec)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of two vectors, (n,) and (m,) to (n, m) (`torch.outer`).

    >>> import fastdl
    >>> fastdl.outer(fastdl.tensor([1, 2]), fastdl.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    _expect_operands(input, vec2, "outer")
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"[outer] expected vectors, got shapes {input.shape} and {vec2.shape}")
    return mul(reshape(input, (input._array.size, 1)), vec2)


def _plus_product(input: Any, beta: float, alpha: float, out: Tensor) -> Tensor:
    out = out if alpha == 1 else mul(out, alpha)
    return out if beta == 0 else add(out, input if beta == 1 else mul(input, beta))


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat1 @ mat2 (`torch.addmm`)."""
    return _plus_product(input, beta, alpha, mm(mat1, mat2))


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * batch1 @ batch2 of batches of matrices (`torch.baddbmm`)."""
    return _plus_product(input, beta, alpha, bmm(batch1, batch2))


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last axes of both (`torch.inner`)."""
    _expect_operands(input, other, "inner")
    return mul(input, other) if input.ndim == 0 or other.ndim == 0 else tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over the last `dims` axes of a and the first of b, or over the axes of two lists
    (`torch.tensordot`).

    >>> import fastdl
    >>> fastdl.tensordot(fastdl.ones(2, 3, 4), fastdl.ones(4, 3, 5), ([1, 2], [1, 0])).shape
    (2, 5)
    """
    _expect_operands(a, b, "tensordot")
    first, second = (range(a.ndim - dims, a.ndim), range(dims)) if isinstance(dims, int) else dims
    over_a = [normalized_axis(d, a.ndim, "tensordot") for d in first]
    over_b = [normalized_axis(d, b.ndim, "tensordot") for d in second]
    if [a.shape[d] for d in over_a] != [b.shape[d] for d in over_b]:
        raise ValueError(f"[tensordot] expected axes of equal sizes, got {dims} of shapes {a.shape} and {b.shape}")
    rest_a, rest_b = ([d for d in range(t.ndim) if d not in over] for t, over in ((a, over_a), (b, over_b)))
    inside = math.prod(a.shape[d] for d in over_a)
    left, turned_a = _as_matrix(a, rest_a, over_a, inside)
    right, turned_b = _as_matrix(b, over_b, rest_b, math.prod(b.shape[d] for d in rest_b))
    out = product(*matched(left, right, "tensordot"), turned_a, turned_b)
    return reshape(out, (*(a.shape[d] for d in rest_a), *(b.shape[d] for d in rest_b)))


def _as_matrix(x: Tensor, rows: list[int], columns: list[int], width: int) -> tuple[Tensor, bool]:
    """x with some axes as rows and the others as columns, and whether the product has to turn it: where the two only
    stand the other way round it lies as it is."""
    if [*columns, *rows] == list(range(x.ndim)) and rows and columns:
        return reshape(x, (width, math.prod(x.shape[d] for d in rows))), True
    order = (*rows, *columns)
    whole = x if order == tuple(range(x.ndim)) else permute(x, order)
    return reshape(whole, (math.prod(x.shape[d] for d in rows), width)), False


__all__ = [
    "addmm", "baddbmm", "bmm", "dot", "inner", "matmul", "mm", "mv", "outer", "product", "tensordot", "transpose",
]  # fmt: skip
