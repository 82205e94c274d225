"""Dropout keeps the share of numbers that it should, scales them, and draws from a stream that has no seams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")


@pytest.mark.parametrize("isa", CPU.isa_levels())
@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(
    st.integers(0, 300), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 2**40), st.integers(0, 2**40),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_keeps_what_the_reference_keeps(isa, n, p, seed, offset, dtype):
    CPU.set_isa(isa)
    x = np.arange(1, n + 1).astype(dtype)
    got = CPU.to_numpy(CPU.dropout(CPU.from_numpy(x, False), p, seed, offset))
    want = REFERENCE.dropout(x, p, seed, offset)
    assert np.array_equal(got != 0, want != 0)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@settings(derandomize=True, deadline=None, max_examples=30, database=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**40))
def test_a_part_of_the_stream_is_the_stream_from_its_offset(isa, blocks, more, seed):
    """Four numbers a counter: dropping [4 a, 4 b) of an array is dropping that part from offset a on."""
    CPU.set_isa(isa)
    whole = np.ones(4 * (blocks + more), "float32")
    at_once = CPU.to_numpy(CPU.dropout(CPU.from_numpy(whole, False), 0.5, seed, 0))
    rest = CPU.to_numpy(CPU.dropout(CPU.from_numpy(whole[4 * blocks :], False), 0.5, seed, blocks))
    assert np.array_equal(at_once[4 * blocks :], rest)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_share_of_zeros(p):
    x = np.ones(1_000_000, "float32")
    out = CPU.to_numpy(CPU.dropout(CPU.from_numpy(x, False), p, 3, 0))
    assert abs((out == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / x.size)  # five standard deviations
    assert abs(out.mean() - 1) < 5 * np.sqrt(p / (1 - p) / x.size)
