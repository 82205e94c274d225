"""Transposed convolution over one and two axes: every attribute and three gradients."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def inputs(rng, x, weight, bias=True, groups=1, **_):
    arrays = [rng.standard_normal(x), rng.standard_normal(weight)]
    return [*arrays, rng.standard_normal(weight[1] * groups)] if bias else arrays


def size(x, weight, **attributes):
    return {"x": x, "weight": weight, **attributes}


def flops(x, weight, *bias, **attributes):
    return 2.0 * x.size * weight[0].size


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    size((2, 3, 4, 5), (3, 4, 2, 2), stride=2),
    size((1, 1, 1, 1), (1, 1, 1, 1), bias=False),
    size((2, 2, 3, 4), (2, 3, 3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0)),
    size((1, 4, 5, 5), (4, 3, 3, 3), groups=2, padding=1),
    size((2, 3, 4, 5), (3, 1, 3, 3), groups=3, stride=2, padding=1, output_padding=1),
    size((1, 2, 4, 3), (2, 3, 3, 3), dilation=(2, 3), stride=(1, 2), output_padding=(1, 2)),
    size((1, 2, 4, 4), (2, 2, 1, 1), stride=3, output_padding=2),
    size((1, 2, 3, 3), (2, 2, 2, 2), stride=4),
    size((1, 2, 1, 1), (2, 3, 4, 4), stride=(1, 2**31 - 1)),
    size((1, 2, 3, 3), (2, 1, 2, 2), stride=1, dilation=3, output_padding=2),
    size((3, 4, 5), (3, 2, 3, 3)),  # one image without a batch axis
    size((0, 3, 4, 4), (3, 2, 2, 2), stride=2),
    size((2, 16, 7, 7), (16, 20, 2, 2), stride=2),
    size((2, 16, 14, 15), (16, 17, 4, 4), stride=2, padding=1),
    size((3, 72, 13, 16), (72, 50, 4, 4), stride=2, padding=1),
    size((2, 36, 9, 11), (36, 32, 4, 3), stride=(2, 3), padding=(0, 1), groups=2),
    size((2, 140, 12, 13), (140, 31, 2, 2), stride=2),
    size((1, 24, 16, 17), (24, 9, 3, 3), stride=2, padding=1, output_padding=1),
    size((2, 32, 12, 9), (32, 16, 3, 3), padding=1),
    size((3, 20, 5, 33), (20, 6, 5, 5), stride=3, padding=2, output_padding=2),
    size((2, 30, 9, 1), (30, 31, 4, 1), stride=(4, 1)),
    size((1, 33, 6, 40), (33, 15, 2, 6), stride=(2, 3), padding=(1, 2)),
    # kernels side by side: three and four columns, groups, kernel rows longer than a tile is high
    size((2, 9, 5, 6), (9, 4, 3, 3), stride=3),
    size((3, 16, 5, 9), (16, 3, 2, 4), stride=(2, 4), groups=2),
    size((1, 8, 3, 7), (8, 2, 2, 17), stride=(2, 17)),
]
SEQUENCES = [
    size((2, 3, 9), (3, 4, 3)),
    size((2, 4, 9), (4, 3, 4), stride=2, padding=1, groups=2, output_padding=1),
    size((3, 17), (3, 5, 2), stride=(2,), dilation=2),
    size((0, 2, 3), (2, 2, 3)),
]
BAD = [
    BadCall(lambda d: F.conv_transpose2d(on(d, 2, 2), on(d, 1, 1, 1, 1)), ValueError,
            "[conv_transpose2d] expected input with 3 or 4 dimensions, got shape (2, 2)"),
    BadCall(lambda d: F.conv_transpose2d(None, on(d, 1, 1, 1, 1)), TypeError,
            "[conv_transpose2d] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 3, 4, 4), on(d, 2, 2, 3, 3)), ValueError,
            "[conv_transpose2d] expected an input of 2 channels, got 3 channels"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 3, 4, 4), on(d, 3, 2, 3, 3), groups=2), ValueError,
            "[conv_transpose2d] expected input channels that 2 groups divide, got 3"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), stride=0), ValueError,
            "[conv_transpose2d] expected stride of at least 1, got (0, 0)"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), padding=-1), ValueError,
            "[conv_transpose2d] expected padding of at least 0, got (-1, -1)"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), output_padding=1), ValueError,
            "[conv_transpose2d] expected output_padding below stride 1 or dilation 1, got 1"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 2, 2), on(d, 1, 1, 3, 3), padding=2), ValueError,
            "[conv_transpose2d] expected padding that leaves an output, got an output size of 0"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 0, 2), on(d, 1, 1, 3, 3)), ValueError,
            "[conv_transpose2d] expected an input size of 1 to 2^31 - 1, got 0"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), groups=0), ValueError,
            "[conv_transpose2d] expected groups of at least 1, got 0"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4, dtype="int64"), on(d, 1, 1, 3, 3, dtype="int64")), TypeError,
            "[conv_transpose2d] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 2, 3, 3), on(d, 3)), ValueError,
            "[conv_transpose2d] expected bias of shape (2,), got shape (3,)"),
    BadCall(lambda d: F.conv_transpose2d(on(d, 1, 1, 4, 4), on(d, 1, 1, 3, 3), stride="a"), TypeError,
            "[conv_transpose2d] expected an int or two for stride, got 'a'"),
]  # fmt: skip
BAD_SEQUENCES = [
    BadCall(lambda d: F.conv_transpose1d(on(d, 2, 2, 2, 2), on(d, 1, 1, 1)), ValueError,
            "[conv_transpose1d] expected input with 2 or 3 dimensions, got shape (2, 2, 2, 2)"),
    BadCall(lambda d: F.conv_transpose1d(on(d, 1, 1, 4), on(d, 1, 1, 3), stride=(1, 2)), TypeError,
            "[conv_transpose1d] expected an int for stride, got (1, 2)"),
]  # fmt: skip

CASES = [
    OpCase("conv_transpose2d", F.conv_transpose2d, inputs, SIZES, BAD, shape_only=("x", "weight", "bias"),
           epsilons=50, flops=flops, gradcheck_sizes=SIZES[:11]),
    OpCase("conv_transpose1d", F.conv_transpose1d, inputs, SEQUENCES, BAD_SEQUENCES,
           shape_only=("x", "weight", "bias"), epsilons=50, flops=flops),
]  # fmt: skip
