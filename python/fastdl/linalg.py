"""Small problems of linear algebra under the names of `torch.linalg`, solved by NumPy on the host, whatever the device.

Matrices are (*, n, m), the last two axes. Gradients flow through `inv`, `solve`, `det`, `slogdet`, `pinv`, norms
and products; the decompositions refuse a tensor that requires one.

>>> import fastdl
>>> a = fastdl.tensor([[4.0, 1.0], [1.0, 3.0]])
>>> round(fastdl.linalg.det(a).item(), 4), fastdl.allclose(a @ fastdl.linalg.inv(a), fastdl.eye(2), atol=1e-6)
(11.0, True)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .autograd import Context, Function, recording
from .creation import eye, tensor
from .functional import selecting
from .functional.arguments import expect_int, expect_tensor
from .functional.layout import transpose
from .functional.product import matmul
from .functional.statistics import norm
from .tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "eigh", "eigvalsh", "inv", "lstsq", "matrix_norm",
    "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "svd", "svdvals",
    "vector_norm",
]  # fmt: skip

LinAlgError = np.linalg.LinAlgError


class Slogdet(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three numbers along an axis (`torch.linalg.cross`).

    >>> import fastdl
    >>> cross(fastdl.tensor([1.0, 0.0, 0.0]), fastdl.tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    return selecting.cross(input, other, dim)


def _matrix(value: Any, op: str, square: bool = False) -> Tensor:
    x = expect_tensor(value, op)
    if not x.is_floating_point():
        raise TypeError(f"[{op}] expected a matrix of dtype float32 or float64, got {x.dtype.name}")
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ValueError(f"[{op}] expected {'square ' if square else ''}matrices, got shape {x.shape}")
    return x


def _on_host(op: str, function: Callable[..., Any], *operands: Tensor, **options: Any) -> Any:
    """NumPy's function of tensors, its results as tensors beside the first."""
    try:
        found = function(*(x.detach()._host() for x in operands), **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"[{op}] expected a matrix that has one, got {error}") from None

    def back(array: Any) -> Tensor:
        return tensor(np.asarray(array), device=operands[0].device)

    return tuple(back(a) for a in found) if isinstance(found, tuple) else back(found)


def _decomposed(op: str, function: Callable[..., Any], value: Any, square: bool = False, **options: Any) -> Any:
    x = _matrix(value, op, square)
    if recording(x):
        raise NotImplementedError(f"[{op}] expected a tensor outside the tape (it has no gradient), got one on it")
    return _on_host(op, function, x, **options)


# ---- with gradients --------------------------------------------------------------------------------------------------


class _Inverse(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor) -> Tensor:
        out = _on_host("inv", np.linalg.inv, a)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> Tensor:
        back = transpose(ctx.saved_tensors[0], -2, -1)
        return -(back @ g @ back)


