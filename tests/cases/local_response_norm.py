"""Local response normalisation over neighbouring channels."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def channels(rng, shape, **_):
    return [2 * rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (2, 6, 3, 4), "size": 5, "alpha": 0.5},
    {"shape": (1, 7, 7), "size": 2, "alpha": 0.5, "beta": 0.5},
    {"shape": (2, 4, 3, 5), "size": 3, "alpha": 0.7, "beta": 1.0, "k": 2.0},
    {"shape": (1, 5, 16), "size": 4, "alpha": 0.3, "beta": 0.6},
    {"shape": (2, 3, 17), "size": 1, "alpha": 0.3},
    {"shape": (1, 3, 14), "size": 50, "alpha": 0.9},
    {"shape": (1, 1, 15), "size": 5, "alpha": 0.9},
    {"shape": (0, 3, 4), "size": 5},
    {"shape": (2, 3, 0), "size": 5},
    {"shape": (1, 12, 9, 31), "size": 5, "alpha": 1e-2},
    {"shape": (1, 9, 2, 3, 130), "size": 6, "alpha": 1e-1},
    {"shape": (2, 70, 20, 20), "size": 5, "alpha": 1e-1},
]
BAD = [
    BadCall(lambda d: F.local_response_norm(None, 5), TypeError,
            "[local_response_norm] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.local_response_norm(on(d, 2, 3), 5), ValueError,
            "[local_response_norm] expected input with at least 3 dimensions, got shape (2, 3)"),
    BadCall(lambda d: F.local_response_norm(on(d, 2, 3, 4), 0), ValueError,
            "[local_response_norm] expected size of at least 1 and below 2^31, got 0"),
    BadCall(lambda d: F.local_response_norm(on(d, 2, 3, 4), 2.5), TypeError,
            "[local_response_norm] expected an int for size, got float"),
    BadCall(lambda d: F.local_response_norm(on(d, 2, 3, 4, dtype="int64"), 5), TypeError,
            "[local_response_norm] expected input of dtype float32 or float64, got int64"),
]  # fmt: skip
CASES = [
    OpCase("local_response_norm", F.local_response_norm, channels, SIZES, BAD, shape_only=("shape",),
           epsilons=64, gradcheck_sizes=SIZES[:4], bytes=lambda x, **_: 2 * x.nbytes),
]  # fmt: skip
