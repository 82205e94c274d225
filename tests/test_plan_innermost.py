"""Convolutions and pools with channels innermost in blocks, (N, C / block, H, W, block)."""

import numpy as np
import pytest

from fastdl import backends
from fastdl.backends import reference

from .cases.conv2d import size
from .test_plan_convolutions import arrays, attributes, expect_close

CONVOLUTIONS = [
    # direct: blocks of pixels and parts of the sum, strides, dilation, padding of 1x1, groups, an odd number of blocks
    size((1, 64, 15, 14), (48, 64, 1, 1)),
    size((2, 48, 7, 9), (80, 48, 1, 1), stride=2),
    size((1, 32, 10, 10), (32, 32, 1, 1), padding=1),
    size((1, 32, 9, 11), (64, 32, 3, 3), padding=2, dilation=2),
    size((1, 16, 23, 20), (32, 16, 5, 5), stride=3, padding=(2, 1)),
    size((2, 64, 12, 12), (64, 32, 3, 3), padding=1, groups=2),
    size((1, 272, 8, 8), (16, 272, 1, 1), bias=False),
    size((1, 544, 7, 7), (128, 544, 1, 1)),
    # Strassen's algorithm: an odd number of pixels, several images, parts of the sum, taps and strides, groups
    size((2, 256, 13, 15), (256, 256, 1, 1)),
    size((1, 1088, 9, 8), (128, 1088, 1, 1)),
    size((1, 512, 28, 27), (128, 512, 1, 1), stride=2),
    size((1, 64, 17, 16), (128, 64, 3, 3), padding=1, stride=2),
    size((1, 512, 9, 9), (256, 256, 1, 1), groups=2),
    # Winograd: squares of either size, views at strides, lines, weights made in the call
    size((1, 64, 30, 29), (64, 64, 3, 3), padding=1),
    size((3, 128, 7, 7), (160, 128, 3, 3), padding=1),
    size((1, 64, 29, 28), (64, 64, 3, 3), stride=2, padding=1),
    size((1, 64, 20, 18), (32, 64, 5, 5), padding=2),
    size((1, 128, 17, 17), (64, 128, 1, 7), padding=(0, 3)),
    size((1, 64, 17, 16), (64, 64, 7, 1), padding=(3, 0)),
    size((1, 512, 16, 40), (512, 512, 3, 3), padding=1),
    # depthwise: any stride, dilation, padding, kernels wider than the image
    size((2, 32, 9, 21), (32, 1, 3, 3), groups=32, padding=1),
    size((1, 64, 14, 13), (64, 1, 3, 3), groups=64, padding=1, stride=2),
    size((1, 16, 12, 30), (16, 1, 5, 4), groups=16, padding=(2, 3), dilation=(2, 1), bias=False),
    size((1, 32, 3, 2), (32, 1, 7, 7), groups=32, padding=3),
    size((1, 48, 5, 6), (48, 1, 1, 1), groups=48, stride=3),
    # images of few channels, which lie as NCHW: strides up to beyond the kernel, dilation, more padding than image
    size((2, 3, 33, 30), (64, 3, 3, 3), padding=1),
    size((1, 3, 31, 34), (48, 3, 3, 3), padding=1, stride=2),
    size((1, 1, 20, 23), (16, 1, 5, 4), padding=(2, 1)),
    size((1, 2, 25, 29), (32, 2, 3, 2), padding=(1, 3), stride=(2, 3), dilation=(1, 2), bias=False),
    size((1, 2, 17, 19), (16, 2, 2, 2), stride=3),
    size((1, 3, 2, 2), (16, 3, 5, 5), padding=3),
    size((2, 3, 8, 9), (16, 3, 1, 1)),
    # nothing to do
    size((0, 32, 5, 5), (32, 32, 3, 3)),
]
SETTINGS = [(None, "none"), (0, "relu"), (0, "silu"), (None, "hardswish"), (0, "none")]


@pytest.fixture
def cpu():
    cpu = backends.get("cpu")
    yield cpu
    cpu.set_conv_algorithm("auto")
    cpu.set_isa(cpu.best_isa())


def blocked(x, block):
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c // block, block, h, w).transpose(0, 1, 3, 4, 2))


def plain(y):
    n, c, h, w, block = y.shape
    return y.transpose(0, 1, 4, 2, 3).reshape(n, c * block, h, w)


def put(a):
    return None if a is None else backends.get("cpu").from_numpy(a, True)


