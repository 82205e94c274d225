"""Lookups and bags of random shapes against the reference, forward and backward."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
WIDTHS = st.integers(0, 40) | st.sampled_from([15, 16, 17, 127, 128, 129, 260])


def expect_equal(function, operands, attributes, dtype):
    """A function of the CPU against the reference in float64, on numbers rounded to `dtype`."""
    rounded = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in operands]
    ours = [CPU.from_numpy(a, False) if isinstance(a, np.ndarray) else a for a in rounded]
    exact = [a.astype("float64") if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in rounded]
    got, want = getattr(CPU, function)(*ours, *attributes), getattr(REFERENCE, function)(*exact, *attributes)
    for g, w in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, want)), strict=True):
        assert (g is None) == (w is None)
        if g is not None:
            assert CPU.to_numpy(g).dtype == (dtype if w.dtype.kind == "f" else w.dtype)
            assert_close(CPU.to_numpy(g), w, 64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    rows=st.integers(1, 60) | st.sampled_from([2048, 2049, 70_000]), width=WIDTHS, count=st.integers(0, 90),
    index_dtype=st.sampled_from(["int32", "int64"]), padding=st.integers(-1, 5), by_frequency=st.booleans(),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_embedding(dtype, rows, width, count, index_dtype, padding, by_frequency, seed):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, rows, count).astype(index_dtype)
    table, grad = rng.standard_normal((rows, width)), rng.standard_normal((count, width))
    expect_equal("embedding", [table, index], (), dtype)
    for function in ("embedding_bwd", "embedding_bwd_rows"):
        expect_equal(function, [grad, index], (rows, padding, by_frequency), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    rows=st.integers(1, 40), width=WIDTHS, sizes=st.lists(st.integers(0, 12), max_size=9), rest=st.integers(0, 3),
    mode=st.sampled_from(["sum", "weighted", "mean", "max"]), padding=st.integers(-1, 5), seed=st.integers(0, 9),
)  # fmt: skip
def test_embedding_bag(dtype, rows, width, sizes, rest, mode, padding, seed):
    rng = np.random.default_rng(seed)
    count = sum(sizes) + rest
    index, offsets = rng.integers(0, rows, count), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    table = rng.permutation(rows * width).reshape(rows, width) / 8.0  # distinct, so that both choose the same maximum
    grad = rng.standard_normal((len(sizes), width))
    weights = rng.standard_normal(count) if mode == "weighted" else None
    name = "sum" if mode == "weighted" else mode
    expect_equal("embedding_bag", [table, index, offsets, weights], (name, padding), dtype)
    maxima = REFERENCE.embedding_bag(table, index, offsets, weights, name, padding)[1]
    operands = [grad, index, offsets, weights, maxima]
    expect_equal("embedding_bag_bwd", operands, (rows, name, padding, False), dtype)
    if mode != "max":
        expect_equal("embedding_bag_bwd_rows", operands, (rows, name, padding, True), dtype)
        expect_equal("embedding_bag_bwd_weights", [grad, table, index, offsets], (padding,), dtype)
