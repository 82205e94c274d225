"""Dropout: the same stream of random numbers on every device."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def normal(rng, shape, **_):
    return [rng.standard_normal(shape)]


def seeded(x, p):
    """From a fixed place of the stream: the mask is part of the result."""
    fastdl.manual_seed(2**40 + 3)
    fastdl.random.default_generator.take_counters(5)
    return F.dropout(x, p, training=True)


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


CASES = [
    OpCase("dropout", seeded, normal, [
        {"shape": (13,), "p": 0.5},
        *({"shape": (n,), "p": 0.25} for n in (0, 1, 3, 4, 5, 63, 64, 65, 1001)),
        {"shape": (70_003,), "p": 0.1},
        {"shape": (20,), "p": 0.0},
        {"shape": (20,), "p": 1.0},
    ], [
        BadCall(lambda d: F.dropout(on(d, 2), 1.5), ValueError, "[dropout] expected p between 0 and 1, got 1.5"),
        BadCall(lambda d: F.dropout(on(d, 2, dtype="int64"), 0.5), TypeError,
                "[dropout] expected input of dtype float32 or float64, got int64"),
        BadCall(lambda d: F.dropout(None, 0.5), TypeError, "[dropout] expected a Tensor for input, got NoneType"),
    ], shape_only=("shape",), epsilons=2, bytes=lambda x, **_: 2 * x.nbytes),
]  # fmt: skip
