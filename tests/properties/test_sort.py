"""Sorting, selection and search of any numbers, against the reference: NumPy's stable order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=30, database=None)
SIZES = st.integers(1, 6) | st.sampled_from([15, 16, 17, 33, 64, 65])
SHAPES = st.lists(SIZES, min_size=1, max_size=3).map(tuple)
DTYPES = ["float32", "float64", "int32", "int64", "uint8", "bool"]
KINDS = ["normal", "few", "sorted", "reversed", "equal", "special"]
LIMITS = {"int32": 2**31 - 1, "int64": 2**63 - 1, "uint8": 255, "bool": 1}


def numbers(rng, shape, dtype, kind):
    """`few` different ones make equals, `special` ones are the ends of the dtype."""
    floats = dtype.startswith("float")
    if kind == "few":
        x = rng.integers(-2, 3, shape) * (0.5 if floats else 1)
    elif kind == "special" and floats:
        tiny = np.finfo(dtype).smallest_subnormal
        x = rng.choice([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 3 * tiny, 1.0, -1.0], shape)
    elif kind == "special":
        limit = LIMITS[dtype]
        return rng.choice(np.array([limit, -limit - 1, 0, -1, 1]).astype(dtype), shape)
    elif floats:
        x = rng.standard_normal(shape)
    else:
        x = rng.integers(-LIMITS[dtype] - 1, LIMITS[dtype], shape, endpoint=True)
    x = np.zeros(shape) if kind == "equal" else x
    if kind in ("sorted", "reversed"):
        x = np.sort(x, axis=None).reshape(shape)[:: 1 if kind == "sorted" else -1]
    return np.ascontiguousarray(x.astype(dtype))


def same(function, *arguments):
    """Bits and all: the order is the only one."""
    ours = [CPU.from_numpy(a, False) if isinstance(a, np.ndarray) else a for a in arguments]
    got, want = getattr(CPU, function)(*ours), getattr(REFERENCE, function)(*arguments)
    pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
    for g, w in pairs:
        if w is None:
            assert g is None
            continue
        g = CPU.to_numpy(g)
        assert g.dtype == w.dtype and g.shape == w.shape
        assert g.tobytes() == np.ascontiguousarray(w).tobytes(), (function, arguments)


@pytest.fixture(autouse=True, params=CPU.isa_levels())
def isa(request):
    CPU.set_isa(request.param)
    yield
    CPU.set_isa(CPU.best_isa())


@pytest.mark.parametrize("dtype", DTYPES)
@QUICK
@given(shape=SHAPES, data=st.data(), kind=st.sampled_from(KINDS), down=st.booleans(), seed=st.integers(0, 9))
def test_order(dtype, shape, data, kind, down, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = numbers(np.random.default_rng(seed), shape, dtype, kind)
    same("sort", x, axis, down)
    same("argsort", x, axis, down)
    if dtype == "bool":
        return
    k = data.draw(st.integers(0, shape[axis]))
    same("topk", x, k, axis, down)
    same("kthvalue", x, max(k, 1), axis)
    same("median", x, axis, False)
    same("median", x, axis, True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [127, 129, 257, 8193, 140_003])
def test_long_lines(dtype, kind, n):
    """Around the sizes that choose a way: networks, digits of 8 and 11 bits, chunks."""
    rng = np.random.default_rng(n)
    for shape, axis in (((2, n), 1), ((n, 3), 0)) if n < 10_000 else (((n,), 0),):
        x = numbers(rng, shape, dtype, kind)
        same("sort", x, axis, bool(n % 2))
        if dtype == "bool":
            continue
        for k in (5, 100, n // 3, n - 1):
            same("topk", x, k, axis, bool(n % 2))
        same("kthvalue", x, n // 3, axis)
        same("median", x, axis, False)
        same("median", x, axis, True)


@pytest.mark.parametrize("dtype", DTYPES)
@QUICK
@given(shape=SHAPES, kind=st.sampled_from(KINDS), count=st.integers(0, 40), seed=st.integers(0, 9))
def test_sorted_sequences(dtype, shape, kind, count, seed):
    rng = np.random.default_rng(seed)
    x = numbers(rng, shape, dtype, kind)
    flat = x.reshape(-1)
    order = np.argsort(flat, kind="stable")
    same("group_equal", flat[order], order)
    same("group_equal", flat[order], None)
    if dtype == "bool":
        return
    others = numbers(rng, (*shape[:-1], count), dtype, kind)
    for right in (False, True):
        same("searchsorted", flat[order], others, right)
        same("searchsorted", np.sort(x, -1), others, right)


@QUICK
@given(shape=SHAPES, data=st.data(), seed=st.integers(0, 9))
def test_gradient_goes_where_the_values_were(shape, data, seed):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    size, m = shape[axis] + data.draw(st.integers(0, 3)), shape[axis]
    whole = np.argsort(rng.random([size if a == axis else n for a, n in enumerate(shape)]), axis)
    indices = np.ascontiguousarray(np.take(whole, np.arange(m), axis))
    same("chosen_bwd", rng.standard_normal(shape), indices, axis, size)