def run_conv2d(cpu, s, x, w, b, activation="none", residual=None, prepare=True):
    """conv2d_nchwc of NCHW arrays."""
    block = cpu.channel_block()
    weights = put(w), put(b), *attributes(s)
    prepared = cpu.conv2d_nchwc_prepare(x.shape, *weights) if prepare else None
    r = None if residual is None else put(blocked(residual, block))
    image = x if x.shape[1] < block else blocked(x, block)
    return plain(cpu.to_numpy(cpu.conv2d_nchwc(put(image), *weights, activation, r, prepared)))


# ---- kernels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd"])
@pytest.mark.parametrize("s", CONVOLUTIONS, ids=str)
def test_sample_convolutions(s, algorithm, cpu):
    """Of every instruction set, with and without prepared weights, the same bits with one thread and with more."""
    x, w, b, r = arrays(s, "float32")
    wide = [None if a is None else a.astype("float64") for a in (x, w, b, r)]
    cpu.set_conv_algorithm(algorithm)
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        for (residual, activation), prepare in zip(SETTINGS, (True, True, True, False, False), strict=True):
            added = None if residual is None else wide[3]
            want = reference.conv2d(*wide[:3], *attributes(s), activation, added)
            sums = reference.conv2d(*wide[:3], *attributes(s), "none", added)
            made = []
            for threads in (1, 2, 3):
                cpu.set_num_threads(threads)
                made.append(run_conv2d(cpu, s, x, w, b, activation, None if residual is None else r, prepare))
            expect_close(made[0], np.asarray(want), sums)
            assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes()


@pytest.mark.parametrize("data", ["normal", "after relu", "large mean"])
@pytest.mark.parametrize(
    "s, error",
    [
        (size((1, 1024, 14, 14), (256, 1024, 1, 1)), 3e-6),
        (size((1, 128, 28, 27), (256, 128, 3, 3), stride=2, padding=1, dilation=2), 3e-6),
        (size((1, 256, 56, 9), (64, 256, 1, 1)), 2e-6),
        (size((1, 512, 14, 14), (512, 512, 3, 3), padding=1), 6e-6),
    ],
    ids=str,
)
def test_exactness(s, error, data, cpu):
    x, w, b, _ = arrays(s, "float32")
    x = np.maximum(x, 0) if data == "after relu" else x + 10 if data == "large mean" else x
    want = reference.conv2d(*(a.astype("float64") for a in (x, w, b)), *attributes(s), "none", None)
    got = run_conv2d(cpu, s, x, w, b)
    assert np.abs(got - want).max() < error * np.abs(want).max()


@pytest.mark.parametrize("isa", backends.get("cpu").isa_levels())
def test_images_are_kept_apart(cpu, isa):
    """Strassen's sums mix the halves of an image, and tiles of pixels may belong to two."""
    cpu.set_isa(isa)
    s = size((3, 256, 14, 13), (256, 256, 1, 1))
    x, w, b, _ = arrays(s, "float32")
    x[0], x[2] = np.nan, x[2] * 1e15
    if isa == "avx512":
        assert cpu.conv2d_nchwc_prepare((1, *x.shape[1:]), put(w), put(b), *attributes(s)).size == 16 + w.size * 7 // 4
    alone = run_conv2d(cpu, s, x[1:2], w, b)
    together = run_conv2d(cpu, s, x, w, b)
    assert (together[1] == alone[0]).all()
    assert np.isnan(together[0]).all()


def test_blocks_of_another_size_are_right_too(cpu):
    """A recording may meet another instruction set than its own."""
    s = size((2, 32, 9, 8), (96, 32, 3, 3), padding=1)
    x, w, b, r = arrays(s, "float32")
    want = cpu.to_numpy(cpu.conv2d(put(x), put(w), put(b), *attributes(s), "relu", put(r)))
    for block in (1, 2, 4, 8, 16, 32):
        args = put(blocked(x, block)), put(w), put(b), *attributes(s), "relu", put(blocked(r, block)), None
        expect_close(plain(cpu.to_numpy(cpu.conv2d_nchwc(*args))), want, want)


POOLS = [
    # kernel, stride, padding, dilation, ceil_mode
    ((2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 3), (1, 1), (1, 1), (1, 1), False),
    ((3, 2), (2, 3), (1, 0), (1, 1), True),
    ((1, 1), (2, 1), (0, 0), (1, 1), False),
    ((5, 4), (3, 1), (2, 2), (1, 1), True),
    ((3, 3), (2, 1), (1, 1), (3, 2), False),
    ((9, 7), (9, 7), (0, 0), (1, 1), False),
]


