"""Order along an axis: sorting, the first k, the k-th, medians; searches in sorted sequences; equal numbers."""

import numpy as np

import fastdl
from fastdl.functional import searching, sorting
from fastdl.testing import BadCall, OpCase


def numbers(rng, shape, dtype="float64", few=False, nan=False, **_):
    """few: many equals; nan: NaN, infinities and both zeros among them."""
    if few:
        x = rng.integers(-3, 4, shape) * 0.5
    elif dtype == "float64":
        x = rng.standard_normal(shape)
    else:
        x = rng.integers(-1000, 1000, shape)
    if nan:
        x = np.where(rng.random(shape) < 0.3, rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape), x)
    return [np.asarray(x).astype(dtype)]


# Networks serve lines of up to 32 (16 of 8-byte numbers) times the lanes, insertion up to 48; from 131,072 on all
# threads sort one line, in chunks of 32,768.
LINES = [
    {"shape": (3, 5), "dim": 1},
    {"shape": (17, 16), "dim": -1},
    {"shape": (9, 33, 5), "dim": 1},
    {"shape": (64, 31), "dim": 0},
    {"shape": (3, 130), "dim": 1},
    {"shape": (2, 300, 19), "dim": 1},
    {"shape": (3, 1000), "dim": 1, "few": True},
    {"shape": (4, 70), "dim": 1, "nan": True},
    {"shape": (2, 500), "dim": 1, "nan": True},
    {"shape": (2, 9000), "dim": 1},
    {"shape": (2, 1500, 3), "dim": 1, "nan": True},
    {"shape": (1, 16_500), "dim": 1},
    {"shape": (140_000,), "dim": 0},
    {"shape": (7, 1), "dim": 1},
    {"shape": (), "dim": -1},
    {"shape": (3, 40), "dim": 1, "dtype": "int32"},
    {"shape": (3, 300), "dim": 1, "dtype": "int64"},
    {"shape": (300, 3), "dim": 0, "dtype": "uint8"},
]
EMPTY = [{"shape": (0, 3), "dim": 0}, {"shape": (3, 0), "dim": 0}]
BOOLS = [{"shape": (3, 50), "dim": 1, "dtype": "bool"}, {"shape": (3, 400), "dim": 1, "dtype": "bool"}]
SORTS = [
    *LINES, *EMPTY, *BOOLS,
    {"shape": (5, 40), "dim": 1, "descending": True, "few": True},
    {"shape": (3, 700), "dim": 1, "descending": True, "nan": True},
    {"shape": (3, 700), "dim": 1, "descending": True, "stable": True, "dtype": "int64"},
]  # fmt: skip


def size_along(a):
    return a["shape"][a["dim"]] if a["shape"] else 1


