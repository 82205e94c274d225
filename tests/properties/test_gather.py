"""Choosing and adding by index against the reference; x[...] against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl
from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
SIZES = st.integers(1, 6) | st.sampled_from([15, 16, 17, 33])
SHAPES = st.lists(SIZES, min_size=1, max_size=3).map(tuple)


def on_cpu(a):
    return CPU.from_numpy(np.ascontiguousarray(a), False)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@QUICK
@given(shape=SHAPES, data=st.data(), count=st.integers(0, 40), seed=st.integers(0, 9))
def test_lines_places_and_sums(dtype, shape, data, count, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * 8).astype(dtype)
    other = tuple(count if a == axis else n for a, n in enumerate(shape))
    line, places = rng.integers(0, shape[axis], count), rng.integers(0, shape[axis], other)
    source = (rng.standard_normal(other) * 8).astype(dtype)

    def same(function, *arguments):
        ours = [on_cpu(a) if isinstance(a, np.ndarray) else a for a in arguments]
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        got, want = getattr(CPU, function)(*ours), getattr(REFERENCE, function)(*copies)
        got, want = (ours[0], copies[0]) if want is None else (got, want)
        assert_close(CPU.to_numpy(got), want, 32)

    same("index_select", x, line, axis)
    same("index_add", source, line, axis, shape[axis])
    same("index_assign_", x, line, source, axis)
    same("gather", x, places, axis)
    same("scatter_", x, places, source, axis)
    same("scatter_add_", x, places, source, axis)
    same("nonzero", (x > 0).astype(bool))


@QUICK
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), data=st.data(), seed=st.integers(0, 9))
def test_items_are_numpys(shape, data, seed):
    """Slices, index arrays side by side and masks; integers beside arrays differ between NumPy and PyTorch."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    item, axis = [], 0
    while axis < len(shape) and data.draw(st.booleans()) is not None:
        kind = data.draw(st.sampled_from(["slice", "array", "mask", "end"]))
        if kind == "end":
            break
        if kind == "slice":
            item.append(slice(data.draw(st.integers(0, 2)), None, data.draw(st.integers(1, 2))))
        elif kind == "array":
            item.append(rng.integers(-shape[axis], shape[axis], 2))
        else:
            mask = np.zeros(shape[axis], bool)
            mask[rng.permutation(shape[axis])[:2]] = True
            if mask.sum() != 2:
                item.append(slice(None))
            else:
                item.append(mask)
        axis += 1
    item = tuple(item)
    tensors = tuple(fastdl.tensor(i) if isinstance(i, np.ndarray) else i for i in item)
    expected = x[item]
    assert_close(fastdl.tensor(x)[tensors], expected)
    value = rng.standard_normal(expected.shape)
    ours = fastdl.tensor(x)
    ours[tensors] = fastdl.tensor(value)
    x[item] = value
    assert_close(ours, x)
