"""Permutations, concatenations and slices of random shapes against NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends

CPU = backends.get("cpu")
QUICK = settings(derandomize=True, deadline=None, max_examples=150, database=None)
SHAPES = st.lists(st.integers(0, 20) | st.sampled_from([31, 33, 64]), min_size=1, max_size=4)
DTYPES = st.sampled_from(["float32", "float64", "int64", "uint8"])


def numbers(shape, dtype, start=0):
    return (np.arange(start, start + int(np.prod(shape))) % 251).astype(dtype).reshape(shape)


def mine(x):
    return CPU.from_numpy(x, False)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(SHAPES, st.randoms(use_true_random=False), DTYPES)
def test_permute(isa, shape, random, dtype):
    CPU.set_isa(isa)
    dims = list(range(len(shape)))
    random.shuffle(dims)
    x = numbers(shape, dtype)
    assert np.array_equal(CPU.to_numpy(CPU.permute(mine(x), tuple(dims))), x.transpose(dims))


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1040, 1024), (1031, 1033), (3, 1000, 400)])
def test_large_transpositions(isa, dtype, shape):
    """Those that are streamed past the caches (from 4 MB), in whole tiles and others."""
    CPU.set_isa(isa)
    x = numbers(shape, dtype)
    assert x.nbytes >= 4 << 20
    dims = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    assert np.array_equal(CPU.to_numpy(CPU.permute(mine(x), dims)), x.transpose(dims))


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(SHAPES, st.integers(0, 3), st.lists(st.integers(0, 40), min_size=1, max_size=5), DTYPES)
def test_concat(isa, shape, axis, lengths, dtype):
    CPU.set_isa(isa)
    axis %= len(shape)
    parts = [numbers((*shape[:axis], n, *shape[axis + 1 :]), dtype, start=7 * i) for i, n in enumerate(lengths)]
    got = CPU.to_numpy(CPU.concat([mine(p) for p in parts], axis))
    assert np.array_equal(got, np.concatenate(parts, axis))


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 39), st.integers(1, 5)), min_size=1, max_size=4), DTYPES)
def test_slice_and_its_gradient(isa, axes, dtype):
    """The gradient of a slice puts numbers back where the slice took them, and zeros elsewhere."""
    CPU.set_isa(isa)
    shape = tuple(size for size, _, _ in axes)
    starts = tuple(start % size for size, start, _ in axes)
    steps = tuple(step for _, _, step in axes)
    places = tuple(slice(a, None, s) for a, s in zip(starts, steps, strict=True))
    x = numbers(shape, dtype)
    taken = x[places]
    got = CPU.slice(mine(x), starts, taken.shape, steps)
    assert np.array_equal(CPU.to_numpy(got), taken)
    back = np.zeros(shape, dtype)
    back[places] = taken
    if back.dtype.kind == "f":
        assert np.array_equal(CPU.to_numpy(CPU.slice_bwd(got, shape, starts, steps)), back)
    assigned = mine(np.zeros(shape, dtype))
    CPU.slice_assign_(assigned, got, starts, steps)
    assert np.array_equal(CPU.to_numpy(assigned), back)
