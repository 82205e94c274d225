"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import functional as F
from ...functional import arithmetic, layout
from ...functional.einsum import einsum as _einsum
from ...functional.product import matmul as _matmul
from ...tensor import Tensor
from .registry import Value, host, is_float, on_host, operator


@operator("MatMul")
def matmul(node: Any, a: Value, b: Value) -> Value:
    if not is_float(a):
        return np.matmul(host(a), host(b))
    return _matmul(*node.tensors(a, b))


@operator("Gemm")
def gemm(node: Any, a: Value, b: Value, c: Value = None) -> Value:
    """alpha A' B' + beta C: as `linear` where C has a number a column."""
    if not is_float(a):
        return _whole_gemm(node, host(a), host(b), None if c is None else host(c))
    x = node.tensor(a)
    x = layout.t(x) if node.get("transA") else x
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)

    def weight(b: Value) -> Tensor:
        w = node.tensor(b)
        w = w if node.get("transB") else layout.t(w)
        return w if alpha == 1 else arithmetic.mul(w, alpha)

    w = node.prepared("weight", [b], weight)
    if c is None or not beta:
        return F.linear(x, w)
    bias = node.prepared("bias", [c], lambda c: arithmetic.mul(node.tensor(c), beta) if beta != 1 else node.tensor(c))
    if bias.shape in ((w.shape[0],), (1, w.shape[0])):
        return F.linear(x, w, layout.reshape(bias, (w.shape[0],)))
    return arithmetic.add(F.linear(x, w), bias)


def _whole_gemm(node: Any, a: np.ndarray, b: np.ndarray, c: np.ndarray | None) -> np.ndarray:
    product = (a.T if node.get("transA") else a) @ (b.T if node.get("transB") else b)
    scaled = product if node.get("alpha", 1.0) == 1 else product * node.get("alpha")
    return (scaled if c is None else scaled + c * node.get("beta", 1.0)).astype(a.dtype)


@operator("Einsum")
def einsum(node: Any, *operands: Value) -> Value:
    equation = node.get("equation")
    if on_host(*operands) or not is_float(operands[0]):
        return np.asarray(np.einsum(equation, *(host(v) for v in operands)))
    return _einsum(equation, *node.tensors(*operands))
