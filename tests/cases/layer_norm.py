"""Layer normalisation over the last axes."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def rows(rng, shape, axes=1):
    inner = shape[len(shape) - axes :]
    return [3 * rng.standard_normal(shape) + 2, rng.uniform(0.5, 2, inner), rng.standard_normal(inner)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (3, 5)},
    {"shape": (2, 3, 7)},
    {"shape": (4, 14)},
    {"shape": (5, 15)},
    {"shape": (6, 16)},
    {"shape": (7, 17)},
    {"shape": (2, 3, 4, 5), "axes": 3},
    {"shape": (6,)},
    {"shape": (0, 4)},
    {"shape": (2, 0)},
    {"shape": (131, 70)},
    {"shape": (5, 3000)},
]


def traffic(x, *_, **__):
    return 2 * x.nbytes


BAD = [
    BadCall(lambda d: F.layer_norm(None, (3,)), TypeError, "[layer_norm] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), 3), TypeError,
            "[layer_norm] expected a tuple of ints for normalized_shape, got 3"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), ()), ValueError,
            "[layer_norm] expected normalized_shape of at least 1 dimension, got ()"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), (2,)), ValueError,
            "[layer_norm] expected input that ends in shape (2,), got shape (2, 3)"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), (4, 2, 3)), ValueError,
            "[layer_norm] expected input that ends in shape (4, 2, 3), got shape (2, 3)"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), (3,), on(d, 2)), ValueError,
            "[layer_norm] expected weight of shape (3,), got shape (2,)"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3), (3,), None, on(d, 3, dtype="float64")), TypeError,
            "[layer_norm] expected bias of dtype float32, got float64"),
    BadCall(lambda d: F.layer_norm(on(d, 2, 3, dtype="int64"), (3,)), TypeError,
            "[layer_norm] expected input of dtype float32 or float64, got int64"),
]  # fmt: skip
CASES = [
    OpCase("layer_norm", lambda x, w, b: F.layer_norm(x, w.shape, w, b), rows, SIZES, BAD,
           shape_only=("shape", "axes"), epsilons=128, bytes=traffic),
    OpCase("layer_norm_plain", lambda x: F.layer_norm(x, x.shape[-1:]), lambda rng, shape: rows(rng, shape)[:1],
           [*SIZES[:6], {"shape": (3, 1)}], shape_only=("shape",), epsilons=128),
    OpCase("layer_norm_weight", lambda x, w: F.layer_norm(x, w.shape, w), lambda rng, shape: rows(rng, shape)[:2],
           SIZES[:6], shape_only=("shape",), epsilons=128),
    OpCase("layer_norm_bias", lambda x, b: F.layer_norm(x, b.shape, None, b),
           lambda rng, shape: rows(rng, shape)[::2], SIZES[:3], shape_only=("shape",), epsilons=128),
]  # fmt: skip
