"""Interpolation: nearest and bilinear, both ways of placing corners, larger and smaller."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def inputs(rng, shape, **_):
    return [rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def bilinear(x, **attributes):
    return F.interpolate(x, mode="bilinear", **attributes)


def linear(x, **attributes):
    return F.interpolate(x, mode="linear", **attributes)


SIZES = [
    {"shape": (2, 3, 4, 5), "scale_factor": 2},
    {"shape": (2, 3, 4, 5), "size": (7, 3)},
    {"shape": (1, 2, 5, 7), "scale_factor": (1.5, 2.3)},
    {"shape": (1, 2, 5, 7), "scale_factor": (1.5, 2.3), "recompute_scale_factor": True},
    {"shape": (1, 2, 3, 3), "scale_factor": 4},
    {"shape": (1, 2, 9, 9), "scale_factor": 0.5},
    {"shape": (1, 2, 1, 1), "size": 5},
    {"shape": (1, 2, 6, 6), "size": 1},
    {"shape": (0, 2, 6, 6), "size": 4},
    {"shape": (1, 0, 6, 6), "size": 4},
    {"shape": (1, 2, 7, 16), "size": (7, 16)},
    {"shape": (1, 2, 14, 17), "scale_factor": 2},
    {"shape": (1, 1, 15, 33), "scale_factor": 3},
    {"shape": (1, 1, 31, 70), "size": (17, 40)},
    {"shape": (1, 1, 33, 16), "size": (34, 129)},
]
SEQUENCES = [
    {"shape": (2, 3, 5), "scale_factor": 2},
    {"shape": (2, 3, 9), "size": 4},
]
FILTERS = [
    {"shape": (2, 3, 4, 5), "size": (7, 3), "mode": "bicubic"},
    {"shape": (1, 2, 5, 7), "scale_factor": (1.5, 0.6), "mode": "bicubic", "align_corners": True},
    {"shape": (1, 2, 9, 6), "size": (4, 5), "mode": "bicubic", "antialias": True},
    {"shape": (1, 2, 9, 6), "size": (4, 8), "mode": "bilinear", "antialias": True},
    {"shape": (1, 2, 5, 7), "scale_factor": (1.5, 2.3), "mode": "nearest-exact"},
    {"shape": (2, 3, 9), "size": 4, "mode": "nearest-exact"},
    {"shape": (1, 2, 9, 6), "size": (4, 5), "mode": "area"},
    {"shape": (2, 3, 9), "size": 4, "mode": "area"},
]
ALIGNED = [a | {"align_corners": True} for a in SIZES]
BAD = [
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2)), ValueError,
            "[interpolate] expected one of size and scale_factor, got none"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), 4, 2), ValueError,
            "[interpolate] expected one of size and scale_factor, got both"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), 4, mode="trilinear"), NotImplementedError,
            "[interpolate] expected mode nearest, nearest-exact, area, linear, bilinear, bicubic, got 'trilinear'"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), 4, antialias=True), ValueError,
            "[interpolate] expected antialias with mode bilinear or bicubic, got it with 'nearest'"),
    BadCall(lambda d: F.interpolate(on(d, 1, 2, 2), 4, mode="bilinear"), ValueError,
            "[interpolate] expected input with 4 dimensions for mode 'bilinear', got shape (1, 2, 2)"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), 4, align_corners=False), ValueError,
            "[interpolate] expected align_corners with a smooth mode, got False with 'nearest'"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), (4, 4, 4)), TypeError,
            "[interpolate] expected a number or 2 for size, got (4, 4, 4)"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), scale_factor=0), ValueError,
            "[interpolate] expected scale_factor above 0 and at most 1e9, got 0"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2), 0), ValueError,
            "[upsample_nearest2d] expected output size of at least 1 and below 2^31, got (0, 0)"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 0, 2), 3, mode="bilinear"), ValueError,
            "[upsample_bilinear2d] expected planes with elements, got 0 x 2"),
    BadCall(lambda d: F.interpolate(on(d, 1, 1, 2, 2, dtype="int64"), 3), TypeError,
            "[upsample_nearest2d] expected input of dtype float32 or float64, got int64"),
    BadCall(lambda d: F.interpolate(None, 3), TypeError, "[interpolate] expected a Tensor for input, got NoneType"),
]  # fmt: skip
CASES = [
    OpCase("interpolate_nearest", F.interpolate, inputs, [*SIZES, *SEQUENCES], BAD, shape_only=("shape",),
           bytes=lambda x, **_: 5.0 * x.nbytes),
    OpCase("interpolate_bilinear", bilinear, inputs, [*SIZES, *ALIGNED], shape_only=("shape",),
           gradcheck_sizes=[*SIZES[:4], *ALIGNED[:2]], bytes=lambda x, **_: 5.0 * x.nbytes),
    OpCase("interpolate_filters", F.interpolate, inputs, FILTERS, shape_only=("shape",)),
    OpCase("interpolate_linear", linear, inputs, SEQUENCES, shape_only=("shape",)),
]  # fmt: skip
