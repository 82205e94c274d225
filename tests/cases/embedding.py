"""Lookups in a table, singly and in bags, and the gradients that go back."""

import numpy as np

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def lookups(rng, rows, width, index, dtype="int64", **_):
    return [rng.standard_normal((rows, width)), rng.integers(0, rows, index).astype(dtype)]


def bags(rng, rows, width, sizes, weighted=False, rest=0, padding_idx=None, **_):
    """Table, lookups and offsets of bags of the given sizes; `rest` lookups after the last bag."""
    total = sum(sizes)
    table = rng.permutation(rows * width).reshape(rows, width) / 16.0 - rows * width / 32.0  # distinct, for maxima
    index = rng.integers(0, rows, total + rest)
    if padding_idx is not None and total:
        index[::3] = padding_idx
    arrays = [table, index, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)]
    return [*arrays, rng.standard_normal(total + rest)] if weighted else arrays


def embedding(weight, index, **attributes):
    return F.embedding(index, weight, **attributes)


def touched(weight, index, padding_idx=-1, by_frequency=False):
    """The gradient of rows, from the table's own rows as gradients."""
    k = weight._backend
    grads = k.embedding(weight._array, index._array)
    found = k.embedding_bwd_rows(grads, index._array, weight.shape[0], padding_idx, by_frequency)
    return [fastdl.Tensor(a, k) for a in found]


def renormed(weight, index, max_norm, norm_type=2.0):
    copy = weight.detach().clone()
    return [F.embedding(index, copy, max_norm=max_norm, norm_type=norm_type), copy]


def embedding_bag(weight, index, offsets, per_sample_weights=None, **attributes):
    return F.embedding_bag(index, weight, offsets, per_sample_weights=per_sample_weights, include_last_offset=True,
                           **attributes)  # fmt: skip


SIZES = [
    {"rows": 5, "width": 3, "index": (2, 4)},
    {"rows": 7, "width": 1, "index": (40,)},
    {"rows": 300, "width": 17, "index": (3, 5, 7), "dtype": "int32"},
    {"rows": 1, "width": 16, "index": (9,)},
    {"rows": 4, "width": 15, "index": ()},
    {"rows": 3, "width": 33, "index": (0, 2)},
    {"rows": 9, "width": 0, "index": (3,)},
    {"rows": 5000, "width": 14, "index": (50,), "padding_idx": -1},
    {"rows": 12, "width": 130, "index": (300,), "padding_idx": 3},
    {"rows": 12, "width": 7, "index": (100,), "scale_grad_by_freq": True},
    {"rows": 3000, "width": 2, "index": (70_000,), "scale_grad_by_freq": True, "padding_idx": 0},
    {"rows": 900, "width": 4, "index": (9000,), "scale_grad_by_freq": True, "padding_idx": 7},
    {"rows": 3, "width": 4, "index": (5000,)},
    {"rows": 50_000, "width": 128, "index": (500,)},
]
TOUCHED = [
    {"rows": 5, "width": 3, "index": (8,)},
    {"rows": 200, "width": 33, "index": (0,)},
    {"rows": 70_000, "width": 17, "index": (300,), "padding_idx": 5},
    {"rows": 4, "width": 16, "index": (50,), "padding_idx": 1, "by_frequency": True},
    {"rows": 700, "width": 2, "index": (5000,), "padding_idx": 0},
]
RENORM = [
    {"rows": 6, "width": 5, "index": (9,), "max_norm": 1.5},
    {"rows": 40, "width": 33, "index": (20,), "max_norm": 2.0, "norm_type": 1.0},
    {"rows": 40, "width": 16, "index": (20,), "max_norm": 1.0, "norm_type": float("inf")},
    {"rows": 40, "width": 7, "index": (20,), "max_norm": 1.0, "norm_type": 3.0},
]
BAGS = [
    {"rows": 5, "width": 3, "sizes": (2, 0, 3), "mode": mode} for mode in ("sum", "mean", "max")
] + [
    {"rows": 9, "width": 17, "sizes": (4, 1, 7), "mode": mode, "padding_idx": 2, "rest": 2}
    for mode in ("sum", "mean", "max")
] + [
    {"rows": 30, "width": 130, "sizes": (20,) * 6, "mode": "mean", "scale_grad_by_freq": True},
    {"rows": 30, "width": 70, "sizes": (3, 90), "mode": "max"},
    {"rows": 3, "width": 4, "sizes": (), "mode": "sum"},
    {"rows": 3, "width": 4, "sizes": (0, 0), "mode": "max"},
    {"rows": 2000, "width": 33, "sizes": (50,) * 60, "mode": "mean"},
    {"rows": 40, "width": 136, "sizes": (90, 0, 31), "mode": "mean", "padding_idx": 3, "rest": 1},
    {"rows": 40, "width": 5, "sizes": (90, 3, 41), "mode": "sum"},
]  # fmt: skip
WEIGHTED = [
    {"rows": 5, "width": 3, "sizes": (2, 0, 3), "weighted": True},
    {"rows": 9, "width": 33, "sizes": (1, 14), "weighted": True, "padding_idx": 4, "rest": 3},
    {"rows": 9, "width": 8, "sizes": (70, 7), "weighted": True, "padding_idx": 4},
]


