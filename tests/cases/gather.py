"""Elements chosen by indices and masks, sums by index, and coordinates."""

import numpy as np

import fastdl
import fastdl.functional.indexing as indexing
from fastdl.testing import BadCall, OpCase


def lines(rng, shape, dim, count, source=False, **_):
    dim %= len(shape)
    index = rng.integers(0, shape[dim], count) if shape[dim] else np.zeros(0, np.int64)
    arrays = [rng.standard_normal(shape), index]
    extra = tuple(count if i == dim else n for i, n in enumerate(shape))
    return [*arrays, rng.standard_normal(extra)] if source else arrays


def places(rng, shape, dim, index, source=False, distinct=False, **_):
    """An index of shape `index`; distinct: no place twice, so that a gradient check may scatter."""
    dim %= len(shape)
    if distinct:
        i = np.argsort(rng.random((*index[:dim], shape[dim], *index[dim + 1 :])), axis=dim)
        i = np.take(i, np.arange(index[dim]), dim)
    else:
        i = rng.integers(0, max(shape[dim], 1), index)
    arrays = [rng.standard_normal(shape), i]
    return [*arrays, rng.standard_normal(index)] if source else arrays


def numbers(rng, shape, **_):
    return [rng.standard_normal(shape)]


def chosen(x, item):
    """x[item], with arrays of items as NumPy arrays."""
    return x[item]


def assigned(x, item, value=-1.0):
    copy = x.detach().clone()
    copy[item] = value
    return copy


def zeros_of(rng, shape, dtype="bool", **_):
    return [(rng.random(shape) < 0.4).astype(dtype)]


LINES = [
    {"shape": (5, 3), "dim": 0, "count": 4},
    {"shape": (4, 5, 6), "dim": 1, "count": 9},
    {"shape": (7, 33), "dim": 0, "count": 50},
    {"shape": (3, 40), "dim": 1, "count": 70},
    {"shape": (30,), "dim": 0, "count": 100},
    {"shape": (5, 17), "dim": -1, "count": 0},
    {"shape": (0, 4), "dim": 0, "count": 0},
    {"shape": (600, 130), "dim": 0, "count": 900},
]
PLACES = [
    {"shape": (3, 4), "dim": 1, "index": (3, 6)},
    {"shape": (5, 4, 3), "dim": 0, "index": (7, 4, 3)},
    {"shape": (2, 5, 17), "dim": 1, "index": (2, 3, 17)},
    {"shape": (4, 50), "dim": -1, "index": (2, 9)},
    {"shape": (9,), "dim": 0, "index": (40,)},
    {"shape": (3, 0), "dim": 0, "index": (2, 0)},
    {"shape": (4, 9000), "dim": 0, "index": (6, 9000)},
    {"shape": (40, 1000), "dim": 1, "index": (40, 1001)},
    {"shape": (2, 2500), "dim": 1, "index": (2, 2500)},
    {"shape": (3, 900), "dim": 1, "index": (3, 20)},
]
UNIQUE = [{**a, "index": tuple(min(n, m) for n, m in zip(a["shape"], a["index"], strict=True)), "distinct": True}
          for a in PLACES]  # fmt: skip
SQUARE, J = np.array([[2, -1], [0, 1]]), np.array([1, 0])
MASK = np.array([[True, False, True], [False, False, True]])
ITEMS = [
    {"shape": (4, 3), "item": J},
    {"shape": (4, 3), "item": (SQUARE, J)},
    {"shape": (4, 3, 5), "item": (slice(None), SQUARE)},
    {"shape": (4, 3, 5), "item": (J, slice(1, None), J)},
    {"shape": (4, 3, 5), "item": (Ellipsis, J, slice(None, None, 2))},
    {"shape": (2, 3), "item": MASK},
    {"shape": (5, 2, 3), "item": (slice(1, 4), MASK)},
    {"shape": (2, 3, 4), "item": (MASK, J[:1])},
    {"shape": (4, 3), "item": (1, [2, 0, 2])},
    {"shape": (4, 3), "item": (None, [3], slice(None))},
    {"shape": (4, 3), "item": np.zeros(4, bool)},
    {"shape": (4, 3), "item": True},
    {"shape": (3, 4), "item": (slice(None), np.zeros((0, 2), np.int64))},
]
ASSIGNED = [a for i, a in enumerate(ITEMS) if i != 11]


