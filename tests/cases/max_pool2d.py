"""Max pooling, with and without indices."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def distinct(rng, shape, **_):
    """No two equal numbers in a plane, so that float32 and float64 choose the same maximum."""
    n = 1
    for s in shape:
        n *= s
    return [rng.permutation(n).reshape(shape) / 16.0 - n / 32.0]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (2, 3, 6, 6), "kernel_size": 2},
    {"shape": (1, 2, 7, 9), "kernel_size": 3, "stride": 2, "padding": 1},
    {"shape": (1, 2, 7, 9), "kernel_size": (2, 3), "stride": (1, 2)},
    {"shape": (2, 1, 10, 11), "kernel_size": 3, "dilation": 2},
    {"shape": (1, 1, 6, 5), "kernel_size": 2, "ceil_mode": True},
    {"shape": (1, 2, 8, 8), "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"shape": (3, 6, 7), "kernel_size": 2},
    {"shape": (0, 3, 6, 6), "kernel_size": 2},
    {"shape": (1, 1, 1, 1), "kernel_size": 1},
    {"shape": (1, 2, 24, 33), "kernel_size": 2},
    {"shape": (1, 0, 4, 4), "kernel_size": 2},
    {"shape": (1, 1, 7, 7), "kernel_size": 2, "stride": 1, "padding": 1, "dilation": 8, "ceil_mode": True},
    {"shape": (1, 2, 31, 67), "kernel_size": 3, "stride": 2},
    {"shape": (2, 2, 14, 15), "kernel_size": 5, "stride": 1, "padding": 2},
    {"shape": (1, 1, 4, 40), "kernel_size": (4, 7), "stride": (4, 3)},
    {"shape": (3, 7, 9, 48), "kernel_size": 3, "stride": 3},
    {"shape": (2, 5, 10, 31), "kernel_size": (5, 4), "stride": (3, 4), "padding": 2},
    {"shape": (1, 1, 9, 17), "kernel_size": (9, 5), "stride": (9, 3), "padding": (4, 0), "ceil_mode": True},
    {"shape": (2, 3, 6, 70), "kernel_size": (2, 66), "stride": 1},
    {
        "shape": (20, 2, 3, 5),
        "kernel_size": (2, 2),
        "stride": (1, 3),
        "padding": 1,
        "dilation": (2, 6),
        "ceil_mode": True,
    },
    {"shape": (1, 2, 13, 30), "kernel_size": (4, 2), "stride": (1, 2), "padding": 1, "dilation": (3, 2)},
]
BAD = [
    BadCall(lambda d: F.max_pool2d(on(d, 2, 2), 2), ValueError,
            "[max_pool2d] expected input with 3 or 4 dimensions, got shape (2, 2)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 2, 2), 0), ValueError,
            "[max_pool2d] expected kernel_size of at least 1 and below 2^31, got (0, 0)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 2, 2), 2, 0), ValueError,
            "[max_pool2d] expected stride of at least 1 and below 2^31, got (0, 0)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 4, 4), 2, padding=2), ValueError,
            "[max_pool2d] expected padding of at most half the kernel (2, 2), got padding (2, 2)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 0, 4), 2, padding=1), ValueError,
            "[max_pool2d] expected planes with elements, got 0 x 4"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 8, 8), 3, padding=2, dilation=2), ValueError,
            "[max_pool2d] expected padding of at most half the kernel (3, 3), got padding (2, 2)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 2, 2), 3), ValueError,
            "[max_pool2d] expected a plane that holds a window of kernel (3, 3), dilation (1, 1), padding (0, 0), "
            "got shape (1, 1, 2, 2)"),
    BadCall(lambda d: F.max_pool2d(on(d, 1, 1, 2, 2, dtype="int64"), 2), TypeError,
            "[max_pool2d] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.max_pool2d(None, 2), TypeError, "[max_pool2d] expected a Tensor for input, got NoneType"),
]  # fmt: skip
CASES = [
    OpCase("max_pool2d", F.max_pool2d, distinct, SIZES, BAD, shape_only=("shape",), epsilons=4,
           bytes=lambda x, **_: 1.25 * x.nbytes),
    OpCase("max_pool2d_with_indices", lambda x, **a: F.max_pool2d(x, **a, return_indices=True), distinct, SIZES,
           shape_only=("shape",), epsilons=4, bytes=lambda x, **_: 1.75 * x.nbytes),
]  # fmt: skip
