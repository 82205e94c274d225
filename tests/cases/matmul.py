"""Products of matrices, and the linear layer."""

import fastdl
import fastdl.functional as F
from fastdl.functional.product import product
from fastdl.testing import BadCall, OpCase


def operands(rng, a, b, **_):
    return [rng.standard_normal(a), rng.standard_normal(b)]


def transposable(rng, m, n, k, trans_a, trans_b):
    return [rng.standard_normal((k, m) if trans_a else (m, k)), rng.standard_normal((n, k) if trans_b else (k, n))]


def layer(rng, x, out, bias=True, **_):
    weight = [rng.standard_normal(x), rng.standard_normal((out, x[-1]))]
    return [*weight, rng.standard_normal(out)] if bias else weight


def flops(a, b, trans_a=False, trans_b=False, **_):
    m = a.shape[-1] if trans_a else a.shape[-2]
    return 2.0 * a.size * (b.shape[-2] if trans_b else b.shape[-1]) if m else 0.0


def linear_flops(x, weight, *bias, **_):
    return 2.0 * x.size * weight.shape[0]


def traffic(*arrays, **_):
    return float(sum(a.nbytes for a in arrays))


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


EDGES = [(1, 1, 1), (6, 16, 7), (14, 32, 33), (15, 33, 17), (13, 31, 16), (29, 65, 5), (1, 40, 64), (40, 1, 64),
         (64, 64, 1), (100, 130, 70), (3, 200, 300), (2, 40, 17), (15, 520, 33),
         (16, 10, 1024), (9, 12, 1100), (30, 250, 20), (20, 100, 36)]  # fmt: skip
CASES = [
    OpCase("matmul", fastdl.matmul, operands, [
        {"a": (3, 4), "b": (4, 5)},
        {"a": (2, 3, 4), "b": (2, 4, 5)},
        {"a": (2, 3, 4), "b": (4, 5)},
        {"a": (3, 4), "b": (2, 4, 5)},
        {"a": (2, 1, 3, 4), "b": (5, 4, 2)},
        {"a": (4,), "b": (4,)},
        {"a": (4,), "b": (2, 4, 3)},
        {"a": (2, 3, 4), "b": (4,)},
        {"a": (0, 4), "b": (4, 5)},
        {"a": (3, 0), "b": (0, 5)},
        {"a": (17, 50), "b": (50, 33)},
    ], [
        BadCall(lambda d: fastdl.matmul(on(d, 2, 3), on(d, 2, 3)), ValueError,
                "[matmul] expected equal inner sizes (trans_a=False, trans_b=False), got shapes (2, 3) and (2, 3)"),
        BadCall(lambda d: fastdl.matmul(on(d), on(d, 2, 3)), ValueError,
                "[matmul] expected operands with at least 1 dimension, got shapes () and (2, 3)"),
        BadCall(lambda d: fastdl.matmul(on(d, 2, 2, 3), on(d, 3, 3, 3)), ValueError,
                "[matmul] expected leading axes that broadcast, got shapes (2, 2, 3) and (3, 3, 3)"),
        BadCall(lambda d: fastdl.matmul(on(d, 2, 3, dtype="int64"), on(d, 3, 3, dtype="int64")), TypeError,
                "[matmul] expected a of dtype float32 or float64, got int64"),
        BadCall(lambda d: fastdl.matmul(on(d, 2, 3), None), TypeError,
                "[matmul] expected a Tensor for other, got NoneType"),
    ], shape_only=("a", "b"), flops=flops, bytes=traffic),
    OpCase("matmul_transposed", product, transposable, [
        {"m": m, "n": n, "k": k, "trans_a": ta, "trans_b": tb}
        for m, n, k in EDGES for ta in (False, True) for tb in (False, True)
    ], shape_only=("m", "n", "k"), flops=flops),
    OpCase("linear", F.linear, layer, [
        {"x": (3, 4), "out": 5},
        {"x": (4,), "out": 5},
        {"x": (2, 3, 17), "out": 33},
        {"x": (5, 7), "out": 6, "bias": False},
        {"x": (0, 4), "out": 2},
        {"x": (128, 256), "out": 10},
    ], [
        BadCall(lambda d: F.linear(on(d, 2, 3), on(d, 4, 2)), ValueError,
                "[linear] expected weight of shape (out, 3), got shape (4, 2)"),
        BadCall(lambda d: F.linear(on(d, 2, 3), on(d, 4, 3), on(d, 3)), ValueError,
                "[linear] expected bias of shape (4,), got shape (3,)"),
        BadCall(lambda d: F.linear(on(d, 2, 3), on(d, 4)), ValueError,
                "[linear] expected weight with 2 dimensions, got shape (4,)"),
        BadCall(lambda d: F.linear(None, on(d, 4, 3)), TypeError, "[linear] expected a Tensor for input, got NoneType"),
    ], shape_only=("x", "out", "bias"), flops=linear_flops, bytes=traffic),
]  # fmt: skip
