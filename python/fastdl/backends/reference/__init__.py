"""The NumPy definition of every function of `fastdl.backends.surface`: what each function means, in plain words.

It is a device like the others (`device="reference"`, its arrays are `numpy.ndarray`), and in float64 it is the value
that the tests hold the compiled backends against. So it is written for reading, not for speed, and independently of
the kernels: convolution here is an `einsum` over windows, pooling an `argmax` over windows. It makes the same checks
and raises the same errors with the same words as the compiled bindings.
"""

from .activation import activation, activation_, activation_bwd, glu, glu_bwd
from .adaptive_pool2d import adaptive_avg_pool2d, adaptive_avg_pool2d_bwd, adaptive_max_pool2d, adaptive_max_pool2d_bwd
from .arrays import (
    dlpack_device,
    empty,
    empty_cache,
    from_dlpack,
    from_numpy,
    memory_stats,
    reshape,
    to_dlpack,
    to_numpy,
)
from .avg_pool2d import avg_pool2d, avg_pool2d_bwd
from .batch_norm import batch_norm, batch_norm_bwd
from .boxes import box_iou, large_boxes
from .conv2d import conv2d, conv2d_bwd_input, conv2d_bwd_weight
from .conv_transpose2d import conv_transpose2d, conv_transpose2d_bwd_input, conv_transpose2d_bwd_weight
from .conversion import converted
from .cross_entropy import cross_entropy, cross_entropy_bwd
from .distance import cdist, cdist_bwd
from .dropout import dropout
from .elementwise import (
    add,
    add_,
    add_scalar,
    add_scalar_,
    addcdiv,
    addcmul,
    atan2,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cast,
    clamp,
    copy_,
    copysign,
    diff,
    div,
    div_,
    div_scalar,
    div_scalar_,
    eq,
    eq_scalar,
    fill_,
    floor_divide,
    fmod,
    ge,
    ge_scalar,
    gt,
    gt_scalar,
    hypot,
    integer_ramp_,
    le,
    le_scalar,
    lerp,
    lerp_scalar,
    logaddexp,
    lt,
    lt_scalar,
    maximum,
    maximum_scalar,
    minimum,
    minimum_scalar,
    mul,
    mul_,
    mul_scalar,
    mul_scalar_,
    ne,
    ne_scalar,
    pow,
    pow_scalar,
    prelu,
    ramp_,
    rdiv_scalar,
    relu_bwd,
    remainder,
    rpow_scalar,
    rsub_scalar,
    sigmoid_bwd,
    sub,
    sub_,
    sub_scalar,
    sub_scalar_,
    tanh_bwd,
    where,
)
from .elementwise_unary import (
    abs,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    ceil,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    frac,
    log,
    log1p,
    log2,
    log10,
    nan_to_num,
    neg,
    reciprocal,
    relu,
    relu_,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
)
from .embedding import (
    embedding,
    embedding_bag,
    embedding_bag_bwd,
    embedding_bag_bwd_rows,
    embedding_bag_bwd_weights,
    embedding_bwd,
    embedding_bwd_rows,
    embedding_renorm_,
)
from .gather import (
    gather,
    index_add,
    index_assign_,
    index_select,
    linear_index,
    nonzero,
    scatter_,
    scatter_add_,
)
from .group_norm import group_norm, group_norm_bwd
from .layer_norm import layer_norm, layer_norm_bwd
from .layout import (
    broadcast_to,
    concat,
    diagonal,
    diagonal_bwd,
    flip,
    pad,
    pad_bwd,
    permute,
    roll,
    rot90,
    slice,
    slice_assign_,
    slice_bwd,
    tril,
    triu,
    unfold,
)
from .local_response_norm import local_response_norm, local_response_norm_bwd
from .loss import loss, loss_bwd
from .matmul import linear, matmul
from .max_pool2d import max_pool2d, max_pool2d_bwd
from .max_unpool2d import bed_of_nails, bed_of_nails_bwd, max_unpool2d, max_unpool2d_bwd
from .nms import nms, soft_nms
from .optimizer import (
    adadelta_step,
    adagrad_step,
    adam_step,
    adamax_step,
    ahead_step,
    clip_by_norm_,
    clip_by_value_,
    grad_norm,
    rmsprop_step,
    rprop_step,
    sgd_step,
)
from .pixel_shuffle import pixel_shuffle, pixel_unshuffle
from .random import normal_, random_, uniform_
from .recurrent import pack_rows, recurrent, recurrent_bwd, unpack_rows
from .reduce import amax, amin, argmax, argmin, histogram, mean, prod, prod_bwd, squared_deviations, sum
from .roi_align import roi_align, roi_align_bwd
from .roi_pool import roi_pool, roi_pool_bwd
from .scan import cumextreme_bwd, cummax, cummin, cumprod, cumprod_bwd, cumsum, logcumsumexp, logcumsumexp_bwd
from .softmax import log_softmax, log_softmax_bwd, softmax, softmax_bwd
from .sort import argsort, chosen_bwd, group_equal, kthvalue, median, searchsorted, sort, topk
from .upsample import upsample_bilinear2d, upsample_bilinear2d_bwd, upsample_nearest2d, upsample_nearest2d_bwd

NAME = "reference"

# Everything above is a function of the surface, but for what makes them one: they take tensors' arrays as they come.
__all__ = ["NAME", *(_n for _n, _f in globals().items() if callable(_f) and _f is not converted)]

for _name in __all__[1:]:
    globals()[_name] = converted(globals()[_name])
