"""Adaptive pooling: sizes that divide, that do not, and output size 1."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase

from .max_pool2d import distinct


def inputs(rng, shape, **_):
    return [rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (2, 3, 7, 5), "output_size": 3},
    {"shape": (2, 3, 6, 8), "output_size": (3, 4)},
    {"shape": (2, 3, 6, 8), "output_size": 1},
    {"shape": (2, 3, 6, 8), "output_size": (None, 5)},
    {"shape": (3, 6, 8), "output_size": (4, None)},
    {"shape": (1, 2, 3, 3), "output_size": (7, 5)},
    {"shape": (1, 1, 1, 1), "output_size": 2},
    {"shape": (0, 3, 6, 8), "output_size": 4},
    {"shape": (2, 0, 6, 8), "output_size": 4},
    {"shape": (1, 2, 5, 5), "output_size": (0, 2)},
    {"shape": (2, 2, 17, 33), "output_size": 7},
    {"shape": (1, 3, 31, 14), "output_size": (8, 15)},
]
SEQUENCES = [
    {"shape": (2, 3, 9), "output_size": 4},
    {"shape": (3, 16), "output_size": (1,)},
]


def bad(name):
    function = getattr(F, name)
    return [
        BadCall(lambda d: function(on(d, 2, 2), 2), ValueError,
                f"[{name}] expected input with 3 or 4 dimensions, got shape (2, 2)"),
        BadCall(lambda d: function(on(d, 1, 1, 5, 5), -1), ValueError,
                f"[{name}] expected output_size of at least 0 and below 2^31, got (-1, -1)"),
        BadCall(lambda d: function(on(d, 1, 1, 5, 5), 2.0), TypeError,
                f"[{name}] expected an int or two, or None, for output_size, got 2.0"),
        BadCall(lambda d: function(on(d, 1, 1, 0, 5), 2), ValueError,
                f"[{name}] expected planes with elements, got 0 x 5"),
        BadCall(lambda d: function(on(d, 1, 1, 5, 5, dtype="int64"), 2), TypeError,
                f"[{name}] expected input of dtype float32 or float64, got int64"),
    ]  # fmt: skip


BAD_SEQUENCES = [
    BadCall(lambda d: F.adaptive_avg_pool1d(on(d, 1, 1, 5), None), TypeError,
            "[adaptive_avg_pool1d] expected an int for output_size, got NoneType"),
]  # fmt: skip
CASES = [
    OpCase("adaptive_avg_pool2d", F.adaptive_avg_pool2d, inputs, SIZES, bad("adaptive_avg_pool2d"),
           shape_only=("shape",), gradcheck_sizes=SIZES[:6], bytes=lambda x, **_: float(x.nbytes)),
    OpCase("adaptive_avg_pool1d", F.adaptive_avg_pool1d, inputs, SEQUENCES, BAD_SEQUENCES, shape_only=("shape",)),
    OpCase("adaptive_max_pool2d", lambda x, **a: F.adaptive_max_pool2d(x, **a, return_indices=True), distinct, SIZES,
           bad("adaptive_max_pool2d"), shape_only=("shape",), gradcheck_sizes=SIZES[:6],
           bytes=lambda x, **_: float(x.nbytes)),
    OpCase("adaptive_max_pool1d", F.adaptive_max_pool1d, distinct, SEQUENCES, shape_only=("shape",)),
]  # fmt: skip
