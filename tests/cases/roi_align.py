"""Bilinear samples over the bins of regions of interest."""

from fastdl import ops
from fastdl.testing import OpCase

from .roi_pool import SIZES, SMALL, bad_calls, proposals, rois, special


def inputs(rng, k, shape, **a):
    return [rng.standard_normal(shape), rois(rng, k, shape, **a)]


def of_an_image(rng, k, shape, **a):
    return [rng.standard_normal(shape), proposals(rng, k, shape, **a)]


def with_special_boxes(rng, shape, **_):
    return [rng.standard_normal(shape), special(shape)]


WAYS = [
    {"aligned": aligned, "sampling_ratio": ratio} for aligned in (False, True) for ratio in (-1, 0, 1, 2, 5)
]  # fmt: skip
SPECIAL = {"shape": (1, 17, 9, 12), "output_size": 2}
CASES = [
    OpCase("roi_align", ops.roi_align, inputs, [*SIZES, *({**SIZES[5], **way} for way in WAYS)],
           bad_calls("roi_align", ops.roi_align), shape_only=("shape", "k"), differentiable=[0], epsilons=256,
           gradcheck_sizes=[{**SMALL, **way} for way in WAYS[::3]]),
    OpCase("roi_align_of_an_image", ops.roi_align, of_an_image,
           [{"shape": (1, 20, 25, 34), "k": 12, "output_size": 7, "spatial_scale": 0.0625, "sampling_ratio": 2}],
           shape_only=("shape", "k"), differentiable=[0], epsilons=256, gradcheck_sizes=[],
           bytes=lambda x, b, **_: x.nbytes + 4.0 * len(b) * x.shape[1] * 49),
    OpCase("roi_align_special_boxes", ops.roi_align, with_special_boxes, [{**SPECIAL, **way} for way in WAYS],
           shape_only=("shape",), differentiable=[0], epsilons=256, gradcheck_sizes=[]),
]  # fmt: skip
