"""Convolution: every attribute, three gradients, the algorithms of DESIGN."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def inputs(rng, x, weight, bias=True, **_):
    arrays = [rng.standard_normal(x), rng.standard_normal(weight)]
    return [*arrays, rng.standard_normal(weight[0])] if bias else arrays


def size(x, weight, **attributes):
    return {"x": x, "weight": weight, **attributes}


def flops(x, weight, *bias, stride=1, padding=0, dilation=1, groups=1):
    with fastdl.no_grad():
        out = F.conv2d(*(fastdl.zeros(a.shape) for a in (x, weight)), None, stride, padding, dilation, groups)
    return 2.0 * out.numel() * weight[0].size


def traffic(x, weight, *bias, **attributes):
    out = flops(x, weight, **attributes) / (2 * weight[0].size)
    return float(x.nbytes + weight.nbytes + out * x.itemsize)


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    size((2, 3, 6, 7), (4, 3, 3, 3)),
    size((1, 1, 5, 5), (1, 1, 1, 1), bias=False),
    size((1, 2, 5, 5), (2, 2, 3, 3), stride=(2**31 - 1, 1)),
    size((2, 2, 5, 6), (3, 2, 3, 2), stride=(2, 1), padding=(1, 0)),
    size((1, 4, 7, 7), (6, 2, 3, 3), groups=2, padding=1),
    size((2, 5, 9, 8), (5, 1, 3, 3), groups=5, padding=1, stride=2),
    size((1, 3, 8, 8), (6, 1, 3, 3), groups=3),
    size((2, 3, 5, 7), (3, 1, 5, 5), groups=3, padding=2),
    size((1, 4, 14, 17), (8, 1, 3, 3), groups=4, padding=1),
    size((1, 2, 11, 11), (3, 2, 3, 3), dilation=(2, 3), padding=2),
    size((2, 3, 1, 1), (4, 3, 3, 3), padding=1),
    size((1, 2, 4, 9), (2, 2, 1, 7), padding=(0, 3)),
    size((1, 2, 9, 4), (2, 2, 7, 1), padding=(3, 0)),
    size((3, 6, 7), (2, 3, 3, 3)),  # one image without a batch axis
    size((0, 3, 6, 6), (4, 3, 3, 3)),
    size((2, 3, 8, 9), (4, 3, 4, 3), padding="same"),
    size((2, 3, 8, 9), (4, 3, 3, 3), padding="valid"),
    size((1, 3, 17, 16), (8, 3, 7, 7), stride=2, padding=3),
    size((1, 3, 35, 35), (5, 3, 11, 11), stride=4, padding=2),
    size((2, 16, 14, 15), (17, 16, 3, 3), padding=1),
    size((1, 32, 17, 18), (32, 32, 3, 3)),
    size((3, 32, 10, 13), (16, 32, 3, 3)),
    size((2, 33, 7, 7), (48, 33, 3, 3), padding=1),
    size((1, 20, 16, 31), (40, 20, 1, 1)),
    size((2, 24, 9, 9), (12, 24, 1, 1), stride=2),
    size((2, 8, 20, 33), (12, 8, 5, 5), padding=2),
    # gradients by Winograd at strides, of few tiles and of many, and of 1x1 kernels
    size((2, 17, 21, 20), (33, 17, 3, 3), stride=2, padding=1),
    size((3, 64, 22, 30), (20, 64, 4, 4), stride=2, padding=1),
    size((1, 30, 26, 27), (29, 30, 5, 4), stride=(3, 2), padding=(2, 1)),
    size((9, 16, 24, 24), (12, 16, 5, 5), padding=2),
    size((3, 40, 14, 14), (29, 40, 1, 1)),
    size((4, 1, 28, 28), (32, 1, 3, 3)),
    size((1, 1, 3, 40), (2, 1, 3, 3)),
    # sums in parts: several tiles a row, two rows a tile, in place
    size((1, 40, 9, 31), (32, 40, 3, 3), dilation=2, padding=2),
    size((1, 41, 11, 7), (48, 41, 3, 3), dilation=2, padding=2),
    size((2, 170, 5, 7), (16, 170, 1, 1)),
    # Winograd's weights on the way, views with and without a last tap
    size((1, 64, 11, 12), (32, 64, 3, 3), stride=2, padding=1),
    size((1, 130, 5, 6), (80, 130, 3, 3), padding=1),
    # Winograd along one axis: one view, two of which the last lacks a tap, strides along and across, groups
    size((2, 16, 9, 20), (17, 16, 1, 3), padding=(0, 1)),
    size((2, 20, 19, 7), (33, 20, 7, 1), padding=(3, 0)),
    size((1, 64, 6, 17), (32, 64, 1, 7), padding=(0, 3)),
    size((1, 17, 9, 30), (16, 17, 1, 9), stride=(2, 3), padding=(1, 4)),
    size((2, 32, 21, 9), (32, 16, 4, 1), groups=2, padding=(2, 1)),
    # Winograd of few channels: rows and outputs left over, narrow rows, groups, several bands
    size((2, 3, 19, 21), (10, 3, 3, 3), padding=1),
    size((1, 2, 10, 9), (7, 2, 5, 5), padding=2),
    size((2, 4, 13, 40), (18, 2, 4, 3), groups=2),
    size((1, 3, 30, 130), (4, 3, 2, 2), padding=1),
    # few channels by shifted copies: strides, dilation, groups, several bands, outputs left over
    size((2, 3, 21, 37), (11, 3, 3, 3), stride=2, padding=1),
    size((1, 2, 30, 90), (6, 2, 3, 5), dilation=(2, 3), padding=(2, 6)),
    size((2, 4, 13, 15), (10, 2, 3, 4), stride=(1, 3), groups=2),
    size((3, 1, 20, 20), (9, 1, 5, 5), padding=2),
    # views of channels that are whole vectors but no whole chunk; kernels that share no pixel
    size((1, 80, 9, 7), (16, 80, 7, 1), padding=(3, 0)),
    size((1, 80, 11, 12), (16, 80, 3, 3), stride=2, padding=1),
    size((2, 20, 17, 38), (18, 20, 2, 2), stride=2),
]
BAD = [
    BadCall(lambda d: F.conv2d(on(d, 2, 2), on(d, 1, 1, 1, 1)), ValueError,
            "[conv2d] expected input with 3 or 4 dimensions, got shape (2, 2)"),
    BadCall(lambda d: F.conv2d(on(d), on(d, 1, 1, 1, 1)), ValueError,
            "[conv2d] expected input with 3 or 4 dimensions, got shape ()"),
    BadCall(lambda d: F.conv2d(None, on(d, 1, 1, 1, 1)), TypeError,
            "[conv2d] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), None), TypeError,
            "[conv2d] expected a Tensor for weight, got NoneType"),
    BadCall(lambda d: F.conv2d(on(d, 1, 3, 4, 4), on(d, 2, 2, 3, 3)), ValueError,
            "[conv2d] expected an input of 2 channels in each of 1 groups, got 3 channels"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), stride=0), ValueError,
            "[conv2d] expected stride of at least 1, got (0, 0)"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), dilation=0), ValueError,
            "[conv2d] expected dilation of at least 1, got (0, 0)"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), padding=-1), ValueError,
            "[conv2d] expected padding of at least 0, got (-1, -1, -1, -1)"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), padding="sam"), ValueError,
            "[conv2d] expected padding 'same', 'valid' or numbers, got 'sam'"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 2, 2), on(d, 1, 1, 3, 3)), ValueError,
            "[conv2d] expected a dilated kernel of at most the padded input, 2, got 3"),
    BadCall(lambda d: F.conv2d(on(d, 1, 4, 4, 4), on(d, 3, 2, 3, 3), groups=2), ValueError,
            "[conv2d] expected output channels that 2 groups divide, got 3"),
    BadCall(lambda d: F.conv2d(on(d, 1, 4, 4, 4), on(d, 3, 2, 3, 3), groups=0), ValueError,
            "[conv2d] expected groups of at least 1, got 0"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4, dtype="int64"), on(d, 1, 1, 3, 3, dtype="int64")), TypeError,
            "[conv2d] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3, dtype="float64")), TypeError,
            "[conv2d] expected weight of dtype float32, got float64"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 2, 1, 3, 3), on(d, 3)), ValueError,
            "[conv2d] expected bias of shape (2,), got shape (3,)"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 2, 1, 3, 3), stride="a"), TypeError,
            "[conv2d] expected an int or two for stride, got 'a'"),
    BadCall(lambda d: F.conv2d(on(d, 1, 1, 4, 4), on(d, 2, 1, 3, 3), padding=2**61), ValueError,
            f"[conv2d] expected padding below 2^31, got ({2**61}, {2**61}, {2**61}, {2**61})"),
]  # fmt: skip


SEQUENCES = [
    size((2, 3, 9), (4, 3, 3), padding=1),
    size((2, 4, 12), (6, 2, 4), stride=2, padding=(1,), groups=2),
    size((3, 17), (5, 3, 2), dilation=2, padding="same"),
    size((2, 5, 100), (7, 5, 9), padding="valid"),
    size((2, 24, 70), (20, 24, 5), padding=2),
    size((0, 2, 3), (2, 2, 3)),
]
BAD_SEQUENCES = [
    BadCall(lambda d: F.conv1d(on(d, 2, 2, 2, 2), on(d, 1, 1, 1)), ValueError,
            "[conv1d] expected input with 2 or 3 dimensions, got shape (2, 2, 2, 2)"),
    BadCall(lambda d: F.conv1d(on(d, 2, 2, 2), on(d, 1, 1)), ValueError,
            "[conv1d] expected weight with 3 dimensions, got shape (1, 1)"),
    BadCall(lambda d: F.conv1d(on(d, 1, 1, 4), on(d, 1, 1, 3), stride="a"), TypeError,
            "[conv1d] expected an int for stride, got 'a'"),
    BadCall(lambda d: F.conv1d(on(d, 1, 1, 4), on(d, 1, 1, 3), groups=1.0), TypeError,
            "[conv1d] expected an int for groups, got float"),
]  # fmt: skip


# Winograd's transforms round more than a plain sum; the bar for it is 6e-6 of the largest output: 50 epsilons.
CASES = [
    OpCase("conv2d", F.conv2d, inputs, SIZES, BAD, shape_only=("x", "weight", "bias"), epsilons=50, flops=flops,
           bytes=traffic, gradcheck_sizes=SIZES[:10]),
    OpCase("conv1d", F.conv1d, inputs, SEQUENCES, BAD_SEQUENCES, shape_only=("x", "weight", "bias"), epsilons=50),
]  # fmt: skip
