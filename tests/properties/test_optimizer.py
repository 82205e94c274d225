"""Steps and clipping over random sets of parameters against the reference."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)
LENGTHS = st.lists(st.integers(0, 70) | st.sampled_from([16_383, 16_384, 16_385]), min_size=1, max_size=5)
RATE = st.floats(0.001, 0.5)


def expect_equal(function, columns, attributes, dtype):
    """A function that changes lists of arrays, on the CPU and in float64 on the reference, from the same numbers."""
    lists = [[a.astype(dtype) for a in column] for column in columns]
    exact = [[a.astype("float64") for a in column] for column in lists]
    ours = [[CPU.from_numpy(a, False) for a in column] for column in lists]
    getattr(CPU, function)(*ours, *attributes)
    getattr(REFERENCE, function)(*exact, *attributes)
    for got, want in zip(itertools.chain(*ours), itertools.chain(*exact), strict=True):
        assert_close(CPU.to_numpy(got), want, 32)


def columns(seed, lengths, signed, positive):
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal(n) for n in lengths] for _ in range(signed)] + [
        [rng.uniform(0.1, 2, n) for n in lengths] for _ in range(positive)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(lengths=LENGTHS, lr=RATE, decay=st.sampled_from([0.0, 0.1]), maximize=st.booleans(), seed=st.integers(0, 9))
def test_adaptive_steps(dtype, lengths, lr, decay, maximize, seed):
    expect_equal("adagrad_step", columns(seed, lengths, 2, 1), (3, lr, 0.1, decay, 1e-10, maximize), dtype)
    expect_equal("adadelta_step", columns(seed, lengths, 2, 2), (lr, 0.9, 1e-6, decay, maximize), dtype)
    moments = columns(seed, lengths, 3, 1)
    expect_equal("adamax_step", moments, (3, lr, 0.9, 0.99, 1e-8, decay, maximize), dtype)
    expect_equal("ahead_step", moments, (0.9, 0.99, 1e-8, decay, 0.95, lr, lr, 0.5, True, maximize), dtype)
    expect_equal("rprop_step", moments, (0.5, 1.2, 0.2, 1.5, maximize), dtype)
    values, grads, squares = columns(seed, lengths, 2, 1)
    expect_equal("rmsprop_step", [values, grads, squares, [], []], (lr, 0.9, 1e-8, decay, 0.0, maximize), dtype)
    buffers = [g * 0.5 for g in grads]
    expect_equal("rmsprop_step", [values, grads, squares, [], buffers], (lr, 0.9, 1e-8, decay, 0.5, maximize), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    lengths=LENGTHS, p=st.sampled_from([1.0, 2.0, float("inf"), 0.5, 3.0]), limit=st.floats(0.0, 3.0),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_clipping(dtype, lengths, p, limit, seed):
    (grads,) = columns(seed, lengths, 1, 0)
    rounded = [g.astype(dtype) for g in grads]
    norm = CPU.grad_norm([CPU.from_numpy(g, False) for g in rounded], p)
    exact = REFERENCE.grad_norm([g.astype("float64") for g in rounded], p)
    assert_close(CPU.to_numpy(norm), exact, 32)
    clipped = [CPU.from_numpy(g, False) for g in rounded]
    CPU.clip_by_norm_(clipped, norm, limit)
    doubles = [g.astype("float64") for g in rounded]
    REFERENCE.clip_by_norm_(doubles, exact, limit)
    for got, want in zip(clipped, doubles, strict=True):
        assert_close(CPU.to_numpy(got), want, 64)
    expect_equal("clip_by_value_", [grads], (limit,), dtype)
