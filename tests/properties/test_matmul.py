"""Products of random shapes against the reference: transposed operands, batches that broadcast, fused activations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
# Around the rows and columns of register tiles, and none at all.
SIZES = st.integers(0, 20) | st.sampled_from([31, 32, 33, 47, 64, 65, 127, 129, 250])
BATCHES = st.sampled_from(
    [((), ()), ((3,), (3,)), ((2,), ()), ((), (2,)), ((2, 1), (3,)), ((1, 2), (3, 1)), ((0,), (1,))]
)
EPSILONS = 16  # of the sum of the absolute products, which is what rounding errors of a sum grow with


def numbers(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(
    SIZES, SIZES, SIZES, BATCHES, st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]),
    st.integers(0, 99),
)  # fmt: skip
def test_matmul(isa, m, n, k, batches, trans_a, trans_b, dtype, seed):
    CPU.set_isa(isa)
    rng = np.random.default_rng(seed)
    a = numbers(rng, (*batches[0], *((k, m) if trans_a else (m, k))), dtype)
    b = numbers(rng, (*batches[1], *((n, k) if trans_b else (k, n))), dtype)
    got = CPU.to_numpy(CPU.matmul(CPU.from_numpy(a, False), CPU.from_numpy(b, False), trans_a, trans_b))
    want = REFERENCE.matmul(a.astype(np.float64), b.astype(np.float64), trans_a, trans_b)
    assert got.shape == want.shape
    magnitude = REFERENCE.matmul(np.abs(a).astype(np.float64), np.abs(b).astype(np.float64), trans_a, trans_b)
    assert_close(got, want, EPSILONS, magnitude=float(magnitude.max(initial=0)) or 1.0)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(
    st.lists(st.integers(0, 7), max_size=2), SIZES, SIZES, st.booleans(),
    st.sampled_from(["none", "relu", "relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish"]),
    st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_linear(isa, leading, features, out, biased, activation, dtype, seed):
    CPU.set_isa(isa)
    rng = np.random.default_rng(seed)
    arrays = [numbers(rng, (*leading, features), dtype), numbers(rng, (out, features), dtype)]
    arrays.append(numbers(rng, (out,), dtype) if biased else None)
    got = CPU.linear(*[None if v is None else CPU.from_numpy(v, False) for v in arrays], activation)
    want = REFERENCE.linear(*[None if v is None else v.astype(np.float64) for v in arrays], activation)
    x, weight, _ = arrays
    magnitude = float((np.abs(x).astype(np.float64) @ np.abs(weight).T.astype(np.float64)).max(initial=1))
    assert_close(CPU.to_numpy(got), want, EPSILONS, magnitude=magnitude)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3, 6])
def test_large_matrix_and_few_rows(isa, dtype, rows):
    """Products that fetch their matrix ahead (from 8 MB) are those of its parts, bit for bit."""
    CPU.set_isa(isa)
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (rows, 2051), dtype), numbers(rng, (1100, 2051), dtype)
    assert w.nbytes >= 8 << 20

    def product(weight):
        return CPU.to_numpy(CPU.linear(CPU.from_numpy(x, False), CPU.from_numpy(weight, False), None, "none"))

    whole = product(w)
    for first in range(0, 1100, 275):
        assert whole[:, first : first + 275].tobytes() == product(w[first : first + 275].copy()).tobytes()
    assert_close(whole, x.astype(np.float64) @ w.T.astype(np.float64), EPSILONS, magnitude=2051.0)
