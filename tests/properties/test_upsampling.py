"""Interpolation and pixel shuffle: random shapes and scales against the reference, and identities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def expect_equal(function, dtype, x, *attributes, epsilons=0.0):
    rounded = x.astype(dtype)
    ours = CPU.to_numpy(getattr(CPU, function)(CPU.from_numpy(rounded, False), *attributes))
    theirs = getattr(REFERENCE, function)(rounded.astype("float64"), *attributes)
    assert_close(ours, theirs, epsilons)
    return ours


@st.composite
def axis(draw):
    """Size, size of the output, and the scale: 0, or one that gives this output."""
    size = draw(st.integers(1, 40))
    scale = draw(st.sampled_from([0, 1, 2, 3, 1.5, 0.5]) | st.floats(0.2, 5))
    if scale == 0:
        return size, draw(st.integers(1, 90) | st.just(2 * size)), 0.0
    out = int(np.floor(size * scale))
    return (size, out, float(scale)) if out else (size, 1, 0.0)


@BOTH
@QUICK
@given(rows=axis(), columns=axis(), planes=st.integers(0, 2), align=st.booleans(), seed=st.integers(0, 9))
def test_interpolation(dtype, rows, columns, planes, align, seed):
    rng = np.random.default_rng(seed)
    size, out, scales = zip(rows, columns, strict=True)
    x, g = rng.standard_normal((planes, 2, *size)), rng.standard_normal((planes, 2, *out))
    expect_equal("upsample_nearest2d", dtype, x, out, *scales)
    expect_equal("upsample_nearest2d_bwd", dtype, g, size, *scales, epsilons=64)
    expect_equal("upsample_bilinear2d", dtype, x, out, align, *scales, epsilons=16)
    expect_equal("upsample_bilinear2d_bwd", dtype, g, size, align, *scales, epsilons=64)


@BOTH
@QUICK
@given(size=st.tuples(st.integers(1, 6), st.integers(1, 80)), seed=st.integers(0, 9))
def test_doubling(dtype, size, seed):
    x = np.random.default_rng(seed).standard_normal((1, 2, *size))
    out = (2 * size[0], 2 * size[1])
    expect_equal("upsample_nearest2d", dtype, x, out, 2.0, 2.0)
    large = expect_equal("upsample_bilinear2d", dtype, x, out, False, 0.0, 2.0, epsilons=16)
    np.testing.assert_array_equal(
        large[..., :: out[0] - 1, :: out[1] - 1], x.astype(dtype)[..., [0, -1], :][..., [0, -1]]
    )


@pytest.mark.parametrize("width", [130, 128, 132])
@pytest.mark.parametrize("function", ["upsample_nearest2d", "upsample_bilinear2d"])
def test_doubling_of_many_planes_is_that_of_few(function, width):
    """Results that are streamed past the caches are those of smaller calls."""
    x = np.random.default_rng(0).standard_normal((1, 200, 128, width), np.float32)
    attributes = ((256, 2 * width), *([False] if "linear" in function else []), 2.0, 2.0)

    def double(planes):
        return CPU.to_numpy(getattr(CPU, function)(CPU.from_numpy(planes, False), *attributes))

    whole = double(x)
    assert whole.nbytes >= 24 << 20  # kStreamBytes of cpu/vec-inl.h
    for first in range(0, 200, 50):
        assert whole[:, first : first + 50].tobytes() == double(x[:, first : first + 50].copy()).tobytes()


@QUICK
@given(rows=axis(), columns=axis(), align=st.booleans())
def test_interpolation_of_a_constant_is_the_constant(rows, columns, align):
    size, out, scales = zip(rows, columns, strict=True)
    x = CPU.from_numpy(np.full((1, 1, *size), 3.0), False)
    assert_close(CPU.to_numpy(CPU.upsample_bilinear2d(x, out, align, *scales)), np.full((1, 1, *out), 3.0), 4)


@BOTH
@QUICK
@given(r=st.integers(1, 5), size=st.tuples(st.integers(0, 20), st.integers(0, 40)), planes=st.integers(0, 3))
def test_pixel_shuffle(dtype, r, size, planes):
    x = np.random.default_rng(0).standard_normal((2, planes * r * r, *size))
    large = expect_equal("pixel_shuffle", dtype, x, r)
    assert large.shape == (2, planes, size[0] * r, size[1] * r)
    back = expect_equal("pixel_unshuffle", dtype, large, r)
    np.testing.assert_array_equal(back, x.astype(dtype))
