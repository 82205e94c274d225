"""Batch normalisation in training and outside it."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def batch(rng, shape, **_):
    """Input, weight, bias."""
    channels = shape[1]
    return [3 * rng.standard_normal(shape) + 2, rng.uniform(0.5, 2, channels), rng.standard_normal(channels)]


def with_statistics(rng, shape, **_):
    """Input, running mean, running variance, weight, bias."""
    x, weight, bias = batch(rng, shape)
    return [x, rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1]), weight, bias]


def moved(x, weight, bias, momentum=0.1):
    """The running statistics after a step: they are results too."""
    mean = fastdl.zeros(x.shape[1], dtype=x.dtype, device=x.device)
    var = fastdl.ones(x.shape[1], dtype=x.dtype, device=x.device)
    out = F.batch_norm(x, mean, var, weight, bias, True, momentum)
    return out, mean, var


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (4, 3)},
    {"shape": (3, 5, 7)},
    {"shape": (2, 3, 4, 4)},
    {"shape": (130, 70)},
    {"shape": (2, 4, 16, 17)},
    {"shape": (2, 2, 3, 5, 15)},
    {"shape": (1, 2, 3)},
    {"shape": (3, 2, 1, 1)},
    {"shape": (0, 3, 4, 4)},
    {"shape": (2, 3, 0)},
    {"shape": (2, 0, 4)},
    {"shape": (1, 20, 65, 65)},
    {"shape": (2, 3, 190, 191)},
    {"shape": (3, 17, 75, 77)},
]


def traffic(x, *_, **__):
    return 2 * x.nbytes


BAD = [
    BadCall(lambda d: F.batch_norm(None, None, None), TypeError,
            "[batch_norm] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.batch_norm(on(d, 3), None, None, training=True), ValueError,
            "[batch_norm] expected input with at least 2 dimensions, got shape (3,)"),
    BadCall(lambda d: F.batch_norm(on(d, 1, 3), None, None, training=True), ValueError,
            "[batch_norm] expected more than 1 value per channel in training, got shape (1, 3)"),
    BadCall(lambda d: F.batch_norm(on(d, 2, 3), None, None), ValueError,
            "[batch_norm] expected running_mean and running_var outside training, got None"),
    BadCall(lambda d: F.batch_norm(on(d, 2, 3), None, None, on(d, 4), training=True), ValueError,
            "[batch_norm] expected weight of shape (3,), got shape (4,)"),
    BadCall(lambda d: F.batch_norm(on(d, 2, 3), None, None, None, on(d, 3, dtype="float64"), True), TypeError,
            "[batch_norm] expected bias of dtype float32, got float64"),
    BadCall(lambda d: F.batch_norm(on(d, 2, 3, dtype="int64"), None, None, training=True), TypeError,
            "[batch_norm] expected input of dtype float32 or float64, got int64"),
]  # fmt: skip
# A weight's gradient is a sum in which the rounding of the mean counts as often as there are numbers.
CASES = [
    OpCase("batch_norm_train", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), batch, SIZES, BAD,
           shape_only=("shape",), epsilons=512, bytes=traffic),
    OpCase("batch_norm_moves_statistics", moved, batch, [*SIZES[:5], {"shape": (2, 3, 5), "momentum": 0.7}],
           shape_only=("shape",), epsilons=128, gradcheck_sizes=[]),
    OpCase("batch_norm_plain", lambda x: F.batch_norm(x, None, None, training=True),
           lambda rng, shape: batch(rng, shape)[:1], SIZES[:5], shape_only=("shape",), epsilons=128),
    OpCase("batch_norm_eval", lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b), with_statistics, SIZES,
           differentiable=[0, 3, 4], shape_only=("shape",), epsilons=128, bytes=traffic),
]  # fmt: skip