def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices (`torch.linalg.inv`). Raises LinAlgError for a singular one."""
    return _Inverse.apply(_matrix(A, "inv", True))


class _Slogdet(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor) -> tuple[Tensor, Tensor]:
        sign, logarithm = _on_host("slogdet", lambda x: tuple(np.linalg.slogdet(x)), a)
        ctx.save_for_backward(a)
        ctx.mark_non_differentiable(sign)
        return sign, logarithm

    @staticmethod
    def backward(ctx: Context, _: Tensor, g: Tensor) -> Tensor:
        return g[..., None, None] * transpose(inv(ctx.saved_tensors[0]), -2, -1)


def slogdet(A: Tensor) -> Slogdet:
    """Sign and logarithm of the size of the determinant (`torch.linalg.slogdet`)."""
    return Slogdet(*_Slogdet.apply(_matrix(A, "slogdet", True)))


def det(A: Tensor) -> Tensor:
    """The determinant of square matrices (`torch.linalg.det`); its gradient wants an invertible one."""
    sign, logarithm = slogdet(A)
    return sign * logarithm.exp()


def solve(A: Tensor, B: Tensor) -> Tensor:
    """X with A X = B, for B of vectors (*, n) or matrices (*, n, k) (`torch.linalg.solve`).

    >>> import fastdl
    >>> fastdl.linalg.solve(fastdl.eye(2) * 2, fastdl.tensor([2.0, 4.0])).tolist()
    [1.0, 2.0]
    """
    a, b = _matrix(A, "solve", True), expect_tensor(B, "solve", "B")
    if b.ndim == 0:
        raise ValueError("[solve] expected B of vectors or matrices, got a scalar")
    column = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    b = b.unsqueeze(-1) if column else b
    if b.shape[-2] != a.shape[-1] or b.dtype is not a.dtype:
        raise ValueError(
            f"[solve] expected B of {a.shape[-1]} rows and dtype {a.dtype.name}, got {b.shape} of {b.dtype.name}"
        )
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"[solve] expected batches that broadcast, got {a.shape[:-2]} and {b.shape[:-2]}") from None
    out = _Solution.apply(a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:]))
    return out.squeeze(-1) if column else out


class _Solution(Function):
    @staticmethod
    def forward(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
        out = _on_host("solve", np.linalg.solve, a, b)
        ctx.save_for_backward(a, out)
        return out

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor, Tensor]:
        a, out = ctx.saved_tensors
        of_b = solve(transpose(a, -2, -1), g)
        return -(of_b @ transpose(out, -2, -1)), of_b


def pinv(A: Tensor) -> Tensor:
    """The pseudo-inverse (`torch.linalg.pinv`); with gradient for matrices of full rank."""
    x = _matrix(A, "pinv")
    if not recording(x):
        return _on_host("pinv", np.linalg.pinv, x)
    t = transpose(x, -2, -1)
    return inv(t @ x) @ t if x.shape[-2] >= x.shape[-1] else t @ inv(x @ t)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied n times, its inverse for negative n (`torch.linalg.matrix_power`)."""
    x, count = _matrix(A, "matrix_power", True), expect_int(n, "matrix_power", "n")
    base = inv(x) if count < 0 else x
    one = eye(x.shape[-1], dtype=x.dtype, device=x.device).expand(x.shape)
    return functools.reduce(matmul, [base] * abs(count), one)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices (`torch.linalg.multi_dot`)."""
    if not isinstance(tensors, list | tuple) or not tensors:
        raise ValueError(f"[multi_dot] expected a list of at least one tensor, got {tensors!r}")
    for x in tensors:
        expect_tensor(x, "multi_dot")
    return functools.reduce(matmul, tensors)


def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """`norm` of all elements, or along `dim` (`torch.linalg.vector_norm`)."""
    return norm(x, ord, dim, keepdim)


def matrix_norm(A: Tensor, ord: Any = "fro", keepdim: bool = False) -> Tensor:
    """The Frobenius norm of matrices, or "nuc", 2, 1 or inf (`torch.linalg.matrix_norm`)."""
    x = _matrix(A, "matrix_norm")
    if ord == "fro":
        return norm(x, 2, (-2, -1), keepdim)
    if ord not in ("nuc", 1, -1, 2, -2, float("inf"), -float("inf")):
        raise ValueError(f"[matrix_norm] expected ord fro, nuc, 1, -1, 2, -2, inf or -inf, got {ord!r}")
    return _decomposed("matrix_norm", np.linalg.norm, x, ord=ord, axis=(-2, -1), keepdims=keepdim)


# ---- decompositions --------------------------------------------------------------------------------------------------


def cholesky(A: Tensor) -> Tensor:
    """The lower triangle L with A = L L^T (`torch.linalg.cholesky`). Raises LinAlgError unless A is positive."""
    return _decomposed("cholesky", np.linalg.cholesky, A, True)


def qr(A: Tensor, mode: Any = "reduced") -> tuple[Tensor, Tensor]:
    """Q and R (`torch.linalg.qr`); mode "reduced" or "complete"."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"[qr] expected mode reduced or complete, got {mode!r}")
    return _decomposed("qr", lambda x: tuple(np.linalg.qr(x, mode)), A)


def svd(A: Tensor, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V^T with A = U diag(S) V^T (`torch.linalg.svd`)."""
    return _decomposed("svd", lambda x: tuple(np.linalg.svd(x, full_matrices)), A)


def svdvals(A: Tensor) -> Tensor:
    """Singular values, the largest first (`torch.linalg.svdvals`)."""
    return _decomposed("svdvals", np.linalg.svd, A, compute_uv=False)


def eigh(A: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, the least first, and eigenvectors of symmetric matrices (`torch.linalg.eigh`)."""
    return _decomposed("eigh", lambda x: tuple(np.linalg.eigh(x)), A, True)


def eigvalsh(A: Tensor) -> Tensor:
    """Eigenvalues of symmetric matrices, the least first (`torch.linalg.eigvalsh`)."""
    return _decomposed("eigvalsh", np.linalg.eigvalsh, A, True)


def matrix_rank(A: Tensor) -> Tensor:
    """The number of singular values that are not negligible (`torch.linalg.matrix_rank`)."""
    return _decomposed("matrix_rank", np.linalg.matrix_rank, A)


def cond(A: Tensor) -> Tensor:
    """The largest singular value over the least (`torch.linalg.cond`)."""
    return _decomposed("cond", np.linalg.cond, A)


def lstsq(A: Tensor, B: Tensor) -> tuple[Tensor]:
    """X with the least |A X - B|, as the only element of a tuple (`torch.linalg.lstsq`).

    >>> import fastdl
    >>> fastdl.linalg.lstsq(fastdl.ones(3, 1), fastdl.tensor([[1.0], [2.0], [3.0]]))[0].allclose(fastdl.tensor(2.0))
    True
    """
    return (pinv(A) @ expect_tensor(B, "lstsq", "B"),)
