"""Maximum over the bins of regions of interest; the regions of roi_align's cases, too."""

import numpy as np

import fastdl
from fastdl import ops
from fastdl.testing import BadCall, OpCase

from .max_pool2d import distinct


def rois(rng, k, shape, spatial_scale=1.0, **_):
    """Boxes inside the map, across its border and outside, in any order of images."""
    size = np.array([shape[3], shape[2]]) / spatial_scale
    low = rng.uniform(-0.2, 0.9, (k, 2)) * size
    high = low + rng.uniform(0, 0.7, (k, 2)) * size
    return np.concatenate([rng.integers(0, max(shape[0], 1), (k, 1)), low, high], 1)


def proposals(rng, k, shape, spatial_scale, **_):
    """Boxes of 16 to 300 pixels inside the image, as a detector's second stage gets them."""
    size = np.minimum(rng.uniform(16, 300, (k, 2)), np.array([shape[3], shape[2]]) / spatial_scale)
    low = rng.uniform(0, 1, (k, 2)) * (np.array([shape[3], shape[2]]) / spatial_scale - size)
    return np.concatenate([np.zeros((k, 1)), low, low + size], 1)


def special(shape):
    """Empty, inverted, whole, far, huge, infinite and NaN boxes."""
    w, h, inf, nan = shape[3], shape[2], np.inf, np.nan
    rows = [
        [0, 1, 1, 1, 1], [0, 3, 3, 1, 1], [0, 0, 0, w - 1, h - 1], [0, -50, 0, -40, 4], [0, w, h, w + 9, h + 9],
        [0, -30, -30, 40, 40], [0, 0, 0, inf, 3], [0, -inf, -inf, inf, inf], [0, nan, 0, 2, 2], [0, 0, 0, 2, nan],
        [0, 0, 0, 3e9, 2], [0, 2.5, 2.5, 2.5, 4.5], [0, w - 0.5, 0, w, 1], [0, -1, -1, 0, 0],
    ]  # fmt: skip
    return np.array(rows, float)


def inputs(rng, k, shape, **a):
    return [*distinct(rng, shape), rois(rng, k, shape, **a)]


def of_an_image(rng, k, shape, **a):
    return [*distinct(rng, shape), proposals(rng, k, shape, **a)]


def with_special_boxes(rng, shape, **_):
    return [*distinct(rng, shape), special(shape)]


def with_nan(rng, shape, **_):
    x, boxes = distinct(rng, shape)[0], rois(rng, 12, shape)
    x[rng.random(shape) < 0.3] = np.nan
    x[rng.random(shape) < 0.2] = -np.inf
    return [x, boxes]


def map_on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def bad_calls(op, call):
    """The errors that both kinds of pooling raise."""
    return [
        BadCall(lambda d: call(map_on(d, 2, 4, 4), map_on(d, 1, 5), 2), ValueError,
                f"[{op}] expected input of shape (N, C, H, W), got shape (2, 4, 4)"),
        BadCall(lambda d: call(map_on(d, 2, 1, 0, 4), map_on(d, 1, 5), 2), ValueError,
                f"[{op}] expected planes with elements, got 0 x 4"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 1, 4), 2), ValueError,
                f"[{op}] expected rois of shape (K, 5), got shape (1, 4)"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 1, 5, dtype="float64"), 2), TypeError,
                f"[{op}] expected rois of dtype float32, got float64"),
        BadCall(lambda d: call(map_on(d, 1, 1, 4, 4, dtype="int32"), map_on(d, 1, 5), 2), TypeError,
                f"[{op}] expected input of dtype float32 or float64, got int32"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 3, 5) * 2, 2), IndexError,
                f"[{op}] expected images of rois in [0, 2), got another one in roi 0"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 3, 5) * float("nan"), 2), IndexError,
                f"[{op}] expected images of rois in [0, 2), got another one in roi 0"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 1, 5), (2, 0)), ValueError,
                f"[{op}] expected output_size of at least 1 and below 2^31, got (2, 0)"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), map_on(d, 1, 5), 2, 0.0), ValueError,
                f"[{op}] expected a finite spatial_scale above 0, got 0"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), [map_on(d, 1, 5)], 2), ValueError,
                f"[{op}] expected boxes[0] of shape (..., 4), got shape (1, 5)"),
        BadCall(lambda d: call(map_on(d, 2, 1, 4, 4), "boxes", 2), TypeError,
                f"[{op}] expected a Tensor or a list of them for boxes, got str"),
        BadCall(lambda d: call(None, map_on(d, 1, 5), 2), TypeError,
                f"[{op}] expected a Tensor for input, got NoneType"),
    ]  # fmt: skip


SIZES = [
    {"shape": (2, 3, 9, 11), "k": 5, "output_size": 2},
    {"shape": (1, 1, 1, 1), "k": 3, "output_size": (1, 3)},
    {"shape": (1, 15, 7, 14), "k": 4, "output_size": (2, 4), "spatial_scale": 0.25},
    {"shape": (3, 16, 15, 16), "k": 9, "output_size": 4, "spatial_scale": 0.0625},
    {"shape": (2, 17, 17, 15), "k": 0, "output_size": 2},
    {"shape": (1, 65, 8, 33), "k": 6, "output_size": 4},
    {"shape": (2, 130, 6, 5), "k": 7, "output_size": (8, 2), "spatial_scale": 0.5},
    {"shape": (2, 0, 6, 5), "k": 3, "output_size": 2},
    {"shape": (0, 3, 6, 5), "k": 0, "output_size": 2},
]
SMALL = {"shape": (2, 2, 4, 5), "k": 3, "output_size": 2}
CASES = [
    OpCase("roi_pool", ops.roi_pool, inputs, SIZES, bad_calls("roi_pool", ops.roi_pool), shape_only=("shape", "k"),
           differentiable=[0], epsilons=16, gradcheck_sizes=[SMALL]),
    OpCase("roi_pool_of_an_image", ops.roi_pool, of_an_image,
           [{"shape": (1, 20, 25, 34), "k": 12, "output_size": 4, "spatial_scale": 0.0625}], shape_only=("shape", "k"),
           differentiable=[0], epsilons=16, gradcheck_sizes=[],
           bytes=lambda x, b, **_: x.nbytes + 4.0 * len(b) * x.shape[1] * 49),
    OpCase("roi_pool_special_boxes", ops.roi_pool, with_special_boxes, [{"shape": (1, 17, 9, 12), "output_size": 2}],
           shape_only=("shape",), differentiable=[0], epsilons=16, gradcheck_sizes=[]),
    OpCase("roi_pool_nan", ops.roi_pool, with_nan, [{"shape": (2, 17, 9, 12), "output_size": 4}],
           shape_only=("shape",), differentiable=[0], epsilons=16, gradcheck_sizes=[]),
]  # fmt: skip