def table(device, rows=3, width=2, dtype="float32"):
    return fastdl.zeros(rows, width, dtype=dtype, device=device)


def ints(device, *values):
    return fastdl.tensor(list(values), dtype="int64", device=device)


BAD = [
    BadCall(lambda d: F.embedding(ints(d, 0, 3), table(d)), IndexError,
            "[embedding] expected indices in [0, 3), got 3 at position 1"),
    BadCall(lambda d: F.embedding(ints(d, -1), table(d)), IndexError,
            "[embedding] expected indices in [0, 3), got -1 at position 0"),
    BadCall(lambda d: F.embedding(fastdl.ones(2, device=d), table(d)), TypeError,
            "[embedding] expected index of dtype int32 or int64, got float32"),
    BadCall(lambda d: F.embedding(ints(d, 0), table(d, dtype="int64")), TypeError,
            "[embedding] expected weight of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.embedding(ints(d, 0), fastdl.ones(2, device=d)), ValueError,
            "[embedding] expected weight with 2 dimensions, got shape (2,)"),
    BadCall(lambda d: F.embedding(ints(d, 0), table(d), padding_idx=3), ValueError,
            "[embedding] expected padding_idx within the 3 rows of weight, got 3"),
    BadCall(lambda d: F.embedding(ints(d, 0), table(d), max_norm=-1.0), ValueError,
            "[embedding_renorm_] expected max_norm of at least 0, got -1"),
    BadCall(lambda d: F.embedding([0], table(d)), TypeError, "[embedding] expected a Tensor for input, got list"),
]  # fmt: skip
BAD_BAGS = [
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 5), table(d), ints(d, 0)), IndexError,
            "[embedding_bag] expected indices in [0, 3), got 5 at position 1"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 1), table(d), ints(d, 1)), ValueError,
            "[embedding_bag] expected offsets that begin with 0, got 1"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 1), table(d), ints(d, 0, 3)), ValueError,
            "[embedding_bag] expected ascending offsets up to 2, got 3 at position 1"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 1), table(d), ints(d, 0), mode="min"), ValueError,
            "[embedding_bag] expected mode sum, mean or max, got min"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 1), table(d), ints(d, 0), mode="max", sparse=True),
            NotImplementedError,
            "[embedding_bag] expected mode sum or mean with sparse or scale_grad_by_freq, got max"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0, 1), table(d), ints(d, 0),
                                      per_sample_weights=fastdl.ones(2, device=d)), ValueError,
            "[embedding_bag] expected mode sum with weights, got mean"),
    BadCall(lambda d: F.embedding_bag(ints(d, 0).reshape(1, 1), table(d), ints(d, 0)), ValueError,
            "[embedding_bag] expected no offsets for input with 2 dimensions, got some"),
]  # fmt: skip


def read_and_written(weight, index, **_):
    return 2.0 * index.size * weight.shape[1] * weight.itemsize


CASES = [
    OpCase("embedding", embedding, lookups, SIZES, BAD, shape_only=("rows", "width", "index", "dtype"),
           bytes=read_and_written),
    OpCase("embedding_bwd_rows", touched, lookups, TOUCHED, differentiable=[],
           shape_only=("rows", "width", "index")),
    OpCase("embedding_renorm", renormed, lookups, RENORM, differentiable=[], shape_only=("rows", "width", "index")),
    OpCase("embedding_bag", embedding_bag, bags, BAGS, BAD_BAGS, epsilons=64,
           shape_only=("rows", "width", "sizes", "rest")),
    OpCase("embedding_bag_weighted", lambda *t, **a: embedding_bag(*t, mode="sum", **a), bags, WEIGHTED, epsilons=64,
           shape_only=("rows", "width", "sizes", "rest", "weighted")),
]  # fmt: skip
