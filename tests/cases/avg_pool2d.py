"""Average pooling of images and of sequences."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def inputs(rng, shape, **_):
    return [rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (2, 3, 6, 6), "kernel_size": 2},
    {"shape": (1, 2, 7, 9), "kernel_size": 3, "stride": 2, "padding": 1},
    {"shape": (1, 2, 7, 9), "kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    {"shape": (1, 2, 7, 9), "kernel_size": (2, 3), "stride": (1, 2), "divisor_override": 5},
    {"shape": (1, 1, 6, 5), "kernel_size": 2, "ceil_mode": True},
    {"shape": (1, 2, 8, 8), "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"shape": (1, 2, 8, 9), "kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True, "count_include_pad": False},
    {"shape": (3, 6, 7), "kernel_size": 2},
    {"shape": (0, 3, 6, 6), "kernel_size": 2},
    {"shape": (1, 0, 4, 4), "kernel_size": 2},
    {"shape": (1, 1, 1, 1), "kernel_size": 1},
    {"shape": (1, 2, 24, 33), "kernel_size": 2},
    {"shape": (1, 2, 31, 67), "kernel_size": 3, "stride": 2},
    {"shape": (2, 2, 14, 15), "kernel_size": 5, "stride": 1, "padding": 2},
    {"shape": (1, 1, 4, 40), "kernel_size": (4, 7), "stride": (4, 3)},
    {"shape": (1, 2, 16, 17), "kernel_size": 3, "stride": 1, "padding": 1},
    {"shape": (1, 1, 9, 70), "kernel_size": (3, 66), "stride": 1, "padding": (1, 20)},
    {"shape": (1, 2, 65, 64), "kernel_size": 4, "stride": 2, "padding": 1},
    {"shape": (3, 7, 9, 48), "kernel_size": 3, "stride": 3},
    {"shape": (2, 17, 8, 33), "kernel_size": (2, 4), "stride": 4, "padding": (1, 2), "ceil_mode": True},
]
SEQUENCES = [
    {"shape": (2, 3, 9), "kernel_size": 3},
    {"shape": (3, 17), "kernel_size": (4,), "stride": 2, "padding": 1, "count_include_pad": False},
    {"shape": (0, 2, 5), "kernel_size": 2, "ceil_mode": True},
]
BAD = [
    BadCall(lambda d: F.avg_pool2d(on(d, 2, 2), 2), ValueError,
            "[avg_pool2d] expected input with 3 or 4 dimensions, got shape (2, 2)"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 2, 2), 0), ValueError,
            "[avg_pool2d] expected kernel_size of at least 1 and below 2^31, got (0, 0)"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 2, 2), 2, (1, 2, 3)), TypeError,
            "[avg_pool2d] expected an int or two for stride, got (1, 2, 3)"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 4, 4), 2, padding=2), ValueError,
            "[avg_pool2d] expected padding of at most half the kernel (2, 2), got padding (2, 2)"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 0, 4), 2, padding=1), ValueError,
            "[avg_pool2d] expected planes with elements, got 0 x 4"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 2, 2), 3), ValueError,
            "[avg_pool2d] expected a plane that holds a window of kernel (3, 3), dilation (1, 1), padding (0, 0), "
            "got shape (1, 1, 2, 2)"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 2, 2), 2, divisor_override=0), ValueError,
            "[avg_pool2d] expected divisor_override of at least 1, got 0"),
    BadCall(lambda d: F.avg_pool2d(on(d, 1, 1, 2, 2, dtype="int64"), 2), TypeError,
            "[avg_pool2d] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.avg_pool2d(None, 2), TypeError, "[avg_pool2d] expected a Tensor for input, got NoneType"),
]  # fmt: skip
BAD_SEQUENCES = [
    BadCall(lambda d: F.avg_pool1d(on(d, 1, 1, 2, 2), 2), ValueError,
            "[avg_pool1d] expected input with 2 or 3 dimensions, got shape (1, 1, 2, 2)"),
    BadCall(lambda d: F.avg_pool1d(on(d, 1, 1, 4), (2, 2)), TypeError,
            "[avg_pool1d] expected an int for kernel_size, got (2, 2)"),
]  # fmt: skip
CASES = [
    OpCase("avg_pool2d", F.avg_pool2d, inputs, SIZES, BAD, shape_only=("shape",), gradcheck_sizes=SIZES[:7],
           bytes=lambda x, **_: 1.25 * x.nbytes),
    OpCase("avg_pool1d", F.avg_pool1d, inputs, SEQUENCES, BAD_SEQUENCES, shape_only=("shape",)),
]  # fmt: skip
