"""Pooling and unpooling: random shapes and attributes against the reference, and identities between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)


@st.composite
def axis(draw, dilated=True, most=40):
    """Kernel, stride, padding, dilation and a size that holds a window."""
    kernel = draw(st.integers(1, 5) | st.sampled_from([2, 3, 70]))
    stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)) if dilated else 1
    padding = draw(st.integers(0, kernel // 2))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    return kernel, stride, padding, dilation, draw(st.integers(least, least + most))


def numbers(seed, shape, special=False):
    """Some equal, and some that are not finite."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal(shape) * 4) / 4
    if special:
        x[rng.random(shape) < 0.05] = np.nan
        x[rng.random(shape) < 0.3] = -np.inf
    return x


def run(function, dtype, operands, *attributes):
    """A function on the CPU, and on the reference in float64."""
    rounded = [a.astype(dtype) if a.dtype.kind == "f" else a for a in operands]
    ours = getattr(CPU, function)(*(CPU.from_numpy(a, False) for a in rounded), *attributes)
    exact = [a.astype("float64") if a.dtype.kind == "f" else a for a in rounded]
    theirs = getattr(REFERENCE, function)(*exact, *attributes)
    if isinstance(ours, tuple):
        return [None if a is None else CPU.to_numpy(a) for a in ours], list(theirs)
    return [CPU.to_numpy(ours)], [theirs]


def expect_equal(function, dtype, operands, *attributes, epsilons=0.0):
    ours, theirs = run(function, dtype, operands, *attributes)
    for got, exact in zip(ours, theirs, strict=True):
        if got is not None:
            assert_close(got, exact, epsilons)
    return theirs


BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])
SHAPES = {"planes": st.integers(0, 3), "ceil": st.booleans(), "seed": st.integers(0, 9)}


@BOTH
@QUICK
@given(rows=axis(), columns=axis(), special=st.booleans(), **SHAPES)
def test_max_pool2d(dtype, planes, ceil, seed, rows, columns, special):
    kernel, stride, padding, dilation, size = zip(rows, columns, strict=True)
    x = numbers(seed, (1, planes, *size), special)
    window = (kernel, stride, padding, dilation)
    for index_dtype in (None, "int32", "int64"):
        out, indices = expect_equal("max_pool2d", dtype, [x], *window, ceil, index_dtype)
        if indices is not None:
            assert indices.dtype == index_dtype
            grad = numbers(seed + 1, out.shape)
            expect_equal("max_pool2d_bwd", dtype, [grad, indices], size, *window, epsilons=8)


@BOTH
@QUICK
@given(
    size=st.tuples(st.integers(3, 12), st.integers(9, 80)), padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    special=st.booleans(), **SHAPES,
)  # fmt: skip
def test_max_pool2d_of_threes_two_apart(dtype, size, padding, special, planes, ceil, seed):
    x = numbers(seed, (1, planes, *size), special)
    for index_dtype in ("int32", "int64"):
        expect_equal("max_pool2d", dtype, [x], (3, 3), (2, 2), padding, (1, 1), ceil, index_dtype)


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1)], ids=str)
def test_max_pool2d_of_many_planes_is_that_of_few(window):
    """Results that are streamed past the caches, from rows with and without NaN, are those of smaller calls."""
    x = np.round(np.random.default_rng(0).standard_normal((1, 200, 256, 256), np.float32) * 4) / 4
    x[0, ::3, 17, 5], x[0, 1::3, 200:203], x[0, 7, 30, 8:40] = np.nan, -np.inf, np.inf
    kernel, stride, padding = window
    pairs = ((kernel,) * 2, (stride,) * 2, (padding,) * 2, (1, 1))
    whole = [CPU.to_numpy(a) for a in CPU.max_pool2d(CPU.from_numpy(x, False), *pairs, False, "int64")]
    assert whole[1].nbytes >= 24 << 20  # kStreamBytes of cpu/vec-inl.h
    for first in range(0, 200, 50):
        part = CPU.from_numpy(x[:, first : first + 50].copy(), False)
        for a, b in zip(whole, CPU.max_pool2d(part, *pairs, False, "int64"), strict=True):
            assert a[:, first : first + 50].tobytes() == CPU.to_numpy(b).tobytes()


