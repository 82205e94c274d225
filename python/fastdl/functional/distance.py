"""Distances: between all rows of two sets (cdist), and between rows in pairs (pairwise_distance)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Node, fresh, record, recording
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_tensor, flag
from .arithmetic import add, sub
from .layout import expand, reshape, unsqueeze
from .statistics import norm

Array = Any
# scipy.spatial.distance has two names for Manhattan's.
_METRICS = {
    "euclidean": "euclidean", "cityblock": "manhattan", "manhattan": "manhattan", "chebyshev": "chebyshev",
    "minkowski": "minkowski", "canberra": "canberra", "hamming": "hamming",
}  # fmt: skip


def _metric_of(metric: Any, p: Any, op: str) -> tuple[str, float]:
    """The backend's name of a metric; without one that of PyTorch's p."""
    expect_number(p, op, "p")
    if metric is not None:
        if metric not in _METRICS:
            raise ValueError(f"[{op}] expected metric {', '.join(_METRICS)}, got {metric}")
        return _METRICS[metric], float(p)
    if not p >= 0:
        raise ValueError(f"[{op}] expected p of at least 0, got {p}")
    names = {0.0: "hamming", 1.0: "manhattan", 2.0: "euclidean", math.inf: "chebyshev"}
    return names.get(float(p), "minkowski"), float(p)


@fresh
def _cdist_bwd(node: Node, g: Array) -> list[Array | None]:
    k, (x, y, out, metric, p) = node.backend, node.saved
    grad_x = k.cdist_bwd(g, out, x, y, metric, p, False) if node.needs(0) else None
    grad_y = k.cdist_bwd(g, out, y, x, metric, p, True) if node.needs(1) else None
    return [grad_x, grad_y]


def _distances(x: Tensor, y: Tensor, metric: str, p: float) -> Tensor:
    """x (B, P, M), y (B, R, M) -> (B, P, R)."""
    k = x._backend
    out = Tensor(k.cdist(x._array, y._array, metric, p), k)
    if recording(x, y):
        record(out, _cdist_bwd, (x, y), (x._array, y._array, out._array, metric, p))
    return out


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
    *,
    metric: str | None = None,
) -> Tensor:
    """Distances between all rows of two sets (`torch.cdist`, `scipy.spatial.distance.cdist`).

    Shapes: x1 (..., P, M), x2 (..., R, M), whose leading axes broadcast; output (..., P, R). `p` is that of
    Minkowski's distance: 1 Manhattan, 2 Euclidean, infinity Chebyshev, 0 the number of columns that differ. `metric`
    names one instead: "euclidean", "cityblock" or "manhattan", "chebyshev", "minkowski" (with p), "canberra",
    "hamming" (a count here). `compute_mode` is taken and changes nothing: Euclidean distances of many rows go by way of
    a product, and close pairs, whose digits that would lose, by their differences.

    The gradient at distance 0 is 0; Chebyshev's goes to all columns that reach the maximum.

    Raises:
        TypeError: for arguments that are not Tensors of one float dtype.
        ValueError: for shapes that do not fit, a negative p or an unknown metric.

    >>> import fastdl
    >>> cdist(fastdl.tensor([[0.0, 0.0], [3.0, 0.0]]), fastdl.tensor([[3.0, 4.0]])).tolist()
    [[5.0], [4.0]]
    """
    op = "cdist"
    x = expect_tensor(x1, op, "x1")
    y = expect_beside(x2, x, op, "x2")
    name, power = _metric_of(metric, p, op)
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"[{op}] expected compute_mode {', '.join(modes)}, got {compute_mode}")
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"[{op}] expected x1 and x2 with at least 2 dimensions, got shapes {x.shape} and {y.shape}")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"[{op}] expected x2 with rows of {x.shape[-1]} columns, got shape {y.shape}")
    try:
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise ValueError(f"[{op}] expected leading axes that broadcast, got {x.shape} and {y.shape}") from None
    flat = []
    for t in (x, y):
        whole = t if t.shape[:-2] == lead else expand(t, (*lead, *t.shape[-2:]))
        flat.append(whole if len(lead) == 1 else reshape(whole, (math.prod(lead), *t.shape[-2:])))
    out = _distances(flat[0], flat[1], name, power)
    return reshape(out, (*lead, *out.shape[1:])) if len(lead) != 1 else out


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last axis (`torch.nn.functional.pairwise_distance`); both broadcast.

    >>> import fastdl
    >>> round(pairwise_distance(fastdl.tensor([[3.0, 0.0]]), fastdl.tensor([[0.0, 4.0]])).item(), 4)
    5.0
    """
    op = "pairwise_distance"
    x = expect_tensor(x1, op, "x1")
    y = expect_beside(x2, x, op, "x2")
    expect_number(eps, op, "eps")
    name, power = _metric_of(None, p, op)
    d = add(sub(x, y), eps)
    if d.ndim == 0:
        raise ValueError(f"[{op}] expected x1 and x2 with at least 1 dimension, got shape ()")
    if power == 2:
        return norm(d, 2, -1, flag(keepdim, op, "keepdim"))
    # The distances of all rows from the origin: rows of lanes.
    rows = reshape(d, (1, math.prod(d.shape[:-1]), d.shape[-1]))
    origin = Tensor(d._backend.empty((1, 1, d.shape[-1]), d.dtype.name), d._backend)
    d._backend.fill_(origin._array, 0)
    out = reshape(_distances(origin, rows, name, power), d.shape[:-1])
    return unsqueeze(out, -1) if flag(keepdim, op, "keepdim") else out