@pytest.mark.parametrize("block", [4, 16, 19])
@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil_mode", POOLS)
def test_sample_pools(kernel, stride, padding, dilation, ceil_mode, block, cpu):
    x = np.random.default_rng(0).standard_normal((2, 3 * block, 13, 11)).astype("float32")
    x[0, 1, 4, 5] = x[1, 0, 0, 0] = np.nan
    attributes = kernel, stride, padding
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            got = cpu.max_pool2d_nchwc(put(blocked(x, block)), *attributes, dilation, ceil_mode)
            want, _ = reference.max_pool2d(x, *attributes, dilation, ceil_mode, None)
            np.testing.assert_array_equal(plain(cpu.to_numpy(got)), want)
            if dilation != (1, 1):
                continue
            for with_pad, divisor in ((True, 0), (False, 0), (False, 7)):
                got = cpu.avg_pool2d_nchwc(put(blocked(x, block)), *attributes, ceil_mode, with_pad, divisor)
                want = reference.avg_pool2d(x, *attributes, ceil_mode, with_pad, divisor)
                np.testing.assert_allclose(plain(cpu.to_numpy(got)), want, rtol=0, atol=1e-6)


def test_bad_arguments_are_refused(cpu):
    ones = lambda *shape, dtype="float32": put(np.ones(shape, dtype))  # noqa: E731
    rest = (1, 1), (0, 0, 0, 0), (1, 1), 1
    x, w = ones(2, 2, 4, 4, 8), ones(8, 16, 1, 1)
    for args, error, text in (
        ((ones(2, 16, 4, 4), w), ValueError, r"\[conv2d_nchwc\] expected input with 5 dimensions"),
        ((ones(2, 2, 4, 4, 8, dtype="float64"), w), TypeError, r"\[conv2d_nchwc\] expected input of dtype float32"),
        ((ones(2, 2, 4, 4, 0), w), ValueError, r"expected blocks of at least 1 channel, got shape \(2, 2, 4, 4, 0\)"),
        ((x, ones(8, 15, 1, 1)), ValueError, r"\[conv2d_nchwc\] expected an input of 15 channels"),
        ((x, ones(12, 16, 1, 1)), ValueError, r"\[conv2d_nchwc\] expected output channels in blocks of 8, got 12"),
        ((x, ones(8, 16, 5, 5)), ValueError, r"\[conv2d_nchwc\] expected a dilated kernel of at most"),
    ):
        with pytest.raises(error, match=text):
            cpu.conv2d_nchwc(*args, None, *rest, "none", None, None)
    with pytest.raises(ValueError, match=r"with 5 dimensions, or with 4, .*, got shape \(2, 2, 4, 4\) and 2 groups"):
        cpu.conv2d_nchwc(ones(2, 2, 4, 4), ones(32, 1, 1, 1), None, *rest[:3], 2, "none", None, None)
    with pytest.raises(ValueError, match=r"\[conv2d_nchwc\] expected residual of shape \(2, 1, 4, 4, 8\)"):
        cpu.conv2d_nchwc(x, w, None, *rest, "none", x, None)
    with pytest.raises(ValueError, match=r"\[conv2d_nchwc\] expected weights that conv2d_nchwc_prepare made"):
        cpu.conv2d_nchwc(x, w, None, *rest, "none", None, w)
    with pytest.raises(ValueError, match=r"\[conv2d_nchwc_prepare\] expected an input of 4 dimensions"):
        cpu.conv2d_nchwc_prepare((2, 2, 4, 4, 8), w, None, *rest)
    pool = (2, 2), (2, 2), (0, 0)
    with pytest.raises(ValueError, match=r"\[max_pool2d_nchwc\] expected input with 5 dimensions"):
        cpu.max_pool2d_nchwc(ones(2, 16, 4, 4), *pool, (1, 1), False)
    with pytest.raises(ValueError, match=r"\[max_pool2d_nchwc\] expected a plane that holds a window"):
        cpu.max_pool2d_nchwc(ones(2, 2, 1, 4, 8), *pool, (1, 1), False)
    with pytest.raises(TypeError, match=r"\[avg_pool2d_nchwc\] expected input of dtype float32, got float64"):
        cpu.avg_pool2d_nchwc(ones(2, 2, 4, 4, 8, dtype="float64"), *pool, False, True, 0)
    with pytest.raises(ValueError, match=r"\[avg_pool2d_nchwc\] expected a divisor of at least 0"):
        cpu.avg_pool2d_nchwc(x, *pool, False, True, -1)
