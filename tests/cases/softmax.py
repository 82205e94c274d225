"""softmax and log_softmax over any axis."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def wide(rng, shape, **_):
    return [5 * rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (3, 5), "dim": 1},
    {"shape": (3, 5), "dim": 0},
    {"shape": (2, 3, 17), "dim": 1},
    {"shape": (2, 10), "dim": -1},
    {"shape": (4, 1), "dim": 1},
    {"shape": (3, 33), "dim": 1},
    {"shape": (37, 64), "dim": 1},
    {"shape": (2, 1000), "dim": 1},
    {"shape": (2, 5, 40), "dim": 1},
    {"shape": (0, 5), "dim": 1},
    {"shape": (1, 5000), "dim": 1},
    {"shape": (7,), "dim": 0},
]


def traffic(x, **_):
    return 2 * x.nbytes


CASES = [
    OpCase("softmax", F.softmax, wide, SIZES, [
        BadCall(lambda d: F.softmax(on(d, 2, 3), 2), IndexError, "[softmax] expected dim in [-2, 1], got 2"),
        BadCall(lambda d: F.softmax(on(d, 2, 3, dtype="int64"), 1), TypeError,
                "[softmax] expected input of dtype float32 or float64, got int64"),
        BadCall(lambda d: F.softmax(None, 1), TypeError, "[softmax] expected a Tensor for input, got NoneType"),
    ], shape_only=("shape",), epsilons=32, bytes=traffic),
    OpCase("log_softmax", F.log_softmax, wide, SIZES, shape_only=("shape",), epsilons=32, bytes=traffic),
]  # fmt: skip