TOPKS = [{**a, "k": max(1, size_along(a) // 4)} for a in LINES] + [
    {**EMPTY[0], "k": 0},
    {**EMPTY[1], "k": 2},
    {"shape": (4, 9), "dim": 1, "k": 0},
    {"shape": (4, 9), "dim": 1, "k": 9},
    {"shape": (3, 1000), "dim": 1, "k": 5, "largest": False},
    {"shape": (3, 1000), "dim": 1, "k": 5, "few": True},
    {"shape": (2, 1000), "dim": 1, "k": 140, "few": True, "largest": False},
    {"shape": (2, 1000), "dim": 1, "k": 700, "sorted": False},
    {"shape": (2, 3000), "dim": 1, "k": 1100, "few": True},
    {"shape": (3, 20_000), "dim": 1, "k": 200},
    {"shape": (150_000,), "dim": 0, "k": 100, "nan": True},
]
KTHS = [{**a, "k": max(1, size_along(a) // 3)} for a in LINES] + [
    {"shape": (3, 0), "dim": 0, "k": 2},
    {"shape": (3, 50), "dim": 1, "k": 50, "keepdim": True},
    {"shape": (4, 60), "dim": 0, "k": 1},
]
MEDIANS = [*LINES, EMPTY[1], {"shape": (4, 6), "dim": 0, "keepdim": True}]
ALL = [{"shape": (3, 5)}, {"shape": (1,)}, {"shape": (0,)}, {"shape": (40, 300)}, {"shape": (30, 7), "few": True},
       {"shape": (4, 5), "nan": True}, {"shape": (3, 7), "dtype": "int32"}]  # fmt: skip


def sequences(rng, shape, others, dtype="float64", few=False, nan=False, **_):
    (s,) = numbers(rng, shape, dtype, few, nan)
    return [np.sort(s, -1), *numbers(rng, others, dtype, few, nan)]


SEARCHES = [
    {"shape": (9,), "others": (4, 5)},
    {"shape": (1,), "others": (3,)},
    {"shape": (0,), "others": (3,)},
    {"shape": (3, 20), "others": (3, 33), "right": True},
    {"shape": (2, 3, 8), "others": (2, 3, 0)},
    {"shape": (100,), "others": (9000,), "few": True},
    {"shape": (100,), "others": (50,), "few": True, "side": "right"},
    {"shape": (100,), "others": (50,), "nan": True, "out_int32": True},
    {"shape": (100,), "others": (50,), "dtype": "int32"},
    {"shape": (100,), "others": (50,), "dtype": "uint8", "right": True},
]
UNIQUE = [
    {"shape": (5, 8), "few": True, "return_inverse": True, "return_counts": True},
    {"shape": (400,), "few": True, "return_counts": True},
    {"shape": (0,), "return_inverse": True, "return_counts": True},
    {"shape": (20,), "nan": True, "return_inverse": True},
    {"shape": (3, 7), "dtype": "int64"},
    {"shape": (90,), "dtype": "bool", "return_counts": True},
]
QUANTILES = [
    {"shape": (4, 7), "q": 0.3, "dim": 1},
    {"shape": (5,), "q": 0.5, "interpolation": "midpoint"},
    {"shape": (3, 4, 5), "q": 0.25, "dim": 1, "keepdim": True},
    {"shape": (3, 4), "q": 0.9, "keepdim": True, "interpolation": "nearest"},
    {"shape": (3, 4, 6), "q": 0.6, "dim": 2, "interpolation": "lower"},
    {"shape": (40, 3), "q": 1.0, "dim": 0, "interpolation": "higher"},
    {"shape": (3, 9), "q": 0.5, "dim": 1, "nan": True},
]


def array(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


BAD_SORTS = [
    BadCall(lambda d: sorting.sort(np.zeros(3)), TypeError, "[sort] expected a Tensor for input, got ndarray"),
    BadCall(lambda d: array(d, 3).sort(1), IndexError, "[sort] expected dim in [-1, 0], got 1"),
    BadCall(lambda d: array(d, 3).sort(0, None), TypeError, "[sort] expected a bool for descending, got NoneType"),
    BadCall(lambda d: array(d, 3).argsort(-2), IndexError, "[argsort] expected dim in [-1, 0], got -2"),
]
BAD_TOPKS = [
    BadCall(lambda d: array(d, 2, 3).topk(4), ValueError, "[topk] expected k from 0 to 3, got 4"),
    BadCall(lambda d: array(d, 2, 3).topk(-1), ValueError, "[topk] expected k from 0 to 3, got -1"),
    BadCall(lambda d: array(d, 2, 3).topk(1.0), TypeError, "[topk] expected an int for k, got float"),
    BadCall(lambda d: array(d, 3, dtype="bool").topk(1), TypeError,
            "[topk] expected input of dtype float32, float64, int32, int64 or uint8, got bool"),
]  # fmt: skip
BAD_KTHS = [
    BadCall(lambda d: array(d, 2, 3).kthvalue(0), ValueError, "[kthvalue] expected k from 1 to 3, got 0"),
    BadCall(lambda d: array(d, 2, 3).kthvalue(4), ValueError, "[kthvalue] expected k from 1 to 3, got 4"),
    BadCall(lambda d: array(d, 0).kthvalue(1), IndexError,
            "[kthvalue] expected at least one element along the axis, got shape (0,)"),
    BadCall(lambda d: array(d, 3, dtype="bool").kthvalue(1), TypeError,
            "[kthvalue] expected input of dtype float32, float64, int32, int64 or uint8, got bool"),
]  # fmt: skip
BAD_MEDIANS = [
    BadCall(lambda d: array(d, 0, 2).median(0), IndexError,
            "[median] expected at least one element along the axis, got shape (0, 2)"),
    BadCall(lambda d: array(d, 3, dtype="bool").nanmedian(0), TypeError,
            "[nanmedian] expected input of dtype float32, float64, int32, int64 or uint8, got bool"),
]  # fmt: skip
BAD_SEARCHES = [
    BadCall(lambda d: fastdl.searchsorted(array(d, 2, 3), array(d, 3, 3)), ValueError,
            "[searchsorted] expected input of shape (2, 3) except along the last axis, got shape (3, 3)"),
    BadCall(lambda d: fastdl.searchsorted(array(d, 3), array(d, 3), side="middle"), ValueError,
            "[searchsorted] expected side left or right, got middle"),
    BadCall(lambda d: fastdl.searchsorted(array(d), array(d, 3)), ValueError,
            "[searchsorted] expected sorted_sequence with at least 1 dimension, got shape ()"),
    BadCall(lambda d: fastdl.bucketize(array(d, 3), array(d, 2, 2)), ValueError,
            "[bucketize] expected boundaries with 1 dimensions, got shape (2, 2)"),
]  # fmt: skip
BAD_QUANTILES = [
    BadCall(lambda d: array(d, 3).quantile(1.5), ValueError, "[quantile] expected q between 0 and 1, got 1.5"),
    BadCall(lambda d: array(d, 3, dtype="int64").quantile(0.5), TypeError,
            "[quantile] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: array(d, 0).quantile(0.5), ValueError,
            "[quantile] expected input with at least one element along the axis, got shape (0,)"),
    BadCall(lambda d: array(d, 3).quantile(0.5, interpolation="cubic"), ValueError,
            "[quantile] expected interpolation linear, lower, higher, midpoint, nearest, got cubic"),
]  # fmt: skip
ARGUMENTS = ("shape", "dtype", "few", "nan", "others")


def moved(x, **_):
    """Numbers in; numbers and int64 indices out."""
    return 2.0 * x.nbytes + 8.0 * x.size


def read(x, **_):
    return 1.0 * x.nbytes


CASES = [
    OpCase("sort", sorting.sort, numbers, SORTS, BAD_SORTS, shape_only=ARGUMENTS, bytes=moved),
    OpCase("argsort", sorting.argsort, numbers, SORTS, differentiable=[], shape_only=ARGUMENTS,
           bytes=lambda x, **_: x.nbytes + 8.0 * x.size),
    OpCase("msort", sorting.msort, numbers, [{"shape": (5, 4)}], shape_only=ARGUMENTS),
    OpCase("topk", sorting.topk, numbers, TOPKS, BAD_TOPKS, shape_only=ARGUMENTS, bytes=read),
    OpCase("kthvalue", sorting.kthvalue, numbers, KTHS, BAD_KTHS, shape_only=ARGUMENTS, bytes=read),
    OpCase("median", sorting.median, numbers, MEDIANS, BAD_MEDIANS, shape_only=ARGUMENTS, bytes=read),
    OpCase("median of all", sorting.median, numbers, ALL, shape_only=ARGUMENTS, bytes=read),
    OpCase("nanmedian", sorting.nanmedian, numbers, MEDIANS, shape_only=ARGUMENTS, bytes=read),
    OpCase("nanmedian of all", sorting.nanmedian, numbers, ALL, shape_only=ARGUMENTS, bytes=read),
    OpCase("searchsorted", searching.searchsorted, sequences, SEARCHES, BAD_SEARCHES, differentiable=[],
           shape_only=ARGUMENTS),
    OpCase("bucketize", lambda s, x: searching.bucketize(x, s), sequences, SEARCHES[:1], differentiable=[],
           shape_only=ARGUMENTS),
    OpCase("unique", searching.unique, numbers, UNIQUE, differentiable=[], shape_only=ARGUMENTS),
    OpCase("quantile", searching.quantile, numbers, QUANTILES, BAD_QUANTILES, shape_only=ARGUMENTS),
]  # fmt: skip
