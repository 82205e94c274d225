"""Running operations of random shapes along random axes against the reference, with special numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=80, database=None)
SIZES = st.integers(0, 6) | st.sampled_from([15, 16, 17, 33, 70])
SHAPES = st.lists(SIZES, min_size=1, max_size=3).map(tuple)
SPECIAL = np.array([0, 0, 0, np.nan, np.inf, -np.inf])


def both(function, *arguments):
    """Results of the CPU, and of the reference on the same numbers in float64."""

    def results(backend, given):
        found = getattr(backend, function)(*given)
        return found if isinstance(found, tuple) else (found,)

    ours = [CPU.from_numpy(np.ascontiguousarray(a), False) if isinstance(a, np.ndarray) else a for a in arguments]
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]
    return zip([CPU.to_numpy(a) for a in results(CPU, ours)], results(REFERENCE, wide), strict=True)


def same(function, *arguments, magnitude=None):
    for got, want in both(function, *arguments):
        assert_close(got, want, 256, magnitude=magnitude)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@QUICK
@given(shape=SHAPES, data=st.data(), seed=st.integers(0, 99), special=st.booleans())
def test_running_operations(dtype, shape, data, seed, special):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    same("cumsum", x, axis, bool(seed % 2), magnitude=float(np.abs(x).sum()) or 1.0)
    same("cumprod", np.where(rng.random(shape) < 0.5, -1, 1).astype(dtype), axis)
    if dtype.startswith("float") and special:
        x = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), np.round(x)).astype(dtype)
    same("cummax", x, axis)
    same("cummin", x, axis)
    if dtype.startswith("float"):
        same("logcumsumexp", x, axis, magnitude=30.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(shape=SHAPES, data=st.data(), seed=st.integers(0, 99))
def test_gradients(dtype, shape, data, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(seed)
    grad, x = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    factors = np.where(rng.random(shape) < 0.05, 0, np.exp(x / 8)).astype(dtype)
    same("cumprod_bwd", grad, factors, REFERENCE.cumprod(factors, axis), axis, magnitude=200.0)
    same("cumextreme_bwd", grad, REFERENCE.cummax(np.round(x), axis)[1], axis, magnitude=20.0)
    same("logcumsumexp_bwd", grad, x, REFERENCE.logcumsumexp(x, axis), axis, magnitude=20.0)
    product = REFERENCE.prod(factors, (axis,), True)
    same("prod_bwd", np.ones_like(product), factors, product, axis, magnitude=float(np.abs(product).max(initial=1)))
