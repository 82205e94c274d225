"""RoI pooling and RoIAlign: random maps, boxes and attributes against the reference, and what must hold of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)
CHANNELS = st.integers(1, 5) | st.sampled_from([15, 16, 17, 31, 33, 64, 65])
SHAPES = st.tuples(st.integers(1, 3), CHANNELS, st.integers(1, 17), st.integers(1, 17))
BINS = st.tuples(st.integers(1, 7), st.integers(1, 7))
SCALES = st.sampled_from([1.0, 0.5, 0.0625, 0.3])
ODD = st.sampled_from([None, np.nan, np.inf, -np.inf, 1e12, -1e12, 0.0])


@st.composite
def maps_and_rois(draw):
    """A map, boxes inside and outside it, some empty or inverted, whole numbers at times, and a scale."""
    shape, scale, count = draw(SHAPES), draw(SCALES), draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    size = np.array([shape[3], shape[2]]) / scale
    low = rng.uniform(-0.5, 1.2, (count, 2)) * size
    high = low + rng.uniform(-0.2, 1.0, (count, 2)) * size
    rois = np.concatenate([rng.integers(0, shape[0], (count, 1)), low, high], 1)
    if draw(st.booleans()):
        rois = np.round(rois)
    odd = draw(ODD)
    if count and odd is not None:
        rois[rng.integers(count), rng.integers(1, 5)] = odd
    return rng.standard_normal(shape), rois, scale


def on_cpu(a):
    return CPU.from_numpy(np.ascontiguousarray(a), False)


def gradient(rois, shape, bins):
    return np.random.default_rng(1).standard_normal((len(rois), shape[1], *bins))


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roi_pool_is_that_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(maps_and_rois(), BINS)
    def check(given_map, bins):
        x, rois, scale = given_map[0].astype(dtype), given_map[1].astype(dtype), given_map[2]
        expected, places = REFERENCE.roi_pool(x, rois, bins, scale, True)
        out, indices = CPU.roi_pool(on_cpu(x), on_cpu(rois), bins, scale, True)
        np.testing.assert_array_equal(CPU.to_numpy(out), expected)
        np.testing.assert_array_equal(CPU.to_numpy(indices), places)
        np.testing.assert_array_equal(
            CPU.to_numpy(CPU.roi_pool(on_cpu(x), on_cpu(rois), bins, scale, False)[0]), expected
        )
        g = gradient(rois, x.shape, bins).astype(dtype)
        got = CPU.to_numpy(CPU.roi_pool_bwd(on_cpu(g), on_cpu(rois), indices, x.shape))
        np.testing.assert_array_equal(got, REFERENCE.roi_pool_bwd(g, rois, places, x.shape))

    check()


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("channels", [3, 8, 17])
def test_strange_indices_of_a_gradient(isa, channels):
    """Bins without a cell give nothing, whatever their gradient; an index outside the plane is named by its place."""
    CPU.set_isa(isa)
    rng = np.random.default_rng(channels)
    rois, shape = np.tile([0.0, 0.0, 0.0, 4.0, 4.0], (4, 1)), (1, channels, 5, 5)
    grad, indices = rng.standard_normal((4, channels, 3, 3)), rng.integers(-1, 25, (4, channels, 3, 3), np.int32)
    indices[3] = np.abs(indices[3])
    expected = REFERENCE.roi_pool_bwd(grad, rois, indices, shape)
    got = CPU.to_numpy(CPU.roi_pool_bwd(on_cpu(grad), on_cpu(rois), on_cpu(indices), shape))
    np.testing.assert_array_equal(got, expected)
    for place, stray in ((grad.size - 1, 25), (grad.size // 2, -2)):
        indices.flat[place] = stray
        with pytest.raises(IndexError, match=rf"plane of 25 elements, got another one at position {place}$"):
            CPU.roi_pool_bwd(on_cpu(grad), on_cpu(rois), on_cpu(indices), shape)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roi_align_is_that_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(maps_and_rois(), BINS, st.sampled_from([-1, 0, 1, 2, 3]), st.booleans())
    def check(given_map, bins, ratio, aligned):
        x, rois, scale = given_map[0].astype(dtype), given_map[1].astype(dtype), given_map[2]
        attributes = (scale, ratio, aligned)
        out = CPU.to_numpy(CPU.roi_align(on_cpu(x), on_cpu(rois), bins, *attributes))
        assert_close(out, REFERENCE.roi_align(x, rois, bins, *attributes), 64)
        g = gradient(rois, x.shape, bins).astype(dtype)
        got = CPU.to_numpy(CPU.roi_align_bwd(on_cpu(g), on_cpu(rois), x.shape, *attributes))
        assert_close(got, REFERENCE.roi_align_bwd(g, rois, x.shape, *attributes), 64)

    check()


@QUICK
@given(maps_and_rois(), BINS, st.sampled_from([-1, 2]), st.booleans())
def test_gradient_of_roi_align_is_its_adjoint(given_map, bins, ratio, aligned):
    """RoIAlign is linear in the map: <g, roi_align(x)> = <roi_align_bwd(g), x>."""
    x, rois, scale = given_map
    g = gradient(rois, x.shape, bins)
    out = CPU.to_numpy(CPU.roi_align(on_cpu(x), on_cpu(rois), bins, scale, ratio, aligned))
    back = CPU.to_numpy(CPU.roi_align_bwd(on_cpu(g), on_cpu(rois), x.shape, scale, ratio, aligned))
    np.testing.assert_allclose(np.vdot(g, out), np.vdot(back, x), atol=1e-9)


@QUICK
@given(st.integers(1, 20), st.integers(1, 20), BINS, st.sampled_from([-1, 1, 3]))
def test_roi_align_of_a_constant_map_is_that_constant(h, w, bins, ratio):
    x = np.full((1, 3, h, w), 2.5)
    out = CPU.roi_align(on_cpu(x), on_cpu([[0.0, 0.0, 0.0, w, h]]), bins, 1.0, ratio, False)
    np.testing.assert_allclose(CPU.to_numpy(out), 2.5, rtol=1e-12)
