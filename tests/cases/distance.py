"""Distance matrices and their gradients."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def rows(rng, x, y, **_):
    return [rng.standard_normal(x), rng.standard_normal(y)]


METRICS = [
    {"p": 2.0}, {"p": 1.0}, {"p": float("inf")}, {"p": 3.0}, {"p": 4.0}, {"p": 1.5}, {"p": 2.7},
    {"metric": "canberra"}, {"metric": "minkowski", "p": 2.0},
]  # fmt: skip
SHAPES = [{"x": (3, 4), "y": (5, 4)}, {"x": (7, 17), "y": (33, 17)}, {"x": (2, 9, 3), "y": (2, 70, 3)}]
EDGES = [
    {"x": (1, 1), "y": (1, 1)}, {"x": (0, 3), "y": (4, 3)}, {"x": (4, 3), "y": (0, 3)}, {"x": (3, 0), "y": (2, 0)},
    {"x": (3, 1, 5, 2), "y": (2, 6, 2)}, {"x": (65, 14), "y": (130, 14)}, {"x": (300, 9), "y": (500, 9)},
]  # fmt: skip


# Euclidean distances go by way of products from so many rows and columns on.
PRODUCTS = [
    {"x": (32, 24), "y": (32, 24)}, {"x": (31, 32), "y": (33, 32)}, {"x": (127, 31), "y": (65, 31)},
    {"x": (2, 33, 64), "y": (2, 47, 64)}, {"x": (113, 67), "y": (515, 67)}, {"x": (40, 260), "y": (35, 260)},
]  # fmt: skip


def mixed(rng, x, y, **_):
    """Rows far from 0; some of y near rows of x, equal to them or twins of each other."""
    a, b = rng.standard_normal(x) + 30, rng.standard_normal(y) + 30
    b[::5] = a[: len(b[::5])]
    b[1::5] = a[: len(b[1::5])] + rng.standard_normal(a[: len(b[1::5])].shape) / 64
    return [a, b]


def same(device, shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


BAD = [
    BadCall(lambda d: F.cdist(same(d, (2, 3)), same(d, (2, 4))), ValueError,
            "[cdist] expected x2 with rows of 3 columns, got shape (2, 4)"),
    BadCall(lambda d: F.cdist(same(d, (3,)), same(d, (2, 3))), ValueError,
            "[cdist] expected x1 and x2 with at least 2 dimensions, got shapes (3,) and (2, 3)"),
    BadCall(lambda d: F.cdist(same(d, (2, 3)), same(d, (2, 3)), -1.0), ValueError,
            "[cdist] expected p of at least 0, got -1.0"),
    BadCall(lambda d: F.cdist(same(d, (2, 3)), same(d, (2, 3)), metric="cosine"), ValueError,
            "[cdist] expected metric euclidean, cityblock, manhattan, chebyshev, minkowski, canberra, hamming, "
            "got cosine"),
    BadCall(lambda d: F.cdist(same(d, (2, 3)), same(d, (2, 3)), float("inf"), metric="minkowski"), ValueError,
            "[cdist] expected a finite p above 0, got inf"),
    BadCall(lambda d: F.cdist(same(d, (2, 3)), same(d, (2, 3), "float64")), TypeError,
            "[cdist] expected y of dtype float32, got float64"),
    BadCall(lambda d: F.cdist(same(d, (2, 3), "int64"), same(d, (2, 3), "int64")), TypeError,
            "[cdist] expected x of dtype float32 or float64, got int64"),
]  # fmt: skip
CASES = [
    OpCase("cdist", F.cdist, rows, [{**s, **m} for s in SHAPES for m in METRICS] + EDGES + PRODUCTS, BAD, epsilons=96,
           shape_only=("x", "y"), gradcheck_sizes=[{**SHAPES[0], **m} for m in METRICS],
           flops=lambda x, y, **_: 3.0 * x.shape[-2] * y.shape[-2] * x.shape[-1]),
    OpCase("cdist, near rows", F.cdist, mixed, PRODUCTS[:3] + PRODUCTS[4:], epsilons=96, shape_only=("x", "y")),
    OpCase("hamming", lambda x, y: F.cdist(F.relu(x), F.relu(y), 0.0), rows, SHAPES, differentiable=[],
           shape_only=("x", "y")),
    OpCase("pairwise_distance", F.pairwise_distance, rows,
           [{"x": (9, 5), "y": (9, 5), "p": p} for p in (1.0, 2.0, 3.0, float("inf"))]
           + [{"x": (4, 1, 17), "y": (3, 17), "keepdim": True}, {"x": (6,), "y": (6,)}, {"x": (0, 6), "y": (6,)}],
           shape_only=("x", "y"), epsilons=64),
]  # fmt: skip