def array(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def ints(device, *values):
    return fastdl.tensor(list(values), dtype="int64", device=device)


def last_is(device, value):
    index = np.zeros((40, 1000), np.int64)
    index[-1, -1] = value
    return fastdl.tensor(index, device=device)


BAD_LINES = [
    BadCall(lambda d: array(d, 3).index_select(0, ints(d, 0, 3)), IndexError,
            "[index_select] expected indices in [0, 3), got 3 at position 1"),
    BadCall(lambda d: array(d, 3).index_select(0, ints(d, -1)), IndexError,
            "[index_select] expected indices in [0, 3), got -1 at position 0"),
    BadCall(lambda d: array(d, 3).index_select(0, array(d, 2)), TypeError,
            "[index_select] expected index of dtype int32 or int64, got float32"),
    BadCall(lambda d: array(d, 3).index_select(0, ints(d, 0).reshape(1, 1)), ValueError,
            "[index_select] expected index with 1 dimensions, got shape (1, 1)"),
    BadCall(lambda d: array(d, 3).index_select(1, ints(d, 0)), IndexError,
            "[index_select] expected dim in [-1, 0], got 1"),
    BadCall(lambda d: array(d, 3).index_add(0, ints(d, 0), array(d, 2)), ValueError,
            "[index_add] expected source of shape (1,), got shape (2,)"),
]  # fmt: skip
BAD_PLACES = [
    BadCall(lambda d: array(d, 2, 3).gather(1, ints(d, 0, 3).reshape(2, 1)), IndexError,
            "[gather] expected indices in [0, 3), got 3 at position 1"),
    BadCall(lambda d: array(d, 2, 3).gather(1, ints(d, 0)), ValueError,
            "[gather] expected index with 2 dimensions, got shape (1,)"),
    BadCall(lambda d: array(d, 1, 3).gather(1, ints(d, 0, 1).reshape(2, 1)), ValueError,
            "[gather] expected index of at most shape (1, 3) except along axis 1, got shape (2, 1)"),
    BadCall(lambda d: array(d, 3).scatter_add(0, ints(d, 5), array(d, 1)), IndexError,
            "[scatter_add_] expected indices in [0, 3), got 5 at position 0"),
    BadCall(lambda d: array(d, 40, 1000).gather(1, last_is(d, 1000)), IndexError,
            "[gather] expected indices in [0, 1000), got 1000 at position 39999"),
    BadCall(lambda d: array(d, 40, 1000).scatter_add(1, last_is(d, -1), array(d, 40, 1000)), IndexError,
            "[scatter_add_] expected indices in [0, 1000), got -1 at position 39999"),
    BadCall(lambda d: array(d, 3).scatter(0, ints(d, 1), array(d, 1, dtype="float64")), TypeError,
            "[scatter] expected src of dtype float32, got float64"),
]  # fmt: skip
BAD_ITEMS = [
    BadCall(lambda d: array(d, 3)[ints(d, 0, 3)], IndexError,
            "[index] expected indices in [-3, 2] of an axis of 3, got 3 at position 1"),
    BadCall(lambda d: array(d, 3)[[True, False]], IndexError,
            "[index] expected a mask of shape (3,), got shape (2,)"),
    BadCall(lambda d: array(d, 3, 3)[[0, 1], [0, 1, 2]], IndexError,
            "[index] expected index arrays that broadcast, got shapes (2,) and (3,)"),
    BadCall(lambda d: array(d, 3)[[0.5]], IndexError,
            "[index] expected indices of integers or bools, got dtype float64"),
    BadCall(lambda d: array(d, 3)[[0], [0]], IndexError, "[index] expected at most 1 indices, got 2"),
]  # fmt: skip
ARGUMENTS = ("shape", "index", "count", "source", "distinct")


CASES = [
    OpCase("index_select", lambda x, i, dim: x.index_select(dim, i), lines, LINES, BAD_LINES, shape_only=ARGUMENTS),
    OpCase("index_add", lambda x, i, s, dim, alpha=1: x.index_add(dim, i, s, alpha),
           lines, [{**a, "source": True} for a in LINES] + [{**LINES[0], "source": True, "alpha": 0.5}],
           shape_only=ARGUMENTS),
    OpCase("gather", lambda x, i, dim: x.gather(dim, i), places, PLACES, BAD_PLACES, shape_only=ARGUMENTS),
    OpCase("scatter", lambda x, i, s, dim: x.scatter(dim, i, s), places, [{**a, "source": True} for a in UNIQUE],
           shape_only=ARGUMENTS),
    OpCase("scatter_add", lambda x, i, s, dim: x.scatter_add(dim, i, s), places,
           [{**a, "source": True} for a in PLACES if a["index"] != (6, 9000) and a["shape"] != (4, 50)]
           + [{**a, "source": True} for a in UNIQUE[3:4]], shape_only=ARGUMENTS),
    OpCase("getitem", chosen, numbers, ITEMS, BAD_ITEMS, shape_only=("shape",)),
    OpCase("setitem", assigned, numbers, ASSIGNED, differentiable=[], shape_only=("shape",)),
    OpCase("masked_fill", lambda x: x.masked_fill(x > 0, 2.0), numbers, [{"shape": (3, 17)}], shape_only=("shape",)),
    OpCase("masked_select", lambda x: x.masked_select(x > 0), numbers, [{"shape": (3, 17)}, {"shape": (40_000,)}],
           shape_only=("shape",)),
    OpCase("nonzero", indexing.nonzero, zeros_of,
           [{"shape": (3, 17)}, {"shape": (100_000,)}, {"shape": (2, 3, 5), "dtype": "int32"}, {"shape": ()},
            {"shape": (0, 3)}], differentiable=[], shape_only=("shape", "dtype")),
]  # fmt: skip
