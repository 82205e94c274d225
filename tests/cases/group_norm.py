"""Group and instance normalisation."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def images(rng, shape, **_):
    """Input, weight, bias."""
    channels = shape[1]
    return [3 * rng.standard_normal(shape) + 2, rng.uniform(0.5, 2, channels), rng.standard_normal(channels)]


def only_input(rng, shape, **_):
    return images(rng, shape)[:1]


def moved(x, weight, bias, momentum=0.1):
    """The running statistics after a step: they are results too."""
    mean = fastdl.zeros(x.shape[1], dtype=x.dtype, device=x.device)
    var = fastdl.ones(x.shape[1], dtype=x.dtype, device=x.device)
    out = F.instance_norm(x, mean, var, weight, bias, True, momentum)
    return out, mean, var


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SIZES = [
    {"shape": (2, 6, 4, 4), "num_groups": 3},
    {"shape": (3, 4, 7), "num_groups": 1},
    {"shape": (4, 6), "num_groups": 2},
    {"shape": (2, 8, 3, 5), "num_groups": 8},
    {"shape": (5, 12, 5, 5), "num_groups": 4},
    {"shape": (1, 4, 15), "num_groups": 2},
    {"shape": (0, 4, 3), "num_groups": 2},
    {"shape": (2, 4, 0), "num_groups": 2},
    {"shape": (2, 0, 4), "num_groups": 2},
    {"shape": (1, 40, 65, 33), "num_groups": 20},
    {"shape": (1, 6, 150, 151), "num_groups": 2},
    {"shape": (9, 4, 31, 70), "num_groups": 2},
]
INSTANCES = [
    {"shape": (2, 3, 4, 4)},
    {"shape": (3, 5, 7)},
    {"shape": (1, 2, 2, 3, 3)},
    {"shape": (0, 3, 4)},
    {"shape": (2, 3, 0)},
    {"shape": (2, 9, 65, 65)},
]


def traffic(x, *_, **__):
    return 2 * x.nbytes


BAD = [
    BadCall(lambda d: F.group_norm(None, 1), TypeError, "[group_norm] expected a Tensor for input, got NoneType"),
    BadCall(lambda d: F.group_norm(on(d, 4), 2), ValueError,
            "[group_norm] expected input with at least 2 dimensions, got shape (4,)"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4, 3), 3), ValueError,
            "[group_norm] expected num_groups that divides the number of channels, got 3 for 4 channels"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4, 3), 0), ValueError,
            "[group_norm] expected num_groups that divides the number of channels, got 0 for 4 channels"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4, 3), 2.0), TypeError,
            "[group_norm] expected an int for num_groups, got float"),
    BadCall(lambda d: F.group_norm(on(d, 1, 4), 4), ValueError,
            "[group_norm] expected more than 1 value per group, got shape (1, 4) for 4 groups"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4), 2, on(d, 2)), ValueError,
            "[group_norm] expected weight of shape (4,), got shape (2,)"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4), 2, None, on(d, 4, dtype="float64")), TypeError,
            "[group_norm] expected bias of dtype float32, got float64"),
    BadCall(lambda d: F.group_norm(on(d, 2, 4, dtype="int64"), 2), TypeError,
            "[group_norm] expected input of dtype float32 or float64, got int64"),
]  # fmt: skip
BAD_INSTANCES = [
    BadCall(lambda d: F.instance_norm(on(d, 2, 3)), ValueError,
            "[instance_norm] expected input with at least 3 dimensions, got shape (2, 3)"),
    BadCall(lambda d: F.instance_norm(on(d, 2, 3, 1)), ValueError,
            "[instance_norm] expected more than 1 value per channel, got shape (2, 3, 1)"),
    BadCall(lambda d: F.instance_norm(on(d, 2, 3, 4), use_input_stats=False), ValueError,
            "[instance_norm] expected running_mean and running_var without use_input_stats, got None"),
    BadCall(lambda d: F.instance_norm(on(d, 2, 3, 4), on(d, 2)), ValueError,
            "[instance_norm] expected running_mean of shape (3,), got shape (2,)"),
]  # fmt: skip
CASES = [
    OpCase("group_norm", lambda x, w, b, num_groups: F.group_norm(x, num_groups, w, b), images, SIZES, BAD,
           shape_only=("shape",), epsilons=512, bytes=traffic),
    OpCase("group_norm_plain", F.group_norm, only_input, SIZES[:6], shape_only=("shape",), epsilons=128),
    OpCase("instance_norm", lambda x, w, b: F.instance_norm(x, None, None, w, b), images, INSTANCES, BAD_INSTANCES,
           shape_only=("shape",), epsilons=512, bytes=traffic),
    OpCase("instance_norm_plain", lambda x: F.instance_norm(x), only_input, INSTANCES[:3], shape_only=("shape",),
           epsilons=128),
    OpCase("instance_norm_moves_statistics", moved, images,
           [*INSTANCES[:5], {"shape": (2, 3, 5), "momentum": 0.7}], shape_only=("shape",), epsilons=128,
           gradcheck_sizes=[]),
]  # fmt: skip
