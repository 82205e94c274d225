"""Convolution and transposed convolution, all three directions: random shapes and attributes against the reference, and
the identities that tie the directions together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)


@st.composite
def axis(draw, most=20, kernels=5, strides=4, dilations=3):
    """Kernel, stride, dilation, padding on both sides and a size that the kernel fits."""
    kernel, stride, dilation = (draw(st.integers(1, n)) for n in (kernels, strides, dilations))
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    least = max(1, dilation * (kernel - 1) + 1 - before - after)
    return kernel, stride, dilation, (before, after), draw(st.integers(least, least + most))


CHANNELS = st.integers(1, 20) | st.sampled_from([15, 16, 17, 31, 32, 33])
SHAPES = {
    "batch": st.integers(0, 3), "groups": st.sampled_from([1, 1, 1, 2, 3]), "ins": CHANNELS, "outs": CHANNELS,
    "rows": axis(), "columns": axis(), "seed": st.integers(0, 9),
}  # fmt: skip
# Shapes that Winograd can take: tiles of every size, strides, kernels cut into parts, groups.
MANY_WAYS = SHAPES | {"rows": axis(24, 8, 3, 1), "columns": axis(40, 8, 3, 1)}


def arrays(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def expect_equal(function, operands, attributes, dtype, epsilons=96.0):
    """A function of the CPU against the reference in float64, on numbers rounded to `dtype`."""
    rounded = [None if a is None else a.astype(dtype) for a in operands]
    ours = getattr(CPU, function)(*(None if a is None else CPU.from_numpy(a, False) for a in rounded), *attributes)
    exact = getattr(REFERENCE, function)(*(None if a is None else a.astype("float64") for a in rounded), *attributes)
    got = CPU.to_numpy(ours)
    assert got.shape == exact.shape
    assert got.dtype == dtype
    assert_close(got, exact, epsilons)


def check_conv2d(dtype, batch, groups, ins, outs, rows, columns, seed):
    kernel, stride, dilation, sides, size = zip(rows, columns, strict=True)
    out = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for k, s, d, p, n in (rows, columns)]
    x, w, b, g = arrays(
        seed, (batch, ins * groups, *size), (outs * groups, ins, *kernel), outs * groups, (batch, outs * groups, *out)
    )
    attributes = (stride, (*sides[0], *sides[1]), dilation, groups)
    expect_equal("conv2d", [x, w, b], (*attributes, "none", None), dtype)
    expect_equal("conv2d_bwd_input", [g, w], (size, *attributes), dtype)
    expect_equal("conv2d_bwd_weight", [g, x], (kernel, *attributes), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(**SHAPES)
def test_conv2d(dtype, **shape):
    check_conv2d(dtype, **shape)


@pytest.fixture(params=["winograd", "direct"])
def algorithm(request):
    CPU.set_conv_algorithm(request.param)
    yield
    CPU.set_conv_algorithm("auto")


@pytest.mark.usefixtures("algorithm")
@QUICK
@given(**MANY_WAYS)
def test_conv2d_both_ways(**shape):
    check_conv2d("float32", **shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    batch=st.integers(1, 2), groups=st.integers(1, 5), outs=st.integers(1, 3), kernel=st.sampled_from([3, 5, 7]),
    rows=st.integers(1, 20), columns=st.integers(1, 40), seed=st.integers(0, 9),
)  # fmt: skip
def test_conv2d_depthwise(dtype, batch, groups, outs, kernel, rows, columns, seed):
    sides = (kernel // 2, kernel // 2)
    shape = [(kernel, 1, 1, sides, n) for n in (rows, columns)]
    check_conv2d(dtype, batch, groups, 1, outs, *shape, seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(data=st.data(), **(SHAPES | {"rows": axis(8), "columns": axis(8)}))
def test_conv_transpose2d(dtype, data, batch, groups, ins, outs, rows, columns, seed):
    kernel, stride, dilation, sides, size = zip(rows, columns, strict=True)
    size = tuple(min(n, 12) for n in size)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(min(p[0], n // 2) for p, n in zip(sides, reach, strict=True))
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    out = [(n - 1) * s - 2 * p + r + e + 1 for n, s, p, r, e in zip(size, stride, padding, reach, extra, strict=True)]
    x, w, b, g = arrays(
        seed, (batch, ins * groups, *size), (ins * groups, outs, *kernel), outs * groups, (batch, outs * groups, *out)
    )
    attributes = (stride, padding, dilation, groups)
    expect_equal("conv_transpose2d", [x, w, b], (stride, padding, extra, dilation, groups), dtype)
    expect_equal("conv_transpose2d_bwd_input", [g, w], (size, *attributes), dtype)
    expect_equal("conv_transpose2d_bwd_weight", [g, x], (kernel, *attributes), dtype)


@QUICK
@given(**SHAPES)
def test_the_directions_of_conv2d_are_adjoint(batch, groups, ins, outs, rows, columns, seed):
    """<conv(x, w), g> = <x, bwd_input(g, w)> = <w, bwd_weight(g, x)>: the gradients belong to the forward pass."""
    kernel, stride, dilation, sides, size = zip(rows, columns, strict=True)
    x, w = (CPU.from_numpy(a, False) for a in arrays(seed, (batch, ins * groups, *size), (outs * groups, ins, *kernel)))
    attributes = (stride, (*sides[0], *sides[1]), dilation, groups)
    out = CPU.to_numpy(CPU.conv2d(x, w, None, *attributes, "none", None))
    g = np.random.default_rng(seed + 1).standard_normal(out.shape)
    back = CPU.from_numpy(g, False)
    forward = (out * g).sum()
    scale = 1e-12 * (1 + np.abs(out * g).sum())
    assert (
        abs(forward - (CPU.to_numpy(x) * CPU.to_numpy(CPU.conv2d_bwd_input(back, w, size, *attributes))).sum()) < scale
    )
    weight = CPU.to_numpy(CPU.conv2d_bwd_weight(back, x, kernel, *attributes))
    assert abs(forward - (CPU.to_numpy(w) * weight).sum()) < scale


@pytest.mark.parametrize("mean", [0.0, 10.0])
@pytest.mark.parametrize("shape", [(8, 64, 28), (1, 128, 28), (4, 32, 14), (2, 48, 7)])
def test_weight_gradients_of_3x3_are_exact(shape, mean):
    """Winograd's F(3x3, 4x4) against float64, as a share of the largest weight gradient; also for data far from zero,
    where the sums of the transforms cancel."""
    batch, channels, size = shape
    x, g = arrays(0, (batch, channels, size, size), (batch, channels, size, size))
    x = (x + mean).astype("float32")
    g = g.astype("float32")
    attributes = ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    ours = CPU.to_numpy(CPU.conv2d_bwd_weight(CPU.from_numpy(g, False), CPU.from_numpy(x, False), *attributes))
    exact = REFERENCE.conv2d_bwd_weight(g.astype("float64"), x.astype("float64"), *attributes)
    error = np.abs(ours - exact).max() / np.abs(exact).max()
    assert error <= 2e-6
