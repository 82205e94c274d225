"""Pixel shuffle and its inverse."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def inputs(rng, shape, **_):
    return [rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


SHUFFLES = [
    {"shape": (2, 8, 3, 5), "upscale_factor": 2},
    {"shape": (9, 3, 5), "upscale_factor": 3},
    {"shape": (2, 3, 16, 2, 17), "upscale_factor": 4},
    {"shape": (1, 2, 3, 3), "upscale_factor": 1},
    {"shape": (0, 4, 3, 3), "upscale_factor": 2},
    {"shape": (2, 4, 0, 3), "upscale_factor": 2},
    {"shape": (1, 4, 16, 33), "upscale_factor": 2},
    {"shape": (1, 25, 2, 7), "upscale_factor": 5},
    {"shape": (1, 16, 3, 33), "upscale_factor": 4},
]
UNSHUFFLES = [
    {"shape": (2, 2, 6, 10), "downscale_factor": 2},
    {"shape": (1, 3, 15), "downscale_factor": 3},
    {"shape": (2, 3, 1, 8, 68), "downscale_factor": 4},
    {"shape": (0, 1, 4, 4), "downscale_factor": 2},
    {"shape": (1, 2, 8, 66), "downscale_factor": 2},
    {"shape": (1, 1, 4, 4), "downscale_factor": 4},
]
BAD_SHUFFLES = [
    BadCall(lambda d: F.pixel_shuffle(on(d, 1, 6, 2, 2), 2), ValueError,
            "[pixel_shuffle] expected channels that 4 divides, got shape (1, 6, 2, 2)"),
    BadCall(lambda d: F.pixel_shuffle(on(d, 1, 4, 2, 2), 0), ValueError,
            "[pixel_shuffle] expected upscale_factor between 1 and 32768, got 0"),
    BadCall(lambda d: F.pixel_shuffle(on(d, 2, 2), 2), ValueError,
            "[pixel_shuffle] expected input with at least 3 dimensions, got shape (2, 2)"),
    BadCall(lambda d: F.pixel_shuffle(on(d, 1, 4, 2, 2), 2.0), TypeError,
            "[pixel_shuffle] expected an int for upscale_factor, got 2.0"),
    BadCall(lambda d: F.pixel_shuffle(on(d, 1, 4, 2, 2, dtype="int64"), 2), TypeError,
            "[pixel_shuffle] expected input of dtype float32 or float64, got int64"),
]  # fmt: skip
BAD_UNSHUFFLES = [
    BadCall(lambda d: F.pixel_unshuffle(on(d, 1, 1, 4, 5), 2), ValueError,
            "[pixel_unshuffle] expected planes whose sizes 2 divides, got shape (1, 1, 4, 5)"),
    BadCall(lambda d: F.pixel_unshuffle(on(d, 1, 1, 4, 4), -1), ValueError,
            "[pixel_unshuffle] expected downscale_factor between 1 and 32768, got -1"),
]  # fmt: skip
CASES = [
    OpCase("pixel_shuffle", F.pixel_shuffle, inputs, SHUFFLES, BAD_SHUFFLES, shape_only=("shape",), epsilons=0,
           bytes=lambda x, **_: 2.0 * x.nbytes),
    OpCase("pixel_unshuffle", F.pixel_unshuffle, inputs, UNSHUFFLES, BAD_UNSHUFFLES, shape_only=("shape",), epsilons=0,
           bytes=lambda x, **_: 2.0 * x.nbytes),
]  # fmt: skip