@BOTH
@QUICK
@given(rows=axis(False), columns=axis(False), counted=st.booleans(), divisor=st.sampled_from([0, 0, 3]), **SHAPES)
def test_avg_pool2d(dtype, planes, ceil, seed, rows, columns, counted, divisor):
    kernel, stride, padding, _, size = zip(rows, columns, strict=True)
    x = numbers(seed, (planes, 1, *size))
    window = (kernel, stride, padding)
    (out,) = expect_equal("avg_pool2d", dtype, [x], *window, ceil, counted, divisor, epsilons=32)
    grad = numbers(seed + 1, out.shape)
    expect_equal("avg_pool2d_bwd", dtype, [grad], size, *window, counted, divisor, epsilons=64)


SIZE = st.tuples(st.integers(1, 40), st.integers(1, 70))


@BOTH
@QUICK
@given(size=SIZE, out=st.tuples(st.integers(0, 12), st.integers(0, 40)), special=st.booleans(), seed=st.integers(0, 9))
def test_adaptive_pooling(dtype, size, out, special, seed):
    x = numbers(seed, (2, 1, *size), special)
    maxima, indices = expect_equal("adaptive_max_pool2d", dtype, [x], out)
    grad = numbers(seed + 1, maxima.shape)
    expect_equal("adaptive_max_pool2d_bwd", dtype, [grad, indices], size, epsilons=8)
    expect_equal("adaptive_avg_pool2d", dtype, [numbers(seed, x.shape)], out, epsilons=32)
    expect_equal("adaptive_avg_pool2d_bwd", dtype, [grad], size, epsilons=64)


@BOTH
@QUICK
@given(size=SIZE, rest=st.tuples(st.integers(0, 1), st.integers(0, 1)), stray=st.booleans(), seed=st.integers(0, 9),
       index_dtype=st.sampled_from(["int32", "int64"]))  # fmt: skip
def test_max_unpool2d(dtype, size, rest, stray, seed, index_dtype):
    """Indices of windows of 2x2, of which one may lie elsewhere."""
    rng = np.random.default_rng(seed)
    h, w = size
    out = (2 * h + rest[0], 2 * w + rest[1])
    y, x = (
        2 * np.arange(h)[:, None] + rng.integers(0, 2, (2, 1, h, w)),
        2 * np.arange(w) + rng.integers(0, 2, (2, 1, h, w)),
    )
    indices = (y * out[1] + x).astype(index_dtype)
    if stray:
        indices[0, 0, rng.integers(h), rng.integers(w)] = rng.integers(out[0] * out[1])
    values = numbers(seed, indices.shape)
    (large,) = expect_equal("max_unpool2d", dtype, [values, indices], out)
    expect_equal("max_unpool2d_bwd", dtype, [numbers(seed, large.shape), indices])


@BOTH
@QUICK
@given(size=SIZE, kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 9))
def test_bed_of_nails(dtype, size, kernel, seed):
    x = numbers(seed, (1, 2, *size))
    (large,) = expect_equal("bed_of_nails", dtype, [x], kernel)
    (back,) = expect_equal("bed_of_nails_bwd", dtype, [large], kernel)
    np.testing.assert_array_equal(back, x)


@QUICK
@given(size=st.tuples(st.integers(1, 20), st.integers(1, 40)), seed=st.integers(0, 9))
def test_unpooling_undoes_pooling(size, seed):
    """Pooling what unpooling made gives the values back, where they are positive."""
    values = 1 + np.abs(numbers(seed, (1, 2, *size))).astype("float32")
    x = CPU.bed_of_nails(CPU.from_numpy(values, False), (2, 2))
    pooled, indices = CPU.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False, "int64")
    np.testing.assert_array_equal(CPU.to_numpy(pooled), values)
    unpooled = CPU.max_unpool2d(pooled, indices, (2 * size[0], 2 * size[1]))
    np.testing.assert_array_equal(CPU.to_numpy(unpooled), CPU.to_numpy(x))
