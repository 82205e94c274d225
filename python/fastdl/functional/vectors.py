"""Vectors in tensors: their length and angle, products of pairs, channels in another order, attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import tensor
from ..tensor import Tensor
from .activation import softmax
from .arguments import expect_beside, expect_int, expect_number, expect_tensor
from .arithmetic import add, div, matched, mul
from .comparison import clamp, where
from .diagonals import triu_indices
from .distance import cdist
from .dropout import dropout
from .indexing import index_select
from .layout import permute, reshape, transpose
from .product import matmul, product
from .reduction import Axes, sum
from .shaping import broadcast_tensors
from .statistics import norm


def normalize(input: Tensor, p: float = 2.0, dim: Axes = 1, eps: float = 1e-12) -> Tensor:
    """Each vector along `dim` over its p-norm, or over eps where that is less (`torch.nn.functional.normalize`).

    >>> import fastdl
    >>> normalize(fastdl.tensor([[3.0, 4.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    x = expect_tensor(input, "normalize")
    expect_number(eps, "normalize", "eps")
    return div(x, clamp(norm(x, p, dim, True), min=eps))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim` (`torch.nn.functional.cosine_similarity`).

    Both broadcast, and `dim` is an axis of what comes of it. Each norm counts as at least `eps`.

    >>> import fastdl
    >>> cosine_similarity(fastdl.tensor([[1.0, 0.0]]), fastdl.tensor([[0.0, 2.0]])).tolist()
    [0.0]
    """
    op = "cosine_similarity"
    a = expect_tensor(x1, op, "x1")
    a, b = matched(a, expect_beside(x2, a, op, "x2"), op)
    a, b = (a, b) if a.shape == b.shape else broadcast_tensors(a, b)
    expect_number(eps, op, "eps")
    return sum(mul(*(div(t, clamp(norm(t, 2, dim, True), min=eps)) for t in (a, b))), dim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances of all pairs of rows, in the order of the upper triangle: (N, M) to (N (N - 1) / 2,)
    (`torch.nn.functional.pdist`).

    >>> import fastdl
    >>> pdist(fastdl.tensor([[0.0], [3.0], [4.0]])).tolist()
    [3.0, 4.0, 1.0]
    """
    x = expect_tensor(input, "pdist")
    if x.ndim != 2:
        raise ValueError(f"[pdist] expected a matrix, got shape {x.shape}")
    rows, columns = triu_indices(x.shape[0], x.shape[0], 1, device=x.device)
    return index_select(reshape(cdist(x, x, p), -1), 0, add(mul(rows, x.shape[0]), columns))


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 A x2 + b: (*, n), (*, m) and weight (k, n, m) to (*, k) (`torch.nn.functional.bilinear`).

    Raises:
        ValueError: for shapes that do not fit.
    """
    op = "bilinear"
    x = expect_tensor(input1, op, "input1")
    y, w = expect_beside(input2, x, op, "input2"), expect_beside(weight, x, op, "weight")
    if w.ndim != 3 or x.shape[-1:] != w.shape[1:2] or y.shape[-1:] != w.shape[2:] or x.shape[:-1] != y.shape[:-1]:
        shapes = f"{x.shape}, {y.shape} and {w.shape}"
        raise ValueError(f"[{op}] expected inputs (*, n), (*, m) and weight (k, n, m), got shapes {shapes}")
    k, n, m = w.shape
    rows, columns = reshape(x, -1, n), reshape(y, -1, m)
    pairs = reshape(matmul(rows, reshape(permute(w, 1, 0, 2), n, k * m)), -1, k, m)
    out = reshape(sum(mul(pairs, reshape(columns, -1, 1, m)), 2), (*x.shape[:-1], k))
    return out if bias is None else add(out, expect_beside(bias, x, op, "bias"))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of (N, C, *) dealt out over the groups: channel i of group g becomes i * groups + g
    (`torch.nn.functional.channel_shuffle`; Zhang et al., 2018).

    >>> import fastdl
    >>> channel_shuffle(fastdl.arange(4).reshape(1, 4, 1), 2)[0, :, 0].tolist()
    [0, 2, 1, 3]
    """
    x, g = expect_tensor(input, "channel_shuffle"), expect_int(groups, "channel_shuffle", "groups")
    if x.ndim < 3 or g < 1 or x.shape[1] % g:
        raise ValueError(f"[channel_shuffle] expected (N, C, *) with C a multiple of groups, got {x.shape} and {g}")
    apart = reshape(x, (x.shape[0], g, x.shape[1] // g, math.prod(x.shape[2:])))
    return reshape(transpose(apart, 1, 2), x.shape)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None,
) -> Tensor:  # fmt: skip
    """softmax(query key^T scale + mask) value (`torch.nn.functional.scaled_dot_product_attention`; Vaswani et al.,
    2017).

    Shapes: query (*, L, E), key (*, S, E), value (*, S, F); output (*, L, F). `attn_mask` broadcasts to (*, L, S):
    True where a key may be looked at, or numbers to add. `is_causal` hides later keys. `scale` is 1 / sqrt(E) by
    default. Dropout acts on the attention whenever `dropout_p` is above 0.

    Raises:
        ValueError: for both a mask and `is_causal`.

    >>> import fastdl
    >>> x = fastdl.eye(2)
    >>> scaled_dot_product_attention(x, x, fastdl.tensor([[1.0], [2.0]]), is_causal=True)[0].tolist()
    [1.0]
    """
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale)[0]


def attend(
    query: Any, key: Any, value: Any, mask: Any, dropout_p: float, is_causal: bool, scale: float | None
) -> tuple[Tensor, Tensor]:
    """The result, and the share of each key in it."""
    op = "scaled_dot_product_attention"
    q = expect_tensor(query, op, "query")
    k, v = expect_beside(key, q, op, "key"), expect_beside(value, q, op, "value")
    if is_causal and mask is not None:
        raise ValueError(f"[{op}] expected attn_mask or is_causal, got both")
    if q.ndim < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(f"[{op}] expected (*, L, E), (*, S, E), (*, S, F), got {q.shape}, {k.shape} and {v.shape}")
    if is_causal:
        mask = tensor(np.tri(q.shape[-2], k.shape[-2], dtype=bool), device=q.device)
    scores = product(mul(q, 1 / math.sqrt(q.shape[-1]) if scale is None else scale), k, trans_b=True)
    if mask is not None:
        m = expect_beside(mask, q, op, "attn_mask")
        scores = where(m, scores, -math.inf) if m.dtype.name == "bool" else add(scores, m)
    share = softmax(scores, -1)
    return matmul(dropout(share, dropout_p) if dropout_p > 0 else share, v), share
